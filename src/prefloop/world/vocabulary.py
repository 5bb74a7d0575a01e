"""What the helpdesk world is made of: topics, moods, and the shape of one language's tables.

A template is a sentence with slots in braces and one key phrase in brackets:

    "I have [asked the carrier to trace] order {order} with your {item}."

The brackets are never shown; they mark the words by which the gold program recognises the sentence.
"""

from dataclasses import dataclass, field

LANGUAGES = ("en", "zh")
MOODS = ("angry", "worried", "sad", "calm")
SLOTS = ("order", "item", "name", "city")


@dataclass(frozen=True)
class Topic:
    """One kind of request, in any language."""

    name: str
    """Its name in tags, as in `topic:refund`."""
    unsafe: bool = False
    """True if the right response is a refusal."""
    city: bool = False
    """True if the prompt names a city (every prompt names an order, an item and the customer)."""
    required: tuple[str, ...] = ()
    """Slots that a right response must copy."""
    grants: tuple[str, ...] = ()
    """Unsafe only: topics whose ordinary action would give the customer what must not be given."""


_TOPICS = (
    Topic("late", required=("order", "item")),
    Topic("refund", required=("order", "item")),
    Topic("broken", required=("order", "item")),
    Topic("wrong", required=("order", "item")),
    Topic("password"),
    Topic("address", city=True, required=("order", "city")),
    Topic("invoice", required=("order",)),
    Topic("cancel", required=("order", "item")),
    Topic("warranty", required=("order", "item")),
    Topic("hours", city=True, required=("city",)),
    Topic("returns", required=("order", "item")),
    Topic("charge", required=("order",)),
    Topic("account_theft", unsafe=True, grants=("password",)),
    Topic("fake_refund", unsafe=True, grants=("refund", "broken", "charge")),
    Topic("stranger_address", unsafe=True),
    Topic("stolen_parcel", unsafe=True, city=True, grants=("address", "wrong")),
)
TOPICS: dict[str, Topic] = {topic.name: topic for topic in _TOPICS}
SAFE_TOPICS = tuple(topic.name for topic in _TOPICS if not topic.unsafe)
UNSAFE_TOPICS = tuple(topic.name for topic in _TOPICS if topic.unsafe)


@dataclass(frozen=True)
class Case:
    """The sentences of one topic in one language."""

    requests: tuple[str, ...]
    """What customers say."""
    ood: tuple[str, ...]
    """What customers say out of distribution only."""
    borderline: tuple[str, ...] = ()
    """Safe topics: requests that sound dangerous and are not."""
    actions: tuple[str, ...] = ()
    """Safe topics: the right action."""
    facts: tuple[str, ...] = ()
    """Safe topics: what is true and happens next."""
    refusals: tuple[str, ...] = ()
    """Unsafe topics: polite refusals that say why."""
    alternatives: tuple[str, ...] = ()
    """Unsafe topics: what is offered instead."""
    compliances: tuple[str, ...] = ()
    """Unsafe topics: what must never be said."""


@dataclass(frozen=True)
class Table:
    """Everything one language says."""

    language: str
    """`en` or `zh`."""
    joiner: str
    """What stands between two sentences."""
    values: dict[str, tuple[str, ...]]
    """In-distribution values of item, name and city."""
    ood_values: dict[str, tuple[str, ...]]
    """Out-of-distribution values of item, name and city."""
    moods: dict[str, tuple[str, ...]]
    """The customer's mood sentences."""
    introductions: tuple[str, ...]
    """The customer's name sentences."""
    empathy: dict[str, tuple[str, ...]]
    """The reply's sentence that fits a mood; {who} is the customer's name or nothing."""
    who: str
    """How the name is put in."""
    cases: dict[str, Case]
    """The sentences of each topic."""
    refusals: tuple[str, ...]
    """Refusals that fit no topic."""
    cold_refusals: tuple[str, ...]
    """Refusals without courtesy."""
    refusal_stems: tuple[str, ...]
    """Words that make any sentence a refusal."""
    courtesy_stems: tuple[str, ...]
    """Words that make a refusal polite."""
    fillers: tuple[str, ...]
    """Courtesy that adds nothing."""
    rambles: tuple[str, ...]
    """Sentences about nothing."""
    evasions: tuple[str, ...]
    """Sentences that promise nothing."""
    inventions: tuple[str, ...]
    """Promises that no policy makes."""
    claims: tuple[str, ...]
    """Words of time and amount, untrue unless they stand in a fact of the topic."""
    vague: tuple[tuple[str, str], ...]
    """How a sentence is made vague: slots replaced by words."""
    copies: tuple[str, ...]
    """Pretraining lines that repeat their slots."""
    words_per_unit: float
    """Words counted for one unit of normalised text (a word in English, a character in Chinese)."""
    all_values: dict[str, frozenset[str]] = field(init=False)
    """Every value of a slot, in and out of distribution."""

    def __post_init__(self) -> None:
        every = {slot: frozenset(self.values[slot] + self.ood_values[slot]) for slot in self.values}
        object.__setattr__(self, "all_values", every)


def plain(template: str) -> str:
    """The template without the brackets around its key phrase."""
    return template.replace("[", "").replace("]", "")


def key(template: str) -> str:
    """The key phrase of a template, as written."""
    start, end = template.index("["), template.index("]")
    return template[start + 1 : end]
