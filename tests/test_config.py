"""Settings: every mistake a user can type is one sentence with place, key and remedy."""

from pathlib import Path
from typing import Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from prefloop.config import Config, frozen, parse_yaml, read_yaml, section
from prefloop.errors import UserError


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
        ("leaves: 1\nspares:\n- {liters: 2}\n", ":2: no setting is called `spares.0.liters`. Did you mean `litres`?"),
        ("leaves: 1\nkettle: {xyz: 1}\n", ":2: no setting is called `kettle.xyz`. There are: litres, whistle."),
        ("leaves: many\n", ":1: `leaves` should be a valid integer, but is 'many'. leaves: Leaves in the pot."),
        ("\n\nleaves: '4'\n", ":3: `leaves` should be a valid integer, but is '4'. leaves: Leaves in the pot."),
        (
            "leaves: 1\nkettle:\n  litres: -1\n",
            ":3: `kettle.litres` should be greater than 0, but is -1. litres: How much water.",
        ),
        ("leaves: 1\ncolour: red\n", ":2: `colour` should be 'green' or 'black', but is 'red'. colour: Which tea."),
        ("leaves: 1\ncups: 1\nleaves: 2\n", ":3: `leaves` was already set in line 1; keep one."),
        ("leaves: 1\nkettle:\n  litres: 1\n  litres: 2\n", ":4: `kettle.litres` was already set in line 3; keep one."),
        ("- 1\n- 2\n", ": expected lines `key: value`, found a list."),
        ("7: 1\nleaves: 1\n", ":1: no setting is called `7`. Settings have names of letters."),
        ("leaves: 5\ncups: 2\n", ": cups = 2 does not divide leaves = 5. Try cups = 1."),
    ],
)
def test_a_mistake_in_the_file(tmp_path, text, sentence):
    assert complaint(tmp_path, text) == f"tea.yaml{sentence}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("cupps=2", "the command line: no setting is called `cupps`. Did you mean `cups`?"),
        ("leaves=x", "the command line: `leaves` should be a valid integer, but is 'x'. leaves: Leaves in the pot."),
        (
            "kettle.litres=0",
            "the command line: `kettle.litres` should be greater than 0, but is 0. litres: How much water.",
        ),
        ("cups", "`cups` is not a setting; settings are typed key=value, for instance seed=1."),
        ("=2", "`=2` is not a setting; settings are typed key=value, for instance seed=1."),
        ("leaves.big=2", "`leaves.big=2`: `leaves` is a single value, so `leaves.big` cannot be set inside it."),
        ("cups=3", "tea.yaml: cups = 3 does not divide leaves = 4. Try cups = 1."),
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


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), ("3.", 3.0), (".5", 0.5), ("-2.5e-3", -2.5e-3), ("-.inf", -float("inf"))],
)
def test_numbers_that_plain_yaml_takes_for_text(text, value):
    read = parse_yaml(text)
    assert (type(read), read) == (float, value)


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("1e", "1e"), ("e4", "e4"), ("1.2.3", "1.2.3"), ("12-05", "12-05")]
)
def test_what_is_no_float_stays_what_it_is(text, value):
    read = parse_yaml(text)
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
    assert lines == {"a": 1, "b": 3, "b.c": 4, "b.d": 5, "b.d.e": 6}


def test_frozen_is_deep():
    assert frozen({"a": [1, {"b": [2, [3]]}]}) == {"a": (1, {"b": (2, (3,))})}


def test_section_looks_through_options_and_tuples():
    assert section(Kettle) is Kettle
    assert section(Kettle | None) is Kettle
    assert section(tuple[Kettle, ...]) is Kettle
    assert section(int | None) is None
