"""Decisions of gates on disk: each signed over all that stands in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.documents import read_document
from prefloop.records.gates import Gate


def signed(values: Mapping[str, Any]) -> Gate:
    """The gate with its signature. Args: values: its other fields."""
    unsigned = Gate(**values, signature="")
    return unsigned.model_copy(update={"signature": signature_of(unsigned)})


def signature_of(made: Gate) -> str:
    """What the signature of a gate must be."""
    return fingerprints.of_value(made.model_dump(mode="json", exclude={"signature"}))


def read_gate(path: Path) -> Gate:
    """A decision. Raises: UserError if it is not as it was signed."""
    made = read_document(path, Gate)
    if made.signature != signature_of(made):
        raise UserError(f"{path}: this decision is not as it was signed. Put back the file as prefloop gate wrote it.")
    return made
