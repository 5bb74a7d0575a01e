"""Every route that writes, found in the description of the API, is sent wrong types: never a server error."""

import json
from typing import Any

import pytest

from prefloop.web.store.site import Site
from web.acts import fill, signed_in, to_judge
from web.crowd import on_sqlite

WRONG: list[Any] = [
    None, True, -1, 2**70, 1.5, "", "x\0", "\ud800", "\u202e", "x" * 5000, [[]], {"": {"a": []}}, ["x"] * 300,
    [{"a": 2**70}],
]  # fmt: skip
RAW = [b"", b"null", b"[]", b"7", b'"x"', b"{", b'{"a": NaN}', b"\xff\xfe", b'{"a":' * 3000, b"x" * 2_000_000]


def writes(api: dict[str, Any]) -> dict[str, tuple[str, str, list[str]]]:
    """Name -> (method, path, the fields of its body), of all routes that write JSON."""
    found = {}
    for path, methods in api["paths"].items():
        for method in methods.keys() & {"post", "put", "delete", "patch"}:
            content = methods[method].get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            model = api["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
            found[f"{method} {path}"] = (method, path, list(model.get("properties", ["a"])))
    return found


@pytest.mark.parametrize("part", range(3))
@on_sqlite
def test_no_body_of_wrong_types_breaks_a_route(site: Site, part: int):
    fill(site, 2)
    speaker = signed_in(site)
    to_judge(speaker)
    every = writes(speaker.get("/api/v1/openapi.json").json())
    assert len(every) > 35
    assert {"post /api/v1/items/{number}/gold", "post /api/v1/import/gold"} <= every.keys()
    for name, (method, path, fields) in list(every.items())[part::3]:
        if path == "/api/v1/sessions":
            continue  # which signs everybody out
        place = path.replace("{number}", "1").replace("{", "").replace("}", "")
        bodies = [json.dumps(dict.fromkeys(fields, value)).encode() for value in WRONG]
        bodies += [json.dumps({fields[0]: value}).encode() for value in WRONG[:3]] + RAW
        for body in bodies:
            answer = speaker.request(method, place, content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500, (name, body[:80], answer.text)
            if answer.status_code >= 400:
                assert {"code", "message"} <= answer.json()["error"].keys()
                assert "Traceback" not in answer.text
