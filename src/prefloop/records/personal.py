"""Personal data that were found in a file, and where; never the data themselves."""

from typing import Literal

from pydantic import Field

from prefloop.records.record import Record, Text


class Personal(Record):
    """One finding (written by `prefloop cards`)."""

    file: Text
    """The last parts of the file's path."""
    line: int = Field(ge=0)
    field: Text
    """messages.0, responses.1, response or comment."""
    kind: Literal["url", "email", "iban", "chinese_id", "card", "ip", "phone"]
    """Of what it is; see pii.py."""
    masked: Text
    """What it looks like, with stars for most of it."""
