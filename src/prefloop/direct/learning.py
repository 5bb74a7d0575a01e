"""What every method shares that learns from what people said directly: its data, its two models, how responses are
read, what is measured of held-out rows and of the policy's own responses, and what is kept.

Shapes: B items, K responses of the item that has most of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from prefloop import layout
from prefloop.costs.estimate import Needs
from prefloop.costs.expect import expect, refuse_too_large
from prefloop.costs.looking import lengths_of
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import unchanged
from prefloop.direct.config import DirectConfig, DPOConfig, RatioConfig
from prefloop.direct.implied import Packed, Said, charged, discount_of, ends, needs_reference, scores
from prefloop.direct.kept import Kept, reused, write
from prefloop.errors import UserError
from prefloop.feedback.data import FILES, PromptBatches, Split, split
from prefloop.feedback.items import FIRST, Item, Taught, Tokenised, first_of, ordered, tell, tokenised
from prefloop.feedback.kinds import Kinds
from prefloop.feedback.objectives import Objective
from prefloop.models import load
from prefloop.models.batching import Batching, batched
from prefloop.models.device import placement
from prefloop.models.following import Follower
from prefloop.models.load import causal
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.reduce import masked_sum
from prefloop.records import opening
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.rollouts import Rollouts
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.stats.intervals import mean_interval, share_interval
from prefloop.text.batches import cut

C = TypeVar("C", bound=DirectConfig)
LOOKS = 4
"""Times that the held-out rows are looked at on the way."""
EDGE_LR = 0.02
"""Learning rate of what an objective learns beside the policy, as for reward models."""
ONE_SIDED = 0.8
"""Of pairs, those whose better response is the longer one less those where it is the shorter one: from here on it is
said that what was learned may be length."""
SPREAD = 64
"""Held-out rows over whose responses the policy's entropy is told."""
SHOWN = 8
"""Responses of the policy that are kept to be looked at."""


@dataclass(frozen=True)
class Setup:
    """Everything that a run works with."""

    policy: Network
    reference: Network
    """what the policy was before it learned: held-out rows and drift are measured from it"""
    follower: Follower | None
    """what it is compared with as it learns, where that moves"""
    objective: Objective
    split: Split
    sizes: Batching
    held_out: Tokenised
    ref_held_out: Tensor
    """(B, K) nats, of the held-out responses, under the reference"""
    batches: PromptBatches
    kept: Kept
    beside: nn.Module | None = None
    """what a method learns beside the policy"""

    @property
    def compared(self) -> Network:
        """The reference of the loss, now."""
        return self.reference if self.follower is None else self.follower.network

    def learn(self, numbers: np.ndarray) -> Tokenised:
        """Training rows in tokens, with what was said of them."""
        rows = self.split.training.take(numbers)
        trust = self.objective.config.trust
        made = tokenised(rows, self.policy, asks=self.split.asks, together=True, trust=trust)
        places = {id(row): int(number) for row, number in zip(rows, numbers, strict=True)}
        items = [replace(item, row=places[id(row)]) for row, item in zip(made.rows, made.items, strict=True)]
        return replace(made, items=items)


def inputs(config: DirectConfig) -> dict[str, str | None]:
    """What a run reads, for its card."""
    return {"policy": load.model_folder(config.policy), **{name: config.model_dump()[name] for name in FILES}}


