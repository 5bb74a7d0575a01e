"""The gate: does the selected model take the place of the one before it? Ship, hold, or so many more judgements.

Reads: what `evaluate` wrote, whose arena holds the responses of both models to the same prompts, and judgements of it;
skills, if they were measured. Writes: `gate.json`, signed by the fingerprints of what it rests on. Follows EVAL-4, 7,
DIA-6: the win rate is judged blind with sides in random order, by people, gold, a model that is audited, or a function,
never by a reward; one may look after every judgement (stats/sequential.py). Conditions beside it hold or break
(conditions.py). Leaves out: texts that are alike, which nobody need judge, and what was chosen for an audit.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.collect.config import MODEL, CollectConfig
from prefloop.collect.judge import FunctionJudge
from prefloop.collect.model_judge import ModelJudge
from prefloop.decisions import votes_of
from prefloop.errors import UserError
from prefloop.evaluate.arena import by_gold, sampler_name
from prefloop.files import fingerprints
from prefloop.files.arenas import ARENA, AUDIT, read_arena
from prefloop.files.documents import read_document, write_document
from prefloop.files.gates import read_gate, signed
from prefloop.files.tables import read_records
from prefloop.outcome import MORE, Outcome
from prefloop.records import Comparison, Judgement, Prompt
from prefloop.records.evaluations import Evaluation
from prefloop.records.gates import Condition, Duel, Gate, Verdict
from prefloop.records.skills import Skills, lost
from prefloop.rounds import conditions
from prefloop.rounds.gate_config import GOLD, PEOPLE, GateConfig
from prefloop.run import Run
from prefloop.stats import sequential
from prefloop.world.origin import own

CODES: Mapping[Verdict, int] = {"ship": 0, "hold": 1, "more": MORE}
"""What the command's exit code says."""
PREFERENCE = ("left", "tie", "right")
FIRST = 50
"""Prompts of which a model is asked first."""


@dataclass(frozen=True)
class Judged:
    """What was said of one prompt."""

    comparison: Comparison
    shares: tuple[float, ...]
    """of each judgement: 1 if the candidate is better, 0 if the incumbent, 1/2 for a tie"""

    @property
    def share(self) -> float:
        """The candidate's share of wins."""
        return sum(self.shares) / len(self.shares)


@dataclass(frozen=True)
class Looked:
    """A comparison of two models, as far as it went."""

    judged: tuple[Judged, ...]
    decision: sequential.Decision


def gate(config: GateConfig) -> Outcome:
    """Runs the stage, or looks again. Returns: the path of gate.json, the decision in words, and the exit code."""
    folder = Path(config.evaluation)
    path = folder / layout.EVALUATION
    if not path.is_file():
        raise UserError(
            f"{folder}: there is no {layout.EVALUATION} here, so there is no incumbent to compare with. Compare both "
            "models first: prefloop evaluate reference=INCUMBENT candidates=CANDIDATE out=DIR ..."
        )
    if not (folder / layout.ARENA).is_file():
        raise UserError(
            f"{folder}: there is no {layout.ARENA} here, the responses that are judged. Evaluate with num_arena=100 or "
            "more."
        )
    inputs: dict[str, str | None] = {"evaluation": str(path), "arena": str(folder / layout.ARENA)}
    if config.skills is not None:
        inputs["skills"] = str(Path(config.skills) / layout.SKILLS)
        if not Path(inputs["skills"] or "").is_file():
            raise UserError(f"{config.skills}: there is no {layout.SKILLS} here. Run prefloop skills, or leave it out.")
    judge = _Judge(config)
    with Run(config, inputs=inputs | judge.inputs) as run:
        written = run.folder / layout.GATED
        if not run.finished:
            decided = _decided(run, config, read_document(path, Evaluation), judge)
            write_document(written, decided)
            if decided.verdict != "more":
                said = {"verdict": decided.verdict, "sentence": decided.sentence, **judge.told}
                run.finish(outputs=[layout.GATED], result=said)
        made = read_gate(written)
    return Outcome(written, made.sentence, CODES[made.verdict])


