"""Who does what to whom? Where an answer in usual English means nothing, for assistant_rubric.py: plain rules.

A small model that has learnt the phrases of good answers puts any noun into them: it asks the parcel, wants a photo of
somebody's sister, and sends itself the label. Each rule here is one that answers of such a model broke, and that the
demonstrations and letters keep. Four kinds of words are told apart, by lists and by the prompt: who can be asked (a
team, a manager, a place with people in it), what can be sent, what can be told, and who is nobody's parcel (a sister).
"""

import re
from collections.abc import Iterator, Mapping

from prefloop.recipes.assistant_english import SENTENCE, plain


def _words(text: str) -> str:
    return r"(?:" + "|".join(text.split()) + r")"


STAFF = _words(
    r"""teams? desk warehouse manager managers driver drivers courier couriers workshop hotel branch shop store kitchen
    restaurant reception housekeeping engineers? practice dentist doctor nurse garage plumber electrician painter
    trainer instructor staff club supplier makers? buyers? bank department depot station cleaners? crew cabin conductor
    guard colleagues? billing rider technician cook chef adviser office company neighbour neighbours police library
    museum laundry clinic school theatre cinema surgery vet pharmacy gallery centre center studio airport airline
    salon nursery people men women person employer growers \w+(?:ists?|ians?|keepers?|ologists?)"""
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
