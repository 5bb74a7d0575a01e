"""Model folders that cannot be used, for wrong_cases.py."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

Change = Callable[[Path], Any]
"""What is done to a copy of a good folder."""


def config(**values: Any) -> Change:
    """Other entries of config.json."""

    def change(path: Path) -> None:
        card = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(card | values))

    return change


def text(file: str, content: str) -> Change:
    """Another text in a file."""
    return lambda path: (path / file).write_text(content)


def cut(path: Path) -> None:
    """Weights that end in their middle."""
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:3000])


def head(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Other weights."""

    def spoilt(path: Path) -> None:
        weights = load_file(path / "model.safetensors")
        change(weights)
        save_file(weights, path / "model.safetensors", {"format": "pt"})

    return spoilt


def endless(path: Path) -> None:
    """No token that ends anything, by any of its files."""
    for name, end in (
        ("config", "eos_token_id"),
        ("generation_config", "eos_token_id"),
        ("tokenizer_config", "eos_token"),
    ):
        card = json.loads((path / f"{name}.json").read_text())
        (path / f"{name}.json").write_text(json.dumps(card | {end: None}))
    (path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")


HEADLESS = head(lambda weights: weights.pop("score.weight"))
WIDE = head(lambda weights: weights.update({"score.weight": weights["score.weight"].repeat(2, 1)}))
COLUMNS = '{"kind": "axes", "columns": [{"name": "a", "mean": 0, "std": 1}, {"name": "b", "mean": 0, "std": 1}]}'
MODELS: dict[str, tuple[str, Change]] = {
    "m-list": ("m-list", text("config.json", "[1, 2]")),
    "m-word": ("m-word", text("config.json", "hello")),
    "m-empty": ("m-empty", text("config.json", "")),
    "m-nothing": ("m-nothing", text("config.json", "{}")),
    "m-binary": ("m-binary", lambda path: (path / "config.json").write_bytes(bytes(range(256)))),
    "m-type": ("m-type", config(model_type="nosuchmodel")),
    "m-layers": ("m-layers", config(num_hidden_layers=3)),
    "m-width": ("m-width", config(hidden_size=32)),
    "m-heads": ("m-heads", config(num_attention_heads=3)),
    "m-words": ("m-words", config(hidden_size="wide")),
    "m-negative": ("m-negative", config(num_hidden_layers=-1)),
    "m-vocabulary": ("m-vocabulary", config(vocab_size=5)),
    "m-quantised": ("m-quantised", config(quantization_config={"quant_method": "gptq", "bits": 4})),
    "m-foreign": ("m-foreign", config(auto_map={"AutoConfig": "mine.Mine"}, model_type="mine")),
    "m-cut": ("m-cut", cut),
    "m-weightless": ("m-weightless", lambda path: (path / "model.safetensors").unlink()),
    "m-tokenless": ("m-tokenless", lambda path: (path / "tokenizer.json").unlink()),
    "m-tokenizer": ("m-tokenizer", text("tokenizer.json", "{}")),
    "m-tokens": ("m-tokens", text("tokenizer.json", "[]")),
    "m-settings": ("m-settings", text("tokenizer_config.json", "[]")),
    "m-generation": ("m-generation", text("generation_config.json", "{")),
    "m-stops": ("m-stops", text("generation_config.json", '{"eos_token_id": "end"}')),
    "m-template": ("m-template", text("chat_template.jinja", "{% for x in %}")),
    "m-endless": ("no end-of-text token", endless),
}
"""Name -> what the sentence must hold, and what is done to a copy of a model that speaks."""
REWARDS: dict[str, tuple[str, Change]] = {
    "r-norm": ("r-norm", text("prefloop_scores.json", "[]")),
    "r-words": ("r-words", text("prefloop_scores.json", '{"mean": "a", "std": 1}')),
    "r-zero": ("r-zero", text("prefloop_scores.json", '{"mean": 0, "std": 0}')),
    "r-cut": ("r-cut", cut),
    "r-headless": ("1 weight (score.weight) is missing", HEADLESS),
    "r-wide": ("of another size (score.weight: 2 x 16 in the file, 1 x 16 by config.json)", WIDE),
    "r-columns": (
        "this model gives 1 numbers, and prefloop_scores.json names 2",
        text("prefloop_scores.json", COLUMNS),
    ),
    "r-five": (
        "this model gives 5 numbers, and a reward model gives one",
        config(num_labels=5, id2label={str(i): str(i) for i in range(5)}),
    ),
    "r-two": ("r-two", config(num_labels=2, id2label={"0": "a", "1": "b"})),
}
"""The same of a model that scores."""


def damaged_models(folder: Path) -> dict[str, str]:
    """Makes model folders that cannot be used. Returns: name -> what the sentence must hold."""
    for source, changes in (("model", MODELS), ("reward", REWARDS)):
        for name, (_, change) in changes.items():
            change(Path(shutil.copytree(folder / source, folder / name)))
    (folder / "m-bare").mkdir()
    return {"m-bare": "m-bare"} | {name: words for name, (words, _) in (MODELS | REWARDS).items()}
