"""In which words a model is asked for a critique and for a revision, and which answers can be used.

Follows the frame of Bai et al. 2022 (arXiv:2212.08073, section 3.1): conversation, response, critique request, critique
and revision request. There it is a text that a model continues, with examples before it; here it is a question, for
models that answer questions.
"""

import re

from prefloop.asking.spoken import Language, only_thinks, refuses, talk, without_thoughts
from prefloop.principles.reading import Principle
from prefloop.records import Message

CRITIQUE: dict[Language, str] = {
    "en": "Here is a conversation, and a response to its last message.\n\n[Conversation]\n{talk}\n\n[Response]\n"
    "{response}\n\n[End]\n\n{request} Answer in a few sentences. Do not rewrite the response.",
    "zh": "下面是一段对话，以及对最后一条消息的回答。\n\n【对话】\n{talk}\n\n【回答】\n{response}\n\n【结束】\n\n"
    "{request}请用几句话作答，不要重写这个回答。",
}
REVISION: dict[Language, str] = {
    "en": "Here is a conversation, a response to its last message, and a critique of the response.\n\n[Conversation]\n"
    "{talk}\n\n[Response]\n{response}\n\n[Critique]\n{critique}\n\n[End]\n\n{request} Write the new response itself, "
    "and nothing else.",
    "zh": "下面是一段对话、对最后一条消息的回答，以及对这个回答的批评。\n\n【对话】\n{talk}\n\n【回答】\n{response}\n\n"
    "【批评】\n{critique}\n\n【结束】\n\n{request}只写新的回答，不要写别的。",
}
AGAIN: dict[Language, str] = {
    "en": "\n\nYour answer must be text that can be used as it is, without headings or marks.",
    "zh": "\n\n你的回答必须是可以直接使用的文字，不要标题或标记。",
}
"""What is added when it is asked again."""
_MARK = re.compile(r"\[(?:Conversation|Response|Critique|End)\]|【(?:对话|回答|批评|结束)】")
_LABEL = re.compile(
    r"\A[\s*#_]*(?:(?:here is |the )?(?:my |the )?(?:new|revised|rewritten) response|revision|critique|修改后的回答|"
    r"新的?回答|批评)[\s*_]*[:：][\s*_]*",
    re.IGNORECASE,
)
"""What some models write before what they were asked for."""
_QUOTED = re.compile(r"\A[\"“「](?P<text>[^\"“”「」]*)[\"”」]\Z", re.DOTALL)


def critique_asked(messages: tuple[Message, ...], text: str, principle: Principle, language: Language) -> str:
    """The question for a critique."""
    return CRITIQUE[language].format(talk=talk(messages, language), response=text, request=principle.critique)


def revision_asked(
    messages: tuple[Message, ...], text: str, critique: str, principle: Principle, language: Language
) -> str:
    """The question for a revision."""
    return REVISION[language].format(
        talk=talk(messages, language), response=text, critique=critique, request=principle.revision
    )


def cleaned(answer: str) -> str:
    """An answer without thoughts, a label before it, and quotation marks around all of it."""
    text = _LABEL.sub("", without_thoughts(answer)).strip()
    quoted = _QUOTED.match(text)
    return quoted["text"].strip() if quoted else text


def unusable(answer: str, *, critique: bool) -> str:
    """Why an answer cannot be used; empty if it can.

    Args: critique: whether it is one. A revision may well decline what the user asked for, so that it is refused only
        where the server says so; a critique that begins as a refusal does is none.
    """
    if only_thinks(answer):
        return "unfinished"
    text = cleaned(answer)
    if not text:
        return "empty"
    if _MARK.search(text):
        return "malformed"
    return "refused" if critique and refuses(text) else ""
