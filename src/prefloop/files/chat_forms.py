"""Forms of prompts and of demonstrations: what is asked, and what somebody answered."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prefloop.files.said import (
    NOT_LEARNED,
    BadRow,
    Fields,
    Form,
    LeftOut,
    Said,
    Turn,
    answered,
    asked,
    conversation,
    foreign,
    objects,
    text,
    value,
    yes,
)
from prefloop.files.tables import shown

NO_INPUT = ("", "<noinput>")


def talk(turns: tuple[Turn, ...]) -> Said:
    """A conversation whose last assistant turn, if it ends with one, is the response."""
    if turns and turns[-1].role == "assistant":
        if NOT_LEARNED in turns[-1].unread:
            raise LeftOut("a response of weight 0, which is not to be learned")
        earlier = any(turn.role == "assistant" for turn in turns[:-1])
        return Said(turns[:-1], (turns[-1],), remarks=(EARLIER,) if earlier else ())
    return Said(turns)


EARLIER = "conversations with several turns of the assistant, of which the last is the response and the others are read"


def messages(name: str) -> Callable[[Fields], Said]:
    """A reader of conversations in that field."""

    def parse(row: Fields) -> Said:
        turns = conversation(row, name)
        if not turns:
            raise BadRow(f"`{name}` is empty; add the conversation or remove the row.")
        return talk(turns)

    return parse


def prompt(row: Fields) -> Said:
    """A prompt alone."""
    turns = conversation(row, "prompt")
    if not turns:
        raise BadRow("`prompt` has no messages; add one or remove the row.")
    return Said(turns)


def whole(prompt: tuple[Turn, ...], response: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The whole conversation: some files repeat the prompt at the head of each response's messages."""
    repeated = bool(response) and response[0].role != "assistant"
    return response if repeated else prompt + response


def completion(row: Fields) -> Said:
    """A prompt and what completes it."""
    return talk(whole(conversation(row, "prompt"), conversation(row, "completion", "assistant")))


def task(row: Fields, given: Fields) -> tuple[Turn, ...]:
    """An Alpaca instruction with its input, behind the earlier turns that LLaMA-Factory keeps as `history`."""
    words = text(row, "instruction")
    more = "" if given.get("input") is None else text(given, "input")
    return (*_history(row), Turn("user", words if more.strip() in NO_INPUT else f"{words}\n\n{more}"))


def _history(row: Fields) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    history = row.get("history") or []
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(said, str) for said in pair):
            raise BadRow(f"`history` should be a list of [question, answer], but holds {shown(pair)}; remove the row.")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return tuple(turns)


def alpaca(row: Fields) -> Said:
    """One instruction and its output."""
    return Said(task(row, row), (answered(text(row, "output")),))


def _seed(row: Fields) -> Said:
    instances = objects(row, "instances")
    if not instances:
        raise BadRow(f"`instances` should be a list of {{input, output}}, but is {shown(instances)}; remove the row.")
    unused = ("further instances of a row, which were not used",) * (len(instances) - 1)
    return Said(task(row, instances[0]), (answered(text(instances[0], "output")),), remarks=unused)


def _question(row: Fields) -> Said:
    turns = value(row, "turns")
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str):
        raise BadRow(f"`turns` should be a list of questions, but is {shown(turns)}; remove the row.")
    later = ("later questions of a row, which were not used",) * (len(turns) - 1)
    return Said(asked(turns[0]), tags=tagged(row, "category"), remarks=later)


def tagged(row: Fields, *names: str) -> tuple[str, ...]:
    """Tags `name:word` of the columns that hold a word."""
    return tuple(f"{name}:{row[name]}" for name in names if row.get(name) and isinstance(row[name], str))


def _dolly(row: Fields) -> Said:
    given = {"input": row.get("context")}
    return Said(task(row, given), (answered(text(row, "response")),), tags=tagged(row, "category"))


def _capybara(row: Fields) -> Said:
    turns: list[Turn] = []
    for exchange in objects(row, "conversation"):
        turns += [Turn("user", text(exchange, "input")), Turn("assistant", text(exchange, "output"))]
    return talk(tuple(turns))


def of_words(question: str, answer: str) -> Callable[[Fields], Said]:
    """A reader of two texts."""
    return lambda row: Said(asked(text(row, question)), (answered(text(row, answer)),))


def thumb(parse: Callable[[Fields], Said], *names: str) -> Callable[[Fields], Said]:
    """A reader of one response with a label, good or bad, in the first of these columns that is there."""

    def with_grade(row: Fields) -> Said:
        said = parse(row)
        if len(said.responses) != 1:
            raise BadRow("there is a label but no response; add it or remove the row.")
        name = next((name for name in names if row.get(name) is not None), names[0])
        return replace(said, grades=(float(yes(row, name)),), thumbs=True, remarks=())

    return with_grade


