"""How near does a reward model come to what can be known of its annotators' choices? On the helpdesk world.

    python benchmarks/rewards.py DEMO [rows=a,b,c,d,e] [seeds=0,1,2] [sizes=625,1250,2500,5000] [test=3000]
                                      [rankings=1250] [out=FOLDER] [page=FILE] [epochs=3 ...]

DEMO is the folder of a finished `prefloop run helpdesk`. Its SFT model answers each prompt four times, once, whatever
the seed (out/collect-N). A seed then decides who the five simulated annotators are, which prompts are held out, which
pair of each prompt is judged, by whom, and what they say; every pair is judged by one annotator, once. What each
model said of the held-out labels is a line of out/lines.jsonl, and no model that has its line is trained again. What
else is given, as `epochs=2`, goes to `prefloop reward`.

    a   accuracy on held-out labels by the number of judged pairs, against the Bayes limit
    b   the same by four bins of gold difference        (of the largest number)
    c   calibration: nats against Bayes, error before and after a temperature        (of the largest number)
    d   a quarter of the labels flipped: plain, robust and smoothed losses, against labels that are not
    e   rankings of four against the same judgements as pairs: accuracy and CPU seconds

Two limits, for the chance of the side that was chosen is known: of somebody who is told who judges and which response
stood on the left, and of somebody who reads the texts only, as the model does. Writes docs/results/rewards.md.
"""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pages import write_parts
from scipy.special import expit

from prefloop import layout
from prefloop.collect.config import CollectConfig
from prefloop.collect.stage import collect
from prefloop.decisions import decided
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, read_rows, write_records
from prefloop.records import Comparison, Finished, Judgement, Preference, Ranking
from prefloop.reward import stage as reward
from prefloop.reward.config import RewardConfig
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.stats.calibration import cross_fitted, expected_calibration_error, fitted_temperature, sided_log_odds
from prefloop.stats.intervals import mean_interval, share_interval
from prefloop.world import gold
from prefloop.world.annotators import Annotator, judged_before, panel

ROOT = Path(__file__).parents[1]
ANNOTATORS, FLIPPED, WATCHED = 5, 0.25, 40
"""Annotators; share of the labels that are turned; held-out pairs that a run looks at on its way."""
GOLD_BINS, ECE_BINS, FOLDS, CONFIDENCE = 4, 10, 5, 0.95
Line = dict[str, Any]
"""What one model said of the held-out labels: `Job` and seed, and (n,) lists over them."""


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    demo: Path
    rows: tuple[str, ...] = tuple("abcde")
    seeds: tuple[int, ...] = (0, 1, 2)
    sizes: tuple[int, ...] = (625, 1250, 2500, 5000)
    test: int = 3000
    rankings: int = 1250
    out: Path = ROOT / "runs" / "rewards"
    page: Path = ROOT / "docs" / "results" / "rewards.md"
    told: tuple[str, ...] = ()
    """`key=value` for the reward stage"""

    @classmethod
    def of(cls, words: Sequence[str]) -> "Asked":
        """The command line's words."""
        given: dict[str, Any] = dict(word.split("=", 1) for word in words[1:])
        own = {name: given.pop(name) for name in READ if name in given}
        told = tuple(f"{name}={value}" for name, value in given.items())
        return cls(Path(words[0]), told=told, **{name: READ[name](value) for name, value in own.items()})


def numbers(text: str) -> tuple[int, ...]:
    """`1,2,3`, in order."""
    return tuple(sorted(map(int, text.split(","))))


READ: dict[str, Callable[[str], Any]] = {
    "rows": lambda text: tuple(text.split(",")), "seeds": numbers, "sizes": numbers, "test": int, "rankings": int,
    "out": Path, "page": Path,
}  # fmt: skip
"""Argument -> how it is read."""


@dataclass(frozen=True)
class Job:
    """One reward model."""

    name: str
    size: int
    """judged pairs that it learns from, or rankings"""
    settings: tuple[str, ...]
    kind: Literal["votes", "decisions", "flipped", "rankings", "ranked pairs"]


