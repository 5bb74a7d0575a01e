"""Is this English that one would send? Word statistics for assistant_rubric.py: no model, no chance, no torch.

Three things are looked at, and the worst of them counts:

    words    the share of the words that are known: those of WORDS, of messages and letters, and of the prompt itself
    order    how usual the words' order is, by a trigram model that was counted over the messages and letters. Words
             that are frequent there stand for themselves; the others for their kind, told by the ending (-ing, -ed,
             -ly, -s). So "I am asking the courier" and "I am asking the plumber" are equally usual, and neither
             "courier asking am the" nor a list of keywords is. The text's mean counts, and its worst stretch.
    shape    sentences that begin with a capital and have 40 words at most, without a comma after every other word

A list of words and a few thousand trigrams know little English: a text that passes may still be nonsense.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prefloop.recipes.assistant_words import WORDS

TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*|\d[\w.,:/-]*|[.,!?;:]|[^\sa-z\d]")
SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\S)[^.!?\n]+)*[.!?]*")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
ENDINGS = (
    "'s",
    "'ll",
    "'ve",
    "'d",
    "'re",
    "ings",
    "ing",
    "edly",
    "ed",
    "es",
    "er",
    "est",
    "ly",
    "s",
    "ment",
    "ness",
    "d",
)
FREQUENT = 5
"""Uses in the training files from which a word stands for itself."""
STRETCH = 8
"""Tokens of the worst stretch."""
MEAN = (-5.3, -4.6)
"""Nats per token of a text: nothing at the first, full at the second."""
WORST = (-7.0, -5.9)
"""The same of its worst stretch."""
SHARE = (0.80, 0.95)
"""Share of known words: nothing at the first, full at the second."""


def english(prompt: str, response: str) -> float:
    """Between 0 and 1: how much the response reads like English that one would send."""
    words = WORD.findall(plain(response))
    if not words:
        return 0.0
    own = {*WORD.findall(plain(prompt))}
    known = sum(word in own or is_known(word) for word in words) / len(words)
    mean, worst = usualness(response)
    order = min(_between(mean, *MEAN), _between(worst, *WORST))
    return min(_between(known, *SHARE), order, _shape(response, len(words)))


def _shape(response: str, num_words: int) -> float:
    sentences = [s for s in SENTENCE.findall(response) if WORD.search(plain(s))]
    good = sum(next(filter(str.isalnum, s)).upper() in s[:3] and len(s.split()) <= 40 for s in sentences)
    return min(_between(good / len(sentences), 0.3, 1.0), _between(response.count(",") / num_words, 0.3, 0.18))


def plain(text: str) -> str:
    """Lower case, with straight apostrophes and quotation marks."""
    return text.lower().replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')


def is_known(word: str) -> bool:
    """Whether a word, or its stem with a regular ending, is on the lists."""
    return word in _vocabulary() or any(stem in _vocabulary() for stem in stems(word))


def stems(word: str) -> Iterator[str]:
    """What a word may be made of: "asked" of "ask", "making" of "make", "stopped" of "stop", "tries" of "try"."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word.removesuffix(ending)
            yield stem
            yield f"{stem}e"
            if len(stem) > 3 and stem[-1] == stem[-2]:
                yield stem[:-1]
            if stem.endswith("i"):
                yield f"{stem[:-1]}y"


COMMON = frozenset(
    """
a about all also am an and any are as ask asking at be been before booking but by can can't could dear did do does don't
for from get got had has have hello help hi how i i'll i'm i've if in is it it's its just know let like look make may me
more my need no not number of on one or order orders other our out please pls ref see send so some sorry take tell than
thank thanks that that's the their them then there they this thx to too up us very want was we we'll we're were what
when where whether which who why will with won't would you you're you've your yours
""".split()  # noqa: SIM905
)
"""Words that say little about what a text is about."""


def stem(word: str) -> str:
    """What "parcels", "parcel's" and "parcel" have in common: the shortest that an ending leaves, five letters at most
    being compared."""
    return min([word, *(s for s in stems(word) if len(s) >= 3)], key=lambda s: (len(s), s))[:5]


def about(text: str) -> set[str]:
    """Stems of the words that say what a text is about."""
    return {stem(w) for w in WORD.findall(plain(text)) if len(w) > 2 and w not in COMMON}


def usualness(text: str) -> tuple[float, float]:
    """Nats per token of the text, and of its worst stretch of STRETCH tokens (or of all, if there are fewer)."""
    kinds = list(_kinds(text))
    nats = [_log_probability(*three) for three in zip(["<s>", "<s>", *kinds], ["<s>", *kinds], kinds, strict=False)]
    if not nats:
        return -math.inf, -math.inf
    width = min(STRETCH, len(nats))
    return sum(nats) / len(nats), min(sum(nats[i : i + width]) for i in range(len(nats) - width + 1)) / width


def _kinds(text: str) -> Iterator[str]:
    for token in TOKEN.findall(plain(text)):
        yield "." if token in "!?" else _kind(token)


def _kind(token: str) -> str:
    if token in _frequent() or not token[0].isalnum():
        return token
    if token[0].isdigit():
        return "<number>"
    ending = next((e for e in ("ing", "ed", "ly", "s") if token.endswith(e) and len(token) > len(e) + 2), "")
    return f"<{ending}>" if is_known(token) else "<unknown>"


@cache
def _vocabulary() -> frozenset[str]:
    return WORDS | {word for text in _texts() for word in WORD.findall(plain(text))}


@cache
def _frequent() -> frozenset[str]:
    counts = Counter(token for text in _texts() for token in TOKEN.findall(plain(text)))
    return frozenset(token for token, count in counts.items() if count >= FREQUENT)


@cache
def answers() -> tuple[tuple[str, str], ...]:
    """All messages with an answer, of the plain style and of many styles."""
    folder = Path(__file__).parent
    files = [folder / f"assistant_{name}.jsonl" for name in ("demonstrations", "letters")]
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return tuple((row["messages"][-1]["content"], row["response"]) for row in rows)


@cache
def _texts() -> tuple[str, ...]:
    """The customers' messages, and answers in many styles: the demonstrations' one style would make others unusual."""
    folder = Path(__file__).parent
    return tuple(text for name in ("train", "letters") for text in _read(folder / f"assistant_{name}.jsonl"))


def _read(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["response"] if "response" in row else row["messages"][-1]["content"]


Run = tuple[str, ...]


@cache
def _counts() -> tuple[Counter[Run], Counter[Run], Counter[Run]]:
    """How often each run of one to three kinds was seen; what precedes its last: how often, and before how many."""
    seen: Counter[Run] = Counter()
    times: Counter[Run] = Counter()
    for text in _texts():
        kinds = ("<s>", "<s>", *_kinds(text))
        for end in range(3, len(kinds) + 1):
            runs = [kinds[end - length : end] for length in (1, 2, 3)]
            seen.update(runs)
            times.update(run[:-1] for run in runs)
    return seen, times, Counter(run[:-1] for run in seen)


def _log_probability(before: str, last: str, kind: str) -> float:
    """Nats of a kind after two others: Witten and Bell's mixture of trigram, bigram, unigram and uniform."""
    seen, times, followers = _counts()
    probability = 1 / (len(_frequent()) + 6)
    for context in ((), (last,), (before, last)):
        if times[context]:
            probability = (seen[(*context, kind)] + followers[context] * probability) / (
                times[context] + followers[context]
            )
    return math.log(probability)


def _between(value: float, nothing: float, full: float) -> float:
    return max(0.0, min(1.0, (value - nothing) / (full - nothing)))
