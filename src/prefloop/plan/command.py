"""`prefloop plan STAGE [file.yaml] key=value ...`: what a stage would take, before anything is loaded.

Reads: the configurations of models, the first bytes of their weights' files, some rows of the data. Writes nothing.
Follows EFF-1 and EFF-11 (memory before it is asked for, and what to change), SFT-9 (hours of accelerators), Z1 (what
the size of a reward model costs).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from prefloop.config import settings_help
from prefloop.costs.estimate import GB, Estimate, Needs, size, span, table
from prefloop.costs.speed import measured, stated
from prefloop.errors import UserError
from prefloop.models.device import placement
from prefloop.models.machine import held_memory, room
from prefloop.named import named
from prefloop.plan.config import PlanConfig
from prefloop.plan.remedies import Plan, remedies, sizes_of_reward_model
from prefloop.settings import RunConfig, Trained
from prefloop.stages import STAGES, Stage

PLANNED = tuple(name for name, stage in STAGES.items() if stage.needs is not None)
NAMES = {"model": "base", "reward": "reward"}
"""Kind of input -> what it is called in an example; others by their setting."""


def main(arguments: Sequence[str]) -> int:
    """Prints the plan. Returns: the exit code, 1 if it does not fit."""
    if not arguments or arguments[0] == "--help":
        print(_usage())
        return 0
    name, *rest = arguments
    stage = STAGES.get(name)
    if stage is None or stage.needs is None or stage.settings is None:
        raise UserError(
            f"`{name}`: there is a plan for {', '.join(PLANNED)}. For instance: {example(STAGES[PLANNED[0]])}"
        )
    if rest == ["--help"]:
        print(_help(stage))
        return 0
    asked = PlanConfig.load(None, [part for part in rest if part.startswith("on=")])
    rest = [part for part in rest if not part.startswith("on=")]
    path = rest.pop(0) if rest and ("=" not in rest[0] or Path(rest[0]).is_file()) else None
    settings_class = named(stage.settings)
    if not any(part.startswith("out=") for part in rest) and path is None:
        rest.append("out=unused")
    settings = settings_class.load(path, rest)
    plan, assumed = planned(stage, settings)
    return 0 if _print(settings, plan, asked, assumed) else 1


def planned(stage: Stage, settings: Any) -> tuple[Plan, str]:
    """What a stage needs with settings of its own, its files being looked at once, and what was assumed of these."""
    needs = stage.needs or ""
    lengths = named(f"{needs.partition(':')[0]}:lengths")(settings)
    return lambda changed: named(needs)(changed, lengths), lengths.assumed


def _usage() -> str:
    """What `prefloop plan --help` prints."""
    heading = (
        "prefloop plan STAGE [file.yaml] [key=value ...]: what a stage will take of memory and time, before anything "
        f"is loaded.\n\n  STAGE is one of: {', '.join(PLANNED)}\n  For instance: {example(STAGES['ppo'])}\n\n"
        "The settings are the stage's own (prefloop plan STAGE --help), without out=. Beside them:"
    )
    return settings_help(heading, PlanConfig)


def _help(stage: Stage) -> str:
    """What `prefloop plan STAGE --help` prints."""
    heading = (
        f"prefloop plan {stage.name} [file.yaml] [key=value ...]: what `prefloop {stage.name}` will take of memory and "
        f"time, before anything is loaded.\n\n  For instance: {example(stage)}\n\nOf the plan itself:"
    )
    of_stage = settings_help(f"Of `prefloop {stage.name}`; out= may be left out:", named(stage.settings or ""))
    return f"{settings_help(heading, PlanConfig)}\n\n{of_stage}"


def example(stage: Stage) -> str:
    """A command that plans a stage: its needed settings, with files and folders of usual names."""
    fields = named(stage.settings or "").model_fields
    needed = [key for key in fields if (fields[key].is_required() and key != "out") or key == "reward"]
    kinds = {key: stage.takes.get(key, "") for key in needed}
    given = [f"{key}={_file(stage, key) if kind == 'file' else NAMES.get(kind, key)}" for key, kind in kinds.items()]
    return " ".join(["prefloop", "plan", stage.name, *given])


def _file(stage: Stage, key: str) -> str:
    """The usual name of a file that a setting names: of what it holds."""
    held = [what for what, settings in stage.reads.items() if f"{key}=" in settings]
    return f"{key if key in held or not held else held[0]}.jsonl"


def _print(settings: Any, plan: Plan, asked: PlanConfig, assumed: str) -> bool:
    """Prints table, peak, time and remedies. Args: assumed: of the rows' lengths. Returns: whether it fits."""
    count, gigabytes = asked.accelerators
    needs: Needs = plan(settings)
    around = 0.0
    if count:
        there = gigabytes * GB
        speed = stated(gigabytes)
        needs = replace(needs, device="cuda")
    else:
        place = placement(settings.device, settings.dtype)
        if isinstance(settings, RunConfig) and settings.threads:
            torch.set_num_threads(settings.threads)
        around = held_memory(place.device) if place.device.type == "cpu" else 0.0
        there, speed = room(place.device, settings.memory if isinstance(settings, Trained) else 0.0), measured(place)
    estimate = Estimate(needs, around)
    fits = estimate.peak <= there
    print("\n".join(table(estimate)))
    verdict = "it fits" if fits else "it does not fit"
    print(f"peak {size(estimate.peak)}, at its {estimate.at}; {size(there)} there: {verdict}.")
    total = speed.seconds(needs.parts)
    each, updates = "", ""
    if needs.updates:
        each, updates = f"{span(total / needs.updates)} an update, ", f" ({needs.updates} updates)"
    print(f"time {each}{span(total)} in all{updates}{_hours(count, gigabytes, total)}.")
    for part in needs.parts:
        print(f"  {part.name:<24} {span(speed.of(part))}")
    for note in dict.fromkeys([*needs.notes, *(role.unseen for role in needs.roles), assumed]):
        if note:
            print(f"note: {note}")
    sizes = sizes_of_reward_model(needs, around)
    if sizes:
        print("peak by the reward model's size, beside the policy's: " + ", ".join(f"{w} {size(p)}" for w, p in sizes))
    if not fits:
        print("What to change, cheapest first, each on top of those before:")
        found = list(remedies(settings, plan, around, there, device=needs.device))
        for remedy in found:
            print(f"  {size(remedy.peak):>8}  {remedy.what}{'   <- fits' if remedy.peak <= there else ''}")
        if not any(remedy.peak <= there for remedy in found):
            print("None of it is enough: take a smaller model, or a machine with more memory.")
    return fits


def _hours(count: int, gigabytes: float, total: float) -> str:
    """What accelerators that are not here would take, of which prefloop uses one in a process."""
    if not count:
        return ""
    hours = total / 3600
    return f" on one accelerator of {gigabytes:g} GB: {hours:.2g} GPU hours; shared by {count}, {span(total / count)}"
