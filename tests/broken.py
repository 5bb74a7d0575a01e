"""A run that is broken off in its middle."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from prefloop.run import Run


@contextmanager
def broken_off(position: int) -> Iterator[None]:
    """What runs in it must end by an interrupt, which comes just behind the checkpoint of that update."""
    real = Run.checkpoint

    def stops(run: Run, at: int, *args: Any, **more: Any) -> None:
        real(run, at, *args, **more)
        if at == position:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "checkpoint", stops)
        with pytest.raises(KeyboardInterrupt):
            yield
