"""The reward model: a scalar head that learns to score the chosen response above the rejected one.

Reads: a model folder, preferences (and pairs without a majority). Writes: `model/`, which transformers loads as a
sequence classifier with the same raw scores, and beside it `prefloop_scores.json`: the mean and deviation of raw scores
over SFT demonstrations, so that
score = (raw - mean) / deviation. Follows Bradley-Terry by logsigmoid (RM-1, 2), with
intervals for votes of stated strength and ties (votes.py), initialised from SFT (RM-7), a shifted
scale (RM-8), and tells its accuracy beside the annotators' agreement and a length-only baseline (RM-17, 18, DIA-1).
A ranking teaches by all its pairs. Leaves out: losses of whole rankings, ensembles.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.foreign import read_demonstrations, read_preferences
from prefloop.models.device import placement
from prefloop.models.load import model_folder, save, scalar
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.draws import shuffled
from prefloop.records import Message, Preference, opening
from prefloop.reward.config import RewardConfig
from prefloop.reward.quality import quality, without_opinion
from prefloop.reward.votes import EDGE_LR, WIN, Edges, Interval, intervals
from prefloop.run import Run
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.text.batches import cut, epoch_batches
from prefloop.text.examples import Cuts, fitted

Say = Callable[[str], None]
FILES = ("preferences", "held_out", "undecided")
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
        if sentence := self.cuts.sentence(context):
            say(f"{path}: {sentence}")
        if self.num_equal and not self.rows:
            raise UserError(
                f"{path}: in each of the {self.num_equal} pairs both responses are the same within the context of "
                f"{context} tokens. Use a model with a longer context."
            )
        if self.num_equal:
            say(
                f"{path}: {self.num_equal} pairs are left out, for within the context of {context} tokens both "
                "responses are the same."
            )


@dataclass(frozen=True)
class Split:
    """Preferences to learn from and preferences to validate with."""

    training: list[Preference]
    """with the undecided pairs"""
    validation: list[Preference]
    undecided: list[Preference]
    """held-out pairs without a majority: calibration counts their votes"""
    skipped: tuple[str, ...]
    """what is wrong with each bad row that was left out"""
    num_undecided: int = 0
    """pairs without a majority in `preferences` and `held_out`"""


def train(config: RewardConfig) -> Path:
    """Runs (or continues) reward modelling. Returns: the model folder."""
    inputs = {k: config.model_dump()[k] for k in ("preferences", "held_out", "undecided", "demonstrations")}
    with Run(config, inputs=inputs | {"model": model_folder(config.model)}) as run:
        if run.finished:
            return run.folder / layout.MODEL
        place = placement(config.device, config.dtype)
        network = scalar(config.model, place, fresh_head=True, template=config.template)
        run.caution(config.cautions(network.pretrained.num_parameters()))
        run.caution(network.train_as(config, seed=config.seed))
        edges = Edges().to(network.device)
        data = split(config, run.say)
        for problem in data.skipped:
            run.say(f"skipped {problem}")
        learned = tokenised(data.training, network, votes=config.labels == "votes")
        validated, undecided = (tokenised(rows, network) for rows in (data.validation, data.undecided))
        learned.tell(run.say, config.preferences, network.codec.context)
        validated.tell(run.say, config.held_out or f"{config.preferences} (held out)", network.codec.context)
        pairs, judged, scale = learned.pairs, validated.pairs, scaled_by(config, network, learned.rows, run.say)
        batches = prompt_batches(learned.rows, config)
        apart = Group(tuple(edges.parameters()), EDGE_LR)
        optimizer = Optimizer(network.parameters(), config, num_updates=len(batches), apart=[apart])
        saved = run.restore()
        if saved:
            network.restore(saved["network"])
            edges.load_state_dict(saved["edges"])
            optimizer.restore(saved["optimizer"])
        run.progress.start(len(batches), optimizer.done)
        while optimizer.done < len(batches):
            batch = [pairs[i] for i in batches[optimizer.done]]
            weight, sums = sum(pair.weight for pair in batch), Sums()
            for part in cut(range(len(batch)), [pair.length for pair in batch], limit=config.micro_tokens):
                few = [batch[i] for i in part]
                margins = pair_margins(network, few)
                weights = torch.tensor([p.weight for p in few], device=network.device)
                losses = edges.losses(margins, [p.votes for p in few]) * weights
                (losses.sum() / weight).backward()
                sums.add("loss/train", losses / weight)
                sums.add("accuracy/train", (margins > 0) / len(batch))
            lr, norm = optimizer.lr, optimizer.step()
            metrics = {**sums.fetched(), "grad/norm": norm, "lr": lr}
            if optimizer.done % max(1, len(batches) // 4) == 0 or optimizer.done == len(batches):
                metrics["accuracy/validation"] = float((margins_of(judged, network, config) > 0).cpu().double().mean())
            run.log(optimizer.done, metrics)
            run.progress.advance(loss=metrics["loss/train"], accuracy=metrics["accuracy/train"])
            state = lambda: {  # noqa: E731
                "network": network.trained(),
                "edges": edges.state_dict(),
                "optimizer": optimizer.state(),
            }
            run.checkpoint(optimizer.done, state, every=config.checkpoint_every)
        vote_edges = edges.values()[2:5].tolist() if any(p.votes != (WIN,) for p in pairs) else None
        margins = margins_of([*judged, *undecided.pairs], network, config).tolist()
        held = quality(
            margins[: len(judged)],
            validated.rows,
            learned.rows,
            margins_train=margins_of(pairs[:1000], network, config).tolist(),
            undecided=list(zip(margins[len(judged) :], undecided.rows, strict=True)),
            first_edge=vote_edges[0] if vote_edges else 0.0,
        )
        for warning in held.warnings:
            run.say(warning)
        _save(run.folder / layout.MODEL, network, config, scale, run.say)
        begun = without_opinion([p.weight for p in pairs], [p.votes for p in pairs])
        counts = _counts(data, learned, validated, undecided)
        run.finish(
            outputs=[layout.MODEL],
            result={**held.numbers, **begun, **counts, "vote_edges": vote_edges, "warnings": list(held.warnings)},
        )
    return run.folder / layout.MODEL


def _counts(data: Split, *parts: Tokenised) -> dict[str, int]:
    """How many pairs taught, and what was cut, left out or skipped; of the parts the first teaches."""
    return {
        "num_training": len(parts[0].pairs),
        "num_prompts_cut": sum(part.cuts.prompts for part in parts),
        "num_responses_cut": sum(part.cuts.responses for part in parts),
        "num_equal": sum(part.num_equal for part in parts),
        "num_undecided": data.num_undecided,
        "num_skipped": len(data.skipped),
    }


def _save(folder: Path, network: Network, config: RewardConfig, scale: Sequence[list[int]], say: Say) -> None:
    """The model, and how its scores are shifted and scaled."""
    mean, std = _normalisation(network, config, scale, say)
    save(folder, network, beside={NORMALISATION: {"mean": mean, "std": std}})


def split(config: RewardConfig, say: Say = print) -> Split:
    """Preferences for training and for validation; no prompt is in both. Pairs without a majority are set apart."""
    _different_files(config)
    training, undecided, skipped = _read(config.preferences, config, say)
    num_undecided = len(undecided)
    if config.undecided and _has_rows(config.undecided):
        decided, more_undecided, more = _read(config.undecided, config, say, told=False)
        undecided += [*decided, *more_undecided]
        skipped += more
    if not training and (config.held_out is None or config.labels == "majority"):
        raise UserError(f"{config.preferences}: all its pairs are ties, so there is no preference to learn from.")
    if config.held_out is not None:
        validation, ties, more = _read(config.held_out, config, say)
        skipped, undecided, num_undecided = skipped + more, undecided + ties, num_undecided + len(ties)
        if not validation:
            raise UserError(f"{config.held_out}: all its pairs are ties, so there is no preference to validate with.")
        held_out = {opening(row.messages) for row in [*validation, *ties]}
        both = sorted(held_out & {opening(row.messages) for row in training})
        if both:
            raise UserError(
                f"{config.held_out}: {len(both)} of its {len(held_out)} prompts are also in {config.preferences}, for "
                f"instance {both[0][:60]!r}; "
                "accuracy on what was trained on means nothing. Take them out of one file, or leave held_out out."
            )
    else:
        prompts = sorted({opening(row.messages) for row in training})
        order = shuffled(len(prompts), config.seed, "reward.split")
        held_out = {prompts[i] for i in order[: max(1, round(config.validation * len(prompts)))]}
        training, validation = _parted(training, held_out)
        if not training:
            raise UserError(
                f"{config.preferences}: all rows have the same prompt, so none can be held out. Give a held_out file."
            )
    learned, kept = _parted(undecided, held_out) if config.labels == "votes" else ([], [])
    return Split(training + learned, validation, kept, skipped, num_undecided)


def _different_files(config: RewardConfig) -> None:
    """Raises: UserError if one file is to be learned from twice, or learned from and validated with."""
    named = {name: path for name, path in config.model_dump().items() if name in FILES and path}
    for first, second in itertools.combinations(named, 2):
        if Path(named[first]).resolve() == Path(named[second]).resolve():
            raise UserError(
                f"{named[first]}: this file is given as {first} and as {second}, but each needs its own. "
                f"Leave {second} out, or give another file."
            )


def _parted(rows: Sequence[Preference], held_out: set[str]) -> tuple[list[Preference], list[Preference]]:
    """The rows whose prompt is not held out, and those whose is."""
    return [r for r in rows if opening(r.messages) not in held_out], [
        r for r in rows if opening(r.messages) in held_out
    ]


def _has_rows(path: str) -> bool:
    """False for an empty file: everybody agreed about everything, or one annotator judged each pair."""
    return not Path(path).is_file() or Path(path).stat().st_size > 0


def _read(
    path: str, config: RewardConfig, say: Say, *, told: bool = True
) -> tuple[list[Preference], list[Preference], tuple[str, ...]]:
    """The preferences of a file, its pairs without a majority, and what is wrong with each bad row that was skipped.

    Args:
        told: whether to say how many have no majority.
    """
    imported = read_preferences(path, on_bad="skip", say=say)
    if imported.problems and config.on_bad == "stop":
        raise UserError(
            f"{imported.problems[0]} Bad rows: {len(imported.problems)}; see them with `prefloop data check {path}`, "
            "or pass by with on_bad=skip."
        )
    decided = [row for row in imported.records if row.decided]
    undecided = [row for row in imported.records if not row.decided]
    if undecided and told:
        fate = "their votes count" if config.labels == "votes" else "labels=majority learns nothing from them"
        say(f"{path}: {len(undecided)} of {len(imported.records)} pairs are ties or have no majority: {fate}.")
    return decided, undecided, imported.problems


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


def prompt_batches(rows: Sequence[Preference], config: RewardConfig) -> list[list[int]]:
    """The preferences of each update, all those of one prompt together.

    Ouyang et al. 2022, section 3.5: pairs of one prompt share responses, so shuffled they are learned several times
    over.
    """
    groups: dict[tuple[Message, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.messages, []).append(index)
    members = list(groups.values())
    lengths = [len(m) for m in members]
    return [
        [index for group in batch for index in members[group]]
        for epoch in range(config.epochs)
        for batch in epoch_batches(
            lengths, batch_tokens=config.batch_pairs, seed=config.seed, stream="reward.batches", epoch=epoch
        )
    ]


@torch.no_grad()
def margins_of(pairs: Sequence[Pair], network: Network, config: RewardConfig) -> torch.Tensor:
    """(n,) raw margins of preferences, on the CPU."""
    cuts = cut(range(len(pairs)), [p.length for p in pairs], limit=2 * config.micro_tokens)
    parts = [pair_margins(network, [pairs[i] for i in part]) for part in cuts]
    return torch.cat(parts).cpu()


def scaled_by(config: RewardConfig, network: Network, training: Sequence[Preference], say: Say) -> list[list[int]]:
    """Demonstrations (or chosen responses) in tokens, whose scores will have mean 0 and deviation 1.

    Read before training, for a file that cannot be read must not cost a model that is trained. Raises: UserError.
    """
    if config.demonstrations is not None:
        rows = [
            (d.messages, d.response)
            for d in read_demonstrations(config.demonstrations, say=say).records[:NUM_DEMONSTRATIONS]
        ]
    else:
        rows = [(p.messages, p.chosen) for p in training[:NUM_DEMONSTRATIONS]]
    codec = network.codec
    both = zip(codec.prompts([m for m, _ in rows]), codec.responses([r for _, r in rows]), strict=True)
    return [fitted(prompt, response, codec.context) for prompt, response in both]


@torch.no_grad()
def _normalisation(
    network: Network, config: RewardConfig, sequences: Sequence[list[int]], say: Say
) -> tuple[float, float]:
    """Mean and deviation of raw scores over sequences of tokens; a deviation of 1 if all scores are the same."""
    cuts = cut(range(len(sequences)), [len(s) for s in sequences], limit=2 * config.micro_tokens)
    raw = torch.cat([network.scores([sequences[i] for i in part]) for part in cuts]).cpu().double()
    mean, std = float(raw.mean()), float(raw.std(correction=0))
    if std >= LEAST_DEVIATION:
        return mean, std
    say(
        f"{config.demonstrations or config.preferences}: the {len(sequences)} responses that put scores on a scale all "
        "have the same score, so scores are moved to mean 0 and not scaled. Give more demonstrations."
    )
    return mean, 1.0
