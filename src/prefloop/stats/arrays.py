"""The arrays of this package, and the checks of what comes in: every error says what it got."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def columns(**named: ArrayLike) -> list[Array]:
    """Columns of numbers. Raises: ValueError if they are not of one length."""
    arrays = {name: np.asarray(column, dtype=float) for name, column in named.items()}
    _of_one_length(arrays)
    return list(arrays.values())


def indices(**named: tuple[ArrayLike, int]) -> list[Ints]:
    """Columns of indices, each with what it must stay below. Raises: ValueError if it does not, or lengths differ."""
    arrays = {name: np.asarray(column).astype(np.int64) for name, (column, _) in named.items()}
    _of_one_length(arrays)
    for name, array in arrays.items():
        top = named[name][1]
        if array.size and not (array.min() >= 0 and array.max() < top):
            raise ValueError(f"{name} must lie between 0 and {top - 1}, got {array.min()} to {array.max()}")
    return list(arrays.values())


def square(table: ArrayLike) -> Array:
    """(K, K) numbers of row against column. Raises: ValueError if the table is not square, or empty."""
    array = np.asarray(table, dtype=float)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
        raise ValueError(f"row against column needs a square table, got shape {array.shape}")
    return array


def _of_one_length(arrays: Mapping[str, NDArray[Any]]) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"columns of one length are needed, got {shapes}")
