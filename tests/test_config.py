"""Settings: every mistake a user can type is one sentence with place, key and remedy."""

import os
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from prefloop.config import Config, frozen, in_order, section
from prefloop.errors import UserError
from prefloop.notation import override, read_yaml


class Kettle(Config):
    """Settings inside settings."""

    litres: float = Field(default=1.0, gt=0)
    """How much water."""
    whistle: bool = True
    """Whether it whistles."""


class Tea(Config):
    """A small stage of this test's own."""

    leaves: int
    """Leaves in the pot."""
    cups: int = 1
    """Cups to fill; leaves are shared evenly."""
    lr: float = 0.1
    """How fast it steeps."""
    colour: Literal["green", "black"] = "green"
    """Which tea."""
    sizes: tuple[int, ...] = (1, 2)
    """Sizes of the cups."""
    kettle: Kettle = Kettle()
    """The kettle."""
    spares: tuple[Kettle, ...] = ()
    """More kettles."""

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.leaves % self.cups:
            raise ValueError(f"cups = {self.cups} does not divide leaves = {self.leaves}. Try cups = 1.")
        return self


def tea(folder: Path, text: str, *overrides: str) -> Tea:
    """The settings that a file of this text, with these overrides, stands for."""
    file = folder / "tea.yaml"
    file.write_text(text, encoding="utf-8")
    return Tea.load(str(file), overrides)


def complaint(folder: Path, text: str, *overrides: str) -> str:
    """The sentence that such a file earns, its folder left out."""
    with pytest.raises(UserError) as caught:
        tea(folder, text, *overrides)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_file_a_default_and_an_override(tmp_path):
    read = tea(tmp_path, "leaves: 4\nkettle:\n  litres: 2\n", "cups=2", "kettle.whistle=false", "sizes=[3, 4]")
    assert read == Tea(leaves=4, cups=2, kettle=Kettle(litres=2.0, whistle=False), sizes=(3, 4))


def test_no_file_at_all():
    assert Tea.load(None, ["leaves=3"]).leaves == 3


def test_an_override_makes_the_section_it_needs(tmp_path):
    assert tea(tmp_path, "leaves: 1", "kettle.litres=0.5").kettle.litres == 0.5


def test_an_empty_file_is_no_settings(tmp_path):
    assert complaint(tmp_path, "# only words\n") == (
        "tea.yaml: the setting `leaves` is needed. Add leaves=..., leaves: Leaves in the pot."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("leaves: 1\ncupps: 2\n", ":2: no setting is called `cupps`. Did you mean `cups`?"),
        ("leafs: 1\n", ":1: no setting is called `leafs`. Did you mean `leaves`?"),
        (
            "leaves: 1\nkettle:\n  whistle: true\n  liters: 2\n",
            ":4: no setting is called `kettle.liters`. Did you mean `litres`?",
        ),
        ("leaves: 1\nspares:\n- {liters: 2}\n", ":3: no setting is called `spares.0.liters`. Did you mean `litres`?"),
        ("leaves: 1\nkettle: {xyz: 1}\n", ":2: no setting is called `kettle.xyz`. There are: litres, whistle."),
        ("leaves: many\n", ":1: `leaves` should be a whole number, but is 'many'. leaves: Leaves in the pot."),
        ("\n\nleaves: '4'\n", ":3: `leaves` should be a whole number, but is '4'. leaves: Leaves in the pot."),
        (
            "leaves: 1\nkettle:\n  litres: -1\n",
            ":3: `kettle.litres` should be greater than 0, but is -1. litres: How much water.",
        ),
        ("leaves: 1\ncolour: red\n", ":2: `colour` should be 'green' or 'black', but is 'red'. colour: Which tea."),
        ("leaves: 1\ncups: 1\nleaves: 2\n", ":3: `leaves` was already set in line 1; keep one."),
        ("leaves: 1\nkettle:\n  litres: 1\n  litres: 2\n", ":4: `kettle.litres` was already set in line 3; keep one."),
        ("- 1\n- 2\n", ": expected lines `key: value`, found a list."),
        (
            "7: 1\nleaves: 1\n",
            ":1: no setting is called `7`. There are: colour, cups, kettle, leaves, lr, sizes, spares.",
        ),
        ("leaves: 5\ncups: 2\n", ":2: cups = 2 does not divide leaves = 5. Try cups = 1."),
    ],
)
def test_a_mistake_in_the_file(tmp_path, text, sentence):
    assert complaint(tmp_path, text) == f"tea.yaml{sentence}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("cupps=2", "the command line: no setting is called `cupps`. Did you mean `cups`?"),
        ("leaves=x", "the command line: `leaves` should be a whole number, but is 'x'. leaves: Leaves in the pot."),
        (
            "kettle.litres=0",
            "the command line: `kettle.litres` should be greater than 0, but is 0. litres: How much water.",
        ),
        ("cups", "`cups` is not a setting; settings are typed key=value, for instance seed=1."),
        ("=2", "`=2` is not a setting; settings are typed key=value, for instance seed=1."),
        ("leaves.big=2", "`leaves.big=2`: `leaves` is a single value, so `leaves.big` cannot be set inside it."),
        ("cups=3", "the command line: cups = 3 does not divide leaves = 4. Try cups = 1."),
    ],
)
def test_a_mistake_in_an_override(tmp_path, override, sentence):
    assert complaint(tmp_path, "leaves: 4\n", override) == sentence


