"""The agents: who writes the helpdesk's replies, from careless to expert, and the text a model is pretrained on.

Each agent is a set of probabilities of doing something wrong. Demonstrations are written by a mixture of agents, so a
model fine-tuned on them is as good as the mixture and no better: that is what there is to gain from preferences.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from prefloop.config import Config
from prefloop.records import Demonstration, Prompt
from prefloop.world.grammar import orders, tickets
from prefloop.world.languages import table
from prefloop.world.phrases import vague
from prefloop.world.tickets import Ticket, read
from prefloop.world.vocabulary import MOODS, SAFE_TOPICS, UNSAFE_TOPICS, Table, plain

Share = Annotated[float, Field(ge=0, le=1)]


class Agent(Config):
    """How often an agent does what."""

    name: str
    """Its name: the `source` of its demonstrations."""
    use_name: Share = 0.5
    """Puts the customer's name into the sentence about their mood."""
    no_empathy: Share = 0.0
    """Says nothing about the customer's mood."""
    wrong_mood: Share = 0.0
    """Answers a mood that the customer is not in."""
    wrong_action: Share = 0.0
    """Does what another topic needs."""
    no_action: Share = 0.0
    """Evades instead of acting."""
    drop_slots: Share = 0.0
    """Speaks of `your order` and `the product` instead of copying."""
    wrong_order: Share = 0.0
    """Miscopies the order number."""
    wrong_item: Share = 0.0
    """Names another item."""
    no_fact: Share = 0.1
    """Does not say what happens next."""
    foreign_fact: Share = 0.0
    """Says what happens next for another topic."""
    invent: Share = 0.0
    """Promises something that no policy holds."""
    ramble: Share = 0.0
    """Adds two to four sentences about nothing."""
    filler: Share = 0.0
    """Adds two to five courtesies."""
    closing: Share = 0.1
    """Ends with one courtesy."""
    cut_off: Share = 0.0
    """Stops in the middle of a sentence."""
    comply: Share = 0.0
    """Does what an unsafe request asks."""
    cold: Share = 0.0
    """Refuses without courtesy."""
    refuse_safe: Share = 0.0
    """Refuses a safe request."""
    refuse_borderline: Share = 0.0
    """Refuses a safe request that sounds dangerous."""


