"""The reward model: a scalar head that learns to score the chosen response above the rejected one.

Reads: a model folder, preferences (and pairs without a majority). Writes: `model/`, which transformers loads as a
sequence classifier with the same raw scores, and beside it `prefloop_scores.json`: the mean and deviation of raw scores
over SFT demonstrations, so that
score = (raw - mean) / deviation. Follows Bradley-Terry by logsigmoid (RM-1, 2), with
intervals for votes of stated strength and ties (votes.py), initialised from SFT (RM-7), a shifted
scale (RM-8), and tells its accuracy beside the annotators' agreement and a length-only baseline (RM-17, 18, DIA-1).
A ranking teaches by all its pairs. Leaves out: losses of whole rankings, ensembles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from prefloop import layout
from prefloop.costs.expect import expect, refuse_too_large
from prefloop.costs.looking import lengths_of
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.files.foreign import first_records
from prefloop.models.batching import Batching, batched
from prefloop.models.device import placement
from prefloop.models.load import model_folder, save, scalar
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer, heads_apart
from prefloop.models.sums import Sums
from prefloop.records import Demonstration, Preference
from prefloop.reward.config import RewardConfig
from prefloop.reward.data import Pairs, PromptBatches, Split, split
from prefloop.reward.needs import READ_AGAIN, needs
from prefloop.reward.quality import longer, quality, without_opinion
from prefloop.reward.votes import EDGE_LR, WIN, Edges, Interval, intervals
from prefloop.run import Run
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.text.ahead import ahead
from prefloop.text.batches import cut
from prefloop.text.examples import Cuts, fitted

Say = Callable[[str], None]
FIRST = 1000
"""Training pairs that are looked at before all others."""
NUM_DEMONSTRATIONS = 512
"""Demonstrations scored for the normalisation."""
LEAST_DEVIATION = 1e-6
"""Raw scores nearer to each other than this are the same; to divide by less would make numbers of rounding."""


@dataclass(frozen=True)
class Pair:
    """A preference in tokens."""

    chosen: list[int]
    rejected: list[int]
    weight: float
    votes: tuple[Interval, ...] = (WIN,)

    @property
    def length(self) -> int:
        """Tokens in both."""
        return len(self.chosen) + len(self.rejected)


@dataclass(frozen=True)
class Tokenised:
    """Preferences that are two different things to the model, and what became of the others."""

    rows: list[Preference]
    pairs: list[Pair]
    cuts: Cuts
    num_equal: int
    """preferences left out, for cut to the context (or in tokens) both responses are the same"""

    def tell(self, say: Say, path: str, context: int) -> None:
        """Says what was cut and left out. Raises: UserError if nothing is left."""
        if self.num_equal and not self.rows:
            raise UserError(
                f"{path}: in each of the {self.num_equal} pairs both responses are the same within the context of "
                f"{context} tokens. Use a model with a longer context."
            )
        _tell(self.cuts, self.num_equal, say, path, context)


@dataclass
class Taught:
    """What the pairs were that taught, counted as each is read for the first time; saved with every checkpoint."""

    num: int = 0
    num_equal: int = 0
    """pairs left out, as in `Tokenised`"""
    longer: int = 0
    """pairs whose chosen response is the longer one, less those whose rejected one is"""
    cuts: Cuts = field(default_factory=Cuts)
    said: dict[tuple[Interval, ...], float] = field(default_factory=dict)
    """what was said of pairs, and how much those pairs weigh together"""

    def see(self, read: Tokenised) -> None:
        """Counts some more."""
        self.num += len(read.pairs)
        self.num_equal += read.num_equal
        self.longer += sum(longer(row) for row in read.rows)
        for pair in read.pairs:
            self.said[pair.votes] = self.said.get(pair.votes, 0.0) + pair.weight
        self.cuts.add(read.cuts)

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return vars(self) | {"cuts": vars(self.cuts), "said": list(self.said.items())}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        """What `state` gave."""
        said = {tuple(map(tuple, votes)): weight for votes, weight in state["said"]}
        return cls(**state | {"cuts": Cuts(**state["cuts"]), "said": said})


def _tell(cuts: Cuts, num_equal: int, say: Say, path: str, context: int) -> None:
    if sentence := cuts.sentence(context):
        say(f"{path}: {sentence}")
    if num_equal:
        say(
            f"{path}: {num_equal} pairs are left out, for within the context of {context} tokens both "
            "responses are the same."
        )


def train(config: RewardConfig) -> Path:
    """Runs (or continues) reward modelling. Returns: the model folder."""
    inputs = {k: config.model_dump()[k] for k in ("preferences", "held_out", "undecided", "demonstrations")}
    with Run(config, inputs=inputs | {"model": model_folder(config.model)}) as run:
        if run.finished:
            return run.folder / layout.MODEL
        refuse_too_large(config, needs(config, Lengths()))
        place = placement(config.device, config.dtype)
        weights = unchanged(config, config.model, scores=True)
        network = scalar(config.model, place, fresh_head=True, template=config.template, weights=weights)
        run.caution(network.train_as(config, seed=config.seed))
        config = run.settled(config, network.learner)
        sizes = batched(network, config, run)
        edges = Edges().to(network.device)
        data = _data(config, network, run)
        batches, taught, judged = PromptBatches(data.training, config), Taught(), data.validated.pairs
        data.training.forget()
        known = [*data.first.pairs, *judged]
        both = [(0, len(ids)) for pair in known for ids in (pair.chosen, pair.rejected)]
        count = len(data.training) + len(judged)
        expect(run, config, needs(sizes.settle(config), lengths_of(both, count, network.codec.context)))
        apart = heads_apart(network.heads, lr=config.lr, head_lr=config.head_lr)
        apart += [Group(tuple(edges.parameters()), EDGE_LR)]
        optimizer = Optimizer(network.parameters(), config, num_updates=len(batches), apart=apart)
        saved = run.restore()
        if saved:
            network.restore(saved["network"])
            edges.load_state_dict(saved["edges"])
            optimizer.restore(saved["optimizer"])
            taught = Taught.of(saved["taught"])
        looked: torch.Tensor | None = None
        run.progress.start(len(batches), optimizer.done)
        for read in ahead(batches, lambda batch: data.learn(data.training.take(batch)), start=optimizer.done):
            batch = read.pairs
            if optimizer.done < batches.first_pass:
                taught.see(read)
            if not batch:
                optimizer.pass_over(1)
                continue
            sums = Sums()
            weight = sum(pair.weight for pair in batch)
            for part in cut(range(len(batch)), [pair.length for pair in batch], limit=sizes.micro_tokens):
                few = [batch[i] for i in part]
                margins = pair_margins(network, few)
                weights = torch.tensor([p.weight for p in few], device=network.device)
                losses = edges.losses(margins, [p.votes for p in few]) * weights
                (losses.sum() / weight).backward()
                sums.add("loss/train", losses / weight)
                sums.add("accuracy/train", (margins > 0) / len(batch))
            lr, norm, looked = optimizer.lr, optimizer.step(), None
            metrics = {**sums.fetched(), "grad/norm": norm, "lr": lr}
            if optimizer.done % max(1, len(batches) // 4) == 0 or optimizer.done == len(batches):
                looked = margins_of(judged, network, sizes)
                metrics["accuracy/validation"] = float((looked > 0).cpu().double().mean())
            run.log(optimizer.done, metrics)
            run.progress.advance(loss=metrics["loss/train"], accuracy=metrics["accuracy/train"])
            state = lambda: {  # noqa: E731
                "network": network.trained(),
                "edges": edges.state_dict(),
                "optimizer": optimizer.state(),
                "taught": taught.state(),
            }
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        if looked is None:
            looked = margins_of(judged, network, sizes)
        _finish(config, network, edges, data, taught, sizes, looked.tolist(), run)
    return run.folder / layout.MODEL


@dataclass(frozen=True)
class _Data:
    split: Split
    learn: Callable[[Sequence[Preference]], Tokenised]
    """training preferences in tokens, with what was said of them"""
    first: Tokenised
    """the first ones"""
    validated: Tokenised
    undecided: Tokenised
    scale: list[list[int]]
    """responses by whose scores the others are scaled"""

    @property
    def training(self) -> Pairs:
        """What is learned from, in its files."""
        return self.split.training


def _data(config: RewardConfig, network: Network, run: Run) -> _Data:
    """All preferences, those that stay in memory in tokens. Raises: UserError."""
    split_ = split(config, run.say, kept=run.folder / layout.ROWS)
    for problem in split_.skipped:
        run.say(f"skipped {problem}")
    learn = partial(tokenised, network=network, votes=config.labels == "votes")
    first = _first_pairs(split_.training, learn, config, run.say, network.codec.context)
    validated, undecided = (tokenised(rows, network) for rows in (split_.validation, split_.undecided))
    validated.tell(run.say, config.held_out or f"{config.preferences} (held out)", network.codec.context)
    return _Data(split_, learn, first, validated, undecided, scaled_by(config, network, first.rows, run.say))


def _finish(
    config: RewardConfig,
    network: Network,
    edges: Edges,
    data: _Data,
    taught: Taught,
    sizes: Batching,
    judged: list[float],
    run: Run,
) -> None:
    """Measures, saves, and says how good the model is. Args: judged: the margins of the held-out pairs."""
    if len(data.training) > FIRST:
        _tell(taught.cuts, taught.num_equal, run.say, config.preferences, network.codec.context)
    vote_edges = edges.values()[2:5].tolist() if any(votes != (WIN,) for votes in taught.said) else None
    undecided = data.undecided
    held = quality(
        judged,
        data.validated.rows,
        longer_wins=taught.longer >= 0,
        margins_train=margins_of(data.first.pairs[: max(READ_AGAIN, len(judged))], network, sizes).tolist(),
        undecided=list(zip(margins_of(undecided.pairs, network, sizes).tolist(), undecided.rows, strict=True)),
        first_edge=vote_edges[0] if vote_edges else 0.0,
    )
    for warning in held.warnings:
        run.say(warning)
    _save(run.folder / layout.MODEL, network, config, sizes, data.scale, run.say)
    begun = without_opinion(list(taught.said.values()), list(taught.said))
    result = {**held.numbers, **begun, **_counts(data, taught), "vote_edges": vote_edges}
    run.finish(outputs=[layout.MODEL], result={**result, "warnings": list(held.warnings)})


def _counts(data: _Data, taught: Taught) -> dict[str, int]:
    """How many pairs taught, and what was cut, left out or skipped."""
    parts = (taught, data.validated, data.undecided)
    return {
        "num_training": taught.num,
        "num_prompts_cut": sum(part.cuts.prompts for part in parts),
        "num_responses_cut": sum(part.cuts.responses for part in parts),
        "num_equal": sum(part.num_equal for part in parts),
        "num_undecided": data.split.num_undecided,
        "num_skipped": len(data.split.skipped),
    }


def _save(
    folder: Path, network: Network, config: RewardConfig, sizes: Batching, scale: Sequence[list[int]], say: Say
) -> None:
    """The model, and how its scores are shifted and scaled."""
    mean, std = _normalisation(network, config, sizes, scale, say)
    save(folder, network, beside={NORMALISATION: {"mean": mean, "std": std}})


def _first_pairs(
    training: Sequence[Preference],
    learn: Callable[[Sequence[Preference]], Tokenised],
    config: RewardConfig,
    say: Say,
    context: int,
) -> Tokenised:
    """The first pairs in tokens, and what they lost is told; of all the others only while they are learned from.

    Raises: UserError if no pair at all is two different things to the model.
    """
    first, begin, num_equal = learn(training[:FIRST]), 0, 0
    while not first.pairs and begin + FIRST < len(training):
        begin, num_equal = begin + FIRST, num_equal + first.num_equal
        first = learn(training[begin : begin + FIRST])
    first = replace(first, num_equal=num_equal + first.num_equal)
    first.tell(say, f"{config.preferences}{' (its first pairs)' if len(training) > FIRST else ''}", context)
    return first


def tokenised(rows: Sequence[Preference], network: Network, *, votes: bool = False) -> Tokenised:
    """Preferences in tokens, cut to the context; those that are two equal sequences then are left out."""
    codec = network.codec
    made = Tokenised([], [], Cuts(), 0)
    tokens = (
        codec.prompts([row.messages for row in rows]),
        codec.responses([row.chosen for row in rows]),
        codec.responses([row.rejected for row in rows]),
    )
    for row, prompt, *both in zip(rows, *tokens, strict=True):
        chosen, rejected = (made.cuts.fitted(prompt, ids, codec.context) for ids in both)
        if chosen != rejected:
            made.rows.append(row)
            made.pairs.append(Pair(chosen, rejected, row.weight, intervals(row) if votes else (WIN,)))
    return replace(made, num_equal=len(rows) - len(made.rows))


def pair_margins(network: Network, pairs: Sequence[Pair]) -> torch.Tensor:
    """(B,) raw score of the chosen response minus that of the rejected one; a response in several pairs is read
    once."""
    places: dict[tuple[int, ...], int] = {}
    for pair in pairs:
        for sequence in (pair.chosen, pair.rejected):
            places.setdefault(tuple(sequence), len(places))
    scores = network.scores(list(places))
    chosen, rejected = (
        torch.tensor([places[tuple(sequence)] for sequence in side], device=scores.device)
        for side in ([p.chosen for p in pairs], [p.rejected for p in pairs])
    )
    return scores.index_select(0, chosen) - scores.index_select(0, rejected)


@torch.no_grad()
def margins_of(pairs: Sequence[Pair], network: Network, sizes: Batching) -> torch.Tensor:
    """(n,) raw margins of preferences, which may be none, on the CPU."""
    if not pairs:
        return torch.zeros(0)
    cuts = cut(range(len(pairs)), [p.length for p in pairs], limit=sizes.reading_tokens)
    parts = [pair_margins(network, [pairs[i] for i in part]) for part in cuts]
    return torch.cat(parts).cpu()


def scaled_by(config: RewardConfig, network: Network, training: Sequence[Preference], say: Say) -> list[list[int]]:
    """Demonstrations (or chosen responses) in tokens, whose scores will have mean 0 and deviation 1.

    Read before training, for a file that cannot be read must not cost a model that is trained. Raises: UserError.
    """
    if config.demonstrations is not None:
        rows = [
            (d.messages, d.response)
            for d in first_records(config.demonstrations, Demonstration, NUM_DEMONSTRATIONS, say=say)
        ]
    else:
        rows = [(p.messages, p.chosen) for p in training[:NUM_DEMONSTRATIONS]]
    codec = network.codec
    both = zip(codec.prompts([m for m, _ in rows]), codec.responses([r for _, r in rows]), strict=True)
    return [fitted(prompt, response, codec.context) for prompt, response in both]


@torch.no_grad()
def _normalisation(
    network: Network, config: RewardConfig, sizes: Batching, sequences: Sequence[list[int]], say: Say
) -> tuple[float, float]:
    """Mean and deviation of raw scores over sequences of tokens; a deviation of 1 if all scores are the same."""
    cuts = cut(range(len(sequences)), [len(s) for s in sequences], limit=sizes.reading_tokens)
    raw = torch.cat([network.scores([sequences[i] for i in part]) for part in cuts]).cpu().double()
    mean, std = float(raw.mean()), float(raw.std(correction=0))
    if std >= LEAST_DEVIATION:
        return mean, std
    say(
        f"{config.demonstrations or config.preferences}: the {len(sequences)} responses that put scores on a scale all "
        "have the same score, so scores are moved to mean 0 and not scaled. Give more demonstrations."
    )
    return mean, 1.0
