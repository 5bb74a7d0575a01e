"""What must not come in does not, and is logged; what goes out says how it may be used."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from prefloop.web.security import accounts
from prefloop.web.security.guard import FILE_TYPES, POLICY, host_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import judgements, sessions
from web.acts import (
    FORM,
    LINES,
    OURS,
    PASSWORD,
    client,
    cookie_of,
    error,
    fill,
    judged,
    login,
    post,
    program,
    refused,
    rows,
    signed_in,
    to_judge,
)


@pytest.fixture
def new_url(new_sqlite: Callable[[], str]) -> Callable[[], str]:
    """None of this depends on the kind of database."""
    return new_sqlite


@pytest.mark.parametrize(
    "path", ["/api/v1/me", "/api/v1/openapi.json", "/static/none.js", "/nowhere", "/api/v1/nowhere"]
)
def test_headers_on_every_answer(site: Site, path: str):
    headers = client(site).get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "data:" not in POLICY
    assert "default-src 'none'" in POLICY
    says = {name: headers[name] for name in ("x-content-type-options", "referrer-policy", "cross-origin-opener-policy")}
    assert list(says.values()) == ["nosniff", "no-referrer", "same-origin"]
    assert "camera=()" in headers["permissions-policy"]


THEIRS: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"},
]  # fmt: skip


@pytest.mark.parametrize("headers", THEIRS)
def test_a_write_from_another_site_is_refused(site: Site, headers: dict[str, str], caplog: pytest.LogCaptureFixture):
    fill(site, 1)
    speaker = signed_in(site)
    body = judged(to_judge(speaker)[0]["id"]).model_dump(mode="json")
    assert speaker.post("/api/v1/judgements", json=body, headers=headers).status_code == 403
    assert speaker.post("/login", data={"name": "ann", "password": PASSWORD}, headers=headers).status_code == 403
    assert speaker.post("/logout", headers={**FORM, **headers}).status_code == 403
    assert rows(site, judgements) == []
    assert refused(caplog, "cross_site")


def test_a_form_that_does_not_say_where_it_is_from_is_refused(site: Site):
    assert client(site).post("/login", data={"name": "a", "password": "b"}).status_code == 403


NEEDS_NO_LEAVE = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
"""What another site may have a browser send."""
IMPORTS = ("rows", "arena", "scores?model=m", "comparisons")


@pytest.mark.parametrize("where", IMPORTS)
def test_a_file_is_brought_in_as_what_it_is_but_never_as_what_another_site_could_send(site: Site, where: str):
    speaker = signed_in(site)
    robot = program(site, speaker, "write")

    def status(who: TestClient, kind: str, headers: dict[str, str], path: str = f"/api/v1/import/{where}") -> int:
        return who.post(path, content=b"no file", headers={"content-type": kind, **headers}).status_code

    for kind in FILE_TYPES:
        assert (status(speaker, kind, OURS), status(robot, kind, {})) == (422, 422)
        assert {status(speaker, kind, theirs) for theirs in THEIRS} == {403}
    for kind in (*NEEDS_NO_LEAVE, ""):
        assert (status(speaker, kind, OURS), status(robot, kind, {})) == (415, 415)
    assert status(speaker, "text/csv", OURS, "/api/v1/leases") == 415


def test_openapi_tells_that_a_file_is_sent(site: Site):
    paths = client(site).get("/api/v1/openapi.json").json()["paths"]
    for where in IMPORTS:
        body = paths[f"/api/v1/import/{where.partition('?')[0]}"]["post"]["requestBody"]
        assert set(body["content"]) == set(FILE_TYPES)


@pytest.mark.parametrize("kind", NEEDS_NO_LEAVE)
def test_a_write_of_the_api_is_json(site: Site, kind: str):
    answer = signed_in(site).post("/api/v1/leases", content=b'{"count": 1}', headers={"content-type": kind, **OURS})
    assert error(answer) == (415, "not_json")


def test_signing_in_makes_a_new_session_and_ends_the_old(site: Site):
    """Fixation: a cookie that somebody planted before is worth nothing afterwards."""
    signed_in(site)
    speaker = client(site)
    speaker.cookies.set(accounts.COOKIE, "planted-by-somebody-else", domain="127.0.0.1", path="/")
    assert login(speaker, "Ann", PASSWORD).status_code == 303
    first = cookie_of(speaker)
    assert first
    assert first != "planted-by-somebody-else"
    assert accounts.by_session(site, "planted-by-somebody-else") is None
    assert login(speaker, "ANN ", PASSWORD).status_code == 303
    assert accounts.by_session(site, first) is None
    assert first not in {row.hash for row in rows(site, sessions)}


def test_the_cookie_is_kept_from_scripts_and_other_sites(new_site: Callable[..., Site]):
    site = new_site(https=True)
    signed_in(site)
    said = login(client(site), "ann", PASSWORD).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "secure", "path=/"} <= set(said.split("; "))


def test_a_page_of_somebody_else_may_not_use_the_browsers_cookie(site: Site, caplog: pytest.LogCaptureFixture):
    """Two tabs of a browser have one cookie; each page says whose it is (X-Prefloop-User), and must be right."""
    fill(site, 1)
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    number = str(ann.get("/api/v1/me").json()["id"])
    shown = to_judge(ann)[0]["id"]
    assert ann.get("/api/v1/me", headers={"x-prefloop-user": number}).status_code == 200
    for other in ("", "0", number, "ann"):
        assert ann.get("/api/v1/me", headers={"x-prefloop-user": other + "x"}).status_code == 401
    body = judged(shown).model_dump(mode="json")
    answer = bob.post("/api/v1/judgements", json=body, headers={"x-prefloop-user": number})
    assert error(answer) == (401, "other_user")
    assert rows(site, judgements) == []
    assert refused(caplog, "other_user")
    robot = program(site, ann, "judge")  # which has no other tabs
    assert robot.get("/api/v1/me", headers={"x-prefloop-user": "7"}).status_code == 200


def test_guessing_many_names_from_one_place_is_slowed_down(site: Site):
    guesses = ({"name": f"n{i}", "password": "x"} for i in range(62))
    codes = [client(site).post("/api/v1/session", json=guess).status_code for guess in guesses]
    assert codes == [401] * 60 + [429] * 2


@pytest.mark.parametrize(
    "then",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "/%0d\r\nx: y",
        "",
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_signing_in(site: Site, then: str):
    signed_in(site)
    answer = client(site).post("/login", data={"name": "ann", "password": PASSWORD, "next": then}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/" if then else "/lead")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
        "/static/..\\app.py", "/static/%00", "/static/....//app.py",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_static_files(site: Site, path: str):
    answer = client(site).get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_a_body_that_is_too_large_is_refused(new_site: Callable[..., Site], caplog: pytest.LogCaptureFixture):
    speaker = signed_in(new_site(max_body_kb=16))
    large = b'{"draft": "' + b"x" * 17_000 + b'"}'
    json_type = {"content-type": "application/json"}
    assert speaker.post("/api/v1/leases", content=large, headers=json_type).status_code == 413

    def unannounced() -> Any:
        yield from (large[:9000], large[9000:])

    answer = speaker.post("/api/v1/leases", content=unannounced(), headers=json_type)
    assert error(answer) == (413, "too_large")
    assert refused(caplog, "too_large")


def test_another_name_for_this_machine_is_refused(site: Site):
    """A page elsewhere whose name is made to point here (DNS rebinding) gets nothing."""
    assert client(site).get("/api/v1/me", headers={"host": "evil.example"}).status_code == 421
    assert [host_of(text) for text in ("[::1]:80", "[::1]", "localhost:8765")] == ["::1", "::1", "localhost"]


def test_nobody_reads_or_judges_anothers_work(site: Site, caplog: pytest.LogCaptureFixture):
    fill(site, 2)
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    hers = to_judge(ann)[0]["id"]
    assert bob.get(f"/api/v1/presentations/{hers}").status_code == 404
    assert bob.put(f"/api/v1/presentations/{hers}/draft", json={"draft": {}}).status_code == 404
    assert bob.post(f"/api/v1/presentations/{hers}/skip", json={"reason": "x"}).status_code == 404
    assert post(bob, hers).status_code == 404
    assert bob.post("/api/v1/flags", json={"presentation": hers, "comment": "x"}).status_code == 404
    mine = post(ann, hers).json()["judgement"]
    assert bob.post(f"/api/v1/judgements/{mine}/revise", json=judged(hers).model_dump(mode="json")).status_code == 404
    assert bob.get("/api/v1/history").json()["judgements"] == []
    assert refused(caplog, "not_found")


LEADS = [
    "users", "invitations", "settings", "guidelines", "items", "flags", "progress", "export/judgements.jsonl",
    "export/events.jsonl", "log/verify",
]  # fmt: skip


def test_an_annotator_sees_nothing_of_the_leads(site: Site, caplog: pytest.LogCaptureFixture):
    signed_in(site)
    bob = signed_in(site, "bob", "annotator")
    for path in [*LEADS, "tokens"]:
        assert bob.get(f"/api/v1/{path}").status_code == 403, path
        assert client(site).get(f"/api/v1/{path}").status_code == 401, path
    assert bob.post("/api/v1/invitations", json={"role": "admin"}).status_code == 403
    assert bob.put("/api/v1/settings", json={"name": "mine"}).status_code == 403
    assert bob.post("/api/v1/import/comparisons", content=b"{}", headers=LINES).status_code == 403
    assert bob.post("/api/v1/leases", json={"count": 1, "purpose": "adjudication"}).status_code == 403
    assert refused(caplog, "wrong_role")


def test_a_token_does_no_more_than_its_scopes_say(site: Site):
    """It belongs to an admin; `write` must not make another admin, nor `judge` read what leads see."""
    admin = signed_in(site)
    for scope, method, path, body, status in (
        ("write", "POST", "/api/v1/invitations", {"role": "admin"}, 403),
        ("write", "POST", "/api/v1/invitations", {"role": "annotator"}, 200),
        ("write", "PUT", "/api/v1/users/1", {"active": False}, 403),
        ("judge", "GET", "/lead", None, 403),
        ("read", "GET", "/lead", None, 200),
    ):
        answer = program(site, admin, scope).request(method, path, json=body)
        assert answer.status_code == status, (scope, path, answer.text[:200])