def prepared(run: Run, config: C, kinds: Kinds, needs: Callable[[Any, Lengths], Needs]) -> tuple[Setup, C]:
    """Loads the policy, copies it as the reference, reads what people said, and tokenises what is held out.

    Args:
        kinds: the objectives of the method.
        needs: of the method.

    Returns: also the settings, with those that are left to prefloop.
    Raises: UserError for a file that the method does not learn from.
    """
    refuse_too_large(config, needs(config, Lengths()))
    place = placement(config.device, config.dtype)
    said = split(config, run.say, kept=run.folder / layout.ROWS, kinds=kinds)
    policy = causal(config.policy, place, template=config.template, weights=unchanged(config, config.policy))
    run.caution(policy.train_as(config, seed=config.seed))
    config = run.settled(config, policy.learner)
    reference = policy.frozen_copy()
    reference.hold(config.weights)
    follower = Follower.of(policy, config) if isinstance(config, RatioConfig) else None
    objective = kinds.objectives[said.objective](
        config, sorted({mark for each in said.levels.values() for mark in each})
    )
    objective.meet(said.training)
    for problem in said.skipped:
        run.say(f"skipped {problem}")
    batches = PromptBatches(said.training, config)
    count = said.training.num_responses // 2 + len(said.validation)
    kept = Kept(said.training.column("num") if needs_reference(config) else np.zeros(0, dtype=np.uint8))
    said.training.forget()
    learn = partial(tokenised, network=policy, asks=said.asks, together=True)
    first = first_of(said.training, learn, path=config.preferences, say=run.say, context=policy.codec.context)
    objective.begin(first.items)
    objective.to(policy.device)
    held_out = learn(said.validation)
    where = config.held_out or f"{config.preferences} (held out)"
    held_out.tell(run.say, where, policy.codec.context)
    if not held_out.items:
        raise UserError(f"{where}: no row is left to validate with. Give another held_out, or leave it out.")
    sizes = batched(policy, config, run)
    both = [
        (begin, len(ids) - begin)
        for item in (*first.items, *held_out.items)
        for begin, ids in zip(item.begins, item.sequences, strict=True)
    ]
    expect(run, config, needs(sizes.settle(config), lengths_of(both, count, policy.codec.context)))
    ref = nothing(held_out.items)
    if needs_reference(config):
        ref, _ = logprobs_of(reference, held_out.items, sizes)
    return Setup(policy, reference, follower, objective, said, sizes, held_out, ref, batches, kept), config


def begun(run: Run, setup: Setup, config: DirectConfig, *, heads: Sequence[Group] = ()) -> tuple[Optimizer, Taught]:
    """The optimiser, and what was counted of what taught: new ones, or as they were when the run was broken off.

    Args:
        heads: of the policy, with rates of their own.
    """
    apart = [Group(tuple(setup.objective.parameters()), EDGE_LR), *heads]
    optimizer = Optimizer(setup.policy.parameters(), config, num_updates=len(setup.batches), apart=apart)
    saved = run.restore()
    if not saved:
        reused(setup.kept, config)
        return optimizer, Taught()
    setup.policy.restore(saved["network"])
    setup.objective.load_state_dict(saved["objective"])
    optimizer.restore(saved["optimizer"])
    setup.kept.restore(saved["kept"])
    if setup.follower is not None:
        setup.follower.restore(saved["follower"])
    if setup.beside is not None:
        setup.beside.load_state_dict(saved["beside"])
    return optimizer, Taught.of(saved["taught"])


def state(setup: Setup, optimizer: Optimizer, taught: Taught) -> dict[str, Any]:
    """What a checkpoint needs."""
    return {
        "network": setup.policy.trained(),
        "objective": setup.objective.state_dict(),
        "optimizer": optimizer.state(),
        "taught": taught.state(),
        "kept": setup.kept.state(),
        "follower": setup.follower and setup.follower.state(),
        "beside": None if setup.beside is None else setup.beside.state_dict(),
    }


def micro_batches(items: Sequence[Item], *, limit: int) -> list[list[Item]]:
    """Items cut into what fits in memory: at most `limit` tokens, prompts included."""
    return [[items[i] for i in part] for part in cut(range(len(items)), [item.length for item in items], limit=limit)]


def read(setup: Setup, config: DirectConfig, items: Sequence[Item]) -> Said:
    """What the policy, with its gradient, and the reference say of some items; both read the very same stream, so that
    their difference is 0 as learning begins and not nearly. A reference that stays reads each response once in a run,
    one that moves once between refreshes."""
    packed = Packed.of(items, setup.policy.device)
    ref = setup.kept.of(items, packed.lengths) if needs_reference(config) else torch.zeros_like(packed.lengths)
    if ref is None:
        with torch.no_grad():
            ref = packed.logprobs(setup.compared)
        setup.kept.keep(items, ref)
    logprobs, discounted = packed.logprobs_and_discounted(setup.policy, discount=discount_of(config))
    return Said(logprobs, ref, packed.lengths, discounted)


