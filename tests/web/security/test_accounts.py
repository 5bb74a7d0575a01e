"""People, sessions, invitations and tokens: for whom, for how long, and what is kept of them."""

import contextlib
import threading
from typing import Any

import pytest
from sqlalchemy import select

from prefloop.web.errors import Refusal
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import attempts, users
from web.acts import FORM, OURS, PASSWORD, Clock, client, cookie_of, fill, judged, login, refused, rows, signed_in, user


def test_sessions_end(site: Site, clock: Clock):
    speaker = signed_in(site)
    assert speaker.get("/api/v1/me").status_code == 200
    clock.now += 4 * 86400
    assert speaker.get("/api/v1/me").status_code == 200  # used: goes on
    clock.now += 5 * 86400
    assert speaker.get("/api/v1/me").status_code == 401  # idle for a third of the time
    assert login(speaker, "ann", PASSWORD).status_code == 303
    for _ in range(5):
        clock.now += 3 * 86400
        speaker.get("/api/v1/me")
    assert speaker.get("/api/v1/me").status_code == 401  # over, however often used
    assert login(speaker, "ann", PASSWORD).status_code == 303
    cookie = cookie_of(speaker)
    assert speaker.post("/logout", headers={**FORM, **OURS}).status_code == 303
    assert cookie
    assert accounts.by_session(site, cookie) is None


def test_guessing_is_slowed_down_and_survives_a_restart(site: Site, clock: Clock, caplog: pytest.LogCaptureFixture):
    signed_in(site)
    for _ in range(5):
        assert login(client(site), "ann", "not the password").headers["location"].startswith("/login?error=wrong")
    right = login(client(site), "ann", PASSWORD)  # a new application over the same database
    assert right.headers["location"].startswith("/login?error=throttled")
    assert refused(caplog, "throttled")
    assert client(site).post("/api/v1/session", json={"name": "ann", "password": PASSWORD}).status_code == 429
    clock.now += 15 * 60 + 1
    assert login(client(site), "ann", PASSWORD).headers["location"] == "/lead"
    assert rows(site, attempts, attempts.c.name == "ann", attempts.c.at > clock.now - 60) == []


def test_a_lead_makes_no_admin_and_the_last_admin_stays(site: Site):
    ann, lea = signed_in(site), signed_in(site, "lea", "lead")
    bob = signed_in(site, "bob", "annotator").get("/api/v1/me").json()["id"]
    assert lea.post("/api/v1/invitations", json={"role": "admin"}).status_code == 403
    assert lea.put(f"/api/v1/users/{bob}", json={"role": "admin"}).status_code == 403
    assert lea.put("/api/v1/users/1", json={"active": False}).status_code == 403
    assert lea.put(f"/api/v1/users/{bob}", json={"tags": ["zh"]}).status_code == 200
    assert ann.put("/api/v1/users/1", json={"role": "annotator"}).status_code == 409
    assert [row.role for row in rows(site, users)] == ["admin", "lead", "annotator"]


