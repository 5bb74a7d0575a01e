"""Writes the table of docs/models.md from what tests/models/test_families.py finds: `python benchmarks/families.py`."""

import runpy
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from models.test_families import FAMILIES, PAGE, row  # noqa: E402
from prefloop.pretrain.tokenizer import trained_tokenizer  # noqa: E402
from prefloop.text.codec import Codec  # noqa: E402
from prefloop.text.templates import template_text  # noqa: E402

HERE = runpy.run_path(str(TESTS / "conftest.py"))


def main() -> None:
    """Replaces the rows of the table."""
    tokenizer = trained_tokenizer(HERE["CORPUS"] * 3, vocab_size=300)
    tokenizer.chat_template = template_text("turns")
    codec = Codec(tokenizer, (tokenizer.eos_token_id,), HERE["CONTEXT"])
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, Path(folder) / str(number), codec) for number, name in enumerate(FAMILIES)]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| family")) + 2
    PAGE.write_text("\n".join([*lines[:first], *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