def count(sums: Sums, said: Said, values: Tensor, items: Sequence[Item], num: int) -> None:
    """Adds up what is logged of pairs and rankings.

    Args:
        values: (B, K) scores.
        num: items of the whole update in which something was told apart.
    """
    rows, top, bottom = ends(items)
    if not rows:
        return
    values, logprobs = values.detach(), said.logprobs.detach()
    sums.add("scores/chosen", values[rows, top] / num)
    sums.add("scores/rejected", values[rows, bottom] / num)
    sums.add("scores/margin", (values[rows, top] - values[rows, bottom]) / num)
    sums.add("logprobs/chosen", logprobs[rows, top] / num)
    sums.add("logprobs/rejected", logprobs[rows, bottom] / num)
    sums.add("accuracy/train", ordered(values, items) / num)


def updated(run: Run, optimizer: Optimizer, sums: Sums) -> dict[str, float]:
    """Updates by the gradients there are. Returns: what is logged of it. Raises: UserError if that is no number."""
    lr, norm = optimizer.lr, optimizer.step()
    metrics = {**sums.fetched(), "grad/norm": norm, "lr": lr}
    run.refuse_nan(optimizer.done, metrics)
    return metrics


def look(setup: Setup, config: DirectConfig, done: int) -> tuple[Tensor, Said] | None:
    """What `held_out` gives, if the held-out rows are looked at after `done` updates."""
    num = len(setup.batches)
    return held_out(setup, config) if done % -(-num // LOOKS) == 0 or done == num else None


def keep(
    run: Run, setup: Setup, config: DirectConfig, optimizer: Optimizer, taught: Taught, metrics: dict[str, float]
) -> None:
    """Ends an update: its log line and the bar, its policy, a new reference and a checkpoint if they are due."""
    run.log(optimizer.done, metrics)
    shown = {key.removesuffix("/train"): value for key, value in metrics.items() if "/train" in key}
    run.progress.advance(1, **shown)
    save(run, setup, config, optimizer.done)
    refresh(setup, optimizer.done)
    run.checkpoint(optimizer.done, partial(state, setup, optimizer, taught), every=config.checkpoint_every)


def pass_over(run: Run, setup: Setup, config: DirectConfig, optimizer: Optimizer) -> None:
    """Ends an update in which there is nothing to learn from."""
    optimizer.pass_over(1)
    save(run, setup, config, optimizer.done)
    refresh(setup, optimizer.done)


def refresh(setup: Setup, done: int) -> None:
    """Moves a reference that follows the policy, if that is due; what it said before does not hold then."""
    if setup.follower is not None and setup.follower.refresh(setup.policy, done):
        setup.kept.forget()


@torch.no_grad()
def logprobs_of(
    network: Network, items: Sequence[Item], sizes: Batching, *, discount: float = 1.0
) -> tuple[Tensor, Tensor]:
    """(B, K) nats of each response of items, and (B, K) the same discounted, on the CPU."""
    parts = micro_batches(items, limit=sizes.reading_tokens)
    read = [Packed.of(part, network.device).logprobs_and_discounted(network, discount=discount) for part in parts]
    most = max(len(item.sequences) for item in items)
    whole, discounted = (
        torch.cat([torch.nn.functional.pad(table.cpu(), (0, most - table.shape[1])) for table in tables])
        for tables in zip(*read, strict=True)
    )
    return whole, discounted


def nothing(items: Sequence[Item]) -> Tensor:
    """(B, K) zeros: what a reference says that is not asked."""
    return torch.zeros(len(items), max(len(item.sequences) for item in items))


def held_out(setup: Setup, config: DirectConfig) -> tuple[Tensor, Said]:
    """(B, K) scores of the held-out responses now, and what they are made of, on the CPU."""
    items = setup.held_out.items
    now, discounted = logprobs_of(setup.policy, items, setup.sizes, discount=discount_of(config))
    lengths = torch.ones(now.shape)
    for row, item in enumerate(items):
        own = [len(ids) - begin for ids, begin in zip(item.sequences, item.begins, strict=True)]
        lengths[row, : len(own)] = torch.tensor(own, dtype=torch.float32)
    said = Said(now, setup.ref_held_out, lengths, discounted)
    return scores(config, said, items), said


def looks(setup: Setup, config: DirectConfig, values: Tensor, said: Said) -> dict[str, float]:
    """The part of the log line that is about held-out rows. Args: values: (B, K) scores."""
    found = looks_at_pairs(setup, values, said)
    if isinstance(setup.held_out.rows[0], setup.objective.READS):
        shown = charged(config, said, values, setup.held_out.items)
        found["loss/validation"] = setup.objective.mean_loss(shown, setup.held_out.items)
    return found


def looks_at_pairs(setup: Setup, values: Tensor, said: Said) -> dict[str, float]:
    """What there is to say of held-out pairs or rankings. Args: values: (B, K) scores."""
    items, found = setup.held_out.items, {"entropy/validation": spread(setup)}
    rows, top, bottom = ends(items)
    if rows:
        found["accuracy/validation"] = float(ordered(values, items).double().sum() / len(rows))
        found["scores/margin_validation"] = float((values[rows, top] - values[rows, bottom]).double().mean())
        found["logprobs/chosen_validation"] = float(said.logprobs[rows, top].double().mean())
        found["logprobs/rejected_validation"] = float(said.logprobs[rows, bottom].double().mean())
    return found


@torch.no_grad()
def spread(setup: Setup) -> float:
    """Nats: the entropy of what the policy would say next, mean over the tokens of some held-out responses."""
    entropies = list[Tensor]()
    for part in micro_batches(setup.held_out.items[:SPREAD], limit=setup.sizes.reading_tokens):
        read = setup.policy.read(Packed.of(part, setup.policy.device).stream, temperature=1.0)
        assert read.entropy is not None  # it was asked for
        entropies.append(read.entropy.cpu())
    return float(torch.cat(entropies).double().mean())


def accuracy(setup: Setup, values: Tensor, taught: Taught) -> dict[str, float | None]:
    """Share of the held-out pairs that the policy's own scores order as people did, with its interval, clustered by
    prompt; and what the longer response gets, or the shorter one if it was chosen more often in training."""
    items, rows = setup.held_out.items, setup.held_out.rows
    told = [i for i, item in enumerate(items) if item.pairs]
    if not told:
        return dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "length_only_accuracy"))
    right = ordered(values, items)[told].double().numpy()
    low, high = share_interval(right, [opening(rows[i].messages) for i in told], confidence=0.95)
    sign = 1.0 if taught.longer >= 0 else -1.0
    length = float(np.mean([(1 + sign * items[i].longer) / 2 for i in told]))
    named = {"accuracy_low": low, "accuracy_high": high, "length_only_accuracy": length}
    return {"accuracy": float(right.mean()), **named}


