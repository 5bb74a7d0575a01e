"""Gold by file: many answers at once, checked whole, with file:line where one will not do."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.web.exchange import gold_files
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items
from web.acts import LINES, ask, check_counts, check_log, fill, rows, signed_in, user, work
from web.crowd import on_sqlite


def bring(site: Site, path: Path, text: str, on_bad: Any = "stop") -> dict[str, Any]:
    """Brings in a text as a file."""
    path.write_text(text, encoding="utf-8")
    return gold_files.from_file(site, path, on_bad=on_bad, actor="lead")


def expected(site: Site) -> list[tuple[str, str, str, Any]]:
    """What is gold, and why."""
    known = rows(site, items, items.c.purpose.in_(("gold", "calibration")))
    return [(row.comparison, row.purpose, row.expected["explanation"], row.expected["answer"]) for row in known]


def test_many_items_become_gold_by_number_or_by_comparison(site: Site, tmp_path: Path):
    ask(site, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 6)
    assert work(site, user(site, "ann"), 1, choice="tie") == 1
    lines: list[dict[str, Any]] = [
        {"item": 1}, {"item": 2, "choice": "Response B", "explanation": "it is *short*"},
        {"comparison": "c-0002", "expected": {"choice": "both_bad"}, "purpose": "calibration"},
        {"comparison": "c-0003", "kind": "ranking", "expected": {"ranks": [2, 1]}},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    assert bring(site, tmp_path / "gold.jsonl", text) == {
        "marked": 4, "changed": 0, "left_out": 0, "reasons": {}, "problems": [],
    }  # fmt: skip
    told = [
        ("c-0000", "gold", "", {"choice": "tie"}), ("c-0001", "gold", "it is *short*", {"best": 1}),
        ("c-0002", "calibration", "", {"choice": "both_bad"}), ("c-0003", "gold", "", {"ranks": [2, 1]}),
    ]  # fmt: skip
    assert expected(site) == told
    csv = 'comparison,choice,expected,explanation\nc-0004,a,,because\nc-0001,,"{""best"": 0}",\n'
    assert bring(site, tmp_path / "gold.csv", csv)["marked"] == 1
    assert expected(site)[1] == ("c-0001", "gold", "", {"best": 0})
    assert expected(site)[4] == ("c-0004", "gold", "because", {"best": 0})
    check_counts(site)
    check_log(site)


WRONG = {
    '{"item": 99, "choice": "a"}': "There is no item 99", '{"item": 1}': "Nobody has judged item 1",
    '{"choice": "a"}': "a row needs `item`", '{"comparison": "c-0001"}': "a row needs the right answer",
    '{"comparison": "nope", "choice": "a"}': "there is no comparison 'nope' here",
    '{"item": 1, "choice": "?"}': "'?' is not a choice", '{"item": 1, "expected": {"best": 5}}': "What is expected",
    '{"item": 1, "expected": "{"}': "`expected` should be JSON", '{"item": "x"}': "`item` should be the number",
    '{"item": 1, "choice": "a", "purpose": "work"}': "Input should be",
    '{"comparison": "c-0000", "choice": "b"}': "g:1 ",
    '{"item": 1, "expected": []}': "`expected`: Input should",
    '{"item": true, "choice": "a"}': "`item` should be the number",
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
@on_sqlite
def test_a_wrong_row_is_told_with_its_line_and_nothing_is_kept(site: Site, tmp_path: Path, line: str):
    fill(site, 2)
    good = '{"comparison": "c-0000", "choice": "a"}'
    with pytest.raises(UserError) as problem:
        bring(site, tmp_path / "g", f"{good}\n{line}\n")
    assert str(problem.value).startswith("g:2: ")
    assert WRONG[line] in str(problem.value) + " "
    assert expected(site) == []
    assert bring(site, tmp_path / "g", f"{good}\n{line}\n", "skip")["left_out"] == 1


@on_sqlite
def test_over_http(site: Site):
    fill(site, 2)
    lead, ann = signed_in(site, "lead", "lead"), signed_in(site, "ann", "annotator")
    body = '{"comparison": "c-0000", "choice": "a"}\n'
    assert ann.post("/api/v1/import/gold", content=body, headers=LINES).status_code == 403
    assert lead.post("/api/v1/import/gold", content=body, headers=LINES).json()["marked"] == 1
    assert lead.post("/api/v1/import/gold", content=b"", headers=LINES).status_code == 422
