"""A page that stands by itself: a template of the caller's, with the style that all pages share."""

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

STYLE = Path(__file__).with_name("page.css")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
LANG = {"en": "en", "zh": "zh-Hans"}
"""Language -> what HTML calls it."""


def rendered(folder: Path, template: str, context: dict[str, Any], *, language: str) -> str:
    """The HTML of a template. Every text in it is escaped unless it is Markup, and a name that is missing is an error.

    Args:
        folder: where the template lies, and perhaps a `page.css` of its own. It may extend `frame.html`.
        context: name -> value. Beside those, the template knows `lang` and `style`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, STYLE.parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    styles = [file.read_text(encoding="utf-8") for file in (STYLE, folder / "page.css") if file.is_file()]
    shared = {"lang": LANG[language], "style": Markup("".join(styles))}
    return visible(environment.get_template(template).render({**context, **shared}))


def visible(text: str) -> str:
    """The text with lone surrogates, control and direction-override characters made visible as U+FFFD."""
    return _UNSEEN.sub("\ufffd", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