def test_two_admins_who_demote_each_other_at_once_leave_one(site: Site, monkeypatch: pytest.MonkeyPatch):
    """Each looks for another admin before the other has finished, if they can."""
    first, other = user(site, "one", "admin"), user(site, "other", "admin")
    both, has_admin = threading.Barrier(2, timeout=0.5), accounts.has_admin
    problems: list[str] = []

    def looking(connection: Any) -> bool:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return has_admin(connection)

    def demote(who: accounts.User, whom: accounts.User) -> None:
        try:
            site.database.write(lambda c: accounts.change_user(c, site, whom.id, {"role": "annotator"}, by=who))
        except Refusal as problem:
            problems.append(problem.code)

    monkeypatch.setattr(accounts, "has_admin", looking)
    threads = [threading.Thread(target=demote, args=pair) for pair in ((first, other), (other, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == ["last_admin"]
    assert sorted(row.role for row in rows(site, users)) == ["admin", "annotator"]


def test_whoever_is_shut_out_is_out_at_once(site: Site):
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    number = bob.get("/api/v1/me").json()["id"]
    assert ann.put(f"/api/v1/users/{number}", json={"active": False}).status_code == 200
    assert bob.get("/api/v1/me").status_code == 401
    assert client(site).post("/api/v1/session", json={"name": "bob", "password": PASSWORD}).status_code == 401


def test_a_model_that_judges_is_an_annotator_of_its_own(site: Site):
    fill(site, 2)
    ann = signed_in(site)
    asked = {"name": "judge", "scopes": ["judge"], "user": "Qwen-Judge"}
    token = ann.post("/api/v1/tokens", json=asked).json()["token"]
    judge, headers = client(site), {"authorization": f"Bearer {token}"}
    me = judge.get("/api/v1/me", headers=headers).json()
    assert (me["name"], me["role"]) == ("qwen-judge", "annotator")
    (shown,) = judge.post("/api/v1/leases", json={"count": 1}, headers=headers).json()["presentations"]
    kept = judge.post("/api/v1/judgements", json=judged(shown["id"]).model_dump(mode="json"), headers=headers)
    assert kept.status_code == 200
    assert [row["name"] for row in ann.get("/api/v1/lead/quality").json()["annotators"]] == ["qwen-judge"]
    again = ann.post("/api/v1/tokens", json={**asked, "name": "another"}).json()["token"]
    assert judge.get("/api/v1/me", headers={"authorization": f"Bearer {again}"}).json()["id"] == me["id"]
    for password in ("program", accounts.PROGRAM, PASSWORD):
        assert (
            client(site).post("/api/v1/session", json={"name": "qwen-judge", "password": password}).status_code == 401
        )
    signed_in(site, "bob", "annotator")
    answer = ann.post("/api/v1/tokens", json={**asked, "user": "bob"})
    assert answer.status_code == 422
    assert "is a person" in answer.json()["error"]["message"]


def test_a_token_may_what_its_scopes_say(site: Site, caplog: pytest.LogCaptureFixture):
    fill(site, 1)
    ann = signed_in(site)
    made = {
        scope: ann.post("/api/v1/tokens", json={"name": scope, "scopes": [scope]}).json()["token"]
        for scope in accounts.SCOPES
    }

    def status(scope: str, method: str, path: str, **more: Any) -> int:
        return (
            client(site)
            .request(method, f"/api/v1/{path}", headers={"authorization": f"Bearer {made[scope]}"}, **more)
            .status_code
        )

    assert status("read", "GET", "export/judgements.jsonl") == 200
    assert status("read", "POST", "leases", json={}) == 403
    assert status("read", "PUT", "settings", json={}) == 403
    assert status("judge", "POST", "leases", json={}) == 200
    assert status("judge", "GET", "users") == 403
    assert status("write", "PUT", "settings", json={"name": "x"}) == 200
    assert status("write", "POST", "tokens", json={"name": "x", "scopes": ["admin"]}) == 403
    assert status("admin", "GET", "tokens") == 200
    assert status("admin", "POST", "leases", json={}) == 403
    assert ann.delete("/api/v1/tokens/1").status_code == 200
    assert status("read", "GET", "me") == 401
    assert client(site).get("/api/v1/me", headers={"authorization": "Bearer nonsense"}).status_code == 401
    assert refused(caplog, "wrong_scope")
    assert refused(caplog, "bad_token")


def test_invitations_are_for_so_many_people_and_so_long(site: Site, clock: Clock):
    signed_in(site)
    token = site.database.write(lambda c: accounts.invite(c, site, role="annotator", by=None, uses=2, days=1))
    body = {"password": PASSWORD}
    assert [client(site).post(f"/api/v1/join/{token}", json={"name": n, **body}).status_code for n in "bcd"] == [
        200,
        200,
        404,
    ]
    late = site.database.write(lambda c: accounts.invite(c, site, role="annotator", by=None, uses=9, days=1))
    assert client(site).post(f"/api/v1/join/{late}", json={"name": "ANN", **body}).status_code == 409
    assert (
        client(site).post(f"/api/v1/join/{late}", json={"name": "e", "password": "short"}).json()["error"]["code"]
        == "weak_password"
    )
    clock.now += 86401
    assert client(site).post(f"/api/v1/join/{late}", json={"name": "e", **body}).status_code == 404
    assert (
        client(site).post(f"/join/{late}", data={"name": "e", **body}, headers=OURS).headers["location"]
        == f"/join/{late}?error=no_invitation"
    )


@pytest.mark.parametrize(("role", "home"), [("annotator", "/"), ("lead", "/lead"), ("admin", "/lead")])
def test_leads_begin_with_their_own_pages(site: Site, role: str, home: str):
    """The judging page would take items for somebody who only looks in."""
    token = site.database.write(lambda c: accounts.invite(c, site, role=role, by=None, uses=1, days=1))
    speaker = client(site)
    joined = speaker.post(
        f"/join/{token}", data={"name": "ann", "password": PASSWORD}, headers=OURS, follow_redirects=False
    )
    assert joined.headers["location"] == home
    assert login(speaker, "ann", PASSWORD).headers["location"] == home
    asked = speaker.post(
        "/login", data={"name": "ann", "password": PASSWORD, "next": "/guideline"}, headers=OURS, follow_redirects=False
    )
    assert asked.headers["location"] == "/guideline"


def test_somebody_goes_on_in_the_language_in_which_they_joined(site: Site):
    token = site.database.write(lambda c: accounts.invite(c, site, role="annotator", by=None, uses=2, days=1))
    for name, language in (("ann", "zh"), ("bob", "xx")):
        client(site).post(f"/join/{token}", data={"name": name, "password": PASSWORD, "lang": language}, headers=OURS)
    assert [row.preferences for row in rows(site, users)] == [{"language": "zh"}, {}]


def test_no_secret_is_in_the_database(site: Site):
    ann = signed_in(site)
    token = ann.post("/api/v1/tokens", json={"name": "t", "scopes": ["read"]}).json()["token"]
    link = ann.post("/api/v1/invitations", json={}).json()["link"].rpartition("/")[2]
    everything = ""
    with site.database.reading() as connection:
        for table in users.metadata.sorted_tables:
            everything += "".join(str(tuple(row)) for row in connection.execute(select(table)))
    assert all(secret not in everything for secret in (token, link, PASSWORD, cookie_of(ann) or "-"))
    assert "$argon2id$" in everything
