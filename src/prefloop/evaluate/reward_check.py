"""Is the reward model as good as its annotators allow? On the comparisons that collect held out.

Two questions, each with a ceiling of its own. Which response is truly better (prompts of the helpdesk only): of every
pair that was judged, whether or not there was a majority; somebody who knows gets 100 %. Which side will an annotator
choose: of single judgements; nobody can do better than E max(p, 1 - p), the Bayes limit, where p is known, and length
alone is measured on the same judgements. Prompts are drawn and pairs are not: all intervals are clustered by prompt.
"""

import itertools
from pathlib import Path

import numpy as np

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import CONFIDENCE
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records
from prefloop.health.calibration import diagram
from prefloop.health.gate import card_of
from prefloop.records import Comparison, Finished, Judgement, Preference, RunCard, opening
from prefloop.records.cards import Card
from prefloop.records.evaluations import Bin, RewardCheck, Strength, Unchecked
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.calibration import sided_log_odds
from prefloop.stats.intervals import share_interval
from prefloop.world import gold
from prefloop.world.annotators import Annotator, PanelConfig, judged_before
from prefloop.world.origin import is_own

Scores = dict[tuple[str, int], float]


def reward_check(config: EvaluateConfig, scorer: Scorer) -> RewardCheck | Unchecked:
    """How good the reward model is on the held-out comparisons of a collect folder, or why they cannot say."""
    assert config.collected is not None  # the caller checks
    folder = finished_collect(config.collected)
    if not (folder / layout.HELD_OUT).stat().st_size:
        return "nothing_held_out"
    decided = read_records(folder / layout.HELD_OUT, Preference)
    held_out = {opening(p.messages) for p in decided}
    comparisons = read_records(folder / layout.COMPARISONS, Comparison)
    by_id = {c.id: c for c in comparisons if opening(c.messages) in held_out}
    judgements = [
        j
        for j in read_records(folder / layout.JUDGEMENTS, Judgement)
        if j.comparison in by_id and j.kind == "pair" and j.choice in ("left", "right")
    ]
    undecided = _undecided(folder, by_id)
    scores = _scores(list(by_id.values()), scorer)
    truncated = _truncated(by_id, scores, scorer)
    if truncated:
        print(
            f"{folder}: {len(truncated) // 2} pairs of responses are the same once cut to the reward model's context, "
            "and are left out of its check."
        )
    decided, undecided = (
        [p for p in some if (p.comparison, p.chosen_index, p.rejected_index) not in truncated]
        for some in (decided, undecided)
    )
    judgements = [j for j in judgements if (j.comparison, *j.order) not in truncated]
    truth = _against_gold([*decided, *undecided], by_id, scores)
    labels = _against_labels(judgements, by_id, scores)
    if not truth and not labels:  # all pairs equally good in truth, or nobody judged pairs
        return "not_judged"
    with_majority = {p.id for p in decided}
    of_majority = [right for p, right in truth if p.id in with_majority]
    possible = _possible(judgements, by_id, _annotators(folder))
    by_length = _by_length(judgements, by_id, read_records(folder / layout.PREFERENCES, Preference))
    collected, card = read_document(folder / layout.FINISHED, Finished).result, own_card(scorer)
    known = card and card.calibration
    accuracy, accuracy_low, accuracy_high = _mean([(_prompt(by_id, p.comparison), right) for p, right in truth])
    agreed, agreed_low, agreed_high = _mean(labels)
    return RewardCheck(
        accuracy=accuracy,
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        num_pairs=len(truth),
        accuracy_decided=float(np.mean(of_majority)) if of_majority else None,
        num_decided=len(of_majority),
        accuracy_labels=agreed,
        accuracy_labels_low=agreed_low,
        accuracy_labels_high=agreed_high,
        num_judgements=len(labels),
        bayes_accuracy=float(np.mean(possible)) if labels and len(possible) == len(labels) else None,
        annotator_agreement=collected.get("agreement"),
        num_agreement=collected.get("num_agreement"),
        length_only_accuracy=float(np.mean(by_length)) if labels else None,
        ece=known and known.ece,
        ece_after_temperature=known and known.ece_after,
        temperature=known and known.temperature,
        by_strength=card
        and tuple(
            Strength(strength=int(each.name), num=each.accuracy.num, accuracy=each.accuracy.mean)
            for each in card.by_strength
        ),
        reliability=_reliability([*decided, *undecided], scores, scorer, tie_edge=known.tie_edge if known else 0.0),
    )


def finished_collect(path: str) -> Path:
    """A collect folder. Raises: UserError if it is another's, or not finished."""
    folder = Path(path)
    if not all((folder / name).is_file() for name in (layout.FINISHED, layout.HELD_OUT, layout.COMPARISONS)):
        raise UserError(
            f"{folder}: this is not the folder of a finished collect run. "
            "Give the one that the reward model learned from."
        )
    return folder


def _prompt(by_id: dict[str, Comparison], comparison: str | None) -> str:
    """The cluster of a comparison: prompts that begin alike count as one."""
    assert comparison is not None  # the collect stage always writes it
    return opening(by_id[comparison].messages)


def _mean(right: list[tuple[str, float]]) -> tuple[float, float, float] | tuple[None, None, None]:
    """(mean, low, high) of what was right, given with its prompt."""
    if not right:
        return None, None, None
    values = [value for _, value in right]
    return float(np.mean(values)), *share_interval(values, [prompt for prompt, _ in right], confidence=CONFIDENCE)


