"""Scores: ours against AutoModelForSequenceClassification, however the batch is padded; Python rewards and their
mistakes."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import save_model, scalar
from prefloop.models.network import Network
from prefloop.records import Message
from prefloop.scoring.function import PythonReward
from prefloop.scoring.named import check_reward, reward_input, scorer
from prefloop.scoring.protocol import summed
from prefloop.scoring.reward_model import NORMALISATION, RewardModel
from prefloop.text.examples import fitted

CPU = Placement(torch.device("cpu"))
SEQUENCES = [[5, 9, 7, 30, 2, 11, 1], [8, 1], [3, 12, 33, 9, 9, 21, 6, 17, 28, 2, 14, 1], [19, 4, 1]]
PROMPTS = [(Message(role="user", content=text),) for text in ("where is my parcel?", "money", "please", "包裹在哪里？")]
RESPONSES = ["i am sorry.", "", "on its way on its way", "很抱歉。"]


@pytest.fixture(scope="module")
def reward_folder(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    network = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(network.pretrained.score.weight, generator=torch.Generator().manual_seed(5))
    path = tmp_path_factory.mktemp("reward") / "model"
    save_model(path, network.pretrained, network.codec)
    (path / NORMALISATION).write_text(json.dumps({"mean": 0.5, "std": 2.0}), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def theirs(reward_folder: str) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(reward_folder).eval()


@pytest.fixture(scope="module")
def ours(reward_folder: str) -> RewardModel:
    return RewardModel(reward_folder, CPU)


@pytest.mark.parametrize("side", ["single", "right", "left"])
@torch.no_grad()
def test_raw_scores_are_those_of_transformers(ours: RewardModel, theirs: PreTrainedModel, side: str):
    actual = ours.network.scores(SEQUENCES)
    if side == "single":
        expected = torch.cat([theirs(torch.tensor([s])).logits[:, 0] for s in SEQUENCES])
    else:
        pad, longest = theirs.config.pad_token_id, max(map(len, SEQUENCES))
        rows = [
            s + [pad] * (longest - len(s)) if side == "right" else [pad] * (longest - len(s)) + s for s in SEQUENCES
        ]
        ids = torch.tensor(rows)
        expected = theirs(ids, attention_mask=(ids != pad).long()).logits[:, 0]
    assert expected.std() > 0.1
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_end_of_text_as_padding_is_never_mistaken_for_it(network: Network, tmp_path: Path):
    """Many tokenizers pad with the end-of-text token; transformers would then read the score one token too early."""
    network.codec.tokenizer.pad_token = network.codec.tokenizer.eos_token
    save_model(tmp_path / "base", network.pretrained, network.codec)
    made = scalar(str(tmp_path / "base"), CPU, fresh_head=True)
    torch.nn.init.normal_(made.pretrained.score.weight, generator=torch.Generator().manual_seed(5))
    save_model(tmp_path / "model", made.pretrained, made.codec)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        expected = torch.cat([plain(torch.tensor([s])).logits[:, 0] for s in SEQUENCES])
        torch.testing.assert_close(made.scores(SEQUENCES), expected, rtol=1e-4, atol=1e-4)
        for side in ("right", "left"):
            batch = made.codec.tokenizer.pad({"input_ids": SEQUENCES}, padding_side=side, return_tensors="pt")
            torch.testing.assert_close(plain(**batch).logits[:, 0], expected, rtol=1e-4, atol=1e-4)


def test_scores_are_shifted_and_scaled_raw_scores_of_the_text(ours: RewardModel, theirs: PreTrainedModel):
    """(raw - 0.5) / 2, raw read after the end-of-text token of template text and response."""
    tokenizer = ours.network.codec.tokenizer
    expected = []
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        ids = tokenizer(
            f"<|user|>{prompt[0].content}<|assistant|>{response}<|end|>", add_special_tokens=False, return_tensors="pt"
        )["input_ids"]
        with torch.no_grad():
            expected.append((float(theirs(ids).logits) - 0.5) / 2)
    assert ours.score(PROMPTS, RESPONSES).tolist() == pytest.approx(expected, abs=1e-4)


def test_a_pipeline_stands_for_its_reward_model(folder: str, reward_folder: str, tmp_path: Path):
    """Looked at before a recipe runs, as when it is scored with."""
    for stage, model in (("pretrain", folder), ("reward", reward_folder), ("sft", folder)):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "model").symlink_to(model)
    check_reward(str(tmp_path))
    assert reward_input(str(tmp_path)) == str(tmp_path / "reward" / "model")


def test_order_and_batch_do_not_matter(ours: RewardModel, reward_folder: str):
    whole = ours.score(PROMPTS, RESPONSES)
    turned = ours.score(PROMPTS[::-1], RESPONSES[::-1]).flip(0)
    one_by_one = RewardModel(reward_folder, CPU, batch_tokens=1).score(PROMPTS, RESPONSES)
    torch.testing.assert_close(turned, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(one_by_one, whole, rtol=0, atol=1e-5)


def test_fitted_by_hand():
    """Context 5: the prompt loses its beginning; a response too long by itself keeps one prompt token and its end."""
    assert fitted([1, 2, 3], [4, 9], 5) == [1, 2, 3, 4, 9]
    assert fitted([1, 2, 3, 4], [5, 6, 9], 5) == [3, 4, 5, 6, 9]
    assert fitted([1, 2], [3, 4, 5, 6, 7, 9], 5) == [2, 3, 4, 5, 9]
    assert all(len(fitted([1] * p, [2] * r, 5)) == min(5, p + r) for p in range(1, 8) for r in range(1, 8))


def test_detailed_gives_the_same_scores(ours: RewardModel, reward_py: Callable[[str], str]):
    function = scorer(reward_py("def score(a, b):\n    return [len(r) / 3 for r in b]\n"), CPU)
    for judge in (ours, function):
        said = judge.detailed(PROMPTS, RESPONSES)
        assert said.scores.equal(judge.score(PROMPTS, RESPONSES))
        assert not said.parts
        assert said.members is None


def test_parts_are_added_in_float64_and_rounded_once():
    """2^24 + 1 + 1: in float32 each 1 would be lost."""
    assert float(summed({"a": torch.tensor([2.0**24]), "b": torch.ones(1), "c": torch.ones(1)})) == 2.0**24 + 2


def test_what_is_cut_is_counted(reward_folder: str):
    model = RewardModel(reward_folder, CPU)
    model.score(PROMPTS[:2], ["fits", "way " * 200])
    assert (model.cuts.num, model.cuts.prompts, model.cuts.responses) == (2, 1, 1)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"mean": "x", "std": 1}', '{"mean": 0, "std": 0}', '{"mean": 0, "std": NaN}']
)
def test_a_damaged_file_of_scores_is_a_sentence(reward_folder: str, tmp_path: Path, text: str):
    copied = shutil.copytree(reward_folder, tmp_path / "copied")
    (copied / NORMALISATION).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"{NORMALISATION}.*Put back the file"):
        RewardModel(str(copied), CPU)


def test_a_score_has_no_gradient(ours: RewardModel):
    assert not ours.score(PROMPTS, RESPONSES).requires_grad
    assert not any(p.requires_grad for p in ours.network.pretrained.parameters())


@pytest.fixture
def reward_py(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str) -> str:
        (tmp_path / "reward.py").write_text(body, encoding="utf-8")
        return f"python:{tmp_path / 'reward.py'}:score"

    return write


def test_python_reward(reward_py: Callable[[str], str]):
    spec = reward_py(
        "def score(prompts, responses):\n    return [len(p) - len(r) for p, r in zip(prompts, responses)]\n"
    )
    actual = scorer(spec, CPU).score(PROMPTS[:2], RESPONSES[:2])
    assert actual.tolist() == [19 - 11, 5]
    assert reward_input(spec) == spec.removeprefix("python:").removesuffix(":score")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def score(prompts, responses):\n    return [1.0]\n", "returned 1 numbers for 4 responses"),
        ("def score(prompts, responses):\n    return None\n", "returned NoneType, not one float"),
        ("def score(prompts, responses):\n    return ['good'] * 4\n", "not one float for each"),
        (
            "def score(prompts, responses):\n    return [1.0, float('nan'), 2.0, 3.0]\n",
            "returned nan for the response ''",
        ),
        ("def other(prompts, responses):\n    return []\n", "no function called `score`"),
        ("score = 3\n", "no function called `score`"),
        ("x = 1\ndef score(\n", r"reward\.py:2: this is not Python"),
    ],
)
def test_mistakes_in_a_python_reward_are_sentences(reward_py: Callable[[str], str], body: str, message: str):
    spec = reward_py(body)
    with pytest.raises(UserError, match=message):
        scorer(spec, CPU).score(PROMPTS, RESPONSES)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import no_such_package\n", r"reward\.py:1: No module named 'no_such_package'. Install it"),
        ("x = 1 / 0\n", r"reward\.py:1: loading it failed: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "loading it wanted to end the program"),
        ("def score(prompts):\n    return []\n", "`score` cannot be called with two arguments; it takes"),
        ("def score(a, b, c):\n    return []\n", "`score` cannot be called with two arguments"),
        ("def score(a, b, *, c):\n    return []\n", "`score` cannot be called with two arguments"),
        (
            "def score(a, b):\n    x = 1\n    return a[99]\n",
            r"reward\.py:3: `score` failed: IndexError: list index out",
        ),
        ("def score(a, b):\n    yield 1.0\n    raise KeyError(7)\n", r"reward\.py:3: `score` failed: KeyError: 7"),
        ("import sys\ndef score(a, b):\n    sys.exit()\n", "`score` wanted to end the program"),
        ("def score(a, b):\n    return score(a, b)\n", r"reward\.py:2: `score` failed: RecursionError"),
        ("def score(a, b):\n    while True: pass\n", r"reward\.py:2: `score` took longer than 0\.2 seconds"),
        ("import time\ndef score(a, b):\n    time.sleep(9)\n", r"reward\.py:3: `score` took longer"),
        (
            "import time\ndef score(a, b):\n    try:\n        time.sleep(9)\n    except: return [0.0] * len(b)\n",
            r"reward\.py: `score` took longer",
        ),
        (
            "def score(a, b):\n    while True:\n        try:\n            while True: pass\n"
            "        except Exception: pass\n",
            "`score` took longer",
        ),
        ("async def score(a, b):\n    return [1.0] * 4\n", "write `def`, not `async def`"),
        ("def score(a, b):\n    return '1234'\n", "returned str, not one float for each response"),
        ("def score(a, b):\n    return {1: 1, 2: 2, 3: 3, 4: 4}\n", "returned dict, not one float"),
        ("def score(a, b):\n    return ['1', '2', '3', '4']\n", "returned '1' for the response"),
        ("def score(a, b):\n    return [1e39] * 4\n", "returned 1e.39 for the response"),
        ("def score(a, b):\n    return [10**400] * 4\n", "return a finite number"),
        ("def score(a, b):\n    return [1.0] * 5\n", "returned 5 numbers for 4 responses"),
        ("def score(a, b):\n    return [[1.0]] * 4\n", r"returned \[1.0\] for the response"),
        ("import torch\ndef score(a, b):\n    return torch.ones(4, 1)\n", r"an array of the shape \(4, 1\)"),
        ("import numpy\ndef score(a, b):\n    return numpy.float64(3)\n", "returned float64"),
    ],
)
def test_somebody_elses_code_ends_in_a_sentence(reward_py: Callable[[str], str], body: str, message: str):
    spec = reward_py(body if "score" in body else body + "def score(a, b):\n    return []\n")
    with pytest.raises(UserError, match=message) as caught:
        scorer(spec, CPU, seconds=0.2 if "longer" in message else 60).score(PROMPTS, RESPONSES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "def score(a, b):\n    return (len(r) for r in b)\n",
        "def score(a, b):\n    for r in b:\n        yield len(r)\n",
        "import numpy\ndef score(a, b):\n    return numpy.array([len(r) for r in b])\n",
        "import torch\ndef score(a, b):\n    return torch.tensor([len(r) for r in b])\n",
        "import os\nos.chdir('/')\ndef score(a, b):\n    os.chdir('/')\n    print('hello')\n"
        "    return [len(r) for r in b]\n",
        "import words\ndef score(a, b):\n    return [words.LENGTH(r) for r in b]\n",
        "class Judge:\n    def __call__(self, a, b):\n        return [len(r) for r in b]\nscore = Judge()\n",
        "from dataclasses import dataclass\n@dataclass\nclass Row:\n    text: 'str'\n"
        "def score(a, b):\n    a.clear()\n    return [len(Row(b.pop(0)).text) for _ in list(b)]\n",
    ],
)
def test_what_a_function_may_do(
    reward_py: Callable[[str], str], body: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "words.py").write_text("LENGTH = len\n", encoding="utf-8")
    here = os.getcwd()
    assert scorer(reward_py(body), CPU).score(PROMPTS, RESPONSES).tolist() == [float(len(r)) for r in RESPONSES]
    assert os.getcwd() == here
    assert capsys.readouterr().out == ""
    sys.modules.pop("words", None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.py:score", "there is no such file"),
        ("reward.py", "write python:FILE.py:FUNCTION"),
        ("reward:score", "write python:"),
    ],
)
def test_mistakes_in_naming_a_python_reward_are_sentences(spec: str, message: str):
    with pytest.raises(UserError, match=message):
        PythonReward(spec)
