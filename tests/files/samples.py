"""A real-shaped sample of every form that others write, and the records that it becomes; texts are our own."""

from typing import Any, NamedTuple

from prefloop.records import Demonstration, Preference, Prompt, Ranking, Rated, Record

Rows = list[dict[str, Any]]
ROLES = {"s": "system", "u": "user", "a": "assistant"}


class Sample(NamedTuple):
    """Rows of one form, and all records of the most exact kind that they give."""

    form: str
    rows: Rows
    records: list[Record]
    beside: tuple[Record, ...] = ()
    """what it gives to whoever asks for another kind"""


def said(*turns: str) -> list[dict[str, str]]:
    """Messages, each written as the first letter of its role, a colon and its text."""
    return [{"role": ROLES[turn[0]], "content": turn[2:]} for turn in turns]


def _asked(turns: tuple[str, ...] | str, id: str, tags: tuple[str, ...]) -> dict[str, Any]:
    return {"id": id, "messages": said(*((turns,) if isinstance(turns, str) else turns)), "tags": tags}


def prompt(turns: tuple[str, ...] | str, id: str = "row-000001", tags: tuple[str, ...] = ()) -> Prompt:
    """What is asked."""
    return Prompt.model_validate(_asked(turns, id, tags))


def demo(
    turns: tuple[str, ...] | str, response: str, id: str = "row-000001", tags: tuple[str, ...] = ()
) -> Demonstration:
    """What was answered."""
    return Demonstration.model_validate({**_asked(turns, id, tags), "response": response})


def pair(
    turns: tuple[str, ...] | str,
    chosen: str,
    rejected: str,
    id: str = "row-000001",
    tags: tuple[str, ...] = (),
    votes: str = "",
    **more: Any,
) -> Preference:
    """A preference; votes as words: `c2` for the chosen response, clearly; `r` for the other; `t` a tie."""
    sides = {"c": "chosen", "r": "rejected", "t": "tie"}
    cast = [{"side": sides[v[0]], "strength": int(v[1:]) if v[1:] else None} for v in votes.split()]
    if cast:
        more = {"agreement": votes.count("c") / len(cast), "num_judgements": len(cast), **more}
    fields = {**_asked(turns, id, tags), "chosen": chosen, "rejected": rejected, "votes": cast}
    return Preference.model_validate(fields | more)


def ranking(turns: tuple[str, ...] | str, id: str = "row-000001", tags: tuple[str, ...] = (), **ranks: int) -> Ranking:
    """A ranking; responses by name, with blanks for `_`."""
    fields = _asked(turns, id, tags)
    texts = [name.replace("_", " ") for name in ranks]
    return Ranking.model_validate({**fields, "responses": texts, "ranks": list(ranks.values())})


def rated(turns: str, responses: str, id: str = "row-000001", **marks: Any) -> Rated:
    """Responses, named between blanks, and their thumbs or their ratings by axis."""
    given = {"thumbs": marks["thumbs"]} if "thumbs" in marks else {"ratings": marks}
    return Rated.model_validate({**_asked(turns, id, ()), "responses": responses.split(), **given})


COLOUR = "Name a colour."
ASK = "u:Name a colour."
USER = {"role": "user", "content": "Name a colour."}
HUMAN = {"from": "human", "value": "Name a colour."}
TREE = {
    "message_id": "m1", "parent_id": None, "text": "Name a colour.", "role": "prompter", "replies": [
        {"message_id": "m2", "parent_id": "m1", "text": "Blue", "role": "assistant", "rank": 0, "replies": [
            {"message_id": "m4", "parent_id": "m2", "text": "Another?", "role": "prompter", "replies": [
                {"message_id": "m5", "parent_id": "m4", "text": "Six", "role": "assistant", "rank": 1, "replies": []},
                {"message_id": "m6", "parent_id": "m4", "text": "Red", "role": "assistant", "rank": 0, "replies": []},
            ]}]},
        {"message_id": "m3", "parent_id": "m1", "text": "Four", "role": "assistant", "rank": 1, "replies": []},
    ]}  # fmt: skip


def _flat(message: dict[str, Any]) -> Rows:
    own = {name: value for name, value in message.items() if name != "replies"}
    return [{"lang": "en", **own}, *(row for reply in message["replies"] for row in _flat(reply))]


