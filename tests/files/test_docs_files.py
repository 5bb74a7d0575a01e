"""docs/files.md shows every record and every form as they are."""

import json
import re
from pathlib import Path

from prefloop.files.forms import FORMS, form_of_row
from prefloop.files.tables import as_record

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


def test_every_example_is_a_record():
    rows = [json.loads(example) for example in re.findall(r"```json\n(.*)\n```", PAGE)]
    shown = {}
    for row in rows:
        form = FORMS[form_of_row(row) or ""]
        assert form.record is not None
        shown[form.name] = as_record(row, form.record, "docs/files.md")
    assert set(shown) == {form.name for form in FORMS.values() if form.record}


def test_every_foreign_form_is_listed_with_its_fields():
    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.*?) \|", PAGE, flags=re.MULTILINE))
    foreign = {form.name: form for form in FORMS.values() if form.record is None}
    assert set(listed) == set(foreign)
    for name, fields in listed.items():
        missing = [field for field in foreign[name].fields if field != "id" and f"`{field}`" not in fields]
        assert not missing, name
