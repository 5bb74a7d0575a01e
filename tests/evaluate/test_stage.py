"""Evaluation from folders to evaluation.json: the planted best is selected, and test prompts are new."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.stage import candidates, evaluate
from prefloop.files.documents import read_document
from prefloop.files.tables import write_records
from prefloop.models.load import save_model
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.records import Demonstration, Message, Prompt
from prefloop.records.evaluations import Evaluation, mean
from prefloop.stats.best_of import best_of_kl
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text
from prefloop.world.grammar import prompts

REWARD = "def score(prompts, responses):\n    return [-float(len(r)) for r in responses]\n"


@pytest.fixture
def models(tmp_path: Path, new_llama: Callable[..., PreTrainedModel], codec: Codec) -> Path:
    """Three checkpoints that say less and less: the end of text is made likelier; the last has drifted far."""
    for step, push in ((1, 0.0), (2, 1.5), (3, 40.0)):
        model = new_llama(1)
        with torch.no_grad():
            states = model.base_model(torch.tensor([[5, 9, 7, 80]])).last_hidden_state[0]
            model.get_output_embeddings().weight[codec.stop_ids[0]] += push * states.mean(0) / states.mean(0).norm()
        save_model(tmp_path / f"models/step-{step:06d}", model, codec)
    return tmp_path / "models"


@pytest.fixture
def make_config(
    folder: str, models: Path, tmp_path: Path, write_rows: Callable[..., str]
) -> Callable[..., EvaluateConfig]:
    (tmp_path / "reward.py").write_text(REWARD)
    values: dict[str, Any] = {"reference": folder, "candidates": str(models), "max_new_tokens": 12, "num_samples": 3}
    values |= {"reward": f"python:{tmp_path / 'reward.py'}:score", "threads": 1, "dtype": "float32"}
    for name in ("validation", "test"):
        asked = [{"role": "user", "content": f"{name} {i}?"} for i in range(24)]
        rows = [{"id": f"{name}{i}", "messages": [message]} for i, message in enumerate(asked)]
        values[f"{name}_prompts"] = write_rows(f"{name}.jsonl", rows)

    def make(name: str = "evaluate", **settings: Any) -> EvaluateConfig:
        return EvaluateConfig(**{"out": str(tmp_path / name), **values, **settings})

    return make


def test_the_best_is_selected_and_measured_on_new_prompts(make_config: Callable[..., EvaluateConfig]):
    evaluation = read_document(evaluate(make_config(kl_limit=1000.0)), Evaluation)
    models = evaluation.models
    rates = {name: mean(m.validation.win_rate) or 0.0 for name, m in models.items() if name != "reference"}
    assert rates["step-000001"] == 0.5  # the reference itself, with the same random numbers
    assert [mean(models[name].validation.kl_nats) for name in ("reference", "step-000001")] == [0, 0]
    assert models["reference"].validation.win_rate is None
    assert (evaluation.reward_model, evaluation.reward_unchecked) == (None, "no_collected")
    assert evaluation.selected == max(rates, key=lambda n: rates[n]) == "step-000003"
    assert [name for name, m in models.items() if m.test is not None] == ["reference", evaluation.selected]
    assert [s.prompt for s in evaluation.samples] == ["test 0?", "test 1?", "test 2?"]
    assert evaluation.samples[0].selected.score == -len(evaluation.samples[0].selected.text)
    assert [models[n].step for n in ("reference", "step-000002")] == [None, 2]


def test_the_base_is_measured_beside_and_never_selected(make_config: Callable[..., EvaluateConfig], models: Path):
    """It is the planted best, so it would be; its own answers have not drifted from it, and all numbers stay as they
    were without it."""
    base = models.rename(models.with_name("kept")) / "step-000003"
    settings: dict[str, Any] = {"candidates": str(base.parent / "step-000002"), "kl_limit": 1000.0}
    alone = read_document(evaluate(make_config("alone", **settings)), Evaluation)
    evaluation = read_document(evaluate(make_config("beside", base=str(base), **settings)), Evaluation)
    assert evaluation.selected == "step-000002"
    assert [*evaluation.models] == ["reference", "step-000002", "base"]
    told = evaluation.models["base"].test
    assert told is not None
    assert (mean(told.base_kl), evaluation.models["base"].step) == (0.0, None)
    for name in ("reference", "step-000002"):
        split, before = evaluation.models[name].test, alone.models[name].test
        assert split is not None
        assert before is not None
        assert (mean(before.base_kl), before.base_nats) == (None, None)
        assert (mean(split.base_kl) or 0.0) > 0.0
        assert (mean(split.base_nats) or 0.0) > 0.0
        assert split.base_win_rate is not None
        assert split.model_copy(update={"base_kl": None, "base_nats": None, "base_win_rate": None}) == before
    assert evaluation.samples[0].base is not None


def test_a_checkpoint_over_the_limit_is_not_selected(make_config: Callable[..., EvaluateConfig]):
    models = read_document(evaluate(make_config("a", kl_limit=1000.0)), Evaluation).models
    near, far = (mean(models[name].validation.kl_nats) or 0.0 for name in ("step-000002", "step-000003"))
    assert near < far
    evaluation = read_document(evaluate(make_config("b", kl_limit=(near + far) / 2)), Evaluation)
    assert evaluation.selected in ("step-000001", "step-000002")
    assert "over the limit: step-000003" in evaluation.reason


def test_test_prompts_must_be_new(make_config: Callable[..., EvaluateConfig]):
    config = make_config()
    with pytest.raises(UserError, match=r"24 of its prompts are also in .*, for instance 'validation 0\?'"):
        evaluate(config.model_copy(update={"test_prompts": config.validation_prompts}))


def test_score_as_judge_needs_a_reward(make_config: Callable[..., EvaluateConfig]):
    with pytest.raises(ValueError, match="judge = score needs a reward"):
        make_config(reward=None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"demonstrations": "x"}, "judged by gold alone"),
        ({"judge": "gold", "reward": None, "collected": "x"}, "collected checks a reward model, and there is none"),
    ],
)
def test_nothing_is_given_for_nothing(make_config: Callable[..., EvaluateConfig], settings: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        make_config(**settings)


@pytest.mark.parametrize("split", ["validation", "test", "ood", "demonstrations"])
def test_gold_judges_nothing_but_the_helpdesk(make_config: Callable[..., EvaluateConfig], tmp_path: Path, split: str):
    """One foreign prompt among the helpdesk's, in any file, and the sentence says which and what to do."""
    files = {}
    for name in ("validation", "test", "ood", "demonstrations"):
        made = prompts({"demonstrations": "train"}.get(name, name), 4)
        if name == split:
            foreign = Prompt(id="mine", messages=(Message(role="user", content="Write a poem."),), tags=made[0].tags)
            made = [*made[:3], foreign]
        if name == "demonstrations":
            made = [Demonstration(**dict(p), response="No.") for p in made]
        write_records(tmp_path / f"own.{name}.jsonl", made)
        files[name if name == "demonstrations" else f"{name}_prompts"] = str(tmp_path / f"own.{name}.jsonl")
    with pytest.raises(UserError, match=f"own.{split}.jsonl: 1 of its 4 prompts are not the helpdesk's.*'mine'"):
        evaluate(make_config(judge="gold", **files))