@torch.no_grad()
def sampled(run: Run, setup: Setup, config: DirectConfig, step: int) -> dict[str, float | None]:
    """What the policy itself writes to held-out prompts: its drift from the reference, its length, its entropy.

    The drift of a response is the sum over its tokens of the KL from the reference's distribution to the policy's,
    exact at each token: of responses that were learned from nothing is seen of what they make likelier besides.
    """
    policy, most = setup.policy, config.max_new_tokens
    prompts = _prompts(setup.held_out.items, config.num_samples, room=policy.codec.context - most)
    if config.num_samples and not prompts:
        run.say(
            f"no held-out prompt leaves room for max_new_tokens = {most} in the context of {policy.codec.context} "
            "tokens, so that nothing is known of the policy's drift. Lower it."
        )
    if not prompts:
        return dict.fromkeys(("kl", "kl_low", "kl_high", "length", "length_reference", "finished", "entropy"))
    sampling = SamplingConfig(temperature=config.temperature, max_new_tokens=most, cache_tokens=config.cache_tokens)
    place = seed_of(config.seed, "direct.samples")
    written, before = (InProcess(model).sample(prompts, sampling, place) for model in (policy, setup.reference))
    rollouts = Rollouts.of(prompts, written, policy.device)
    drift, entropy = torch.zeros(len(prompts), device=policy.device), []
    for rows in cut(range(len(prompts)), rollouts.lengths, limit=setup.sizes.reading_tokens):
        packed = rollouts.stream(rows)
        kl = packed.grid(policy.response_kl(setup.reference, packed))
        drift[torch.tensor(rows, device=drift.device)] = masked_sum(kl, packed.mask, dim=1)
        spread = policy.read(packed, temperature=1.0).entropy
        assert spread is not None  # it was asked for
        entropy.append(spread.cpu())
    each = drift.cpu().double().numpy()
    low, high = mean_interval(each, confidence=0.95)
    codec = policy.codec
    texts = [codec.decode(one.tokens) for one in written[:SHOWN]]
    shown = zip(prompts, texts, each.tolist(), strict=False)
    run.sample_anew(
        [
            {"step": step, "prompt": codec.tokenizer.decode(list(prompt)), "response": text, "kl": nats}
            for prompt, text, nats in shown
        ]
    )
    return {
        "kl": float(each.mean()),
        "kl_low": low,
        "kl_high": high,
        "length": float(np.mean([len(one.tokens) for one in written])),
        "length_reference": float(np.mean([len(one.tokens) for one in before])),
        "finished": float(np.mean([one.finished for one in written])),
        "entropy": float(torch.cat(entropy).double().mean()),
    }


