"""Signing out: nothing that was read or written stays in the browser, and nothing unsent is lost without a word."""

from web.browser.acts import begin, item, keys, next_item, saved, until
from web.browser.stand import comparison, plain

KEPT = "() => Object.entries(localStorage).map(([key, value]) => key + value).join(' ')"
HAS = "text => Object.entries(localStorage).some(pair => pair.join(' ').includes(text))"
HAS_NOT = HAS.replace("=> Object", "=> !Object")
SECRET = "the code is 4711"


def secret(number: int = 3) -> list:
    """Comparisons whose texts are easy to find again."""
    return [
        comparison(f"s-{n}", [("user", f"{n}: {SECRET}")], [f"{SECRET}, A{n}", f"{SECRET}, B{n}"])
        for n in range(number)
    ]


def test_signing_out_leaves_nothing_behind_in_any_tab(serve, window):
    stand = serve(secret(), kinds=("pair",), strength=False)
    page = window(stand.person())
    begin(page, stand.url)
    second = page.context.new_page()
    begin(second, stand.url)
    begin(page, stand.url)
    shown = item(page)
    page.wait_for_timeout(450)
    keys(page, "1")
    next_item(page, shown)
    keys(page, "c")
    page.keyboard.type("half a thought")
    page.wait_for_function(HAS, arg="half a thought")
    saved(page)
    assert SECRET in page.evaluate(KEPT)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    second.wait_for_url("**/login")
    for tab in (page, second):
        assert tab.evaluate(KEPT) == ""
    page.go_back()
    page.wait_for_load_state()
    assert SECRET not in page.content()


def test_what_is_unsent_is_named_and_without_a_network_nobody_leaves(serve, window):
    stand = serve(plain(3), kinds=("pair",))
    page = window(stand.person())
    begin(page, stand.url)
    page.route("**/api/v1/judgements", lambda route: route.abort())
    shown = item(page)
    keys(page, "3", "Enter")
    next_item(page, shown)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog").get_by_text("1 unsent or not taken").wait_for()
    page.get_by_role("button", name="Stay").click()
    assert "prefloop.out." in page.evaluate(KEPT)
    page.unroute("**/api/v1/judgements")
    page.route("**/api/v1/session", lambda route: route.abort())
    page.get_by_role("button", name="Sign out").click()  # what waits is sent before
    page.get_by_role("dialog").get_by_text("You are still signed in").wait_for()
    assert [row.answer["choice"] for row in stand.judgements()] == ["tie"]


def test_whoever_comes_after_an_ended_session_finds_nothing_but_it_is_sent_later(serve, window):
    stand = serve(secret(), kinds=("pair",))
    cookie = stand.person("ada")
    page = window(cookie)
    begin(page, stand.url)
    page.route("**/api/v1/judgements", lambda route: route.abort())
    shown = item(page)
    keys(page, "3", "Enter")
    next_item(page, shown)
    page.wait_for_function(HAS, arg=SECRET)
    page.context.clear_cookies()
    page.context.add_cookies([stand.person("bob")])
    page.goto(f"{stand.url}/help")
    page.wait_for_function(HAS_NOT, arg=SECRET)
    assert "prefloop.out." in page.evaluate(KEPT)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    assert page.evaluate("Object.keys(localStorage).length") == 1
    page.unroute("**/api/v1/judgements")
    page.context.clear_cookies()
    page.context.add_cookies([stand.signed_in("ada")])
    begin(page, stand.url)
    until(lambda: len(stand.judgements()) == 1)
