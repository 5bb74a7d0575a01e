"""Whatever stands in a prompt, a response, a name, a comment or a guideline is shown as text and runs nothing."""

from prefloop.web.pages.marks import visible
from web.browser.acts import begin, keys, next_item, saved
from web.browser.stand import comparison

HOSTILE = [
    "<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "<svg onload=window.hit=1>",
    "<svg><script>window.hit=1</script></svg>", "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<a href=javascript:window.hit=1>x</a>", "[x](javascript:window.hit=1)", "[x](JaVaScRiPt:window.hit=1)",
    "[x](java\tscript:window.hit=1)", "[x](data:text/html,<script>hit=1</script>)", "[x](vbscript:hit)",
    "![x](x onerror=window.hit=1)", "![x](javascript:window.hit=1)", "<javascript:window.hit=1>",
    "<math><mtext><img src onerror=hit=1>", "</textarea><script>window.hit=1</script>",
    "\"><script>window.hit=1</script>", "'-window.hit=1-'", "{{constructor.constructor('hit=1')()}}",
    "${window.hit=1}", "<style>@import 'x'</style>", "<link rel=stylesheet href=x>", "<base href=//evil>",
    "<form action=//evil><input name=a>", "<object data=x>", "<embed src=x>",
    "<meta http-equiv=refresh content='0;url=//evil'>", "<body onload=window.hit=1>",
    "<input autofocus onfocus=hit=1>", "<details open ontoggle=window.hit=1>", "<marquee onstart=window.hit=1>",
    "<video><source onerror=window.hit=1>", "<template><script>hit=1</script>",
    "<!--<img src='--><img src=x onerror=window.hit=1>", "`<img src=x onerror=window.hit=1>`",
    "```\n</code></pre><script>hit=1</script>\n```", "<noscript><p title='</noscript><img src=x onerror=hit=1>'>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;", "&#60;script&#62;hit=1", "<scr<script>ipt>window.hit=1</script>",
    "\u202e<script>hit=1</script>", "<p style=position:fixed;inset:0>x", "<a href='https://x' onclick=hit=1>y</a>",
    "<xss id=x tabindex=1 onfocus=hit=1>#x",
    "<button popovertarget=x>x</button><xss popover id=x onbeforetoggle=hit=1>", "<portal src=x>",
    "[x]: javascript:hit=1\n\n[x]", "<https://x/\"onmouseover=hit=1>", "# <img src=x onerror=hit=1>",
    "| <script>hit=1</script> | b |\n|---|---|\n| 1 | 2 |",
]  # fmt: skip
BAD = "script:not([src]), iframe, img, object, embed, base, form:not([action='/logout']), [style]"
FOUND = """bad => ({ hit: window.hit, bad: [...document.querySelectorAll(bad)].length,
  links: [...document.querySelectorAll('#place a')].map(a => a.protocol),
  on: [...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on/.test(a.name)).length })"""


def test_hostile_texts_are_shown_and_run_nothing(serve, window):
    size = 10
    rows = [
        comparison(
            f"h{n}", [("user", "\n\n".join(HOSTILE[n : n + size]))], ["\n\n".join(HOSTILE[n : n + size]), HOSTILE[n]]
        )
        for n in range(0, len(HOSTILE), size)
    ]
    stand = serve(rows, name="<script>window.hit=1</script>")
    stand.guideline("\n\n".join(HOSTILE))
    page = window(stand.person("<img src=x onerror=hit=1>"))
    begin(page, stand.url)
    for n in range(len(rows)):
        page.wait_for_timeout(150)
        result = page.evaluate(FOUND, BAD)
        assert result == {"hit": None, "bad": 0, "links": result["links"], "on": 0}
        assert set(result["links"]) <= {"https:", "http:", ":"}
        before = page.inner_text(".turn:last-child .words")
        keys(page, "r", "r", "1", "w", "c")
        page.keyboard.insert_text(HOSTILE[n])
        keys(page, "Control+Enter")
        if n + 1 < len(rows):
            next_item(page, before)
    page.wait_for_selector(".state.done")
    saved(page)
    pages = ("/history", "/guideline", "/preferences", "/help")
    for path in (*pages, "/login?next=javascript:hit=1", "/login?error=<script>hit=1</script>"):
        page.goto(stand.url + path)
        page.wait_for_timeout(200)
        result = page.evaluate("() => [window.hit, document.querySelectorAll('script:not([src]), img, iframe').length]")
        assert result == [None, 0], path
    assert len({row.comment for row in stand.judgements()}) == len(rows)


