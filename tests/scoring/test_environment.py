"""A Python class as an environment, and its mistakes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.scoring.named import environment_as

TALKS = [
    (Message(role="user", content="where?"), Message(role="assistant", content="here")),
    (Message(role="user", content="钱"), Message.model_construct(role="assistant", content="")),
]


@pytest.fixture
def env_py(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str) -> str:
        (tmp_path / "env.py").write_text(body, encoding="utf-8")
        return f"python:{tmp_path / 'env.py'}:Env"

    return write


def method(*lines: str) -> str:
    return "class Env:\n    def respond(self, conversations, seeds):\n" + "".join(f"        {line}\n" for line in lines)


def test_what_it_is_told_and_what_it_says(env_py: Callable[[str], str]):
    """Made once; turns as role and content; whatever it does to its lists changes nothing."""
    body = (
        "made = []\nclass Env:\n    def __init__(self):\n        made.append(1)\n"
        "    def respond(self, conversations, seeds):\n"
        "        said = [(f'{c[-1]}{seed}{len(made)}' if c[-1]['content'] else None, seed / 2)"
        " for c, seed in zip(conversations, seeds)]\n"
        "        conversations.clear()\n        yield from said\n"
    )
    env = environment_as(env_py(body))
    for _ in range(2):
        assert [tuple(answer) for answer in env.respond(TALKS, [3, 4])] == [
            ("{'role': 'assistant', 'content': 'here'}31", 1.5),
            (None, 2.0),
        ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("class Other:\n    pass\n", "there is no class called `Env`; it has a method respond"),
        ("def Env():\n    pass\n", "there is no class called `Env`"),
        ("class Env:\n    pass\n", "`Env` has no method called `respond`"),
        ("class Env:\n    respond = 3\n", "`Env` has no method called `respond`"),
        ("class Env:\n    def __init__(self):\n        1 / 0\n    def respond(self, a, b): pass\n",
         r"env\.py:3: `Env\(\)` failed: ZeroDivisionError"),
        ("class Env:\n    def __init__(s, x): pass\n    def respond(s, a, b): pass\n", r"`Env\(\)` failed: TypeError"),
        ("class Env:\n    def respond(self, a): pass\n", "`Env.respond` cannot be called with two arguments"),
        ("class Env(:\n", r"env\.py:1: this is not Python"),
        (method("return conversations[9]"), r"env\.py:3: `Env.respond` failed: IndexError"),
        (method("while True: pass"), r"env\.py:3: `Env.respond` took longer than 0\.2 seconds.*env_seconds"),
        (method("return None"), r"returned NoneType, not one \(text, reward\)"),
        (method("return [(None, 1.0)]"), "returned 1 answers to 2 conversations"),
        (method("return [(None, 1.0)] * 3"), "returned 3 answers to 2 conversations"),
        (method("return [1.0, 2.0]"), "returned 1.0 to the turn 'here'; return"),
        (method("return ['ab', 'cd']"), "returned 'ab' to the turn 'here'"),
        (method("return [(1.0, 'text')] * 2"), r"returned \(1.0, 'text'\) to the turn"),
        (method("return [('go on', float('nan'))] * 2"), "returned nan for the response 'here'"),
        (method("return [('go on', None)] * 2"), "returned None for the response 'here'"),
        (method("return [(None, 1.0), ('', 1.0)]"), "said nothing to the turn ''"),
        (method("return [(' ', 1.0)] * 2"), "said nothing to the turn 'here'"),
        (method("import sys", "sys.exit()"), "wanted to end the program"),
    ],
)  # fmt: skip
def test_its_mistakes_are_sentences(env_py: Callable[[str], str], body: str, message: str):
    spec = env_py(body)
    with pytest.raises(UserError, match=message) as caught:
        environment_as(spec, seconds=0.2 if "longer" in message else 60).respond(TALKS, [1, 2])
    assert "\n" not in str(caught.value)
