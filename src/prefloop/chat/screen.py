"""How answers appear: streaming text for one model, columns for two, plain lines where nobody watches."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from prefloop.chat.talk import Answer, Talker
from prefloop.chat.words import WORDS
from prefloop.printing import printable, say

Stopped = Callable[[], bool]
REFRESHES = 12
"""Times a second that the columns are drawn."""


@contextmanager
def interruptible() -> Iterator[Stopped]:
    """While an answer grows, Ctrl-C stops the answer and not the program. Yields: has it been pressed?"""
    pressed = threading.Event()

    def press(number: int, frame: FrameType | None) -> None:
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def streamed(talker: Talker, text: str, *, turn: int) -> Answer:
    """One model's answer, printed as it is said."""
    shown = ""

    def show(words: str) -> bool:
        nonlocal shown
        if words.startswith(shown):  # else the tokenizer changed its mind: wait for the end
            print(printable(words[len(shown) :]), end="", flush=True)
            shown = words
        return not stopped()

    with interruptible() as stopped:
        answer = talker.answer(text, turn=turn, on_text=show)
    rest = answer.text[len(shown) :] if answer.text.startswith(shown) else f"\n{answer.text}"
    print(printable(rest), flush=True)
    return answer


def side_by_side(talkers: list[Talker], text: str, *, turn: int, console: Console) -> list[Answer]:
    """Several models' answers, growing at the same time in columns."""
    words = ["" for _ in talkers]

    def said(place: int) -> Answer:
        def show(sofar: str) -> bool:
            words[place] = sofar
            return not stopped()

        return talkers[place].answer(text, turn=turn, on_text=show)

    def drawn() -> Table:
        table = Table(expand=True, show_lines=False)
        for talker in talkers:
            table.add_column(Text(printable(talker.name)), ratio=1, overflow="fold")
        table.add_row(*(Text(printable(text)) for text in words))
        return table

    with (
        interruptible() as stopped,
        Live(get_renderable=drawn, console=console, refresh_per_second=REFRESHES, vertical_overflow="visible"),
        ThreadPoolExecutor(len(talkers)) as pool,
    ):
        futures = [pool.submit(said, place) for place in range(len(talkers))]
        answers = [future.result() for future in futures]
        words[:] = [answer.text for answer in answers]
    return answers


def plain(talkers: list[Talker], text: str, *, turn: int) -> list[Answer]:
    """Answers as plain lines, for programs and files; with several models each is named."""
    answers = []
    for talker in talkers:
        with interruptible() as stopped:
            answer = talker.answer(text, turn=turn, on_text=lambda _: not stopped())
        print(printable(answer.text if len(talkers) == 1 else f"{talker.name}: {answer.text}"), flush=True)
        answers.append(answer)
    return answers


def remarks(talker: Talker, answer: Answer) -> list[str]:
    """What the user should know about an answer, beside its text."""
    words, said = WORDS[talker.config.language], []
    if answer.num_forgotten:
        said.append(words["long"].format(context=talker.network.codec.context, num=answer.num_forgotten))
    if not answer.text:
        said.append(words["silent"])
    elif not answer.finished:
        said.append(words["open"].format(limit=talker.config.max_new_tokens))
    return [f"{talker.name}: {sentence}" for sentence in said]


def note(text: str) -> None:
    """A remark, apart from what the models say."""
    say(f"({text})", to=sys.stderr)
