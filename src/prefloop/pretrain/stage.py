"""Pretraining: raw text -> byte-level BPE tokenizer -> a causal Llama from scratch.

Reads: a corpus. Writes: `model/`, a plain Hugging Face folder. Follows OBJ-1 (next-token loss) and OBJ-7 (perplexity,
early stopping that restores the best). Leaves out: document mixing by weight, sequence-length curricula.
"""

import copy
import math
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.tables import read_rows
from prefloop.models.batching import batched
from prefloop.models.device import Placement, placement
from prefloop.models.load import save_model
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.stream import Stream
from prefloop.pretrain.baselines import bigram_perplexity, unigram_perplexity
from prefloop.pretrain.config import PretrainConfig
from prefloop.pretrain.initial import start_copying
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.run import Run
from prefloop.seeds import seed_of
from prefloop.text.batches import cut, epoch_batches
from prefloop.text.codec import Codec
from prefloop.text.templates import SPECIAL_TOKENS, template_text


def train(config: PretrainConfig) -> Path:
    """Runs (or continues) pretraining. Returns: the model folder."""
    with Run(config, inputs={"corpus": config.corpus, "practice": config.practice}) as run:
        if run.finished:
            return run.folder / layout.MODEL
        place = placement(config.device, config.dtype)
        texts = read_corpus(config.corpus)
        held_out = max(1, round(config.validation * len(texts)))
        if len(texts) <= held_out:
            raise UserError(
                f"{config.corpus}: only {len(texts)} documents; pretraining needs at least 2, one of them held out."
            )
        codec = _codec(config, texts[held_out:])
        validation, documents = (encoded(codec, t) for t in (texts[:held_out], texts[held_out:]))
        practice = encoded(codec, read_corpus(config.practice)) if config.practice else []
        network = _new_network(config, codec, place)
        optimizer = Optimizer(network.parameters(), config, num_updates=config.steps)
        limit = batched(network, config, run).micro_tokens
        order, best = _Order(config, documents, practice), _Best()
        saved = run.restore()
        if saved:
            network.load_state_dict(saved["network"])
            optimizer.restore(saved["optimizer"])
            best = _Best(**saved["best"])
        run.progress.start(config.steps, optimizer.done)
        while optimizer.done < config.steps and best.looks_without < config.patience:
            batch = order.batch(optimizer.done)
            lr, loss = optimizer.lr, 0.0
            for part in cut(range(len(batch)), [len(document) for document in batch], limit=limit):
                share = total_surprise(network, [batch[i] for i in part]) / num_predicted(batch)
                share.backward()
                loss += float(share.detach())
            metrics = {"loss/train": loss, "grad/norm": optimizer.step(), "lr": lr}
            practising = bool(practice) and optimizer.done <= config.practice_steps
            if optimizer.done == config.steps or (optimizer.done % config.evaluate_every == 0 and not practising):
                held = validation_loss(network, validation, config)
                best.look(held, network)
                metrics |= {"loss/validation": held, "perplexity/validation": math.exp(min(held, 50.0))}
            run.log(optimizer.done, metrics)
            run.progress.advance(loss=metrics["loss/train"], validation=best.loss)
            state = lambda: {"network": network.state_dict(), "optimizer": optimizer.state(), "best": vars(best)}  # noqa: E731
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        network.load_state_dict(best.weights)
        save_model(run.folder / layout.MODEL, network.pretrained, codec)
        run.finish(outputs=[layout.MODEL], result=_result(best, optimizer.done, documents, validation, codec))
    return run.folder / layout.MODEL


class _Order:
    """Which documents each update reads: practice first, then the corpus, pass after pass."""

    def __init__(self, config: PretrainConfig, documents: list[list[int]], practice: list[list[int]]) -> None:
        first = config.practice_steps if practice else 0
        self._phases = ((0, practice, config.practice_tokens), (first, documents, config.batch_tokens))
        self._first, self._seed, self._passes = first, config.seed, dict[tuple[int, int], list[list[int]]]()

    def batch(self, done: int) -> list[list[int]]:
        """The documents of the update after `done` updates; depends on nothing else."""
        phase = int(done >= self._first)
        begin, documents, tokens = self._phases[phase]
        index, epoch = done - begin, 0
        while True:
            batches = self._pass(phase, epoch, documents, tokens)
            if index < len(batches):
                return [documents[i] for i in batches[index]]
            index, epoch = index - len(batches), epoch + 1

    def _pass(self, phase: int, epoch: int, documents: list[list[int]], tokens: int) -> list[list[int]]:
        key = (phase, epoch)
        if key not in self._passes:
            stream = ("pretrain.practice", "pretrain.corpus")[phase]
            lengths = [len(d) for d in documents]
            self._passes[key] = epoch_batches(lengths, batch_tokens=tokens, seed=self._seed, stream=stream, epoch=epoch)
        return self._passes[key]


