"""Good rows of data, and rows of feedback in which one thing is wrong, for wrong_cases.py."""

from typing import Any

ASKED = [{"role": "user", "content": "where is my parcel?"}]
ROWS: dict[str, dict[str, Any]] = {
    "demonstrations": {"messages": ASKED, "response": "on its way."},
    "preferences": {"messages": ASKED, "chosen": "on its way.", "rejected": "no"},
    "prompts": {"messages": ASKED},
    "corpus": {"text": "where is my parcel? it is on its way."},
}
RANKED = {"messages": ASKED, "responses": ["a", "b", "c"], "ranks": [1, 2, 2]}
MARKED = {"messages": ASKED, "responses": ["a", "b"], "ratings": {"safe": [1, 5]}}
VOTED = {**ROWS["preferences"], "votes": [{"side": "chosen", "strength": 2, "annotator": "ann"}]}
STEERED = {"prompt": "where is it?", "response_1": "a", "response_2": "b", "preference_strength": -1}
FEEDBACK: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "repeats": (RANKED, {"responses": ["a", "b", "a"]}, "`responses.2` is the same text as `responses.0`"),
    "misses": (RANKED, {"ranks": [1, 2]}, "`ranks` has 2 entries for 3 responses"),
    "rank-0": (RANKED, {"ranks": [0, 1, 2]}, "a rank is 0, but ranks count from 1"),
    "rank-half": (RANKED, {"ranks": [1, 1.5, 2]}, "`ranks.1`"),
    "marks": (MARKED, {"ratings": {"safe": [1]}}, "`ratings.safe` has 1 entries for 2 responses"),
    "no-mark": (MARKED, {"ratings": {"safe": [None, None]}}, "no response has a rating or a thumb"),
    "mark-word": (MARKED, {"ratings": {"safe": ["good", 1]}}, "`ratings.safe.0`"),
    "thumb-word": (MARKED, {"ratings": None, "thumbs": ["up", True]}, "`thumbs.0`"),
    "blank": (MARKED, {"responses": ["a", " "]}, "`responses.1` is blank"),
    "strength": (VOTED, {"votes": [{"side": "chosen", "strength": 4}]}, "`votes.0.strength`"),
    "mean-strength": (VOTED, {"strength": 3.5}, "`strength`"),
    "strength-0": (VOTED, {"votes": [{"side": "chosen", "strength": 0}]}, "`votes.0.strength` should be greater"),
    "strength-of-tie": (VOTED, {"votes": [{"side": "tie", "strength": 2}]}, "`votes.0`: a tie has the strength 2"),
    "agreement": (VOTED, {"agreement": 1.5}, "`agreement` should be less than or equal to 1, but is 1.5"),
    "weight": (VOTED, {"weight": 0}, "`weight` should be greater than 0, but is 0"),
    "beyond": (STEERED, {"preference_strength": 5}, "`preference_strength` is 5, but must lie between -3 and 3"),
    "side": (VOTED, {"votes": [{"side": "left"}]}, "`votes.0.side`"),
    "unranked": (RANKED, {"ranks": [None] * 3}, "no response has a rank; give one in `ranks`"),
    "blank-name": (VOTED, {"votes": [{"side": "chosen", "annotator": ""}]}, "`votes.0.annotator` is empty"),
    "nobody": (VOTED, {"votes": [{"side": "chosen", "annotator": 7}]}, "`votes.0.annotator`"),
}
"""What is wrong with a row of feedback -> a good row, what changes in it, and what the sentence must hold."""
