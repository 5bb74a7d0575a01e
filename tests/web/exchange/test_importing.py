"""Bringing in: other tools' exports become ours; a bad row is a sentence, and nothing is half kept."""

import contextlib
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from prefloop.errors import UserError
from prefloop.web.config import ImportConfig
from prefloop.web.exchange import arena_files, comparison_files, export, importing
from prefloop.web.exchange.foreign_judgements import SOURCES, Looked, imported, looked
from prefloop.web.exchange.rows import rows as rows_of
from prefloop.web.exchange.tickets import as_before, renamed
from prefloop.web.pages import rendering
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, events, items, judgements, users
from prefloop.web.work import intake, votes
from web.acts import LINES, ask, check_counts, check_log, comparison, rows, signed_in, user, work
from web.crowd import on_sqlite

LEFT, RIGHT = ([{"type": "pairwise", "value": {"selected": side}}] for side in ("left", "right"))
LABEL_STUDIO = {
    "id": 17, "data": {"prompt": "Where is it?", "answer1": "There.", "answer2": "Here."},
    "annotations": [
        {"completed_by": 4, "was_cancelled": False, "lead_time": 6.5, "result": RIGHT},
        {"completed_by": {"id": 5, "email": "b@x.org"}, "result": LEFT},
        {"completed_by": 6, "was_cancelled": True, "result": LEFT},
    ],
}  # fmt: skip
ARGILLA = {
    "id": "r1", "fields": {"instruction": "Where is it?", "response-1": "There.", "response-2": "Here."},
    "responses": {"preference": [
        {"value": "response-2", "user_id": "u1", "status": "submitted"}, {"value": "response-1", "status": "draft"},
    ]},
}  # fmt: skip
ARGILLA_RANKING = {
    "id": "r2", "fields": {"prompt": "Order them", "response-1": "A", "response-2": "B", "response-3": "C"},
    "responses": [{"user_id": "u1", "status": "submitted", "values": {"ranking": {"value": [
        {"value": "response-2", "rank": 1}, {"value": "response-1", "rank": 3}, {"value": "response-3", "rank": 1}]}}}],
}  # fmt: skip
POTATO = {
    "id": "p1", "user_id": "w9", "label_annotations": {"preference": {"A": "true", "B": ""}},
    "displayed_text": {"prompt": "Where is it?", "response_a": "There.", "response_b": "Here."},
}  # fmt: skip


def bring(site: Site, path: Path, text: str, source: Any = "tickets", on_bad: Any = "stop") -> dict[str, Any]:
    """Brings in a text as a file."""
    path.write_text(text, encoding="utf-8")
    return importing.from_file(site, path, source=source, on_bad=on_bad, actor="lead")


def said(site: Site) -> list[tuple[str, dict[str, Any]]]:
    """Who said what."""
    with site.database.reading() as connection:
        return sorted((vote.name, vote.meaning) for vote in votes.votes_where(connection))


OTHERS = [
    ("label_studio", LABEL_STUDIO, [("b@x.org (imported)", {"best": 0}), ("label-studio-4 (imported)", {"best": 1})]),
    ("argilla", ARGILLA, [("u1 (imported)", {"best": 1})]),
    ("argilla", ARGILLA_RANKING, [("u1 (imported)", {"ranks": [2, 1, 1]})]),
    ("potato", POTATO, [("w9 (imported)", {"best": 0})]),
]
NOTHING = {"comparisons": 0, "judgements": 0, "kinds": {}, "left_out": 0, "problems": []}


def new(answer: dict[str, Any]) -> dict[str, Any]:
    """What an import brought that was not here."""
    return {name: answer[name] for name in NOTHING}