class Mixture(Config):
    """Who writes how large a share of the replies."""

    agents: tuple[Agent, ...]
    """The agents."""
    weights: tuple[float, ...]
    """The weight of each; they need not add up to one."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> "Mixture":
        if len(self.agents) != len(self.weights) or min(self.weights, default=0) < 0 or sum(self.weights) <= 0:
            raise ValueError(f"{len(self.agents)} agents need as many weights, none below zero and not all zero")
        return self

    def draw(self, rng: random.Random) -> Agent:
        """One agent, by weight."""
        return rng.choices(self.agents, self.weights)[0]


EXPERT = Agent(name="expert", no_fact=0.05)
CURT = Agent(
    name="curt",
    use_name=0.1,
    no_empathy=0.8,
    no_fact=0.8,
    drop_slots=0.25,
    no_action=0.1,
    comply=0.7,
    cold=0.7,
    closing=0.0,
    refuse_safe=0.08,
    refuse_borderline=0.25,
)
RAMBLER = Agent(
    name="rambler",
    ramble=0.8,
    wrong_mood=0.2,
    invent=0.15,
    cut_off=0.15,
    comply=0.7,
    refuse_safe=0.02,
    refuse_borderline=0.15,
)
FLATTERER = Agent(name="flatterer", use_name=0.9, filler=0.8, invent=0.3, comply=0.85, no_action=0.1)
CARELESS = Agent(
    name="careless",
    use_name=0.3,
    no_empathy=0.2,
    wrong_mood=0.3,
    wrong_action=0.2,
    wrong_order=0.2,
    wrong_item=0.15,
    drop_slots=0.1,
    no_fact=0.3,
    foreign_fact=0.2,
    invent=0.1,
    cut_off=0.1,
    comply=0.7,
    refuse_safe=0.07,
    refuse_borderline=0.2,
)
PUSHOVER = Agent(name="pushover", invent=0.25, comply=0.95, no_fact=0.3)
NERVOUS = Agent(name="nervous", comply=0.1, no_fact=0.4, refuse_safe=0.15, refuse_borderline=0.7)

AGENTS = (EXPERT, CURT, RAMBLER, FLATTERER, CARELESS, PUSHOVER, NERVOUS)
DEFAULT = Mixture(agents=AGENTS, weights=(0.17, 0.13, 0.14, 0.14, 0.22, 0.14, 0.06))
"""Writes demonstrations."""
BROAD = Mixture(agents=AGENTS, weights=(0.2, 0.15, 0.1, 0.1, 0.2, 0.1, 0.15))
"""Writes pretraining text: every way to reply, most of them bad."""


def _mangled(order: str, rng: random.Random) -> str:
    """A wrong order number: two digits swapped, one changed or one lost."""
    digits, place = list(order or "1234"), rng.randrange(3)
    way = rng.randrange(3)
    if way == 0 and digits[place] != digits[place + 1]:
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
    elif way == 1:
        del digits[place]
    else:
        digits[place] = rng.choice([digit for digit in "0123456789" if digit != digits[place]])
    return "".join(digits)


class _Writer:
    """Writes the sentences of one reply."""

    def __init__(self, ticket: Ticket, agent: Agent, rng: random.Random) -> None:
        self.ticket, self.agent, self.rng = ticket, agent, rng
        self.spoken: Table = table(ticket.language)
        self.order, self.item = ticket.order, ticket.item
        if self.happens(agent.wrong_order):
            self.order = _mangled(ticket.order, rng)
        if self.happens(agent.wrong_item):
            self.item = rng.choice([item for item in self.spoken.values["item"] if item != ticket.item])
        self.vague = self.happens(agent.drop_slots)

    def happens(self, share: float) -> bool:
        return share > 0 and self.rng.random() < share

    def sentence(self, templates: Sequence[str], *, who: str = "") -> str:
        text = plain(self.rng.choice(templates))
        if self.vague:
            text = vague(text, self.spoken)
        city = self.ticket.city or self.spoken.values["city"][0]
        return text.format(order=self.order, item=self.item, city=city, name=self.ticket.name, who=who)

    def empathy(self) -> list[str]:
        if self.happens(self.agent.no_empathy):
            return []
        mood = self.ticket.mood or "calm"
        if self.happens(self.agent.wrong_mood):
            mood = self.rng.choice([other for other in MOODS if other != mood])
        named = self.ticket.name and self.happens(self.agent.use_name)
        return [
            self.sentence(self.spoken.empathy[mood], who=self.spoken.who.format(name=self.ticket.name) if named else "")
        ]

    def help(self) -> list[str]:
        topic = self.ticket.topic or self.rng.choice(SAFE_TOPICS)
        if self.happens(self.agent.no_action):
            return [self.sentence(self.spoken.evasions)]
        others = [other for other in SAFE_TOPICS if other != topic]
        acted = self.rng.choice(others) if self.happens(self.agent.wrong_action) else topic
        said = [self.sentence(self.spoken.cases[acted].actions)]
        if not self.happens(self.agent.no_fact):
            about = self.rng.choice(others) if self.happens(self.agent.foreign_fact) else acted
            said.append(self.sentence(self.spoken.cases[about].facts))
        return said

    def refuse(self, templates: Sequence[str]) -> list[str]:
        return [self.sentence(self.spoken.cold_refusals if self.happens(self.agent.cold) else templates)]

    def body(self, borderline: bool) -> list[str]:
        if self.ticket.unsafe:
            case = self.spoken.cases[self.ticket.topic]
            if self.happens(self.agent.comply):
                return [*self.empathy(), self.sentence(case.compliances)]
            said = [*self.empathy(), *self.refuse(case.refusals)]
            return said if self.happens(self.agent.no_fact) else [*said, self.sentence(case.alternatives)]
        if self.happens(self.agent.refuse_borderline if borderline else self.agent.refuse_safe):
            wrong = self.spoken.cases[self.rng.choice(UNSAFE_TOPICS)].refusals
            return [*self.empathy(), *self.refuse(self.spoken.refusals if self.rng.random() < 0.7 else wrong)]
        return [*self.empathy(), *self.help()]

    def reply(self, borderline: bool) -> str:
        said = self.body(borderline)
        if self.happens(self.agent.invent):
            said.append(self.sentence(self.spoken.inventions))
        if self.happens(self.agent.ramble):
            for text in self.rng.sample(self.spoken.rambles, self.rng.randint(2, 4)):
                said.insert(self.rng.randint(1, len(said)), plain(text))
        if self.happens(self.agent.filler):
            for _ in range(self.rng.randint(2, 5)):
                said.insert(self.rng.randint(0, len(said)), self.sentence(self.spoken.fillers))
        elif self.happens(self.agent.closing):
            said.append(self.sentence(self.spoken.fillers))
        text = self.spoken.joiner.join(said)
        if self.happens(self.agent.cut_off):
            text = text[: self.rng.randint(len(text) // 3, len(text) - 2)].rstrip()
        return text


def reply(ticket: Ticket, agent: Agent, rng: random.Random, *, borderline: bool = False) -> str:
    """What an agent answers to a ticket.

    Args:
        ticket: what the customer said.
        agent: who answers.
        rng: decides everything that is left to chance.
        borderline: the request is safe but sounds dangerous.
    """
    return _Writer(ticket, agent, rng).reply(borderline)


def demonstrations(
    prompts: Sequence[Prompt], *, language: str, seed: int, mixture: Mixture = DEFAULT
) -> list[Demonstration]:
    """One reply to each prompt, written by an agent drawn from the mixture; `source` is its name.

    A prompt's reply depends on the prompt and the seed only, not on the others.
    """
    written = []
    for prompt in prompts:
        rng = random.Random(f"{language}/{seed}/{prompt.id}/{prompt.text}")
        agent = mixture.draw(rng)
        text = reply(read(prompt.text), agent, rng, borderline="borderline" in prompt.tags)
        written.append(
            Demonstration(id=prompt.id, messages=prompt.messages, tags=prompt.tags, response=text, source=agent.name)
        )
    return written


def _copying(ticket: Ticket, rng: random.Random, spoken: Table) -> str:
    """A document of lines that repeat their slots."""
    lines = []
    for _ in range(rng.randint(2, 4)):
        slots = {slot: rng.choice(values) for slot, values in spoken.values.items()}
        order = ticket.order if not lines else rng.choice(orders("train"))
        lines.append(rng.choice(spoken.copies).format(order=order, **slots))
    return "\n".join(lines)


def corpus(count: int, *, language: str, seed: int, mixture: Mixture = BROAD) -> Iterator[str]:
    """Pretraining documents: exchanges of the train split as raw text, `customer\\nreply`.

    14 in 20 are whole exchanges, 1 the customer only, 2 the reply only, and 3 lines that repeat order numbers, items,
    names and cities. Prompts of the other splits never occur.
    """
    rng = random.Random(f"corpus/{language}/{seed}")
    spoken = table(language)
    source = tickets("train", language=language, seed=seed)
    for _ in range(count):
        _, ticket, text, borderline = next(source)
        kind = rng.random()
        if kind < 0.15:
            yield _copying(ticket, rng, spoken)
            continue
        answer = reply(ticket, mixture.draw(rng), rng, borderline=borderline)
        yield text if kind < 0.2 else answer if kind < 0.3 else f"{text}\n{answer}"
