"""Forms of judged responses: which of two is better and how clearly, rankings, and ratings."""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prefloop.files.chat_forms import tagged
from prefloop.files.said import (
    BadRow,
    Fields,
    Form,
    LeftOut,
    Rows,
    Said,
    Turn,
    Vote,
    answered,
    asked,
    conversation,
    foreign,
    inner,
    number,
    objects,
    parted,
    text,
    texts,
    turn,
    value,
    votes_of,
    won,
    yes,
)
from prefloop.files.tables import shown
from prefloop.records import Rated

STEERED = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
"""HelpSteer2's axes."""


def _between(row: Fields, prompt: tuple[Turn, ...], first: str, second: str, votes: tuple[Vote, ...]) -> Said:
    return Said(prompt, (answered(text(row, first)), answered(text(row, second))), votes=votes)


def _safe(question: str) -> Callable[[Fields], Said]:
    """PKU-SafeRLHF: which of two responses is better, or safer; and which of them are safe, as tags."""

    def parse(row: Fields) -> Said:
        winner = value(row, question)
        if winner not in (0, 1):
            raise BadRow(f"`{question}` is {shown(winner)}, but must be 0 or 1; mend it or remove the row.")
        said = _between(row, conversation(row, "prompt"), "response_0", "response_1", won(int(winner)))
        side = {int(winner): "chosen", 1 - int(winner): "rejected"}
        tags = [
            f"unsafe:{side[i]}"
            for i in (0, 1)
            if row.get(f"is_response_{i}_safe") is not None and not yes(row, f"is_response_{i}_safe")
        ]
        safer = row.get("safer_response_id")
        if question != "safer_response_id" and safer in (0, 1):
            tags.append(f"safer:{side[safer]}")
        return replace(said, tags=tuple(sorted(tags)))

    return parse


def _help_steer_2(row: Fields) -> Said:
    ratings = {axis: (number(row, axis),) for axis in STEERED if row.get(axis) is not None}
    if not ratings:
        raise BadRow("there is no rating of the response; add `helpfulness` or remove the row.")
    grade, response = ratings.get("helpfulness", (None,)), answered(text(row, "response"))
    return Said(conversation(row, "prompt"), (response,), grades=grade, ratings=ratings)


def _help_steer_pair(row: Fields) -> Said:
    return _between(row, conversation(row, "prompt"), "response_1", "response_2",
                    votes_of("preference_strength", [number(row, "preference_strength")]))  # fmt: skip


def _help_steer_3(row: Fields) -> Said:
    overall = number(row, "overall_preference")
    each = row.get("individual_preference")
    people = objects(row, "individual_preference") if each else []
    scores = [number(one, "score") for one in people] or [overall]
    votes = votes_of("individual_preference" if people else "overall_preference", scores)
    said = _between(row, conversation(row, "context"), "response1", "response2", votes)
    why = ("rows with the `reasoning` of annotators, which was not used",) * any(one.get("reasoning") for one in people)
    return replace(said, tags=tagged(row, "domain", "language"), remarks=said.remarks + why)


def _ultra_feedback(row: Fields) -> Said:
    rows = objects(row, "completions")
    name = next((name for name in ("overall_score", "score", "rating") if any(name in one for one in rows)), "")
    if not name:
        raise LeftOut("completions without an `overall_score`")
    said = tuple(answered(text(one, "response")) for one in rows)
    grades, axes = tuple(number(one, name) for one in rows), [_aspects(one) for one in rows]
    ratings = {axis: tuple(marks.get(axis) for marks in axes) for axis in dict.fromkeys(itertools.chain(*axes))}
    return Said(asked(text(row, "instruction")), said, grades=grades, ratings={"overall": grades, **ratings})


