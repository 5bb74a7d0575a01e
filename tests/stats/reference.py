"""Data sets with published answers; each entry of the file names its source."""

import json
from pathlib import Path
from typing import Any

REFERENCE: dict[str, Any] = json.loads(
    Path(__file__).with_name("reference_statistics.json").read_text(encoding="utf-8")
)