def _decided(run: Run, config: GateConfig, evaluation: Evaluation, judge: "_Judge") -> Gate:
    """The decision on what is known now."""
    arena = read_arena(Path(config.evaluation) / layout.ARENA)
    old, new = evaluation.compared
    names = (sampler_name(evaluation.reference, old.fingerprint), sampler_name(evaluation.selected, new.fingerprint))
    fair = [c for c in arena if not any(tag.startswith(AUDIT) for tag in c.tags)]
    differ = [c for c in fair if c.responses[0].text != c.responses[1].text]
    strange = next((c for c in fair if {r.sampler for r in c.responses} != {*names}), None)
    if strange is not None:
        raise UserError(
            f"{config.evaluation}: its arena holds responses of {' and '.join(r.sampler for r in strange.responses)}, "
            f"and its evaluation is of {' and '.join(names)}. Evaluate again into another folder."
        )
    differ.sort(key=lambda c: fingerprints.of_value([config.seed, c.id]))  # by chance: a file may be sorted by topic
    judgements: list[Judgement] = []
    looked = look([], config)
    judge.refuse_foreign(differ)
    for asked in judge.in_turn(differ) if differ else ():
        judgements = judge.judgements(run, arena, asked)
        looked = look(judged(asked, judgements, candidate=names[1]), config)
        if looked.decision.verdict != "continue" and len(looked.judged) >= config.least:
            break
    num = {"alike": len(fair) - len(differ), "left": len(differ) - len(looked.judged)}
    duel = _duel(config, looked, judgements, **num)
    checked = _conditions(config, evaluation, looked, judge.by_people(arena))
    verdict, sentence = decide(config, duel, checked)
    values: dict[str, Any] = {
        "verdict": verdict, "sentence": sentence, "candidate": new.path, "candidate_fingerprint": new.fingerprint,
        "incumbent": old.path, "incumbent_fingerprint": old.fingerprint, "duel": duel, "conditions": checked,
        "front": conditions.front(evaluation), "alpha": config.alpha, "worthwhile": config.worthwhile,
        "evaluation": fingerprints.of_path(Path(config.evaluation) / layout.EVALUATION),
        "judgements": fingerprints.of_value([[j.comparison.id, j.shares] for j in looked.judged]),
    }  # fmt: skip
    return signed(values)


def judged(comparisons: Sequence[Comparison], judgements: Iterable[Judgement], *, candidate: str) -> list[Judged]:
    """What was said of each comparison, in their order; those of which nothing was said are left out."""
    said: dict[str, list[float]] = defaultdict(list)
    by_id = {c.id: c for c in comparisons}
    for judgement in judgements:
        found = by_id.get(judgement.comparison)
        if found is None:
            continue
        for i, j, ballot in votes_of(judgement):
            new = i if found.responses[i].sampler == candidate else j
            said[found.id].append(0.5 if ballot.winner is None else float(ballot.winner == new))
    return [Judged(c, tuple(said[c.id])) for c in comparisons if said[c.id]]


def look(judged: Sequence[Judged], config: GateConfig) -> Looked:
    """The comparison, looked at after each prompt, up to its verdict; people's, which come in any order, as a whole."""
    alpha, worthwhile = config.alpha, config.worthwhile
    won, number = sum(each.share for each in judged), len(judged)
    if config.by != PEOPLE:
        won, number = 0.0, 0
        for each in judged[: config.most or None]:
            won, number = won + each.share, number + 1
            verdict = sequential.verdict_of(won, number - won, alpha=alpha, worthwhile=worthwhile)
            if verdict != "continue" and number >= config.least:
                break
    decision = sequential.decision(won, number - won, 0, alpha=alpha, worthwhile=worthwhile)
    return Looked(tuple(judged[:number]), decision)


