"""Pictures of every page, in both languages, light and dark, on a desk and on a phone: python benchmarks/screens.py docs/web

Reads: nothing. Writes: FOLDER/*.png. Needs chromium and playwright (pip install prefloop[dev]).
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import Browser, Page, sync_playwright

from web.browser.samples import CHINESE, EMPTY, ENGLISH, GUIDELINE
from web.browser.stand import CHROMIUM, KINDS, Stand

DESK, PHONE = (1440, 900), (360, 740)
KEYS = {
    "pair": ["1"], "ranking": ["3", "1", "t", "2"], "rating": ["4", "5", "2"], "thumb": ["1"], "edit": ["1"], "demonstration": [],
}  # fmt: skip


def new_page(browser: Browser, cookie: dict[str, str] | None, size: tuple[int, int], theme: str) -> Page:
    """A window of its own."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light"
    )
    if cookie:
        context.add_cookies([cookie])  # type: ignore[list-item]
    return context.new_page()


def shoot(page: Page, folder: Path, name: str, *, whole: bool = False) -> None:
    """One picture."""
    page.wait_for_timeout(250)
    page.screenshot(path=folder / f"{name}.png", full_page=whole)
    print(name, flush=True)


def looks() -> Iterator[tuple[str, str, tuple[int, int], str]]:
    """(language, theme, size, suffix)"""
    yield from (("en", "light", DESK, "en-light"), ("zh", "dark", DESK, "zh-dark"), ("zh", "light", PHONE, "zh-phone"), ("en", "dark", PHONE, "en-phone"))


def judging(browser: Browser, folder: Path, place: Path) -> None:
    """The judging page, for every kind, and its other states."""
    for language, theme, size, suffix in looks():
        rows = ENGLISH if language == "en" else CHINESE
        for kind in KINDS:
            picked = [rows[1 if kind in ("ranking", "demonstration") else 0]] + [EMPTY] * (kind == "pair")
            stand = Stand(place / f"{suffix}-{kind}", picked, kinds=(kind,), axes=("helpful", "correct", "polite"))
            stand.guideline(GUIDELINE[language])
            page = new_page(browser, stand.person(language=language, theme=theme), size, theme)
            page.goto(stand.url)
            page.wait_for_selector("article.item")
            for key in KEYS[kind]:
                page.keyboard.press(key)
            shoot(page, folder, f"judge-{kind}-{suffix}")
            if kind == "pair":
                others(page, stand, folder, suffix)
            page.context.close()
            stand.stop()


def others(page: Page, stand: Stand, folder: Path, suffix: str) -> None:
    """From the first pair on: revision, skip, right to left, the end, offline, the other pages."""
    page.keyboard.press("w")
    page.keyboard.press("Enter")
    page.keyboard.press("s")
    shoot(page, folder, f"skip-{suffix}")
    page.keyboard.press("Escape")
    shoot(page, folder, f"judge-rtl-{suffix}")
    page.keyboard.press("z")
    shoot(page, folder, f"judge-revise-{suffix}")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.context.set_offline(True)
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    page.wait_for_timeout(1500)
    shoot(page, folder, f"offline-{suffix}")
    page.context.set_offline(False)
    page.wait_for_selector(".state.done", timeout=30000)
    shoot(page, folder, f"done-{suffix}")
    for name in ("history", "guideline", "help", "preferences", "nowhere"):
        page.goto(f"{stand.url}/{name}")
        page.wait_for_timeout(300)
        shoot(page, folder, f"{name if name != 'nowhere' else 'error'}-{suffix}", whole=True)


def doors(browser: Browser, folder: Path, place: Path) -> None:
    """Signing in, joining, calibration."""
    for language, theme, size, suffix in looks():
        rows = ENGLISH if language == "en" else CHINESE
        stand = Stand(place / f"{suffix}-door", rows[:1])
        link = stand.invitation()
        page = new_page(browser, None, size, theme)
        for name, path in (
            ("login", "/login"),
            ("login-wrong", "/login?error=wrong"),
            ("join", f"/join/{link}"),
            ("join-invalid", "/join/" + "x" * 30),
        ):
            page.goto(f"{stand.url}{path}{'&' if '?' in path else '?'}lang={language}")
            shoot(page, folder, f"{name}-{suffix}")
        page.context.close()
        why = {"en": "One of them closes the case although nothing is solved.", "zh": "其中一个没有解决问题就结案了。"}[language]
        stand.calibration(rows[0]["id"], {"best": 0}, why)
        page = new_page(browser, stand.person(language=language, theme=theme), size, theme)
        page.goto(stand.url)
        page.wait_for_selector("article.item")
        for key in ("2", "w", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector(".feedback")
        shoot(page, folder, f"calibration-{suffix}")
        page.context.close()
        stand.stop()


LEAD = ("people", "guideline", "settings", "items", "items/gold?comparison={id}", "access")


def leading(browser: Browser, folder: Path, place: Path) -> None:
    """The pages on which a lead runs the project."""
    for language, theme, size, suffix in looks():
        rows = ENGLISH if language == "en" else CHINESE
        stand = Stand(place / f"{suffix}-lead", rows, axes=("helpful", "correct", "polite"))
        cookie = stand.person("lea", "admin", language=language, theme=theme)
        stand.guideline(GUIDELINE[language])
        stand.invitation()
        stand.calibration(rows[1]["id"], {"best": 0}, "**A**")
        page = new_page(browser, stand.person("ada", language=language), size, theme)
        page.goto(stand.url)
        page.wait_for_selector("article.item")
        for key in ("1", "w", "Enter", "Enter", "2", "Enter", "s", "1", "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(150)
        page.context.close()
        page = new_page(browser, cookie, size, theme)
        for name in LEAD:
            page.goto(f"{stand.url}/lead/{name.format(id=rows[0]['id'])}")
            page.wait_for_load_state("networkidle")
            if name == "people":
                page.locator("form[data-once] button").click()
                page.wait_for_selector("#link:not([hidden])")
            shoot(page, folder, f"lead-{name.partition('?')[0].replace('/', '-')}-{suffix}", whole=True)
        page.context.close()
        stand.stop()


def main(arguments: list[str]) -> int:
    """Makes them all. Returns: the exit code."""
    folder = Path(arguments[0] if arguments else "docs/web")
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Any] = [part for part in (judging, doors, leading) if len(arguments) < 2 or part.__name__ in arguments[1:]]
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for part in parts:
            part(browser, folder, Path(place))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
