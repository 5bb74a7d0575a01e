"""A reward model's folder as a scorer. It reads responses with its own tokenizer and template, not with the
policy's."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from prefloop.files.documents import read_document
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.stream import Stream
from prefloop.ops.rewards import normalised_scores
from prefloop.records.record import Record
from prefloop.scoring.protocol import Conversation
from prefloop.text.batches import cut

NORMALISATION = "prefloop_scores.json"
EMBEDDED = 64
"""Numbers of an embedding at most."""


class Normalisation(Record):
    """What the scores of demonstrations were before they were shifted and scaled, in raw scores."""

    mean: float = Field(default=0.0, allow_inf_nan=False)
    std: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class RewardModel:
    """A reward model folder: scalar head, its own tokenizer, scores with mean 0 and deviation 1 over SFT
    demonstrations."""

    def __init__(self, path: str, placement: Placement, *, batch_tokens: int = 16384) -> None:
        """Raises: UserError if the folder is not a reward model."""
        self.name, self.batch_tokens = path, batch_tokens
        self.network = scalar(path, placement).requires_grad_(False)
        file = Path(self.network.path) / NORMALISATION
        known = read_document(file, Normalisation) if file.is_file() else Normalisation()
        self.mean, self.std = known.mean, known.std
        self.num_truncated = 0

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) normalised scores."""
        return self._read(prompts, responses, states=False)[0]

    def score_and_embed(
        self, prompts: Sequence[Conversation], responses: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores and (B, min(width, EMBEDDED)) embeddings.

        An embedding is the mean of the last hidden states over prompt and response. Wider states are projected at
        random,
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
        codec = self.network.codec
        rows = list(zip(codec.prompts(prompts), codec.responses(responses), strict=True))
        cut_short = sum(len(p) + len(r) > codec.context for p, r in rows)
        if cut_short and not self.num_truncated:
            print(
                f"{self.name}: {cut_short} of {len(rows)} prompts with responses are longer than the reward model's "
                "context of "
                f"{codec.context} tokens; the prompts lose their beginning (said once)."
            )
        self.num_truncated += cut_short
        sequences = [fitted(p, r, codec.context) for p, r in rows]
        lengths = [len(s) for s in sequences]
        raw = torch.zeros(len(sequences))
        means = torch.zeros(
            len(sequences), self.network.pretrained.config.get_text_config().hidden_size if states else 0
        )
        for batch in cut(sorted(range(len(sequences)), key=lengths.__getitem__), lengths, limit=self.batch_tokens):
            stream = Stream.of([sequences[i] for i in batch], self.network.device)
            scores, hidden = self.network.scores_and_states(stream)
            raw[batch] = scores.cpu()
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
