"""A network that is cut while somebody judges on by keyboard, and comes back; what became of every answer.

`offline`: the browser knows (aeroplane mode). `silent`: nothing arrives and nobody says so (a router lost its line);
what was on its way arrives when the line is back, as TCP does it, although the page may have given it up long ago.
"""

import contextlib
import socket
import threading
import time
from typing import Any, Literal

from web.browser.acts import keys
from web.browser.stand import Stand

How = Literal["offline", "silent"]
WAITING = """() => Object.keys(localStorage).filter(key => key.startsWith('prefloop.out.'))
  .map(key => JSON.parse(localStorage.getItem(key)).id)"""
"""Ids of the answers that the page keeps and the server has not acknowledged."""
RECOVERED = """() => document.querySelector('article.item') && document.querySelector('#save').dataset.state === 'saved'
  && !Object.keys(localStorage).some(key => key.startsWith('prefloop.out.'))"""


class Line:
    """A line to a server, that can be cut: bytes wait in it until it is whole again."""

    def __init__(self, port: int) -> None:
        self.whole = threading.Event()
        self.whole.set()
        self.to = port
        self.sockets: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller = self.listener.accept()[0]
                self.sockets.append(caller)
                threading.Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller: socket.socket) -> None:
        self.whole.wait()
        server = socket.create_connection(("127.0.0.1", self.to))
        self.sockets.append(server)
        threading.Thread(target=self._carry, args=(server, caller), daemon=True).start()
        self._carry(caller, server)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := near.recv(65536):
                self.whole.wait()
                far.sendall(part)
            self.whole.wait()
            far.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """No more."""
        self.whole.set()
        for line in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def judge_one(page: Any) -> bool:
    """Judges what is on the page by keyboard, and waits for what follows. Returns: whether there was something."""
    if not page.query_selector("article.item"):
        return False
    before = page.inner_text(".turn:last-child .words")
    keys(page, "1", "w", "Enter")
    page.wait_for_function(
        "old => { const w = document.querySelector('.turn:last-child .words'); return !w || w.innerText !== old }",
        arg=before,
    )
    return True


def cut(page: Any, line: Line, how: How, away: bool) -> None:
    """Takes the network away, or gives it back."""
    if how == "offline":
        page.context.set_offline(away)
    elif away:
        line.whole.clear()
    else:
        line.whole.set()


REFUSED = "() => Object.keys(localStorage).filter(key => key.startsWith('prefloop.refused.')).length"


def through(page: Any, stand: Stand, line: Line, *, how: How, seconds: float, pace: float) -> dict[str, Any]:
    """Judges two items, cuts the network for so long and judges on, every `pace` seconds, until the page has no more.

    Returns: answers given during the cut, what the server had of them before it was whole again, what it has at last,
    how many of all answers are lost or there twice, and the seconds that the page took to send all of them and to show
    an item, by itself.
    """
    for _ in range(2):
        judge_one(page)
    page.wait_for_function(RECOVERED)
    page.wait_for_timeout(1000)  # for the items that it leases ahead
    known = {row.id for row in stand.judgements()}
    began = time.monotonic()
    cut(page, line, how, True)
    given, ran_dry, said = 0, None, set()
    while time.monotonic() - began < seconds:
        if judge_one(page):
            given += 1
        elif ran_dry is None:
            ran_dry = round(time.monotonic() - began, 1)
        said.add(page.get_attribute("#save", "data-state"))
        page.wait_for_timeout(1000 * min(pace, max(0.0, seconds - (time.monotonic() - began))))
    kept = set(page.evaluate(WAITING))
    during = {row.id for row in stand.judgements()} - known
    back = time.monotonic()
    cut(page, line, how, False)
    page.wait_for_function(RECOVERED, timeout=120_000)
    recovered = time.monotonic() - back
    judge_one(page)
    page.wait_for_function(RECOVERED)
    rows = stand.judgements()
    after = {row.id for row in rows}
    return {
        "how": how, "cut_seconds": seconds, "given_during": given, "kept_in_browser": len(kept),
        "acknowledged_during": len(during), "acknowledged_after": len(kept & after), "lost": 2 + given + 1 - len(after),
        "doubled": len(rows) - len({row.presentation for row in rows}), "refused": page.evaluate(REFUSED),
        "ran_dry_after_seconds": ran_dry, "said": sorted(said), "recovered_seconds": round(recovered, 2),
    }  # fmt: skip
