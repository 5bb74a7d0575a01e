"""Personal data in a text: what looks like a person's, and passes the checksum of its kind where there is one.

E-mail addresses, phone numbers (with a country's code, and Chinese mobile numbers), Chinese ID numbers (GB 11643),
IBANs (ISO 13616), payment cards (Luhn 1960), IP addresses that lead anywhere, and addresses of the web that name a
user. Names and addresses of houses are not found: no rule tells them from other words. What is found is shown masked,
never itself.
"""

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["url", "email", "iban", "chinese_id", "card", "ip", "phone"]
KINDS: tuple[Kind, ...] = ("url", "email", "iban", "chinese_id", "card", "ip", "phone")
"""In the order in which a place in a text is claimed: what is one of the first is none of the others."""
_NARROW = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}
"""Wide forms of Chinese and Japanese keyboards -> the narrow ones, each of one character."""

_URL = re.compile(r"(?<![A-Za-z0-9])(?:https?|ftp)://[^\s<>\"'\u3000-\u303f\u4e00-\u9fff]+")
_USER = re.compile(
    r"^[a-z]+://[^/@\s]+@|/(?:~|@|users?/|u/|people/|profiles?/|in/)(?=[A-Za-z0-9._-]{2,})", re.IGNORECASE
)
_PROFILE = re.compile(
    r"^[a-z]+://(?:www\.|m\.)?(?:github|gitlab|twitter|x|facebook|instagram|t|tiktok|weibo)\.(?:com|me)/[A-Za-z0-9._-]{2,}/?$",
    re.IGNORECASE,
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}"
    r"(?![A-Za-z0-9-]|\.[A-Za-z0-9])"
)
_NOBODYS = re.compile(
    r"@(?:.*\.)?(?:example\.(?:com|org|net)|(?:[^.]+\.)*(?:example|test|invalid|localhost))$", re.IGNORECASE
)
"""Domains that are set aside for examples (RFC 2606)."""
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?= ?[A-Z0-9])")
_ID = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_IPV4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?![0-9A-Za-z:])")
_ABROAD = re.compile(r"(?<![0-9A-Za-z+])\+[1-9](?:[ ./-]?\(?[0-9]\)?){5,13}[ ./-]?\(?[0-9](?![0-9])")
_ZEROS = re.compile(r"(?<![0-9A-Za-z])00[1-9][0-9]{0,2}[ ./-](?:[0-9][ ./-]?){5,11}[0-9](?![0-9])")
_MOBILE = re.compile(r"(?<![0-9A-Za-z])1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![0-9A-Za-z])")
_PREFIX = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30[0-5]|36|38|35|6(?:011|5|4[4-9]|2)")
"""With what the numbers of the payment networks begin."""
_IBANS = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18
    FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21
    MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25
    SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_LENGTHS: Mapping[str, int] = {each[:2]: int(each[2:]) for each in _IBANS.split()}


@dataclass(frozen=True)
class Found:
    """One piece of personal data in a text."""

    kind: Kind
    start: int
    """where it begins, in characters"""
    end: int
    """where it ends"""
    masked: str
    """what may be shown of it"""


def personal_data(text: str) -> tuple[Found, ...]:
    """What is personal in a text, in its order; no two overlap."""
    narrow, taken = text.translate(_NARROW), list[Found]()
    for kind in KINDS:
        for start, end in _FINDERS[kind](narrow):
            if all(end <= other.start or start >= other.end for other in taken):
                taken.append(Found(kind, start, end, masked(narrow[start:end])))
    return tuple(sorted(taken, key=lambda found: found.start))


def masked(value: str) -> str:
    """A value with a star for each letter and digit but the first two and the last; of short ones but the first."""
    places = [place for place, character in enumerate(value) if character.isalnum()]
    kept = {*places[:2], *places[-1:]} if len(places) > 6 else {*places[:1]}
    return "".join("*" if c.isalnum() and place not in kept else c for place, c in enumerate(value))


def luhn(digits: str) -> bool:
    """Whether the last of some digits is the one that Luhn's rule asks for: every second from the right is doubled, the
    digits of all are added, and 10 divides the sum."""
    doubled = (int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def iban(value: str) -> bool:
    """Whether a value without spaces is an IBAN: its country's length, and 1 left over by 97 once its first four
    characters stand behind and letters are numbers, A = 10 (ISO 7064)."""
    if len(value) != _IBAN_LENGTHS.get(value[:2]):
        return False
    return int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1


def chinese_id(value: str) -> bool:
    """Whether 18 characters are a Chinese ID number: a day of birth that was, and the last the check of the others,
    whose weights are 2^(17 - place) mod 11 (GB 11643)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(value[:17]))
    if value[17].upper() != "10X98765432"[total % 11]:
        return False
    try:
        born = datetime.date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    return 1900 <= born.year <= 2100


Places = Iterator[tuple[int, int]]


def _urls(text: str) -> Places:
    for match in _URL.finditer(text):
        url = match[0].rstrip(".,;:!?)]}")
        if _USER.search(url) or _PROFILE.match(url):
            yield match.start(), match.start() + len(url)


def _emails(text: str) -> Places:
    for match in _EMAIL.finditer(text):
        if not _NOBODYS.search(match[0]):
            yield match.span()


def _ibans(text: str) -> Places:
    for match in _IBAN.finditer(text):
        size, compact = _IBAN_LENGTHS.get(match[0][:2], 0), ""
        for end in range(match.start(), len(text)):
            single = text[end] == " " and text[end - 1] != " "
            if not single and not re.match("[A-Z0-9]", text[end]):
                break
            compact += text[end].strip()
            if len(compact) == size:
                follows = text[end + 1 : end + 2]
                if iban(compact) and not re.match("[A-Za-z0-9]", follows):
                    yield match.start(), end + 1
                break


def _ids(text: str) -> Places:
    return (match.span() for match in _ID.finditer(text) if chinese_id(match[0]))


def _cards(text: str) -> Places:
    """Runs of digits, with single spaces or hyphens between them, with a network's prefix and a right last digit."""
    for match in re.finditer(r"(?<![0-9A-Za-z])[0-9]", text):
        digits = ""
        for end in range(match.start(), len(text)):
            if text[end] in " -" and text[end - 1].isdigit():
                continue
            if not re.match("[0-9]", text[end]) or len(digits) == 19:
                break
            digits += text[end]
            whole = not re.match("[0-9A-Za-z]", text[end + 1 : end + 2])
            if whole and len(digits) >= 13 and _PREFIX.match(digits) and len(set(digits)) > 1 and luhn(digits):
                yield match.start(), end + 1
                break


def _ips(text: str) -> Places:
    """Those that lead anywhere: not of a house's own network, of examples, or of this machine."""
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue
            abroad = address.version == 4 or address in ipaddress.ip_network("2000::/3")
            if address.is_global and abroad and not address.is_multicast:
                yield match.span()


def _phones(text: str) -> Places:
    for pattern in (_ABROAD, _ZEROS, _MOBILE):
        for match in pattern.finditer(text):
            if 8 <= sum(c.isdigit() for c in match[0]) <= 16:
                yield match.span()


_FINDERS: Mapping[Kind, Callable[[str], Places]] = {
    "url": _urls,
    "email": _emails,
    "iban": _ibans,
    "chinese_id": _ids,
    "card": _cards,
    "ip": _ips,
    "phone": _phones,
}