def _aspects(completion: Fields) -> dict[str, float]:
    """UltraFeedback's rating of a completion on each aspect; what was not applicable is left out."""
    aspects = inner(completion, "annotations") if completion.get("annotations") else {}
    rated = {axis: said.get("Rating") for axis, said in aspects.items() if isinstance(said, dict)}
    return {axis: number({axis: mark}, axis) for axis, mark in rated.items() if mark not in (None, "", "N/A")}


def _rated_list(prompt: str, responses: str, ratings: str) -> Callable[[Fields], Said]:
    """A reader of a list of texts and a list of numbers."""

    def parse(row: Fields) -> Said:
        said, given = texts(row, responses), value(row, ratings)
        if not isinstance(given, list) or len(given) != len(said):
            raise BadRow(f"`{ratings}` should be a list of {len(said)} numbers, but is {shown(given)}; mend the row.")
        grades = tuple(number({ratings: one}, ratings) for one in given)
        axis = {ratings.removesuffix("s"): grades}
        return Said(conversation(row, prompt), tuple(map(answered, said)), grades=grades, ratings=axis)

    return parse


def _nectar(row: Fields) -> Said:
    answers = objects(row, "answers")
    ranks = [None if one.get("rank") is None else number(one, "rank") for one in answers]
    last = 1 + max((rank for rank in ranks if rank is not None), default=0)  # of those who were not ranked
    grades = tuple(-last if rank is None else -rank for rank in ranks)
    return Said(conversation(row, "prompt"), tuple(answered(text(one, "answer")) for one in answers), grades=grades)


def _summaries(row: Fields) -> Said:
    info, pair = inner(row, "info"), objects(row, "summaries")
    choice = value(row, "choice")
    if len(pair) != 2 or choice not in (0, 1):
        raise BadRow(f"`choice` is {shown(choice)} of {len(pair)} summaries, but must be 0 or 1 of two; mend it.")
    name = next((name for name in ("post", "article") if isinstance(info.get(name), str)), "post")
    heads = (("subreddit", "SUBREDDIT: r/"), ("title", "TITLE: "), (name, "POST: " if name == "post" else ""))
    lines = [f"{mark}{text(info, field)}" for field, mark in heads if field == name or info.get(field)]
    ways = tuple(answered(text(one, "text").strip()) for one in pair)
    return Said(asked("\n".join([*lines, "TL;DR:"])), ways, votes=won(int(choice)))


def _web_gpt(row: Fields) -> Said:
    question = row["question"]
    words = text(question, "full_text") if isinstance(question, dict) else text(row, "question")
    difference = number(row, "score_1") - number(row, "score_0")
    return _between(row, asked(words), "answer_0", "answer_1", won(None if difference == 0 else int(difference > 0)))


def _shp(row: Fields) -> Said:
    label = value(row, "labels")
    if label not in (0, 1):
        raise BadRow(f"`labels` is {shown(label)}, but must be 1 (A is better) or 0; mend it or remove the row.")
    return _between(row, asked(text(row, "history")), "human_ref_A", "human_ref_B", won(0 if label == 1 else 1))


WINNERS: Mapping[str, int | None] = {
    "model_a": 0, "a": 0, "model_1": 0, "model_b": 1, "b": 1, "model_2": 1,
    "tie": None, "tie (bothbad)": None, "tie(bothbad)": None, "both_bad": None, "bothbad": None,
}  # fmt: skip


def _arena(row: Fields) -> Said:
    winner = value(row, "winner")
    if not isinstance(winner, str) or winner not in WINNERS:
        raise BadRow(f"`winner` is {shown(winner)}, but must be `model_a`, `model_b` or `tie`; mend it.")
    ways = {name: conversation(row, name) for name in ("conversation_a", "conversation_b")}
    judged = row.get("turn")
    if isinstance(judged, int) and judged >= 1:  # MT-bench judges the first turn, or both
        ways = {name: _until(turns, judged) for name, turns in ways.items()}
    return replace(parted(ways, left_out=True), votes=won(WINNERS[winner]))