def test_a_candidate_of_another_base_is_refused(
    make_config: Callable[..., EvaluateConfig], new_llama: Callable[..., PreTrainedModel], tmp_path: Path
):
    """The last of four, which came beside those of one run: said at once."""
    tokenizer = trained_tokenizer(["entirely different words about the weather"] * 5, vocab_size=290)
    tokenizer.chat_template = template_text("turns")
    save_model(tmp_path / "stranger", new_llama(9), Codec(tokenizer, (1,), 64))
    save_model(tmp_path / "models/step-000004", new_llama(9), Codec(tokenizer, (1,), 64))
    with pytest.raises(UserError, match=r"step-000004: it differs from the reference in its vocabulary"):
        evaluate(make_config(candidates=str(tmp_path / "models")))
    assert not list((tmp_path / "evaluate").glob("**/*part*"))  # before anything was sampled


def test_collected_is_looked_at_before_anything_is_sampled(make_config: Callable[..., EvaluateConfig], tmp_path: Path):
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft/finished.json").write_text("{}")
    with pytest.raises(UserError, match="sft: this is not the folder of a finished collect run"):
        evaluate(make_config(collected=str(tmp_path / "sft")))
    assert not list((tmp_path / "evaluate").glob("**/*part*"))


def test_what_is_a_candidate(models: Path, tmp_path: Path):
    assert list(candidates(str(models))) == ["step-000001", "step-000002", "step-000003"]
    assert list(candidates(str(models / "step-000002"))) == ["step-000002"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no model folder here"):
        candidates(str(tmp_path / "empty"))


def test_the_best_of_several_is_taken_by_who_chooses(
    make_config: Callable[..., EvaluateConfig], folder: str, tmp_path: Path
):
    """The shortest of four; scores are still those of the reward, and the reference writes one."""
    (tmp_path / "long.py").write_text("def score(prompts, responses):\n    return [float(len(r)) for r in responses]\n")
    one = read_document(evaluate(make_config("one", candidates=folder)), Evaluation)
    shortest = read_document(evaluate(make_config("short", candidates=folder, best_of=4)), Evaluation)
    chooser = f"python:{tmp_path / 'long.py'}:score"
    longest = read_document(
        evaluate(make_config("long", candidates=folder, best_of=4, best_of_reward=chooser)), Evaluation
    )
    (name,) = set(one.models) - {"reference"}
    splits = [found.models[name].test for found in (longest, one, shortest)]
    scores = [mean(split.score) or 0.0 for split in splits if split]
    assert scores == sorted(scores)
    assert len(set(scores)) == 3
    for found in (shortest, longest):
        split, reference = found.models[name].test, found.models["reference"].test
        assert split
        assert reference
        assert one.models["reference"].test
        assert mean(split.kl_nats) == pytest.approx(best_of_kl(4), abs=1e-6)  # the reference itself, chosen from
        assert reference == one.models["reference"].test
        assert "n = 4: a bound for the reference itself, else an estimate" in found.kl_estimator


def test_who_chooses_must_have_something_to_choose_from(make_config: Callable[..., EvaluateConfig]):
    with pytest.raises(ValueError, match="best_of_reward chooses among several responses"):
        make_config(best_of_reward="python:x.py:y")


def test_a_single_model_may_have_any_name(make_config: Callable[..., EvaluateConfig], folder: str, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "reference")
    assert candidates(str(tmp_path / "reference")) == {"candidate": tmp_path / "reference"}