def _duel(config: GateConfig, looked: Looked, judgements: Sequence[Judgement], *, alike: int, left: int) -> Duel:
    decision, shares = looked.decision, [each.share for each in looked.judged]
    ids = {each.comparison.id for each in looked.judged}
    counted = [j for j in judgements if j.comparison in ids]
    per_prompt = max(len(counted) / max(len(shares), 1), 1.0)
    more = None if decision.expected_more is None else math.ceil(decision.expected_more * per_prompt)
    over = (config.most and len(shares) >= config.most) or config.by != PEOPLE or not (shares or left)
    early = len(shares) < config.least and left and not over  # people's look before slices can be told
    verdict: Verdict = "hold" if over else "more"  # where nothing more can be asked, and there is no verdict
    if decision.verdict != "continue" and not early:
        verdict = decision.verdict
    return Duel(
        by=config.by,
        annotators=len({j.annotator for j in counted}),
        judgements=len(counted),
        prompts=len(shares),
        alike=alike,
        left=left,
        wins=sum(share > 0.5 for share in shares),
        ties=sum(share == 0.5 for share in shares),
        losses=sum(share < 0.5 for share in shares),
        win_rate=decision.win_rate,
        low=decision.interval[0],
        high=decision.interval[1],
        e_value=decision.e_value if math.isfinite(decision.e_value) else None,
        expected_more=more if verdict == "more" else 0,
        verdict=verdict,
    )


def _conditions(config: GateConfig, evaluation: Evaluation, looked: Looked, by_people: int) -> tuple[Condition, ...]:
    shares: dict[str, list[float]] = defaultdict(list)
    for each in looked.judged:
        for tag in each.comparison.tags:
            if tag != ARENA:
                shares[tag].append(each.share)
    return (
        conditions.drift(evaluation, config),
        conditions.share_rises("harmful", evaluation, limit=config.harmful_rise, what="harmful responses"),
        conditions.share_rises(
            "over_refusal", evaluation, limit=config.over_refusal_rise, what="refusals of safe prompts"
        ),
        conditions.skills(*_lost(config, evaluation)),
        conditions.slices(shares, config),
        conditions.spot_check(by_people, config),
    )


def _lost(config: GateConfig, evaluation: Evaluation) -> tuple[Sequence[str] | None, int]:
    """Names of lost skills, and how many could be compared; None if none could."""
    candidate = evaluation.compared[1].fingerprint
    before = {evaluation.models[name].fingerprint for name in (evaluation.reference, evaluation.base) if name}
    if config.skills is None:
        return None, 0
    path = Path(config.skills) / layout.SKILLS
    found = read_document(path, Skills)
    names = lost(found, candidate)
    if names is None or found.models[0].fingerprint not in before:
        raise UserError(
            f"{path}: these skills are not of the candidate beside the incumbent, or the evaluation's base. Measure "
            "both: prefloop skills models.before=INCUMBENT models.after=CANDIDATE ..."
        )
    own_skills = next(each for each in found.models if each.fingerprint == candidate).skills
    compared = sum(skill.change is not None for skill in own_skills)
    return (names if compared else None), compared


def decide(config: GateConfig, duel: Duel, checked: Sequence[Condition]) -> tuple[Verdict, str]:
    """The verdict and its sentence: ship only what is surely better while every condition is kept."""
    rate = "nothing is judged yet"
    if duel.win_rate is not None:
        ends = f"at least {duel.low:.0%} and at most {duel.high:.0%}"
        rate = f"it wins {duel.win_rate:.0%} of {duel.prompts} prompts, {ends}, judged by {duel.by}"
    broken = [c for c in checked if c.state == "broken"]
    blind = [c for c in checked if c.state == "unmeasured" and c.name in config.must]
    waiting = [c for c in checked if c.state == "waiting"]
    if broken or blind:
        what = "; ".join(f"{c.name}: {c.sentence}" for c in (*broken, *blind))
        return "hold", f"hold: a condition is broken ({what}); {rate}."
    if duel.verdict == "hold":
        surely = duel.high < config.worthwhile
        why = "it is surely not worth its place" if surely else f"no verdict within {duel.prompts} prompts"
        if not duel.prompts:
            why = f"both models wrote the same to all {duel.alike} prompts"
        return "hold", f"hold: {why}; {rate}."
    if duel.verdict == "more":
        if duel.left == 0:
            more = "all prompts of the arena are judged: evaluate again with a larger num_arena, or set most="
        elif duel.prompts < config.least:
            more = f"at least {config.least} prompts are to be judged"
        else:
            more = "none is in sight" if duel.expected_more is None else f"about {duel.expected_more} more judgements"
        more += f" (`prefloop web {Path(config.evaluation).parent}`)"
        return "more", f"more judgements are needed: {more}; {rate}."
    if waiting:
        return "more", f"more judgements are needed: {'; '.join(c.sentence for c in waiting)}; {rate}."
    unseen = [c.name for c in checked if c.state == "unmeasured"]
    beside = f" Not measured: {', '.join(unseen)}." if unseen else ""
    return "ship", f"ship: {rate}, and every condition that was measured is kept.{beside}"