def _until(turns: tuple[Turn, ...], count: int) -> tuple[Turn, ...]:
    """The conversation up to the assistant's turn of that number."""
    places = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    return turns[: places[count - 1] + 1] if count <= len(places) else turns


def _one_hot(row: Fields) -> Said:
    columns = ("winner_model_a", "winner_model_b", "winner_tie")
    said = [index for index, name in enumerate(columns) if yes(row, name)]
    if len(said) != 1:
        raise BadRow("exactly one of `winner_model_a`, `winner_model_b` and `winner_tie` must be 1; mend the row.")
    vote = won((0, 1, None)[said[0]])
    asked_for = _listed(row, "prompt")
    if asked_for is None:
        return _between(row, conversation(row, "prompt"), "response_a", "response_b", vote)
    ways = {name: _exchanges(asked_for, _listed(row, name)) for name in ("response_a", "response_b")}
    return replace(parted(ways, left_out=True), votes=vote)


def _listed(row: Fields, name: str) -> list[Any] | None:
    """Texts of several turns, where a field holds them as the JSON of a list; None if it does not."""
    words = row.get(name)
    try:
        listed = json.loads(words) if isinstance(words, str) and words.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return listed if isinstance(listed, list) and any(isinstance(one, str) for one in listed) else None


def _exchanges(questions: list[Any], answers: list[Any] | None) -> tuple[Turn, ...]:
    """Questions, each with its answer, as a conversation. Raises: LeftOut if one has none."""
    both = [said for pair in itertools.zip_longest(questions, answers or ()) for said in pair]
    if not all(isinstance(said, str) for said in both):
        raise LeftOut("a conversation in which a turn is missing")
    return tuple(Turn("assistant" if place % 2 else "user", said) for place, said in enumerate(both))


def _alpaca_eval(row: Fields) -> Said:
    preference = number(row, "preference")
    if preference != 0 and not 1 <= preference <= 2:
        raise BadRow(f"`preference` is {preference:g}, but must lie between 1 (output_1) and 2 (output_2); mend it.")
    winner = None if preference in (0.0, 1.5) else int(preference > 1.5)
    return _between(row, asked(text(row, "instruction")), "output_1", "output_2", won(winner))


def _open_web_ui(row: Fields) -> list[Said]:
    """One pair for each other model: a rating of 1 is a win of the model over all that answered beside it.

    With nothing beside it, a rating is a thumb.
    """
    data, meta, chat = inner(row, "data"), row.get("meta"), row.get("snapshot")
    rating = number(data, "rating")
    others = texts(data, "sibling_model_ids") if data.get("sibling_model_ids") else []
    if rating not in (1, 0, -1):
        raise LeftOut("a rating that is not 1 (better), 0 (a tie) or -1 (worse)")
    for name in ("chat", "chat", "history", "messages"):
        chat = chat.get(name) if isinstance(chat, dict) else None
    best = _message(chat, meta.get("message_id") if isinstance(meta, dict) else None)
    if best is None:
        raise LeftOut("a verdict without the chat that it is about (`snapshot`)")
    children = (_message(chat, best.get("parentId")) or {}).get("childrenIds")
    beside = [_message(chat, name) for name in (children if isinstance(children, list) else ())]
    why = ("ratings with a `reason` or a `comment`, which was not used",) * any(map(data.get, ("reason", "comment")))
    turns, vote = _path(chat, best.get("parentId")), won({1: 0, 0: None, -1: 1}[int(rating)])
    if not others:
        if rating == 0:
            raise LeftOut("a rating of one response that calls it neither good nor bad")
        return [Said(turns, (answered(text(best, "content")),), grades=(float(rating > 0),), thumbs=True, remarks=why)]
    pairs = []
    for other in others:
        answer = next((one for one in beside if one and one is not best and one.get("model") == other), None)
        if answer is None:
            raise LeftOut("a verdict whose other response is not in its chat")
        both = answered(text(best, "content")), answered(text(answer, "content"))
        pairs.append(Said(turns, both, votes=vote, part=f":{other}" if len(others) > 1 else "", remarks=why))
    return pairs


