"""The whole helpdesk recipe, tiny (miniature.yaml): as overrides for the command line."""

from pathlib import Path
from typing import Any

from prefloop.notation import read_yaml

FEW = {
    "choose.num": 8, "choose.candidates": 8, "choose.responses_per_prompt": 2, "choose.max_new_tokens": 8,
    "collect.held_out": 0.4, "gate.least": 1, "gate.most": 6, "gate.slice_floor": 0,
    "skills.num_tasks": 2, "skills.max_new_tokens": 8,
}  # fmt: skip
"""What makes a round of the recipe `rounds` small."""
FILE = Path(__file__).with_name("miniature.yaml")


def overrides(file: Path = FILE, **others: str) -> list[str]:
    """The miniature as `key=value` arguments of `prefloop run helpdesk`, with other values for some."""
    values, _ = read_yaml(str(file))
    settings = dict(text.split("=", 1) for text in flattened(values, ""))
    return [f"{key}={value}" for key, value in {**settings, **others}.items()]


def rounds(*, out: str, num: int) -> list[str]:
    """The miniature as arguments of `prefloop run rounds`: as many rounds, in that folder."""
    once, repeated = [], [f"rounds.{key}={value}" for key, value in FEW.items()]
    for word in overrides(**{"world.num_collect": "48"}):
        inside = word.split(".")[0] in ("collect", "reward", "ppo", "evaluate")
        (repeated if inside else once).append(f"rounds.{word}" if inside else word)
    return [*once, *repeated, f"rounds.num={num}", f"out={out}"]


def flattened(values: dict[str, Any], prefix: str) -> list[str]:
    """Nested settings as dotted `key=value`."""
    settings: list[str] = []
    for key, value in values.items():
        settings += flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={value}"]
    return settings
