"""Examples: prompt and response in tokens; what does not fit is counted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.examples import Example, Examples, FittingPrompts, Pool

PLEASE = (Message(role="user", content="please"),)


def row(response: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "please"}], "response": response}


def test_what_does_not_fit_is_counted(codec: Codec, write_rows: Callable[..., str]):
    """Exactly the context fits; one token more does not."""
    room = codec.context - len(codec.prompt_ids(PLEASE)) - 1
    digits = "1" * room  # digits are one token each
    made = Examples(codec, write_rows("file.jsonl", [row("ok"), row(digits), row(digits + "1")]), say=print)
    assert made.num_too_long == 1
    assert [e.length for e in made][1] == codec.context
    assert made[0].prompt == codec.prompt_ids(PLEASE)
    assert made[0].response == codec.response_ids("ok")


def test_nothing_fits(codec: Codec, write_rows: Callable[..., str]):
    with pytest.raises(
        UserError,
        match=r"file\.jsonl: every one of the 2 rows is longer than the model's context of 64 tokens "
        r"\(the shortest has 8",
    ):
        Examples(codec, write_rows("file.jsonl", [row("1" * 80), row("1" * 90)]), say=print)


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
    said.clear()
    pool = Pool(codec, file, room=codec.context - len(ids[2]), say=said.append)
    assert [(asked.messages[0].content, asked.tokens) for asked in pool] == [(texts[0], ids[0]), (texts[2], ids[2])]
    assert (pool.longest, pool.num_left_out, pool[-1]) == (len(ids[2]), 1, pool[:2][1])
    assert said == [f"1 of 3 prompts of {file} leave no room for a response and are left out."]
    with pytest.raises(UserError, match=r"no prompt leaves room for max_new_tokens = 64 in the context of 64"):
        Pool(codec, file, room=64, say=said.append)


def test_examples_of_a_file_are_those_of_its_rows(codec: Codec, write_rows: Callable[..., str]):
    """In any order, and some of them; those that do not fit are counted."""
    said = ["ok", "1" * 90, "no " * 9, "my way"]
    rows = [{"id": t, **row(t)} for t in said]
    made = [Example(codec.prompt_ids(PLEASE), codec.response_ids(text)) for text in said if text != "1" * 90]
    read = Examples(codec, write_rows("demonstrations.jsonl", rows), say=print)
    assert (list(read), read.num_too_long) == (made, 1)
    assert read.lengths.tolist() == [example.length for example in made]
    some = read.only(np.array([2, 0]))
    assert (some.take([0]), some[1], some.lengths.tolist()) == ([made[2]], made[0], [made[2].length, made[0].length])
    with pytest.raises(UserError, match=r"every one of the 1 rows is longer.*of 64 tokens \(the shortest has 9"):
        Examples(codec, write_rows("long.jsonl", rows[1:2]), say=print)
