"""recipes/stories.yaml: its openings, its reward function, and a very short run on a real pretrained model."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from prefloop.files.foreign import read_prompts
from prefloop.rounds.recipe import find, load

RECIPES = Path(find("stories")).parent
BASE = Path(__file__).parents[3] / "shared" / "data" / "stories260K"

STORY = (
    'Lily went to the park with her mom. She saw a big dog. The dog was sad. "What is wrong?" Lily asked it. '
    '"I lost my ball," said the dog. Lily wanted to help. They looked in the grass and under the tree. '
    "Then Lily found the red ball. Now he was so happy. He jumped and played with her all day."
)


@pytest.fixture(scope="module")
def reward() -> ModuleType:
    spec = importlib.util.spec_from_file_location("story_reward", RECIPES / "story_reward.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_openings_are_many_different_and_shared_by_no_two_files():
    texts = {
        name: [p.text for p in read_prompts(RECIPES / f"stories_{name}.jsonl").records]
        for name in ("train", "validation", "test")
    }
    assert len(texts["train"]) >= 200
    assert all(len(set(each)) == len(each) for each in texts.values())
    assert sum(len(set(each)) for each in texts.values()) == len(set().union(*texts.values()))


def test_a_good_story_has_every_part(reward: ModuleType):
    assert reward.parts("One day, Lily went out.", STORY) == pytest.approx(
        dict.fromkeys(("length", *reward.WEIGHTS), 1.0)
    )
    assert reward.score(["One day, Lily went out."], [STORY]) == [pytest.approx(5.0)]


@pytest.mark.parametrize(
    ("part", "worse"),
    [
        ("ending", STORY[:-15]),
        ("ending", STORY + ' "Yes.'),
        ("dialogue", STORY.replace('"', "")),
        ("variety", STORY[:200] + STORY[:200]),
        ("variety", STORY.replace("so happy", "happy happy happy")),
        ("length", "She was very happy."),
        ("length", " ".join([STORY] * 3)),
        (
            "readable",
            STORY.replace("dog", "dorg")
            .replace("ball", "bawl")
            .replace("mom", "momer")
            .replace("tree", "treeg")
            .replace("grass", "gruss"),
        ),
        ("readable", STORY.replace(". ", " ").replace("?", "")),
        ("readable", STORY.lower()),
    ],
)
def test_each_fault_costs_its_own_part(reward: ModuleType, part: str, worse: str):
    prompt = "One day, Lily went out."
    assert reward.parts(prompt, worse)[part] < 0.95
    assert reward.score([prompt], [worse])[0] < reward.score([prompt], [STORY])[0] - 0.05


def test_a_fragment_earns_nothing(reward: ModuleType):
    """The hack that an earlier version of the function fell for."""
    assert reward.score(["x"] * 4, ["She was very happy.", "", "The end", "!!!"]) == [0.0] * 4


def test_words_of_the_opening_are_known_words(reward: ModuleType):
    told = STORY.replace("Lily", "Zorbanda")
    assert reward.parts("Once there was Zorbanda.", told)["readable"] > reward.parts("Once.", told)["readable"]


def test_between_by_hand(reward: ModuleType):
    """10 to 40 rises, 40 to 90 is 1, 90 to 160 falls."""
    values = [reward.between(v, 10, 40, 90, 160) for v in (0, 10, 25, 40, 90, 125, 160, 500)]
    assert values == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0, 0])


def test_the_recipe_asks_for_a_base():
    from prefloop.errors import UserError

    with pytest.raises(UserError, match="Add model=FOLDER"):
        load("stories", ["out=nowhere"])


@pytest.mark.skipif(
    not BASE.is_dir(), reason=f"needs a pretrained storyteller in {BASE}, which is not part of the project"
)
def test_a_real_pretrained_model_loads_aligns_and_saves(tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from prefloop.rounds.command import run

    tiny = [
        "ppo.steps=2",
        "ppo.rollouts_per_step=8",
        "ppo.minibatch_size=4",
        "ppo.max_new_tokens=32",
        "ppo.save_every=1",
    ]
    tiny += ["evaluate.num_validation=8", "evaluate.num_test=8", "evaluate.max_new_tokens=32"]
    out = tmp_path / "st"
    run(load("stories", [f"base={BASE}", f"out={out}", "threads=1", *tiny]))
    first, second = (json.loads(line) for line in (out / "ppo" / "metrics.jsonl").read_text().splitlines())
    assert (first["rewards/kl"], first["ratio/first_error"], second["ratio/first_error"]) == (0.0, 0.0, 0.0)
    assert second["rewards/kl"] != 0.0
    actual = json.loads((out / "evaluate" / "evaluation.json").read_text())
    assert actual["models"]["reference"]["validation"]["kl_nats"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert actual["models"][actual["selected"]]["test"]["kl_nats"]["mean"] > 0.0
    assert (out / "report" / "index.html").is_file()
    saved = out / "ppo" / "models" / "step-000002"
    tokenizer, model = AutoTokenizer.from_pretrained(saved), AutoModelForCausalLM.from_pretrained(saved)
    ids = tokenizer("<s>Once upon a time", add_special_tokens=False, return_tensors="pt").input_ids
    text = tokenizer.decode(model.generate(ids, max_new_tokens=40, do_sample=False)[0], skip_special_tokens=True)
    words = text.split()
    assert len(set(words)) > 12, text  # still a storyteller, not a stutterer
