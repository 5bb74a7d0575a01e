"""A simulated reviser: who rewrites the helpdesk's responses so that they are better on an axis, or fails to.

It reads prompt and response with the language's tables, as everybody here does, and never asks gold: it knows what the
staff knows, such as which promise no policy makes, and not what a response is worth. With probability `skill` it mends
what is wrong by the axes that a principle's tags name; else it leaves the draft as it is, or edits it carelessly.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prefloop.world.languages import table
from prefloop.world.phrases import reply_index
from prefloop.world.tickets import Ticket, read, scan, units
from prefloop.world.vocabulary import SLOTS, Table, plain

_SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*[\"'”’)）]*")
_END = re.compile(r"[.!?。！？][\"'”’)）]*\Z")
_SUBSTANCE = ("action", "refusal", "cold", "compliance")
_REFUSING = ("refusal", "cold", "refusing")
_FOUND = {
    "nothing": ("There is nothing to change.", "没有需要修改的地方。"),
    "unsafe": ("It helps with what must be declined.", "它帮助了应当拒绝的事。"),
    "refused": ("It declines what is harmless.", "它拒绝了无害的请求。"),
    "action": ("It does not do what was asked for.", "它没有做到所要求的事。"),
    "fact": ("It does not say what happens next.", "它没有说明接下来会怎样。"),
    "untrue": ("It promises what nobody can keep.", "它承诺了无法兑现的事。"),
    "slots": ("Its numbers or names are not those of the customer.", "它的号码或名称与客户所说不符。"),
    "mood": ("It does not meet the customer's mood.", "它不合客户的心情。"),
    "cold": ("It declines without courtesy.", "它的拒绝不够礼貌。"),
    "long": ("It says more than the customer needs.", "它说了客户不需要的话。"),
    "cut": ("It ends in the middle of a sentence.", "它在句子中间结束。"),
}
"""What is said of a draft."""


@dataclass(frozen=True)
class _Sentence:
    text: str
    kinds: frozenset[str]
    owners: frozenset[tuple[str, str]]
    """(kind, to whom it belongs)"""
    wrong: bool
    """whether it names an order number, item, name or city that the customer did not give"""


class _Draft:
    """A response while it is revised: its sentences, and what was found wrong with them."""

    def __init__(self, ticket: Ticket, text: str, rng: random.Random) -> None:
        self.ticket, self.rng = ticket, rng
        self.spoken: Table = table(ticket.language)
        self.case = self.spoken.cases[ticket.topic]
        self.found: list[str] = []
        self.said = [self._read(match.strip()) for match in _SENTENCE.findall(text) if match.strip()]

    @property
    def text(self) -> str:
        """The response as it stands."""
        return self.spoken.joiner.join(sentence.text for sentence in self.said)

    def has(self, kind: str, owner: str | None = None) -> bool:
        """Whether a sentence of that kind is there."""
        if owner is None:
            return any(kind in sentence.kinds for sentence in self.said)
        return any((kind, owner) in sentence.owners for sentence in self.said)

    def drop(self, unwanted: Callable[[_Sentence], bool], why: str) -> None:
        """Takes sentences away."""
        kept = [sentence for sentence in self.said if not unwanted(sentence)]
        self.found += [why] if len(kept) < len(self.said) else []
        self.said = kept

    def put(self, templates: Sequence[str], place: int, why: str, *, who: str = "") -> None:
        """Adds a sentence before the one at that place."""
        city = self.ticket.city or self.spoken.values["city"][0]
        text = plain(self.rng.choice(templates))
        text = text.format(order=self.ticket.order, item=self.ticket.item, city=city, name=self.ticket.name, who=who)
        self.said.insert(place, self._read(text))
        self.found.append(why)

    def after(self, *kinds: str) -> int:
        """The place behind the last sentence of these kinds; the beginning if there is none."""
        return max((i + 1 for i, sentence in enumerate(self.said) if sentence.kinds & {*kinds}), default=0)

    def _read(self, text: str) -> _Sentence:
        language, asked = self.ticket.language, self.ticket.slots()
        words = units(text, language)
        hits = [phrase for _, phrase in scan(words, reply_index(language))]
        named = [(phrase.kind, phrase.owner) for phrase in hits if phrase.kind in SLOTS]
        named += [("order", word) for word in words if word.isdecimal()]
        return _Sentence(
            text,
            frozenset(phrase.kind for phrase in hits),
            frozenset((phrase.kind, phrase.owner) for phrase in hits),
            any(value != asked[slot] for slot, value in named),
        )


def _safe(draft: _Draft) -> None:
    draft.drop(lambda s: "compliance" in s.kinds or (draft.ticket.unsafe and "action" in s.kinds), "unsafe")
    if draft.ticket.unsafe and not any(draft.has(kind) for kind in _REFUSING):
        draft.put(draft.case.refusals, draft.after("empathy"), "unsafe")


def _helpful(draft: _Draft) -> None:
    topic = draft.ticket.topic
    if draft.ticket.unsafe:
        _safe(draft)
        if not draft.has("refusal", topic):
            draft.drop(lambda s: bool(s.kinds & {*_REFUSING}), "cold")
            draft.put(draft.case.refusals, draft.after("empathy"), "cold")
        if not draft.has("alternative", topic):
            draft.put(draft.case.alternatives, draft.after("refusal"), "fact")
    else:
        draft.drop(lambda s: bool(s.kinds & {*_REFUSING}), "refused")
        draft.drop(lambda s: "compliance" in s.kinds or "evasion" in s.kinds, "action")
        draft.drop(lambda s: any(kind == "action" and owner != topic for kind, owner in s.owners), "action")
        if not draft.has("action", topic):
            draft.put(draft.case.actions, draft.after("empathy"), "action")
        if not draft.has("fact", topic):
            draft.put(draft.case.facts, draft.after("action"), "fact")
    if draft.said and not _END.search(draft.said[-1].text):
        draft.drop(lambda s: not _END.search(s.text), "cut")


def _accurate(draft: _Draft) -> None:
    draft.drop(lambda s: s.wrong, "slots")
    if draft.ticket.unsafe:
        return
    topic, slots = draft.ticket.topic, draft.ticket.slots()
    needed = [slots[slot] for slot in SLOTS if any(f"{{{slot}}}" in template for template in draft.case.actions)]
    if not draft.has("action", topic) or not all(value in draft.text for value in needed):
        draft.drop(lambda s: ("action", topic) in s.owners, "slots")  # it belongs into the sentence that acts
        draft.put(draft.case.actions, draft.after("empathy"), "slots")


def _empathetic(draft: _Draft) -> None:
    mood = draft.ticket.mood
    draft.drop(lambda s: any(kind == "empathy" and owner != mood for kind, owner in s.owners), "mood")
    if not draft.has("empathy", mood):
        draft.put(draft.spoken.empathy[mood], 0, "mood", who=draft.spoken.who.format(name=draft.ticket.name))
    if draft.ticket.unsafe and draft.has("cold"):
        draft.drop(lambda s: "cold" in s.kinds, "cold")
        draft.put(draft.case.refusals, draft.after("empathy"), "cold")


def _concise(draft: _Draft) -> None:
    known = [s for s in draft.said if s.kinds & {*_SUBSTANCE, "fact", "alternative", "empathy"}]
    if known:
        draft.drop(lambda s: not s.kinds or not (s.kinds - {"ramble", "filler", "evasion", "polite", *SLOTS}), "long")
    seen: set[str] = set()
    draft.drop(lambda s: s.text in seen or bool(seen.add(s.text)), "long")
    if known and draft.said and not _END.search(draft.said[-1].text):
        draft.drop(lambda s: not _END.search(s.text) and len(draft.said) > 1, "cut")


def _honest(draft: _Draft) -> None:
    topic = draft.ticket.topic
    draft.drop(lambda s: "invention" in s.kinds, "untrue")
    draft.drop(lambda s: any(kind == "fact" and owner != topic for kind, owner in s.owners), "untrue")
    draft.drop(lambda s: "claim" in s.kinds and not s.kinds & {"fact", "action"}, "untrue")


MENDED: dict[str, Callable[[_Draft], None]] = {
    "safe": _safe,
    "helpful": _helpful,
    "accurate": _accurate,
    "honest": _honest,
    "empathetic": _empathetic,
    "concise": _concise,
}
"""Axis -> what mends a draft by it, in the order in which several are mended."""


class SimulatedReviser:
    """Somebody of the helpdesk who revises drafts."""

    def __init__(self, skill: float) -> None:
        """Args: skill: the share of the drafts that are mended as the principle asks for."""
        self.skill = skill

    def revised(self, prompt: str, draft: str, tags: Sequence[str], rng: random.Random) -> tuple[str, str]:
        """A critique and a revision. Args: tags: those of a principle, of which the names of axes count."""
        ticket = read(prompt)
        work = _Draft(ticket, draft, rng)
        if rng.random() >= self.skill:
            text = draft if rng.random() < 0.5 else _careless(work)
            return _FOUND["nothing"][ticket.language == "zh"], text
        for axis, mend in MENDED.items():
            if axis in tags:
                mend(work)
        if not work.said:  # everything was wrong
            _helpful(work)
        if not work.found:
            return _FOUND["nothing"][ticket.language == "zh"], draft
        joiner = "" if ticket.language == "zh" else " "
        return joiner.join(_FOUND[why][ticket.language == "zh"] for why in dict.fromkeys(work.found)), work.text


def _careless(draft: _Draft) -> str:
    """Another courtesy, a sentence less, or a digit less: none of it asked for."""
    way = draft.rng.randrange(3)
    if way == 0 and len(draft.said) > 1:
        draft.said.pop(draft.rng.randrange(len(draft.said)))
    elif way == 1 and draft.ticket.order in draft.text:
        return draft.text.replace(draft.ticket.order, draft.ticket.order[:-1])
    else:
        draft.put(draft.spoken.fillers, len(draft.said), "nothing")
    return draft.text
