"""The whole helpdesk recipe, tiny (miniature.yaml): as overrides for the command line."""

from pathlib import Path
from typing import Any

from prefloop.notation import read_yaml

FILE = Path(__file__).with_name("miniature.yaml")


def overrides(file: Path = FILE, **others: str) -> list[str]:
    """The miniature as `key=value` arguments of `prefloop run helpdesk`, with other values for some."""
    values, _ = read_yaml(str(file))
    settings = dict(text.split("=", 1) for text in flattened(values, ""))
    return [f"{key}={value}" for key, value in {**settings, **others}.items()]


def flattened(values: dict[str, Any], prefix: str) -> list[str]:
    """Nested settings as dotted `key=value`."""
    settings: list[str] = []
    for key, value in values.items():
        settings += flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={value}"]
    return settings
