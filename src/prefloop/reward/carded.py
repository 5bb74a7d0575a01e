"""The health card of a model that was just trained: of scores that are known, and of some edits scored anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from prefloop import layout
from prefloop.feedback.data import Split
from prefloop.feedback.items import Tokenised, as_pairs, margins, tokenised
from prefloop.health import held_out, page
from prefloop.health.card import MOST_TRAINING, make_card
from prefloop.health.probes import LEAST, NUM_ROWS
from prefloop.health.words import label, says
from prefloop.models.batching import Batching
from prefloop.models.columns import Columns
from prefloop.models.network import Network
from prefloop.ops.draws import permutation
from prefloop.records import Preference, opening
from prefloop.records.cards import Card, Part, Parts, Share
from prefloop.records.probes import LearningCurve
from prefloop.reward.config import RewardConfig
from prefloop.run import Run
from prefloop.scoring.protocol import Conversation, Scored, Scorer, Tags
from prefloop.text.batches import cut
from prefloop.text.examples import fitted

AT_ONCE = 1000
"""Training rows that are in memory as tokens at once."""


class Trained:
    """The network in memory as a scorer, in raw scores."""

    tells_outliers = False

    def __init__(self, name: str, network: Network, sizes: Batching, columns: Columns) -> None:
        """Args: name: where it is saved."""
        self.name, self.network, self.sizes, self.columns = name, network, sizes, columns

    @torch.no_grad()
    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Tensor:
        """(B,) raw scores, on the CPU."""
        codec = self.network.codec
        both = zip(codec.prompts(prompts), codec.responses(responses), strict=True)
        sequences = [fitted(prompt, response, codec.context) for prompt, response in both]
        parts = cut(range(len(sequences)), [len(s) for s in sequences], limit=self.sizes.reading_tokens)
        read = [self.network.score_table([sequences[i] for i in part]).cpu() for part in parts]
        return self.columns.raw_scores(torch.cat(read))

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The same."""
        return Scored(self.score(prompts, responses))


@dataclass(frozen=True)
class Pairs:
    """Pairs that were told apart, with the margins of a judge."""

    rows: list[Preference]
    margins: list[float]
    """score of chosen less rejected"""

    @classmethod
    def of(cls, read: Tokenised, scores: Tensor) -> Self:
        """All pairs of some items. Args: scores: (B, K)."""
        told: list[tuple[Preference, float]] = []
        for row, item, gaps, of_row in zip(
            read.rows, read.items, margins(scores, read.items), scores.tolist(), strict=True
        ):
            if isinstance(row, Preference):  # one without a majority too, of which `margins` tells no pair
                told.append((row, of_row[0] - of_row[1]))
            else:
                told += zip(as_pairs(row, item), gaps, strict=True)
        return cls([row for row, _ in told], [gap for _, gap in told])

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.rows + other.rows, self.margins + other.margins)

    @property
    def accuracy(self) -> Share | None:
        """Of those with a decision; None if none has one."""
        told = [(gap, opening(row.messages)) for row, gap in zip(self.rows, self.margins, strict=True) if row.decided]
        right = held_out.ordered(np.array([gap for gap, _ in told]))
        return held_out.share(right, [prompt for _, prompt in told]) if told else None


def card_of(
    judge: Scorer,
    network: Network,
    split: Split,
    held: Pairs,
    taught: Pairs,
    *,
    alone: bool,
    unit: float,
    seed: int,
    tie_edge: float,
    parts: Parts | None,
    curve: Callable[[Share], LearningCurve] | None,
) -> Card | None:
    """The card; None if no held-out pair has a decision.

    Args:
        judge: who scores edited responses.
        network: by whose tokens responses are told apart.
        split: what was learned from.
        held: held-out pairs, those without a majority among them.
        taught: pairs that taught.
        alone: False for a model that reads pairs, of whose judgement of edited responses nothing can be said.
        unit: log-odds of a difference of 1 between scores.
        tie_edge: log-odds where a tie ends.
        parts: see `make_card`.
        curve: see `make_card`.
    """
    decided = {pair.messages for pair in held.rows if pair.decided}
    if not decided:
        return None
    half = len(decided) // 2  # of few prompts not all are spent on edits, which would take longer than learning did
    return make_card(
        judge,
        held.rows,
        seed=seed,
        margins=held.margins,
        unit=unit,
        training=_learned_from(split, network, seed),
        accuracy_train=taught.accuracy,
        tie_edge=tie_edge,
        parts=parts,
        curve=curve,
        num_probed=min(NUM_ROWS, half) if alone and half >= LEAST else 0,
    )


def _learned_from(split: Split, network: Network, seed: int) -> list[Preference]:
    """The pairs of the training rows, of at most `MOST_TRAINING` rows."""
    training = split.training
    order = permutation(len(training), seed, "health.training")[:MOST_TRAINING].sort().values
    pairs: list[Preference] = []
    for some in order.split(AT_ONCE):
        told = tokenised(training.take(some.numpy()), network, asks=split.asks)
        for row, item in zip(told.rows, told.items, strict=True):
            pairs += as_pairs(row, item)
    return pairs


def part(name: str, numbers: Mapping[str, Any], num: int) -> Part:
    """A column or a member. Args: numbers: what was reported of it; num: held-out rows or votes behind its accuracy."""
    accuracy = None
    if numbers.get("accuracy") is not None:
        accuracy = Share(mean=numbers["accuracy"], low=numbers["accuracy_low"], high=numbers["accuracy_high"], num=num)
    return Part(name=name, num_training=numbers["num_training"], accuracy=accuracy)


def shown(card: Card | None, config: RewardConfig, run: Run) -> dict[str, Any]:
    """Writes the card's pages and says what they say. Returns: what a run's result has of it, null without a card."""
    accuracy, known = card and card.accuracy, card and card.calibration
    length = next((each.accuracy.mean for each in card.baselines if each.name == "length"), None) if card else None
    strengths = card.by_strength if card else ()
    if card:
        _show(card, config.held_out or config.preferences, run)
    return {
        "accuracy": accuracy and accuracy.mean,
        "accuracy_low": accuracy and accuracy.low,
        "accuracy_high": accuracy and accuracy.high,
        "accuracy_train": card and card.accuracy_train and card.accuracy_train.mean,
        "length_only_accuracy": length,
        "ece": known and known.ece,
        "temperature": known and known.temperature,
        "ece_after_temperature": known and known.ece_after,
        "by_strength": [
            {"strength": int(each.name), "num": each.accuracy.num, "accuracy": each.accuracy.mean} for each in strengths
        ],
        "learning_curve": card and card.learning_curve and card.learning_curve.model_dump(mode="json"),
        "card": card and card.verdict,
        "warnings": [says(reason) for reason in card.reasons] if card else [],
    }


def _show(card: Card, data: str, run: Run) -> None:
    english, _ = page.write(card, run.folder, title=str(run.folder / layout.MODEL), data=data)
    for reason in card.reasons:
        if reason.stops:
            run.say(says(reason))
    others = sum(not reason.stops for reason in card.reasons)
    also = f" {others} more to know stand on it." if others else ""
    right = card.accuracy
    run.say(
        f"{english}: the health card of this reward model, which is right on {right.mean:.0%} "
        f"[{right.low:.0%}, {right.high:.0%}] of {right.num} held-out pairs. {label(card.verdict, 'en')}{also}"
    )
