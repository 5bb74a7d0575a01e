"""Supervised fine-tuning: the model imitates demonstrations, response tokens only.

Reads: a model folder, demonstrations. Writes: `model/`, a plain Hugging Face folder with its chat template. Follows SFT-1
(loss on the response only), SFT-2 (AdamW, gradient-norm clip), SFT-6 (a gate before RL). Packs without padding or leaks
(models/stream.py). Leaves out: adapters, data selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.foreign import read_demonstrations
from prefloop.models.device import chosen_device, precision
from prefloop.models.load import Loaded, causal, model_folder, save_model
from prefloop.models.optim import OptimConfig, Optimizer
from prefloop.models.stream import ResponseStream, hidden_states, logits_of
from prefloop.ops.losses import next_token_loss
from prefloop.run import Run
from prefloop.sampling.generate import SamplingConfig, generate
from prefloop.sft.config import SFTConfig
from prefloop.text.batches import cut, epoch_batches, seeded
from prefloop.text.examples import Example, examples
from prefloop.text.templates import SPECIAL_TOKENS


def train(config: SFTConfig) -> Path:
    """Runs (or continues) fine-tuning. Returns: the model folder. Raises: UserError if the gate stops it."""
    with Run(
        "sft", config, inputs={"model": model_folder(config.model), "demonstrations": config.demonstrations}
    ) as run:
        if run.finished:
            return run.folder / layout.MODEL
        device = chosen_device(config)
        loaded = causal(config.model, device, template=config.template)
        model = loaded.model.train()
        data = _data(config, loaded)
        lengths = [example.length for example in data.training]
        batches = [
            batch
            for epoch in range(config.epochs)
            for batch in epoch_batches(lengths, batch_tokens=config.batch_tokens, seed=config.seed, epoch=epoch)
        ]
        optimizer = Optimizer(model.parameters(), OptimConfig.of(config), num_updates=len(batches))
        saved = run.restore()
        if saved:
            model.load_state_dict(saved["model"])
            optimizer.restore(saved["optimizer"])
        run.progress.start(len(batches), optimizer.done)
        while optimizer.done < len(batches):
            batch = [data.training[i] for i in batches[optimizer.done]]
            lr = optimizer.lr
            with precision(config):
                loss = response_losses(model, batch, device).mean()
            loss.backward()
            metrics = {"loss/train": float(loss.detach()), "grad/norm": optimizer.step(), "lr": lr}
            if optimizer.done % max(1, len(batches) // 10) == 0 or optimizer.done == len(batches):
                metrics["loss/validation"] = validation_loss(model, data.validation, device, config)
            run.log(optimizer.done, metrics)
            run.progress.advance(loss=metrics["loss/train"])
            state = lambda: {"model": model.state_dict(), "optimizer": optimizer.state()}  # noqa: E731
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        held_out = validation_loss(model, data.validation, device, config)
        gate = _gate(loaded, data.validation, config, run)
        save_model(run.folder / layout.MODEL, model, loaded.codec)
        result = {
            "loss_validation": held_out,
            "num_demonstrations": len(data.training),
            "num_too_long": data.num_too_long,
            **gate,
        }
        run.finish(outputs=[layout.MODEL], result=result)
    return run.folder / layout.MODEL


@dataclass(frozen=True)
class _Data:
    training: list[Example]
    validation: list[Example]
    num_too_long: int


def _data(config: SFTConfig, loaded: Loaded) -> _Data:
    """Demonstrations as tokens, a share of them held out."""
    records = read_demonstrations(config.demonstrations).records
    made, too_long = examples(loaded.codec, [(d.messages, d.response) for d in records], where=config.demonstrations)
    held_out = max(1, round(config.validation * len(made)))
    if len(made) <= held_out:
        raise UserError(
            f"{config.demonstrations}: only {len(made)} demonstrations fit; at least 2 are needed, one of them held out."
        )
    if too_long:
        print(
            f"sft: {too_long} of {len(records)} demonstrations are longer than the context of {loaded.codec.context} tokens and are left out."
        )
    order = torch.randperm(len(made), generator=seeded(config.seed, 2)).tolist()
    shuffled = [made[i] for i in order]
    return _Data(shuffled[held_out:], shuffled[:held_out], too_long)


def response_losses(model: PreTrainedModel, batch: Sequence[Example], device: torch.device) -> torch.Tensor:
    """(M,) nats for each response token; prompt tokens are read but never predicted."""
    packed = ResponseStream.of([e.prompt for e in batch], [e.response for e in batch], device)
    hidden = hidden_states(model.base_model, packed.stream).index_select(0, packed.index)
    return next_token_loss(logits_of(model, hidden), packed.tokens)


@torch.no_grad()
def validation_loss(
    model: PreTrainedModel, held_out: Sequence[Example], device: torch.device, config: SFTConfig
) -> float:
    """Mean nats per response token over all held-out demonstrations."""
    total, count = 0.0, 0
    for batch in cut(range(len(held_out)), [e.length for e in held_out], limit=2 * config.batch_tokens):
        with precision(config):
            losses = response_losses(model, [held_out[i] for i in batch], device)
        total, count = total + float(losses.double().sum()), count + len(losses)
    return total / count


def _gate(loaded: Loaded, held_out: Sequence[Example], config: SFTConfig, run: Run) -> dict[str, float | str]:
    """Samples held-out prompts: does the model stop by itself, and keep the template's markers out of its responses?"""
    codec = loaded.codec
    room = min(config.gate_max_new_tokens, codec.context - 1)
    prompts = [e.prompt for e in held_out if len(e.prompt) + room <= codec.context][: config.gate_prompts]
    if not prompts:
        raise UserError(
            f"gate_max_new_tokens = {room} leaves no room for any prompt in the context of {codec.context} tokens; lower it."
        )
    sampling = SamplingConfig(max_new_tokens=room)
    sampled = generate(loaded.model, prompts, sampling, stop_ids=codec.stop_ids, generator=seeded(config.seed, 3))
    texts = [codec.decode(s.tokens) for s in sampled]
    run.sample(
        [
            {"step": -1, "prompt": codec.tokenizer.decode(p), "response": t}
            for p, t in zip(prompts[:8], texts[:8], strict=True)
        ]
    )
    markers = (*SPECIAL_TOKENS, "### Human", "### Assistant", "指令：", "输出：", "<|im_start|>", "<|im_end|>")
    finished = sum(s.finished for s in sampled) / len(sampled)
    clean = sum(not any(m in t for m in markers) for t in texts) / len(texts)
    passed = min(finished, clean) >= config.gate_share
    if not passed:
        sentence = (
            f"sft: not ready for RL: {finished:.0%} of sampled responses end by themselves and {clean:.0%} are free of template markers, "
            f"but {config.gate_share:.0%} is asked for. Train longer (epochs), check the template with `prefloop data preview`, "
            "or pass by with gate=warn."
        )
        if config.gate == "stop":
            raise UserError(sentence)
        print(sentence)
    return {"finished_share": finished, "template_share": clean, "gate": "passed" if passed else "warned"}
