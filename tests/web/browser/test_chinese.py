"""A Chinese session: no word of the page's own is English, on no page of judges, leads and admins."""

import re
from typing import Any

from prefloop.web.review import adjudication
from prefloop.web.review.adjudication import Wanted
from web import crowd
from web.acts import ask, mark
from web.browser.acts import begin, keys, next_item, saved
from web.browser.samples import CHINESE, GUIDELINE
from web.browser.stand import comparison

JUDGES = ("/", "/guideline", "/history", "/help", "/preferences", "/nowhere")
LEADS = (
    "/lead", "/lead/people", "/lead/guideline", "/lead/settings", "/lead/items?state=",
    "/lead/items/gold?comparison=zh-1",
    "/lead/annotators", "/lead/annotators/{one}", "/lead/adjudication", "/lead/arena", "/lead/data", "/lead/advanced",
)  # fmt: skip
SAID = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    const own = node.closest('script, style, kbd, code, textarea, [lang=en]');
    if (!own && node.checkVisibility()) found.push(walk.currentNode.data);
  }
  for (const name of ['aria-label', 'title', 'placeholder'])
    for (const node of document.querySelectorAll(`[${name}]`)) found.push(node.getAttribute(name));
  return found;
}"""
ALLOWED = {
    "Helpdesk", "English", "prefloop", "Prefloop", "TRL", "JSONL", "jsonl", "parquet", "json", "csv", "gz", "Markdown",
    "Webhook", "UTC", "API", "https", "Cohen", "Fleiss", "Krippendorff", "Kendall", "Control", "Enter", "Escape", "Elo",
    "Dawid", "Skene", "Bradley", "Terry", "Label", "Studio", "Argilla", "Potato", "Signature", "embed", "true", "zh",
    "score",
}  # fmt: skip
"""Names of things that have no other, keys, and forms of files."""


FILE = re.compile(r"\w+\.(jsonl|json|parquet|csv)|\b(prompt|response|sampler|Pink one|Dunno)\b")
"""Names of files, of the fields in them, and labels of an example."""


def english(page: Any) -> set[str]:
    """Words in Latin letters that the page says of itself."""
    page.wait_for_load_state("networkidle")
    words = {word for said in page.evaluate(SAID) for word in re.findall(r"[A-Za-z]{2,}", FILE.sub("", said))}
    return words - ALLOWED


def test_no_word_of_the_pages_is_english(serve, window):
    rows = [comparison(f"编号{n}", [("user", f"第 {n} 个问题？")], [f"答案甲 {n}", f"答案乙 {n}"]) for n in range(40)]
    for row in rows:
        row["tags"] = ["红队"]
        for number, response in enumerate(row["responses"]):
            response["sampler"] = f"模型{number}"
    stand = serve(
        [*CHINESE, *rows], kinds=("pair",), strength=True, overlap={"judgements": 2}, axes=("helpful", "safe")
    )
    stand.guideline(GUIDELINE["zh"])
    stand.invitation()
    people = crowd.let_work(stand.site, {"小左": crowd.lefts, "小右": lambda order: "right"}, 33)
    stand.site.database.write(lambda c: adjudication.send(c, stand.site, Wanted(), actor="负责人"))
    mark(stand.site, "编号3", "gold")
    ask(stand.site, kinds=["pair"])
    page = window(stand.person("阿达", "admin", language="zh"))
    begin(page, stand.url)
    shown = page.inner_text(".turn:last-child .words")
    keys(page, "1", "w", "c")
    page.keyboard.insert_text("评论")
    keys(page, "Control+Enter")
    next_item(page, shown)
    shown = page.inner_text(".turn:last-child .words")
    keys(page, "s", "1", "Enter")
    next_item(page, shown)
    keys(page, "f")
    page.keyboard.insert_text("问题")
    keys(page, "Control+Enter")
    saved(page)
    wrong = {}
    for path in (*JUDGES, *LEADS):
        page.goto(stand.url + path.format(one=people["小左"].id))
        page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
        wrong[path] = english(page)
        if path == "/":
            for key in ("s", "f", "?"):
                keys(page, key)
                page.wait_for_selector("dialog")
                wrong[path + key] = english(page)
                keys(page, "Escape")
    assert {path: words for path, words in wrong.items() if words} == {}
