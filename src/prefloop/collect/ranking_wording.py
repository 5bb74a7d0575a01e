"""In which words a model is asked to put several responses in order, and what its answer means."""

import re
from dataclasses import dataclass

from prefloop.asking.spoken import Language, language_of, talk, without_thoughts
from prefloop.collect import wording
from prefloop.collect.wording import Failure, failure_of
from prefloop.files import fingerprints
from prefloop.records import Message

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The names of the responses shown."""
RUBRIC: dict[Language, str] = {
    "en": wording.RUBRIC["en"].replace("You compare two responses", "You compare several responses"),
    "zh": wording.RUBRIC["zh"].replace("两个回答", "几个回答"),
}
SHOWN: dict[Language, str] = {"en": "[Response {letter}]\n{text}", "zh": "【回答{letter}】\n{text}"}
FRAME: dict[Language, str] = {
    "en": "{rubric}\n\n[Conversation]\n{talk}\n\n{shown}\n\n[End]\n\n{ask}",
    "zh": "{rubric}\n\n【对话】\n{talk}\n\n{shown}\n\n【结束】\n\n{ask}",
}
ASK: dict[Language, str] = {
    "en": "Put the responses {letters} in order, the best first. Answer with the letters in one line and nothing else, "
    "each once, with > between a better and a worse one and = between two that are equally good, for instance: {like}",
    "zh": "请把回答{letters}从好到差排序。只写一行字母，每个字母一次：前一个更好写 >，"
    "两个一样好写 =，不要写别的。例如：{like}",
}
AGAIN: dict[Language, str] = {
    "en": "\n\nYour answer must be exactly one line of this form. Do not explain it.",
    "zh": "\n\n你的回答必须正好是这样一行，不要解释。",
}
"""What is added when it is asked again."""
_ORDER = re.compile(
    r"(?:(?:final |my )?(?:answer|ranking|order)(?: is)?|答案(?:是)?|排序)?[\s:：*\"'`(\[]*"
    r"([A-Z](?:\s*[>=＞＝]\s*[A-Z])+)[\s*\"'`)\].。]*",
    re.IGNORECASE,
)
"""All that an answer may be: an order, with a word before it and marks around it."""


@dataclass(frozen=True)
class Several:
    """What is asked: in which order several responses to a conversation are."""

    messages: tuple[Message, ...]
    """the conversation"""
    responses: tuple[str, ...]
    """K, in the order in which they are shown"""
    number: int = 0
    """of the same responses in this order the how manieth vote"""


@dataclass(frozen=True)
class RankingWording:
    """How it is asked."""

    rubric: str | None
    """what a better response is; None takes the one built in"""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of every word that does not come from the data."""
        built_in = {} if self.rubric else RUBRIC
        return fingerprints.of_value(["ranking", self.rubric, built_in, SHOWN, FRAME, ASK, AGAIN])

    def prompt(self, asked: Several, *, again: bool) -> str:
        """The words. Args: again: it was asked before, and gave no answer that is allowed."""
        language = language_of(asked.messages)
        letters = LETTERS[: len(asked.responses)]
        shown = [
            SHOWN[language].format(letter=letter, text=text)
            for letter, text in zip(letters, asked.responses, strict=True)
        ]
        like = "B > A" + "".join(f" {'=' if k == 0 else '>'} {letter}" for k, letter in enumerate(letters[2:]))
        text = FRAME[language].format(
            rubric=self.rubric or RUBRIC[language],
            talk=talk(asked.messages, language),
            shown="\n\n".join(shown),
            ask=ASK[language].format(letters=", ".join(letters), like=like),
        )
        return text + AGAIN[language] if again else text

    def meaning(self, asked: Several, answer: str) -> tuple[int, ...] | Failure:
        """(K,) the rank of each response shown, 1 the best: every letter once, between > and =, and nothing else."""
        text = without_thoughts(answer)
        found = _ORDER.fullmatch(text)
        if not found:
            return failure_of(text)
        ranks, rank = dict[str, int](), 1
        for sign, letter in re.findall(r"([>=＞＝]?)\s*([A-Z])", found[1].upper()):
            rank += sign in (">", "＞")
            if letter in ranks:
                return failure_of(text)
            ranks[letter] = rank
        letters = LETTERS[: len(asked.responses)]
        return tuple(ranks[letter] for letter in letters) if sorted(ranks) == sorted(letters) else failure_of(text)
