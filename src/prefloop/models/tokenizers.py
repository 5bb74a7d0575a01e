"""A model folder's tokenizer, with sentences where transformers has tracebacks."""

import contextlib
import json
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from prefloop.errors import UserError
from prefloop.models import gguf
from prefloop.models.checkpoint import in_words, loading, read_object

DAMAGED = (LookupError, TypeError, AttributeError, json.JSONDecodeError)
"""What transformers raises for a tokenizer whose file does not hold what it should."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""Files of which a tokenizer has one."""


def has_tokenizer(folder: str) -> bool:
    """Whether one of a tokenizer's files is in a folder."""
    return any((Path(folder) / name).is_file() for name in TOKENIZERS)


def tokenizer_of(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a model folder or GGUF file. Raises: UserError if there is none."""
    if gguf.is_gguf(path):
        return gguf.tokenizer(path)
    if Path(path).is_dir() and not has_tokenizer(path):
        raise UserError(
            f"{path}: this model folder has no tokenizer (tokenizer.json). Copy the tokenizer's files from the model's "
            "origin."
        )
    with loading(path), _Tokenizer(path):
        made = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        empty = {name: None for name, token in made.special_tokens_map.items() if token == ""}  # names no token at all
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False, **empty) if empty else made


class _Tokenizer(contextlib.AbstractContextManager[None]):
    """Turns the complaints about a damaged tokenizer into a sentence. A class, for only its exit tells the plain
    `Exception` that tokenizers raises from all other exceptions."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        if problem is None or not (kind is Exception or isinstance(problem, DAMAGED)):
            return
        file = Path(self.path) / "tokenizer.json"
        if file.is_file():
            read_object(file)
        said = in_words(problem) if kind is Exception else "it does not hold what a tokenizer needs"
        raise UserError(
            f"{self.path}: tokenizer.json or tokenizer_config.json is damaged: {said}. Copy the tokenizer's files from "
            "the model's origin."
        ) from problem
