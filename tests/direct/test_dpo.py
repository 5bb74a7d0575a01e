"""DPO: it learns what was planted, begins at log 2, and neither a split nor a kill changes anything."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from broken import broken_off
from prefloop.direct import dpo, learning
from prefloop.direct.config import DPOConfig
from prefloop.direct.implied import Packed
from prefloop.errors import UserError
from prefloop.models.load import causal
from prefloop.models.network import Network
from prefloop.models.stream import Stream

from .planted import asked, pairs, rankings, thumbs
from .test_implied import CPU

Make = Callable[..., DPOConfig]


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder.parents[1] / "finished.json").read_text())["result"]


def test_it_learns_what_was_planted_and_transformers_reads_what_it_wrote(make_dpo: Make, read_lines: Any):
    """The better response comes out likelier in more than nine held-out pairs of ten; before, in about half."""
    made = dpo.train(make_dpo(epochs=5))
    result, lines = _result(made), read_lines(made.parents[1] / "metrics.jsonl")
    assert result["accuracy"] > 0.9
    assert lines[0]["loss/train"] == pytest.approx(math.log(2), abs=1e-6)
    assert lines[0]["scores/margin"] == 0.0
    assert lines[-1]["scores/margin"] == pytest.approx(lines[-1]["scores/chosen"] - lines[-1]["scores/rejected"])
    assert result["loss_no_opinion"] == pytest.approx(math.log(2))
    assert result["kl"] > 0.01
    theirs = AutoModelForCausalLM.from_pretrained(made)
    ours = causal(str(made), CPU)
    with torch.no_grad():
        logits = ours.logits(ours.hidden_states(Stream.of([[5, 6, 7]], CPU.device)))
        torch.testing.assert_close(theirs(torch.tensor([[5, 6, 7]])).logits[0], logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("score", ["simpo", "cpo", "orpo"])
def test_it_learns_without_a_reference(make_dpo: Make, score: str):
    assert _result(dpo.train(make_dpo(score=score, beta=1.0, epochs=5)))["accuracy"] > 0.85


@pytest.mark.parametrize(
    "settings",
    [{"objective": name} for name in ("bradley_terry", "hinge", "ipo", "exo", "davidson", "rao_kupper")]
    + [{"objective": "robust", "flip_rate": 0.1}, {"divergence": "js"}, {"length": "mean", "beta": 1.0}],
)
def test_every_objective_learns(make_dpo: Make, settings: dict[str, Any]):
    assert _result(dpo.train(make_dpo(**{"epochs": 4, **settings})))["accuracy"] > 0.8


def test_at_the_start_policy_and_reference_are_one_also_with_an_adapter(make_dpo: Make, read_lines: Any):
    made = dpo.train(make_dpo(adapter="lora", epochs=1))
    first = read_lines(made.parents[1] / "metrics.jsonl")[0]
    assert first["loss/train"] == pytest.approx(math.log(2), abs=1e-7)
    assert (made / "adapter_config.json").is_file()


def test_how_a_batch_is_split_changes_nothing(make_dpo: Make, read_lines: Any):
    """Micro-batches of a pair or two, or all at once."""
    runs = [dpo.train(make_dpo(f"split{n}", micro_tokens=n, nll_coef=0.5)).parents[1] for n in (32, 4096)]
    few, all_ = (read_lines(run / "metrics.jsonl") for run in runs)
    for one, other in zip(few, all_, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=2e-4)
    assert few[0] == pytest.approx(all_[0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("chosen", ["a fairly long answer it is", "no"])
def test_pairs_with_one_side_longer_in_all_of_them_are_told(
    make_dpo: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str], chosen: str
):
    rows = [{**row, "chosen": f"{chosen} {i}", "rejected": f"not so {i}"} for i, row in enumerate(pairs(80))]
    dpo.train(make_dpo(preferences=write_rows("one_sided.jsonl", rows), epochs=1))
    which = "longer" if chosen.startswith("a") else "shorter"
    assert f"the better response is the {which} one nearly always" in capsys.readouterr().out
    dpo.train(make_dpo("fair", epochs=1))
    assert "nearly always" not in capsys.readouterr().out


def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_dpo: Make):
    """With what the objective learns beside the policy, too."""
    settings = {"objective": "davidson", "checkpoint_every": 4}
    whole = dpo.train(make_dpo("whole", **settings)).parents[1]
    config = make_dpo("broken", **settings)
    with broken_off(8):
        dpo.train(config)
    broken = dpo.train(config).parents[1]
    for name in ("metrics.jsonl", f"{_result_last(whole)}/model.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def _result_last(run: Path) -> str:
    return json.loads((run / "finished.json").read_text())["result"]["last"]


def test_rankings_of_two_teach_what_pairs_do(make_dpo: Make, write_rows: Callable[..., str], read_lines: Any):
    """Plackett and Luce's loss at K = 2 is Bradley and Terry's."""
    held_out = write_rows(
        "held.jsonl", pairs(40)[:0] + [{**row, "messages": asked(900 + i)} for i, row in enumerate(pairs(40))]
    )
    ranked = write_rows("rankings.jsonl", rankings(80))
    chosen = write_rows("pairs.jsonl", pairs(80))
    runs = [
        read_lines(
            dpo.train(make_dpo(name, preferences=file, held_out=held_out, epochs=2, **more)).parents[1]
            / "metrics.jsonl"
        )
        for name, file, more in (("k", ranked, {}), ("p", chosen, {"objective": "bradley_terry"}))
    ]
    for one, other in zip(*runs, strict=True):
        assert one["loss/train"] == pytest.approx(other["loss/train"], abs=1e-4)
        assert one["scores/margin"] == pytest.approx(other["scores/margin"], abs=1e-3)


def test_decisions_said_with_weight_0_teach_nothing(make_dpo: Make, write_rows: Callable[..., str]):
    rows = pairs(120)
    flipped = [
        {**row, "id": row["id"] + "f", "chosen": row["rejected"], "rejected": row["chosen"], "weight": 1e-6}
        for row in rows
    ]
    made = dpo.train(make_dpo(preferences=write_rows("weighted.jsonl", rows + flipped), epochs=4))
    config = make_dpo("other", preferences=write_rows("same.jsonl", rows), epochs=4)
    assert _result(made)["accuracy"] is not None
    assert _result(dpo.train(config))["accuracy"] > 0.85


def test_the_drift_is_that_of_its_own_samples(make_dpo: Make, monkeypatch: pytest.MonkeyPatch):
    """A policy that has not moved has drifted by nothing, and writes what the reference writes."""
    result = _result(dpo.train(make_dpo(lr=1e-12, epochs=1, num_samples=6)))
    assert result["kl"] == pytest.approx(0, abs=1e-6)
    assert result["length"] == result["length_reference"]
    assert 0 < result["entropy"] < math.log(300)
    seen: list[int] = []
    real = learning._prompts
    monkeypatch.setattr(learning, "_prompts", lambda *a, **k: seen.append(1) or real(*a, **k))
    none = _result(dpo.train(make_dpo("none", lr=1e-12, epochs=1, num_samples=0)))
    assert none["kl"] is None


def test_policies_are_kept_on_the_way(make_dpo: Make):
    made = dpo.train(make_dpo(save_every=5, epochs=1))
    kept = sorted(path.name for path in made.parent.iterdir())
    assert kept == ["step-000005", made.name]


def test_a_file_of_thumbs_is_sent_to_kto(make_dpo: Make, write_rows: Callable[..., str]):
    marked = write_rows("thumbs.jsonl", thumbs(20))
    with pytest.raises(UserError, match=r"thumbs\.jsonl: this file holds thumbs\. From thumbs learns `prefloop kto`"):
        dpo.train(make_dpo("a", preferences=marked))


REFUSED = [
    ({"score": "simpo", "divergence": "js"}, "divergence is about the reference"),
    ({"score": "cpo", "length": "mean", "beta": 1.0}, "says itself what"),
    ({"length": "mean"}, "length = mean needs beta"),
    ({"score": "cpo", "center_coef": 0.1}, "center_coef holds scores near 0"),
    ({"objective": "apo_down", "margin": 1.0}, "contradict it"),
    ({"divergence": "alpha"}, "need each other"),
    ({"objective": "ipo", "score": "orpo"}, "how far the policy is from the reference"),
    ({"objective": "ipo", "label_smoothing": 0.1}, "label_smoothing is a setting of objective = bradley_terry"),
    ({"exo_smoothing": 0.1, "objective": "ipo"}, "exo_smoothing is a setting of objective = exo"),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED)
def test_settings_that_contradict_each_other_are_refused(make_dpo: Make, settings: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make_dpo(**settings)


def test_what_the_reference_said_is_read_once_and_reused(make_dpo: Make, monkeypatch: pytest.MonkeyPatch):
    """In later passes, and by another run from the same rows with another beta: which is what it would be anyhow."""
    references: list[int] = []
    read: list[bool] = []
    copied, real = Network.frozen_copy, Packed.logprobs_and_discounted

    def counted(packed: Packed, network: Network, *, discount: float) -> tuple[torch.Tensor, torch.Tensor]:
        read.append(id(network) in references)
        return real(packed, network, discount=discount)

    def copy(network: Network) -> Network:
        made = copied(network)
        references.append(id(made))
        return made

    monkeypatch.setattr(Network, "frozen_copy", copy)
    monkeypatch.setattr(Packed, "logprobs_and_discounted", counted)
    first = dpo.train(make_dpo("first", epochs=2)).parents[1]
    once = sum(read)
    alone = dpo.train(make_dpo("alone", epochs=2, beta=0.3)).parents[1]
    read.clear()
    again = dpo.train(make_dpo("again", epochs=2, beta=0.3, reuse=str(first))).parents[1]
    assert once == 8 + 1  # the updates of one pass, and the held-out rows
    assert sum(read) == 1
    assert (again / "metrics.jsonl").read_bytes() == (alone / "metrics.jsonl").read_bytes()


def test_a_reading_of_other_rows_is_refused(make_dpo: Make, folder: str):
    first = dpo.train(make_dpo("first", epochs=1)).parents[1]
    with pytest.raises(UserError, match="is of other rows, or of responses in another order"):
        dpo.train(make_dpo("other", epochs=1, seed=5, reuse=str(first)))
    with pytest.raises(UserError, match=re.escape("no reference.npz is here")):
        dpo.train(make_dpo("nowhere", epochs=1, reuse=folder))


def test_a_last_update_that_teaches_nothing_still_leaves_a_policy(make_dpo: Make, write_rows: Callable[..., str]):
    """Rows that are the same once they are cut to the context are passed by."""
    cut = [
        {
            "id": f"c{i}",
            "messages": asked(2 * i + 400),
            "chosen": "my way " * 60 + "on",
            "rejected": "my way " * 60 + "go",
        }
        for i in range(6)
    ]
    preferences = write_rows("cut.jsonl", [*pairs(8), *cut])
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + 2 * i)} for i, row in enumerate(pairs(4))])
    for seed in range(3):
        given = {"preferences": preferences, "held_out": held_out, "batch_pairs": 1, "epochs": 1, "seed": seed}
        made = dpo.train(make_dpo(f"run{seed}", **given))
        assert (made / "config.json").is_file()


def test_rankings_in_another_order_are_no_rows_to_reuse(make_dpo: Make, write_rows: Callable[..., str]):
    """As a ranking a row keeps its file's order, as a pair its better response comes first."""
    ranked = write_rows("rankings.jsonl", rankings(40))
    first = dpo.train(make_dpo("first", preferences=ranked, epochs=1)).parents[1]
    with pytest.raises(UserError, match="responses in another order"):
        dpo.train(make_dpo("pairs", preferences=ranked, epochs=1, objective="bradley_terry", reuse=str(first)))