VOTES, ROBUST, PLAIN, RANKED, PAIRED = "votes", "flipped, robust", "flipped, plain", "rankings", "the same as pairs"
CLEAN, SMOOTHED = "not flipped, plain", "flipped, smoothed"


def jobs(asked: Asked) -> list[Job]:
    """What the rows need, each once."""
    most, plain = asked.sizes[-1], ("objective=bradley_terry",)
    votes = [Job(VOTES, size, ("objective=votes",), "votes") for size in asked.sizes]
    needed = {
        "a": votes, "b": votes[-1:], "c": votes[-1:],
        "d": [
            Job(CLEAN, most, plain, "decisions"), Job(PLAIN, most, plain, "flipped"),
            Job(ROBUST, most, ("objective=robust", f"flip_rate={FLIPPED}"), "flipped"),
            Job(SMOOTHED, most, (*plain, f"label_smoothing={FLIPPED}"), "flipped"),
        ],
        "e": [
            Job(RANKED, asked.rankings, ("objective=plackett_luce",), "rankings"),
            Job(PAIRED, asked.rankings, plain, "ranked pairs"),
        ],
    }  # fmt: skip
    return list(dict.fromkeys(job for row in asked.rows for job in needed[row]))


@dataclass(frozen=True)
class Label:
    """One annotator's choice between two responses; decided if it is for a side."""

    comparison: Comparison
    judgement: Judgement
    preference: Preference
    is_decided: bool


def labels(comparisons: Sequence[Comparison], annotators: Sequence[Annotator], seed: int) -> list[Label]:
    """One choice for each comparison: the seed and its id decide who chooses, between which two, and what."""
    made = []
    for each in comparisons:
        rng = random.Random(f"rewards {seed} {each.id}")
        annotator, (i, j) = rng.choice(annotators), rng.sample(range(len(each.responses)), 2)
        judgement = annotator.judge_pair(each, i, j, rng=rng, judgement_id=each.id, judged=judged_before(each.id))
        found = decided([each], [judgement])
        for preference in (*found.preferences, *found.undecided):
            made.append(Label(each, judgement, preference, bool(found.preferences)))
    return made


def chances(label: Label, annotators: Sequence[Annotator]) -> tuple[float, float]:
    """How likely the chosen side was, given that a side was chosen: for who knows the annotator and what stood on the
    left, and for who knows neither."""
    comparison, preference = label.comparison, label.preference
    texts, judged = (preference.chosen, preference.rejected), judged_before(comparison.id)
    won: dict[tuple[str, bool], tuple[float, float]] = {}
    for annotator in annotators:
        left, _, right = annotator.pair_probabilities(comparison.text, *texts, judged=judged)
        won[annotator.name, True] = left, right
        left, _, right = annotator.pair_probabilities(comparison.text, *texts[::-1], judged=judged)
        won[annotator.name, False] = right, left
    win, lose = won[label.judgement.annotator, label.judgement.order[0] == preference.chosen_index]
    all_win, all_lose = (sum(sides) for sides in zip(*won.values(), strict=True))
    return win / (win + lose), all_win / (all_win + all_lose)


def gold_gap(label: Label) -> float:
    """Gold utility of the chosen response less that of the rejected one."""
    texts = (label.preference.chosen, label.preference.rejected)
    better, worse = (gold.judge(label.comparison.text, text).utility for text in texts)
    return better - worse


def flipped(preferences: Sequence[Preference], share: float, seed: int) -> list[Preference]:
    """Plain decisions, of which about that share is turned; the seed and the row's id decide which."""
    made = []
    for row in preferences:
        turned = random.Random(f"flip {seed} {row.id}").random() < share
        both = (row.rejected, row.chosen) if turned else (row.chosen, row.rejected)
        made.append(Preference(id=row.id, messages=row.messages, chosen=both[0], rejected=both[1]))
    return made


