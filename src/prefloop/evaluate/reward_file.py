"""A reward model on a file: how often it likes the right response best, and what length has to do with it.

Reads: any reward model's folder or a Python function, and preferences or rankings in any form. Writes: `bench.json`,
every score (`bench_scores.jsonl`), and the reward model's health card. The arithmetic, and whom it follows, is in
health/bench.py. A row is a pair, or K responses of which those of the first rank are right; all others are wrong.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.config import RewardFileConfig
from prefloop.evaluate.reward_check import own_card
from prefloop.files.atomic import write_text
from prefloop.files.documents import read_document, write_document
from prefloop.files.foreign import Reading, concluded, read_preferences, serves
from prefloop.files.forms import Form, recognise
from prefloop.files.hashes import hash_of
from prefloop.files.tables import jsonl
from prefloop.health import bench
from prefloop.health.card import make_card, scored
from prefloop.health.page import write
from prefloop.health.probes import NUM_ROWS
from prefloop.health.words import verdict
from prefloop.models.device import placement
from prefloop.records import Message, Preference, Ranking, opening
from prefloop.records.benches import Bench
from prefloop.records.cards import Card, Part, Parts, Share
from prefloop.run import Run
from prefloop.scoring.composite import Composite
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import reward_inputs, scorer_as
from prefloop.scoring.pair_classifier import PairClassifier
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel

SUBSET = "subset:"
"""How the tag of a benchmark's subset begins."""
BENCHMARKS = ("reward-bench", "reward-bench-2")
"""Forms whose subsets are summed up."""
MOST_PAIRS = 20_000
"""Pairs that a card is made of, at most."""
READERS = (RewardModel, Ensemble)
"""Scorers that read text as a model does: what does not fit its context is cut."""


