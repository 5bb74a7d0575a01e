"""What makes a run this run: stage, settings, and inputs by content; written into its card, and compared with it."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import prefloop
from prefloop import presets
from prefloop.files import fingerprints
from prefloop.records import Artefact, Identity, RunCard
from prefloop.settings import RunConfig, WithPreset

WHERE_NOT_WHAT = (
    "out", "device", "threads", "page", "reward_seconds", "reward_batch", "reward_retries", "env_seconds",
    "reviser_seconds", "checkpoint_every", "memory", "track", "watch", "verify", "anyway", "preset",
    *(f"{asked}.{name}" for asked in ("judge", "reviser") for name in (
        "base_url", "key_variable", "retries", "backoff", "timeout", "concurrency", "max_calls", "max_cost",
        "price_prompt", "price_response",
    )),
)  # fmt: skip
"""Settings that do not make it another run."""
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")
"""What numbers depend on, beside Python and prefloop."""


def change_of_versions(before: RunCard, now: RunCard) -> str:
    """Which packages that numbers depend on have another version than when the run began, in words; else empty."""
    pairs = ((name, before.versions.get(name), now.versions.get(name)) for name in ("python", *PACKAGES))
    return ", ".join(f"{name} was {old} and is now {new}" for name, old, new in pairs if old != new)


def new_card(stage: str, config: RunConfig, inputs: Mapping[str, str | None], *, threads: int) -> RunCard:
    """The card of a run that begins now. Raises: UserError if an input is not there.

    Args:
        inputs: name -> path of everything that the stage reads; None entries are left out.
        threads: CPU threads of this process.
    """
    artefacts = {
        name: Artefact(path=path, fingerprint=fingerprints.of_path(path))
        for name, path in inputs.items()
        if path is not None
    }
    settings = config.model_dump(mode="json")
    places = [artefact.path for artefact in artefacts.values()]
    around = {name: [str(folder) for folder in Path(artefact.path).parents] for name, artefact in artefacts.items()}
    left_out = (*WHERE_NOT_WHAT, *config.AFTERWARDS)
    identity = Identity(
        stage=stage,
        settings=_deciding(settings, left_out, places, around),
        inputs={name: artefact.fingerprint for name, artefact in artefacts.items()},
    )
    return RunCard(
        stage=stage,
        command=shlex.join(["prefloop", *sys.argv[1:]]),
        seed=config.seed,
        threads=threads,
        versions={
            "prefloop": prefloop.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        machine={"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        config=settings,
        inputs=artefacts,
        identity=identity,
        chosen=_cited(stage, config),
    )


def _cited(stage: str, config: RunConfig) -> dict[str, dict[str, Any]]:
    """What a preset gave, and where each number comes from; nothing without one."""
    if not isinstance(config, WithPreset) or config.preset is None:
        return {}
    preset = presets.read(stage, config.preset)
    given = dict(config)
    taken = {name: source for name, source in preset.sources.items() if given.get(name) == preset.values[name]}
    told = {"name": preset.name, "is": preset.heading, "fingerprint": fingerprints.of_path(preset.path)}
    return {"preset": {**told, "sources": taken}}


def _deciding(
    settings: Mapping[str, Any],
    left_out: Sequence[str],
    places: Sequence[str],
    around: Mapping[str, Sequence[str]],
    above: str = "",
) -> dict[str, Any]:
    """The settings, and those of sections in them, that make a run this run: not where its inputs are.

    Args:
        left_out: names of others that do not, with a dot for those of a section.
        places: where inputs are.
        around: name -> the folders that its input is in.
        above: what stands before their names, such as `judge.`.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}{key}"
        if name in left_out or value in places or value in around.get(name, ()):
            continue
        if isinstance(value, list | tuple) and value and all(part in places for part in value):
            continue
        if isinstance(value, dict) and any(other.startswith(f"{name}.") for other in (*left_out, *around)):
            found[key] = _deciding(value, left_out, places, around, f"{name}.")
        else:
            found[key] = value
    return found


def difference(
    before: Identity, now: Identity, *, aside: tuple[str, ...] = (), defaults: Mapping[str, Any] | None = None
) -> str:
    """What differs between two identities, in words; empty if nothing does.

    Args:
        aside: settings of the stage that may change; older versions recorded them.
        defaults: of the stage's settings: what a run had of one that its version did not know yet.
    """
    had = {**(defaults or {}), **before.settings}
    if before.stage != now.stage:
        return f"it was written by the stage `{before.stage}`, not `{now.stage}`"
    settings = [
        f"`{key}` was {json.dumps(had.get(key))} and is now {json.dumps(now.settings.get(key))}"
        for key in sorted({*before.settings, *now.settings} - {*WHERE_NOT_WHAT, *aside})
        if had.get(key) != now.settings.get(key)
    ]
    inputs = [
        f"the input `{key}` had the fingerprint {before.inputs.get(key)} and now has {now.inputs.get(key)}"
        for key in sorted({*before.inputs, *now.inputs})
        if before.inputs.get(key) != now.inputs.get(key)
    ]
    return "; ".join([*settings, *inputs])
