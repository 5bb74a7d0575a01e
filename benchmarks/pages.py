"""A page of docs/results that is written part by part: what other benchmarks of this folder call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefloop.files.atomic import write_text


def write_parts(page: Path, opening: str, parts: Mapping[str, str], order: Sequence[str]) -> None:
    """Puts parts on a page, by heading, in place of those that stood there; the others stay.

    Args:
        opening: what stands above them, with its line's end.
        order: all headings that the page may have.
    """
    stood = page.read_text(encoding="utf-8").split("\n## ")[1:] if page.is_file() else []
    kept = {part.partition("\n")[0]: part.partition("\n")[2] for part in stood} | dict(parts)
    write_text(page, opening + "".join(f"\n## {name}\n\n{kept[name].strip()}\n" for name in order if name in kept))
