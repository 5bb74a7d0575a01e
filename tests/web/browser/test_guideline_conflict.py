"""Two leads write the guideline at once: the later one is told, keeps their text, and drops nothing of the other's."""

import json

from web.browser.acts import begin, done, keys, next_item, reads
from web.browser.acts import item as asked
from web.browser.stand import plain
from web.browser.test_access import violations


def newest(stand) -> str:
    """The text in force."""
    return json.loads([event for event in stand.events() if event.kind == "guideline"][-1].payload)["text"]


def test_the_later_one_sees_what_the_other_wrote(serve, window):
    stand = serve(plain(1))
    stand.guideline("# One")
    lea, max_ = window(stand.person("lea", "lead")), window(stand.person("max", "lead", language="zh"))
    for page in (lea, max_):
        page.goto(f"{stand.url}/lead/guideline")
    lea.fill("#guide-text", "# One\n\nLea's rule.")
    lea.get_by_role("button", name="Save as version 2").click()
    done(lea)

    max_.fill("#guide-text", "# One\n\nMax's rule.")
    max_.fill("input[name=note]", "mine")
    max_.locator("#guide-save").click()
    max_.wait_for_selector("#guide-other:not([hidden])")
    assert "lea" in max_.inner_text("#guide-other-title")
    assert "Lea's rule." in max_.inner_text("#guide-other-tree")
    assert "更新的准则版本" in max_.inner_text("#guide [role=status]")
    assert max_.input_value("#guide-text") == "# One\n\nMax's rule."
    assert max_.input_value("input[name=note]") == "mine"
    assert newest(stand) == "# One\n\nLea's rule."
    assert violations(max_) == []

    max_.locator("#guide-other summary").click()
    text = max_.text_content("#guide-other-text")
    max_.fill("#guide-text", f"{text}\n\nMax's rule.")
    max_.get_by_role("button", name="保存为版本 3").click()
    done(max_)
    assert newest(stand) == "# One\n\nLea's rule.\n\nMax's rule."


def test_refusals_are_told_in_the_readers_language(serve, window):
    """On a Chinese page: a lead's form, and an answer of an annotator that is not taken."""
    stand = serve(plain(3))
    page = window(stand.person("ada", "admin", language="zh"))
    page.goto(f"{stand.url}/lead/advanced")
    page.locator("input[name=url]").fill("http://127.0.0.1:9/in")
    page.locator("form[data-call='POST /webhooks'] button").click()
    reads(page, 'form[data-call="POST /webhooks"] [role=status]', "该地址在内网")
    begin(page, stand.url)
    answer = json.dumps({"error": {"code": "answered", "message": "This was already judged."}})
    page.route(
        "**/api/v1/judgements", lambda route: route.fulfill(status=409, content_type="application/json", body=answer)
    )
    before = asked(page)
    keys(page, "1", "w", "Enter")
    next_item(page, before)
    page.wait_for_selector("#refused:not([hidden])")
    page.goto(f"{stand.url}/history")
    page.wait_for_selector("#refused-list li")
    assert "这个条目已评判" in page.inner_text("#refused-list")
    assert "already" not in page.inner_text("#refused-list")
