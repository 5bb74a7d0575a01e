"""Forms of pairs: a response that was chosen and one that was rejected."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prefloop.files.chat_forms import is_list, tagged, task, whole
from prefloop.files.said import (
    JOINED,
    BadRow,
    Fields,
    Form,
    Said,
    Turn,
    answered,
    asked,
    conversation,
    foreign,
    inner,
    marked_turns,
    number,
    parted,
    text,
    texts,
    won,
)

MARKS = ("\n\nHuman:", "\n\nAssistant:")
SIDES = ("chosen", "rejected")
RATED: tuple[tuple[str, str], ...] = (
    ("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"), ("rating_chosen", "rating_rejected"),
    ("chosen-rating", "rejected-rating"), ("chosen_rating", "rejected_rating"),
)  # fmt: skip
"""Columns in which both responses of a pair are rated."""
NOT_BETTER = "rows whose chosen response is rated no higher than the rejected one, which were taken as they are"
OWN_COLUMNS = "weight agreement num_judgements"
"""What our own files in this form say beside the pair (the page writes them)."""


def two(row: Fields, prompt: tuple[Turn, ...]) -> Said:
    """`chosen` and `rejected`, as text, a message or messages, that answer a prompt."""
    said = parted({name: whole(prompt, conversation(row, name, "assistant")) for name in SIDES})
    return _rated(row, said)


def _rated(row: Fields, said: Said) -> Said:
    for better, worse in RATED:
        if isinstance(row.get(better), int | float) and isinstance(row.get(worse), int | float):
            return said if row[better] > row[worse] else replace(said, remarks=(*said.remarks, NOT_BETTER))
    return said


def after(name: str) -> Callable[[Fields], Said]:
    """A reader of pairs that answer the conversation (or text) in that field."""
    return lambda row: two(row, conversation(row, name))


def _explicit(row: Fields) -> Said:
    said = two(row, conversation(row, "prompt"))
    given = [name for name in OWN_COLUMNS.split() if row.get(name) is not None]
    if not given:
        return said
    more: dict[str, Any] = {name: number(row, name) for name in given}
    if "num_judgements" in more:
        more["num_judgements"] = int(more["num_judgements"])
    if more.get("weight", 1.0) <= 0:
        raise BadRow(f"`weight` is {row['weight']}, but must be more than 0; mend it or remove the row.")
    return replace(said, more=more)


def _marked(row: Fields) -> Said:
    ways, joined = {}, False
    for name in SIDES:
        ways[name], some = marked_turns(text(row, name), name)
        joined = joined or some
    return replace(parted(ways), remarks=(JOINED,) if joined else ())


def _implicit(row: Fields) -> Said:
    return _rated(row, parted({name: conversation(row, name, "assistant") for name in SIDES}))


def _task(row: Fields) -> Said:
    return two(row, task(row, row))


def _outputs(row: Fields) -> Said:
    outputs = texts(row, "output")
    if len(outputs) != 2:
        raise BadRow(f"`output` should hold a better and a worse text, but holds {len(outputs)}; mend it.")
    return Said(task(row, row), (answered(outputs[0]), answered(outputs[1])))


def _openai(row: Fields) -> Said:
    asked_for = inner(row, "input")
    prompt = conversation(asked_for, "messages")
    ways = {
        name: prompt + conversation(row, name, "assistant") for name in ("preferred_output", "non_preferred_output")
    }
    tools = ("rows with `tools`, which were not used",) if asked_for.get("tools") else ()
    return replace(parted(ways), remarks=tools)


def _stack_exchange(row: Fields) -> Said:
    return Said(asked(text(row, "question")), (answered(text(row, "response_j")), answered(text(row, "response_k"))))


def _distilabel(row: Fields) -> Said:
    said = two(row, conversation(row, "input"))
    status = row.get("status")
    return replace(said, votes=won(None)) if status == "tie" else said


def _reward_bench(row: Fields) -> Said:
    return replace(two(row, conversation(row, "prompt")), tags=tagged(row, "subset"))


def _reward_bench_2(row: Fields) -> Said:
    better, worse = texts(row, "chosen"), texts(row, "rejected")
    said = tuple(answered(one) for one in (*better, *worse))
    if not better or not worse:
        raise BadRow("`chosen` or `rejected` holds no text; add one or remove the row.")
    grades = (1.0,) * len(better) + (0.0,) * len(worse)
    return Said(conversation(row, "prompt"), said, grades=grades, tags=tagged(row, "subset"))


def _are_marked(row: Fields) -> bool:
    both = [row[name] for name in SIDES]
    return any(isinstance(one, str) and mark in f"\n\n{one}" for one in both for mark in MARKS)


def _are_lists(row: Fields) -> bool:
    return any(isinstance(row[name], list) for name in SIDES)


def _are_messages(row: Fields) -> bool:
    return row.get("prompt") is None and not all(isinstance(row[name], str) for name in SIDES)


PAIRS: tuple[Form, ...] = (
    foreign("trl-preferences", "preferences", "prompt chosen rejected", f"system {OWN_COLUMNS}",
            "TRL preferences with an explicit prompt: `prompt`, `chosen`, `rejected` as text or messages", _explicit),
    foreign("trl-implicit", "preferences", "chosen rejected", "system",
            "TRL preferences with an implicit prompt: `chosen` and `rejected` conversations that begin alike",
            _implicit, fits=_are_lists),
    foreign("hh", "preferences", "chosen rejected", "",
            'Anthropic HH: `chosen` and `rejected` texts with turns marked "\\n\\nHuman:" and "\\n\\nAssistant:"',
            _marked, fits=_are_marked),
    foreign("pairs-without-prompt", "unprompted", "chosen rejected", "",
            "`chosen` and `rejected` as plain text, without a prompt", None),
    foreign("messages-pairs", "preferences", "messages chosen rejected", "system",
            "axolotl and LLaMA-Factory: `messages`, and `chosen` and `rejected` as a message each",
            after("messages"), fits=_are_messages),
    foreign("sharegpt-pairs", "preferences", "conversations chosen rejected", "system",
            "LLaMA-Factory: `conversations` of {from, value}, and `chosen` and `rejected` as a message each",
            after("conversations")),
    foreign("conversation-pairs", "preferences", "conversation chosen rejected", "system",
            "`conversation`, and `chosen` and `rejected` as text or a message each", after("conversation"),
            fits=lambda row: not _are_lists(row)),
    foreign("alpaca-pairs", "preferences", "instruction chosen rejected", "input system history",
            "LLaMA-Factory: `instruction`, `input` (may be empty), `chosen` and `rejected`", _task),
    foreign("alpaca-outputs", "preferences", "instruction output", "input system history",
            "LLaMA-Factory: `instruction`, `input` and `output` as a list of the better and the worse text", _outputs,
            fits=lambda row: isinstance(row["output"], list)),
    foreign("question-pairs", "preferences", "question chosen rejected", "system",
            "Intel Orca: `system`, `question`, `chosen` and `rejected`", after("question")),
    foreign("distilabel-pairs", "preferences", "input chosen rejected", "system status",
            "distilabel: `system`, `input`, `chosen`, `rejected`; a `status` of `tie` is a tie", _distilabel),
    foreign("openai-preferences", "preferences", "input preferred_output non_preferred_output", "",
            "OpenAI preferences: `input` with its `messages`, `preferred_output` and `non_preferred_output`", _openai),
    foreign("stack-exchange", "preferences", "question response_j response_k", "",
            "StackExchange pairs: `question`, `response_j` (the better) and `response_k`", _stack_exchange),
    foreign("reward-bench", "preferences", "prompt chosen rejected chosen_model rejected_model", "subset",
            "RewardBench: `prompt`, `chosen`, `rejected`, who wrote them, and `subset`, which becomes a tag",
            _reward_bench),
    foreign("reward-bench-2", "rankings", "prompt chosen rejected", "subset",
            "RewardBench 2: `prompt`, and lists of texts `chosen` and `rejected`", _reward_bench_2,
            fits=lambda row: is_list("chosen", str)(row) and is_list("rejected", str)(row)),
)  # fmt: skip
