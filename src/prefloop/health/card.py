"""Makes the card."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefloop.errors import UserError
from prefloop.health.baselines import baselines
from prefloop.health.calibration import calibration
from prefloop.health.held_out import LENGTHS, HeldOut, domains, length, strength, texts
from prefloop.health.labels import agreement, cycles
from prefloop.health.leaks import leaks
from prefloop.health.probes import LEAST, NUM_ROWS, probe
from prefloop.health.verdict import judged
from prefloop.records import Preference, spoken
from prefloop.records.cards import Card, Parts, Share
from prefloop.records.probes import LearningCurve
from prefloop.scoring.protocol import Scorer
from prefloop.seeds import seed_of
from prefloop.signs import of_card

MOST_TRAINING = 20_000
"""Training pairs that baselines learn from and that are searched for leaks; of more, as many are drawn."""


def make_card(
    judge: Scorer,
    rows: Sequence[Preference],
    *,
    seed: int,
    margins: Sequence[float] | None = None,
    unit: float = 1.0,
    training: Sequence[Preference] = (),
    accuracy_train: Share | None = None,
    tie_edge: float = 0.0,
    parts: Parts | None = None,
    curve: Callable[[Share], LearningCurve] | None = None,
    num_probed: int = NUM_ROWS,
) -> Card:
    """The card of a reward model on held-out preferences. The order of rows does not matter.

    Args:
        judge: who scores.
        rows: held-out preferences; those without a majority count by their votes.
        seed: decides what is drawn where there is too much to look at.
        margins: of each row the score of chosen less rejected; scored anew if they are not known.
        unit: log-odds that a difference of 1 between scores stands for.
        training: what the judge learned from, if that is known.
        accuracy_train: its accuracy on some of that.
        tie_edge: log-odds where a tie ends, if votes were learned from.
        parts: of what its score is made, if it is of several numbers.
        curve: how accuracy grew with the number of labels to what it is, if that is known.
        num_probed: prompts whose responses are edited and scored again at the most, some 25 responses for each; none
            below `LEAST`.

    Raises: UserError if no row has a decision.
    """
    if not any(row.decided for row in rows):
        raise UserError(f"{judge.name}: none of the {len(rows)} held-out pairs has a decision, so no card can be made.")
    held_out = HeldOut(rows, unit * np.array(scored(judge, rows) if margins is None else margins))
    learned = drawn(training, seed)
    going_round = cycles(held_out)
    measured: dict[str, Any] = {
        "accuracy": held_out.of_decided(),
        "accuracy_votes": held_out.of_votes() if held_out.said else None,
        "accuracy_train": accuracy_train,
        "by_domain": held_out.by(domains),
        "baselines": baselines(held_out, learned),
        "agreement": agreement(held_out, going_round),
        "calibration": calibration(held_out, tie_edge=tie_edge),
        "leaks": leaks(held_out, learned),
        "probes": probe(judge, held_out.rows, seed=seed, num_rows=num_probed) if num_probed >= LEAST else (),
    }
    reasons, unchecked = judged(of_card(**measured))
    return Card(
        num_pairs=len(held_out.decided),
        num_prompts=len(set(held_out.prompts)),
        **measured,
        by_strength=held_out.by(strength, ("1", "2", "3")),
        by_annotator=held_out.by_annotator(),
        by_length=held_out.by(length, [name for name, _ in LENGTHS]),
        parts=parts,
        learning_curve=curve and curve(measured["accuracy"]),
        cycles=going_round,
        reasons=reasons,
        unchecked=unchecked,
        verdict="not_ready" if any(reason.stops for reason in reasons) else "ready",
        seed=seed,
    )


def scored(judge: Scorer, rows: Sequence[Preference]) -> list[float]:
    """Of each row the score of chosen less rejected; a response in several rows is scored once."""
    asked = list(dict.fromkeys((row.messages, response, row.tags) for row in rows for response in texts(row)))
    prompts, responses, tags = zip(*asked, strict=True) if asked else ((), (), ())
    known = dict(zip(asked, judge.detailed(prompts, responses, tags).scores.tolist(), strict=True))
    return [known[row.messages, row.chosen, row.tags] - known[row.messages, row.rejected, row.tags] for row in rows]


def drawn(training: Sequence[Preference], seed: int) -> list[Preference]:
    """At most `MOST_TRAINING` of the training pairs, in an order of their own."""
    if len(training) > MOST_TRAINING:
        rng = np.random.default_rng(seed_of(seed, "health.training"))
        training = [training[int(i)] for i in np.sort(rng.choice(len(training), MOST_TRAINING, replace=False))]
    return sorted(training, key=lambda row: (spoken(row.messages), *texts(row), row.id))
