"""What the leads' pages say in a browser: links that follow choices, what came of a form, when it is too early."""

import json

from prefloop.web.store.tables import items
from web.browser.acts import begin, done, keys, saved
from web.browser.stand import plain
from web.browser.test_access import violations


def test_the_links_to_files_follow_the_choices(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("lea", "lead"))
    page.goto(f"{stand.url}/lead/data")
    page.select_option("select[name=aggregate]", "weighted")
    page.select_option("select[name=form]", "trl")
    page.select_option("select[name=format]", "parquet")
    link = page.get_by_role("link", name="preferences.parquet")
    assert link.get_attribute("href") == "/api/v1/export/preferences?aggregate=weighted&form=trl&format=parquet"
    assert page.request.get(stand.url + link.get_attribute("href")).ok


def test_what_came_of_a_file_is_told_in_words(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("lea", "lead"))
    page.goto(f"{stand.url}/lead/data")
    asked = {"role": "user", "content": "hi"}
    sides = {f"conversation_{side}": [asked, {"role": "assistant", "content": side}] for side in "ab"}
    more = {"model_a": "m1", "model_b": "m2", "winner": "model_b", "judge": "j", "tstamp": 1.5}
    row = json.dumps({"question_id": "q", **sides, **more}).encode()
    page.select_option("select[name=source]", "arena")
    page.locator("input[type=file]").set_input_files({"name": "arena.jsonl", "mimeType": "", "buffer": row})
    page.get_by_role("button", name="Do it").click()
    page.locator("form:has(input[type=file]) [data-state=done]").wait_for()
    says = page.locator("form:has(input[type=file]) [role=status]").inner_text()
    assert "here already: 0, without a prompt: 0, left out: 0" in says
    assert "Judgements of each kind: pair (1)\nColumns not read: tstamp (1)" in says


def test_a_selection_is_told_in_a_sentence(serve, window):
    stand = serve(plain(6))
    page = window(stand.person("lea", "lead"))
    page.goto(f"{stand.url}/lead/advanced")
    page.get_by_label("Items", exact=True).fill("4")
    for strategy, share in (("Random", "100"), ("Disagreement", ""), ("Diversity", "")):
        page.get_by_label(f"{strategy}:").fill(share)
    page.get_by_role("button", name="Choose").click()
    line = page.locator("form[data-says=selection] [role=status]")
    line.and_(page.locator("[data-state=done]")).wait_for()
    assert line.inner_text().startswith("4 of 6 items were chosen and are asked next.")
    page.get_by_role("button", name="Release what is held back").click()
    page.wait_for_selector("form[data-says=released] [data-state=done]")
    assert page.inner_text("form[data-says=released] [data-state=done]") == "Back in the queue: 2."
    assert violations(page) == []


def test_it_is_told_when_it_is_too_early_to_suspect_anybody(serve, window):
    stand = serve(plain(3))
    page = window(stand.person())
    begin(page, stand.url)
    keys(page, "3", "Enter")
    saved(page)
    lead = window(stand.person("lea", "lead"))
    lead.goto(f"{stand.url}/lead/annotators")
    assert "too early (1 of 30)" in lead.inner_text("tbody")
    lead.goto(f"{stand.url}/lead/people")
    assert "not calibrated" not in lead.inner_text("main")
    stand.calibration("plain-0002", {"choice": "tie"}, "")
    lead.reload()
    assert lead.get_by_text("not calibrated", exact=True).count() == 1  # the annotator; leads need none


def test_items_are_found_and_made_gold_as_people_said_or_by_a_file(serve, window):
    stand = serve(plain(3), strength=False)
    judge = window(stand.person())
    begin(judge, stand.url)
    judge.wait_for_timeout(450)
    keys(judge, "3")
    saved(judge)
    lead = window(stand.person("lea", "lead"))
    lead.goto(f"{stand.url}/lead/items")
    assert lead.locator("#find tbody tr").count() == 1  # what was judged
    lead.get_by_label("Words, or an id").fill("plain-0002")
    lead.get_by_label("State").select_option("")
    lead.get_by_role("button", name="Find").click()
    lead.locator("#find tbody tr").get_by_text("plain-0002").wait_for()
    assert lead.locator("#find tbody tr").count() == 1
    assert lead.get_by_role("button", name="Gold, as most said").count() == 0  # nobody said anything
    lead.goto(f"{stand.url}/lead/items")
    lead.get_by_role("button", name="Gold, as most said").click()
    done(lead)
    rows = b'{"comparison": "plain-0001", "choice": "a"}\n{"comparison": "plain-0002", "choice": "both_bad"}\n'
    lead.get_by_label("File (.jsonl").set_input_files({"name": "gold.jsonl", "mimeType": "", "buffer": rows})
    lead.locator("form[data-call='POST /import/gold'] button").click()
    done(lead)
    with stand.site.database.reading() as connection:
        gold = connection.execute(items.select().where(items.c.purpose == "gold").order_by(items.c.comparison)).all()
    expected = sorted(json.dumps(row.expected["answer"]) for row in gold)
    assert expected == ['{"best": 0}', '{"choice": "both_bad"}', '{"choice": "tie"}']
