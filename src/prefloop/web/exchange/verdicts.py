"""Verdicts of arenas and judges: AlpacaEval, Chatbot Arena, Open WebUI, Prodigy; each as a row and what it says."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefloop.errors import UserError
from prefloop.files.tables import shown
from prefloop.records import AnnotatorKind
from prefloop.web.exchange.questions import Answer


@dataclass(frozen=True)
class Verdict:
    """A foreign row, ready to be read."""

    row: dict[str, Any]
    """as a ticket has it"""
    identity: Any
    answers: tuple[Answer, ...]
    by: AnnotatorKind = "person"
    used: tuple[str, ...] = ()
    """columns of the foreign row that were read"""


def alpaca_eval(row: Mapping[str, Any], place: str) -> Verdict:
    """`preference` is 1 for the first output, 2 for the second, 0 or 1.5 for a draw; between them it is how likely the
    second is the better one. The judge is a model unless it is a number, as AlpacaFarm has people."""
    value = row.get("preference")
    answers: tuple[Answer, ...] = ()
    judge = row.get("annotator")
    name = "alpaca_eval" if judge in (None, "") else str(judge)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        answers = (Answer(name, "preference", "verdict without a value", "other"),)
    else:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = -1.0
        if isinstance(value, bool) or not (number == 0 or 1 <= number <= 2):
            says = f"`preference` goes from 1 (the first) to 2 (the second), 0 or 1.5 is a draw; it is {shown(value)}."
            raise UserError(f"{place}: {says}")
        meaning = {"choice": "tie"} if number in (0, 1.5) else {"best": int(number > 1.5)}
        answers = (Answer(name, "preference", "verdict", "choice", meaning, sure=True),)
        if number not in (0, 1, 1.5, 2):
            answers += (Answer(name, "preference", "verdict", "comment", f"preference={number:g}"),)
    used = ("preference", "annotator", "instruction", "output_1", "output_2", "generator_1", "generator_2")
    return Verdict(dict(row), row.get("id"), answers, "person" if type(judge) is int else "model", used)


def arena(row: Mapping[str, Any], place: str) -> Verdict:
    """`winner` of two conversations (or `response_a` and `response_b`), judged after as many turns as `turn` says."""
    both = [_told(row, side, place) for side in ("a", "b")]
    turn = row.get("turn")
    if type(turn) is int and turn > 0:
        both = [turns[: 2 * turn] for turns in both]
    if both[0][:-1] != both[1][:-1]:
        says = "the two conversations part before their last response, so that they do not answer the same prompt."
        raise UserError(f"{place}: {says} Leave the row out.")
    judge = row.get("judge", row.get("judge_hash"))
    name = str(judge[0]) if isinstance(judge, list) and judge else str(judge or "arena")
    made = {
        "messages": both[0][:-1], "responses": [turns[-1]["content"] for turns in both],
        "models": [str(row.get(f"model_{side}") or "imported") for side in ("a", "b")], "tags": row.get("tags"),
    }  # fmt: skip
    winner = row.get("winner")
    if winner is None:
        ticked = [word for word in ("model_a", "model_b", "tie") if str(row.get(f"winner_{word}")) in ("1", "True")]
        winner = ticked[0] if len(ticked) == 1 else None
    if winner is None:
        answers: tuple[Answer, ...] = (Answer(name, "winner", "verdict without a winner", "other"),)
    else:
        sides = {"model_a": "a", "model_b": "b"}
        answers = (Answer(name, "winner", "verdict", "choice", sides.get(str(winner), winner), sure=True),)
    used = (
        "conversation_a", "conversation_b", "response_a", "response_b", "prompt", "model_a", "model_b", "winner",
        "winner_model_a", "winner_model_b", "winner_tie", "judge", "turn", "question_id", "id", "tags",
    )  # fmt: skip
    identity = row.get("question_id", row.get("id"))
    return Verdict(made, identity, answers, "model" if isinstance(judge, list) else "person", used)


def _told(row: Mapping[str, Any], side: str, place: str) -> list[dict[str, Any]]:
    """A conversation that ends with the assistant."""
    raw = row.get(f"conversation_{side}")
    if raw is None:
        asked, answered = _texts(row.get("prompt")), _texts(row.get(f"response_{side}"))
        both = zip(asked, answered, strict=False)
        turns = [("user", each[0]) if n == 0 else ("assistant", each[1]) for each in both for n in (0, 1)]
        raw = [{"role": role, "content": text} for role, text in turns]
    good = isinstance(raw, list) and len(raw) > 1 and all(isinstance(turn, dict) for turn in raw)
    if not good or raw[-1].get("role") != "assistant":
        says = f"should be a list of {{role, content}} that ends with the assistant's turn, but is {shown(raw)}."
        raise UserError(f"{place}: `conversation_{side}` {says}")
    return [{"role": turn.get("role"), "content": turn.get("content")} for turn in raw]


def _texts(value: Any) -> list[Any]:
    """A text, or several as a list, or as the JSON of one."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    return value if isinstance(value, list) else [value]


