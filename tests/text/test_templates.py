"""Every template's exact text, as a person who knows the format would write it."""

import pytest
from transformers import PreTrainedTokenizerFast

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.templates import BUILT_IN, template_name, template_text

CONVERSATION = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "who?"},
]
EXPECTED = {
    "turns": "<|system|>be kind<|user|>hello<|assistant|>hi<|end|><|user|>who?<|assistant|>",
    "human-assistant": "be kind\n\n### Human: hello\n### Assistant: hi<|end|>\n### Human: who?\n### Assistant: ",
    "instruction-zh": "输入：be kind\n指令：hello\n输出：hi<|end|>\n指令：who?\n输出：",
    "chatml": "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n"
    "<|im_start|>assistant\nhi<|im_end|>\n<|im_start|>user\nwho?<|im_end|>\n<|im_start|>assistant\n",
    "plain": "be kindhellohiwho?",
}


def with_template(codec: Codec, name: str) -> Codec:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=codec.tokenizer.backend_tokenizer, eos_token="<|end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = template_text(name)
    return Codec(tokenizer, codec.stop_ids, codec.context)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_exact_text(codec: Codec, name: str):
    templated = with_template(codec, name)
    assert templated.prompt_text([Message(**turn) for turn in CONVERSATION]) == EXPECTED[name]
    assert templated.template_name == name


@pytest.mark.parametrize("name", [n for n in BUILT_IN if n not in ("plain", "chatml")])
def test_a_past_turn_reads_as_it_was_trained(codec: Codec, name: str):
    """The tokens of prompt + response are the beginning of the next turn's prompt: the model saw this very history."""
    templated = with_template(codec, name)
    opening = [Message(**turn) for turn in CONVERSATION[:2]]
    trained = templated.prompt_ids(opening) + templated.response_ids("hi")
    later = templated.prompt_ids([Message(**turn) for turn in CONVERSATION])
    assert later[: len(trained)] == trained


def test_there_is_no_such_template():
    with pytest.raises(
        UserError, match=r"template=alpaca: there is no such template. There are: turns, human-assistant"
    ):
        template_text("alpaca")


def test_a_template_of_its_own_has_no_name():
    assert template_name("{{ messages }}") == "its own"
