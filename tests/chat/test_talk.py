"""One side of a conversation: memory, context, whole characters, and stopping."""

import pytest

from prefloop.chat.config import ChatConfig
from prefloop.chat.talk import Talker, fitting
from prefloop.errors import UserError
from prefloop.models.network import Network
from prefloop.records import Message
from prefloop.text.codec import Codec

HOT = ChatConfig(temperature=1.0, max_new_tokens=12)


def talker(network: Network, *, memory: bool = True, config: ChatConfig = HOT) -> Talker:
    return Talker(network, config, name="it", memory=memory)


def always(_: str) -> bool:
    return True


def conversation(*texts: str) -> list[Message]:
    return [Message(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(texts)]


@pytest.mark.parametrize("text", ["包裹在哪里？", "naïve café", "😀 ok", "plain"])
def test_growing_text_is_always_a_prefix_of_the_whole(codec: Codec, text: str):
    ids = codec.tokenizer.encode(text, add_special_tokens=False)
    seen = [codec.settled(codec.decode(ids[:count])) for count in range(len(ids) + 1)]
    assert all(text.startswith(shown) for shown in seen)
    assert [len(shown) for shown in seen] == sorted(len(shown) for shown in seen)
    assert seen[-1] == text


def test_half_a_character_is_held_back(codec: Codec):
    ids = codec.tokenizer.encode("😀", add_special_tokens=False)
    assert len(ids) > 1, "this vocabulary has no token for the whole character"
    assert codec.settled(codec.decode(ids[:-1])) == ""


def test_the_oldest_question_goes_with_its_answer(codec: Codec):
    turns = conversation("one two three", "four five six", "seven eight", "nine ten", "last")
    whole = len(codec.prompt_ids(turns))
    kept, ids = fitting(codec, turns, room=codec.context - whole)
    assert (kept, len(ids)) == (turns, whole)
    kept, ids = fitting(codec, turns, room=codec.context - whole + 1)
    assert kept == turns[2:]
    assert ids == codec.prompt_ids(turns[2:])


def test_a_turn_that_cannot_fit_is_refused_with_numbers(codec: Codec):
    turns = conversation("where is my parcel " * 40)
    tokens = len(codec.prompt_ids(turns))
    with pytest.raises(UserError, match=rf"your turn has {tokens} tokens.*context of {codec.context}.*shorter"):
        fitting(codec, turns, room=4)


def test_the_conversation_is_remembered_and_forgotten(network: Network):
    it = talker(network)
    first = it.answer("where is my parcel 1?", turn=0, on_text=always)
    assert it.history == conversation("where is my parcel 1?", first.text)
    it.answer("please", turn=1, on_text=always)
    assert len(it.history) == 4
    it.reset()
    assert it.history == []
    assert it.answer("where is my parcel 1?", turn=0, on_text=always) == first


def test_memory_changes_what_the_model_reads_and_no_memory_does_not(network: Network):
    alone = talker(network).answer("please", turn=1, on_text=always).text
    answers = {}
    for memory in (True, False):
        it = talker(network, memory=memory)
        it.answer("where is my parcel 1?", turn=0, on_text=always)
        answers[memory] = it.answer("please", turn=1, on_text=always).text
    assert answers[False] == alone
    assert answers[True] != alone


def test_two_copies_of_a_model_answer_alike(network: Network):
    both = [talker(network).answer("please", turn=3, on_text=always) for _ in range(2)]
    assert both[0] == both[1]


def test_stopping_keeps_what_was_said(network: Network):
    whole = talker(network).answer("where is my parcel 2?", turn=0, on_text=always)
    heard: list[str] = []

    def enough(text: str) -> bool:
        heard.append(text)
        return len(heard) < 4

    it = talker(network)
    stopped = it.answer("where is my parcel 2?", turn=0, on_text=enough)
    assert len(heard) == 4
    assert not stopped.finished
    assert len(stopped.text) < len(whole.text)
    assert it.history[-1].content == stopped.text


def test_a_long_conversation_never_leaves_the_context(network: Network):
    it = talker(network, config=ChatConfig(temperature=1.0, max_new_tokens=1000))
    forgotten = [it.answer(f"where is my parcel {i}?", turn=i, on_text=always).num_forgotten for i in range(8)]
    assert sum(forgotten) > 0
    assert len(network.codec.prompt_ids(it.history[:-1])) <= network.codec.context
