"""A Python function as a scorer: (prompts, responses) as lists of strings in, one float for each out.

It is somebody else's code: it may raise, hang, end the process or change the current folder. Whatever it does ends in a
sentence with its file and line, and leaves things as they were.
"""

import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prefloop.errors import UserError
from prefloop.scoring.protocol import Conversation, Scored, Tags
from prefloop.scoring.said import scored
from prefloop.scoring.seconds import TooLong, limited

SECONDS = 600.0
"""How long one call may take, unless a setting says otherwise."""
NEEDS = "it takes (prompts, responses) as lists of strings and returns a list of floats"


class PythonFunction:
    """A function in somebody's Python file, and how it is called."""

    def __init__(
        self,
        spec: str,
        *,
        needs: str,
        each: str = "float",
        arguments: int = 2,
        seconds: float = SECONDS,
        setting: str = "reward_seconds",
    ) -> None:
        """Loads the file.

        Args:
            spec: `FILE.py:FUNCTION`.
            needs: what it takes and returns, in words.
            each: what that is for each response.
            arguments: lists that it takes.
            seconds: how long one call may take.
            setting: what says so.

        Raises: UserError if there is no such file or function, or if it cannot be called so.
        """
        file, colon, function = spec.rpartition(":")
        if not colon or not file.endswith(".py") or not function:
            raise UserError(f"python:{spec}: write python:FILE.py:FUNCTION, for instance python:reward.py:score.")
        if not Path(file).is_file():
            raise UserError(f"{file}: there is no such file; the function is looked for there.")
        self._given, self._file, self._function, self._seconds = file, os.path.abspath(file), function, seconds
        self._needs, self._each, self._setting = needs, each, setting
        self.name = f"python:{spec}"
        names = self._guarded(self._loaded, "loading it")
        self._call: Callable[..., Any] = self._found(names.get(function))
        try:
            inspect.signature(self._call).bind(*[[] for _ in range(arguments)])
        except TypeError:
            count = {1: "one argument", 2: "two arguments", 3: "three arguments"}[arguments]
            raise UserError(f"{file}: `{self._function}` cannot be called with {count}; {needs}.") from None
        except ValueError:
            pass  # written in C, and tells no signature

    def _found(self, thing: Any) -> Callable[..., Any]:
        """What is called, of what the file defines under the name. Raises: UserError if it cannot be called."""
        if not callable(thing):
            raise UserError(f"{self._given}: there is no function called `{self._function}`; {self._needs}.")
        return thing

    def _loaded(self) -> dict[str, Any]:
        """The names that the file defines. What lies beside it can be imported."""
        name = f"prefloop_reward_{Path(self._file).stem}"
        found = importlib.util.spec_from_file_location(name, self._file)
        assert found is not None and found.loader is not None  # a .py file always has a loader
        module = importlib.util.module_from_spec(found)
        beside = str(Path(self._file).parent)
        if beside not in sys.path:
            sys.path.append(beside)
        sys.modules[name] = module  # dataclasses and pickle look a class's module up there
        found.loader.exec_module(module)
        return vars(module)

    def _listed(self, *texts: list[Any]) -> list[Any]:
        """What the function returned; a generator runs here. Raises: UserError if it is no list of anything."""
        values = self._call(*texts)
        if inspect.iscoroutine(values):
            values.close()
            raise UserError(f"{self.name}: `{self._function}` is an async function; write `def`, not `async def`.")
        if isinstance(values, torch.Tensor | np.ndarray):
            if values.ndim != 1:
                shape = tuple(values.shape)
                raise UserError(
                    f"{self.name}: returned an array of the shape {shape}, not one number for each; {self._needs}."
                )
            values = values.tolist()
        if not isinstance(values, list | tuple | Iterator):
            raise UserError(
                f"{self.name}: returned {type(values).__name__}, not one {self._each} for each response; {self._needs}."
            )
        return list(values)

    def listed(self, *texts: Sequence[Any]) -> list[Any]:
        """What it returns for these lists. Raises: UserError for whatever it does wrong."""
        return self._guarded(lambda: self._listed(*map(list, texts)), f"`{self._function}`")

    def _guarded(self, work: Callable[[], Any], what: str) -> Any:
        """What some work of theirs returns, within the time, and with the current folder as it was.

        Raises: UserError for whatever it raises.
        """
        here = os.getcwd()
        try:
            with contextlib.redirect_stdout(sys.stderr), limited(self._seconds):
                return work()
        except UserError:
            raise
        except TooLong as problem:
            raise UserError(
                f"{self._where(problem)}: {what} took longer than {self._seconds:g} seconds. Mend it, or give it more "
                f"time with {self._setting}."
            ) from None
        except SyntaxError as problem:
            where = f"{problem.filename or self._file}:{problem.lineno}"
            raise UserError(f"{where}: this is not Python: {problem.msg}.") from None
        except ImportError as problem:
            raise UserError(
                f"{self._where(problem)}: {problem}. Install it, or put the module beside the file."
            ) from None
        except SystemExit:
            raise UserError(
                f"{self.name}: {what} wanted to end the program (sys.exit); let it return instead."
            ) from None
        except Exception as problem:
            said = ": ".join([type(problem).__name__, *str(problem).splitlines()[:1]])[:200]
            raise UserError(
                f"{self._where(problem)}: {what} failed: {said}. Mend it and type the same command again."
            ) from None
        finally:
            os.chdir(here)

    def _where(self, problem: BaseException) -> str:
        """file:line of the last line of their file that ran."""
        frames = traceback.extract_tb(problem.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == self._file]
        return f"{self._file}:{lines[-1]}" if lines else self._file


class PythonReward(PythonFunction):
    """A function in a Python file: takes (prompts, responses) as lists of strings, returns one float each."""

    def __init__(self, spec: str, *, seconds: float = SECONDS) -> None:
        """Loads the file. Args and errors: see `PythonFunction`."""
        super().__init__(spec, needs=NEEDS, seconds=seconds)

    @property
    def tells_outliers(self) -> bool:
        """It does not tell what is unusual to it."""
        return False

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) what the function returned, summed over a response. Raises: see `detailed`."""
        return self.detailed(prompts, responses).scores

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The numbers, and where they are paid. Raises: UserError if that is not one finite float for each response, or
        the places of some."""
        texts = ["\n".join(message.content for message in prompt) for prompt in prompts]
        return scored(self.listed(texts, responses), responses, name=self.name)