def ranking(each: Comparison, annotators: Sequence[Annotator], seed: int) -> Judgement:
    """One annotator's ranking of all responses."""
    rng = random.Random(f"rank {seed} {each.id}")
    judge = rng.choice(annotators)
    return judge.judge_ranking(each, rng=rng, judgement_id=each.id, judged=judged_before(each.id))


def sampled(asked: Asked) -> list[Comparison]:
    """Four responses to each prompt, of as many prompts as are needed; written once."""
    needed = max(*asked.sizes, asked.rankings) + asked.test
    num_prompts, out = round(1.05 * needed) + 16, asked.out / f"collect-{needed}"
    collect(
        CollectConfig(
            model=f"{asked.demo}/sft/model",
            prompts=f"{asked.demo}/world/prompts.ppo.jsonl",
            num_prompts=num_prompts,
            out=str(out),
            pairs_per_prompt=1,
            ranking_share=0.0,
            overlap_share=0.0,
            threads=1,
        )
    )
    found = read_records(out / layout.COMPARISONS, Comparison)
    once = list({each.text: each for each in found if len(each.responses) == 4}.values())
    if len(once) < needed:
        raise SystemExit(f"{out}: {len(once)} different prompts have four responses, but {needed} are needed.")
    return sorted(once, key=lambda each: each.id)


@dataclass(frozen=True)
class Split:
    """What a seed decides: annotators, prompts to learn from, and held-out labels, all with a side."""

    annotators: list[Annotator]
    training: list[Comparison]
    test: list[Label]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], asked: Asked, seed: int) -> "Split":
        """The first prompts of a shuffled line are held out, so that more of the others change no test."""
        line, annotators = list(comparisons), panel(ANNOTATORS, seed=seed)
        random.Random(f"prompts {seed}").shuffle(line)
        test = [label for label in labels(line[: asked.test], annotators, seed) if label.is_decided]
        return cls(annotators, line[asked.test :], test)


def teach(job: Job, split: Split, seed: int, folder: Path) -> list[str]:
    """Writes what a model learns from. Returns: the settings that name it."""
    training = split.training[: job.size]
    undecided: list[Preference] = []
    if job.kind in ("rankings", "ranked pairs"):
        found = decided(training, [ranking(each, split.annotators, seed) for each in training])
        taught: Sequence[Preference | Ranking] = found.rankings if job.kind == "rankings" else found.preferences
    else:
        made = labels(training, split.annotators, seed)
        sided = [label.preference for label in made if label.is_decided]
        taught = sided if job.kind == "votes" else flipped(sided, FLIPPED if job.kind == "flipped" else 0.0, seed)
        undecided = [label.preference for label in made if not label.is_decided] if job.kind == "votes" else []
    write_records(folder / "taught.jsonl", taught)
    write_records(folder / "watched.jsonl", [label.preference for label in split.test[:WATCHED]])
    write_records(folder / "test.jsonl", [label.preference for label in split.test])
    settings = [f"preferences={folder}/taught.jsonl", f"held_out={folder}/watched.jsonl"]
    if undecided:
        write_records(folder / "undecided.jsonl", undecided)
        settings.append(f"undecided={folder}/undecided.jsonl")
    return settings


