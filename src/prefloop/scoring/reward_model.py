"""A reward model's folder as a scorer. It reads responses with its own tokenizer and template, not with the
policy's.

A model that prefloop trained (it has `prefloop_scores.json`) reads prompt, response and the token that ends it, as it
learned to. Somebody else's reads the whole conversation as its template writes it, and its score is that of the last
token which is not the padding of its config.json: what AutoModelForSequenceClassification says of that row alone.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from prefloop.models.columns import NORMALISATION as NORMALISATION  # others know it by this file
from prefloop.models.columns import check_column, columns_of, parted
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.models.padding import named_padding
from prefloop.models.stream import Stream
from prefloop.ops.rewards import normalised_scores
from prefloop.printing import say
from prefloop.scoring.protocol import Conversation, Scored, summed
from prefloop.text.batches import cut
from prefloop.text.examples import Cuts, fitted

BATCH_TOKENS = 16384
"""Tokens that are read at once."""
EMBEDDED = 64
"""Numbers of an embedding at most."""


class RewardModel:
    """A reward model folder: scalar head, its own tokenizer, scores with mean 0 and deviation 1 over SFT
    demonstrations.

    Of several columns (C) those count that `models/columns.py` says, or the one that is named."""

    def __init__(
        self,
        path: str,
        placement: Placement,
        *,
        batch_tokens: int = BATCH_TOKENS,
        weights: str = "float32",
        beside: Network | None = None,
    ) -> None:
        """Loads it.

        Args:
            path: its folder; FOLDER:COLUMN for one of several columns.
            placement: where it computes, and how precisely.
            batch_tokens: most tokens read at once.
            weights: how its matrices are held; what quantised ones change is said.
            beside: a model in memory, whose base it shares if it is an adapter of the same.

        Raises: UserError if the folder is not a reward model."""
        self.name, self.batch_tokens = path, batch_tokens
        folder, column = parted(path)
        self.network = scalar(folder, placement, beside=beside, weights=weights).freeze()
        self.columns = columns_of(self.network.path)
        check_column(folder, self.columns, column)
        self.weights = self.columns.weights if column is None else {column: 1.0}
        """what each column counts in the score"""
        self.std = self.columns.unit(self.weights)
        """raw units in a unit of score"""
        for sentence in self.network.hold(weights):
            say(f"{path}: {sentence}", to=sys.stderr)
        self.ours = (Path(self.network.path) / NORMALISATION).is_file()
        if not self.ours:
            role = self.network.role
            self._padding = named_padding(self.network.path if role is None else role.base.path)
            say(
                f"{path}: prefloop did not train it; conversations are read as its chat template writes them, to the "
                "last token, and scores are on its own scale.",
                to=sys.stderr,
            )
        self.cuts = Cuts()

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) normalised scores."""
        return summed(self._parts(self.table(prompts, responses)))

    def table(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B, C) every column, shifted and scaled."""
        return self._read(prompts, responses, states=False)[0]

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        """The same scores, and what their columns are to them: axes are parts, members are members."""
        table = self.table(prompts, responses)
        parts = self._parts(table)
        if len(parts) == 1:
            return Scored(summed(parts))
        if self.columns.kind == "axes":
            return Scored(summed(parts), parts)
        members = len(parts) * torch.stack(list(parts.values()), 1)
        return Scored(summed(parts), members=members, disagreement=members.std(1, correction=0))

    def _parts(self, table: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B,) of each column that counts, weighed: a score is the sum of them. Args: table: (B, C)."""
        return {name: table[:, self.columns.names.index(name)] * weight for name, weight in self.weights.items()}

    def score_and_embed(
        self, prompts: Sequence[Conversation], responses: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores and (B, min(width, EMBEDDED)) embeddings.

        An embedding is the mean of the last hidden states over prompt and response. Wider states are projected at
        random,
        always in the same way, which keeps distances about as they are (Johnson and Lindenstrauss 1984).
        """
        table, means = self._read(prompts, responses, states=True)
        scores, width = summed(self._parts(table)), means.shape[1]
        if width > EMBEDDED:
            drawn = np.random.default_rng(width).standard_normal((width, EMBEDDED)) / math.sqrt(EMBEDDED)
            means = means @ torch.from_numpy(drawn).float()
        return scores, means

    def same(self, prompt: Conversation, responses: Sequence[str]) -> bool:
        """Whether two responses to a prompt are the same to this model, which reads no more than its context."""
        context = self.network.codec.context
        first, second = (fitted(*row, context) for row in self._rows([prompt] * len(responses), responses))
        return first == second

    def _rows(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Tokens of each prompt and its response, of which the last is where the score is read."""
        codec = self.network.codec
        if self.ours:
            return list(zip(codec.prompts(prompts), codec.responses(responses), strict=True))
        rows = codec.conversations(prompts, responses)
        for _, said in rows:
            while said and said[-1] == self._padding:
                said.pop()
        return rows

    @torch.no_grad()
    def _read(
        self, prompts: Sequence[Conversation], responses: Sequence[str], *, states: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C) normalised scores, and (B, width) means of the hidden states, or (B, 0) without."""
        codec = self.network.codec
        rows = self._rows(prompts, responses)
        before = self.cuts.sentence(codec.context)
        sequences = [self.cuts.fitted(p, r, codec.context) for p, r in rows]
        if not before and self.cuts.sentence(codec.context):
            print(f"{self.name}: {self.cuts.sentence(codec.context)} This is said once.")
        lengths = [len(s) for s in sequences]
        raw = torch.zeros(len(sequences), len(self.columns.columns))
        means = torch.zeros(
            len(sequences), self.network.pretrained.config.get_text_config().hidden_size if states else 0
        )
        for batch in cut(sorted(range(len(sequences)), key=lengths.__getitem__), lengths, limit=self.batch_tokens):
            few = [sequences[i] for i in batch]
            if not states:
                raw[batch] = self.network.score_table(few).cpu()
            else:
                stream = Stream.of(few, self.network.device)
                table, hidden = self.network.table_and_states(stream)
                raw[batch] = table.cpu()
                summed = torch.zeros(len(batch), hidden.shape[1], device=hidden.device).index_add_(
                    0, stream.rows, hidden.float()
                )
                means[batch] = summed.cpu() / torch.tensor(stream.lengths)[:, None]
        each = zip(raw.unbind(1), self.columns.columns, strict=True)
        return torch.stack([normalised_scores(one, mean=of.mean, std=of.std) for one, of in each], 1), means
