"""What do columns of their own gain on one trunk? On the helpdesk world.

    python benchmarks/columns.py DEMO [rows=domains,people,strangers] [seeds=0,1,2] [sizes=1200] [test=1200]
                                      [out=FOLDER] [page=FILE] [epochs=3 ...]

DEMO is the folder of a finished `prefloop run helpdesk`. Its SFT model answers each prompt four times, once, whatever
the seed (as in benchmarks/rewards.py); a seed decides which prompts are held out, which pair of each is judged, by
whom, and what they say. Every pair is judged by one annotator, once. What else is given, as `epochs=2`, goes to
`prefloop reward`. What came of a seed is kept in out/lines.jsonl, and nothing that stands there is trained again.

    domains     one model for all topics, one with a column for each topic, and a model for each topic      (RM-16)
    people      six annotators of differing tastes: one score for all, a column and a model for each        (FUT-5)
    strangers   people in groups of one taste: one score, and a column for each group, asked of people who judged
                nothing that was learned from                                                               (FUT-5)

The limit is what somebody reaches who knows who judges and their chances. Writes docs/results/columns.md.
"""

import itertools
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rewards
import torch
from rewards import Label, labels, points, share

from prefloop.files.atomic import write_text
from prefloop.files.tables import read_rows, write_records
from prefloop.models.columns import domain_of
from prefloop.models.device import Placement
from prefloop.records import Comparison, Preference
from prefloop.reward import stage as reward
from prefloop.reward.config import RewardConfig
from prefloop.reward.heads import GROUP
from prefloop.scoring.reward_model import RewardModel
from prefloop.world.annotators import Annotator, AnnotatorConfig, panel

ROOT = Path(__file__).parents[1]
CPU = Placement(torch.device("cpu"))
LEAST, WATCHED, OF_A_TASTE = 30, 14, 4
"""Pairs with which a model of a topic's own is trained at least; held-out pairs that a run looks at on its way, so few
that none is edited for its card; people of each taste."""
TASTES = {
    "as gold": {}, "as gold, twice as sure": {"ability": 7.0}, "long": {"length_bias": 0.15},
    "short": {"length_bias": -0.15}, "courteous": {"courtesy_bias": 0.3}, "never courteous": {"courtesy_bias": -0.3},
}  # fmt: skip
"""People, and what makes them differ."""
ONE, COLUMNS, APART = "one score", "a column each", "a model each"
Line = dict[str, Any]
"""`what`, `name`, `seed`, `cpu_seconds`, and (n,) lists over the held-out labels of `group`, `prompt`, `right` and
`limit`."""


@dataclass(frozen=True)
class Asked(rewards.Asked):
    """What was typed."""

    rows: tuple[str, ...] = ("domains", "people", "strangers")
    sizes: tuple[int, ...] = (1200,)
    test: int = 1200
    rankings: int = 1
    out: Path = ROOT / "runs" / "columns"
    page: Path = ROOT / "docs" / "results" / "columns.md"


def people(what: str, seed: int) -> tuple[list[Annotator], list[Annotator]]:
    """Who judges what is learned from, and who what is held out: an ordinary panel, or people of differing tastes."""
    everybody = panel(rewards.ANNOTATORS, seed=seed)
    if what == "people":
        everybody = [Annotator(AnnotatorConfig(**taste), name) for name, taste in TASTES.items()]  # type: ignore[arg-type]
    if what != "strangers":
        return everybody, everybody
    ordinary = iter(panel(len(TASTES) * OF_A_TASTE, seed=seed))
    crowd = [
        Annotator(one.config.model_copy(update=taste), f"{name} {number}")
        for name, taste in TASTES.items()
        for number, one in enumerate(itertools.islice(ordinary, OF_A_TASTE))
    ]
    return [one for one in crowd if not one.name.endswith(" 0")], [one for one in crowd if one.name.endswith(" 0")]


def group(what: str, label: Label) -> str:
    """The topic of a label's prompt, who judged, or the group that they are of."""
    if what == "domains":
        return domain_of(label.comparison.tags) or "none"
    return label.judgement.annotator if what == "people" else label.judgement.annotator.rpartition(" ")[0]


def taught(what: str, label: Label) -> Preference:
    """What is learned from a label: of people in groups it says of which."""
    tags = (*label.preference.tags, GROUP + group(what, label)) if what == "strangers" else label.preference.tags
    return label.preference.model_copy(update={"tags": tags})


def trained(asked: Asked, folder: Path, rows: Sequence[Preference], held_out: Sequence[Label], *settings: str) -> Path:
    """A reward model of these rows."""
    folder.mkdir(parents=True)
    write_records(folder / "taught.jsonl", rows)
    write_records(folder / "watched.jsonl", [label.preference for label in held_out[:WATCHED]])
    files = [f"preferences={folder}/taught.jsonl", f"held_out={folder}/watched.jsonl", f"model={asked.demo}/sft/model"]
    return reward.train(RewardConfig.load(None, [*files, *settings, *asked.told, f"out={folder}/reward", "threads=1"]))


def right(model: str, rows: Sequence[Label]) -> list[float]:
    """1 where the chosen response is ahead, 1/2 where neither is."""
    judge = RewardModel(model, CPU)
    asked = [label.preference.messages for label in rows]
    ahead, behind = (
        judge.score(asked, texts)
        for texts in ([r.preference.chosen for r in rows], [r.preference.rejected for r in rows])
    )
    return ((ahead > behind).float() + (ahead == behind).float() / 2).tolist()


