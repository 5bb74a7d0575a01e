"""Who does what to whom? Where an answer in usual English means nothing, for assistant_rubric.py: plain rules.

A small model that has learnt the phrases of good answers puts any noun into them: it asks the parcel, wants a photo of
somebody's sister, and sends itself the label. Each rule here is one that answers of such a model broke, and that the
demonstrations and letters keep. Four kinds of words are told apart, by lists and by the prompt: who can be asked (a
team, a manager, a place with people in it), what can be sent, what can be told, and who is nobody's parcel (a sister).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from functools import cache

from prefloop.recipes.assistant_english import SENTENCE, about, answers, plain, stem


def _words(text: str) -> str:
    return r"(?:" + "|".join(text.split()) + r")"


STAFF = _words(
    r"""teams? desk warehouse manager managers driver drivers courier couriers workshop hotel branch shop store kitchen
    restaurant reception housekeeping engineers? practice dentist doctor nurse garage plumber electrician painter
    trainer instructor staff club supplier makers? buyers? bank department depot station cleaners? crew cabin conductor
    guard colleagues? billing rider technician cook chef adviser office company neighbour neighbours police library
    museum laundry clinic school theatre cinema surgery vet pharmacy gallery centre center studio airport airline
    salon nursery people men women packers? person employer growers \w+(?:ists?|ians?|keepers?|ologists?)"""
)
JOINT = _words(
    """to for about whether if why what how where when which who in on at of from with by and or that there here again
    now today once first not separately"""
)
KIN = _words(
    r"""husband wife mother mum mom father dad son daughter sister brother aunt uncle niece nephew gran grandmother
    grandfather nan boss friend flatmate landlord girlfriend boyfriend boy girl man woman lady guest passenger"""
)
THING_DONE = _words(
    r"""send(?:ing)? sent repair(?:ing)? fix(?:ing)? replac(?:e|ing) refund(?:ing)? return(?:ing)? deliver(?:ing)?
    collect(?:ing)? remov(?:e|ing) exchang(?:e|ing) cancel(?:ling)? unplug restart open(?:ing)? switch(?:ing)?
    clean(?:ing)?"""
)
TOLD = _words(
    r"""which what where when whether who whom whose why how if that about more the_names? names? number numbers date
    dates address size sizes time times title titles version town country colour color email phone price amount age
    model make code name day days digits account place street postcode length width error message reason
    room coach seat"""
)

ABSURD: Mapping[str, re.Pattern[str]] = {
    "asks nobody": re.compile(r"\bask(?:ing)? to (?!see\b|be\b)\w+|\bask(?:ing)? (?:and|or|of|with|from|in|on)\b"),
    "asks a thing": re.compile(
        rf"\bask(?:ing)? (?:the|our|your|an?) (?!(?:(?!{JOINT}\b)[\w'-]+ ){{0,3}}?{STAFF}(?: {JOINT}\b|[^ \w]|$))"
        r"\w+(?: [\w'-]+){0,2}|"
        r"\bask(?:ing)? (?:order|booking|account|case|job|ticket|return|repair|parcel)s?\b"
    ),
    "asks oneself": re.compile(
        r"\bask(?:ing)? (?:me|myself|us)\b|\b(?:sending|send|telling|tell|giving|give) myself\b"
    ),
    "asks the customer's people": re.compile(
        rf"\b(?:i'm|i'll|i am|i will|we're|we'll) (?:asking|ask|telling|tell|reporting to) "
        rf"(?:your|the) (?:\w+ )?{KIN}\b"
    ),
    "the customer sends themselves something": re.compile(
        r"\bplease (?:send|tell|give|show|write) (?:you|your|us your)\b"
    ),
    "the writer gets what is theirs": re.compile(
        r"\b(?:i'll|i'm|i will|i am) (?:sending|send|telling|tell|giving|give|passing|pass|showing|show) (?:to )?me\b"
    ),
    "somebody as a thing": re.compile(
        rf"\b{THING_DONE} (?:the|your|a|my) (?:\w+ )?{KIN}\b(?!'s| a\b| the\b| an?\b| your\b| back\b)|"
        rf"\b(?:photo|picture|video|screenshot) of (?:the|your|a|my) {KIN}\b(?!'s)"
    ),
    "told what cannot be": re.compile(
        rf"\bplease tell (?:me|us) (?!(?:[\w'-]+ ){{0,3}}?{TOLD}\b)\w+(?: [\w'-]+){{0,3}}"
    ),
    "the shop's work as the customer's": re.compile(
        r"\byour (?:team|colleagues?|warehouse|courier team|delivery team|billing team|support team|department)\b"
    ),
    "sorry for what is good": re.compile(r"\bsorry (?:for|about) (?:your|the) (?:help|thanks|thank you|kind words)\b"),
    "things of the writer's": re.compile(
        r"\bmy (?!(?:own )?(?:colleagues?|manager|team|apolog\w+|side|name|best|word)\b)\w+"
    ),
    "thanks and grief": re.compile(
        r"\bthank you for (?:your|the) (?:loss|broken|late|missing|damage\w*|wrong|mistake)\b"
    ),
    "to do to do to do": re.compile(
        r"(?:\bto (?!the\b|a\b|an\b|you\b|your\b|our\b|me\b|my\b|it\b|them\b|him\b|her\b|us\b)[a-z]+\b[^.!?]*){4}"
    ),
    "asked twice in a sentence": re.compile(r"\bask(?:ing)?\b[^.!?;]*\b(?:and|to) (?:i'm )?ask(?:ing)?\b(?! for\b)"),
    "a word and itself": re.compile(r"\b(\w{4,})(?: (?:of|and|to|in|on|with|about|for|is|the|a|your))+ \1\b"),
}
"""What makes no sense -> how it shows."""


def absurdities(prompt: str, response: str) -> Iterator[str]:
    """What makes no sense in an answer, each named once a sentence; what the customer wrote is not held against it."""
    asked = plain(prompt)
    for sentence in SENTENCE.findall(plain(response)):
        for name, pattern in ABSURD.items():
            found = pattern.search(sentence.strip())
            if found is not None and found.group() not in asked:
                yield f"{name}: {found.group()}"


# ---- who did it, whose it is, and what was asked

SOMEBODY = re.compile(
    r"\b(i|we|you|he|she|it|they|who)(?:'ve|'d|'s|'re)?(?: (?:have|has|had|just|never|also|still|then))? (\w+)"
)
LITTLE = frozenset(
    """
    a an and any are as at be been can can't could did didn't do does doesn't don't feel felt for get go got had has
    have i'm in is it know like may might must need never no not of on one or please see should so still tell
    that the think to too try use want was wasn't were will with won't would you your
    """.split()  # noqa: SIM905
)
"""Words after a person that say nothing of what the person did."""
ASKING = re.compile(
    r"\?|\b(?:am|is|are|do|does|did|can|could|may|shall|should|would|will|how|what|where|when|why|which|who|whether|if|any"
    r"|please|want|need|like|tell)\b"
)


def strangers(prompt: str, response: str) -> Iterator[str]:
    """What the answer says of the wrong person: that the customer did what another did in the message, that the shop
    owns what is theirs, or that they asked what they did not ask."""
    asked, said = plain(prompt), plain(response)
    did = [m.groups() for m in SOMEBODY.finditer(asked)]
    own = {verb for who, verb in did if who in ("i", "we")}
    others = {verb for who, verb in did if who not in ("i", "we")} - own - LITTLE
    yield from (
        f"you {verb}" for who, verb in (m.groups() for m in SOMEBODY.finditer(said)) if who == "you" and verb in others
    )
    theirs = {*re.findall(r"\bmy (\w+)", asked)}
    yield from (f"our {thing}" for thing in re.findall(r"\bour (\w+)", said) if thing in theirs)
    if "thank you for asking" in said and not ASKING.search(asked):
        yield "thank you for asking"
    yield from (
        m.group() for m in re.finditer(r"\bplease (?:don't|do not|never) (?:tell|send|give|show) (?:me|us)\b", said)
    )


# ---- who has to do with it

PLACE = re.compile(
    r"\b(?:the|our) ([\w-]+) (?:team|manager|desk)\b|\bwhich ([\w-]+)|"
    r"\b(?:ask\w*|from|to) (?:the|our) ([\w-]+)(?! (?:team|manager|desk))"
)
"""A department, or what is asked for by "which"."""
ANYWHERE = frozenset(
    map(stem, "team manager desk people person colleagues staff service support customer one day year time".split())  # noqa: SIM905
)
"""Who has to do with everything."""
UNFITTING = 0.4
"""What is lost if no department has to do with the message."""


def fitting(prompt: str, response: str) -> float:
    """1 if each department named, and each thing after "which", stands in the message or in an answer to one that
    shares a topic with it; less by the share that does not. To a message without any known topic all fit."""
    topics = about(prompt)
    named = _places(response) - topics
    known = _topics_of()
    if not named or not any(topics & each for each in known.values()):
        return 1.0
    return 1 - UNFITTING * sum(not topics & known.get(place, frozenset()) for place in named) / len(named)


def _places(text: str) -> set[str]:
    return {stem(word) for match in PLACE.finditer(plain(text)) for word in match.groups() if word} - ANYWHERE


@cache
def _topics_of() -> Mapping[str, Set[str]]:
    """Department -> topics of the messages it was named to."""
    topics = defaultdict[str, set[str]](set)
    for message, answer in answers():
        for place in _places(answer):
            topics[place] |= about(message)
    return topics
