"""A run's folder: claim, identity, logs, checkpoints, interrupts, parts, timing and progress apart, `Run` of them all."""

from prefloop.run.run import Run

__all__ = ["Run"]
