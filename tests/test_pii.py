"""Personal data is found by kind, near misses are not, and nothing that is found is ever shown."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefloop import pii
from prefloop.pii import chinese_id, iban, luhn, masked, personal_data

TRUE: dict[str, list[str]] = {
    "email": ["ann.lee@mail.org", "x_1+tag@sub.uni-koeln.de", "a-b%c@qq.com"],
    "phone": [
        "+49 170 1234567",
        "+1 (415) 555-2671",
        "+8613812345678",
        "0044 20 7946 0958",
        "13812345678",
        "139 1234 5678",
        "199-0000-1111",
    ],
    "chinese_id": ["11010519491231002X", "440524198001010013"],
    "iban": [
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "NO93 8601 1117 947",
        "FR1420041010050500013M02606",
    ],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011000990139424"],
    "ip": ["8.8.8.8", "93.184.216.34", "2a00:1450:4001:0802:0000:0000:0000:200e", "2a00:1450:4001::200e"],
    "url": [
        "https://ann:secret@host.org/x",
        "http://github.com/annlee",
        "https://uni.edu/~annlee/cv",
        "https://forum.org/users/annlee",
        "https://www.linkedin.com/in/ann-lee",
    ],
}
"""Kind -> what is of it."""
FALSE = [
    "ann at mail.org", "user@localhost", "ann@example.com", "@ann", "a@b.c", "ann@@mail.org", "x@team.test",
    "12345678901", "10812345678", "138123456789", "order 9138123456780", "+123", "+0 170 1234567", "1380 1234 567",
    "110105194912310021", "110105194913310027", "11010519491231002", "11010518491231002X",
    "DE88370400440532013000", "DE8937040044053201300", "XX89370400440532013000", "DE89 3704 0044  0532 0130 00",
    "4111 1111 1111 1112", "0000 0000 0000 0000", "9111111111111111", "411111111111", "4111.1111.1111.1111",  # no card
    "192.168.0.1", "127.0.0.1", "10.0.0.7", "999.8.8.8", "1.2.3", "8.8.8.8.8", "12:30:45", "std::vector", "2001:db8::1",
    "fe80::1",
    "https://shop.com/orders/7", "https://github.com", "https://github.com/ann/repo/issues", "mailto:", "http://u/",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in TRUE.items() for value in values[:]])
@pytest.mark.parametrize("around", ["{}", "call {} now", "是{}吗？", "({}),", "a, {}. B", "{}\nnext"])
def test_what_is_personal_is_found_wherever_it_stands(kind: str, value: str, around: str):
    text = around.format(value)
    (found,) = personal_data(text)
    assert (found.kind, text[found.start : found.end]) == (kind, value)


@pytest.mark.parametrize("text", FALSE)
def test_what_only_looks_so_is_not(text: str):
    assert personal_data(text) == ()
    assert personal_data(f"see {text} here") == ()


def test_several_in_one_text_in_their_order():
    text = "I am ann@mail.org, card 4111 1111 1111 1111, ring +49 170 1234567 or 13812345678."
    assert [found.kind for found in personal_data(text)] == ["email", "card", "phone", "phone"]


def test_wide_forms_are_read_as_narrow_ones():
    text = "我的邮箱是ａｎｎ＠ｍａｉｌ．ｏｒｇ，电话１３８１２３４５６７８"
    found = personal_data(text)
    assert [one.kind for one in found] == ["email", "phone"]
    assert text[found[1].start : found[1].end] == "１３８１２３４５６７８"


def test_what_follows_or_precedes_a_card_does_not_hide_it():
    (found,) = personal_data("order 12 4111 1111 1111 1111 22")
    assert found.kind == "card"
    assert found.masked == "41** **** **** ***1"


def test_masks_by_hand():
    assert masked("ann@mail.org") == "an*@****.**g"
    assert masked("8.8.8.8") == "8.*.*.*"
    assert masked("13812345678") == "13********8"


@given(some.text())
def test_any_text_can_be_looked_at(text: str):
    places = [(found.start, found.end) for found in personal_data(text)]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(places))


@given(some.text(min_size=1))
def test_a_mask_tells_at_most_three_characters(value: str):
    shown = [a for a, b in zip(value, masked(value), strict=True) if a.isalnum() and b != "*"]
    assert len(shown) <= 3
    assert 2 * len(shown) <= max(2, sum(c.isalnum() for c in value))


def test_checksums_see_every_single_wrong_digit():
    """Luhn, ISO 7064 and GB 11643 all promise that; and of random ones they pass a tenth, a 97th, an eleventh."""
    rng = random.Random(0)
    for good, right in (
        ("4111111111111111", luhn),
        ("DE89370400440532013000", iban),
        ("11010519491231002X", chinese_id),
    ):
        assert right(good)
        for place in [p for p, c in enumerate(good) if c.isdigit() and (right is not iban or p >= 2)]:
            for other in set("0123456789") - {good[place]}:
                assert not right(good[:place] + other + good[place + 1 :])
    passed = sum(luhn(str(rng.randrange(10**15, 10**16))) for _ in range(5000))
    assert passed == pytest.approx(500, abs=4 * 450**0.5)
    passed = sum(iban(f"DE{rng.randrange(10**20):020}") for _ in range(20000))
    assert passed == pytest.approx(20000 / 97, abs=4 * 14.4)


def test_every_kind_has_a_true_example():
    assert TRUE.keys() == set(pii.KINDS)