def test_yaml_that_is_none(tmp_path):
    assert complaint(tmp_path, "leaves: [1\ncups: 2\n").startswith("tea.yaml:2: this is not YAML: ")
    assert complaint(tmp_path, "leaves: 1\0\n").startswith("tea.yaml: this is not YAML: ")
    (tmp_path / "tea.yaml").write_bytes(b"leaves: \xff\xfe1\n")
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        Tea.load(str(tmp_path / "tea.yaml"))


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "laptop.yaml").write_text("leaves: 1")
    with pytest.raises(UserError, match=r"labtop.yaml: there is no such file. Did you mean .*laptop.yaml\?"):
        Tea.load(str(tmp_path / "labtop.yaml"))
    with pytest.raises(UserError, match="Give the path of an existing YAML file"):
        Tea.load(str(tmp_path / "quite_other.yaml"))


def typed(text: str) -> Any:
    """What `key=TEXT` on the command line stands for."""
    values: dict[str, Any] = {}
    override(values, f"key={text}")
    return values["key"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), ("3.", 3.0), (".5", 0.5), ("-2.5e-3", -2.5e-3), ("-.inf", -float("inf"))],
)
def test_numbers_that_plain_yaml_takes_for_text(text, value):
    read = typed(text)
    assert (type(read), read) == (float, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("010", 10),  # not 8
        ("0x10", "0x10"),
        ("1:30", "1:30"),  # not 90 seconds
        ("1e", "1e"),
        ("e4", "e4"),
        ("1.2.3", "1.2.3"),
        ("12-05", "12-05"),
        ("2024-01-31", "2024-01-31"),
        ("2024-13-45", "2024-13-45"),
        ("Run #3", "Run #3"),
        ("#x", "#x"),
        ("it's", "it's"),
        ("'it", "'it"),
        ("none", None),
        ("~", None),
        ("yes", True),
        ("", ""),
    ],
)
def test_what_is_no_float_stays_what_it_is(text, value):
    read = typed(text)
    assert (type(read), read) == (type(value), value)


def test_a_number_from_file_and_override(tmp_path):
    assert tea(tmp_path, "leaves: 1\nlr: 1e-4\n").lr == 1e-4
    assert tea(tmp_path, "leaves: 1\n", "lr=3e-5").lr == 3e-5


def test_settings_do_not_change():
    settings: Any = Tea(leaves=1)
    with pytest.raises(ValidationError, match="frozen"):
        settings.leaves = 2


