import pytest
import torch

from prefloop.ops.shapes import ShapeError, has_shape, same_shape


def test_one_shape_passes():
    same_shape(a=torch.zeros(2, 3), b=torch.ones(2, 3, dtype=torch.bool))
    has_shape((2, 3), a=torch.zeros(2, 3))


def test_the_sentence_names_every_tensor():
    with pytest.raises(ShapeError) as error:
        same_shape(logprobs=torch.zeros(4, 4), old_logprobs=torch.zeros(4, 4), advantages=torch.zeros(4))
    assert str(error.value) == "expected one shape, got logprobs (4, 4), old_logprobs (4, 4), advantages (4,)"


@pytest.mark.parametrize("other", [(4,), (4, 1), (1, 4), (4, 4, 1), ()])
def test_what_torch_would_broadcast_is_refused(other: tuple[int, ...]):
    assert torch.broadcast_shapes((4, 4), other)
    with pytest.raises(ShapeError):
        same_shape(a=torch.zeros(4, 4), b=torch.zeros(other))


def test_the_sentence_says_what_was_expected():
    with pytest.raises(ShapeError, match=r"^expected \(4,\), got scores \(4, 1\)$"):
        has_shape((4,), scores=torch.zeros(4, 1))


def test_a_shape_error_is_a_value_error():
    assert issubclass(ShapeError, ValueError)