@dataclass(frozen=True)
class Asked:
    """One row: a prompt, and its responses, the right ones first."""

    id: str
    messages: tuple[Message, ...]
    responses: tuple[str, ...]
    num_right: int
    """0 if no response is better than another"""
    tags: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Its subsets, or its tags."""
        return tuple(tag.removeprefix(SUBSET) for tag in self.tags if tag.startswith(SUBSET)) or self.tags


def evaluate_file(config: RewardFileConfig) -> str:
    """Runs (or continues) the evaluation. Returns: its table, and where it is written."""
    inputs = {**reward_inputs(config.reward), "data": config.data, "training": config.training}
    with Run(config, inputs=inputs) as run:
        path = run.folder / layout.BENCH
        if not run.finished:
            _evaluate(config, run)
        made = read_document(path, Bench)
        card = read_document(run.folder / layout.MODEL_CARD, Card)
    return "\n".join([table(made), *verdict(card), f"{path}, {path.with_name(layout.CARD_PAGE)}"])


def _evaluate(config: RewardFileConfig, run: Run) -> None:
    form = recognise(config.data)
    num, bad = _looked_through(config.data, form, run)
    place = placement(config.device, config.dtype)
    judge = scorer_as(config, config.reward, place, weights=config.weights)
    count = -(-num // config.batch)
    run.progress.start(count, unit="part")
    asked = _asked(config.data, form)
    for index in range(count):
        few = list(itertools.islice(asked, config.batch))
        if not run.part(index).exists():
            run.stop_if_interrupted()
            run.write_part(index, _scored(judge, few))
        run.progress.advance()
    every, same, cut = list[bench.Row](), set[int](), 0
    for index in range(count):
        part = run.read_part(index)
        same |= {len(every) + place for place in part["same"]}
        every += [bench.Row(**row) for row in part["rows"]]
        cut += part["cut"]
    counted = [row for number, row in enumerate(every) if row.num_right and number not in same]
    left = {"undecided": sum(not row.num_right for row in every), "same": len(same), "bad": bad, "cut": cut}
    made = _summed_up(judge.name, config.data, counted, left, benchmark=form.name in BENCHMARKS)
    lines = [{"id": row.id, "num_right": row.num_right, "scores": row.scores} for row in every]
    write_text(run.folder / layout.BENCH_SCORES, jsonl(lines))
    pages = _card(config, run, judge, every if _kind(form) is Preference else None)
    write_document(run.folder / layout.BENCH, made)
    result = {"accuracy": made.accuracy and made.accuracy.mean, "average": made.average, "num": made.num}
    outputs = [layout.BENCH, layout.BENCH_SCORES, layout.MODEL_CARD, *(page.name for page in pages)]
    run.finish(outputs=outputs, result=result)


def _card(config: RewardFileConfig, run: Run, judge: Scorer, rows: Sequence[bench.Row] | None) -> tuple[Path, ...]:
    """Makes the health card of the file's first pairs. Args: rows: their scores, if each row is a pair.

    Returns: its pages.
    """
    found = (outcome for _, outcome in Reading(config.data, Preference) if isinstance(outcome, Preference))
    pairs = tuple(itertools.islice(found, MOST_PAIRS))
    if next(found, None) is not None:
        run.say(f"the card is of the first {MOST_PAIRS} pairs.")
    training = read_preferences(config.training, "skip", say=run.say).records if config.training else ()
    own = own_card(judge)
    gaps = scored(judge, pairs) if rows is None else [row.scores[0] - row.scores[1] for row in rows[:MOST_PAIRS]]
    units = [judge.unit(pair.tags) if isinstance(judge, READERS) else 1.0 for pair in pairs]  # raw ones are log-odds
    card = make_card(
        judge,
        pairs,
        seed=config.seed,
        margins=[unit * gap for unit, gap in zip(units, gaps, strict=True)],
        training=training,
        tie_edge=own.calibration.tie_edge if own and own.calibration else 0.0,
        parts=_parts(judge),
        num_probed=0 if _compares(judge) else NUM_ROWS,
    )
    write_document(run.folder / layout.MODEL_CARD, card)
    return write(card, run.folder, title=judge.name, data=config.data)


def _parts(judge: Scorer) -> Parts | None:
    """The members of an ensemble or the columns of a model, whose own accuracies are not measured here."""
    if isinstance(judge, Ensemble):
        members = tuple(Part(name=f"member-{i}") for i in range(len(judge.members)))
        return Parts(kind="ensemble", score=judge.combine, of=members)
    if not isinstance(judge, RewardModel) or judge.columns.kind == "one":
        return None
    score = "mean" if len(judge.weights) > 1 else next(iter(judge.weights))
    return Parts(kind=judge.columns.kind, score=score, of=tuple(Part(name=name) for name in judge.columns.names))


def _kind(form: Form) -> type[Preference] | type[Ranking]:
    """What is read of a file of that form; a refusal is for whoever reads it."""
    return Ranking if serves(form, Ranking) else Preference


def _looked_through(data: str, form: Form, run: Run) -> tuple[int, int]:
    """How many records a file has, and how many bad rows, which are told. Raises: UserError if it has no record."""
    reading, problems, num = Reading(data, _kind(form)), list[str](), 0
    for _, outcome in reading:
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
        else:
            num += 1
    concluded(reading, problems, num, on_bad="skip", say=run.say)
    for problem in problems:
        run.say(f"left out: {problem}")
    return num, len(problems)


def _asked(data: str, form: Form) -> Iterator[Asked]:
    """The rows of a file, one by one."""
    for _, outcome in Reading(data, _kind(form)):
        if isinstance(outcome, Preference):
            sides = (outcome.chosen, outcome.rejected)
            yield Asked(outcome.id, outcome.messages, sides, int(outcome.decided), outcome.tags)
        elif isinstance(outcome, Ranking):
            order = sorted(range(len(outcome.places)), key=outcome.places.__getitem__)
            right = outcome.places.count(min(outcome.places))
            responses = tuple(outcome.responses[i] for i in order)
            yield Asked(outcome.id, outcome.messages, responses, right % len(responses), outcome.tags)


def _read(judge: Scorer, asked: Sequence[Asked]) -> list[float]:
    """The scores of all responses of some prompts, one after another."""
    each = [(one.messages, text, one.tags) for one in asked for text in one.responses]
    prompts, texts, tags = zip(*each, strict=True)
    return judge.detailed(prompts, texts, tags).scores.tolist()


def _scored(judge: Scorer, asked: Sequence[Asked]) -> dict[str, Any]:
    """The rows of some prompts, which of them are pairs that are one to the judge, and how much was cut."""
    before = _cut(judge)
    calls = [[one] for one in asked] if _compares(judge) else [asked]  # its scores are of what it reads together
    scores = itertools.chain.from_iterable(_read(judge, some) for some in calls)
    rows, same = list[dict[str, Any]](), list[int]()
    for number, one in enumerate(asked):
        own = tuple(map(float, itertools.islice(scores, len(one.responses))))
        equal = one.num_right and len(own) == 2 and own[0] == own[1]
        if equal and isinstance(judge, READERS) and judge.same(one.messages, one.responses):
            same.append(number)
        rows.append(
            {
                "id": one.id,
                "prompt": hash_of(opening(one.messages)),
                "groups": one.groups,
                "num_right": one.num_right,
                "scores": own,
                "lengths": tuple(map(len, one.responses)),
            }
        )
    return {"rows": rows, "same": same, "cut": _cut(judge) - before}


def _cut(judge: Scorer) -> int:
    """Prompts with a response that lost something so far."""
    return judge.cuts.prompts + judge.cuts.responses if isinstance(judge, READERS) else 0


def _compares(judge: Scorer) -> bool:
    """Whether it is a model that reads pairs, or one of its parts is."""
    parts = judge.scorers.values() if isinstance(judge, Composite) else (judge,)
    return any(isinstance(part, PairClassifier) for part in parts)


def _summed_up(judge: str, data: str, rows: Sequence[bench.Row], left: Mapping[str, int], *, benchmark: bool) -> Bench:
    """All numbers. Raises: UserError if no row counts, or for a subset Ties without its ids."""
    if not rows:
        raise UserError(f"{data}: no row has a response that is better than another, so nothing can be counted.")
    tied = [row for row in rows if benchmark and row.is_ties]
    plain = [row for row in rows if not (benchmark and row.is_ties)]
    follows = bench.followed(rows) if benchmark else None
    try:
        ties = bench.ties(tied)
    except UserError as problem:
        raise UserError(f"{data}: {problem}") from None
    groups, sections = bench.by_group(plain), bench.sections(plain) if follows == "RewardBench" else ()
    whole = [section.accuracy for section in sections] or [group.accuracy.mean for group in groups]
    whole += [ties.score] if ties else []
    accuracy = bench.accuracy(plain)
    return Bench(
        judge=judge,
        data=data,
        num=len(rows),
        num_prompts=len({row.prompt for row in rows}),
        accuracy=accuracy,
        chance=bench.chance(plain),
        num_equal=sum(0 < row.right < 1 for row in plain),
        subsets=groups,
        sections=sections,
        ties=ties,
        average=sum(whole) / len(whole) if follows else None,
        follows=follows,
        lengths=bench.length_bias(rows),
        **left,
    )


def table(made: Bench) -> str:
    """The numbers for a terminal."""
    rows = [] if made.accuracy is None else [_line("all rows", made.accuracy)]
    rows += [_line(group.name, group.accuracy) for group in made.subsets]
    if made.ties is not None:
        rows.append(("Ties", f"{made.ties.score:.1%}", "a score of its own", f"{made.ties.num} prompts"))
    rows += [(section.name, f"{section.accuracy:.1%}", "section", str(section.num)) for section in made.sections]
    if made.average is not None:
        rows.append(("average", f"{made.average:.1%}", f"as {made.follows} has it", ""))
    rows += [_line(f"right one {one.name}", one.accuracy) for one in made.lengths.slices]
    if made.lengths.longer_liked is not None:
        rows.append(_line("longer one liked", made.lengths.longer_liked))
        rows.append(("longer one right", f"{made.lengths.longer_right:.1%}", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    told = [f"{made.judge} on {made.data}: {made.num} rows of {made.num_prompts} prompts"]
    told[0] += f"; a coin gets {made.chance:.1%} of all rows." if made.chance is not None else "."
    left = (
        (made.undecided, "rows in which no response is better than another, not counted"),
        (made.bad, "rows that could not be read"),
        (made.same, "pairs that are the same once cut to the context, not counted"),
        (made.num_equal, "rows with equal scores for right and wrong responses"),
        (made.cut, "prompts with a response that lost something to fit the context"),
    )
    return "\n".join([*told, *lines, *(f"{what}: {count}." for count, what in left if count)])


def _line(name: str, share: Share) -> tuple[str, str, str, str]:
    return name, f"{share.mean:.1%}", f"[{share.low:.1%}, {share.high:.1%}]", str(share.num)
