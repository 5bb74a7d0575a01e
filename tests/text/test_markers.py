"""Text in is text learned: letters that spell a marker stay letters, and all else is tokenised as ever."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from prefloop.records import Message
from prefloop.text.codec import Codec
from text.makers import KINDS, MARKERS, TEMPLATES, TEXTS, codec

made = cache(codec)
ORDINARY = (
    Message(role="user", content=TEXTS[0]),
    Message(role="assistant", content="Blue."),
    Message(role="user", content="why"),
)
PIECES = st.lists(
    st.sampled_from((*MARKERS, "<|assistant|>", "[INST]")) | st.text(st.characters(codec="utf-8"), max_size=8),
    max_size=6,
)


def markers(of: Codec, ids: list[int]) -> list[str]:
    """The markers among some tokens: an added token that the template never writes is a word like any other."""
    return [token for token in of.tokenizer.convert_ids_to_tokens(ids) if token in (*MARKERS[:6], "<turn>")]


@settings(max_examples=80, deadline=None)
@given(pieces=PIECES, special=st.booleans())
def test_typed_markers_are_text(pieces: list[str], special: bool):
    """The very same text comes back, and no marker's token is in it, be the marker special or merely added."""
    text, of = "".join(pieces), made("chatml", special=special)
    response = of.response_ids(text)
    assert of.decode(response) == text
    assert markers(of, response) == ["<end>"]
    if not text:
        return
    turns = (Message(role="system", content=text), Message(role="user", content=text))
    prompt = of.prompt_ids(turns)
    assert of.tokenizer.decode(prompt) == of.prompt_text(turns)
    assert markers(of, prompt) == ["<start>", "<end>", "<start>", "<end>", "<start>"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marker", ["<end>", "<eos>", "<bos>", "<pad>", "<start>"])
def test_typed_markers_are_text_whatever_the_tokenizer(kind: str, marker: str):
    """Pieces with logprobs could spell a marker even where added tokens are not looked for."""
    of, text = made("chatml", kind), f"no {marker} idea{marker}"
    ids = of.response_ids(text, finished=False)
    assert markers(of, ids) == []
    assert of.decode(ids) == text
    assert of.tokenizer.decode(of.prompt_ids([Message(role="user", content=text)])).count(marker) == 2 + (
        {"<end>": 1, "<start>": 2}.get(marker, 0)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_ordinary_text_is_tokenised_as_by_transformers(kind: str, template: str):
    of = made(template, kind)
    expected = of.tokenizer.apply_chat_template([m.model_dump() for m in ORDINARY], add_generation_prompt=True)
    assert of.prompt_ids(ORDINARY) == expected["input_ids"]
    assert of.prompts([ORDINARY, ORDINARY[:1]]) == [of.prompt_ids(ORDINARY), of.prompt_ids(ORDINARY[:1])]
    assert of.responses(["Blue.", "a<end>"]) == [of.response_ids("Blue."), of.response_ids("a<end>")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", ["chatml", "llama2", "gemma"])
def test_the_rest_of_a_text_is_tokenised_as_if_no_marker_were_in_it(kind: str, template: str):
    """Two readings of one text: by the tokenizer, and by its copy with renamed markers."""
    of = made(template, kind)
    text = of.prompt_text(ORDINARY)
    assert of._markers.encode_hidden(text) == of._markers.encode([text])[0]


def test_a_response_may_think():
    """What a model writes between <think> and </think> is its own; typed by a user it is text."""
    of = made("thinking")
    thought = "<think>hm</think>Blue."
    assert of.tokenizer.decode(of.response_ids(thought)[:1]) == "<think>"
    assert of.decode(of.response_ids(thought)) == thought
    prompt = of.prompt_ids([Message(role="user", content=thought)])
    assert "<think>" not in of.tokenizer.convert_ids_to_tokens(prompt)


def test_an_empty_special_token_changes_nothing():
    """`unk_token: ""` stood in somebody's file, and a space between every two letters of what was learned."""
    of = codec("chatml")
    of.tokenizer.unk_token = ""
    assert of.decode(of.response_ids("Blue is a colour.")) == "Blue is a colour."


def test_letters_that_a_tokenizer_makes_alike():
    """NFKC makes full-width letters narrow before looking for an added token: still typed, still text."""
    from tokenizers import normalizers

    of = codec("chatml", special=False)
    of.tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    of.tokenizer.add_tokens(["<turn>"])
    of = Codec(of.tokenizer, (*of.stop_ids, of.tokenizer.convert_tokens_to_ids("<turn>")), 64)
    assert of.stop_ids[-1] in of.tokenizer.encode("＜turn＞", add_special_tokens=False)
    assert markers(of, of.response_ids("＜turn＞", finished=False)) == []


def test_a_tokenizer_written_in_python():
    """It has no copy with other names: the text is read piece by piece."""
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    of = Codec(tokenizer, (1,), 64)
    assert of.response_ids("a</s>") == [*(ord(c) + 3 for c in "a</s>"), 1]
    assert of.prompt_ids([Message(role="user", content="a</s>")]) == of.response_ids("a</s>")
    assert of.decode(of.response_ids("a</s>")) == "a</s>"
