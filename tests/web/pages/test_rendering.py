"""Markdown becomes a tree of what is allowed, from any text whatever; nothing in it could run."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefloop.web.pages.rendering import ALLOWED, HREF, plain, tree, words
from web.payloads import ODD, PAYLOADS

VALUES = {"lang": 20, "start": 9, "align": 6}


def elements(nodes: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every element of a tree; fails on a node of another form."""
    for node in nodes:
        if isinstance(node, str):
            continue
        name, attributes, children = node
        yield name, attributes
        yield from elements(children)


def check(nodes: list[Any]) -> None:
    """Fails unless everything in the tree is allowed."""
    for name, attributes in elements(nodes):
        assert name in ALLOWED
        assert set(attributes) <= ALLOWED[name]
        for key, value in attributes.items():
            if key == "href":
                assert HREF.fullmatch(value)
                assert value.lower().startswith(("http://", "https://"))
            else:
                assert len(value) <= VALUES[key]
                assert all(letter.isalnum() or letter in "+#.-" for letter in value)


def emphasised(depth: int) -> str:
    """A word in so many emphases."""
    marks = ["**" if n % 2 else "*" for n in range(depth)]
    return "".join(f"{mark}a " for mark in marks) + "<b>deep</b>" + "".join(reversed(marks))


DEEP = {
    "quotes": lambda depth: "> " * depth + "<b>deep</b>",
    "lists": lambda depth: "\n".join(
        "  " * n + ("- <b>deep</b>" if n == depth - 1 else f"- {n}") for n in range(depth)
    ),
    "both": lambda depth: "> 1. " * depth + "<b>deep</b>",
    "emphasis": emphasised,
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("depth", [3, 6, 7, 9, 10, 11, 18, 19, 20, 21, 40, 60, 1000])
def test_what_is_nested_deeply_is_shown_whole(kind: str, depth: int):
    """As Markdown where that is possible, else as it is written; nothing is left out, and nothing becomes HTML."""
    text = DEEP[kind](depth)
    shown = tree(text)
    check(shown)
    assert "<b>deep</b>" in words(shown)
    assert len(json.dumps(shown)) > depth
    plainly = shown == [["pre", {}, [text]]]
    assert plainly == (depth >= {"quotes": 20, "lists": 10, "both": 7, "emphasis": 60}[kind])


def test_there_are_a_hundred_payloads():
    assert len(set(PAYLOADS)) >= 150


@pytest.mark.parametrize("call", ["alert", "fetch"])
def test_no_payload_leaves_the_list(call: str):
    for payload in PAYLOADS:
        if call in payload:
            check(tree(payload))
            check(tree(f"before {payload} after"))
            check(tree(f"* {payload}\n\n{payload}"))


@pytest.mark.parametrize("number", range(len(ODD)))
def test_odd_texts_are_shown_at_once(number: int):
    started = time.thread_time()
    check(tree(ODD[number]))
    assert time.thread_time() - started < 3


@given(st.text(st.characters(exclude_categories=()), max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_becomes_a_tree(text: str):
    check(tree(text))
    check(plain(text))


PARTS = [
    "*", "_", "`", "[", "](", ")", "<", ">", "!", "|", "\n", "\n\n", "    ", "-", "1.", "#", "&", ";", "a", "http://a",
    "javascript:", '"', "\\", "~~",
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_markdown_becomes_a_tree(parts: list[str]):
    check(tree("".join(parts)))


def test_plain_words_are_all_kept():
    assert words(tree("one <b>two</b> three & 四 <five>")) == "one <b>two</b> three & 四 <five>"


def test_what_markdown_becomes():
    assert tree("# A *b*\n\n- c\n- d\n\n[e](https://f.example/?g=h&i)") == [
        ["h1", {}, ["A ", ["em", {}, ["b"]]]],
        ["ul", {}, [["li", {}, ["c"]], ["li", {}, ["d"]]]],
        ["p", {}, [["a", {"href": "https://f.example/?g=h&i"}, ["e"]]]],
    ]
    assert tree("```python\nif a < b:\n    c\n```") == [
        ["pre", {}, [["code", {"lang": "python"}, ["if a < b:\n    c\n"]]]]
    ]
    assert tree("3. x\n\n| a | b |\n|:--|--:|\n| 1 | 2 |") == [
        ["ol", {"start": "3"}, [["li", {}, ["x"]]]],
        ["table", {}, [
            ["thead", {}, [["tr", {}, [["th", {"align": "left"}, ["a"]], ["th", {"align": "right"}, ["b"]]]]]],
            ["tbody", {}, [["tr", {}, [["td", {"align": "left"}, ["1"]], ["td", {"align": "right"}, ["2"]]]]]],
        ]],
    ]  # fmt: skip
    assert tree("a\nb  \nc") == [["p", {}, ["a\nb", ["br", {}, []], "\nc"]]]
    assert tree("![alt](https://x.example/y.png)") == [
        ["p", {}, ["!", ["a", {"href": "https://x.example/y.png"}, ["alt"]]]]
    ]
