"""Examples: prompt and response in tokens; what does not fit is counted."""

from collections.abc import Callable

import pytest

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.examples import FittingPrompts, examples


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


def test_prompts_that_leave_no_room(codec: Codec, write_rows: Callable[..., str]):
    """Context 64: a prompt is kept if it and `room` fit exactly; how many are not is said."""
    texts = ["a" * n for n in (5, 40, 10)]
    rows = [{"id": t, "messages": [{"role": "user", "content": t}]} for t in texts]
    file, said = write_rows("prompts.jsonl", rows), list[str]()
    ids = [codec.prompt_ids((Message(role="user", content=t),)) for t in texts]
    fitting = FittingPrompts.of(codec, file, room=codec.context - len(ids[2]), say=said.append)
    assert [prompt.id for prompt in fitting.records] == [texts[0], texts[2]]
    assert fitting.ids == (ids[0], ids[2])
    assert said == [f"1 of 3 prompts of {file} leave no room for a response and are left out."]
    assert FittingPrompts.of(codec, file, room=codec.context - len(ids[2]) + 1, say=said.append).num_left_out == 2
    assert FittingPrompts.of(codec, file, room=1, say=said.append, num=2).ids == (ids[0], ids[1])
    with pytest.raises(UserError, match=r"no prompt leaves room for max_new_tokens = 64 in the context of 64"):
        FittingPrompts.of(codec, file, room=64, say=said.append)
