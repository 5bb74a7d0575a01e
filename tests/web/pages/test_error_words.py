"""Every refusal is told in the reader's language, by its code, on the server's pages and on those of scripts."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop.web import app
from prefloop.web.errors import Refusal
from prefloop.web.pages.error_words import CAUSES, FIELDS, REFUSALS, TYPES
from prefloop.web.pages.words import SCRIPTS, Words
from prefloop.web.store import database
from prefloop.web.store.site import Site
from prefloop.web.work import partner
from web.acts import FORM, client, signed_in

WEB = Path(app.__file__).parent
OF_THE_PAGE = {"network", "no_answer"}
"""What only the page itself says."""
HTML = {"accept": "text/html", "accept-language": "zh-CN,zh;q=0.9"}
HANZI = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def new_url(new_sqlite: Callable[[], str]) -> Callable[[], str]:
    """None of this depends on the kind of database."""
    return new_sqlite


def constant(node: ast.expr | None) -> str | None:
    """A text that stands in the source."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def codes_in(tree: ast.AST) -> set[str]:
    """The codes of all refusals that a file raises."""
    result: set[str | None] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in ("Refusal", "sentence") and len(call.args) > 1:
            result.add(constant(call.args[1 if name == "Refusal" else 2]))
        result |= {constant(word.value) for word in call.keywords if name == "refuse_unless" and word.arg == "code"}
    return {code for code in result if code is not None}


def codes() -> set[str]:
    """Every code that the server can send."""
    tables = {code for _, code, _ in database.SAYS} | set(partner.FAILURES) | set(app.CODES.values())
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in WEB.rglob("*.py")]
    return set().union(*map(codes_in, trees), tables, {"invalid", "refused"})


def test_codes_are_found_in_the_source():
    assert {
        "wrong", "throttled", "other_user", "broken", "locked", "cross_site", "unknown_event", "last_admin",
    } <= codes()  # fmt: skip
    assert codes_in(ast.parse("Refusal(1, 'a', 'b'); refuse_unless(x, 'y', code='c'); sentence(r, 5, 'd', 'e')")) == {
        "a",
        "c",
        "d",
    }


def test_every_code_of_the_server_has_words_and_no_words_are_left_over():
    assert codes() - set(REFUSALS) == set()
    assert set(REFUSALS) - codes() - OF_THE_PAGE == set()
    assert {f"refusal.{code}" for code in REFUSALS} <= set(SCRIPTS)


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_a_form_that_comes_back_tells_it_in_the_readers_language(site: Site, code: str):
    for language, other in (("zh", "en"), ("en", "zh")):
        text = client(site).get(f"/login?error={code}&lang={language}").text
        shown = re.findall(r'role="alert">(.*?)</p>', text)
        assert len(shown) == 1
        assert bool(HANZI.search(shown[0])) == (language == "zh")
        assert Words(other).plain(f"refusal.{code}", why="", status=0) not in text


WRONG = [
    ("PUT", "/me", {"language": "tlh"}, "language", "unknown_choice", ""),
    ("POST", "/leases", {"count": 0}, "count", "too_small", 1),
    ("POST", "/leases", {"count": 99}, "count", "too_big", 10),
    ("POST", "/leases", {"count": "1"}, "count", "not_a_number", ""),
    ("POST", "/leases", {"cuont": 1}, "cuont", "unknown_field", ""),
    ("POST", "/tokens", {"scopes": ["read"]}, "name", "missing", ""),
    ("POST", "/webhooks", {"url": "x", "kinds": ["judgement"]}, "url", "too_short", 8),
    ("POST", "/webhooks", {"url": "https://x.example", "kinds": []}, "kinds", "too_short", 1),
    ("POST", "/webhooks", {"url": "https://x.example/" + "x" * 500, "kinds": ["skip"]}, "url", "too_long", 500),
]


@pytest.mark.parametrize(("method", "path", "body", "field", "cause", "limit"), WRONG)
def test_what_is_wrong_with_a_field_is_told_for_programs_and_has_words(
    site: Site, method: str, path: str, body: dict[str, object], field: str, cause: str, limit: object
):
    answer = signed_in(site).request(method, f"/api/v1{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["why"] == {"field": field, "cause": cause, "limit": limit}
    assert HANZI.search(Words("zh").plain(f"cause.{cause}", limit=limit))


def test_every_cause_is_one_that_the_server_can_send():
    assert {cause for cause, _ in TYPES.values()} == set(CAUSES) - {"says"}
    assert {f"cause.{name}" for name in CAUSES} | {f"field.{name}" for name in FIELDS} <= set(SCRIPTS)


@pytest.mark.parametrize("code", ["wrong", "throttled"])
def test_signing_in_tells_it_in_the_readers_language(site: Site, code: str):
    signed_in(site)
    speaker = client(site, headers=HTML | FORM | {"origin": "http://127.0.0.1"})
    for _ in range(6 if code == "throttled" else 1):
        answer = speaker.post("/login", content="name=ann&password=wrong&lang=zh")
    text = speaker.get(answer.headers["location"]).text
    assert Words("zh").plain(f"problem.{code}") in text


REFUSED = [
    ("GET", "/", {"host": "evil.example"}, 421, "wrong_host"),
    ("POST", "/login", {"origin": "http://evil.example"}, 403, "cross_site"),
    ("POST", "/login", {"origin": "http://127.0.0.1", "content-type": "text/plain"}, 415, "not_a_form"),
    ("POST", "/login", {"origin": "http://127.0.0.1", "content-length": "99999999"}, 413, "too_large"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "code"), REFUSED)
def test_what_the_guard_refuses_is_a_page_for_people_and_json_for_programs(
    site: Site, method: str, path: str, headers: dict[str, str], status: int, code: str
):
    answer = client(site).request(method, path, headers={**FORM, **HTML, **headers})
    assert answer.status_code == status
    assert Words("zh").plain(f"refusal.{code}") in answer.text
    assert answer.headers["content-security-policy"]
    reply = client(site).request(method, path, headers={**FORM, **headers})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_lead_page_that_is_refused_says_so_in_the_readers_language(site: Site, monkeypatch: pytest.MonkeyPatch):
    signed_in(site)
    bob = signed_in(site, "bob", "annotator")
    answer = bob.get("/lead", headers=HTML)
    assert answer.status_code == 403
    assert Words("zh").plain("error.403.says") in answer.text

    def full(*_: object) -> None:
        raise Refusal(503, "disk_full", "the disk is full")

    monkeypatch.setattr("prefloop.web.pages.html.project", full)
    answer = bob.get("/help", headers=HTML)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert Words("zh").plain("refusal.disk_full") in answer.text
