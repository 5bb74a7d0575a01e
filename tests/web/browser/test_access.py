"""axe-core finds no serious violation on any page: both languages, both themes, on a desk and on a 360-pixel phone."""

from pathlib import Path

import pytest

from web.browser.acts import begin, keys
from web.browser.samples import CHINESE, EMPTY, ENGLISH, GUIDELINE
from web.browser.stand import KINDS

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RUN = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter(v => v.impact === 'serious' || v.impact === 'critical')
  .map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.target + ' ' + n.failureSummary).join(' | ')}`)"""
LOOKS = [(language, theme, width) for language in ("en", "zh") for theme in ("light", "dark") for width in (1280, 360)]


def violations(page) -> list[str]:
    """Serious and critical ones, on the page as it is."""
    page.wait_for_timeout(200)
    page.evaluate(AXE)
    return page.evaluate(RUN)


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_no_serious_violation_while_judging(serve, window, language, theme, width):
    rows = ENGLISH[:1] if language == "en" else CHINESE[:1]
    stand = serve([*rows, EMPTY], kinds=KINDS, axes=("helpful", "polite"))
    stand.guideline(GUIDELINE[language])
    page = window(stand.person(language=language, theme=theme), width=width, reduced_motion="reduce")
    begin(page, stand.url)
    press = {"pair": ["1"], "ranking": ["2"], "rating": ["3"], "thumb": ["1"], "edit": ["1"], "demonstration": []}
    for _ in KINDS:
        kind = page.get_attribute("#bar", "data-kind")
        keys(page, *press[kind], "Enter")
        assert violations(page) == []
        keys(page, "Escape", "s")
        if kind == "pair":
            assert violations(page) == []
        keys(page, "1", "Enter")
        page.wait_for_function(
            "kind => document.querySelector('#bar')?.dataset.kind !== kind || document.querySelector('.state')",
            arg=kind,
        )
    keys(page, "?")
    assert violations(page) == []


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_no_serious_violation_on_other_pages(serve, window, language, theme, width):
    stand = serve(ENGLISH[:2])
    stand.guideline(GUIDELINE[language])
    link = stand.invitation()
    page = window(stand.person(language=language, theme=theme, role="lead"), width=width, color_scheme=theme)
    begin(page, stand.url)
    keys(page, "1", "w", "Enter", "4", "Enter")
    page.wait_for_selector(".state")
    assert violations(page) == []
    for path in (
        "/history",
        "/guideline",
        "/help",
        "/preferences",
        "/login",
        "/login?error=wrong",
        f"/join/{link}",
        "/join/" + "x" * 30,
        "/nowhere",
        "/signed-in",
    ):
        page.goto(f"{stand.url}{path}")
        assert violations(page) == [], path
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path


def test_every_landmark_and_group_has_its_role(serve, window):
    stand = serve(ENGLISH[:1])
    page = window(stand.person())
    begin(page, stand.url)
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("navigation").count() == 1
    assert page.get_by_role("radiogroup", name="Which response is better?").get_by_role("radio").count() == 4
    assert page.locator("[role=status]#voice").count() == 1
    assert page.get_by_role("region", name="Response A").count() == 1
    assert page.get_by_role("region", name="Your judgement").count() == 1


def test_motion_is_reduced_when_asked(serve, window):
    stand = serve(ENGLISH[:1])
    page = window(stand.person(), reduced_motion="reduce")
    begin(page, stand.url)
    assert page.evaluate("() => getComputedStyle(document.querySelector('.choice')).transitionDuration") == "0s"
