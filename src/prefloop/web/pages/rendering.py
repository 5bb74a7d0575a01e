"""Markdown becomes a tree of allowed elements, once, when it comes in: `["p", {}, ["text", ["strong", {}, ["bold"]]]]`.

markdown-it without HTML, then nh3's allow-list, then this file's own, which is what counts: what is not on it becomes
its text. The browser makes elements of the tree, so no text is ever read as HTML there. No text makes this fail.
"""

import re
from html.parser import HTMLParser
from typing import Any

import nh3
from markdown_it import MarkdownIt

RENDERER = 2
"""Stored with what was rendered; raise it when the tree of the same text changes."""

LONGEST = 40_000
"""Letters; a longer text is shown as it is, without Markdown."""

DEEPEST = 20
"""Quotes and lists inside each other that Markdown may have; a text with deeper ones is shown as it is."""

MOST_INSIDE = 50
"""Elements inside each other; whoever reads a tree goes down all of it, and a text with more is shown as it is."""

ALLOWED: dict[str, set[str]] = {
    "p": set(), "br": set(), "hr": set(), "strong": set(), "em": set(), "s": set(), "blockquote": set(),
    "h1": set(), "h2": set(), "h3": set(), "h4": set(), "h5": set(), "h6": set(),
    "ul": set(), "ol": {"start"}, "li": set(), "pre": set(), "code": {"lang"}, "a": {"href"},
    "table": set(), "thead": set(), "tbody": set(), "tr": set(), "th": {"align"}, "td": {"align"},
}  # fmt: skip
"""Element -> its attributes. The page's own list is the same."""

EMPTY = {"br", "hr"}
HREF = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
LANGUAGE = re.compile(r"language-([A-Za-z0-9+#.-]{1,20})")
ALIGN = re.compile(r"text-align:(left|center|right)")
START = re.compile(r"\d{1,9}")
Tree = list[Any]
"""Texts and elements; an element is [name, attributes, children]."""

_markdown = (
    MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": DEEPEST})
    .enable(["table", "strikethrough"])
    .disable(["image"])
)
_cleaner = nh3.Cleaner(
    tags=set(ALLOWED),
    attributes={"a": {"href"}, "code": {"class"}, "ol": {"start"}, "th": {"style"}, "td": {"style"}},
    url_schemes={"http", "https"},
    url_relative="deny",
    link_rel=None,
    filter_style_properties={"text-align"},
)


def tree(text: str) -> Tree:
    """The text as elements to show."""
    clean = _readable(text)
    as_it_is: Tree = [["pre", {}, [clean]]]
    if len(clean) > LONGEST:
        return as_it_is
    environment: dict[str, Any] = {}
    tokens = _markdown.parse(clean, environment)
    if any(token.type in ("blockquote_open", "list_item_open") and token.level >= DEEPEST - 1 for token in tokens):
        return as_it_is
    builder = _Builder()
    builder.feed(_cleaner.clean(_markdown.renderer.render(tokens, _markdown.options, environment)))
    builder.close()
    return builder.root if builder.deepest <= MOST_INSIDE else as_it_is


def plain(text: str) -> Tree:
    """The text as it is, line by line: for names and whatever is not Markdown."""
    return [["p", {}, [_readable(text)]]]


def words(shown: Tree) -> str:
    """The text of a tree, without its elements."""
    return "".join(node if isinstance(node, str) else words(node[2]) for node in shown)


def _readable(text: str) -> str:
    """Without halves of characters and without NUL, which no database and no browser takes."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


class _Builder(HTMLParser):
    """Reads the cleaned HTML and keeps what is on the list."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root: Tree = []
        self.deepest = 0
        self._open: list[tuple[str, Tree]] = [("", self.root)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        if tag not in ALLOWED:
            return
        children: Tree = []
        self._open[-1][1].append([tag, _attributes(tag, {name: value or "" for name, value in attrs}), children])
        if tag not in EMPTY:
            self._open.append((tag, children))
            self.deepest = max(self.deepest, len(self._open))

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and with it whatever was left open inside."""
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        """Text; the line breaks between blocks are left out."""
        name, children = self._open[-1]
        between = name in ("", "ul", "ol", "table", "thead", "tbody", "tr", "blockquote")
        if data.strip() or not between:
            if children and isinstance(children[-1], str):
                children[-1] += data
            else:
                children.append(data)


def _attributes(tag: str, given: dict[str, str]) -> dict[str, str]:
    """The allowed attributes, each checked by its form."""
    kept: dict[str, str] = {}
    if tag == "a" and HREF.fullmatch(given.get("href", "")):
        kept["href"] = given["href"]
    if tag == "code" and (match := LANGUAGE.fullmatch(given.get("class", ""))):
        kept["lang"] = match[1]
    if tag == "ol" and START.fullmatch(given.get("start", "")):
        kept["start"] = given["start"]
    if tag in ("th", "td") and (match := ALIGN.search(given.get("style", "").replace(" ", ""))):
        kept["align"] = match[1]
    return kept
