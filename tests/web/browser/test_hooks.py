"""The page on which an admin makes webhooks and sees how they fare; and signing out."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from web.browser.acts import begin, done, keys, reads, saved, until
from web.browser.stand import Stand, plain
from web.browser.test_access import violations


class Receiver:
    """Somebody else's server: keeps what it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got.append((body["kind"], body["event"]))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """No more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


def judge(stand: Stand, page) -> None:
    """One judgement."""
    before = len(stand.judgements())
    begin(page, stand.url)
    keys(page, "1", "w", "Enter")
    until(lambda: len(stand.judgements()) == before + 1)
    saved(page)


def test_a_webhook_from_its_beginning_to_its_end(serve, window, receiver):
    stand = serve(plain(4))
    page = window(stand.person("ada", "admin"))
    judge(stand, page)  # before there is a webhook: it is never told of this
    page.goto(f"{stand.url}/lead/advanced")
    page.get_by_label("Address (https://…)").fill(receiver.url)
    page.get_by_role("button", name="Add the webhook").click()
    reads(page, "[role=status]", "inside the network")
    page.get_by_label("Let webhooks call addresses inside").check()
    page.get_by_role("button", name="Save").click()
    done(page)
    page.get_by_label("Address (https://…)").fill(receiver.url)
    page.get_by_role("button", name="Add the webhook").click()
    page.wait_for_selector("#secret:not([hidden])")
    assert len(page.input_value("#secret-value")) > 30
    page.locator("#secret").get_by_role("button", name="I have copied it").click()
    page.get_by_role("cell", name="on", exact=True).wait_for()

    judge(stand, page)
    until(lambda: len(receiver.got) == 1)
    receiver.status = 500
    judge(stand, page)
    until(lambda: len(receiver.got) == 2)
    page.goto(f"{stand.url}/lead/advanced")
    row = page.locator("tr", has_text=receiver.url)
    until(lambda: "failing" in (page.reload() and row.inner_text()))
    says = row.inner_text()
    assert "sent: 1" in says
    assert "waiting: 1" in says
    assert "the receiver answered 500" in says
    assert "UTC" in page.inner_text("main")
    assert violations(page) == []

    page.get_by_role("button", name=f"End it: the webhook to {receiver.url}").click()
    done(page)
    assert "ended" in page.locator("tr", has_text=receiver.url).inner_text()
    judged = [event.seq for event in stand.events() if event.kind == "judgement"]
    assert receiver.got == [("judgement", judged[1]), ("judgement", judged[2])]


def test_what_is_wrong_with_a_field_is_told_in_chinese(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin", language="zh"))
    page.goto(f"{stand.url}/lead/advanced")
    page.locator("input[name=url]").fill("x")
    page.locator("form[data-once=secret] button[type=submit]").click()
    line = page.locator("form[data-once=secret] [role=status]")
    line.filter(has_text="地址`url`：过短或过少，至少 8").wait_for()
    assert page.get_attribute("input[name=url]", "aria-invalid") == "true"
    assert "String should" not in line.inner_text()


def test_a_webhook_goes_on_after_a_restart(serve, window, receiver):
    stand = serve(plain(3))
    page = window(stand.person("ada", "admin"))
    page.goto(f"{stand.url}/lead/advanced")
    page.get_by_label("Let webhooks call addresses inside").check()
    page.get_by_role("button", name="Save").click()
    done(page)
    page.get_by_label("Address (https://…)").fill(receiver.url)
    page.get_by_role("button", name="Add the webhook").click()
    page.wait_for_selector("#secret:not([hidden])")
    receiver.status = 503
    judge(stand, page)
    until(lambda: len(receiver.got) == 1)
    until(lambda: stand.site.database.write(lambda c: c.exec_driver_sql("SELECT tries FROM webhooks").scalar()) == 1)
    stand.stop()
    receiver.status = 200
    stand.start()
    stand.site.database.write(lambda c: c.exec_driver_sql("UPDATE webhooks SET due = 0"))  # instead of waiting
    until(lambda: len(receiver.got) == 2)
    assert receiver.got[0] == receiver.got[1]


def test_signing_out(serve, window):
    stand = serve(plain(2))
    page = window(stand.person("ada"))
    begin(page, stand.url)
    keys(page, "1", "w", "Enter")
    saved(page)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(stand.url)
    assert page.url.partition("?")[0].endswith("/login")
    assert page.context.request.get(f"{stand.url}/api/v1/me").status == 401
    page.go_back()
    page.wait_for_load_state()
    assert page.locator("article.item").count() == 0  # nothing of it is kept in the browser's history
    assert len(stand.judgements()) == 1