def learned(job: Job, split: Split, seed: int, asked: Asked) -> Line:
    """Trains one model by its stage, and asks it about every held-out label."""
    folder = asked.out / f"seed-{seed}" / f"{job.name.replace(', ', '-').replace(' ', '-')}-{job.size}"
    shutil.rmtree(folder, ignore_errors=True)  # one that was broken off says nothing of its seconds
    folder.mkdir(parents=True)
    settings = [*teach(job, split, seed, folder), *job.settings, *asked.told]
    settings += [f"model={asked.demo}/sft/model", f"out={folder}/reward", f"seed={seed}", "threads=1"]
    begun = time.process_time()
    model = reward.train(RewardConfig.load(None, settings))
    seconds = round(time.process_time() - begun, 2)
    score(ScoreConfig(model=str(model), data=f"{folder}/test.jsonl", out=f"{folder}/scores.jsonl"))
    unit = json.loads((model / NORMALISATION).read_text(encoding="utf-8"))["std"]
    result = read_document(folder / "reward" / layout.FINISHED, Finished).result
    scores = [row for _, row in read_rows(folder / "scores.jsonl")]
    known = [chances(label, split.annotators) for label in split.test]
    return {
        "job": key(job, seed, asked),
        "name": job.name,
        "size": job.size,
        "seed": seed,
        "comparison": [label.comparison.id for label in split.test],
        "margin": [round((row["chosen"] - row["rejected"]) * unit, 5) for row in scores],
        "told": [round(told, 6) for told, _ in known],
        "crowd": [round(crowd, 6) for _, crowd in known],
        "gold": [round(gold_gap(label), 5) for label in split.test],
        "first_edge": (result.get("vote_edges") or [0.0])[0],
        "cpu_seconds": seconds,
        "accuracy_train": result["accuracy_train"],
    }


def key(job: Job, seed: int, asked: Asked) -> str:
    """What a line is of: where one of these differs, the model does."""
    return json.dumps([job.name, job.size, seed, asked.test, *job.settings, *asked.told])


def shown(asked: Asked) -> list[Line]:
    """The lines of what was asked, those that are missing made first."""
    file, lines = asked.out / "lines.jsonl", list[Line]()
    asked.out.mkdir(parents=True, exist_ok=True)
    done = {line["job"]: line for _, line in read_rows(file)} if file.exists() else {}
    pool = cache(lambda: sampled(asked))
    for seed in asked.seeds:
        split = cache(lambda seed=seed: Split.of(pool(), asked, seed))
        for job in jobs(asked):
            line = done.get(key(job, seed, asked))
            if line is None:
                line = learned(job, split(), seed, asked)
                told = f"seed {seed}, {job.name}, {job.size}: {right(line).mean():.1%}, {line['cpu_seconds']} CPU s"
                with file.open("a", encoding="utf-8") as end:
                    end.write(json.dumps(line) + "\n")
                print(told, flush=True)
            lines.append(line)
    return lines


def right(line: Line, who: str = "margin") -> np.ndarray:
    """(n,) 1 where the chosen response is ahead, 1/2 where neither is; `told` and `crowd` are those who know."""
    ahead = np.array(line[who]) - (0.0 if who == "margin" else 0.5)
    return (ahead > 0) + (ahead == 0) / 2


def share(values: np.ndarray, clusters: Sequence[str]) -> str:
    """A mean of numbers in [0, 1] with its interval."""
    low, high = share_interval(values, clusters, confidence=CONFIDENCE)
    return f"{values.mean():.1%} [{low:.1%}, {high:.1%}]"


def points(values: np.ndarray, clusters: Sequence[str], *, unit: float = 100, digits: int = 1) -> str:
    """A mean difference with its interval, pair by pair."""
    low, high = mean_interval(values, confidence=CONFIDENCE, clusters=clusters)
    return f"{unit * values.mean():+.{digits}f} [{unit * low:+.{digits}f}, {unit * high:+.{digits}f}]"


Cell = Callable[[np.ndarray, Sequence[str]], str]


def row(name: str, lines: Sequence[Line], values: Callable[[Line], np.ndarray], cell: Cell) -> str:
    """A row of a table: a cell for each seed, and one for all seeds together, a prompt's pairs kept together."""
    each, prompts = [values(line) for line in lines], [line["comparison"] for line in lines]
    cells = [cell(of_seed, ids) for of_seed, ids in zip(each, prompts, strict=True)]
    together = cell(np.concatenate(each), [prompt for ids in prompts for prompt in ids])
    return f"| {name} | {' | '.join(cells)} | {together} |"


def head(first: str, lines: Sequence[Line]) -> list[str]:
    """The head of a table."""
    seeds = " | ".join(f"seed {line['seed']}" for line in lines)
    return [f"| {first} | {seeds} | all |", "|---" * (len(lines) + 2) + "|"]


