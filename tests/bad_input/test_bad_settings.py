"""Bad settings and names: found before anything is loaded or written."""

from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[..., str]

PPO = ("policy=p", "reward=r", "prompts=x.jsonl")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sft", "modle=x"], "no setting is called `modle`. Did you mean `model`?"),
        (["sft", "model=x"], "the setting `demonstrations` is needed"),
        (["sft", "model"], "there is no such file"),
        (["sft", "model=x", "demonstrations"], "`demonstrations` is not a setting; settings are typed key=value"),
        (["ppo", *PPO, "kl_coeff=0.1"], "no setting is called `kl_coeff`. Did you mean `kl_coef`?"),
        (["ppo", *PPO, "steps=many"], "`steps` should be a whole number, but is 'many'"),
        (["ppo", *PPO, "steps=1.5"], "`steps` should be a whole number, but is 1.5"),
        (["ppo", *PPO, "kl_coef=-1"], "`kl_coef` should be greater than or equal to 0, but is -1"),
        (["ppo", *PPO, "whiten_advantages=1"], "`whiten_advantages` should be true or false, but is 1"),
        (["ppo", *PPO, "kl_unit=tokens"], "`kl_unit` should be 'token', 'response' or 'batch', but is 'tokens'"),
        (
            ["ppo", *PPO, "rollouts_per_step=70", "minibatch_size=16"],
            "6 of rollouts_per_step = 70 would be dropped from every step: minibatch_size = 16",
        ),
        (
            ["ppo", *PPO, "responses_per_prompt=3", "rollouts_per_step=256"],
            "responses_per_prompt = 3 does not divide rollouts_per_step = 256",
        ),
        (
            ["ppo", *PPO, "kl_where=loss"],
            "kl_estimator = k1 has no useful gradient in the loss. Set kl_estimator = full, k2 or k3",
        ),
        (
            ["ppo", *PPO, "kl_where=loss", "kl_estimator=k3", "kl_unit=batch"],
            "kl_unit = batch only makes sense in the reward",
        ),
        (
            ["reinforce", *PPO, "credit=response", "discount=0.9"],
            "credit = response takes a response as one decision, so discount = 0.9 does nothing",
        ),
        (
            ["pretrain", "corpus=x", "model.hidden_sise=8"],
            "no setting is called `model.hidden_sise`. Did you mean `hidden_size`?",
        ),
        (["pretrain", "corpus=x", "model.hidden_size.x=8", "model.hidden_size=3"], "model.hidden_size"),
        (["evaluate"], "is needed"),
        (["score", "data=x.jsonl", "modell=m"], "no setting is called `modell`. Did you mean `model`?"),
        (["pro"], "there is no stage called `pro`. Did you mean `ppo`?"),
        (["data", "preview", "model", "file", "row=3"], "no setting is called `row`. Did you mean `rows`?"),
    ],
)
def test_a_bad_setting(arguments: list[str], says: str, refused: Refused, tmp_path: Path):
    out = [] if arguments[0] in ("pro", "data") else [f"out={tmp_path / 'out'}"]
    assert says in refused(*arguments, *out)
    assert not (tmp_path / "out").exists()


def test_a_bad_setting_in_a_file_has_its_line(refused: Refused, tmp_path: Path):
    file = tmp_path / "ppo.yaml"
    file.write_text(
        "policy: sft/model\nreward: reward/model\nprompts: x.jsonl\n\nkl_coeff: 0.1\nout: out\n", encoding="utf-8"
    )
    assert f"{file}:5: no setting is called `kl_coeff`. Did you mean `kl_coef`?" in refused("ppo", str(file))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["run", "helpdsk"],
            "helpdsk: there is no such recipe file, and no recipe of that name comes with prefloop. "
            "Did you mean helpdesk? There are: assistant, constitution, helpdesk",
        ),
        (["run", "out=x"], "`prefloop run` needs a recipe first"),
        (["run", "helpdesk", "pppo.steps=1"], "a recipe has no `pppo`"),
        (["run", "helpdesk", "ppo.stepz=1"], "no setting is called `ppo.stepz`. Did you mean `steps`?"),
        (["run", "helpdesk", "ppo.steps=no"], "the command line: `ppo.steps` should be a whole number"),
        (["run", "helpdesk", "seed=x"], "`seed` should be a whole number"),
        (["run", "helpdesk", "ppo.minibatch_size=60", "ppo.rollouts_per_step=256"], "would be dropped from every step"),
    ],
)
def test_a_bad_recipe_override(arguments: list[str], says: str, refused: Refused, tmp_path: Path):
    out = [] if "out=x" in arguments else [f"out={tmp_path / 'out'}"]
    assert says in refused(*arguments, *out)
    assert not (tmp_path / "out").exists()


def test_a_bad_recipe_has_file_and_line(refused: Refused, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nsft:\n  model: base\n  demonstrations: d.jsonl\n  epoks: 3\n", encoding="utf-8")
    said = refused("run", str(file), f"out={tmp_path / 'out'}")
    assert str(file) in said
    assert ":5" in said
    assert "`sft.epoks`. Did you mean `epochs`?" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\n", "this recipe has no stage"),
        ("sft: 3\n", "needs settings under it"),
        ("stf: {}\n", "a recipe has no `stf`"),
    ],
)
def test_a_recipe_without_stages(text: str, says: str, refused: Refused, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert says in refused("run", str(file), f"out={tmp_path / 'out'}")


def test_a_recipe_that_needs_a_model_says_so(refused: Refused, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("sft:\n  model: $base\n  demonstrations: d.jsonl\n", encoding="utf-8")
    assert "Add model=FOLDER" in refused("run", str(file), f"out={tmp_path / 'out'}")


def test_a_device_that_is_not_there(refused: Refused, tmp_path: Path, prompts_file: str, folder: str):
    import torch

    missing = next(
        name
        for name, there in (("mps", torch.backends.mps.is_available()), ("cuda", torch.cuda.is_available()))
        if not there
    )
    said = refused(
        "collect",
        f"model={folder}",
        f"prompts={prompts_file}",
        f"device={missing}",
        "by=people",
        f"out={tmp_path / 'out'}",
    )
    assert f"device={missing}, but this machine has none" in said