def _message(chat: Any, name: Any) -> dict[str, Any] | None:
    """A message of a chat by its name."""
    message = chat.get(name) if isinstance(chat, dict) and isinstance(name, str) else None
    return message if isinstance(message, dict) else None


def _path(chat: Any, place: Any) -> tuple[Turn, ...]:
    """The turns from the first message to the one at `place`."""
    turns: list[Turn] = []
    seen: set[str] = set()
    while (message := _message(chat, place)) is not None and place not in seen:
        seen.add(place)
        turns.append(turn({"role": message.get("role"), "content": message.get("content")}, str(place)))
        place = message.get("parentId")
    return tuple(reversed(turns))


def _tree(row: Fields) -> list[Said]:
    """OpenAssistant: every question of a tree whose answers are ranked, with the turns before it."""
    found: list[Said] = []
    root = inner(row, "prompt")
    if root.get("parent_id") is not None:
        raise LeftOut("a message that answers one which is not in the file")
    waiting: list[tuple[tuple[Turn, ...], Fields]] = [((), root)]
    while waiting:
        before, message = waiting.pop()
        role = "assistant" if message.get("role") == "assistant" else "user"
        turns = (*before, Turn(role, text(message, "text")))
        replies = objects(message, "replies") if message.get("replies") else []
        ranked = [reply for reply in replies if reply.get("role") == "assistant" and reply.get("rank") is not None]
        if role == "user" and len(ranked) > 1:
            grades = tuple(-number(reply, "rank") for reply in ranked)
            answers = tuple(answered(text(reply, "text")) for reply in ranked)
            found.append(Said(turns, answers, grades=grades, part=f":{message.get('message_id', len(found))}"))
        waiting += [(turns, reply) for reply in reversed(replies)]
    if not found:
        raise LeftOut("a tree without two ranked answers to one question")
    return found


def _trees(rows: Rows) -> Rows:
    """Messages that name their parents, as trees; each has the line of its first message.

    Those whose parent is not in the file stand alone behind the trees.
    """
    replies: dict[str, Rows] = defaultdict(list)
    trees: Rows = []
    for line, row in rows:
        if row.get("parent_id") is None:
            trees.append((line, {"prompt": dict(row)}))
        else:
            replies[str(row["parent_id"])].append((line, dict(row)))
    waiting = [tree["prompt"] for _, tree in trees]
    while waiting:
        message = waiting.pop()
        message["replies"] = [reply for _, reply in replies.pop(str(message.get("message_id")), ())]
        waiting += message["replies"]
    return trees + [(line, {"prompt": row}) for lost in replies.values() for line, row in lost]


def _ticket(row: Fields) -> Said:
    return Said(conversation(row, "prompt"))


