"""Text to tokens and back: the boundary, the end of text, what fits."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.templates import recorded_template, with_template
from text.test_markers import made

PROMPT = (Message(role="user", content="where is my parcel?"),)


def test_prompt_and_response_meet_at_an_exact_boundary(codec: Codec):
    """Template text up to the assistant, then the response by itself, then one end-of-text token."""
    tokenizer, end = codec.tokenizer, codec.stop_ids[0]
    assert tokenizer.decode(codec.prompt_ids(PROMPT)) == "<|user|>where is my parcel?<|assistant|>"
    assert codec.response_ids("on its way")[-1] == end
    assert codec.response_ids("on its way").count(end) == 1
    assert codec.response_ids("on its way", finished=False) == codec.response_ids("on its way")[:-1]
    assert tokenizer.decode(codec.response_ids("on its way")) == "on its way<|end|>"
    assert codec.response_ids("") == [end]


def test_end_and_padding_are_two_tokens(codec: Codec):
    """If padding were the end of text, masking padding would mask the end, and no response would ever learn to end."""
    assert codec.tokenizer.pad_token_id != codec.stop_ids[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_comes_back(codec: Codec, text: str):
    """Byte-level: whatever is written can be read, spaces and line ends included."""
    assert codec.decode(codec.response_ids(text)) == text


def test_every_stop_token_is_left_out_of_the_text(codec: Codec):
    two = Codec(codec.tokenizer, (codec.stop_ids[0], 7), codec.context)
    ids = two.response_ids("on its way", finished=False)
    assert two.decode([*ids, 7]) == "on its way"
    assert two.response_ids("on its way")[-1] == codec.stop_ids[0]


def test_the_fingerprint_knows_template_vocabulary_and_stops(codec: Codec):
    assert codec.fingerprint == Codec(codec.tokenizer, codec.stop_ids, 999).fingerprint
    assert codec.fingerprint != Codec(codec.tokenizer, (codec.stop_ids[0], 7), codec.context).fingerprint


class Bare:
    """As much of a tokenizer as has a template."""

    def __init__(self, recorded: str | dict[str, str] | None) -> None:
        self.chat_template = recorded


@pytest.mark.parametrize(
    ("recorded", "taken"),
    [
        ({"tool_use": "b", "default": "a"}, "a"),
        ({"rag": "c"}, "c"),
        ("a", "a"),
        ("", None),
        (" \n", None),
        ({}, None),
        (None, None),
    ],
)
def test_the_template_that_is_taken(recorded: Any, taken: str | None):
    assert recorded_template(Bare(recorded), "here") == taken  # type: ignore[arg-type]


def test_several_templates_without_a_default_are_refused():
    with pytest.raises(UserError, match=r"here: this model folder records several chat templates, `rag`, `tool_use`, "):
        recorded_template(Bare({"rag": "a", "tool_use": "b"}), "here")  # type: ignore[arg-type]


def test_what_tells_two_codecs_apart(codec: Codec):
    """In words, and nothing where the fingerprints agree."""
    more = Codec(codec.tokenizer, (codec.stop_ids[0], 0), codec.context)
    assert codec.difference(Codec(codec.tokenizer, codec.stop_ids, 999)) is None
    assert codec.difference(more) == "tokens that end a response (<|end|> here, <|end|> <|pad|> there)"
    other = made("chatml")
    assert codec.difference(other) == "vocabulary"
    tokenizer = copy.deepcopy(codec.tokenizer)
    tokenizer.chat_template = other.template
    assert codec.difference(Codec(tokenizer, codec.stop_ids, 64)) == "chat template (turns here, its own there)"


def test_which_template():
    """None recorded and none asked for, one asked for, the same, another."""

    bare = Bare(None)
    with pytest.raises(UserError, match=r"here: this model folder records no chat template.*template=plain"):
        with_template(bare, None, "here")  # type: ignore[arg-type]
    with_template(bare, "chatml", "here")  # type: ignore[arg-type]
    assert "<|im_start|>" in str(bare.chat_template)
    with_template(bare, "chatml", "here")  # type: ignore[arg-type]
    with_template(bare, None, "here")  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match="here: this model was trained with the template `chatml`, but template=plain is set"
    ):
        with_template(bare, "plain", "here")  # type: ignore[arg-type]
