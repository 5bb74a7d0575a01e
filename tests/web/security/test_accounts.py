"""People, sessions, invitations and tokens: for whom, for how long, and what is kept of them."""

import contextlib
import json
import threading
from typing import Any

import pytest
from sqlalchemy import select

from prefloop.web.errors import Refusal
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import attempts, users
from web.acts import (
    FORM,
    OURS,
    PASSWORD,
    Clock,
    ask,
    client,
    cookie_of,
    error,
    fill,
    invited,
    login,
    post,
    program,
    refused,
    rows,
    signed_in,
    to_judge,
    user,
)


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
    judge = program(site, ann, "judge", user="Qwen-Judge")
    me = judge.get("/api/v1/me").json()
    assert (me["name"], me["role"]) == ("qwen-judge", "annotator")
    assert post(judge, to_judge(judge)[0]["id"]).status_code == 200
    assert [row["name"] for row in ann.get("/api/v1/lead/quality").json()["annotators"]] == ["qwen-judge"]
    again = program(site, ann, "judge", user="Qwen-Judge", name="another")
    assert again.get("/api/v1/me").json()["id"] == me["id"]
    for password in ("program", accounts.PROGRAM, PASSWORD):
        body = {"name": "qwen-judge", "password": password}
        assert client(site).post("/api/v1/session", json=body).status_code == 401
    signed_in(site, "bob", "annotator")
    answer = ann.post("/api/v1/tokens", json={"name": "judge", "scopes": ["judge"], "user": "bob"})
    assert answer.status_code == 422
    assert "is a person" in answer.json()["error"]["message"]


def test_judgements_are_exported_as_what_made_them(site: Site):
    """A person, a person through a program, a model, a simulation: by their accounts, in every export."""
    ask(site, overlap={"judgements": 4})
    fill(site, 1)
    ann = signed_in(site)
    assert error(ann.post("/api/v1/tokens", json={"name": "t", "scopes": ["judge"]})) == (422, "invalid")
    wrong = ann.post("/api/v1/tokens", json={"name": "t", "scopes": ["judge"], "user": "m", "kind": "robot"})
    assert error(wrong) == (422, "invalid")
    made = {"model": {"user": "m"}, "simulated": {"user": "s", "kind": "simulated"}, "person": {}}
    for judge in [program(site, ann, "judge", **more) for more in made.values()]:
        assert post(judge, to_judge(judge)[0]["id"]).status_code == 200
    bob = signed_in(site, "bob", "annotator")
    post(bob, to_judge(bob)[0]["id"])
    other = ann.post("/api/v1/tokens", json={"name": "t", "scopes": ["judge"], "user": "s"})
    assert "s is known as simulated, not as model" in other.json()["error"]["message"]
    lines = [json.loads(line) for line in ann.get("/api/v1/export/judgements.jsonl").text.splitlines()]
    kinds = {line["annotator"]: line["annotator_kind"] for line in lines}
    assert kinds == {"m": "model", "s": "simulated", "ann": "person", "bob": "person"}
    assert {row["name"]: row["kind"] for row in ann.get("/api/v1/lead/quality").json()["annotators"]} == kinds
    assert {row["name"]: row["kind"] for row in ann.get("/api/v1/users").json()["users"]} == kinds
    assert [row["kind"] for row in ann.get("/api/v1/tokens").json()["tokens"]] == ["model", "simulated", "person"]


def test_a_token_may_what_its_scopes_say(site: Site, caplog: pytest.LogCaptureFixture):
    fill(site, 1)
    ann = signed_in(site)
    programs = {scope: program(site, ann, scope) for scope in accounts.SCOPES}

    def status(scope: str, method: str, path: str, **more: Any) -> int:
        return programs[scope].request(method, f"/api/v1/{path}", **more).status_code

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
    token, late = invited(site, uses=2, days=1), invited(site, uses=9, days=1)

    def join(link: str, name: str, password: str = PASSWORD) -> Any:
        return client(site).post(f"/api/v1/join/{link}", json={"name": name, "password": password})

    assert [join(token, name).status_code for name in "bcd"] == [200, 200, 404]
    assert join(late, "ANN").status_code == 409
    assert error(join(late, "e", "short")) == (422, "weak_password")
    clock.now += 86401
    assert join(late, "e").status_code == 404
    form = client(site).post(f"/join/{late}", data={"name": "e", "password": PASSWORD}, headers=OURS)
    assert form.headers["location"] == f"/join/{late}?error=no_invitation"


@pytest.mark.parametrize(("role", "home"), [("annotator", "/"), ("lead", "/lead"), ("admin", "/lead")])
def test_leads_begin_with_their_own_pages(site: Site, role: str, home: str):
    """The judging page would take items for somebody who only looks in."""
    speaker, form = client(site), {"name": "ann", "password": PASSWORD}
    assert speaker.post(f"/join/{invited(site, role)}", data=form, headers=OURS).headers["location"] == home
    assert login(speaker, "ann", PASSWORD).headers["location"] == home
    asked = speaker.post("/login", data={**form, "next": "/guideline"}, headers=OURS)
    assert asked.headers["location"] == "/guideline"


def test_somebody_goes_on_in_the_language_in_which_they_joined(site: Site):
    token = invited(site, uses=2)
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
