"""In which words a model is asked which of two responses is better, and what its answer means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from prefloop.asking.spoken import Language, language_of, refuses, talk, without_thoughts
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.principles.reading import Principles
from prefloop.records import Message, PairChoice

Failure = Literal["refused", "malformed"]
"""What an answer is that decides nothing."""
CHOICES: dict[str, PairChoice] = {"A": "left", "B": "right", "C": "tie"}
"""The letters, and what they mean."""
RUBRIC: dict[Language, str] = {
    "en": "You compare two responses to the same conversation. The better response does what the user asks and needs, "
    "is correct and honest about what it does not know, keeps to the facts of the conversation, is polite, and is no "
    "longer than it needs to be. A response that would help to do harm is worse than one that declines. Do not let "
    "the order of the responses or their length decide.",
    "zh": "请比较对同一段对话的两个回答。更好的回答做到用户要求和需要的事，内容正确，对不知道的事诚实，"
    "符合对话中的事实，有礼貌，并且不比需要的更长。会帮助造成伤害的回答不如婉拒的回答。不要让回答的先后顺序或长短影响判断。",
}
FRAME: dict[Language, str] = {
    "en": "{rubric}\n\n[Conversation]\n{talk}\n\n[Response A]\n{left}\n\n[Response B]\n{right}\n\n[End]\n\n{ask}",
    "zh": "{rubric}\n\n【对话】\n{talk}\n\n【回答A】\n{left}\n\n【回答B】\n{right}\n\n【结束】\n\n{ask}",
}
ASK: dict[tuple[Language, bool], str] = {
    ("en", False): "Which response is better? Answer with one letter, A or B, and nothing else.",
    ("en", True): "Which response is better? Answer with one letter and nothing else: A, B, or C if they are equally "
    "good.",
    ("zh", False): "哪个回答更好？只回答一个字母：A或B，不要写别的。",
    ("zh", True): "哪个回答更好？只回答一个字母，不要写别的：A、B，如果一样好则回答C。",
}
BY_PRINCIPLE: dict[Language, str] = {
    "en": "You compare two responses to the same conversation by one principle, which stands at the end. Judge by "
    "nothing else, and do not let the order of the responses or their length decide.",
    "zh": "请按照文末的一条原则比较对同一段对话的两个回答。只按这条原则判断，不要让回答的先后顺序或长短影响判断。",
}
LETTERS: dict[tuple[Language, bool], str] = {
    ("en", False): "Answer with one letter, A or B, and nothing else.",
    ("en", True): "Answer with one letter and nothing else: A, B, or C if neither does more.",
    ("zh", False): "只回答一个字母：A或B，不要写别的。",
    ("zh", True): "只回答一个字母，不要写别的：A、B，如果不分上下则回答C。",
}
"""What stands before the conversation, and behind a principle's question."""
AGAIN: dict[Language, str] = {
    "en": "\n\nYour answer must be exactly one letter. Do not explain it.",
    "zh": "\n\n你的回答必须只是一个字母，不要解释。",
}
"""What is added when it is asked again."""
_ANSWER = re.compile(
    r"(?:(?:final |my )?answer(?: is)?|response|option|答案(?:是)?|回答|选择?)?"
    r"[\s:：*\"'`(\[【]*([ABC])[\s*\"'`)\]】.。!]*",
    re.IGNORECASE,
)
"""All that an answer may be: a letter, with a word before it and marks around it."""


@dataclass(frozen=True)
class Pair:
    """What is asked: which of two responses to a conversation is better."""

    messages: tuple[Message, ...]
    """the conversation"""
    left: str
    """shown as A"""
    right: str
    """shown as B"""
    number: int = 0
    """of the same pair in this order the how manieth vote"""
    principle: str = ""
    """the name of that by which they are compared; empty if by none"""


def failure_of(text: str) -> Failure:
    """What an answer is that is none of those allowed."""
    return "refused" if refuses(text) else "malformed"


def rubric_of(file: str | None) -> str | None:
    """The text of a rubric's file, if there is one. Raises: UserError if it cannot be read, or has no text."""
    if file is None:
        return None
    try:
        text = Path(file).read_bytes().decode("utf-8-sig").strip()
    except OSError as problem:
        raise UserError(f"{file}: this rubric cannot be read ({problem.strerror}). Check judge.rubric.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: this rubric is not text in UTF-8. Save it as such.") from None
    if not text:
        raise UserError(
            f"{file}: this rubric has no text. Write into it what makes a response better, or leave judge.rubric "
            "out to take the one built in."
        )
    return text


@dataclass(frozen=True)
class Wording:
    """How it is asked."""

    rubric: str | None
    """what a better response is; None takes the one built in"""
    ties: bool
    """whether C is an answer"""
    principles: Principles | None = None
    """by which they are compared, instead of which is better; None if by none"""

    @classmethod
    def of(cls, file: str | None, *, ties: bool, principles: Principles | None = None) -> Self:
        """With the rubric in a file. Raises: UserError if there is no such file, or no text in it."""
        return cls(rubric_of(file), ties, principles)

    @property
    def letters(self) -> str:
        """What it may answer."""
        return "ABC" if self.ties else "AB"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of every word that does not come from the data."""
        built_in = {} if self.rubric else RUBRIC
        words = [self.rubric, built_in, FRAME, {f"{k}": v for k, v in ASK.items()}, AGAIN, self.ties]
        if self.principles is not None:
            words += [BY_PRINCIPLE, {f"{k}": v for k, v in LETTERS.items()}, self.principles.fingerprint]
        return fingerprints.of_value(words)

    def asked(
        self, messages: Sequence[Message], left: str, right: str, *, again: bool = False, principle: str = ""
    ) -> str:
        """The prompt.

        Args:
            again: it was asked before, and gave no answer that is allowed.
            principle: the name of that by which they are compared; empty if by none.
        """
        language = language_of(messages)
        rubric, ask = self.rubric or RUBRIC[language], ASK[language, self.ties]
        if self.principles is not None and principle:
            language = self.principles.language_for(messages)
            rubric = self.rubric or BY_PRINCIPLE[language]
            ask = f"{self.principles.named(principle, messages).comparison}\n{LETTERS[language, self.ties]}"
        text = FRAME[language].format(rubric=rubric, talk=talk(messages, language), left=left, right=right, ask=ask)
        return text + AGAIN[language] if again else text

    def prompt(self, asked: Pair, *, again: bool) -> str:
        """The words of a question. Args: again: see `asked`."""
        return self.asked(asked.messages, asked.left, asked.right, again=again, principle=asked.principle)

    def choice(self, answer: str) -> PairChoice | Failure:
        """What an answer means: taken strictly, for a judge that says something else may have meant something else."""
        text = without_thoughts(answer)
        found = _ANSWER.fullmatch(text.lstrip("*\"'`([【 "))
        if found and found[1].upper() in self.letters:
            return CHOICES[found[1].upper()]
        return failure_of(text)

    def meaning(self, asked: Pair, answer: str) -> PairChoice | Failure:
        """See `choice`; what was asked does not matter."""
        return self.choice(answer)
