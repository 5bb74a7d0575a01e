"""Do synthetic pairs help a reward model that has few real ones? On the helpdesk, with them and without.

    python benchmarks/augmentation.py DEMO [DEMO ...] [size=500] [out=FOLDER]

DEMO is the folder of a finished `prefloop run helpdesk`, one a seed. Of its preferences `size` are drawn; a reward
model learns from them alone, from them and their synthetic rows (`prefloop data augment`, all four kinds, a quarter of
the rows each), and from the same where synthetic rows count a quarter. All are measured by the same held-out pairs of
the annotators, and by the probes of the health card: what damage does to a score, in margins. Prints a table; a
finished model is not trained again.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from prefloop import layout
from prefloop.data.augment import augment
from prefloop.data.config import AugmentConfig
from prefloop.files.tables import read_records, write_records
from prefloop.records import Preference
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train
from prefloop.stats.intervals import mean_interval

ARMS: dict[str, dict[str, float] | None] = {
    "real alone": None,
    "with synthetic": {},
    "trust.synthetic=0.25": {"synthetic": 0.25},
}
"""What is learned from -> what it counts; None for no synthetic rows."""
PROBES = ("truncation", "shuffled", "prompt", "digit")


def trained(demo: Path, out: Path, arm: str, files: dict[str, Path], seed: int) -> dict[str, Any]:
    """The result and the card of one model."""
    trust = ARMS[arm]
    folder = out / f"{seed}-{list(ARMS).index(arm)}"
    train(
        RewardConfig(
            model=str(demo / "sft" / layout.MODEL),
            out=str(folder),
            seed=seed,
            trust=trust or None,
            threads=1,
            preferences=str(files["real" if trust is None else "both"]),
            held_out=str(demo / "collect" / layout.HELD_OUT),
            demonstrations=str(demo / "world" / "demonstrations.jsonl"),
        )
    )
    result = json.loads((folder / layout.FINISHED).read_text())["result"]
    return result | {"card": json.loads((folder / layout.MODEL / layout.MODEL_CARD).read_text())}


def main(arguments: list[str]) -> None:
    """Trains what is not trained yet, and prints."""
    settings = dict(text.split("=", 1) for text in arguments if "=" in text)
    demos = [Path(text) for text in arguments if "=" not in text]
    if not demos:
        print("augmentation.py needs finished pipelines: python benchmarks/augmentation.py DEMO ... Skipped.")
        return
    size, out = int(settings.get("size", 500)), Path(settings.get("out", "augmentation"))
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for seed, demo in enumerate(demos):
        rows = read_records(demo / "collect" / layout.PREFERENCES, Preference)
        files = {name: out / f"{seed}-{name}.jsonl" for name in ("real", "both")}
        write_records(files["real"], random.Random(seed).sample(rows, size))
        augment(str(files["real"]), AugmentConfig(out=str(files["both"]), seed=seed))
        for arm in ARMS:
            found[arm].append(trained(demo, out, arm, files, seed))
    base = np.array([each["accuracy"] for each in found["real alone"]])
    print("| learned from | accuracy, % | points beside real alone |", " | ".join(PROBES), "|")
    print("|---" * (3 + len(PROBES)) + "|")
    for arm, results in found.items():
        accuracy = np.array([each["accuracy"] for each in results])
        probes = [np.mean([margins(each["card"], probe) for each in results]) for probe in PROBES]
        told = " | ".join(f"{probe:+.2f}" for probe in probes)
        print(f"| {arm} | {each_of(100 * accuracy)} | {apart(100 * (accuracy - base))} | {told} |")


def each_of(values: np.ndarray) -> str:
    """A number for each seed."""
    return ", ".join(f"{value:.1f}" for value in values)


def apart(points: np.ndarray) -> str:
    """The mean over seeds, with its interval where there are several."""
    if not points.any():
        return "-"
    if len(points) == 1:
        return f"{points[0]:+.1f}"
    low, high = mean_interval(points, confidence=0.95)
    return f"{points.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def margins(card: dict[str, Any], name: str) -> float:
    """What a probe does to the score, in margins; nan if it was not made."""
    found = next((each for each in card["probes"] if each["name"].split(".")[0] == name), None)
    return float("nan") if found is None or found["margins"] is None else float(found["margins"])


if __name__ == "__main__":
    main(sys.argv[1:])
