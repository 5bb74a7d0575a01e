"""Pictures of every page, in both languages, light and dark, on a desk and on a phone: make pictures

python benchmarks/screens.py [FOLDER [PART ...]]: FOLDER is build/pictures; parts are judging, doors, leading, numbers
and chatting, all of them if none is named, and readme: `python benchmarks/screens.py docs/pictures readme` makes the
three of the README. Reads: nothing. Writes: FOLDER/*.png. Needs chromium and playwright (pip install prefloop[dev]).
"""

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import Browser, Page, sync_playwright

from prefloop.web.exchange import arena_files, score_files
from prefloop.web.work import queue
from prefloop.world import gold, grammar
from prefloop.world.agents import BROAD, reply
from prefloop.world.tickets import read
from web import crowd
from web.acts import mark, presented
from web.browser.samples import CHINESE, EMPTY, ENGLISH, GUIDELINE
from web.browser.stand import CHROMIUM, KINDS, Stand
from web.model_server import ModelServer

DESK, PHONE, SMALL = (1440, 900), (360, 740), (1000, 625)
Look = tuple[str, str, tuple[int, int], str]
"""Language, theme, size, and how the picture's name ends."""
LOOKS: tuple[Look, ...] = (
    ("en", "light", DESK, "-en-light"),
    ("zh", "dark", DESK, "-zh-dark"),
    ("zh", "light", PHONE, "-zh-phone"),
    ("en", "dark", PHONE, "-en-phone"),
)
KEYS = {
    "pair": [], "ranking": ["3", "1", "t", "2"], "rating": ["4", "5", "2"], "thumb": ["1"], "edit": ["1"],
    "demonstration": [],
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


def judging(
    browser: Browser, folder: Path, place: Path, looks: Sequence[Look] = LOOKS, kinds: Sequence[str] = KINDS
) -> None:
    """The judging page, for every kind, and its other states."""
    for language, theme, size, suffix in looks:
        rows = ENGLISH if language == "en" else CHINESE
        for kind in kinds:
            picked = [rows[1 if kind in ("ranking", "demonstration") else 0]] + [EMPTY] * (kind == "pair")
            stand = Stand(
                place / f"{suffix}-{kind}", picked, kinds=(kind,), axes=("helpful", "correct", "polite"), strength=False
            )
            stand.guideline(GUIDELINE[language])
            page = new_page(browser, stand.person(language=language, theme=theme), size, theme)
            page.goto(stand.url)
            page.wait_for_selector("article.item")
            for key in KEYS[kind]:
                page.keyboard.press(key)
            shoot(page, folder, f"judge-{kind}{suffix}")
            if kind == "pair" and size != SMALL:
                others(page, stand, folder, suffix)
            page.context.close()
            stand.stop()


def answer(page: Page, key: str) -> None:
    """Answers a pair by its one key, once it could have been read."""
    page.wait_for_timeout(450)
    page.keyboard.press(key)


def others(page: Page, stand: Stand, folder: Path, suffix: str) -> None:
    """From the first pair on: revision, skip, right to left, the end, offline, the other pages."""
    answer(page, "1")
    page.keyboard.press("s")
    shoot(page, folder, f"skip{suffix}")
    page.keyboard.press("Escape")
    shoot(page, folder, f"judge-rtl{suffix}")
    page.keyboard.press("z")
    shoot(page, folder, f"judge-revise{suffix}")
    answer(page, "2")
    page.context.set_offline(True)
    answer(page, "4")
    page.wait_for_timeout(1500)
    shoot(page, folder, f"offline{suffix}")
    page.context.set_offline(False)
    page.wait_for_selector(".state.done", timeout=30000)
    shoot(page, folder, f"done{suffix}")
    for name in ("history", "guideline", "help", "preferences", "nowhere"):
        page.goto(f"{stand.url}/{name}")
        page.wait_for_timeout(300)
        shoot(page, folder, f"{name if name != 'nowhere' else 'error'}{suffix}", whole=True)


def doors(browser: Browser, folder: Path, place: Path) -> None:
    """Signing in, joining, calibration."""
    for language, theme, size, suffix in LOOKS:
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
            shoot(page, folder, f"{name}{suffix}")
        page.context.close()
        why = (
            "One of them closes the case although nothing is solved."
            if language == "en"
            else "其中一个没有解决问题就结案了。"
        )
        stand.calibration(rows[0]["id"], {"best": 0}, why)
        page = new_page(browser, stand.person(language=language, theme=theme), size, theme)
        page.goto(stand.url)
        page.wait_for_selector("article.item")
        for key in ("2", "w", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector(".feedback")
        shoot(page, folder, f"calibration{suffix}")
        page.context.close()
        stand.stop()


LEAD = ("people", "guideline", "settings", "items", "items/gold?comparison={id}", "advanced")


def leading(browser: Browser, folder: Path, place: Path) -> None:
    """The pages on which a lead runs the project."""
    for language, theme, size, suffix in LOOKS:
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
            shoot(page, folder, f"lead-{name.partition('?')[0].replace('/', '-')}{suffix}", whole=True)
        page.context.close()
        stand.stop()


NUMBERS = (
    "", "annotators", "annotators/{clicker}", "adjudication", "arena", "data"
)  # fmt: skip
"""Pages under /lead."""


def helpdesk(language: str, number: int, seed: int) -> list[dict[str, Any]]:
    """Comparisons of two of the helpdesk's agents; the better reply by gold is the first one, if they differ."""
    rng, rows = random.Random(seed), []
    for prompt in grammar.prompts("test", number, language=language, seed=seed):
        texts = [
            reply(read(prompt.text), BROAD.draw(rng), rng, borderline="borderline" in prompt.tags) for _ in range(2)
        ]
        texts.sort(key=lambda text: -gold.judge(prompt.text, text).utility)
        made = [{"text": text, "num_tokens": 9, "finished": True, "sampler": "s"} for text in texts]
        asked = [message.model_dump() for message in prompt.messages]
        row = {"id": prompt.id, "prompt_id": prompt.id, "messages": asked, "responses": made, "tags": list(prompt.tags)}
        rows.append({**row, "sampling": {"temperature": 1.0}})
    return rows


def numbers(
    browser: Browser, folder: Path, place: Path, looks: Sequence[Look] = LOOKS, names: Sequence[str] = NUMBERS
) -> None:
    """The pages on which a lead sees how the work goes, with five people and somebody who only clicks left."""
    for language, theme, size, suffix in looks:
        rows, rng = helpdesk(language, 320, 1), random.Random(1)
        stand = Stand(place / f"{suffix}-numbers", rows, overlap={"judgements": 3})
        for row in rows[:6]:
            mark(stand.site, row["id"])
        honest = (
            ("ada", "ben", "chen", "dora", "emil") if language == "en" else ("阿达", "小本", "小陈", "朵拉", "小米")
        )
        people = {name: crowd.honest(random.Random(name), 0.75 + 0.04 * n) for n, name in enumerate(honest)}
        users = crowd.let_work(stand.site, {**people, "left" if language == "en" else "小左": crowd.lefts}, 155)
        for model, noise in (("round 1", 2.0), ("round 2", 0.8)):
            scores = [
                {"id": f"{row['id']}:{i}", "score": (1 - i) + noise * rng.gauss(0, 1)} for row in rows for i in (0, 1)
            ]
            (place / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores), encoding="utf-8")
            score_files.from_file(stand.site, place / "scores.jsonl", model=model, actor="lea", skip=False)
        duel = [
            {
                "id": row["id"],
                "messages": row["messages"],
                "response": row["responses"][index]["text"],
                "sampler": sampler,
                "tags": ["audit:top_reward"] if n > 100 else row["tags"],
            }
            for n, row in enumerate(helpdesk(language, 120, 2))
            for index, sampler in ((1, "reference"), (0, "step-000030"))
        ]
        (place / "arena.jsonl").write_text("".join(json.dumps(row) + "\n" for row in duel), encoding="utf-8")
        arena_files.from_file(stand.site, place / "arena.jsonl", wanted=1, on_bad="stop", actor="lea")
        page = new_page(browser, stand.person("lea", "admin", language=language, theme=theme), size, theme)
        judge, choose = next(iter(users.values())), crowd.honest(random.Random(3), 0.3)
        for _ in range(110):
            (shown,) = queue.lease(stand.site, judge, 1, purpose="arena").presentations
            order = presented(stand.site, shown).order
            crowd.submit(stand.site, judge, crowd.judged(shown, choice=choose(order)))
        for name in names:
            page.goto(f"{stand.url}/lead/{name.format(clicker=list(users.values())[-1].id)}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(1500 if not name else 0)
            called = "annotator" if "/" in name else name or "progress"
            shoot(page, folder, f"lead-{called}{suffix}", whole=size != SMALL)
        page.context.close()
        stand.stop()


SAID = {
    "en": (("My parcel has not come. Where is it?",
            "I am sorry that you have to wait. It left yesterday and comes **tomorrow**.", "It is on its way."),
           ("Can it come on Friday instead?", "Of course. I have moved it to Friday, between 9 and 12.", "No.")),
    "zh": (("我的包裹还没到，在哪里？", "很抱歉让您久等。包裹昨天已发出，**明天**送达。", "在路上。"),
           ("可以改到星期五吗？", "当然可以，已改为星期五上午 9 点到 12 点。", "不行。")),
}  # fmt: skip


def chatting(browser: Browser, folder: Path, place: Path) -> None:
    """A conversation with the policy under test, at its second turn."""
    for language, theme, size, suffix in LOOKS:
        model = ModelServer()
        said = {asked: replies for asked, *replies in SAID[language]}
        model.replies = lambda messages, count, said=said: said[messages[-1]["content"]][:count]
        stand = Stand(place / f"{suffix}-chat", ENGLISH[:1], model_server=model.url)
        page = new_page(browser, stand.person(language=language, theme=theme), size, theme)
        page.goto(f"{stand.url}/chat")
        for number, asked in enumerate(said):
            page.wait_for_selector("#chat-text:focus:not([readonly])")
            page.keyboard.insert_text(asked)
            page.keyboard.press("Control+Enter")
            page.wait_for_selector("article.item")
            if number == 0:
                better = page.locator("article.item .pane-words").first.inner_text()
                for key in ("1" if said[asked][0][:6] in better else "2", "w", "Enter"):
                    page.keyboard.press(key)
        shoot(page, folder, f"chat{suffix}", whole=True)
        page.context.close()
        stand.stop()
        model.close()


def readme(browser: Browser, folder: Path, place: Path) -> None:
    """The judging page, a lead's first page and the arena, smaller."""
    look: Look = ("en", "light", SMALL, "")
    judging(browser, folder, place, [look], ["pair"])
    numbers(browser, folder, place, [look], ["", "arena"])


PARTS = {part.__name__: part for part in (judging, doors, leading, numbers, chatting, readme)}


def main(arguments: list[str]) -> int:
    """Makes them all. Returns: the exit code."""
    folder = Path(arguments[0] if arguments else "build/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [PARTS[name] for name in arguments[1:]] or [part for part in PARTS.values() if part is not readme]
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for part in parts:
            part(browser, folder, Path(place))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
