"""Is the reward model as good as its annotators allow? Held-out comparisons of the helpdesk, where the truth is known.

Three answers to the same question, "which of these two is better?": the reward model's, the annotators', and the
truth's. The Bayes limit is the accuracy of someone who knows exactly how each annotator decides: E max(p, 1 - p).
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_expit

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import CONFIDENCE
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Finished, Judgement, Preference, RunCard
from prefloop.records.evaluations import Bin, RewardCheck, Strength
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.calibration import reliability
from prefloop.stats.intervals import bootstrap_interval, wilson_interval
from prefloop.world import gold
from prefloop.world.annotators import Annotator, PanelConfig, judged_before

BINS = 10
Scores = dict[tuple[str, int], float]


def reward_check(config: EvaluateConfig, scorer: Scorer) -> RewardCheck | None:
    """How good the reward model is on the held-out comparisons of a collect folder; None if they cannot say."""
    assert config.collected is not None  # the caller checks
    folder = Path(config.collected)
    if not (folder / layout.FINISHED).is_file():
        raise UserError(
            f"{folder}: this is not the folder of a finished collect run. "
            "Give the one that the reward model learned from."
        )
    if not (folder / layout.HELD_OUT).stat().st_size:
        return None
    held_out = read_records(folder / layout.HELD_OUT, Preference)
    names = {p.comparison for p in held_out}
    by_id = {c.id: c for c in read_records(folder / layout.COMPARISONS, Comparison) if c.id in names}
    judgements = [
        j for j in read_records(folder / layout.JUDGEMENTS, Judgement) if j.comparison in names and j.kind == "pair"
    ]
    scores = _scores(list(by_id.values()), scorer)
    against_gold = _against_gold(held_out, by_id, scores)
    labels, bayes = _against_labels(judgements, by_id, scores, _annotators(folder))
    if not against_gold or not labels:  # all pairs equally good in truth, or nobody judged pairs
        return None
    low, high = wilson_interval(sum(against_gold), len(against_gold), confidence=CONFIDENCE)
    clusters = [c for c, _ in labels]  # judgements of one comparison hang together
    right = [r for _, r in labels]
    label_low, label_high = (
        bootstrap_interval(right, confidence=CONFIDENCE, resamples=2000, seed=config.seed, clusters=clusters)
        if len(set(clusters)) > 1
        else (0.0, 1.0)
    )
    trained = _trained(scorer)
    by_strength = trained.get("by_strength")
    return RewardCheck(
        accuracy=float(np.mean(against_gold)),
        accuracy_low=low,
        accuracy_high=high,
        accuracy_labels=float(np.mean(right)),
        accuracy_labels_low=label_low,
        accuracy_labels_high=label_high,
        bayes_accuracy=float(np.mean(bayes)) if len(bayes) == len(labels) else None,  # nobody knows a person's
        annotator_agreement=_result(folder)["agreement"],
        num_pairs=len(against_gold),
        num_judgements=len(labels),
        length_only_accuracy=trained.get("length_only_accuracy"),
        ece=trained.get("ece"),
        ece_after_temperature=trained.get("ece_after_temperature"),
        temperature=trained.get("temperature"),
        by_strength=None if by_strength is None else tuple(Strength(**row) for row in by_strength),
        reliability=_reliability([*held_out, *_undecided(folder, by_id)], scores, scorer, trained),
    )


def _ordered(difference: float, truth: float) -> float:
    """1 if a difference of scores has the sign of the truth, 0 if the other, 1/2 if there is none."""
    return 0.5 if difference == 0 else float((difference > 0) == (truth > 0))


def _undecided(folder: Path, by_id: dict[str, Comparison]) -> list[Preference]:
    """The held-out pairs without a majority, whose votes count for calibration."""
    file = folder / layout.UNDECIDED
    return [p for p in read_records(file, Preference) if p.comparison in by_id] if file.is_file() else []


def _trained(scorer: Scorer) -> dict[str, Any]:
    """What the reward stage reported, if the scorer is a folder that it wrote."""
    folder = Path(scorer.name).parent
    return _result(folder) if (folder / layout.FINISHED).is_file() else {}


def _result(folder: Path) -> dict[str, Any]:
    return read_document(folder / layout.FINISHED, Finished).result


def _scores(comparisons: list[Comparison], scorer: Scorer) -> Scores:
    rows = [(c, i) for c in comparisons for i in range(len(c.responses))]
    values = scorer.score([c.messages for c, _ in rows], [c.responses[i].text for c, i in rows]).tolist()
    return {(c.id, i): value for (c, i), value in zip(rows, values, strict=True)}


def _against_gold(held_out: list[Preference], by_id: dict[str, Comparison], scores: Scores) -> list[float]:
    """For each held-out pair whose true utilities differ: 1 if the reward model orders it as the truth does, else 0.

    Equal scores count half.
    """
    right = []
    for p in held_out:
        assert p.chosen_index is not None and p.rejected_index is not None  # the collect stage always writes them
        c, i, j = by_id[p.comparison], p.chosen_index, p.rejected_index
        truth = gold.judge(c.text, c.responses[i].text).utility - gold.judge(c.text, c.responses[j].text).utility
        if abs(truth) > 1e-9:
            right.append(_ordered(scores[c.id, i] - scores[c.id, j], truth))
    return right


def _against_labels(
    judgements: list[Judgement], by_id: dict[str, Comparison], scores: Scores, annotators: dict[str, Annotator]
) -> tuple[list[tuple[str, float]], list[float]]:
    """For each judgement with a side: its comparison and whether the reward model chooses that side.

    And, for each that was simulated, how often anybody could.
    """
    right: list[tuple[str, float]] = []
    possible: list[float] = []
    for judgement in judgements:
        if judgement.choice not in ("left", "right"):
            continue
        c, (left, right_index) = by_id[judgement.comparison], judgement.order
        if judgement.annotator_kind == "simulated":
            shown = (c.responses[left].text, c.responses[right_index].text)
            p_left, _, p_right = annotators[judgement.annotator].pair_probabilities(
                c.text, *shown, judged=judged_before(c.id)
            )
            possible.append(max(p_left, p_right) / (p_left + p_right))
        right.append(
            (
                c.id,
                _ordered(scores[c.id, left] - scores[c.id, right_index], 1.0 if judgement.choice == "left" else -1.0),
            )
        )
    return right, possible


def _annotators(folder: Path) -> dict[str, Annotator]:
    """The simulated annotators as the collect run had them."""
    card = read_document(folder / layout.CARD, RunCard)
    members = PanelConfig.model_validate(card.config["annotators"]).annotators(card.seed)
    return {a.name: a for a in members}


def _reliability(
    held_out: list[Preference], scores: Scores, scorer: Scorer, trained: dict[str, Any]
) -> tuple[Bin, ...]:
    """How sure the reward model was of votes with a side, beside how often it was right; before temperature fitting."""
    if not isinstance(scorer, RewardModel):
        return ()
    voted = [p for p in held_out if p.outcome is not None]
    pairs = [((p.comparison, p.chosen_index or 0), (p.comparison, p.rejected_index or 0)) for p in voted]
    margins = np.asarray([(scores[chosen] - scores[rejected]) * scorer.std for chosen, rejected in pairs])
    first = (trained.get("vote_edges") or [0.0])[0]
    wins, losses = log_expit(margins - first), log_expit(-margins - first)
    table = reliability(np.exp(wins - np.logaddexp(wins, losses)), np.asarray([p.outcome for p in voted]), bins=BINS)
    return tuple(
        Bin(
            low=0.5 + b * 0.05,
            high=0.55 + b * 0.05,
            confidence=float(table.confidence[b]),
            accuracy=float(table.accuracy[b]),
            num=int(table.counts[b]),
        )
        for b in range(BINS)
        if table.counts[b] > 0
    )