def test_lines_of_nested_keys(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n\nb:\n  c: 2\n  d:\n    e: 3\n")
    values, lines = read_yaml(str(file))
    assert values == {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
    assert {key: place.line for key, place in lines.items()} == {"a": 1, "b": 3, "b.c": 4, "b.d": 5, "b.d.e": 6}


def test_frozen_is_deep():
    assert frozen({"a": [1, {"b": [2, [3]]}]}) == {"a": (1, {"b": (2, (3,))})}


def test_section_looks_through_options_and_tuples():
    assert section(Kettle) is Kettle
    assert section(Kettle | None) is Kettle
    assert section(tuple[Kettle, ...]) is Kettle
    assert section(int | None) is None


class Words(Config):
    """Settings that are text."""

    out: str
    """Where to."""
    name: str = ""
    """What it is called."""
    held_out: str | None = None
    """Perhaps a file."""
    memory: Literal["on", "off"] = "on"
    """Whether it remembers."""
    names: tuple[str, ...] = ()
    """Several names."""
    kettle: Kettle = Kettle()
    """Something inside."""
    seed: int = Field(default=0, le=2**62)
    """Its number."""
    rows: int = 3
    """How many."""


@pytest.mark.parametrize(
    ("typed", "written", "meant"),
    [
        ("out=2024", "out: 2024", {"out": "2024"}),
        ("out=1e3", "out: 1e3", {"out": "1e3"}),
        ("out=2024-01-31", "out: 2024-01-31", {"out": "2024-01-31"}),
        ("out=no", "out: no", {"out": "no"}),
        ("out=none", "out: none", {"out": "none"}),
        ("name=off", "name: off", {"name": "off"}),
        ("name=~", "name: ~", {"name": "/me"}),
        ("held_out=none", "held_out: null", {"held_out": None}),
        ("memory=off", "memory: off", {"memory": "off"}),
        ("names=[1, no, a]", "names: [1, no, a]", {"names": ("1", "no", "a")}),
        ("out=~/runs", "out: ~/runs", {"out": "/me/runs"}),
        ("out=python:~/a.py:f", "out: python:~/a.py:f", {"out": "python:/me/a.py:f"}),
    ],
)
def test_text_is_what_was_typed(
    typed: str, written: str, meant: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", "/me")
    file = tmp_path / "words.yaml"
    file.write_text(written + "\n", encoding="utf-8")
    out = [] if "out" in meant else ["out=x"]
    for read in (Words.load(None, [typed, *out]), Words.load(str(file), out)):
        assert {name: dict(read)[name] for name in meant} == meant


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["rows=1", "rows=2"], "the command line: `rows` is set twice; keep one."),
        (["rows=1", "rows=1"], "the command line: `rows` is set twice; keep one."),
        (
            ["kettle={litres: 1}", "kettle.litres=2"],
            "the command line: `kettle.litres` and `kettle` set the same thing",
        ),
        (
            ["kettle.litres=2", "kettle={litres: 1}"],
            "the command line: `kettle` and `kettle.litres` set the same thing",
        ),
        (
            ["kettle.litres=.inf"],
            "the command line: `kettle.litres` should be a finite number, but is inf. litres: How",
        ),
        (["kettle.litres=.nan"], "`kettle.litres` should be a finite number, but is nan"),
        (["kettle.litres=1e999"], "`kettle.litres` should be a finite number, but is inf"),
        (["rows=.inf"], "`rows` should be a whole number, but is inf"),
        (["rows=1000000001"], "`rows` should be at most 1000000000, but is 1000000001. rows: How many."),
        ([f"rows={'9' * 5000}"], "`rows`: '999"),
        (["seed=9223372036854775808"], "`seed` should be less than or equal to 4611686018427387904"),
        (["names=a"], "`names` should be a list, for instance [a, b], but is 'a'. names: Several names."),
        (["rows=[1]"], "`rows` should be a whole number, but is a list"),
        (["rows={a: 1}"], "`rows` should be a whole number, but is a section of settings"),
        (["rows="], "`rows` should be a whole number, but is ''"),
        (["rows=none"], "`rows` should be a whole number, but is nothing"),
        (["rows=yes"], "`rows` should be a whole number, but is true"),
        (
            ["kettle=3"],
            "`kettle` is a section with settings of its own (litres, whistle), but here it is 3. kettle: Some",
        ),
        (["kettle.whistle=maybe"], "`kettle.whistle` should be true or false, but is 'maybe'"),
        (["out="], "the command line: `out` is empty. out: Where to."),
        (['name="\\0"'], "holds a NUL character"),
        (["name=\udcff"], "is not text in UTF-8"),
        (["rows=!!python/object:os.system 1"], "has no meaning in settings"),
        (["rows=" + "[" * 60 + "]" * 60], "nested deeper than 20"),
    ],
)
def test_values_that_no_setting_has(settings: list[str], sentence: str):
    with pytest.raises(UserError) as caught:
        Words.load(None, [*settings, *([] if settings == ["out="] else ["out=x"])])
    assert sentence in str(caught.value)
    assert "Input" not in str(caught.value)
    assert "Tuple" not in str(caught.value)
    assert len(str(caught.value)) < 300


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in ("ab", "bc", "cd", "de", "ef")
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAUGHS, "unfolds to more than 10000 values"),
        ("a: &a [*a]\n", "tea.yaml:1: this unfolds"),
        ("a: &a {b: *a}\n", "tea.yaml:1: this unfolds"),
        ("a: &a\n  <<: *a\n", "this unfolds"),
        ("[" * 1500, "tea.yaml: this is not YAML: it is nested deeper than 20"),
        ("- " * 1500, "tea.yaml: this is not YAML: it is nested deeper than 20"),
        ("leaves:\n\tx: 1\n", "Indent with spaces, not tabs."),
        ('leaves: "\\0"\n', "tea.yaml:1: '\\x00' holds a NUL character"),
        ('leaves: "\\ud800"\n', "tea.yaml:1: '\\ud800' is not text in UTF-8"),
        ('leaves: "\\UFFFFFFFF"\n', "this is not YAML"),
        ("leaves: !!bool 7\n", "tea.yaml:1: '7' is no bool that can be read"),
        ("leaves: !!timestamp x\n", "has no meaning in settings"),
        ("leaves: !!python/object/apply:os.system [ls]\n", "has no meaning in settings"),
        ("? [a]\n: 1\n", "tea.yaml:1: a setting's name is one word"),
        ("leaves: 1\n---\nleaves: 2\n", "tea.yaml:2: this is not YAML"),
        ("just words\n", "tea.yaml: expected lines `key: value`, found 'just words'."),
        ("x" * 300_000, "settings are a text file of at most 256 kB"),
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_yaml_that_is_meant_to_harm(text: str, sentence: str, tmp_path: Path):
    assert sentence in complaint(tmp_path, text)