def _prompts(items: Sequence[Item], num: int, *, room: int) -> list[list[int]]:
    """The first different prompts that leave room for a response."""
    found: dict[tuple[int, ...], None] = {}
    for item in items:
        prompt = item.sequences[0][: item.begins[0]]
        if len(prompt) <= room and len(found) < num:
            found.setdefault(tuple(prompt))
    return [list(prompt) for prompt in found]


def save(run: Run, setup: Setup, config: DirectConfig, done: int) -> None:
    """Keeps the policy after `done` updates, if it is to be kept."""
    if done == len(setup.batches) or (config.save_every and done % config.save_every == 0):
        load.save(run.folder / layout.policy(done), setup.policy)


def measured(
    run: Run,
    setup: Setup,
    config: DirectConfig,
    taught: Taught,
    looked: tuple[Tensor, Said] | None,
    told: Mapping[str, Any],
) -> None:
    """Measures what was learned, and ends the run. Args: looked: at held-out rows after the last update, if they were.
    told: of the method, for the result."""
    values, _ = looked or held_out(setup, config)
    result = accuracy(setup, values, taught) | sampled(run, setup, config, len(setup.batches))
    finish(run, setup, config, taught, {**told, **result})


def finish(run: Run, setup: Setup, config: DirectConfig, taught: Taught, result: Mapping[str, Any]) -> None:
    """Says what was cut and what may be mistaken, and marks the run as done, with all the policies that were kept."""
    if abs(taught.longer) >= ONE_SIDED * max(taught.num, 1):
        which = "longer" if taught.longer > 0 else "shorter"
        run.say(
            f"{config.preferences}: the better response is the {which} one nearly always (in "
            f"{abs(taught.longer) / taught.num:.0%} of the rows more than the other way round), so that nobody can "
            "tell what people liked from its length. See how long the policy's own responses are (length in "
            "finished.json), and have pairs judged whose responses are about as long as each other."
        )
    if len(setup.split.training) > FIRST:
        tell(taught.cuts, taught.num_equal, run.say, config.preferences, setup.policy.codec.context)
    kept = [f"{layout.MODELS}/{path.name}" for path in layout.policies(run.folder)]
    parts = (taught, setup.held_out)
    counts = {
        "num_training": taught.num,
        "num_held_out": len(setup.held_out.items),
        "num_prompts_cut": sum(part.cuts.prompts for part in parts),
        "num_responses_cut": sum(part.cuts.responses for part in parts),
        "num_equal": sum(part.num_equal for part in parts),
        "num_undecided": setup.split.num_undecided,
        "num_replayed": setup.split.num_replayed,
        "num_skipped": len(setup.split.skipped),
    }
    begun, learned = setup.objective.without_opinion(taught.said), setup.objective.learned(taught.said)
    if not needs_reference(config) or (isinstance(config, DPOConfig) and config.margin):
        begun = dict.fromkeys(begun)  # its scores do not begin at 0, or are not all that an objective is shown
    last = layout.policy(len(setup.batches))
    told = {"last": last, "objective": setup.split.objective, **begun, **learned}
    if setup.follower is not None:
        told["num_refreshes"] = setup.follower.num_refreshes
    elif needs_reference(config):
        write(run.folder, setup.kept)
        kept.append(layout.REFERENCE)
    run.finish(outputs=kept, result={**told, **result, **counts, "warnings": run.warnings})
