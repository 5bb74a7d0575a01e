"""A run: one folder with its settings, command, inputs, metrics, samples and checkpoints; exact to resume."""

from prefloop.run.run import Run

__all__ = ["Run"]