def test_yaml_may_share_and_change_a_section(tmp_path: Path):
    text = "leaves: 1\nkettle: &k {litres: 2, whistle: false}\nspares:\n- {<<: *k, litres: 3}\n"
    assert tea(tmp_path, text).spares == (Kettle(litres=3.0, whistle=False),)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.mkdir(), "this is a folder; give a YAML file"),
        (lambda path: path.write_bytes(b"\xff\xfe\0a\0"), "not a text file in UTF-8"),
        (lambda path: os.mkfifo(path), "this is something else"),
        (lambda path: path.symlink_to("/dev/zero"), "this is something else"),
        (lambda path: path.symlink_to(path), "there is no such file"),
    ],
)
def test_a_file_that_is_none(make: Any, sentence: str, tmp_path: Path):
    make(tmp_path / "tea.yaml")
    with pytest.raises(UserError, match=sentence):
        Tea.load(str(tmp_path / "tea.yaml"))


def test_a_path_that_is_too_long():
    with pytest.raises(UserError, match="the file cannot be read: File name too long"):
        Tea.load("x" * 5000)


def test_needed_settings_come_first_and_shared_ones_last():
    from prefloop.align.config import PPOConfig

    names = in_order(PPOConfig)
    assert names[:4] == ["policy", "prompts", "out", "reward"]
    assert names.index("clip") < names.index("seed")
    assert sorted(names) == sorted(PPOConfig.model_fields)
