"""Shapes that must agree, checked by name.

A (B,) silently broadcast over (B, T) is the commonest bug in this field; it trains, and learns something else.
"""

from torch import Tensor


class ShapeError(ValueError):
    """Tensors whose shapes should agree do not; the message names each of them."""


def same_shape(**tensors: Tensor) -> None:
    """Require that all the tensors have one shape.

        same_shape(logprobs=logprobs, advantages=advantages)

    Args:
        tensors: any shape, by the name that the message should use.

    Raises: ShapeError, e.g. "expected one shape, got logprobs (4, 4), advantages (4,)".
    """
    if len({tuple(tensor.shape) for tensor in tensors.values()}) > 1:
        raise ShapeError(f"expected one shape, got {_named_shapes(tensors)}")


def has_shape(shape: tuple[int, ...], **tensors: Tensor) -> None:
    """Require that every tensor has the given shape.

    Args:
        shape: the sizes that are expected, in order.
        tensors: by the name that the message should use.

    Raises: ShapeError, e.g. "expected (4,), got scores (4, 1)".
    """
    if any(tuple(tensor.shape) != shape for tensor in tensors.values()):
        raise ShapeError(f"expected {shape}, got {_named_shapes(tensors)}")


def _named_shapes(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
