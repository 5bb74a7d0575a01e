"""Every page for leads in a browser: no error, no violation, nothing too wide; and the way of a lead without code."""

import json
import re

import pytest

from prefloop.web.store.tables import items, users
from web.browser.acts import begin, done, follow, keys, reads, saved, until
from web.browser.samples import CHINESE, EMPTY, ENGLISH, GUIDELINE
from web.browser.stand import PASSWORD, comparison, plain
from web.browser.test_access import violations

PAGES = (
    "/lead", "/lead/people", "/lead/guideline", "/lead/settings", "/lead/items", "/lead/items/gold?comparison={id}",
    "/lead/annotators", "/lead/annotators/1", "/lead/adjudication", "/lead/arena", "/lead/data", "/lead/advanced",
)  # fmt: skip
LOOKS = [("en", "light", 1280), ("en", "dark", 360), ("zh", "dark", 1280), ("zh", "light", 360)]


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_every_page_is_whole(serve, window, language, theme, width):
    rows = ENGLISH if language == "en" else CHINESE
    stand = serve([*rows, EMPTY], axes=("helpful", "polite"))
    stand.guideline(GUIDELINE[language])
    stand.invitation()
    page = window(stand.person("ada", "admin", language=language, theme=theme), width=width, color_scheme=theme)
    begin(page, stand.url)
    keys(page, "1", "w", "Enter")
    saved(page)
    stand.calibration(rows[1]["id"], {"best": 0}, "**Because.**")
    for path in PAGES:
        page.goto(stand.url + path.format(id=rows[0]["id"]))
        page.wait_for_load_state("networkidle")
        assert violations(page) == [], path
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
        assert page.locator(".side a[aria-current]").count() == 1, path
        assert page.locator(".side a").count() == 10, path
        if language == "zh" and not path.endswith("/1"):  # that heading is a name
            assert re.search("[\u4e00-\u9fff]", page.inner_text("h1")), path


def test_what_opens_stays_accessible(serve, window):
    stand = serve(plain(1))
    stand.guideline("# One")
    page = window(stand.person("ada", "admin"), width=360)
    for path in ("people", "guideline", "advanced"):
        page.goto(f"{stand.url}/lead/{path}")
        page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert violations(page) == [], path
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360, path


def test_the_way_of_a_lead(serve, window):
    """From the first link to a dashboard that moves, all of it in the page."""
    stand = serve(plain(3))
    page = window()
    page.goto(f"{stand.url}/join/{stand.invitation('admin')}?lang=en")
    page.fill("input[name=name]", "Lea")
    page.fill("input[name=password]", PASSWORD)
    keys(page, "Enter")
    follow(
        page, page.get_by_role("link", name="People")
    )  # a lead begins with the leads' pages, and takes no items by looking in
    page.get_by_label("Tags they may judge").first.focus()
    keys(page, "Enter")  # by keyboard alone
    page.wait_for_selector("#link:not([hidden])")
    link = page.input_value("#link-value")
    assert link.startswith(stand.url)
    page.reload()
    assert page.get_by_role("button", name=re.compile("End it: invitation")).count() == 1

    follow(page, page.get_by_role("link", name="Guideline").last)
    page.fill("#guide-text", "# Judge well\n\nBe **fair**.")
    page.wait_for_selector("#guide-preview strong")
    page.get_by_label("What is new").fill("the first")
    page.get_by_role("button", name="Save as version 1").click()
    done(page)
    assert "the first" in page.inner_text("details.version summary")

    worker = window(None)
    worker.goto(f"{link}?lang=en")
    worker.fill("input[name=name]", "Ada")
    worker.fill("input[name=password]", PASSWORD)
    keys(worker, "Enter")
    worker.wait_for_selector("article.item")
    keys(worker, "1", "w", "Enter")
    until(lambda: len(stand.judgements()) == 1)
    assert worker.get_by_role("link", name="Lead").count() == 0

    follow(page, page.get_by_role("link", name="Gold, flags, comments"))
    follow(page, page.get_by_role("link", name=re.compile("Make gold of item")))
    page.wait_for_selector(".answers .prose p")
    page.get_by_label("Response 1 is better").check()
    page.get_by_role("textbox", name="Explanation").fill("It is **right**.")
    page.get_by_role("button", name="Save").click()
    done(page)
    with stand.site.database.reading() as connection:
        gold = connection.execute(items.select().where(items.c.purpose == "gold")).one()
    assert gold.expected["answer"] == {"best": 0}

    follow(page, page.get_by_role("link", name="Settings"))
    page.get_by_label("Judgements of each item").fill("2")
    page.get_by_role("button", name="Save").click()
    done(page)
    assert page.get_by_label("Judgements of each item").input_value() == "2"
    page.get_by_label("Thumb", exact=True).check()
    page.get_by_role("button", name="Save").click()
    reads(page, "#done", re.compile("Questions made: [1-9]"))
    page.get_by_label("Thumb", exact=True).uncheck()
    page.get_by_role("button", name="Save").click()
    reads(page, "#done", re.compile("withdrawn: [1-9]"))
    follow(
        page, page.get_by_role("link", name="Progress")
    )  # two items want two each, one of which Ada has; what is gold now is no work
    reads(page, "#tiles", "1 of 5 judgements")
    keys(worker, "2", "w", "Enter")
    until(lambda: len(stand.judgements()) == 2)


