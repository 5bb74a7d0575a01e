"""Pretraining: raw text -> byte-level BPE tokenizer -> a causal Llama from scratch.

Reads: a corpus. Writes: `model/`, a plain Hugging Face folder. Follows OBJ-1 (next-token loss) and OBJ-7 (perplexity,
early stopping that restores the best). Leaves out: document mixing by weight, sequence-length curricula.
"""

import copy
import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prefloop import layout
from prefloop.errors import UserError
from prefloop.models.batching import batched
from prefloop.models.device import Placement, placement
from prefloop.models.load import save_model
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.stream import Stream
from prefloop.models.sums import Sums
from prefloop.pretrain.baselines import bigram_perplexity, unigram_perplexity
from prefloop.pretrain.config import PretrainConfig
from prefloop.pretrain.initial import start_copying
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.run import Run
from prefloop.seeds import seed_of
from prefloop.text.batches import Batches, cut
from prefloop.text.codec import Codec
from prefloop.text.corpus import Documents, encoded, texts
from prefloop.text.templates import SPECIAL_TOKENS, template_text

MOST_HELD_OUT = 2048
"""Documents that are validated with at most: they are in memory, and are read again and again."""


def train(config: PretrainConfig) -> Path:
    """Runs (or continues) pretraining. Returns: the model folder."""
    with Run(config, inputs={"corpus": config.corpus, "practice": config.practice}) as run:
        if run.finished:
            return run.folder / layout.MODEL
        place = placement(config.device, config.dtype)
        num = sum(1 for _ in texts(config.corpus))
        held_out = min(max(1, round(config.validation * num)), MOST_HELD_OUT)
        if num <= held_out:
            raise UserError(
                f"{config.corpus}: only {num} documents; pretraining needs at least 2, one of them held out."
            )
        codec = _codec(config, islice(texts(config.corpus), held_out, None))
        validation, rows = encoded(codec, list(islice(texts(config.corpus), held_out))), run.folder / layout.ROWS
        documents = Documents(codec, islice(texts(config.corpus), held_out, None), rows / "corpus.tokens")
        practice = Documents(codec, texts(config.practice) if config.practice else (), rows / "practice.tokens")
        network = _new_network(config, codec, place)
        optimizer = Optimizer(network.parameters(), config, num_updates=config.steps)
        sizes = batched(network, config, run)
        order, best = _Order(config, documents, practice), _Best()
        saved = run.restore()
        if saved:
            network.load_state_dict(saved["network"])
            optimizer.restore(saved["optimizer"])
            best = _Best(**saved["best"])
        run.progress.start(config.steps, optimizer.done)
        while optimizer.done < config.steps and best.looks_without < config.patience:
            batch = order.batch(optimizer.done)
            lr, sums = optimizer.lr, Sums()
            for part in cut(range(len(batch)), [len(document) for document in batch], limit=sizes.micro_tokens):
                share = total_surprise(network, [batch[i] for i in part]) / num_predicted(batch)
                share.backward()
                sums.add("loss/train", share)
            metrics = {**sums.fetched(), "grad/norm": optimizer.step(), "lr": lr}
            practising = len(practice) > 0 and optimizer.done <= config.practice_steps
            if optimizer.done == config.steps or (optimizer.done % config.evaluate_every == 0 and not practising):
                held = validation_loss(network, validation, limit=min(4 * config.batch_tokens, sizes.reading_tokens))
                best.look(held, network)
                metrics |= {"loss/validation": held, "perplexity/validation": math.exp(min(held, 50.0))}
            run.log(optimizer.done, metrics)
            known = {} if math.isinf(best.loss) else {"validation": best.loss}
            run.progress.advance(1, loss=metrics["loss/train"], **known)
            state = lambda: {"network": network.state_dict(), "optimizer": optimizer.state(), "best": vars(best)}  # noqa: E731
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        network.load_state_dict(best.weights)
        save_model(run.folder / layout.MODEL, network.pretrained, codec)
        run.finish(outputs=[layout.MODEL], result=_result(best, optimizer.done, documents, validation, codec))
    return run.folder / layout.MODEL


class _Order:
    """Which documents each update reads: practice first, then the corpus, pass after pass."""

    def __init__(self, config: PretrainConfig, documents: Documents, practice: Documents) -> None:
        self._first = config.practice_steps if len(practice) else 0
        self._phases = [
            (begin, of, Batches(of.lengths, epochs=None, limit=tokens, seed=config.seed, stream=stream))
            for begin, of, tokens, stream in (
                (0, practice, config.practice_tokens, "pretrain.practice"),
                (self._first, documents, config.batch_tokens, "pretrain.corpus"),
            )
        ]

    def batch(self, done: int) -> list[list[int]]:
        """The documents of the update after `done` updates; depends on nothing else."""
        begin, documents, batches = self._phases[done >= self._first]
        return documents.take(batches[done - begin])


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


def _codec(config: PretrainConfig, documents: Iterable[str]) -> Codec:
    tokenizer = trained_tokenizer(documents, vocab_size=config.model.vocab_size)
    tokenizer.chat_template = template_text(config.template)
    assert isinstance(tokenizer.eos_token_id, int)  # trained_tokenizer sets it
    return Codec(tokenizer, (tokenizer.eos_token_id,), config.model.context)


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
def validation_loss(network: Network, documents: list[list[int]], *, limit: int) -> float:
    """Mean nats per token over all held-out documents."""
    cuts = cut(range(len(documents)), [len(d) for d in documents], limit=limit)
    total = sum(float(total_surprise(network, [documents[i] for i in batch])) for batch in cuts)
    return total / num_predicted(documents)


def _result(
    best: _Best, steps: int, documents: Documents, validation: list[list[int]], codec: Codec
) -> dict[str, float]:
    size = len(codec.tokenizer)
    return {
        "perplexity": math.exp(best.loss),
        "unigram_perplexity": unigram_perplexity(documents, validation, vocab_size=size),
        "bigram_perplexity": bigram_perplexity(documents, validation, vocab_size=size),
        "steps": steps,
        "tokens": int(documents.lengths.sum()),
        "vocab_size": size,
    }