def _gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def _turn(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


PAIR, VOTED = pair(ASK, "Blue", "Four"), pair(ASK, "Blue", "Four", votes="c")
BRIEF = ("s:Be brief.", ASK)
OWUI_MESSAGES = {
    "m1": {"id": "m1", "parentId": None, "childrenIds": ["m2", "m3"], "role": "user", "content": "Name a colour."},
    "m2": {"id": "m2", "parentId": "m1", "childrenIds": [], "role": "assistant", "content": "Blue", "model": "a"},
    "m3": {"id": "m3", "parentId": "m1", "childrenIds": [], "role": "assistant", "content": "Four", "model": "b"},
}


def open_web_ui(rating: int, single: str = "") -> dict[str, Any]:
    """A verdict; `single` is its name if nothing stood beside the response."""
    return {
        "id": single or f"f{rating}", "user_id": "u1", "version": 0, "type": "rating",
        "data": {"rating": rating, "model_id": "a", "sibling_model_ids": [] if single else ["b"], "reason": "",
                 "tags": []},
        "meta": {"arena": True, "model_id": "a", "message_id": "m2", "chat_id": "k"},
        "snapshot": {"chat": {"id": "k", "chat": {"history": {"currentId": "m2", "messages": OWUI_MESSAGES}}}},
        "created_at": 1, "updated_at": 2,
    }  # fmt: skip


def _arena(winner: str, id: str, **more: Any) -> dict[str, Any]:
    ways = {f"conversation_{side}": [USER, _turn(text)] for side, text in (("a", "Four"), ("b", "Blue"))}
    return {"id": id, "model_a": "m1", "model_b": "m2", "winner": winner, "judge": "arena_user_1", **ways, **more}


SAMPLES: list[Sample] = [
    Sample("trl-prompts", [{"prompt": [USER]}, {"prompt": "Hi", "system": "Be brief."}],
           [prompt(ASK), prompt(("s:Be brief.", "u:Hi"), "row-000002")]),
    Sample("instructions", [{"instruction": COLOUR, "dataset": "helpful_base"}], [prompt(ASK)]),
    Sample("mt-bench", [{"question_id": 81, "category": "maths", "turns": ["1 + 1?", "And 2?"]}],
           [prompt("u:1 + 1?", "81", ("category:maths",))]),
    Sample("trl-completions", [{"prompt": [USER], "completion": [_turn("Blue")]}], [demo(ASK, "Blue")]),
    Sample("trl-messages",  # OpenAI fine-tuning, with a developer's turn, parts and a weight
           [{"messages": [{"role": "developer", "content": "Be brief."}, USER, {**_turn("Blue"), "weight": 1}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, _turn("Yo")]}],
           [demo(BRIEF, "Blue"), demo("u:Hi", "Yo", "row-000002")]),
    Sample("sharegpt", [{"id": "x_0", "conversations": [{"from": "system", "value": "Be brief."}, HUMAN, _gpt("Blue")]},
                        {"conversations": [HUMAN, _gpt("Blue"), {"from": "human", "value": "Why?"}, _gpt("So.")],
                         "system": "Be brief.", "tools": ""}],
           [demo(BRIEF, "Blue", "x_0"), demo((*BRIEF, "a:Blue", "u:Why?"), "So.", "row-000002")]),
    Sample("capybara", [{"source": "Dove", "conversation": [
        {"input": COLOUR, "output": "Blue"}, {"input": "Why?", "output": "So."}]}],
           [demo((ASK, "a:Blue", "u:Why?"), "So.")]),
    Sample("conversation", [{"conversation_id": "c", "model": "m", "conversation": [USER, _turn("Blue")]}],
           [demo(ASK, "Blue")]),
    Sample("prompt-response", [{"prompt": COLOUR, "response": "Blue", "system": "Be brief."}],
           [demo(BRIEF, "Blue")]),
    Sample("question-answer", [{"question": COLOUR, "answer": "Blue"}], [demo(ASK, "Blue")]),
    Sample("open-orca", [{"id": "niv.1", "system_prompt": "Be brief.", "question": COLOUR, "response": "Blue"}],
           [demo(BRIEF, "Blue", "niv.1")]),
    Sample("alpaca", [{"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief.",
                       "history": [["Hi", "Yo"]]}, {"instruction": "Sing.", "input": "", "output": "La"}],
           [demo(("s:Be brief.", "u:Hi", "a:Yo", "u:Add.\n\n1 2"), "3"), demo("u:Sing.", "La", "row-000002")]),
    Sample("dolly", [{"instruction": "Name it.", "context": "The sky.", "response": "Blue", "category": "closed_qa"}],
           [demo("u:Name it.\n\nThe sky.", "Blue", tags=("category:closed_qa",))]),
    Sample("alpaca-seeds", [{"id": "s", "name": "add", "instruction": "Add.",
                             "instances": [{"input": "1 2", "output": "3"}]}], [demo("u:Add.\n\n1 2", "3", "s")]),
    Sample("trl-unpaired", [{"prompt": COLOUR, "completion": "Four", "label": False},
                            {"prompt": "Hi", "completion": "Yo", "label": True},
                            {"prompt": COLOUR, "completion": "Blue", "label": True}],
           [rated(ASK, "Four Blue", thumbs=[False, True]), rated("u:Hi", "Yo", "row-000002", thumbs=[True])], (VOTED,)),
    Sample("prompt-response-label", [{"prompt": COLOUR, "response": "Blue", "label": 1},
                                     {"prompt": COLOUR, "response": "Four", "label": 0}],
           [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("kto-messages", [{"messages": [USER, _turn(text)], "label": text == "Blue"} for text in ("Blue", "Four")],
           [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("kto-messages-tag", [{"messages": [USER, _turn(text)], "kto_tag": text == "Blue"}
                                for text in ("Blue", "Four")],
           [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("kto-sharegpt", [{"conversations": [HUMAN, _gpt(text)], "label": text == "Blue"}
                            for text in ("Blue", "Four")],
           [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("kto-sharegpt-tag", [{"conversations": [HUMAN, _gpt(text)], "kto_tag": text == "Blue"}
                                for text in ("Four", "Blue")],
           [rated(ASK, "Four Blue", thumbs=[False, True])], (VOTED,)),
    Sample("kto-alpaca", [{"instruction": COLOUR, "input": "", "output": text, "label": text == "Blue"}
                          for text in ("Blue", "Four")], [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("kto-alpaca-tag", [{"instruction": COLOUR, "output": text, "kto_tag": text == "Blue"}
                              for text in ("Blue", "Four")], [rated(ASK, "Blue Four", thumbs=[True, False])], (VOTED,)),
    Sample("trl-steps", [{"prompt": COLOUR, "completions": ["Let me see.", "Blue"], "labels": [True, True]}],
           [prompt(ASK)]),
    Sample("trl-preferences", [{"prompt": COLOUR, "chosen": "Blue", "rejected": "Four", "system": "Be brief."},
                               {"prompt": COLOUR, "prompt_id": "9a", "messages": [USER, _turn("Blue")],
                                "chosen": [USER, _turn("Blue")], "rejected": [USER, _turn("Four")],
                                "score_chosen": 8.5, "score_rejected": 7.0}],  # UltraFeedback, binarized
           [pair(BRIEF, "Blue", "Four"), pair(ASK, "Blue", "Four", "row-000002")]),
    Sample("trl-implicit", [{"chosen": [USER, _turn("Blue")], "rejected": [USER, _turn("Four")]}], [PAIR]),
    Sample("hh", [{"chosen": "\n\nHuman: Name a colour.\n\nAssistant: Blue",
                   "rejected": "\n\nHuman: Name a colour.\n\nAssistant: Four"}], [PAIR]),
    Sample("messages-pairs", [{"messages": [USER], "chosen": _turn("Blue"), "rejected": _turn("Four")},  # axolotl
                              {"messages": [USER], "chosen": [_turn("Blue")], "rejected": [_turn("Four")]}],
           [PAIR, pair(ASK, "Blue", "Four", "row-000002")]),
    Sample("sharegpt-pairs", [{"conversations": [HUMAN], "chosen": _gpt("Blue"), "rejected": _gpt("Four"),
                               "system": "Be brief."}], [pair(BRIEF, "Blue", "Four")]),
    Sample("conversation-pairs", [{"conversation": [USER], "chosen": "Blue", "rejected": "Four"}], [PAIR]),
    Sample("alpaca-pairs", [{"instruction": "Translate", "input": "Hallo", "chosen": "Hello", "rejected": "Bye",
                             "history": [["Hi", "Yo"]], "system": "Be brief."}],
           [pair(("s:Be brief.", "u:Hi", "a:Yo", "u:Translate\n\nHallo"), "Hello", "Bye")]),
    Sample("alpaca-outputs", [{"instruction": COLOUR, "input": "", "output": ["Blue", "Four"]}], [PAIR]),
    Sample("question-pairs", [{"system": "Be brief.", "question": COLOUR, "chosen": "Blue", "rejected": "Four"},
                              {"system": "", "question": COLOUR, "chosen": "Blue", "rejected": "Four"}],
           [pair(BRIEF, "Blue", "Four"), pair(ASK, "Blue", "Four", "row-000002")]),
    Sample("distilabel-pairs", [{"system": "Be brief.", "input": COLOUR, "chosen": "Blue", "rejected": "Four",
                                 "generations": ["Blue", "Four"], "rating": [9, 8], "status": "unchanged"},
                                {"system": "", "input": COLOUR, "chosen": "Blue", "rejected": "Red",
                                 "generations": ["Blue", "Red"], "rating": [9, 9], "status": "tie"}],
           [pair(BRIEF, "Blue", "Four"), pair(ASK, "Blue", "Red", "row-000002", votes="t")]),
    Sample("openai-preferences", [{"input": {"messages": [USER], "tools": [], "parallel_tool_calls": True},
                                   "preferred_output": [_turn("Blue")], "non_preferred_output": [_turn("Four")]}],
           [PAIR]),
    Sample("stack-exchange", [{"qid": 7, "question": COLOUR, "response_j": "Blue", "response_k": "Four"}], [PAIR]),
    Sample("reward-bench", [{"prompt": COLOUR, "chosen": "Blue", "chosen_model": "m1", "rejected": "Four",
                             "rejected_model": "m2", "subset": "alpacaeval-easy", "id": 0}],
           [pair(ASK, "Blue", "Four", "0", ("subset:alpacaeval-easy",))]),
    Sample("reward-bench-2", [{"id": "a1", "prompt": COLOUR, "chosen": ["Blue"], "rejected": ["Four", "Six"],
                               "num_correct": 1, "num_incorrect": 2, "subset": "Factuality"}],
           [ranking(ASK, "a1", tags=("subset:Factuality",), Blue=1, Four=2, Six=2)]),
    Sample("safe-rlhf", [{"prompt": COLOUR, "response_0": "Four", "response_1": "Blue",
                          "is_response_0_safe": False, "is_response_1_safe": True, "better_response_id": 1,
                          "safer_response_id": 1},
                         {"prompt": "Name a metal.", "response_0": "Eleven.", "response_1": "Iron.",
                          "is_response_0_safe": True, "is_response_1_safe": True, "better_response_id": 1,
                          "safer_response_id": 0}],
           [pair(ASK, "Blue", "Four", tags=("safer:chosen", "unsafe:rejected"), votes="c"),
            pair("u:Name a metal.", "Iron.", "Eleven.", "row-000002", ("safer:rejected",), votes="c")]),
    Sample("safe-rlhf-safer", [{"prompt": COLOUR, "response_0": "Blue", "response_1": "Four",
                                "is_response_1_safe": False, "safer_response_id": 0}],
           [pair(ASK, "Blue", "Four", tags=("unsafe:rejected",), votes="c")]),
    Sample("helpsteer2", [{"prompt": COLOUR, "response": text, "helpfulness": grade, "correctness": grade,
                           "coherence": 4, "complexity": 1, "verbosity": None if grade else 1}
                          for text, grade in (("Four", 0), ("Blue", 4), ("Red", 4))],
           [rated(ASK, "Four Blue Red", helpfulness=[0, 4, 4], correctness=[0, 4, 4], coherence=[4, 4, 4],
                  complexity=[1, 1, 1], verbosity=[1, None, None])],
           (ranking(ASK, Four=3, Blue=1, Red=1),)),
    Sample("helpsteer2-pairs", [{"prompt": COLOUR, "response_1": "Four", "response_2": "Blue",
                                 "preference_strength": 3, "split": "train"}],
           [pair(ASK, "Blue", "Four", votes="c3", strength=3.0)]),
    Sample("helpsteer3", [{"domain": "general", "language": "english", "context": [USER], "response1": "Blue",
                           "response2": "Four", "overall_preference": -2, "individual_preference": [
                               {"score": -3, "reasoning": "x"}, {"score": -1, "reasoning": "y"},
                               {"score": 1, "reasoning": "z"}, {"score": -2, "reasoning": "w"}]},
                          {"domain": "general", "language": "english", "context": [USER], "response1": "Blue",
                           "response2": "Red", "overall_preference": 0}],
           [pair(ASK, "Blue", "Four", tags=("domain:general", "language:english"), votes="c3 c1 r1 c2", strength=2.0,
                 agreement=0.75),
            pair(ASK, "Blue", "Red", "row-000002", ("domain:general", "language:english"), votes="t")]),
    Sample("ultrafeedback", [{"source": "evol", "instruction": COLOUR, "models": ["m1", "m2", "m3"],
                              "completions": [{"model": "m1", "response": "Four", "overall_score": 2.0,
                                               "annotations": {"helpfulness": {"Rating": "1"}}},
                                              {"model": "m2", "response": "Blue", "overall_score": 8.5, "annotations":
                                               {"helpfulness": {"Rating": "N/A"}, "honesty": {"Rating": "5"}}},
                                              {"model": "m3", "response": "Red", "overall_score": 8.5}]}],
           [rated(ASK, "Four Blue Red", overall=[2, 8.5, 8.5], helpfulness=[1, None, None], honesty=[None, 5, None])],
           (ranking(ASK, Four=3, Blue=1, Red=1),)),
    Sample("distilabel-ratings", [{"instruction": COLOUR, "generations": ["Four", "Blue"], "ratings": [1, 5],
                                   "model_name": "judge"}],
           [rated(ASK, "Four Blue", rating=[1, 5])], (ranking(ASK, Four=2, Blue=1),)),
    Sample("responses-scores", [{"prompt": COLOUR, "responses": ["Four", "Blue", "Red"],
                                 "scores": [-1.5, 2.0, 0.25]}],
           [rated(ASK, "Four Blue Red", score=[-1.5, 2, 0.25])], (ranking(ASK, Four=3, Blue=1, Red=2),)),
    Sample("nectar", [{"prompt": "\n\nHuman: Name a colour.\n\nAssistant: ", "num_responses": 3, "turns": 1,
                       "answers": [{"answer": "Red", "model": "m2", "rank": 2.0}, {"answer": "Blue", "model": "m1",
                                    "rank": 1.0}, {"answer": "Four", "model": "m3", "rank": 3.0}, {"answer": "Six",
                                    "model": "m4", "rank": None}]}],
           [ranking(ASK, Red=2, Blue=1, Four=3, Six=4)]),
    Sample("oasst-trees", [{"message_tree_id": "m1", "tree_state": "ready_for_export", "prompt": TREE}],
           [ranking(ASK, "row-000001:m1", Blue=1, Four=2),
            ranking((ASK, "a:Blue", "u:Another?"), "row-000001:m4", Six=2, Red=1)]),
    Sample("oasst-messages", _flat(TREE),
           [ranking(ASK, "row-000001:m1", Blue=1, Four=2),
            ranking((ASK, "a:Blue", "u:Another?"), "row-000001:m4", Six=2, Red=1)]),
    Sample("summaries", [{"info": {"id": "t3", "post": "It is blue.", "title": "Sky", "subreddit": "AskReddit"},
                          "summaries": [{"text": " Four", "policy": "p1"}, {"text": " Blue", "policy": "p2"}],
                          "choice": 1, "worker": "w1", "batch": "b", "split": "train", "extra": {"confidence": 8}}],
           [pair("u:SUBREDDIT: r/AskReddit\nTITLE: Sky\nPOST: It is blue.\nTL;DR:", "Blue", "Four", votes="c")]),
    Sample("webgpt", [{"question": {"dataset": "eli5", "id": "q", "full_text": COLOUR}, "answer_0": "Four",
                       "answer_1": "Blue", "score_0": -0.5, "score_1": 0.5, "tokens_0": {}},
                      {"question": {"full_text": COLOUR}, "answer_0": "Blue", "answer_1": "Red", "score_0": 0.0,
                       "score_1": 0.0}],
           [pair(ASK, "Blue", "Four", votes="c"), pair(ASK, "Blue", "Red", "row-000002", votes="t")]),
    Sample("shp", [{"post_id": "p", "domain": "askx", "history": COLOUR, "human_ref_A": "Blue",
                    "human_ref_B": "Four", "labels": 1, "score_ratio": 3.0},
                   {"post_id": "p", "domain": "askx", "history": COLOUR, "human_ref_A": "Four",
                    "human_ref_B": "Blue", "labels": 0, "score_ratio": 2.0}],
           [pair(ASK, "Blue", "Four", votes="c"), pair(ASK, "Blue", "Four", "row-000002", votes="c")]),
    Sample("arena", [_arena("model_b", "a", turn=1), _arena("tie", "b"), _arena("tie (bothbad)", "c"),
                     _arena("model_a", "d"),
                     {"question_id": 81, "model_a": "m1", "model_b": "m2", "winner": "model_a", "judge": "expert_1",
                      "turn": 1, "conversation_a": [USER, _turn("Blue"), USER, _turn("Red")],
                      "conversation_b": [USER, _turn("Four"), USER, _turn("Six")]}],  # MT-bench judged the first
           [pair(ASK, "Blue", "Four", "a", votes="c"), pair(ASK, "Four", "Blue", "b", votes="t"),
            pair(ASK, "Four", "Blue", "c", votes="t"), pair(ASK, "Four", "Blue", "d", votes="c"),
            pair(ASK, "Blue", "Four", "row-000005", votes="c")]),
    Sample("arena-one-hot", [{"id": 30192, "model_a": "m1", "model_b": "m2", "prompt": COLOUR,
                              "response_a": "Four", "response_b": "Blue", "winner_model_a": 0, "winner_model_b": 1,
                              "winner_tie": 0},
                             {"id": 65089, "prompt": '["Name a colour."]', "response_a": '["Blue"]',
                              "response_b": '["Red"]', "winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1}],
           [pair(ASK, "Blue", "Four", "30192", votes="c"), pair(ASK, "Blue", "Red", "65089", votes="t")]),
    Sample("alpaca-eval", [{"instruction": COLOUR, "output_1": "Blue", "generator_1": "m1", "output_2": "Four",
                            "generator_2": "m2", "annotator": "judge", "preference": 1.02},
                           {"instruction": COLOUR, "output_1": "Four", "output_2": "Blue", "preference": 2},
                           {"instruction": COLOUR, "output_1": "Blue", "output_2": "Red", "preference": 1.5}],
           [pair(ASK, "Blue", "Four", votes="c"), pair(ASK, "Blue", "Four", "row-000002", votes="c"),
            pair(ASK, "Blue", "Red", "row-000003", votes="t")]),
    Sample("open-webui", [open_web_ui(1), open_web_ui(-1), open_web_ui(0), open_web_ui(1, "alone"),
                          open_web_ui(-1, "poor")],
           [pair(ASK, "Blue", "Four", "f1", votes="c"), pair(ASK, "Four", "Blue", "f-1", votes="c"),
            pair(ASK, "Blue", "Four", "f0", votes="t")],
           (rated(ASK, "Blue", "alone", thumbs=[True]), rated(ASK, "Blue", "poor", thumbs=[False]))),
    Sample("tickets", [{"prompt": COLOUR, "response_a": "Blue", "response_b": "Four"}], [prompt(ASK)]),
    Sample("pairs-without-prompt", [{"chosen": "Blue", "rejected": "Four"}], []),
    Sample("text", [{"text": "Once upon a time"}], []),
    Sample("label-studio", [{"id": 13, "data": {"prompt": "Name a tree."}, "annotations": [], "meta": {}}], []),
    Sample("potato", [{"id": "t1", "displayed_text": "Oak", "label_annotations": {"preference": {"A": "1"}}}], []),
    Sample("argilla", [{"id": "t1", "fields": {"prompt": "Name a tree."}, "responses": {}, "status": "completed"}], []),
]  # fmt: skip
