"""What every run leaves in its folder beside its results: where it came from, what it made, and what that took."""

from typing import Any

from pydantic import Field

from prefloop.records.record import Record


class Artefact(Record):
    """A file or folder that a stage read or wrote."""

    path: str
    """Where it is: of an input as it was typed, of an output inside the run's folder."""
    fingerprint: str
    """What it is (files/fingerprints.py)."""


class Identity(Record):
    """What makes a run this run: the stage, its settings, and its inputs by content rather than by path."""

    stage: str
    """The stage's name."""
    settings: dict[str, Any]
    """Settings but for those that only say where."""
    inputs: dict[str, str]
    """Name -> fingerprint of everything that the stage reads."""


class RunCard(Record):
    """`run.json`: where a run came from. Written first; a folder without it is not a run's."""

    stage: str
    """The stage's name."""
    command: str
    """What was typed."""
    seed: int
    """Decides every random choice."""
    threads: int
    """CPU threads that it began with."""
    versions: dict[str, str]
    """Python, prefloop and the packages that numbers depend on."""
    machine: dict[str, str | int | None]
    """System, processor and number of cores."""
    config: dict[str, Any]
    """The resolved settings."""
    inputs: dict[str, Artefact]
    """Name -> everything that the stage reads."""
    identity: Identity
    """What the same command is recognised by."""
    chosen: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What settings left open -> what was chosen when the run began, and stays when it goes on."""
    diverged: str = ""
    """Of a run that stopped because its numbers went wrong: in which step, and what first; empty for any other."""


class Finished(Record):
    """`finished.json`: what a run made. Written last; a run without it has not ended well."""

    outputs: dict[str, Artefact]
    """Name -> everything that the stage wrote for others."""
    sizes: dict[str, int] = Field(default_factory=dict)
    """Name -> bytes of each file in these, by which a rerun sees that they are still there."""
    result: dict[str, Any]
    """Its headline numbers."""


class Timing(Record):
    """`timing.json`: what a run took, over all its sessions."""

    seconds: float = 0.0
    """Seconds of work."""
    cpu_seconds: float | None = None
    """Seconds that processors worked, all threads together; null if a session was from before that was counted. What
    was killed at once is not in it, nor in the others."""
    peak_rss_mb: float = 0.0
    """Most memory held at once, in MB."""
    peak_mb: float = 0.0
    """The same on the device: of tensors on an accelerator."""
    expected_mb: float = 0.0
    """What was expected of it when the stage began; 0 if nothing was."""
    sessions: int = 0
    """How often it was started."""
