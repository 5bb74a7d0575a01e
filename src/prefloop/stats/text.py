"""Texts as words: what a word is, in any language, and how often words come again.

Chinese, Japanese, Thai and the like have no spaces between words: there a character counts as one.
"""

import itertools
import re
from collections.abc import Hashable, Sequence

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_READ = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+|[^\\w\\s]")
Pair = tuple[str, str]
"""Two words that are neighbours."""
CHARACTERS_PER_WORD = 1.6
"""Chinese characters that are read in the time of one English word."""


def words(text: str) -> list[str]:
    """What stands between spaces; of that, whatever holds a character of a script without spaces, by characters."""
    return [word for piece in text.split() for word in (piece if _CHARACTER.search(piece) else [piece])]


def words_to_read(text: str) -> float:
    """English words, or what takes as long to read: 1.6 Chinese characters."""
    pieces = _READ.findall(text)
    characters = sum(_CHARACTER.match(piece) is not None for piece in pieces)
    return len(pieces) - characters + characters / CHARACTERS_PER_WORD


def tokens(text: str) -> list[str]:
    """Lower-case words, and marks by themselves: what a model of words sees."""
    return _TOKEN.findall(text.lower())


def distinct_n(texts: Sequence[Sequence[Hashable]], n: int) -> float:
    """Diversity: distinct n-grams over all n-grams of a set of texts.

    Li et al. 2016 (arXiv:1510.03055). It falls with the amount of text, so compare sets of equal size.

    Args:
        texts: lists of words or of tokens; an n-gram never crosses from one to the next.
        n: length of an n-gram, at least 1.

    Returns: in [0, 1]; 1 if nothing is said twice, 0 if no text is n long.
    Raises: ValueError if n is below 1.
    """
    if n < 1:
        raise ValueError(f"an n-gram has at least one word, got n = {n}")
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(texts: Sequence[Sequence[Hashable]]) -> float:
    """Share of the pairs of neighbouring words that the same text has already used: 0 never repeats itself."""
    total = sum(max(0, len(text) - 1) for text in texts)
    return sum(map(pairs_again, texts)) / total if total else 0.0


def pairs_again(text: Sequence[Hashable]) -> int:
    """How many pairs of neighbouring words a text has already used."""
    return max(0, len(text) - 1) - len(set(itertools.pairwise(text)))


def word_pairs(text: str) -> frozenset[Pair]:
    """The pairs of neighbouring words, in small letters, the ends of the text among them."""
    return frozenset(itertools.pairwise(["", *words(text.lower()), ""]))


def overlap(first: str, second: str) -> float:
    """Share of the pairs of neighbouring words, their ends among them, that two texts have in common (Jaccard)."""
    a, b = word_pairs(first), word_pairs(second)
    return len(a & b) / len(a | b)
