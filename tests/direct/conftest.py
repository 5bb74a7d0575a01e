"""Runs on a tiny model: pairs whose better response says sorry, and the same as thumbs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.direct.config import CPLConfig, DPOConfig, KTOConfig, OfflineConfig

from .planted import pairs, thumbs


@pytest.fixture
def make_dpo(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., DPOConfig]:
    preferences = write_rows("preferences.jsonl", pairs(160))

    def make(name: str = "dpo", **settings: Any) -> DPOConfig:
        return DPOConfig(**{**_shared(folder, preferences, tmp_path / name), **settings})

    return make


@pytest.fixture
def make_kto(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., KTOConfig]:
    marked = write_rows("thumbs.jsonl", thumbs(160))

    def make(name: str = "kto", **settings: Any) -> KTOConfig:
        return KTOConfig(**{**_shared(folder, marked, tmp_path / name), **settings})

    return make


@pytest.fixture
def make_cpl(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., CPLConfig]:
    preferences = write_rows("preferences.jsonl", pairs(160))

    def make(name: str = "cpl", **settings: Any) -> CPLConfig:
        return CPLConfig(**{**_shared(folder, preferences, tmp_path / name), **settings})

    return make


@pytest.fixture
def make_offline(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., OfflineConfig]:
    preferences = write_rows("preferences.jsonl", pairs(160))

    def make(name: str = "offline", **settings: Any) -> OfflineConfig:
        return OfflineConfig(**{**_shared(folder, preferences, tmp_path / name), **settings})

    return make


def _shared(folder: str, preferences: str, out: Path) -> dict[str, Any]:
    return {
        "out": str(out), "policy": folder, "preferences": preferences, "validation": 0.2, "epochs": 3,
        "batch_pairs": 16, "lr": 3e-3, "threads": 1, "dtype": "float32", "checkpoint_every": 0,
        "num_samples": 4, "max_new_tokens": 4,
    }  # fmt: skip
