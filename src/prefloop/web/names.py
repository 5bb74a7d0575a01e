"""Names that people see: no letter that is not seen, no two names that look the same.

The look-alikes are the common ones of Latin, Cyrillic and Greek (after Unicode's confusables, UTS 39), not all of them.
"""

import unicodedata
from collections.abc import Iterable

HIDDEN = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(n) for n in range(0xFE00, 0xFE10)}
"""Letters that show nothing though they count as printable."""
_CYRILLIC = dict(zip("аеорсухіѕјԁԛԝһкмтвнпӏь", "aeopcyxisjdqwhkmtbhnlb", strict=True))
_GREEK = dict(zip("αορντικυχεηβγω", "aopvtikuxenbyw", strict=True))
LOOKS = {**_CYRILLIC, **_GREEK, "ı": "i", "ł": "l", "0": "o", "1": "l", "|": "l", "ꞵ": "b", "ø": "o"}
"""Letter -> the Latin letter that it looks like."""
SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")


def is_seen(name: str) -> bool:
    """True if every letter of it is seen: no controls, no marks of direction, nothing of no width."""
    return name.isprintable() and not HIDDEN & set(name)


def seen(name: str) -> str:
    """The name without letters that are not seen."""
    return "".join(letter for letter in name if is_seen(letter))


def mixes(name: str) -> bool:
    """True if one word has letters of two scripts that look alike."""
    return any(len(_scripts(word)) > 1 for word in name.split())


def _scripts(word: str) -> set[str]:
    names = (unicodedata.name(letter, "") for letter in word if letter.isalpha())
    return {script for name in names for script in SCRIPTS if name.startswith(script)}


def skeleton(name: str) -> str:
    """What a name looks like: two with one skeleton are taken for each other."""
    plain = unicodedata.normalize("NFKC", seen(name)).casefold()
    looks = "".join(LOOKS.get(letter, letter) for letter in plain)
    return "".join(looks.replace("rn", "m").replace("vv", "w").split())


def like(name: str, others: Iterable[str]) -> str | None:
    """Another name that looks the same; None if there is none."""
    wanted = skeleton(name)
    return next((other for other in others if other != name and skeleton(other) == wanted), None)
