"""What must not come in does not, and is logged; what goes out says how it may be used."""

from collections.abc import Callable
from typing import Any

import pytest

from prefloop.web.security import accounts
from prefloop.web.security.guard import FILE_TYPES, POLICY, host_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import judgements, sessions
from web.acts import (
    FORM,
    OURS,
    PASSWORD,
    client,
    cookie_of,
    fill,
    judged,
    login,
    post,
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
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
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


IMPORTS = ("rows", "arena", "scores?model=m", "comparisons")


@pytest.mark.parametrize("where", IMPORTS)
def test_a_file_is_brought_in_as_what_it_is_but_never_as_what_another_site_could_send(site: Site, where: str):
    speaker, path = signed_in(site, "ann", "admin"), f"/api/v1/import/{where}"
    token = speaker.post("/api/v1/tokens", json={"name": "t", "scopes": ["write"]}).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    for kind in FILE_TYPES:
        for ours in (OURS, bearer):
            assert speaker.post(path, content=b"no file", headers={"content-type": kind, **ours}).status_code == 422
        for theirs in (
            {"sec-fetch-site": "cross-site"},
            {"origin": "http://evil.example"},
            {"sec-fetch-site": "same-site"},
            {"origin": "null"},
        ):
            assert speaker.post(path, content=b"no file", headers={"content-type": kind, **theirs}).status_code == 403
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ):  # what needs no leave to be sent
        assert speaker.post(path, content=b"no file", headers={"content-type": kind, **OURS}).status_code == 415
        assert speaker.post(path, content=b"no file", headers={"content-type": kind, **bearer}).status_code == 415
    assert (
        speaker.post("/api/v1/leases", content=b"{}", headers={"content-type": "text/csv", **OURS}).status_code == 415
    )


def test_openapi_tells_that_a_file_is_sent(site: Site):
    paths = client(site).get("/api/v1/openapi.json").json()["paths"]
    for where in IMPORTS:
        assert set(paths[f"/api/v1/import/{where.partition('?')[0]}"]["post"]["requestBody"]["content"]) == set(
            FILE_TYPES
        )


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_write_of_the_api_is_json(site: Site, kind: str):
    answer = signed_in(site).post("/api/v1/leases", content=b'{"count": 1}', headers={"content-type": kind, **OURS})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "not_json")


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
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "secure" in said
    assert "path=/" in said


def test_a_page_of_somebody_else_may_not_use_the_browsers_cookie(site: Site, caplog: pytest.LogCaptureFixture):
    """Two tabs of one browser have one cookie; each page says whose it is (X-Prefloop-User), and is believed only if that agrees."""
    fill(site, 1)
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    number = str(ann.get("/api/v1/me").json()["id"])
    shown = to_judge(ann)[0]["id"]
    assert ann.get("/api/v1/me", headers={"x-prefloop-user": number}).status_code == 200
    for other in ("", "0", number, "ann"):
        assert ann.get("/api/v1/me", headers={"x-prefloop-user": other + "x"}).status_code == 401
    body = judged(shown).model_dump(mode="json")
    answer = bob.post("/api/v1/judgements", json=body, headers={"x-prefloop-user": number})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "other_user")
    assert rows(site, judgements) == []
    assert refused(caplog, "other_user")
    token = ann.post("/api/v1/tokens", json={"name": "t", "scopes": ["judge"]}).json()["token"]
    reply = client(site).get("/api/v1/me", headers={"authorization": f"Bearer {token}", "x-prefloop-user": "7"})
    assert reply.status_code == 200  # a program has no other tabs


def test_guessing_many_names_from_one_place_is_slowed_down(site: Site):
    codes = [
        client(site).post("/api/v1/session", json={"name": f"n{i}", "password": "x"}).status_code for i in range(62)
    ]
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
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert refused(caplog, "too_large")


def test_another_name_for_this_machine_is_refused(site: Site):
    """A page elsewhere whose name is made to point here (DNS rebinding) gets nothing."""
    assert client(site).get("/api/v1/me", headers={"host": "evil.example"}).status_code == 421
    assert host_of("[::1]:80") == "::1"
    assert host_of("[::1]") == "::1"
    assert host_of("localhost:8765") == "localhost"


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
    assert (
        bob.post(
            "/api/v1/import/comparisons", content=b"{}", headers={"content-type": "application/x-ndjson"}
        ).status_code
        == 403
    )
    assert bob.post("/api/v1/leases", json={"count": 1, "purpose": "adjudication"}).status_code == 403
    assert refused(caplog, "wrong_role")


def test_a_token_does_no_more_than_its_scopes_say(site: Site):
    """It belongs to an admin; `write` must not make another admin, nor `judge` read what leads see."""
    admin = signed_in(site)
    for scopes, call, status in (
        (["write"], ("POST", "/api/v1/invitations", {"role": "admin"}), 403),
        (["write"], ("POST", "/api/v1/invitations", {"role": "annotator"}), 200),
        (["write"], ("PUT", "/api/v1/users/1", {"active": False}), 403),
        (["judge"], ("GET", "/lead", None), 403),
        (["read"], ("GET", "/lead", None), 200),
    ):
        token = admin.post("/api/v1/tokens", json={"name": "t", "scopes": scopes}).json()["token"]
        method, path, body = call
        answer = client(site).request(method, path, json=body, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == status, (scopes, path, answer.text[:200])
