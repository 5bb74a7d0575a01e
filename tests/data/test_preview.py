"""What SFT would learn, token by token, and on our terminal only."""

from collections.abc import Callable

import pytest

from prefloop.cli import main
from prefloop.data.preview import preview_text
from prefloop.text.examples import Example


def test_tokens_of_the_response_stand_in_brackets(
    folder: str, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    file = write_rows(
        "demos.jsonl", [{"prompt": "1", "completion": "2[/red]"}, {"prompt": "1" * 80, "completion": "2"}]
    )
    assert main(["data", "preview", folder, file]) == 0
    shown = capsys.readouterr().out
    assert "template turns, end-of-text token <|end|>" in shown
    assert "<|user|>|1|<|assistant|>|[2][[][/]" in shown
    assert "[]][<|end|>]\n" in shown
    assert "1 examples, 11 tokens, 8 of them learned; 1 examples longer than the context of 64." in shown


def test_a_token_cannot_steer_the_terminal():
    shown = preview_text(Example([1], [2]), lambda ids: ["\x1b[2J"] * len(ids), colour=False).plain
    assert shown == r"\x1b[2J|[\x1b[2J]"