BETTER = "which response is better is taken from `better_response_id`; to learn which is safer, leave that column out"
VERDICTS: tuple[Form, ...] = (
    foreign("safe-rlhf", "preferences", "prompt response_0 response_1 better_response_id",
            "safer_response_id is_response_0_safe is_response_1_safe",
            "PKU-SafeRLHF: `prompt`, `response_0`, `response_1`, `better_response_id`; what is unsafe becomes tags",
            _safe("better_response_id"), remark=BETTER),
    foreign("safe-rlhf-safer", "preferences", "prompt response_0 response_1 safer_response_id",
            "is_response_0_safe is_response_1_safe",
            "PKU-SafeRLHF: `prompt`, `response_0`, `response_1`, `safer_response_id`; what is unsafe becomes tags",
            _safe("safer_response_id"), remark="which response is safer is what is learned (`safer_response_id`)"),
    foreign("helpsteer2", "ratings", "prompt response helpfulness", "correctness coherence complexity verbosity",
            "HelpSteer2: `prompt`, `response` and ratings of it; rows of one prompt are ranked by `helpfulness`",
            _help_steer_2, together=True, remark="responses to one prompt are ranked by `helpfulness`"),
    foreign("helpsteer2-pairs", "preferences", "prompt response_1 response_2 preference_strength", "",
            "HelpSteer2 preferences: `prompt`, `response_1`, `response_2`, `preference_strength` from -3 to 3",
            _help_steer_pair),
    foreign("helpsteer3", "preferences", "context response1 response2 overall_preference",
            "individual_preference domain language",
            "HelpSteer3: `context`, `response1`, `response2`, `overall_preference` from -3 to 3, or each annotator's",
            _help_steer_3),
    foreign("ultrafeedback", "ratings", "instruction completions", "",
            "UltraFeedback: `instruction` and `completions`, each with `response` and `overall_score`", _ultra_feedback,
            remark="responses to one prompt are ranked by `overall_score`"),
    foreign("distilabel-ratings", "ratings", "instruction generations ratings", "",
            "distilabel: `instruction`, and lists of `generations` and their `ratings`",
            _rated_list("instruction", "generations", "ratings")),
    foreign("responses-scores", "ratings", "prompt responses scores", "system",
            "`prompt`, and lists of `responses` and their `scores`", _rated_list("prompt", "responses", "scores")),
    foreign("nectar", "rankings", "prompt answers", "",
            "Nectar: `prompt` and `answers`, each with `answer` and `rank`", _nectar),
    foreign("oasst-trees", "rankings", "prompt message_tree_id", "",
            "OpenAssistant: trees of messages, `prompt` with `replies` in each, ranked by `rank`", _tree,
            fits=lambda row: isinstance(row["prompt"], dict)),
    foreign("oasst-messages", "rankings", "message_id text role", "parent_id rank message_tree_id",
            "OpenAssistant: messages with `message_id`, `parent_id`, `text`, `role` and `rank`", _tree,
            assembled=_trees),
    foreign("summaries", "preferences", "info summaries choice", "",
            "summarize-from-feedback: `info` with the post, two `summaries`, and the `choice`", _summaries),
    foreign("webgpt", "preferences", "question answer_0 answer_1 score_0 score_1", "",
            "WebGPT comparisons: `question`, `answer_0`, `answer_1`, and a score of each; equal ones are ties",
            _web_gpt),
    foreign("shp", "preferences", "history human_ref_A human_ref_B labels", "",
            "SHP: `history`, `human_ref_A`, `human_ref_B`; `labels` is 1 if A is better", _shp),
    foreign("arena", "preferences", "conversation_a conversation_b winner", "turn",
            "Chatbot Arena and MT-bench judgements: `conversation_a`, `conversation_b`, `winner`; ties are kept",
            _arena),
    foreign("arena-one-hot", "preferences", "prompt response_a response_b winner_model_a winner_model_b winner_tie", "",
            "Arena table: `prompt`, `response_a`, `response_b`, `winner_model_a`, `winner_model_b` or `winner_tie`: 1",
            _one_hot),
    foreign("alpaca-eval", "preferences", "instruction output_1 output_2 preference", "",
            "AlpacaEval annotations: `instruction`, `output_1`, `output_2`; `preference` from 1 to 2, 1.5 is a tie",
            _alpaca_eval),
    foreign("open-webui", "preferences", "data meta snapshot", "type version user_id created_at updated_at",
            "Open WebUI feedback: `data` with the rating and the other models, `snapshot` with the chat", _open_web_ui,
            also=(Rated,)),
    foreign("tickets", "tickets", "prompt response_a response_b", "",
            "`prompt`, `response_a` and `response_b`, which wait for judgements", _ticket),
    foreign("label-studio", "exports", "data annotations", "", "Label Studio's export: `data` and `annotations`", None),
    foreign("potato", "exports", "label_annotations", "", "Potato's export: `label_annotations`", None),
    foreign("argilla", "exports", "fields responses", "", "Argilla's export: `fields` and `responses`", None),
)  # fmt: skip