def lines_of(asked: Asked, what: str, seed: int, pool: Sequence[Comparison]) -> list[Line]:
    """One score, a column each, and a model each, trained on the same labels and asked of the same."""
    line = sorted(pool, key=lambda each: rewards.random.Random(f"{seed} {each.id}").random())
    judges, asking = people(what, seed)
    test = [label for label in labels(line[: asked.test], asking, seed) if label.is_decided]
    made = labels(line[asked.test : asked.test + asked.sizes[-1]], judges, seed)
    rows = [(group(what, label), taught(what, label)) for label in made if label.is_decided]
    groups, folder = [group(what, label) for label in test], asked.out / f"{what}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # what was broken off says nothing of its seconds
    beside = {
        "what": what, "seed": seed, "group": groups, "prompt": [label.comparison.id for label in test],
        "limit": [float(rewards.chances(label, asking)[0] > 0.5) for label in test],
    }  # fmt: skip
    found: list[Line] = []

    def told(name: str, begun: float, rights: list[float]) -> None:
        seconds = round(time.process_time() - begun, 1)
        found.append({**beside, "name": name, "right": rights, "cpu_seconds": seconds})
        print(f"{what}, seed {seed}, {name}: {np.mean(rights):.1%}, {seconds} CPU s", flush=True)

    begun, everything = time.process_time(), [row for _, row in rows]
    one = trained(asked, folder / "one", everything, test, f"seed={seed}")
    told(ONE, begun, right(str(one), test))
    begun = time.process_time()
    kind = "domains" if what == "domains" else "annotators"
    several = trained(asked, folder / "columns", everything, test, f"seed={seed}", f"heads={kind}")
    names = RewardModel(str(several), CPU).columns.names
    told(COLUMNS, begun, _by_group(test, groups, lambda of: f"{several}:{of if of in names else names[0]}"))
    if what == "strangers":
        return found
    begun = time.process_time()
    own: dict[str, str] = {}
    for of in sorted(set(groups)):
        some = [row for its, row in rows if its == of]
        watched = [label for label, its in zip(test, groups, strict=True) if its == of]
        few = len(some) < LEAST
        own[of] = str(one if few else trained(asked, folder / f"own-{of}", some, watched, f"seed={seed}"))
    told(APART, begun, _by_group(test, groups, own.__getitem__))
    return found


def _by_group(test: Sequence[Label], groups: Sequence[str], model: Any) -> list[float]:
    """Rights of all labels, each asked of the model of its group."""
    rights = [0.0] * len(test)
    for of in sorted(set(groups)):
        places = [place for place, its in enumerate(groups) if its == of]
        for place, value in zip(places, right(model(of), [test[place] for place in places]), strict=True):
            rights[place] = value
    return rights


def shown(asked: Asked) -> list[Line]:
    """The lines of what was asked, those that are missing made first."""
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "lines.jsonl"
    done = [line for _, line in read_rows(file)] if file.exists() else []
    pool = cache(lambda: rewards.sampled(asked))
    lines: list[Line] = []
    for what in asked.rows:
        for seed in asked.seeds:
            key = [what, seed, asked.sizes[-1], asked.test, *asked.told]
            known = [line for line in done if line["key"] == key]
            if not known:
                known = [{"key": key, **line} for line in lines_of(asked, what, seed, pool())]
                with file.open("a", encoding="utf-8") as end:
                    end.writelines(json.dumps(line) + "\n" for line in known)
            lines += known
    return lines


def page(lines: Sequence[Line], asked: Asked) -> str:
    """The tables."""
    titles = {
        "domains": "One model for several domains, against one for each (topics of the helpdesk)",
        "people": "Personal preference: six people of differing tastes",
        "strangers": "Personal preference: groups of one taste, asked of people nobody learned from",
    }
    parts = [
        "# Columns on one trunk\n\nWritten by `python benchmarks/columns.py DEMO`. Accuracy on held-out labels with 95 "
        f"% intervals; {asked.sizes[-1]} judged pairs, one annotator each; seeds {asked.seeds}. "
        "The limit is what somebody reaches who knows the annotator and their chances.\n"
    ]
    for what in asked.rows:
        some = [line for line in lines if line["what"] == what]
        names = (ONE, COLUMNS) if what == "strangers" else (ONE, COLUMNS, APART)
        by = {name: [line for line in some if line["name"] == name] for name in names}
        others = [name for name in names if name != COLUMNS]
        groups = sorted({of for line in some for of in line["group"]})
        head = ["", "labels", *by, *(f"{COLUMNS} - {name}, points" for name in others), "limit"]
        parts.append(f"## {titles[what]}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for of in [None, *groups]:
            values = {name: _chosen(rows, "right", of) for name, rows in by.items()}
            limit, prompts = _chosen(by[ONE], "limit", of), _chosen(by[ONE], "prompt", of)
            if len(set(prompts)) < 2:  # which have no interval
                continue
            cells = [of or "all", str(len(prompts)), *(share(value, prompts) for value in values.values())]
            cells += [points(values[COLUMNS] - values[name], prompts) for name in others]
            parts.append(f"| {' | '.join([*cells, f'{limit.mean():.1%}'])} |")
        seconds = {name: np.mean([line["cpu_seconds"] for line in rows]) for name, rows in by.items()}
        parts.append("\nCPU seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()) + ".\n")
    return "\n".join(parts)


def _chosen(rows: Sequence[Line], name: str, of: str | None) -> Any:
    """One list of some lines, of all labels or of those of one group."""
    pairs = [
        (value if name != "prompt" else f"{line['seed']} {value}")
        for line in rows
        for value, its in zip(line[name], line["group"], strict=True)
        if of in (None, its)
    ]
    return pairs if name == "prompt" else np.array(pairs)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(print("columns.py needs a finished demo: python benchmarks/columns.py DEMO. Skipped."))
    typed = Asked.of(sys.argv[1:])
    write_text(typed.page, page(shown(typed), typed))
    print(f"written to {typed.page}")
