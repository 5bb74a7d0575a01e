"""Examples: prompt and response in tokens; what does not fit is counted."""

import pytest

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.examples import examples


def row(response: str) -> tuple[tuple[Message, ...], str]:
    return (Message(role="user", content="please"),), response


def test_what_does_not_fit_is_counted(codec: Codec):
    """Exactly the context fits; one token more does not."""
    room = codec.context - len(codec.prompt_ids(row("")[0])) - 1
    digits = "1" * room  # digits are one token each
    made, left_out = examples(codec, [row("ok"), row(digits), row(digits + "1")], where="file")
    assert left_out == 1
    assert [e.length for e in made][1] == codec.context
    assert made[0].prompt == codec.prompt_ids(row("")[0])
    assert made[0].response == codec.response_ids("ok")


def test_nothing_fits(codec: Codec):
    with pytest.raises(
        UserError,
        match=r"file: every one of the 2 rows is longer than the model's context of 64 tokens \(the shortest has 8",
    ):
        examples(codec, [row("1" * 80), row("1" * 90)], where="file")