def _steps(row: Fields) -> Said:
    return replace(prompt(row), remarks=())


def is_list(name: str, kind: type = dict) -> Callable[[Fields], bool]:
    """Whether a field is a list that begins with a thing of that kind."""

    def fits(row: Fields) -> bool:
        found: Any = row[name]
        return isinstance(found, list) and bool(found) and isinstance(found[0], kind)

    return fits


CHATS: tuple[Form, ...] = (
    foreign("trl-messages", "demonstrations", "messages", "",
            "TRL and OpenAI conversational: `messages`, of which the last assistant turn is the response",
            messages("messages")),
    foreign("sharegpt", "demonstrations", "conversations", "system",
            "ShareGPT: `conversations` of {from, value}, of which the last turn of `gpt` is the response",
            messages("conversations")),
    foreign("capybara", "demonstrations", "conversation", "",
            "Capybara: `conversation` of {input, output}, of which the last output is the response", _capybara,
            fits=lambda row: is_list("conversation")(row) and "input" in row["conversation"][0]),
    foreign("conversation", "demonstrations", "conversation", "system",
            "`conversation` of {role, content}, of which the last assistant turn is the response",
            messages("conversation")),
    foreign("trl-completions", "demonstrations", "prompt completion", "system",
            "TRL prompt-completion: `prompt` and `completion` as text or messages", completion),
    foreign("prompt-response", "demonstrations", "prompt response", "system",
            "`prompt` and `response`", of_words("prompt", "response")),
    foreign("question-answer", "demonstrations", "question answer", "system",
            "`question` and `answer`", of_words("question", "answer")),
    foreign("open-orca", "demonstrations", "question response", "system_prompt",
            "OpenOrca: `system_prompt`, `question` and `response`", of_words("question", "response")),
    foreign("alpaca", "demonstrations", "instruction output", "input system history",
            "Alpaca: `instruction`, `input` (may be empty) and `output`", alpaca),
    foreign("dolly", "demonstrations", "instruction response", "context category",
            "Dolly: `instruction`, `context` (may be empty) and `response`", _dolly),
    foreign("alpaca-seeds", "demonstrations", "instruction instances", "",
            "Alpaca seed tasks: `instruction` and `instances`, each with `input` and `output`; the first is taken",
            _seed),
    foreign("trl-unpaired", "thumbs", "prompt completion label", "system",
            "TRL unpaired preferences: `prompt`, `completion` and a `label`, good or bad", thumb(completion, "label"),
            together=True),
    foreign("prompt-response-label", "thumbs", "prompt response label", "system",
            "`prompt`, `response` and a `label`, good or bad", thumb(of_words("prompt", "response"), "label"),
            together=True),
    foreign("kto-messages", "thumbs", "messages label", "kto_tag",
            "LLaMA-Factory KTO: `messages` and a `label` (or `kto_tag`), good or bad",
            thumb(messages("messages"), "label", "kto_tag"), together=True),
    foreign("kto-messages-tag", "thumbs", "messages kto_tag", "",
            "LLaMA-Factory KTO: `messages` and a `kto_tag`, good or bad",
            thumb(messages("messages"), "kto_tag"), together=True),
    foreign("kto-sharegpt", "thumbs", "conversations label", "system",
            "LLaMA-Factory KTO: `conversations` of {from, value} and a `label`, good or bad",
            thumb(messages("conversations"), "label"), together=True),
    foreign("kto-sharegpt-tag", "thumbs", "conversations kto_tag", "system",
            "LLaMA-Factory KTO: `conversations` of {from, value} and a `kto_tag`, good or bad",
            thumb(messages("conversations"), "kto_tag"), together=True),
    foreign("kto-alpaca", "thumbs", "instruction output label", "input system history",
            "LLaMA-Factory KTO: `instruction`, `input`, `output` and a `label`, good or bad", thumb(alpaca, "label"),
            together=True),
    foreign("kto-alpaca-tag", "thumbs", "instruction output kto_tag", "input system history",
            "LLaMA-Factory KTO: `instruction`, `input`, `output` and a `kto_tag`, good or bad",
            thumb(alpaca, "kto_tag"), together=True),
    foreign("trl-steps", "steps", "prompt completions labels", "system",
            "TRL stepwise supervision: `prompt`, `completions` (steps) and `labels`", _steps),
    foreign("trl-prompts", "prompts", "prompt", "system",
            "TRL prompt-only: `prompt` as text or messages", prompt),
    foreign("instructions", "prompts", "instruction", "input system history",
            "`instruction`, `input` (may be empty), without an answer", lambda row: Said(task(row, row))),
    foreign("mt-bench", "prompts", "question_id turns", "category",
            "MT-bench questions: `question_id` and `turns`, of which the first is the prompt", _question,
            identity="question_id"),
    foreign("text", "texts", "text", "", "`text`, for pretraining", None),
)  # fmt: skip
