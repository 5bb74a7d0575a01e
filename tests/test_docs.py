"""The documentation: every command shown could be typed, every link leads somewhere, every stage has its page."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest

from prefloop import cli
from prefloop.config import entries, section
from prefloop.named import named
from prefloop.notation import override
from prefloop.rounds import recipe
from prefloop.stages import STAGES, Stage

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
STANDS_FOR_ANYTHING = ("...", "STAGE", "[", "SETTING")
"""Marks of a command that shows a form, not something to type."""


def name(page: Path) -> str:
    """A page, relative to the repository."""
    return page.relative_to(ROOT).as_posix()


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) for each `prefloop` command in a fenced `sh` block; a backslash goes on in the next line."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            lines = text.replace("\\\n", " ").splitlines() if language in ("sh", "bash", "console") else []
            for line in lines:
                command = line.removeprefix("$ ").split("  #")[0].strip()
                if command.startswith("prefloop ") and not any(mark in command for mark in STANDS_FOR_ANYTHING):
                    yield name(page), command


def check_setting(text: str, config: Any) -> None:
    """Fails unless `key=value` names a setting."""
    key, several = override({}, text), None
    for part in key.split("."):
        if several is not None:
            config, several = several, None  # whatever it is called
            continue
        assert config is not None, f"{text}: nothing is inside that setting"
        assert part in config.model_fields, f"{text}: {config.__name__} has no such setting"
        annotation = config.model_fields[part].annotation
        if get_origin(annotation) is dict and entries(annotation) is None:
            return  # whatever it is called
        config, several = section(annotation), entries(annotation)


def check_recipe(arguments: list[str]) -> None:
    """Fails unless the recipe exists and its overrides name its settings."""
    settings = recipe.load(arguments[0], ["base=base"]).settings
    for text in arguments[1:]:
        stage, dot, setting = text.partition("=")[0].partition(".")
        if dot:
            assert stage in settings, f"{text}: the recipe has no such stage"
            check_setting(text.removeprefix(f"{stage}."), type(settings[stage]))
        else:
            assert stage in ("out", "base", "name", *recipe.ALSO, *recipe.SHARED), (
                f"{text}: a recipe has no {setting or stage}"
            )


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_a_command_that_is_shown_could_be_typed(page: str, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    stage, *arguments = shlex.split(re.split(r" [|>&] | && ", command)[0])[1:]
    if stage in ("--help", "--version"):
        return
    chosen, rest = cli.chosen([stage, *arguments])
    if rest[-1:] in (["--help"], ["-h"]):
        return
    if stage == "run":
        check_recipe(rest)
    elif chosen.settings is not None:
        for text in rest if "=" in rest[0] else rest[1:]:
            check_setting(text, named(chosen.settings))


def test_commands_are_found():
    assert len({page for page, _ in commands()}) >= len(STAGES) - 2


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for target in LINK.findall(text):
        place, _, part = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = page.parent / place if place else page
        if not there.exists() or (part and there.suffix == ".md" and part not in anchors(there)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The names that a page's headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_every_stage_has_its_page(stage: Stage):
    page = ROOT / "docs" / "stages" / f"{stage.name}.md"
    assert f"prefloop {stage.command}" in page.read_text(encoding="utf-8")


def test_the_chinese_readme_shows_every_command_of_the_english_one():
    shown = [{c for page, c in commands() if page == readme} for readme in ("README.md", "README.zh.md")]
    assert shown[0] <= shown[1]


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_recipe_is_valid(file: Path):
    assert recipe.load(str(file), ["base=base"]).settings