def of(lines: Sequence[Line], name: str, size: int | None = None) -> list[Line]:
    """Those of one kind of model, by seed."""
    return [line for line in lines if line["name"] == name and size in (None, line["size"])]


LIMITS = {"told": "limit, told who judges and what stood left", "crowd": "limit of who reads the texts"}


def row_a(lines: Sequence[Line], asked: Asked) -> list[str]:
    """Accuracy by the number of judged pairs."""
    by_size = {size: of(lines, VOTES, size) for size in asked.sizes}
    most = by_size[asked.sizes[-1]]
    table = head("judged pairs", most)
    table += [row(f"{size}", some, right, share) for size, some in by_size.items()]
    for who, name in LIMITS.items():
        table.append(row(name, most, lambda line, who=who: right(line, who), share))
        apart = lambda line, who=who: right(line) - right(line, who)  # noqa: E731
        table.append(row(f"... points of {asked.sizes[-1]} pairs above it", most, apart, points))
    return [*table, rises([[right(line).mean() for line in some] for some in by_size.values()])]


def rises(steps: Sequence[Sequence[float]]) -> str:
    """A row that says of each seed whether every step is above the one before."""
    cells = ["yes" if all(np.diff(curve) > 0) else "no" for curve in zip(*steps, strict=True)]
    return f"| rises at every step | {' | '.join(cells)} | |"


def row_b(lines: Sequence[Line], asked: Asked) -> list[str]:
    """Accuracy by gold difference; each bin has a quarter of the pairs."""
    most, steps = of(lines, VOTES, asked.sizes[-1]), []
    table = head("gold difference", most)
    for number in range(GOLD_BINS):
        parts = [quarter(line, number) for line in most]
        size = np.abs(np.concatenate([some["gold"] for some in parts]))
        table.append(row(f"{size.min():.2f} to {size.max():.2f}", parts, right, share))
        table.append(row("... limit of who reads the texts", parts, lambda line: right(line, "crowd"), share))
        steps.append([right(some).mean() for some in parts])
    return [*table, rises(steps)]


def quarter(line: Line, number: int) -> Line:
    """The held-out labels in one bin of gold difference."""
    chosen = np.array_split(np.abs(line["gold"]).argsort(kind="stable"), GOLD_BINS)[number]
    return line | {name: [line[name][i] for i in chosen] for name in ("comparison", "margin", "crowd", "gold")}


def row_c(lines: Sequence[Line], asked: Asked) -> list[str]:
    """Calibration of P(chosen | a side)."""
    most = of(lines, VOTES, asked.sizes[-1])
    nats: Cell = lambda values, ids: points(values, ids, unit=1, digits=3)  # noqa: E731
    table = head("held-out labels", most)
    table.append(row("nats", most, lambda line: surprise(log_odds(line)), lambda values, _: f"{values.mean():.3f}"))
    for odds, name in ((log_odds, "nats above the"), (tempered, "after a temperature, nats above the")):
        for who, limit in LIMITS.items():
            apart = lambda line, who=who, odds=odds: surprise(odds(line)) + np.log(line[who])  # noqa: E731
            table.append(row(f"{name} {limit}", most, apart, nats))
    measures: dict[str, Callable[[Line], float]] = {
        "calibration error": lambda line: ece(expit(log_odds(line))),
        "... after a temperature": lambda line: ece(expit(tempered(line))),
        "... of who reads the texts and knows": lambda line: ece(np.array(line["crowd"])),
        "temperature": lambda line: fitted_temperature(log_odds(line), np.ones(len(line["margin"]))),
    }
    for name, measure in measures.items():
        table.append(f"| {name} | {' | '.join(f'{measure(line):.3f}' for line in most)} | |")
    return [*table, f"| labels | {' | '.join(str(len(line['margin'])) for line in most)} | |"]


def log_odds(line: Line) -> np.ndarray:
    """(n,) that the side was chosen which was, given a side."""
    return sided_log_odds(line["margin"], line["first_edge"])


