"""CPL: it learns what was planted, is CPO where nothing is discounted, and by hand where something is."""

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
from prefloop.direct import cpl, dpo
from prefloop.direct.config import CPLConfig, DPOConfig
from prefloop.direct.implied import Packed, Said, scores
from prefloop.direct.objectives import CPL
from prefloop.errors import UserError
from prefloop.feedback.items import Item
from prefloop.models.load import causal

from .planted import asked, pairs, rankings, thumbs
from .test_implied import CPU, ITEMS

Make = Callable[..., CPLConfig]


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder.parents[1] / "finished.json").read_text())["result"]


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.parents[1] / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("settings", [{}, {"discount": 0.9}, {"bias": 1.0}])
def test_it_learns_what_was_planted(make_cpl: Make, settings: dict[str, Any]):
    """The better response comes out likelier in more than nine held-out pairs of ten; before, in about half."""
    result = _result(cpl.train(make_cpl(**{"epochs": 5, "alpha": 1.0, **settings})))
    assert result["accuracy"] > 0.9
    assert result["kl"] > 0.01
    assert (result["alpha"], result["discount"]) == (1.0, settings.get("discount", 1.0))


def test_without_discount_and_bias_it_is_cpo_and_with_either_it_is_not(
    make_cpl: Make, make_dpo: Callable[..., DPOConfig]
):
    """Of the same pairs in the same order the loss and the gradient are the same in each update, to 1e-6."""
    same = {"epochs": 1, "lr": 1e-4}
    theirs = _lines(dpo.train(make_dpo(score="cpo", nll_coef=0.0, beta=0.3, objective="bradley_terry", **same)))
    ours = _lines(cpl.train(make_cpl("same", alpha=0.3, bias=1.0, **same)))
    assert len(ours) == len(theirs) > 5
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6)
    for name, settings in (("discount", {"bias": 1.0, "discount": 0.9}), ("bias", {"bias": 0.5})):
        others = _lines(cpl.train(make_cpl(name, alpha=0.3, **same, **settings)))
        assert abs(others[0]["loss/train"] - theirs[0]["loss/train"]) > 1e-3
        assert abs(others[0]["grad/norm"] - theirs[0]["grad/norm"]) > 1e-3


def test_the_nats_of_later_tokens_count_less(folder: str):
    """Of each response, as transformers reads it alone: the sum over its tokens t, from 0, of 0.7^t times its nats."""
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        whole, ours = Packed.of(ITEMS, CPU.device).logprobs_and_discounted(causal(folder, CPU), discount=0.7)
        torch.testing.assert_close(whole, Packed.of(ITEMS, CPU.device).logprobs(causal(folder, CPU)))
        for row, item in enumerate(ITEMS):
            for column, (ids, begin) in enumerate(zip(item.sequences, item.begins, strict=True)):
                logprobs = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
                alone = sum(0.7 ** (t - begin) * float(logprobs[t - 1, ids[t]]) for t in range(begin, len(ids)))
                assert float(ours[row, column]) == pytest.approx(alone, abs=1e-4)
    assert ours[0, 2] == 0


def _config(**settings: Any) -> CPLConfig:
    return CPLConfig(**{"out": "o", "policy": "p", "preferences": "f", "alpha": 0.5, **settings})


def test_its_loss_by_hand():
    """alpha 1/2, bias 1/4; discounted nats of the pair -2 and -6, so scores -1 and -3 and a gap of -1 + 3/4.

    Of the ranking, best first, nats -2, -4 and -8, so scores -1, -2 and -4: gaps -1 + 2/4, -1 + 4/4 and -2 + 4/4.
    """
    items = [Item(([1, 2], [1, 3])), Item(([1, 2], [1, 3], [1, 4]), ranks=(1, 2, 3))]
    nats = torch.tensor([[-2.0, -6.0, 0.0], [-2.0, -4.0, -8.0]])
    config = _config(bias=0.25)
    values = scores(config, Said(nats * 9, nats * 9, torch.ones(2, 3), nats), items)
    softplus = [math.log1p(math.exp(-gap)) for gap in (-0.25, -0.5, 0.0, -1.0)]
    expected = [softplus[0], sum(softplus[1:]) / 3]
    assert CPL(config)(values, items).tolist() == [pytest.approx(loss, abs=1e-6) for loss in expected]


def test_how_a_batch_is_split_changes_nothing(make_cpl: Make):
    """Micro-batches of a pair or two, or all at once."""
    few, all_ = (_lines(cpl.train(make_cpl(f"split{n}", micro_tokens=n, discount=0.9))) for n in (32, 4096))
    for one, other in zip(few, all_, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=5e-4)
    assert few[0] == pytest.approx(all_[0], rel=1e-5, abs=1e-6)


def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_cpl: Make):
    settings = {"discount": 0.9, "checkpoint_every": 4}
    whole = cpl.train(make_cpl("whole", **settings))
    config = make_cpl("broken", **settings)
    with broken_off(8):
        cpl.train(config)
    broken = cpl.train(config)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert _lines(broken) == _lines(whole)


def test_rankings_of_two_teach_what_pairs_do(make_cpl: Make, write_rows: Callable[..., str]):
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + i)} for i, row in enumerate(pairs(40))])
    files = {"k": write_rows("rankings.jsonl", rankings(80)), "p": write_rows("pairs.jsonl", pairs(80))}
    runs = [
        _lines(cpl.train(make_cpl(name, preferences=file, held_out=held_out, epochs=1))) for name, file in files.items()
    ]
    for one, other in zip(*runs, strict=True):
        assert one["loss/train"] == pytest.approx(other["loss/train"], abs=1e-4)
        assert one["scores/margin"] == pytest.approx(other["scores/margin"], abs=1e-3)


def test_a_row_counts_by_its_weight(make_cpl: Make, write_rows: Callable[..., str]):
    """Decisions that are said the other way round with next to no weight teach nothing."""
    rows = pairs(120)
    flipped = [
        {**row, "id": row["id"] + "f", "chosen": row["rejected"], "rejected": row["chosen"], "weight": 1e-6}
        for row in rows
    ]
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + i)} for i, row in enumerate(pairs(40))])
    weighed = make_cpl(preferences=write_rows("both.jsonl", rows + flipped), held_out=held_out, alpha=1.0, epochs=5)
    assert _result(cpl.train(weighed))["accuracy"] > 0.9


def test_a_file_of_thumbs_is_sent_to_kto(make_cpl: Make, write_rows: Callable[..., str]):
    marked = write_rows("thumbs.jsonl", thumbs(20))
    with pytest.raises(UserError, match=r"thumbs\.jsonl: this file holds thumbs\. From thumbs learns `prefloop kto`"):
        cpl.train(make_cpl(preferences=marked))


REFUSED = [
    ({"discount": 0}, "discount"),
    ({"discount": 1.1}, "discount"),
    ({"bias": 0}, "bias"),
    ({"bias": 1.5}, "bias"),
    ({"alpha": -1}, "alpha"),
    ({"center_coef": 0.1}, "center_coef holds scores near 0"),
    ({"label_smoothing": 0.1, "objective": "cpl"}, "label_smoothing does nothing with objective = cpl. Leave it out."),
    ({"undecided": "ties.jsonl", "objective": "cpl"}, "learns nothing from them. Leave undecided out."),
    ({"beta": 0.1}, "beta"),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        _config(**settings)