def test_an_error_stands_beside_the_form_and_names_the_field(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin"))
    page.goto(f"{stand.url}/lead/settings")
    page.get_by_label("Axes of ratings").fill("helpful\nhelpful")
    page.get_by_role("button", name="Save").click()
    reads(page, ".save-bar [role=status]", "names one axis twice")
    page.get_by_label("Axes of ratings").fill("helpful\npolite")
    page.get_by_label("Share to pass calibration").fill("7")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("[name='checks.calibration_pass'][aria-invalid=true]")
    page.get_by_label("Share to pass calibration").fill("0.5")
    page.get_by_label("Ranking", exact=True).check()
    page.get_by_label("One more where they differ").check()
    page.get_by_role("button", name="Save").click()
    done(page)
    answer = json.loads(next(event for event in reversed(stand.events()) if event.kind == "settings").payload)
    assert answer["axes"] == ["helpful", "polite"]
    assert answer["kinds"] == ["pair", "ranking"]
    assert answer["overlap"]["adaptive"] is True
    assert answer["checks"]["calibration_pass"] == 0.5


def test_a_user_is_shut_out_and_let_in_again(serve, window):
    stand = serve(plain(1))
    stand.person("bob")
    page = window(stand.person("lea", "lead"))
    page.goto(f"{stand.url}/lead/people")
    for active in (False, True):
        page.get_by_label("Change bob").click()
        page.get_by_label("May sign in and judge").set_checked(active)
        page.locator("details[open] input[name=tags]").fill("red team, zh")
        with page.expect_navigation():
            page.get_by_role("button", name="Save").click()
        done(page)
        with stand.site.database.reading() as connection:
            row = connection.execute(users.select().where(users.c.name == "bob")).one()
        assert (row.active, row.tags) == (active, ["red team", "zh"])
    assert page.locator(".side a").count() == 10
    assert page.get_by_label("Change lea").count() == 0
    page.goto(f"{stand.url}/lead/advanced")
    assert page.get_by_role("heading", name="What to ask next").count() == 1
    assert page.get_by_role("heading", name="Tokens for programs").count() == 0


@pytest.mark.parametrize("kind", ["pair", "ranking", "rating", "thumb"])
def test_gold_of_every_kind_and_its_change(serve, window, kind):
    stand = serve([comparison("one", [("user", "Which?")], ["a", "b", "c"])], axes=("helpful", "Very polite."))
    page = window(stand.person("lea", "lead"))
    page.goto(f"{stand.url}/lead/items/gold?comparison=one&kind={kind}&of=0&of=2")
    if kind == "pair":
        page.get_by_label("Response 3 is better").check()
    else:
        page.locator("select[name=expected]").first.select_option(index=1)
    if kind == "ranking":
        page.locator("select[name=expected]").last.select_option(index=0)
    page.get_by_role("button", name="Save").click()
    done(page)
    follow(page, page.get_by_role("link", name=re.compile("Change item")))
    page.get_by_role("textbox", name="Explanation").fill("Because.")
    page.get_by_role("button", name="Save").click()
    done(page)
    with stand.site.database.reading() as connection:
        gold = connection.execute(items.select().where(items.c.purpose == "gold")).one()
    expected = {
        "pair": {"best": 2}, "ranking": {"ranks": [2, 1]}, "thumb": {"thumbs": [False, True]},
        "rating": {"ratings": {"helpful": [2, 3], "Very polite.": [3, 3]}},
    }[kind]  # fmt: skip
    assert (gold.responses, gold.expected["answer"], gold.expected["explanation"]) == ([0, 2], expected, "Because.")


def test_a_token_is_shown_once_and_revoked_and_the_log_is_verified(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin"))
    page.goto(f"{stand.url}/lead/advanced")
    page.get_by_label("What it is for").fill("nightly")
    page.get_by_role("button", name="Make the token").click()
    page.wait_for_selector("#token:not([hidden])")
    token = page.input_value("#token-value")
    page.locator("#token").get_by_role("button", name="Copy").click()
    reads(page, "#token [role=status]", re.compile(r"\S"))
    page.get_by_role("button", name="I have copied it").click()
    page.get_by_role("button", name="Revoke nightly").wait_for()
    assert token.startswith("pl_")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke nightly").click()
    done(page)
    page.get_by_role("button", name="Verify the log").click()
    reads(page, "body", "The log is whole")
    page.goto(f"{stand.url}/lead/data")
    with page.expect_download() as download:
        page.get_by_role("link", name="events.jsonl").click()
    assert download.value.suggested_filename == "events.jsonl"


def test_the_arena_and_adjudication_open_their_own_queue(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("lea", "lead"))
    for name in ("arena", "adjudication"):
        page.goto(f"{stand.url}/lead/{name}")
        with page.expect_request("**/api/v1/leases*") as asked:
            page.locator(f"a[href='/?queue={name}']").click()
        assert json.loads(asked.value.post_data or "{}")["purpose"] == name
