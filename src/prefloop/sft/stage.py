"""Supervised fine-tuning: the model imitates demonstrations, response tokens only.

Reads: a model folder, demonstrations. Writes: `model/`, a plain Hugging Face folder with its chat template. Follows
SFT-1 (loss on the response only), SFT-2 (AdamW, gradient-norm clip), SFT-6 (a gate before RL, once the model is saved).
Packs without padding or leaks (models/stream.py). Leaves out: data selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from prefloop import layout
from prefloop.costs.expect import expect, refuse_too_large
from prefloop.costs.looking import lengths_of
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.files.atomic import is_ours
from prefloop.models.batching import Batching, batched
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder, save
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.stream import ResponseStream
from prefloop.models.sums import Sums
from prefloop.ops.draws import permutation
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.sft.config import SFTConfig
from prefloop.sft.needs import needs
from prefloop.text.ahead import ahead
from prefloop.text.batches import Batches, cut
from prefloop.text.examples import Example, Examples
from prefloop.text.templates import SPECIAL_TOKENS

MOST_HELD_OUT = 2048
"""Demonstrations that are validated with at most: they are in memory, and are read eleven times."""


def train(config: SFTConfig) -> Path:
    """Runs (or continues) fine-tuning. Returns: the model folder. Raises: UserError if the gate stops it."""
    with Run(config, inputs={"model": model_folder(config.model), "demonstrations": config.demonstrations}) as run:
        folder = run.folder / layout.MODEL
        if run.finished:
            return folder
        trained = is_ours(folder)  # written whole, before the gate
        if not trained:
            refuse_too_large(config, needs(config, Lengths()))
        place = placement(config.device, config.dtype)
        path = str(folder) if trained else config.model
        weights = "float32" if trained and not layout.is_adapter(folder) else unchanged(config, path)
        network = causal(path, place, template=config.template, weights=weights)
        if not trained:
            run.caution(network.train_as(config, seed=config.seed))
        elif network.role is not None:
            network.hold(config.weights)  # as it was when it learned
        config = run.settled(config, network.learner)
        data = _data(config, network, run)
        batches = Batches(
            data.training.lengths,
            epochs=config.epochs,
            limit=config.batch_tokens,
            seed=config.seed,
            stream="sft.batches",
        )
        sizes = batched(network, config, run)
        if not trained:
            expect(run, config, needs(sizes.settle(config), _lengths(data)))
            _learn(config, network, data, batches, run, sizes)
            save(folder, network)
        result = {
            "loss_validation": validation_loss(network, data.validation, limit=_read_at_once(config, sizes)),
            "num_demonstrations": len(data.training),
            "num_too_long": data.num_too_long,
            **_gate(network, data.validation, config, run, step=len(batches)),
        }
        run.finish(outputs=[layout.MODEL], result=result)
    return folder


def _learn(config: SFTConfig, network: Network, data: "_Data", batches: Batches, run: Run, sizes: Batching) -> None:
    """All updates, or those that are left."""
    optimizer = Optimizer(network.parameters(), config, num_updates=len(batches))
    saved = run.restore()
    if saved:
        network.restore(saved["network"])
        optimizer.restore(saved["optimizer"])
    run.progress.start(len(batches), optimizer.done)
    for batch in ahead(batches, data.training.take, start=optimizer.done):
        sums = Sums()
        total = sum(len(example.response) for example in batch)
        for part in cut(range(len(batch)), [example.length for example in batch], limit=sizes.micro_tokens):
            share = total_surprise(network, [batch[i] for i in part]) / total
            share.backward()
            sums.add("loss/train", share)
        lr, norm = optimizer.lr, optimizer.step()
        metrics = {**sums.fetched(), "grad/norm": norm, "lr": lr}
        if optimizer.done % max(1, len(batches) // 10) == 0 or optimizer.done == len(batches):
            metrics["loss/validation"] = validation_loss(network, data.validation, limit=_read_at_once(config, sizes))
        run.log(optimizer.done, metrics)
        run.progress.advance(loss=metrics["loss/train"])
        state = lambda: {"network": network.trained(), "optimizer": optimizer.state()}  # noqa: E731
        run.checkpoint(optimizer.done, state, every=config.checkpoint_every)


@dataclass(frozen=True)
class _Data:
    training: Examples
    validation: list[Example]
    num_too_long: int


def _data(config: SFTConfig, network: Network, run: Run) -> _Data:
    """Demonstrations as tokens, a share of them held out."""
    made = Examples(network.codec, config.demonstrations, say=run.say, kept=run.folder / layout.ROWS / "demonstrations")
    share = max(1, round(config.validation * len(made)))
    held_out = min(share, MOST_HELD_OUT)
    if len(made) <= held_out:
        raise UserError(
            f"{config.demonstrations}: only {len(made)} demonstrations fit; at least 2 are needed, one of them held "
            "out."
        )
    if made.num_too_long:
        run.say(
            f"{made.num_too_long} of {len(made) + made.num_too_long} demonstrations are longer than the context of "
            f"{network.codec.context} tokens and are left out."
        )
    if held_out < share:
        run.say(
            f"{config.demonstrations}: {held_out} of its demonstrations are held out, which is enough to tell, and not "
            f"validation = {config.validation:g} of them; the others are learned from."
        )
    mixed = permutation(len(made), config.seed, "sft.split").numpy()
    return _Data(made.only(mixed[held_out:]), made.take(mixed[:held_out]), made.num_too_long)


def _lengths(data: "_Data") -> Lengths:
    """Of all that is learned from; those in memory say how much of it is responses."""
    responses = sum(len(example.response) for example in data.validation)
    share = responses / sum(example.length for example in data.validation)
    whole = [(round((1 - share) * length), round(share * length)) for length in data.training.lengths.tolist()]
    return lengths_of(whole, len(whole) + len(data.validation), context=int(data.training.lengths.max()) + 1)


def total_surprise(network: Network, batch: Sequence[Example]) -> torch.Tensor:
    """() nats of all response tokens together; prompt tokens are read but never predicted."""
    packed = ResponseStream.of([e.prompt for e in batch], [e.response for e in batch], network.device)
    return network.total_surprise(packed.stream, packed.index, packed.tokens)


def _read_at_once(config: SFTConfig, sizes: Batching) -> int:
    """Tokens that are validated with at once."""
    return min(2 * config.batch_tokens, sizes.reading_tokens)


@torch.no_grad()
def validation_loss(network: Network, held_out: Sequence[Example], *, limit: int) -> float:
    """Mean nats per response token over all held-out demonstrations."""
    cuts = cut(range(len(held_out)), [e.length for e in held_out], limit=limit)
    total = sum(float(total_surprise(network, [held_out[i] for i in batch])) for batch in cuts)
    return total / sum(len(example.response) for example in held_out)


def _gate(
    network: Network, held_out: Sequence[Example], config: SFTConfig, run: Run, *, step: int
) -> dict[str, float | str]:
    """Samples held-out prompts: does the model stop by itself, and keep the template's markers out of its responses?"""
    codec = network.codec
    room = min(config.gate_max_new_tokens or _room(held_out, codec.context), codec.context - 1)
    prompts = [e.prompt for e in held_out if len(e.prompt) + room <= codec.context][: config.gate_prompts]
    if not prompts:
        raise UserError(
            f"gate_max_new_tokens = {room} leaves no room for any prompt in the context of {codec.context} tokens; "
            "lower it."
        )
    place = seed_of(config.seed, "sft.gate")
    sampled = InProcess(network).sample(prompts, SamplingConfig(max_new_tokens=room), place)
    texts = [codec.decode(s.tokens) for s in sampled]
    run.sample_anew(
        [
            {"step": step, "prompt": codec.tokenizer.decode(p), "response": t}
            for p, t in zip(prompts[:8], texts[:8], strict=True)
        ]
    )
    markers = (*SPECIAL_TOKENS, "### Human", "### Assistant", "指令：", "输出：", "<|im_start|>", "<|im_end|>")
    finished = sum(s.finished for s in sampled) / len(sampled)
    clean = sum(not any(m in t for m in markers) for t in texts) / len(texts)
    passed = min(finished, clean) >= config.gate_share
    if not passed:
        sentence = (
            f"not ready for RL: {finished:.0%} of {len(texts)} sampled responses end by themselves within {room} "
            f"tokens (gate_max_new_tokens) and {clean:.0%} are free of template markers, but {config.gate_share:.0%} "
            "is asked for (gate_share)."
        )
        if config.gate == "stop":
            raise UserError(
                f"{sentence} The model is saved in {run.folder / layout.MODEL}. Go on with it by gate=warn, which "
                "trains nothing again; or train longer (epochs) with another out=DIR, or check the template with "
                "`prefloop data preview`."
            )
        run.say(f"{sentence} PPO would teach it to stop first of all. It goes on because of gate=warn.")
    return {"finished_share": finished, "template_share": clean, "gate": "passed" if passed else "warned"}


def _room(held_out: Sequence[Example], context: int) -> int:
    """Tokens that a response like these may need: twice what 95 % of them have, and half of the prompts still fit."""
    lengths = sorted(len(e.response) for e in held_out)
    prompts = sorted(len(e.prompt) for e in held_out)
    return max(1, min(2 * lengths[(95 * len(lengths) - 1) // 100], context - prompts[(len(prompts) - 1) // 2]))
