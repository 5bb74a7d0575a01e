"""How a conversation is shown to a model that is asked about it, and what its answers have in common."""

import re
from collections.abc import Sequence
from typing import Literal

from prefloop.records import Message

Language = Literal["en", "zh"]
ROLES: dict[Language, dict[str, str]] = {
    "en": {"system": "System", "user": "User", "assistant": "Assistant"},
    "zh": {"system": "系统", "user": "用户", "assistant": "助手"},
}
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
"""What some models write before they answer."""
_BEGUN = re.compile(r"\s*<think(?:ing)?>")
_REFUSAL = re.compile(
    r"\W*(?:i['’]?m sorry|i am sorry|sorry|i can['’]?t|i cannot|i can not|i['’]?m (?:not able|unable)|i am (?:not able|"
    r"unable)|i won['’]?t|as an ai|很?抱歉|对不起|我不能|我无法|无法|作为)",
    re.IGNORECASE,
)
"""How a refusal begins."""


def language_of(messages: Sequence[Message]) -> Language:
    """Chinese if a fifth of the letters of a conversation are."""
    text = "".join(message.content for message in messages)
    return "zh" if 5 * len(_CHINESE.findall(text)) >= max(1, len(_LETTER.findall(text))) else "en"


def talk(messages: Sequence[Message], language: Language) -> str:
    """The conversation as text: a line for each turn, with who speaks."""
    return "\n".join(f"{ROLES[language].get(m.role, m.role)}: {m.content}" for m in messages)


def without_thoughts(answer: str) -> str:
    """What a model says once it has thought."""
    return _THOUGHT.sub("", answer).strip()


def only_thinks(answer: str) -> bool:
    """Whether an answer ended before the model had thought to its end."""
    return _BEGUN.match(without_thoughts(answer)) is not None


def refuses(text: str) -> bool:
    """Whether an answer begins as a refusal does."""
    return _REFUSAL.match(text) is not None