class _Best:
    """The best weights by held-out loss."""

    def __init__(
        self, loss: float = math.inf, looks_without: int = 0, weights: dict[str, torch.Tensor] | None = None
    ) -> None:
        self.loss, self.looks_without, self.weights = loss, looks_without, weights or {}

    def look(self, loss: float, network: Network) -> None:
        """Remembers the model if its held-out loss is the lowest yet."""
        if loss < self.loss:
            self.loss, self.looks_without, self.weights = loss, 0, copy.deepcopy(network.state_dict())
        else:
            self.looks_without += 1


def read_corpus(path: str) -> list[str]:
    """Documents of a .jsonl (field `text`) or .txt file. Raises: UserError with file and line."""
    if path.endswith(".txt"):
        if not Path(path).is_file():
            raise UserError(f"{path}: there is no such file. Give a .txt or .jsonl file.")
        blocks = Path(path).read_text(encoding="utf-8").split("\n\n")
        texts = [block for block in blocks if block.strip()]
    else:
        texts = []
        for line, row in read_rows(path):
            if not isinstance(row.get("text"), str) or not row["text"]:
                raise UserError(
                    f"{path}:{line}: a document needs a field `text` that is not empty; found "
                    f"{', '.join(row) or 'nothing'}."
                )
            texts.append(row["text"])
    if not texts:
        raise UserError(f"{path}: the file has no documents.")
    return texts


def _codec(config: PretrainConfig, texts: list[str]) -> Codec:
    tokenizer = trained_tokenizer(texts, vocab_size=config.model.vocab_size)
    tokenizer.chat_template = template_text(config.template)
    assert isinstance(tokenizer.eos_token_id, int)  # trained_tokenizer sets it
    return Codec(tokenizer, (tokenizer.eos_token_id,), config.model.context)


def encoded(codec: Codec, texts: list[str]) -> list[list[int]]:
    """Documents as tokens between end-of-text tokens, cut to the context (nothing is lost: the rest starts anew)."""
    end, room = codec.stop_ids[0], codec.context - 1
    pieces = []
    for encoding in codec.tokenizer(texts, add_special_tokens=False)["input_ids"]:
        ids = [*encoding, end]
        pieces += [[end, *ids[i : i + room]] for i in range(0, len(ids), room)]
    return pieces


def _new_network(config: PretrainConfig, codec: Codec, place: Placement) -> Network:
    size = config.model
    if size.hidden_size % size.num_heads or (size.hidden_size // size.num_heads) % 2:
        raise UserError(
            f"model.num_heads = {size.num_heads} does not cut model.hidden_size = {size.hidden_size} into even parts. "
            "Try num_heads=4, hidden_size=128."
        )
    llama = LlamaConfig(
        vocab_size=len(codec.tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        num_key_value_heads=size.num_heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        initializer_range=size.hidden_size**-0.5,
        bos_token_id=codec.stop_ids[0],
        eos_token_id=codec.stop_ids[0],
        pad_token_id=codec.tokenizer.get_vocab()[SPECIAL_TOKENS[0]],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            seed_of(config.seed, "pretrain.weights")
        )  # transformers draws initial weights from the global one
        model = LlamaForCausalLM(llama)
        start_copying(model)
    model.to(place.device)  # pyright: ignore[reportArgumentType]  # transformers wraps `to` untyped
    return Network(model, codec, path=config.out, placement=place)


def total_surprise(network: Network, documents: list[list[int]]) -> torch.Tensor:
    """() nats of each token but the first of each document, all together, no document seeing another."""
    stream = Stream.of(documents, network.device)
    after = stream.positions.nonzero()[:, 0]  # a document's first token is not predicted from the one before
    return network.total_surprise(stream, after - 1, stream.tokens[after])


def num_predicted(documents: list[list[int]]) -> int:
    """How many tokens `total_surprise` is about."""
    return sum(len(document) - 1 for document in documents)


@torch.no_grad()
def validation_loss(network: Network, documents: list[list[int]], config: PretrainConfig) -> float:
    """Mean nats per token over all held-out documents."""
    cuts = cut(range(len(documents)), [len(d) for d in documents], limit=4 * config.batch_tokens)
    total = sum(float(total_surprise(network, [documents[i] for i in batch])) for batch in cuts)
    return total / num_predicted(documents)


def _result(
    best: _Best, steps: int, documents: list[list[int]], validation: list[list[int]], codec: Codec
) -> dict[str, float]:
    size = len(codec.tokenizer)
    return {
        "perplexity": math.exp(best.loss),
        "unigram_perplexity": unigram_perplexity(documents, validation, vocab_size=size),
        "bigram_perplexity": bigram_perplexity(documents, validation, vocab_size=size),
        "steps": steps,
        "tokens": sum(len(d) for d in documents),
        "vocab_size": size,
    }