def _ordered(difference: float, truth: float) -> float:
    """1 if a difference of scores has the sign of the truth, 0 if the other, 1/2 if there is none."""
    return 0.5 if difference == 0 else float((difference > 0) == (truth > 0))


def _undecided(folder: Path, by_id: dict[str, Comparison]) -> list[Preference]:
    """The held-out pairs without a majority, whose votes count for calibration."""
    file = folder / layout.UNDECIDED
    if not file.is_file() or not file.stat().st_size:
        return []
    return [p for p in read_records(file, Preference) if p.comparison in by_id]


def own_card(scorer: Scorer) -> Card | None:
    """The health card in the scorer's folder, if it is a reward model that has one."""
    return card_of(scorer.name) if isinstance(scorer, RewardModel | Ensemble) else None


def _truncated(by_id: dict[str, Comparison], scores: Scores, scorer: Scorer) -> set[tuple[str, int, int]]:
    """The pairs, either way round, that are one to a reward model, which reads no more than its context."""
    if not isinstance(scorer, RewardModel | Ensemble):
        return set()
    return {
        (c.id, i, j)
        for c in by_id.values()
        for i, j in itertools.permutations(range(len(c.responses)), 2)
        if c.responses[i].text != c.responses[j].text
        and scores[c.id, i] == scores[c.id, j]
        and scorer.same(c.messages, (c.responses[i].text, c.responses[j].text))
    }


def _scores(comparisons: list[Comparison], scorer: Scorer) -> Scores:
    rows = [(c, i) for c in comparisons for i in range(len(c.responses))]
    texts = [c.responses[i].text for c, i in rows]
    said = scorer.detailed([c.messages for c, _ in rows], texts, [c.tags for c, _ in rows])
    return {(c.id, i): value for (c, i), value in zip(rows, said.scores.tolist(), strict=True)}


def _against_gold(
    pairs: list[Preference], by_id: dict[str, Comparison], scores: Scores
) -> list[tuple[Preference, float]]:
    """Each pair whose true utilities differ, and 1 if the reward model orders it as the truth does, else 0.

    Equal scores count half. Pairs of prompts that are not the helpdesk's have no known truth.
    """
    right: list[tuple[Preference, float]] = []
    for p in pairs:
        assert p.comparison is not None and p.chosen_index is not None and p.rejected_index is not None
        c, i, j = by_id[p.comparison], p.chosen_index, p.rejected_index
        if not is_own(c):
            continue
        truth = gold.judge(c.text, c.responses[i].text).utility - gold.judge(c.text, c.responses[j].text).utility
        if abs(truth) > 1e-9:
            right.append((p, _ordered(scores[c.id, i] - scores[c.id, j], truth)))
    return right


def _against_labels(
    judgements: list[Judgement], by_id: dict[str, Comparison], scores: Scores
) -> list[tuple[str, float]]:
    """Of each judgement with a side: its prompt, and whether the reward model chooses that side."""
    right: list[tuple[str, float]] = []
    for j in judgements:
        left, other = (scores[j.comparison, index] for index in j.order)
        right.append((_prompt(by_id, j.comparison), _ordered(left - other, 1.0 if j.choice == "left" else -1.0)))
    return right


def _possible(
    judgements: list[Judgement], by_id: dict[str, Comparison], annotators: dict[str, Annotator]
) -> list[float]:
    """Of each judgement that was simulated: how often anybody could foresee its side."""
    possible: list[float] = []
    for j in judgements:
        if j.annotator_kind == "simulated" and j.annotator in annotators:
            c = by_id[j.comparison]
            left, _, right = annotators[j.annotator].pair_probabilities(
                c.text, *(c.responses[index].text for index in j.order), judged=judged_before(c.id)
            )
            possible.append(max(left, right) / (left + right))
    return possible


def _by_length(judgements: list[Judgement], by_id: dict[str, Comparison], training: list[Preference]) -> list[float]:
    """Of each judgement: whether the longer response was chosen, or the shorter if that is the rule in training."""
    sign = 1.0 if sum(np.sign(len(p.chosen) - len(p.rejected)) for p in training) >= 0 else -1.0
    right: list[float] = []
    for j in judgements:
        left, other = (len(by_id[j.comparison].responses[index].text) for index in j.order)
        right.append(_ordered(sign * (left - other), 1.0 if j.choice == "left" else -1.0))
    return right


def _annotators(folder: Path) -> dict[str, Annotator]:
    """The simulated annotators as the collect run had them."""
    card = read_document(folder / layout.CARD, RunCard)
    members = PanelConfig.model_validate(card.config["annotators"]).annotators(card.seed)
    return {a.name: a for a in members}


def _reliability(held_out: list[Preference], scores: Scores, scorer: Scorer, *, tie_edge: float) -> tuple[Bin, ...]:
    """How sure the reward model was of votes with a side, beside how often it was right; before temperature fitting."""
    if not isinstance(scorer, RewardModel | Ensemble):
        return ()
    voted = [p for p in held_out if p.outcome is not None]
    pairs = [((p.comparison, p.chosen_index or 0), (p.comparison, p.rejected_index or 0)) for p in voted]
    units = [scorer.unit(p.tags) for p in voted]
    margins = np.asarray([(scores[won] - scores[lost]) * unit for (won, lost), unit in zip(pairs, units, strict=True)])
    return diagram(sided_log_odds(margins, tie_edge), np.asarray([p.outcome for p in voted]))
