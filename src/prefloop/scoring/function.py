"""A Python function as a scorer: (prompts, responses) as lists of strings in, one float for each out."""

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from prefloop.errors import UserError
from prefloop.scoring.protocol import Conversation


class PythonReward:
    """A function in a Python file: takes (prompts, responses) as lists of strings, returns one float each."""

    def __init__(self, spec: str) -> None:
        """Args: spec: `FILE.py:FUNCTION`. Raises: UserError if there is no such file or function."""
        file, colon, function = spec.rpartition(":")
        if not colon or not file.endswith(".py"):
            raise UserError(f"python:{spec}: write python:FILE.py:FUNCTION, for instance python:reward.py:score.")
        if not Path(file).is_file():
            raise UserError(f"{file}: there is no such file; the reward function is looked for there.")
        module_spec = importlib.util.spec_from_file_location(f"prefloop_reward_{Path(file).stem}", file)
        assert module_spec is not None and module_spec.loader is not None  # a .py file always has a loader
        module = importlib.util.module_from_spec(module_spec)
        try:
            module_spec.loader.exec_module(module)
        except SyntaxError as problem:
            raise UserError(f"{file}:{problem.lineno}: this is not Python: {problem.msg}.") from None
        if not callable(vars(module).get(function)):
            raise UserError(
                f"{file}: there is no function called `{function}`; it needs (prompts, responses) and returns a list "
                "of floats."
            )
        self._function, self.name = vars(module)[function], f"python:{spec}"

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) what the function returned. Raises: UserError if that is not one finite float for each response."""
        texts = ["\n".join(message.content for message in prompt) for prompt in prompts]
        values: Any = self._function(texts, list(responses))
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            raise UserError(
                f"{self.name}: returned {type(values).__name__}, not one float for each response."
            ) from None
        if len(numbers) != len(responses):
            raise UserError(
                f"{self.name}: returned {len(numbers)} numbers for {len(responses)} responses; return one float for "
                "each."
            )
        bad = next((i for i, x in enumerate(numbers) if not math.isfinite(x)), None)
        if bad is not None:
            raise UserError(
                f"{self.name}: returned {numbers[bad]} for the response {responses[bad]!r}; return a finite number."
            )
        return torch.tensor(numbers)
