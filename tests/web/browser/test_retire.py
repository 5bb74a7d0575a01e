"""A lead turns gold into calibration, retires it and asks it again, with the buttons of the page."""

import pytest

from prefloop.web.store.tables import items
from web.browser.acts import done
from web.browser.stand import comparison
from web.browser.test_access import violations


def state(stand) -> dict[str, bool]:
    """Purpose -> whether the item is retired."""
    with stand.site.database.reading() as connection:
        rows = connection.execute(items.select().where(items.c.purpose != "work")).all()
    return {row.purpose: row.retired for row in rows}


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 360)])
def test_gold_is_turned_retired_and_asked_again(serve, window, language, width):
    words = {
        "en": ("Make calibration of item {n}", "Retire item {n}", "Ask again: item {n}", "Retire"),
        "zh": ("改为校准题：题目 {n}", "停用题目 {n}", "重新启用题目 {n}", "停用"),
    }[language]
    stand = serve([comparison("one", [("user", "Which?")], ["a", "b"])])
    page = window(stand.person("lea", "lead", language=language), width=width)
    page.goto(f"{stand.url}/lead/items/gold?comparison=one")
    page.locator("input[name=expected]").first.check()
    page.locator("form[data-call='POST /items'] button").click()
    done(page)
    with stand.site.database.reading() as connection:
        gold = connection.execute(items.select().where(items.c.purpose == "gold")).one()

    def press(word: str, number: int) -> None:
        page.get_by_role("button", name=word.format(n=number)).click()
        done(page)
        assert violations(page) == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width

    press(words[0], gold.id)
    assert state(stand) == {"gold": True, "calibration": False}
    press(words[2], gold.id)
    assert state(stand) == {"gold": False, "calibration": False}
    press(words[1], gold.id)
    assert state(stand) == {"gold": True, "calibration": False}
    press(words[2], gold.id)
    page.goto(f"{stand.url}/lead/items/gold?item={gold.id}")
    assert violations(page) == []
    page.get_by_role("button", name=words[3], exact=True).click()
    done(page)
    assert state(stand) == {"gold": True, "calibration": False}
