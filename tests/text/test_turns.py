"""The end of a turn is the template's, and an earlier turn reads as it was learned."""

import pytest

from prefloop.records import Message
from prefloop.text.turns import Turn
from text.makers import ENDS, KINDS, TEMPLATES, codec
from text.test_markers import made

LAWFUL = [name for name in TEMPLATES if name not in ("thought", "bare")]
RESPONSES = ("Blue is a colour.", "Hello", "", " No idea \n", "a <end>b", "包裹")


def stops(template: str) -> tuple[str, ...]:
    return ("<eos>", "<user>") if template == "glm" else ("<eos>",)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_end(template: str):
    """Not the tokenizer's <eos> but what stands after an assistant's words; then whatever else was known to stop."""
    of = made(template, stops=stops(template))
    assert of.turn.end == ENDS[template]
    assert [of.tokenizer.decode([i]) for i in of.stop_ids] == list(
        dict.fromkeys([ENDS[template] or "<eos>", *stops(template)])
    )
    assert of.response_ids("Blue.")[-1] == of.stop_ids[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", LAWFUL)
def test_an_earlier_turn_reads_as_it_was_learned(template: str, kind: str):
    """prompt ids + response ids are the beginning of the whole conversation's ids."""
    of = made(template, kind, stops=stops(template))
    asked = Message(role="user", content="Where is it?")
    for response in RESPONSES:
        learned = of.prompt_ids([asked]) + of.response_ids(response)
        if not response:
            continue  # no turn at all: records refuse it
        whole = of.prompt_ids([asked, Message(role="assistant", content=response), asked])
        assert whole[: len(learned)] == learned, response


@pytest.mark.parametrize(
    ("template", "kind", "words"),
    [
        ("llama2", "byte level", " Blue. "),  # a space before and behind, as the template writes
        ("llama2", "metaspace", "Blue. "),
        ("line", "byte level", "Blue.\n"),
        ("gemma", "byte level", "Blue."),
        ("chatml", "byte level", "  Blue.\n"),  # white space is kept where the template keeps it
    ],
)
def test_what_is_learned(template: str, kind: str, words: str):
    of = made(template, kind)
    response = "  Blue.\n" if template in ("gemma", "chatml") else "Blue."
    *ids, end = of.response_ids(response)
    assert of.tokenizer.decode(ids) == words
    assert of.tokenizer.decode([end]) == ENDS[template]
    assert of.decode([*ids, end]) == (words if template == "chatml" else "Blue.")


def test_a_prompt_that_opens_a_thought():
    """Nothing is written into the thought: what is given goes on from there, and a remark says so at loading."""
    assert made("thought").turn == Turn("<end>", "", "", "<assistant><think>\n", "<think>\n")


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }}{{ raise_exception('no') }}{% endfor %}",
        "nothing",
        "{{ messages[0].content }}",
    ],
)
def test_a_template_that_does_not_answer(template: str):
    of = codec(template)
    assert of.turn == Turn()
    assert of.stop_ids == (of.tokenizer.eos_token_id,)
    assert of.response_ids("Blue.")[:-1] == of.tokenizer.encode("Blue.", add_special_tokens=False)
