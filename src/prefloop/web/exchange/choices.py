"""What people call the better one of two: a, left, Response A, "A is slightly better", 2, A>>B, tie, both bad ..."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

from prefloop.errors import UserError
from prefloop.files.tables import shown

NOUNS = (
    "response|answer|completion|output|text|candidate|reply|option|choice|assistant|model|system|chatbot|summary|"
    "translation|statement|story|version|sample|item|generation|message"
)
SIDES = {
    "a": 0, "left": 0, "first": 0, "1st": 0, "one": 0, "1": 0, "b": 1, "right": 1, "second": 1, "2nd": 1, "two": 1,
    "2": 1,
}  # fmt: skip
"""Words for one of two. What is numbered is numbered from 1, unless the responses themselves are numbered from 0."""
STRENGTHS = {
    "slightly": 1, "a bit": 1, "a little": 1, "somewhat": 1, "marginally": 1, "clearly": 2, "moderately": 2, "much": 3,
    "far": 3, "significantly": 3, "strongly": 3, "a lot": 3, "considerably": 3,
}  # fmt: skip
_HOW = "|".join(STRENGTHS)
_SIDE = rf"(?:the )?(?:(?:{NOUNS}) ?)?(?P<side>{'|'.join(SIDES)})(?: (?:{NOUNS}|one))?"
_IS = r"(?: (?:is|was|seems))?"
_GOOD = "better|best|preferred|winner|wins?|won|the better(?: one)?|the best(?: one)?|the winner"
BETTER = tuple(
    re.compile(form)
    for form in (
        rf"{_SIDE}{_IS}(?: (?P<how>{_HOW}))?(?: (?:{_GOOD}))",
        rf"(?P<how>{_HOW}) (?:better|prefer|preferred) {_SIDE}",
        rf"(?:i )?(?:(?P<how>{_HOW}) )?prefer {_SIDE}",
        rf"(?:(?:winner|best|better) )?{_SIDE}",
    )
)
_BOTH = rf"(?:both|all)(?: (?:{NOUNS})s?)?(?: of them)?(?: are)?(?: equally)?"
EVEN = re.compile(
    rf"tie|tied|draw|equal|equally good|(?:about |roughly )?(?:the )?same|similar|equal quality|"
    rf"(?:about |roughly )?equal|no preference|no difference|neither is better|{_BOTH}(?: good| fine| ok)?"
)
BAD = re.compile(
    rf"both ?bad|{_BOTH} (?:bad|poor|wrong|terrible|unacceptable)|equally bad|none|none of (?:them|these|the above)|"
    rf"neither|neither (?:is |{NOUNS} ?)*(?:good|acceptable)"
)
GOOD = {"good": True, "thumbs up": True, "thumb up": True, "up": True, "like": True, "👍": True}
GOOD |= {"bad": False, "thumbs down": False, "thumb down": False, "down": False, "dislike": False, "👎": False}
"""Words for one response by itself."""
_SIGNS = re.compile(r"([ab12])(>+|<+|=)([ab12])")


def plain(word: Any) -> str:
    """A label without what does not matter: case, brackets, punctuation at its ends."""
    text = unicodedata.normalize("NFKC", str(word)).casefold()
    text = re.sub(r"[_\-\u2010-\u2015()\[\]{}\"'’,:]+", " ", text)
    return " ".join(text.split()).strip(" .!?;")


def understood(word: Any, names: Sequence[Collection[str]] = ((), ())) -> dict[str, Any] | None:
    """{"best": index} (perhaps with a `strength`) or {"choice": tie or both_bad}; None if the label says neither.

    Args:
        names: what each response is called in the row itself, which goes before all else.
    """
    if word is None or isinstance(word, bool | list | dict):
        return None
    text = plain(word)
    own = [index for index, those in enumerate(names) if text in {plain(name) for name in those}]
    if len(own) == 1:
        return {"best": own[0]}
    if len(names) != 2 or own:
        return None
    signs = _SIGNS.fullmatch(text.replace(" ", ""))
    if signs and signs[1] != signs[3] and SIDES[signs[1]] != SIDES[signs[3]]:
        if signs[2] == "=":
            return {"choice": "tie"}
        return {"best": SIDES[signs[1]] if signs[2][0] == ">" else SIDES[signs[3]]}
    text = re.sub(r"^(?:it is |its |it s )(?:an? )?", "", text)
    text = re.sub(r"^(?:tie|draw) (?=\S)", "", text)
    if EVEN.fullmatch(text):
        return {"choice": "tie"}
    if BAD.fullmatch(text):
        return {"choice": "both_bad"}
    match = next((match for form in BETTER if (match := form.fullmatch(text))), None)
    if match is None:
        return None
    how = match.groupdict().get("how")
    return {"best": SIDES[match["side"]]} | ({"strength": STRENGTHS[how]} if how else {})


def chosen(word: Any, names: Sequence[Collection[str]] = ((), ())) -> dict[str, Any]:
    """The same. Raises: UserError, without a place, if the label says nothing that is known."""
    said = understood(word, names)
    if said is None:
        says = "is not a choice that is known; say a or b, left or right, tie, or both_bad."
        raise UserError(f"{shown(word)} {says}")
    return said
