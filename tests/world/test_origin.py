"""Whose prompts they are: all of the helpdesk's are known as its own, and nothing that only looks like one."""

import pytest

from prefloop.errors import UserError
from prefloop.records import Message, Prompt
from prefloop.world.grammar import SPLITS, prompts
from prefloop.world.origin import is_own, own


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("split", SPLITS)
def test_every_prompt_of_the_helpdesk_is_its_own(language: str, split: str):
    assert all(is_own(prompt) for prompt in prompts(split, 300, language=language, seed=5))


def changed(content: str | None = None, **more: object) -> Prompt:
    made = next(prompt for prompt in prompts("train", 20) if "safe" in prompt.tags)
    said = made.text if content is None else content.format(made.text)
    return made.model_copy(update={"messages": (Message(role="user", content=said),), **more})


def without(tag: str) -> tuple[str, ...]:
    return tuple(t for t in changed().tags if not t.startswith(tag))


@pytest.mark.parametrize(
    "foreign",
    [
        changed("{} Thanks!"),
        changed("Please: {}"),
        changed("Write a poem about the sea."),
        changed("where is my order 1234?"),
        changed(tags=()),
        changed(tags=without("topic:")),
        changed(tags=without("mood:")),
        changed(tags=(*without("safe"), "unsafe")),
        changed(messages=(Message(role="system", content="Be kind."), *changed().messages)),
    ],
)
def test_what_only_looks_like_one(foreign: Prompt):
    """Other words, another order, missing or wrong tags, and a turn more."""
    assert is_own(changed())
    assert "safe" in changed().tags
    assert not is_own(foreign)


def test_each_is_checked_and_the_sentence_says_what_is_missing():
    good = prompts("train", 5)
    own(good, file="f", who="x", instead="")
    with pytest.raises(UserError, match=r"f: 2 of its 7 prompts .* 'mine' \(it says 'Hello'\).*x knows.*Do y\."):
        own([*good, changed("Hello", id="mine"), changed(tags=())], file="f", who="x", instead="Do y.")
    with pytest.raises(UserError, match="its tags are missing"):
        own([changed(tags=())], file="f", who="x", instead="")