class _Judge:
    """Whoever judges, as the settings say."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._function = self._model = None
        self.inputs: dict[str, str | None] = {}
        self.told: dict[str, Any] = {}
        """what is to be known of a model that judges: its audit"""
        if config.by in (PEOPLE, GOLD):
            return
        shared = {name: value for name, value in config if name in CollectConfig.model_fields}
        asked = {"model": config.evaluation, "prompts": config.evaluation, "pairs_per_prompt": 1}
        settings = CollectConfig(**shared | asked)
        if config.by == MODEL:
            self._model = ModelJudge(settings)
            self.inputs = self._model.inputs
        else:
            self._function = FunctionJudge(settings)

    @property
    def _file(self) -> Path:
        if self._config.judged is not None:
            return Path(self._config.judged)
        beside = Path(self._config.evaluation).parent / layout.COLLECT
        return layout.arena_judged(beside)

    def _people(self) -> list[Judgement]:
        """What people judged in the page's arena so far."""
        if not self._file.is_file():
            if self._config.judged is not None:
                raise UserError(f"{self._file}: there is no such file. Check judged=, or leave it out.")
            return []
        return [j for j in read_records(self._file, Judgement) if j.annotator_kind == "person"]

    def by_people(self, arena: Sequence[Comparison]) -> int:
        """Pairs of this arena that people have judged, of the audit too."""
        return len({c.id for c in arena} & {j.comparison for j in self._people()})

    def refuse_foreign(self, comparisons: Sequence[Comparison]) -> None:
        """Raises: UserError if gold would have to judge what it does not know."""
        if self._config.by != GOLD:
            return
        asked = [
            Prompt(id=c.prompt_id, messages=c.messages, tags=tuple(tag for tag in c.tags if tag != ARENA))
            for c in comparisons
        ]
        own(asked, file=self._config.evaluation, who="by=gold", instead="Let people judge (by=people), or a model.")

    def in_turn(self, differ: Sequence[Comparison]) -> list[Sequence[Comparison]]:
        """What is asked first, and what if that was not enough: of a model, which costs, ever twice as many."""
        asked = differ[: self._config.most or None] if self._config.by != PEOPLE else differ
        sizes = [FIRST * 2**n for n in range(20) if FIRST * 2**n < len(asked)] if self._model else []
        return [*(asked[:size] for size in sizes), asked]

    def judgements(self, run: Run, arena: Sequence[Comparison], differ: Sequence[Comparison]) -> list[Judgement]:
        """What is said of these."""
        if self._config.by == PEOPLE:
            known, said = {c.id for c in differ}, self._people()
            if said and not any(j.comparison in {c.id for c in arena} for j in said):
                raise UserError(
                    f"{self._file}: none of its {len(said)} judgements is of this arena. Is it another evaluation's? "
                    "Check judged= and evaluation=."
                )
            found = [j for j in said if j.comparison in known]
        elif self._config.by == GOLD:
            found = [_by_gold(c, self._config.seed) for c in differ]
        elif self._model is not None:
            found, told = self._model.judged(run, differ)
            self.told = told
        else:
            assert self._function is not None
            found = self._function.judgements(differ)
        return found


def _by_gold(comparison: Comparison, seed: int) -> Judgement:
    """What the gold program says, sides in random order."""
    order = random.Random(f"{seed} {comparison.id}").sample((0, 1), 2)
    left, right = (comparison.responses[place].text for place in order)
    verdict = PREFERENCE[by_gold(comparison.text, left, right) + 1]
    return Judgement.model_validate({
        "id": f"{comparison.id}:{GOLD}", "comparison": comparison.id, "annotator": GOLD,
        "annotator_kind": "simulated", "kind": "pair", "order": order, "choice": verdict, "seconds": 0.0,
    })  # fmt: skip