@pytest.mark.parametrize(("source", "row", "who"), OTHERS)
@on_sqlite
def test_other_tools_exports_become_ours(site: Site, tmp_path: Path, source: Any, row: Any, who: Any):
    assert bring(site, tmp_path / "x.json", json.dumps([row]), source)["judgements"] == len(who)
    assert said(site) == who
    assert new(bring(site, tmp_path / "x.json", json.dumps([row]), source)) == NOTHING
    check_log(site)
    with site.database.reading() as connection:
        assert [entry.annotator for entry in export.judged(connection)] == [name for name, _ in who] or len(who) == 2
    check_counts(site)


def test_tickets_from_csv_become_work_and_prompts_ask_for_demonstrations(site: Site, tmp_path: Path):
    text = 'prompt,response_a,response_b,tags\n"Where, exactly?","It is\nthere.",Here.,"red-team;zh"\nWrite a poem,,,\n'
    assert bring(site, tmp_path / "t.csv", "\ufeff" + text)["comparisons"] == 2
    assert sorted((row.kind, row.wanted) for row in rows(site, items)) == [("demonstration", 1), ("pair", 1)]
    assert sorted(row.tags for row in rows(site, comparisons)) == [[], ["red-team", "zh"]]
    assert work(site, user(site, "a", tags=("zh",))) == 1
    with site.database.reading() as connection:
        assert len(list(export.compared(connection))) == 2


BAD = {
    '{"prompt": "x", "response_a": "1"}': "t.jsonl:2: there is one response",
    '{"response_a": "1", "response_b": "2"}': "t.jsonl:2: there is no prompt",
    "{": "t.jsonl:2: this line is not JSON",
    '{"prompt": "x\\u0000", "response_a": "1", "response_b": "2"}': "t.jsonl:2: a text holds a NUL",
    '{"messages": [{"role": "assistant", "content": "x"}]}': "ends with the user's turn",
    '{"prompt": "x", "response_a": "1", "response_b": "2", "choice": "?", "annotator": "a"}': "'?' is not a choice",
}


@pytest.mark.parametrize("line", BAD)
@on_sqlite
def test_a_bad_row_is_a_sentence_and_nothing_is_kept_unless_asked(site: Site, tmp_path: Path, line: str):
    good = '{"prompt": "x", "response_a": "1", "response_b": "2", "choice": "B", "annotator": "ann"}'
    text = "\n".join([good, line, good.replace('"x"', '"y"')])
    with pytest.raises(UserError) as problem:
        bring(site, tmp_path / "t.jsonl", text)
    assert BAD[line] in str(problem.value)
    assert rows(site, comparisons) == []
    answer = bring(site, tmp_path / "t.jsonl", text, on_bad="skip")
    assert (answer["comparisons"], answer["judgements"], answer["left_out"]) == (2, 2, 1)
    assert said(site) == [("ann (imported)", {"best": 1})] * 2


def row(number: int, annotator: str = "ann", **more: Any) -> str:
    """A line with a prompt, two responses, and what somebody said of them."""
    asked = {"id": f"r-{number}", "prompt": f"Where is **{number}**?", "response_a": "There.", "response_b": "Here."}
    return json.dumps({**asked, "choice": "b", "annotator": annotator, **more}) + "\n"


MIXED = "".join(
    [*(row(n) for n in range(7)), *(row(n, "bob") for n in range(3)), '{"id": "alone", "prompt": "Write a poem."}\n']
)
ANSWERED = [{"prompt": f"Question {n}?", "response": f"{name} {n}", "sampler": name} for n in range(7) for name in "ab"]
ARENA = "".join(json.dumps(answer) + "\n" for answer in ANSWERED)


def brought(site: Site, path: Path, what: str) -> dict[str, Any]:
    """Brings in tickets or an arena."""
    if what == "rows":
        return bring(site, path, MIXED)
    path.write_text(ARENA)
    return arena_files.from_file(site, path, wanted=1, on_bad="stop", actor="lead")


def state(site: Site) -> list[Any]:
    """All that an import leaves, whatever the order."""
    result = [(row.id, row.fingerprint) for row in rows(site, comparisons)]
    result += sorted((row.key, row.wanted, row.done, row.needed) for row in rows(site, items))
    return [*result, *said(site)]


