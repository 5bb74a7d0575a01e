"""A run's folder: claim, identity, logs, checkpoints, interrupts, parts, timing, progress; `Run` is all of them."""

from prefloop.run.run import Run

__all__ = ["Run"]
