"""Who gives the score: a reward model's folder, or a Python function; one verb, `score`.

Responses are text here: a reward model reads them with its own tokenizer and template, so it need not share the policy's.
"""

import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from prefloop.errors import UserError
from prefloop.models.load import Loaded, model_folder, scalar
from prefloop.models.stream import Stream, hidden_states
from prefloop.ops.rewards import normalised_scores
from prefloop.records import Message
from prefloop.text.batches import cut

NORMALISATION = "prefloop_scores.json"
EMBEDDED = 64
"""Numbers of an embedding at most."""
Conversation = Sequence[Message]


class Scorer(Protocol):
    """Anything that gives one number to a response."""

    name: str

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) scores in reward units, on the CPU."""
        ...


class RewardModel:
    """A reward model folder: scalar head, its own tokenizer, scores with mean 0 and deviation 1 over SFT demonstrations."""

    def __init__(self, path: str, device: torch.device, *, batch_tokens: int = 16384) -> None:
        """Raises: UserError if the folder is not a reward model."""
        self.name, self.batch_tokens, self.device = path, batch_tokens, device
        self.loaded = scalar(path, device)
        self.loaded.model.requires_grad_(False)
        file = Path(self.loaded.path) / NORMALISATION
        known: dict[str, float] = (
            json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"mean": 0.0, "std": 1.0}
        )
        self.mean, self.std = known["mean"], known["std"]
        self.num_truncated = 0

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) normalised scores."""
        return self._read(prompts, responses, states=False)[0]

    def score_and_embed(
        self, prompts: Sequence[Conversation], responses: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores and (B, min(width, EMBEDDED)) embeddings.

        An embedding is the mean of the last hidden states over prompt and response. Wider states are projected at random,
        always in the same way, which keeps distances about as they are (Johnson and Lindenstrauss 1984).
        """
        scores, means = self._read(prompts, responses, states=True)
        width = means.shape[1]
        if width > EMBEDDED:
            drawn = np.random.default_rng(width).standard_normal((width, EMBEDDED)) / math.sqrt(EMBEDDED)
            means = means @ torch.from_numpy(drawn).float()
        return scores, means

    @torch.no_grad()
    def _read(
        self, prompts: Sequence[Conversation], responses: Sequence[str], *, states: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores, and (B, width) means of the hidden states, or (B, 0) without."""
        codec = self.loaded.codec
        rows = [(codec.prompt_ids(p), codec.response_ids(r)) for p, r in zip(prompts, responses, strict=True)]
        cut_short = sum(len(p) + len(r) > codec.context for p, r in rows)
        if cut_short and not self.num_truncated:
            print(
                f"{self.name}: {cut_short} of {len(rows)} prompts with responses are longer than the reward model's context of "
                f"{codec.context} tokens; the prompts lose their beginning (said once)."
            )
        self.num_truncated += cut_short
        sequences = [fitted(p, r, codec.context) for p, r in rows]
        lengths = [len(s) for s in sequences]
        raw = torch.zeros(len(sequences))
        means = torch.zeros(len(sequences), self.loaded.model.config.hidden_size if states else 0)
        for batch in cut(sorted(range(len(sequences)), key=lengths.__getitem__), lengths, limit=self.batch_tokens):
            stream, hidden = _states(self.loaded, [sequences[i] for i in batch])
            raw[batch] = _head(self.loaded, stream, hidden).cpu()
            if states:
                summed = torch.zeros(len(batch), hidden.shape[1], device=hidden.device).index_add_(
                    0, stream.rows, hidden.float()
                )
                means[batch] = summed.cpu() / torch.tensor(stream.lengths)[:, None]
        return normalised_scores(raw, mean=self.mean, std=self.std), means


def fitted(prompt: list[int], response: list[int], context: int) -> list[int]:
    """Prompt and response cut to the context: the prompt loses its beginning, the response at last its middle."""
    response = response if len(response) < context else [*response[: context - 2], response[-1]]
    return [*prompt[max(0, len(prompt) + len(response) - context) :], *response]


def raw_scores(loaded: Loaded, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B,) the scalar head on the last token of each sequence: what AutoModelForSequenceClassification returns."""
    return _head(loaded, *_states(loaded, sequences))


def _states(loaded: Loaded, sequences: Sequence[Sequence[int]]) -> tuple[Stream, torch.Tensor]:
    stream = Stream.of(sequences, loaded.model.device)
    return stream, hidden_states(loaded.model.base_model, stream)


def _head(loaded: Loaded, stream: Stream, hidden: torch.Tensor) -> torch.Tensor:
    """(B,) the scalar head on the last token of each sequence."""
    last = stream.starts + torch.tensor(stream.lengths, device=hidden.device) - 1
    with torch.autocast(hidden.device.type, enabled=False):
        return loaded.model.get_submodule("score")(hidden.index_select(0, last).float())[:, 0]


class PythonReward:
    """A function in a Python file: takes (prompts, responses) as lists of strings, returns one float each."""

    def __init__(self, spec: str) -> None:
        """Args: spec: `FILE.py:FUNCTION`. Raises: UserError if there is no such file or function."""
        file, colon, function = spec.rpartition(":")
        if not colon or not file.endswith(".py"):
            raise UserError(f"python:{spec}: write python:FILE.py:FUNCTION, for instance python:reward.py:score.")
        if not Path(file).is_file():
            raise UserError(f"{file}: there is no such file; the reward function is looked for there.")
        module_spec = importlib.util.spec_from_file_location(f"prefloop_reward_{Path(file).stem}", file)
        assert module_spec is not None and module_spec.loader is not None  # a .py file always has a loader
        module = importlib.util.module_from_spec(module_spec)
        try:
            module_spec.loader.exec_module(module)
        except SyntaxError as problem:
            raise UserError(f"{file}:{problem.lineno}: this is not Python: {problem.msg}.") from None
        if not callable(vars(module).get(function)):
            raise UserError(
                f"{file}: there is no function called `{function}`; it needs (prompts, responses) and returns a list of floats."
            )
        self._function, self.name = vars(module)[function], f"python:{spec}"

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) what the function returned. Raises: UserError if that is not one finite float for each response."""
        texts = ["\n".join(message.content for message in prompt) for prompt in prompts]
        values: Any = self._function(texts, list(responses))
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            raise UserError(
                f"{self.name}: returned {type(values).__name__}, not one float for each response."
            ) from None
        if len(numbers) != len(responses):
            raise UserError(
                f"{self.name}: returned {len(numbers)} numbers for {len(responses)} responses; return one float for each."
            )
        bad = next((i for i, x in enumerate(numbers) if not math.isfinite(x)), None)
        if bad is not None:
            raise UserError(
                f"{self.name}: returned {numbers[bad]} for the response {responses[bad]!r}; return a finite number."
            )
        return torch.tensor(numbers)


def scorer(reward: str, device: torch.device) -> Scorer:
    """The scorer that `reward` names: a reward model folder (or hub id), or `python:FILE.py:FUNCTION`."""
    return PythonReward(reward.removeprefix("python:")) if reward.startswith("python:") else RewardModel(reward, device)


def reward_input(reward: str) -> str:
    """The file or folder whose fingerprint stands for a reward in a run's inputs."""
    return reward.removeprefix("python:").rpartition(":")[0] if reward.startswith("python:") else model_folder(reward)