def test_trees_that_the_server_would_never_send_are_harmless_too(serve, window):
    stand = serve([comparison("one", [("user", "Hello")], ["a", "b"])])
    page = window(stand.person())
    begin(page, stand.url)
    shown = page.evaluate("""async () => {
      const { grown, flat } = await import('/static/tree.js');
      let deep = 'end';
      for (let n = 0; n < 20000; n += 1) deep = ['em', {}, [deep]];
      const trees = [['script', {}, ['window.hit=1']], ['img', { src: 'x', onerror: 'hit=1' }, []],
        ['p', { onclick: 'hit=1', style: 'x' }, ['text']], ['a', { href: 'javascript:hit=1' }, ['link']],
        ['a', { href: 'https://example.org/' }, ['good']], ['a', { href: ' java\\nscript:1' }, ['odd']],
        ['__proto__', {}, ['proto']], ['constructor', null, ['c']], ['p', null, null], [], [null], null, 7,
        ['h1', {}, ['head']], deep];
      const box = document.createElement('div');
      box.append(grown(trees));
      document.body.append(box);
      return { tags: [...new Set([...box.querySelectorAll('*')].map(e => e.localName))].sort(),
        text: box.textContent, hit: window.hit,
        attributes: [...box.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))
          .filter(n => !['dir', 'href', 'rel', 'target', 'tabindex'].includes(n)),
        links: [...box.querySelectorAll('a')].map(a => a.getAttribute('href')), flat: flat(deep) };
    }""")
    assert set(shown["tags"]) <= {"a", "em", "h4", "p", "span"}
    assert shown["attributes"] == []
    assert shown["links"] == [None, "https://example.org/", None]
    assert shown["hit"] is None
    assert "window.hit=1" in shown["text"]
    assert shown["text"].endswith("end")
    assert shown["flat"] == "end"


UNSEEN = "name \u202egpj.exe", "pass\u200dw\u200bord", "a\u2066b\u2069c", "x\U000e0041y", "tab\tand\nline"
NEEDED = "می\u200cخواهم", "👩\u200d💻 ❤\ufe0f", "葛\U000e0100城"


def test_letters_that_are_not_seen_are_marked_and_those_that_a_script_needs_stay(serve, window):
    stand = serve([comparison("hidden", [("user", UNSEEN[0])], [" ".join(UNSEEN), " ".join(NEEDED)])])
    stand.guideline(UNSEEN[0])
    page = window(stand.person(f"ada{UNSEEN[0]}", "lead"))
    begin(page, stand.url)
    for _ in range(2):  # as Markdown, and raw
        shown = page.locator(".pane-words").all_text_contents()
        assert {"".join(text.split()) for text in shown} == {
            "".join(" ".join(texts).split())
            for texts in (
                ("name ⟦U+202E⟧gpj.exe", "pass⟦U+200D⟧w⟦U+200B⟧ord", "a⟦U+2066⟧b⟦U+2069⟧c x⟦U+E0041⟧y", "tabandline"),
                NEEDED,
            )
        }
        keys(page, "r")
    for path in ("/lead/people", "/lead/items?state=", "/lead/annotators", "/preferences"):
        page.goto(stand.url + path)
        assert "\u202e" not in page.content()
        assert "⟦U+202E⟧" in page.content()
    page.goto(f"{stand.url}/lead/guideline")
    assert page.input_value("#guide-text") == UNSEEN[0]  # what is written on stays as it is
    assert "⟦U+202E⟧" in page.inner_text("#guide-preview")


def test_pages_and_scripts_mark_the_same_letters(serve, window):
    stand = serve([comparison("one", [("user", "?")], ["a", "b"])])
    page = window(stand.person())
    begin(page, stand.url)
    spans = [[0, 0x3500], [0xF900, 0x10000], [0x1F000, 0x1FB00], [0xE0000, 0xE1100]]
    before = ["a", "م", "字", "😀", "1", "\u200d"]
    marked = """async ([spans, before]) => {
      const { visible } = await import(document.querySelector('link[href$="dom.js"]').href);
      return before.map(first => spans.flatMap(([from, to]) => [...Array(to - from).keys()].map(n => from + n)
        .filter(code => visible(first + String.fromCodePoint(code)) !== visible(first) + String.fromCodePoint(code))));
    }"""
    found = page.evaluate(marked, [spans, before])
    codes = [code for start, end in spans for code in range(start, end)]
    assert found == [[c for c in codes if visible(first + chr(c)) != visible(first) + chr(c)] for first in before]