def open_webui(row: Mapping[str, Any], place: str) -> Verdict:
    """Feedback: in the arena a good rating says that a response is better than the one beside it; elsewhere it is a
    thumb for that response alone."""
    data, meta = _object(row, "data"), _object(row, "meta")
    snapshot = _object(_object(_object(row, "snapshot"), "chat"), "chat")
    messages = _object(_object(snapshot, "history"), "messages")
    rated = messages.get(str(meta.get("message_id")))
    parent = messages.get(str(rated.get("parentId"))) if isinstance(rated, dict) else None
    if not isinstance(rated, dict) or not isinstance(parent, dict):
        raise UserError(f"{place}: the message that was rated is not in the `snapshot` of the chat; leave the row out.")
    ids = [str(each) for each in parent.get("childrenIds") or [meta.get("message_id")]]
    beside = [messages[each] for each in ids if isinstance(messages.get(each), dict)]
    beside = [each for each in beside if each.get("role") == "assistant" and str(each.get("content") or "").strip()]
    turns: list[dict[str, Any]] = []
    above: Any = parent
    while isinstance(above, dict) and len(turns) < 1000:
        turns.insert(0, {"role": above.get("role"), "content": above.get("content")})
        above = messages.get(str(above.get("parentId")))
    models = [str(each.get("selectedModelId") or each.get("model") or "imported") for each in beside]
    made = {"messages": turns, "responses": [each.get("content") for each in beside], "models": models}
    who, score = str(row.get("user_id") or "open-webui"), str(data.get("rating"))
    index = beside.index(rated) if rated in beside else None
    answers: list[Answer] = []
    if index is None or score not in ("1", "-1"):
        answers.append(Answer(who, "rating", f"rating of {score[:10]}", "other"))
    elif meta.get("arena"):
        for other in range(len(beside)):
            if other != index:
                pair = (min(index, other), max(index, other))
                meaning = {"best": index if score == "1" else other}
                answers.append(Answer(who, "rating", "arena", "choice", meaning, pair=pair, sure=True))
    else:
        name = f"response-{index + 1}"
        answers.append(Answer(who, "rating", "thumb", "thumb", score == "1", of=name))
    said = "; ".join(str(data[name]) for name in ("reason", "comment") if data.get(name))
    answers += [Answer(who, "comment", "comment", "comment", said)] if said else []
    details = data.get("details")
    if isinstance(details, dict) and details.get("rating") is not None:
        answers.append(Answer(who, "details", "rating from 1 to 10", "other"))
    return Verdict(made, row.get("id"), tuple(answers), "person", ("id", "user_id", "type", "data", "meta", "snapshot"))


def prodigy(row: Mapping[str, Any], place: str) -> Verdict:
    """One of several `options` that was accepted."""
    options = row.get("options")
    if not isinstance(options, list) or not all(isinstance(each, dict) for each in options):
        raise UserError(f"{place}: `options` should be a list of {{id, text}}, but is {shown(options)}.")
    who = str(row.get("_annotator_id") or row.get("_session_id") or "prodigy")
    accept, state = row.get("accept"), str(row.get("answer") or "accept")
    if state != "accept" or not isinstance(accept, list) or not accept:
        told = f"answer `{state[:20]}`" if state != "accept" else "answer without a choice"
        answers = (Answer(who, "", told, "other"),)
    elif len(accept) > 1:
        answers = (Answer(who, "accept", "several choices at once", "other"),)
    else:
        answers = (Answer(who, "accept", "choice", "choice", accept[0], sure=True),)
    made = {name: row[name] for name in ("prompt", "text", "messages", "tags") if name in row}
    used = ("options", "accept", "answer", "_annotator_id", "_session_id", *made)
    return Verdict({**made, "responses": options}, row.get("id"), answers, "person", used)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
