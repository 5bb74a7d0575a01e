"""Nobody passes for somebody else by letters that look alike, or that are not seen."""

import pytest

from prefloop.web import names
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from web.acts import PASSWORD, ask, client, error, invited, signed_in, user
from web.crowd import on_sqlite

ALIKE = ["аnnа", "anna", "αnna"]
"""Cyrillic а, Latin, Greek α."""
REFUSED = {
    "аnna": (422, "invalid"), "ann\u200ba": (422, "invalid"), "\u202eanna": (422, "invalid"),
    "anna\u2066": (422, "invalid"), "ann\u3164a": (422, "invalid"), "a\ufe0fnna": (422, "invalid"),
    "cop": (409, "name_taken"), "pau1": (409, "name_taken"), "ANNA ": (409, "name_taken"),
    "ａｎｎａ": (409, "name_taken"), "tom srnith": (409, "name_taken"), "   ": (422, "invalid"),
}  # fmt: skip
TAKEN = ["anna", "сор", "paul", "tom smith"]
"""The second is Cyrillic as a whole, which is a name of its own."""
GOOD = ["анна", "josé", "李雷", "bob-2", "o'neill", "ian", "lan", "Μαρία", "müller"]


@on_sqlite
def test_names_that_pass_for_others_are_refused_and_those_of_all_languages_are_not(site: Site):
    for name in TAKEN:
        user(site, name)
    token = invited(site, uses=20)
    for name, how in REFUSED.items():
        answer = client(site).post(f"/api/v1/join/{token}", json={"name": name, "password": PASSWORD})
        assert error(answer) == how, name
    for name in GOOD:
        answer = client(site).post(f"/api/v1/join/{token}", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, (name, answer.text)


@on_sqlite
def test_programs_and_imported_people_do_not_either(site: Site):
    admin = signed_in(site, "boss")
    for name, code in (("bоss", 422), ("b0ss", 409), ("bo\u200bss", 422)):
        body = {"name": "t", "scopes": ["judge"], "user": name}
        assert admin.post("/api/v1/tokens", json=body).status_code == code, name
    made = [site.database.write(lambda c, n=n: accounts.imported(c, site, n, by="x")) for n in ("a\u202eb", "ab")]
    assert made[0] == made[1]


def test_looks():
    assert names.like("anna", ALIKE) == "аnnа"
    assert not names.mixes("anna анна")
    assert names.seen("a\u200d\u202eb") == "ab"


@pytest.mark.parametrize("axes", [["a", "A"], ["a\u200b"], [" a"], ["helpful", True], ["helpful", 3]])
@on_sqlite
def test_axes_are_words_that_can_be_told_apart(site: Site, axes: list[object]):
    answer = signed_in(site, "lead", "lead").put("/api/v1/settings", json={"axes": axes})
    assert error(answer) == (422, "invalid")
    assert "axes" in answer.json()["error"]["message"]
    ask(site, axes=["clear", "kind"])
