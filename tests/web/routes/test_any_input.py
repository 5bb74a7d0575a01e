"""Whatever is sent, the answer is no server error and has the shape of the contract."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefloop.web.store.site import Site
from web.acts import fill, judged, signed_in, to_judge

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(["\0", "\ud800", "é" * 200, "../..", "'; DROP TABLE users; --", "%00"]),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, -1, 1, 2**31, 2**63, 1e308, 10**400])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
BODIES = [
    b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b"[]", b"1", b'"x"', b'{"count": NaN}',
    b'{"count": 1e999}', b'{"count": "\\ud800"}',
]  # fmt: skip
RAW = st.one_of(st.binary(max_size=40), st.sampled_from(BODIES))


def good(speaker: Any) -> dict[tuple[str, str], Any]:
    """A right body for each write."""
    shown = to_judge(speaker)[0]["id"]
    judgement = judged(shown).model_dump(mode="json")
    return {
        ("POST", "/leases"): {"count": 1, "purpose": "work"},
        ("PUT", "/me"): {"language": "en", "theme": "dark", "keys": {"left": "a"}},
        ("POST", "/judgements"): judgement,
        ("POST", f"/judgements/{judgement['id']}/revise"): judgement,
        ("PUT", f"/presentations/{shown}/draft"): {"draft": {"x": 1}},
        ("POST", f"/presentations/{shown}/skip"): {"reason": "x", "comment": "y"},
        ("POST", "/flags"): {"presentation": shown, "comment": "x"},
        ("POST", "/chat/messages"): {"text": "hello", "conversation": None, "turns": 0},
        ("POST", "/chat/end"): {"conversation": "0" * 36},
        ("POST", "/session"): {"name": "nobody", "password": "nothing"},
        ("POST", "/join/" + "x" * 43): {"name": "n", "password": "p" * 12},
        ("POST", "/invitations"): {"role": "annotator", "tags": ["a"], "uses": 1, "days": 1.0},
        ("POST", "/tokens"): {"name": "t", "scopes": ["read"]},
        ("PUT", "/users/1"): {"tags": ["a"]},
        ("PUT", "/settings"): {
            "name": "x", "axes": ["helpful"], "overlap": {"judgements": 2, "adaptive": True}, "lease_minutes": 3.0,
        },
        ("POST", "/guidelines"): {"text": "# x"},
        ("POST", "/items"): {
            "comparison": "c-0000", "kind": "pair", "responses": [0, 1], "purpose": "gold", "expected": {"best": 1},
            "explanation": "x",
        },
    }  # fmt: skip


def paths_in(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *[place for key, row in inner for place in paths_in(row, (*here, key))]]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The value with another at a place."""
    if not place:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return value


def check(answer: Any) -> None:
    """Fails on a server error, and on an error without a code and a sentence."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) - {"why"} == {"code", "message"}


def test_wrong_bodies(site: Site):
    fill(site, 3)
    speaker = signed_in(site)
    bodies = good(speaker)

    @given(call=st.sampled_from(list(bodies)), data=st.data(), new=VALUES)
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(call: tuple[str, str], data: st.DataObject, new: Any) -> None:
        place = data.draw(st.sampled_from(paths_in(bodies[call])))
        body = json.dumps(changed(bodies[call], place, new))
        check(speaker.request(call[0], f"/api/v1{call[1]}", content=body, headers={"content-type": "application/json"}))

    send()


def test_no_bodies_at_all(site: Site):
    fill(site, 1)
    speaker = signed_in(site)
    bodies = good(speaker)

    @given(call=st.sampled_from(list(bodies)), raw=RAW)
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(call: tuple[str, str], raw: bytes) -> None:
        check(speaker.request(call[0], f"/api/v1{call[1]}", content=raw, headers={"content-type": "application/json"}))

    send()


PLACES = [
    "/presentations/{}", "/judgements/{}/revise", "/users/{}", "/invitations/{}", "/tokens/{}", "/join/{}",
    "/history?limit={}", "/items?after={}", "/items?purpose={}", "/export/{}.jsonl",
]  # fmt: skip


WEIRD = ["%00", "-1", "0", "99999999999999999999999", "x" * 3000, "%ff%fe", "..%2f..", "é", "1e5", "NaN", "a b"]


@pytest.mark.parametrize("place", PLACES)
def test_wrong_places(place: str, site: Site):
    speaker = signed_in(site)
    for value in WEIRD:
        for method in ("GET", "PUT", "POST", "DELETE"):
            check(speaker.request(method, "/api/v1" + place.format(value), json={}))