def test_a_run_is_made_again_from_the_settings_that_it_wrote(make_dpo: Make):
    made = dpo.train(make_dpo("simpo", score="simpo", epochs=1)).parents[1]
    assert DPOConfig.load(str(made / "config.yaml"), [f"out={made}-again"]).beta == 2.0


def test_the_surprise_of_a_row_weighs_as_the_row_does(make_dpo: Make, write_rows: Callable[..., str], read_lines: Any):
    heavy, light = ({**row, "weight": weight} for row, weight in zip(pairs(2), (1000.0, 0.001), strict=True))
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + 2 * i)} for i, row in enumerate(pairs(4))])
    given = {"held_out": held_out, "nll_coef": 1.0, "epochs": 1}
    both, one = (
        read_lines(
            dpo.train(make_dpo(name, preferences=write_rows(f"{name}.jsonl", rows), **given)).parents[1]
            / "metrics.jsonl"
        )[0]
        for name, rows in (("both", [heavy, light]), ("one", [heavy]))
    )
    assert both["loss/nll"] == pytest.approx(one["loss/nll"], rel=1e-4)


def test_the_surprise_of_better_responses_is_charged(make_dpo: Make, read_lines: Any):
    """With it they become likelier than without."""
    free, charged = (
        read_lines(dpo.train(make_dpo(f"nll{coef}", nll_coef=coef)).parents[1] / "metrics.jsonl")[-1]
        for coef in (0.0, 10.0)
    )
    assert charged["logprobs/chosen_validation"] > free["logprobs/chosen_validation"] + 1


def test_the_drift_is_read_of_what_is_shown(make_dpo: Make, monkeypatch: pytest.MonkeyPatch, read_lines: Any):
    """Of the policy's own responses, which by then are not the reference's."""
    read: list[list[str]] = []
    real = learning.Rollouts.of

    def of(prompts: Any, sampled: Any, device: Any) -> Any:
        read.append([one.tokens for one in sampled])
        return real(prompts, sampled, device)

    monkeypatch.setattr(learning.Rollouts, "of", of)
    made = dpo.train(make_dpo(epochs=4))
    codec = causal(str(made), CPU).codec
    shown = [row["response"] for row in read_lines(made.parents[1] / "samples.jsonl")]
    assert [codec.decode(tokens) for tokens in read[0]] == shown