def surprise(odds: np.ndarray) -> np.ndarray:
    """(n,) nats, at log-odds of what happened."""
    return np.logaddexp(0, -odds)


def tempered(line: Line) -> np.ndarray:
    """(n,) log-odds divided by a temperature that was fitted on other prompts; nan if they are too few."""
    found = cross_fitted(log_odds(line), np.ones(len(line["margin"])), line["comparison"], folds=FOLDS)
    return np.full(len(line["margin"]), np.nan) if found is None else found


def ece(chance: np.ndarray) -> float:
    """Calibration error."""
    return expected_calibration_error(chance, np.ones(len(chance)), bins=ECE_BINS)


def row_d(lines: Sequence[Line], asked: Asked) -> list[str]:
    """A quarter of the labels flipped, measured on labels that are not."""
    clean, plain = of(lines, CLEAN), of(lines, PLAIN)
    table = head(f"{max(asked.sizes)} pairs", clean)
    against = {"points above not flipped": clean, "points above flipped, plain": plain}
    for name in (CLEAN, PLAIN, ROBUST, SMOOTHED):
        table.append(row(name, of(lines, name), right, share))
        for words, others in against.items() if name in (ROBUST, SMOOTHED) else ():
            table.append(row(f"... {words}", of(lines, name), beside(others), points))
    return table


def beside(others: Sequence[Line]) -> Callable[[Line], np.ndarray]:
    """What a model gets right less what another one of the same seed does, label by label."""
    by_seed = {line["seed"]: line for line in others}
    return lambda line: right(line) - right(by_seed[line["seed"]])


def row_e(lines: Sequence[Line], asked: Asked) -> list[str]:
    """Rankings, and the same judgements as pairs."""
    whole, pairs = of(lines, RANKED), of(lines, PAIRED)
    table = [*head(f"{asked.rankings} rankings of four", whole), row("as rankings", whole, right, share)]
    table += [row("as pairs", pairs, right, share), row("points above pairs", whole, beside(pairs), points)]
    seconds = [[line["cpu_seconds"] for line in some] for some in (whole, pairs)]
    cells = [*zip(*seconds, strict=True), tuple(map(sum, seconds))]
    table.append(f"| CPU seconds, rankings and pairs | {' | '.join(f'{a:.0f} and {b:.0f}' for a, b in cells)} |")
    return [*table, f"| ratio | {' | '.join(f'{a / b:.2f}' for a, b in cells)} |"]


TABLES: dict[str, tuple[str, Callable[[Sequence[Line], Asked], list[str]]]] = {
    "a": ("Accuracy by the number of judged pairs", row_a),
    "b": ("By gold difference", row_b),
    "c": ("Calibration", row_c),
    "d": ("A quarter of the labels flipped", row_d),
    "e": ("Rankings of four", row_e),
}


def write_page(lines: Sequence[Line], asked: Asked) -> None:
    """The page: the parts that were asked for, and of others what stood there."""
    opening = (
        "# Reward models against what can be known of their annotators\n\n"
        f"Written by `python benchmarks/rewards.py {' '.join(['DEMO', *asked.told])}`: the demo's SFT model, labels\n"
        "of one of five simulated annotators each, measured on labels of other prompts. Brackets are 95 % intervals;\n"
        "`all` takes the seeds together, a prompt's pairs in one piece. The benchmark's head says how it is done.\n"
    )
    parts = {TABLES[letter][0]: "\n".join(TABLES[letter][1](lines, asked)) for letter in asked.rows}
    write_parts(asked.page, opening, parts, [title for title, _ in TABLES.values()])


def main() -> None:
    """Runs what is missing, and writes the page."""
    if len(sys.argv) < 2:
        print("rewards.py needs a finished demo: python benchmarks/rewards.py DEMO. Skipped.")
        return
    asked = Asked.of(sys.argv[1:])
    write_page(shown(asked), asked)
    print(asked.page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