@pytest.mark.parametrize("what", ["rows", "arena"])
def test_an_import_is_rendered_outside_of_transactions_and_written_in_parts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    monkeypatch.setattr(intake, "BATCH", 3)
    writing, rendered, written = [False], [0], [0]
    write, tree = site.database.write, rendering.tree

    def watched(work: Callable[[Any], Any]) -> Any:
        writing[0], written[0] = True, written[0] + 1
        try:
            return write(work)
        finally:
            writing[0] = False

    def render(text: str) -> Any:
        assert not writing[0]
        rendered[0] += 1
        return tree(text)

    monkeypatch.setattr(site.database, "write", watched)
    monkeypatch.setattr(rendering, "tree", render)
    brought(site, tmp_path / "x.jsonl", what)
    assert written[0] >= 3
    before = rendered[0]
    assert brought(site, tmp_path / "x.jsonl", what)["left_out"] == 0
    assert rendered[0] == before  # what is there is not rendered again


@pytest.mark.parametrize("what", ["rows", "arena"])
def test_who_is_stopped_between_two_parts_brings_it_in_again_and_nothing_is_doubled(
    new_site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    monkeypatch.setattr(intake, "BATCH", 3)
    whole, site = new_site(), new_site()
    brought(whole, tmp_path / "x.jsonl", what)
    for parts in (1, 2):
        left, write = [parts], site.database.write

        def stopped(work: Callable[[Any], Any], left: list[int] = left, write: Any = write) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return write(work)

        with monkeypatch.context() as only:
            only.setattr(site.database, "write", stopped)
            with pytest.raises(KeyboardInterrupt):
                brought(site, tmp_path / "x.jsonl", what)
        assert 0 < len(rows(site, comparisons)) < len(rows(whole, comparisons))
    for _ in range(2):
        brought(site, tmp_path / "x.jsonl", what)
        assert state(site) == state(whole)
    check_counts(site)
    check_log(site)


@on_sqlite
def test_a_file_with_another_row_of_the_same_name_keeps_nothing_unless_asked(
    new_site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(intake, "BATCH", 2)
    site, path = new_site(), tmp_path / "t.jsonl"
    other = row(1, prompt="Something else?")
    with pytest.raises(
        UserError, match=r"t.jsonl:6: there is another comparison called 'r-1', with other content.* It is in t.jsonl:2"
    ):
        bring(site, path, "".join(row(n) for n in range(5)) + other)
    assert rows(site, comparisons) == []
    bring(site, path, row(1))
    with pytest.raises(UserError, match=r"t.jsonl:6: there is another comparison called 'r-1'"):
        bring(site, path, "".join(row(n) for n in (5, 6, 7, 8, 9)) + other)
    assert len(rows(site, comparisons)) == 1
    answer = bring(site, path, "".join(row(n) for n in (5, 6, 7, 8, 9)) + other, on_bad="skip")
    assert (answer["comparisons"], answer["left_out"], answer["problems"][0][:12]) == (5, 1, "t.jsonl:6: t")


@on_sqlite
def test_a_large_file_takes_no_more_memory_than_a_few_rows(
    new_site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """40 MB in 300 rows: with 10 rows together it is looked at and kept in a fraction of that."""
    monkeypatch.setattr(intake, "BATCH", 10)
    site, path = new_site(), tmp_path / "t.csv"
    long = "word " * 9_000
    with path.open("w") as file:
        file.write("prompt,response_a,response_b\n")
        file.writelines(f"{n} {long},1 {long},2 {long}\n" for n in range(300))
    tracemalloc.start()
    answer = importing.from_file(site, path, source="tickets", on_bad="stop", actor="lead")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer["comparisons"] == 300
    assert peak < path.stat().st_size / 3


def test_nobody_speaks_through_an_import_in_the_name_of_somebody_who_is_here(site: Site, tmp_path: Path):
    ann = signed_in(site, "ann", "annotator")
    signed_in(site, "bob (imported)", "annotator")
    lead = signed_in(site, "lead", "lead")
    body = row(1, "Ann") + row(1, "bob") + row(1, "x" * 80) + row(1, "x" * 80 + "y")
    for number in (4, 0):
        answer = lead.post("/api/v1/import/rows", content=body, headers=LINES)
        assert answer.json()["judgements"] == (number and 3)  # the last two names are one in 80 letters
    assert ann.get("/api/v1/history").json()["judgements"] == []
    names = [name for name, _ in said(site)]
    assert names[:2] == ["ann (imported)", "bob (imported 2)"]
    assert (len(names[2]), names[2].endswith(" (imported)")) == (80, True)
    logged = rows(site, events, events.c.kind.in_(("judgement", "user")))
    mine = [entry for entry in logged if entry.kind == "judgement" or "imported" in entry.payload]
    assert {entry.actor for entry in mine} == {"lead", "bob (imported)"}  # the second is the one who joined
    assert {entry.actor for entry in mine if entry.kind == "judgement"} == {"lead"}
    check_log(site)


def credited_by_name(connection: Any, site: Site, name: str, *, by: str, kind: Any) -> int:
    """As an older prefloop had it: judgements are those of whoever has the name."""
    kept = accounts.known_as(name) or "imported"
    same = connection.execute(select(users.c.id).where(users.c.name == kept)).scalar()
    return same or accounts.add_user(connection, site, kept, "imported", role="annotator", by=by)


def test_what_was_credited_to_somebody_here_is_found_again(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ann and a stranger were brought in when names alone counted; what Ann judged here herself is no obstacle."""
    ann, path = user(site, "ann"), tmp_path / "t.jsonl"
    text = "".join(row(n, name) for n in range(5) for name in ("Ann", "bob", " "))
    monkeypatch.setattr(accounts, "imported", credited_by_name)
    assert bring(site, path, text)["judgements"] == 15
    monkeypatch.undo()
    before = state(site)
    assert new(bring(site, path, text)) == NOTHING
    assert state(site) == before
    assert len(rows(site, users)) == 3
    bring(site, path, row(7, choice=""))
    assert work(site, ann) == 1
    assert bring(site, path, text + row(7, "Ann", choice="b"))["judgements"] == 1
    theirs = rows(site, users, users.c.name.like("%(imported)"))
    assert [entry.name for entry in theirs] == ["ann (imported)"]
    check_counts(site)


@on_sqlite
def test_an_imported_person_cannot_sign_in_and_takes_as_long_as_a_wrong_password(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    signed_in(site, "real", "annotator")
    bring(site, tmp_path / "t.jsonl", row(1, "ann"))
    hashes: list[str] = []
    verified = PasswordHasher.verify

    def watched(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
        hashes.append(kept)
        return verified(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    for name in ("real", "nobody", "ann (imported)"):
        for password in ("imported", ""):
            with pytest.raises(UserError, match="The name or the password is wrong"):
                accounts.sign_in(site, name, password, address="here")
    assert len(hashes) == 6
    assert all(kept.startswith("$argon2id$") for kept in hashes)
    assert hashes[2:4] == hashes[4:6]
    lead = signed_in(site, "boss", "admin")
    number = next(
        entry["id"] for entry in lead.get("/api/v1/users").json()["users"] if entry["name"] == "ann (imported)"
    )
    assert lead.put(f"/api/v1/users/{number}", json={"role": "admin"}).status_code == 200
    mine = next(entry["id"] for entry in lead.get("/api/v1/users").json()["users"] if entry["name"] == "boss")
    assert lead.put(f"/api/v1/users/{mine}", json={"role": "annotator"}).json()["error"]["code"] == "last_admin"


def brought_in_by_an_older_prefloop(row: Any, source: Any, place: str, asked: Any) -> Looked:
    """A row as it was when a prompt without a name was called as its row."""
    result = looked(row, source, place, asked)
    before = as_before(result.ticket.comparison)
    return replace(result, ticket=renamed(result.ticket, before[0])) if before else result


@on_sqlite
def test_pairs_of_one_conversation_are_of_one_prompt_and_older_rows_stay_as_they_are(
    new_site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pairs = [row(n, prompt=f"Where is {n % 2}?", response_a=f"There {n}.") for n in range(6)]
    text = "".join([*pairs, row(6, prompt="Where is 0?", prompt_id="mine"), '{"prompt": "Where is 1?"}\n'])
    site, path = new_site(), tmp_path / "t.jsonl"
    bring(site, path, text)
    names = {entry.id: entry.prompt_id for entry in rows(site, comparisons)}
    assert len({names[f"r-{n}"] for n in (0, 2, 4)}) == len({names[f"r-{n}"] for n in (1, 3, 5)}) == 1
    assert sorted(Counter(names.values()).values()) == [1, 3, 4]
    older = new_site()
    monkeypatch.setattr(importing, "looked", brought_in_by_an_older_prefloop)
    bring(older, path, text)
    monkeypatch.undo()
    before = state(older)
    assert [entry.prompt_id for entry in rows(older, comparisons, comparisons.c.id == "r-0")] == ["r-0"]
    assert new(bring(older, path, text)) == NOTHING
    assert state(older) == before
    with pytest.raises(UserError, match=r"t.jsonl:1: there is another comparison called 'r-0'"):
        bring(older, path, row(0, prompt="Where is 0?", response_a="There 0.", prompt_id="another"))
    check_log(older)


def test_what_is_too_long_to_be_kept_is_a_sentence_and_200_letters_are_not(site: Site, tmp_path: Path):
    lead = signed_in(site, "lead", "lead")
    plain = comparison(1).model_dump(mode="json")
    responses = [plain["responses"][0], plain["responses"][1]]
    long, many = (
        {"responses": [responses[0], responses[1] | more]} for more in ({"sampler": "s" * 201}, {"num_tokens": 2**31})
    )
    wrong = {"the tag 'tttt": {"tags": ["t" * 201]}, "the sampler 'ssss": long, "`num_tokens` goes from 0": many}
    for says, what in wrong.items():
        body = json.dumps(plain | {"id": "first"}) + "\n" + json.dumps(plain | what)
        answer = lead.post("/api/v1/import/comparisons", content=body, headers=LINES)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith(f"import.jsonl:2: {says}")
        path = tmp_path / "comparisons.jsonl"  # as the page finds it when it starts
        path.write_text(body)
        with pytest.raises(UserError, match=r"comparisons.jsonl:2: "):
            comparison_files.from_file(site, path)
    long_tag = [{"prompt": "p", "response": name, "sampler": name, "tags": ["t" * 201]} for name in "ab"]
    body = "".join(json.dumps(answer) + "\n" for answer in long_tag)
    answer = lead.post("/api/v1/import/arena?file=a.jsonl", content=body, headers=LINES)
    assert (answer.status_code, answer.json()["error"]["message"][:21]) == (422, "a.jsonl:1: the tag 't")
    assert rows(site, comparisons) == []
    fitting = [response | {"sampler": "s" * 200, "num_tokens": 2**31 - 1} for response in responses]
    fits = plain | {"tags": ["t" * 200], "responses": fitting}
    answer = lead.post("/api/v1/import/comparisons", content=json.dumps(fits), headers=LINES)
    assert (answer.status_code, answer.json()["added"]) == (200, 1)


def test_an_item_with_a_long_name_and_many_responses_is_kept_once_and_is_found_again(site: Site, tmp_path: Path):
    ask(site, kinds=["pair", "ranking"])
    tickets = [{"id": end * 190, "prompt": "p", "responses": [f"{end} {n}" for n in range(60)]} for end in "xy"]
    lines = [json.dumps(ticket) for ticket in tickets]
    for added in (2, 0):
        assert bring(site, tmp_path / "t.jsonl", "\n".join(lines))["comparisons"] == added
    result = rows(site, items, items.c.kind == "ranking")
    assert len(rows(site, items)) == 4
    assert sorted(row.comparison[:1] for row in result) == ["x", "y"]
    lead = signed_in(site, "lead", "lead")
    gold = {"comparison": "x" * 190, "kind": "ranking", "responses": list(range(60)), "purpose": "gold"}
    expected = {"ranks": list(range(1, 61))}
    assert lead.post("/api/v1/items", json={**gold, "expected": expected}).status_code == 200
    assert [row.comparison[:1] for row in rows(site, items, items.c.kind == "ranking", items.c.retired)] == ["x"]


def test_a_row_that_is_no_record_is_told_what_is_wrong_and_where(site: Site, tmp_path: Path):
    ranks = [{"value": f"response-{n}", "rank": n} for n in range(1, 102)]
    said = {"q": [{"value": ranks, "user_id": "u"}]}
    record = {"fields": {"prompt": "x", "responses": ["y"] * 101}, "responses": said}
    with pytest.raises(UserError, match=r"^t.json:1: `ranks`: List should have at most 100 items"):
        bring(site, tmp_path / "t.json", json.dumps([record]), "argilla")


def test_a_short_row_of_csv_and_a_wrong_encoding(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("prompt,response_a\nx\n")
    assert "t.csv:2: the row has not as many cells" in str(next(rows_of(path, ImportConfig()))[1])
    path.write_bytes(b"prompt\n\xff\xfe\n")
    with pytest.raises(UserError, match="not UTF-8"):
        list(rows_of(path, ImportConfig()))


OUTER = ["prompt", "data", "fields", "responses", "annotations", "id", "label_annotations", "messages", "x:::a"]
INNER = [
    *OUTER[:-1], "result", "value", "type", "rank", "choices", "selected", "response_a", "response_b", "choice",
    "annotator", "values", "completed_by", "tags", "lead_time",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=5),
    max_leaves=14,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(OUTER), json_values), st.sampled_from(SOURCES))
def test_no_row_breaks_it(row: dict[str, Any], source: Any):
    with contextlib.suppress(UserError, ValueError):
        imported(row, source, "f:1")


@on_sqlite
def test_over_http(site: Site):
    lead = signed_in(site, "lead", "lead")
    body = '{"prompt": "x", "response_a": "1", "response_b": "2"}\nnot json\n'
    refused = lead.post("/api/v1/import/rows?file=../../etc/tickets.jsonl", content=body, headers=LINES)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("tickets.jsonl:2: this line is not JSON")
    kept = lead.post("/api/v1/import/rows?on_bad=skip", content=body, headers=LINES).json()
    assert (kept["comparisons"], kept["left_out"]) == (1, 1)
    for bad in (b"", b"\x00\xff", b"[" * 100_000, b'{"prompt": 1}', b"PAR1"):
        for name in ("a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "\u202e.jsonl", "..", "x" * 200):
            answer = lead.post("/api/v1/import/rows", params={"file": name}, content=bad, headers=LINES)
            assert answer.status_code == 422, (name, bad[:9], answer.text)
    ann = signed_in(site, "ann", "annotator")
    assert ann.post("/api/v1/import/rows", content=body, headers=LINES).status_code == 403
    assert lead.get("/lead/data").status_code == 200
    table = "prompt,response_a,response_b\nwhat now?,this,that\n"
    for name, kind, new in (("", "text/csv", 1), ("?file=t.csv", "application/octet-stream", 0)):
        ours = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
        assert lead.post(f"/api/v1/import/rows{name}", content=table, headers=ours).json()["comparisons"] == new
    assert rows(site, judgements) == []
