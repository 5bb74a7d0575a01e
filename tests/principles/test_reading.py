"""Principles files: those that come with prefloop are whole in both languages, and a wrong one is a sentence."""

import re
from collections import Counter
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.principles.reading import Principles, built_in, principles_of, shipped
from prefloop.records import Message

GOOD = """\
principles:
  - name: short
    critique: Is it short?
    revision: Make it short.
    comparison: Which is shorter?
    tags: [concise]
  - name: kind
    critique: Is it kind?
    revision: Make it kind.
    comparison: Which is kinder?
"""
ENGLISH, CHINESE = (Message(role="user", content=text) for text in ("Where is it?", "包裹在哪里？"))
_HAN = re.compile(r"[\u4e00-\u9fff]")


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_six_files_come_in_two_languages_under_the_same_names():
    assert shipped() == ("education", "harmless", "helpful", "honest", "law", "medicine")
    for name in shipped():
        english, chinese = ([p for p, _ in principles_of(built_in(name, each))] for each in ("en", "zh"))
        assert 3 <= len(english) <= 6
        assert [(p.name, p.tags) for p in english] == [(p.name, p.tags) for p in chinese]
        for p in english:
            texts = (p.critique, p.revision, p.comparison)
            assert not any(map(_HAN.search, texts))
            assert p.comparison.endswith("?")
            assert all(text.endswith((".", "?")) for text in texts)
        for p in chinese:
            assert all(len(_HAN.findall(text)) > 8 for text in (p.critique, p.revision, p.comparison))
    assert max(Counter(Principles.of(shipped()).names).values()) == 1


def test_every_one_has_a_tag_that_the_helpdesk_knows():
    """So that a simulated reviser can follow it."""
    axes = {"helpful", "accurate", "empathetic", "concise", "safe", "honest"}
    for name in shipped():
        assert all({*p.tags} & axes for p, _ in principles_of(built_in(name, "en")))


def test_the_language_is_the_prompts_or_the_one_that_is_asked_for():
    drawn = Principles.of(["honest"])
    assert drawn.language_for([CHINESE]) == "zh"
    assert _HAN.search(drawn.named("no_flattery", [CHINESE]).critique)
    assert not _HAN.search(drawn.named("no_flattery", [ENGLISH]).critique)
    chinese = Principles.of(["honest"], language="zh")
    assert chinese.named("no_flattery", [ENGLISH]) == drawn.named("no_flattery", [CHINESE])


def test_a_file_of_ones_own_is_used_as_it_is(tmp_path: Path):
    mine = written(tmp_path, GOOD)
    drawn = Principles.of([mine, "helpful"])
    assert drawn.names[:2] == ("short", "kind")
    assert drawn.files == (mine,)
    assert drawn.named("short", [CHINESE]) == drawn.named("short", [ENGLISH])
    assert drawn.named("short", [ENGLISH]).tags == ("concise",)
    assert len(drawn.names) == 6


def test_every_principle_is_drawn_alike_often(tmp_path: Path):
    """30,000 draws of two: half each within 4 deviations (0.5 +- 0.0116); the place decides."""
    drawn = Principles.of([written(tmp_path, GOOD)])
    first = [drawn.drawn(f"7 p{i} 0") for i in range(30_000)]
    assert abs(first.count("short") / 30_000 - 0.5) < 0.0116
    assert first[:50] == [drawn.drawn(f"7 p{i} 0") for i in range(50)]
    assert first[:50] != [drawn.drawn(f"7 p{i} 1") for i in range(50)]


def test_another_word_is_another_fingerprint(tmp_path: Path):
    one = Principles.of([written(tmp_path, GOOD)]).fingerprint
    assert Principles.of([written(tmp_path, GOOD)]).fingerprint == one
    assert Principles.of([written(tmp_path, GOOD.replace("Is it kind?", "Is it friendly?"))]).fingerprint != one


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("    critique: Is it kind?\n", ""), ":7: the principle 'kind' has no text for `critique`"),
        (("Is it kind?", '""'), ":8: the principle 'kind' has no text for `critique`"),
        (("Make it short.", "[a, b]"), ":4: the principle 'short' has no text for `revision`"),
        (("name: kind", "name: short"), ":7: two principles are called 'short', the other at "),
        (("name: kind", "title: kind"), ":7: a principle has no `title`. There are: name, critique"),
        (("critique: Is it kind", "critque: Is it kind"), ":8: a principle has no `critque`. Did you mean `crit"),
        (("  - name: short\n", "  - nothing\n  - name: short\n"), ":2: a principle is name, critique, revision"),
        (("name: kind", "name: be kind"), ":7: a principle cannot be called 'be kind'"),
        (("[concise]", "concise"), ":6: `tags` should be a list of words"),
        (("principles:", "principle:"), ":1: a principles file has no `principle`. Did you mean `principles`?"),
    ],
)
def test_a_wrong_file_is_a_sentence_with_its_line(tmp_path: Path, change: tuple[str, str], says: str):
    mine = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(UserError) as refused:
        Principles.of([mine])
    assert str(refused.value).startswith(f"{mine}{says}")


@pytest.mark.parametrize("text", ["", "# nothing\n", "principles:\n", "principles: []\n"])
def test_an_empty_file_is_a_sentence(tmp_path: Path, text: str):
    with pytest.raises(UserError, match="this file holds no principle"):
        Principles.of([written(tmp_path, text)])


def test_one_name_in_two_files_is_told_with_both_places(tmp_path: Path):
    mine = written(tmp_path, GOOD.replace("name: kind", "name: no_flattery"))
    with pytest.raises(UserError, match=r"two principles are called 'no_flattery', the other at .*honest.yaml:\d+"):
        Principles.of(["honest", mine])


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(
        UserError, match=r"`principles` names harmles: there is no such file.* Did you mean harmless\? There"
    ):
        Principles.of(["harmles"])


def test_words_that_yaml_takes_for_something_else_are_text(tmp_path: Path):
    """A principle may be called 7, or be criticised by `no`."""
    (one, _), _ = principles_of(written(tmp_path, GOOD.replace("name: short", "name: 7").replace("Is it short?", "no")))
    assert (one.name, one.critique) == ("7", "no")
