"""A reference that follows the policy: what it said before is never believed again, and a kill changes nothing."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from broken import broken_off
from prefloop.costs.reading import Lengths
from prefloop.direct import dpo, kto, learning
from prefloop.direct.config import DPOConfig, KTOConfig
from prefloop.direct.learning import Setup
from prefloop.direct.needs import dpo as dpo_needs
from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.following import Follower
from prefloop.models.load import causal
from prefloop.settings import Refreshed

Make = Callable[..., Any]
HOW = pytest.mark.parametrize("adapter", ["none", "lora"])


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.parents[1] / "metrics.jsonl").read_text().splitlines()]


def _written(folder: Path) -> list[bytes]:
    weights = folder / "model.safetensors"
    adapter = folder / "adapter_model.safetensors"
    return [
        (folder.parents[1] / "metrics.jsonl").read_bytes(),
        (weights if weights.is_file() else adapter).read_bytes(),
    ]


@HOW
def test_a_reference_that_is_never_refreshed_in_time_changes_nothing(make_dpo: Make, adapter: str):
    """To the bit, though it is another copy, which wears an adapter of its own that says nothing yet."""
    plain, never = (
        dpo.train(make_dpo(f"run{every}", epochs=1, adapter=adapter, reference_every=every)) for every in (0, 1000)
    )
    assert _written(plain) == _written(never)
    assert (plain.parents[1] / "reference.npz").is_file()
    assert not (never.parents[1] / "reference.npz").is_file()


@HOW
@pytest.mark.parametrize("every", [3, 8])
def test_after_a_copy_the_policy_scores_nothing_whatever_was_read_before(make_dpo: Make, adapter: str, every: int):
    """A pass has 8 updates: the 9th reads rows that were read before, of which nothing may be believed."""
    lines = _lines(dpo.train(make_dpo(epochs=2, adapter=adapter, reference_every=every)))
    for row in lines:
        refreshed = row["step"] % every == 1
        assert (abs(row["scores/margin"]) < 1e-6) == refreshed
        assert (abs(row["loss/train"] - math.log(2)) < 1e-6) == refreshed


def test_a_mix_is_a_mix_of_weights(make_dpo: Make, monkeypatch: pytest.MonkeyPatch):
    """After two refreshes by 1/4: p1, p2 are the policy then, and the reference is p2/4 + 3/4 (p1/4 + 3/4 p0)."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    real = learning.refresh

    def refresh(setup: Setup, done: int) -> None:
        real(setup, done)
        assert setup.follower is not None
        pair = (
            next(model.pretrained.parameters()).detach().clone() for model in (setup.policy, setup.follower.network)
        )
        seen.append((next(pair), next(pair)))

    monkeypatch.setattr(learning, "refresh", refresh)
    config = make_dpo(epochs=1, reference_every=4, reference_mix=0.25)
    begun = next(causal(config.policy, Placement(torch.device("cpu"))).pretrained.parameters()).detach()
    dpo.train(config)
    first, second = seen[3], seen[7]
    assert torch.equal(seen[2][1], begun)
    torch.testing.assert_close(first[1], first[0] / 4 + begun * 3 / 4)
    torch.testing.assert_close(second[1], second[0] / 4 + first[1] * 3 / 4)
    assert (second[1] - second[0]).abs().max() > 1e-3


@pytest.mark.parametrize(("adapter", "mix"), [("none", 1.0), ("none", 0.5), ("lora", 0.5)])
def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_dpo: Make, adapter: str, mix: float):
    """Between the second refresh and the third, with what was read in between."""
    settings = {"checkpoint_every": 4, "adapter": adapter, "reference_every": 3, "reference_mix": mix}
    whole = dpo.train(make_dpo("whole", **settings))
    config = make_dpo("broken", **settings)
    with broken_off(8):
        dpo.train(config)
    broken = dpo.train(config)
    assert _written(broken) == _written(whole)
    results = [json.loads((run.parents[1] / "finished.json").read_text())["result"] for run in (broken, whole)]
    assert results[0] == results[1]
    assert results[0]["num_refreshes"] == 8


def test_kto_measures_from_it_too_its_anchor_included(make_kto: Make):
    lines = _lines(kto.train(make_kto(epochs=1, reference_every=5)))
    for row in lines:
        refreshed = row["step"] % 5 == 1
        assert (abs(row["scores/chosen"]) < 1e-6) == refreshed
        if refreshed:
            assert row["scores/anchor"] == pytest.approx(0, abs=1e-6)
    assert max(row["scores/anchor"] for row in lines) > 1e-4


def test_held_out_rows_and_the_drift_are_measured_from_what_it_began_as(make_dpo: Make):
    """Refreshed by the last update, it says of everything what the policy says."""
    made = dpo.train(make_dpo(epochs=2, reference_every=16))
    result = json.loads((made.parents[1] / "finished.json").read_text())["result"]
    assert result["num_refreshes"] == 1
    assert result["kl"] > 0.01
    assert result["accuracy"] > 0.8
    assert _lines(made)[-1]["scores/margin_validation"] > 0.05


def test_it_is_planned_for(make_dpo: Make):
    plain, moving = (dpo_needs(make_dpo(reference_every=every), Lengths()) for every in (0, 5))
    assert [role.name for role in moving.roles] == ["policy", "reference", "following"]
    assert moving.roles[2].weights == plain.roles[0].weights
    assert len(plain.roles) == 2


def test_weights_that_cannot_hold_a_small_move_are_refused(folder: str):
    policy = causal(folder, Placement(torch.device("cpu")))
    policy.pretrained.to(torch.bfloat16)  # pyright: ignore[reportArgumentType]
    assert Follower.of(policy, Refreshed(reference_every=2)) is not None
    with pytest.raises(UserError, match=r"reference_mix=0\.5: the reference would move by less than"):
        Follower.of(policy, Refreshed(reference_every=2, reference_mix=0.5))


REFUSED = [
    (DPOConfig, {"score": "simpo", "reference_every": 5}, "reference_every is about the reference, which"),
    (DPOConfig, {"reference_every": 5, "reuse": "x"}, "with reference_every it moves. Leave one of them out."),
    (KTOConfig, {"reference_every": 5, "reuse": "x"}, "with reference_every it moves. Leave one of them out."),
    (DPOConfig, {"reference_mix": 0.5}, "reference_mix does nothing while the reference stays"),
    (DPOConfig, {"reference_every": 5, "reference_mix": 0.0}, "reference_mix"),
]


@pytest.mark.parametrize(("kind", "settings", "sentence"), REFUSED)
def test_settings_that_contradict_each_other_are_refused(kind: Any, settings: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        kind(**{"out": "o", "policy": "p", "preferences": "f", **settings})
