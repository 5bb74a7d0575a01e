"""Bringing in: exports of other tools become comparisons and judgements; a bad row is a sentence, and nothing is half kept."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefloop.errors import UserError
from prefloop.web import export, facts, importing
from prefloop.web.chain import verify
from prefloop.web.foreign_judgements import SOURCES, imported
from prefloop.web.site import Site
from prefloop.web.tables import comparisons, items, judgements
from web.crowd import on_sqlite
from web.work import check_counts, rows, signed_in, user, work

LABEL_STUDIO = {
    "id": 17, "data": {"prompt": "Where is it?", "answer1": "There.", "answer2": "Here."},
    "annotations": [
        {"completed_by": 4, "was_cancelled": False, "lead_time": 6.5, "result": [{"type": "pairwise", "value": {"selected": "right"}}]},
        {"completed_by": {"id": 5, "email": "b@x.org"}, "result": [{"type": "pairwise", "value": {"selected": "left"}}]},
        {"completed_by": 6, "was_cancelled": True, "result": [{"type": "pairwise", "value": {"selected": "left"}}]},
    ],
}  # fmt: skip
ARGILLA = {
    "id": "r1", "fields": {"instruction": "Where is it?", "response-1": "There.", "response-2": "Here."},
    "responses": {"preference": [{"value": "response-2", "user_id": "u1", "status": "submitted"}, {"value": "response-1", "status": "draft"}]},
}  # fmt: skip
ARGILLA_RANKING = {
    "id": "r2", "fields": {"prompt": "Order them", "response-1": "A", "response-2": "B", "response-3": "C"},
    "responses": [{"user_id": "u1", "status": "submitted", "values": {"ranking": {"value": [
        {"value": "response-2", "rank": 1}, {"value": "response-1", "rank": 3}, {"value": "response-3", "rank": 1}]}}}],
}  # fmt: skip
POTATO = {
    "id": "p1", "user_id": "w9", "displayed_text": {"prompt": "Where is it?", "response_a": "There.", "response_b": "Here."},
    "label_annotations": {"preference": {"A": "true", "B": ""}},
}  # fmt: skip


def bring(site: Site, path: Path, text: str, source: Any = "tickets", on_bad: Any = "stop") -> dict[str, Any]:
    """Brings in a text as a file."""
    path.write_text(text, encoding="utf-8")
    return importing.from_file(site, path, source=source, on_bad=on_bad, actor="lead")


def said(site: Site) -> list[tuple[str, dict[str, Any]]]:
    """Who said what."""
    with site.database.reading() as connection:
        return sorted((one.name, one.meaning) for one in facts.load(connection))


@pytest.mark.parametrize(
    ("source", "row", "who"),
    [
        ("label_studio", LABEL_STUDIO, [("b@x.org", {"best": 0}), ("label-studio-4", {"best": 1})]),
        ("argilla", ARGILLA, [("u1", {"best": 1})]),
        ("argilla", ARGILLA_RANKING, [("u1", {"ranks": [2, 1, 1]})]),
        ("potato", POTATO, [("w9", {"best": 0})]),
    ],
)
@on_sqlite
def test_other_tools_exports_become_ours(new_site: Callable[..., Site], tmp_path: Path, source: Any, row: Any, who: Any):
    site = new_site()
    assert bring(site, tmp_path / "x.json", json.dumps([row]), source)["judgements"] == len(who)
    assert said(site) == who
    assert bring(site, tmp_path / "x.json", json.dumps([row]), source) == {"comparisons": 0, "judgements": 0, "left_out": 0, "problems": []}
    with site.database.reading() as connection:
        verify(connection)
        assert [one.annotator for one in export.judged(connection)] == [name for name, _ in who] or len(who) == 2
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
    '{"prompt": "x", "response_a": "1", "response_b": "2", "choice": "perhaps", "annotator": "a"}': "t.jsonl:2: 'perhaps' is not a choice",
}


@pytest.mark.parametrize("line", BAD)
@on_sqlite
def test_a_bad_row_is_a_sentence_and_nothing_is_kept_unless_asked(new_site: Callable[..., Site], tmp_path: Path, line: str):
    site = new_site()
    good = '{"prompt": "x", "response_a": "1", "response_b": "2", "choice": "B", "annotator": "ann"}'
    text = "\n".join([good, line, good.replace('"x"', '"y"')])
    with pytest.raises(UserError) as problem:
        bring(site, tmp_path / "t.jsonl", text)
    assert BAD[line] in str(problem.value)
    assert rows(site, comparisons) == []
    told = bring(site, tmp_path / "t.jsonl", text, on_bad="skip")
    assert (told["comparisons"], told["judgements"], told["left_out"]) == (2, 2, 1)
    assert said(site) == [("ann", {"best": 1})] * 2


def test_a_short_row_of_csv_and_a_wrong_encoding(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("prompt,response_a\nx\n")
    assert "t.csv:2: the row has not as many cells" in str(next(importing.rows(path))[1])
    path.write_bytes(b"prompt\n\xff\xfe\n")
    with pytest.raises(UserError, match="not UTF-8"):
        list(importing.rows(path))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["prompt", "messages", "data", "fields", "responses", "annotations", "result", "value", "type", "rank", "choices", "selected", "id",
         "response_a", "response_b", "choice", "annotator", "label_annotations", "values", "completed_by", "tags", "lead_time"]), inner, max_size=5),
    max_leaves=14,
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["prompt", "data", "fields", "responses", "annotations", "id", "label_annotations", "messages", "x:::a"]), json_values),
       st.sampled_from(SOURCES))  # fmt: skip
def test_no_row_breaks_it(row: dict[str, Any], source: Any):
    with contextlib.suppress(UserError, ValueError):
        imported(row, source, "f:1")


@on_sqlite
def test_over_http(new_site: Callable[..., Site]):
    site = new_site()
    lead = signed_in(site, "lead", "lead")
    headers = {"Content-Type": "application/x-ndjson"}
    body = '{"prompt": "x", "response_a": "1", "response_b": "2"}\nnot json\n'
    refused = lead.post("/api/v1/import/rows?file=../../etc/tickets.jsonl", content=body, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("tickets.jsonl:2: this line is not JSON")
    kept = lead.post("/api/v1/import/rows?on_bad=skip", content=body, headers=headers).json()
    assert (kept["comparisons"], kept["left_out"]) == (1, 1)
    for bad in (b"", b"\x00\xff", b"[" * 100_000, b'{"prompt": 1}', b"PAR1"):
        for name in ("a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "\u202e.jsonl", "..", "x" * 200):
            answer = lead.post("/api/v1/import/rows", params={"file": name}, content=bad, headers=headers)
            assert answer.status_code == 422, (name, bad[:9], answer.text)
    assert signed_in(site, "ann", "annotator").post("/api/v1/import/rows", content=body, headers=headers).status_code == 403
    assert lead.get("/lead/data").status_code == 200
    assert rows(site, judgements) == []
