"""A reward model's folder as a scorer. It reads responses with its own tokenizer and template, not with the
policy's.

A model that prefloop trained (it has `prefloop_scores.json`) reads prompt, response and the token that ends it, as it
learned to. Somebody else's reads the whole conversation as its template writes it, and its score is that of the last
token which is not the padding of its config.json: what AutoModelForSequenceClassification says of that row alone.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from prefloop.models.columns import NORMALISATION as NORMALISATION  # others know it by this file
from prefloop.models.columns import check_column, columns_of, domain_of, parted
from prefloop.models.device import Placement
from prefloop.models.load import scalar, sharing
from prefloop.models.network import Network
from prefloop.models.padding import named_padding
from prefloop.models.stream import Stream
from prefloop.ops.rewards import normalised_scores
from prefloop.printing import say
from prefloop.scoring.outliers import read_outliers
from prefloop.scoring.protocol import Conversation, Scored, Tags, summed
from prefloop.text.batches import cut
from prefloop.text.examples import Cuts, fitted

BATCH_TOKENS = 16384
"""Tokens that are read at once."""
States = Literal["none", "mean", "last"]
"""Which hidden states are wanted beside scores."""
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
        self.column = column
        self.weights = self.columns.weights if column is None else {column: 1.0}
        """what each column counts in the score"""
        self.by_domain = self.columns.kind == "domains" and column is None
        """whether prompts of a domain are scored by its column, where their tags are known"""
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
        self.outliers = read_outliers(Path(self.network.path))

    @property
    def tells_outliers(self) -> bool:
        """Whether it was noted, when it was trained, what responses are usual to it."""
        return self.outliers is not None

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) normalised scores."""
        return self.read(self.sequences(prompts, responses))[0]

    def table(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B, C) every column, shifted and scaled."""
        return self.read_table(self.sequences(prompts, responses))[0]

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The same scores, what their columns are to them (axes are parts, members are members), and how unusual each
        response is where the folder tells."""
        return self.said(self.sequences(prompts, responses), tags)

    def said(self, sequences: Sequence[list[int]], tags: Tags = ()) -> Scored:
        """The same of sequences of tokens."""
        table, states = self.read_table(sequences, states="none" if self.outliers is None else "last")
        parts = self._parts(table)
        scored = Scored(self._scores(table, tags))
        if len(parts) > 1 and self.columns.kind == "axes":
            scored = replace(scored, parts=parts)
        elif len(parts) > 1:
            members = len(parts) * torch.stack(list(parts.values()), 1)
            scored = replace(scored, members=members, disagreement=members.std(1, correction=0))
        if self.outliers is None:
            return scored
        limited = self.outliers.card.limited(scored.scores, self.column)
        return replace(scored, outlier=self.outliers.share(states), limited=limited)

    def weights_of(self, tags: Sequence[str]) -> dict[str, float]:
        """What each column counts in the score of a response. Args: tags: of the prompt."""
        domain = domain_of(tags) if self.by_domain else None
        return {domain: 1.0} if domain in self.columns.names else self.weights

    def unit(self, tags: Sequence[str] = ()) -> float:
        """Raw units in a unit of score. Args: tags: of the prompt."""
        return self.columns.unit(self.weights_of(tags))

    def _scores(self, table: torch.Tensor, tags: Tags) -> torch.Tensor:
        """(B,) Args: table: (B, C)."""
        if not (self.by_domain and tags):
            return summed(self._parts(table))
        places = [self.columns.names.index(next(iter(self.weights_of(some)))) for some in tags]
        return table.gather(1, torch.tensor(places)[:, None])[:, 0]

    def _parts(self, table: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B,) of each column that counts, weighed: a score is the sum of them. Args: table: (B, C)."""
        return {name: table[:, self.columns.names.index(name)] * weight for name, weight in self.weights.items()}

    def score_and_embed(
        self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()
    ) -> tuple[Scored, torch.Tensor]:
        """The scores, and (B, min(width, EMBEDDED)) embeddings."""
        scores, places = self.read_and_embed(self.sequences(prompts, responses), tags)
        return Scored(scores), places

    def read_and_embed(self, sequences: Sequence[list[int]], tags: Tags = ()) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores of sequences and (B, min(width, EMBEDDED)) embeddings.

        An embedding is the mean of the last hidden states over prompt and response. Wider states are projected at
        random, always in the same way, which keeps distances about as they are (Johnson and Lindenstrauss 1984).
        """
        scores, means = self.read(sequences, tags, states="mean")
        return scores, narrowed(means)

    @property
    def context(self) -> int:
        """Most tokens that are read."""
        return self.network.codec.context

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

    def sequences(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> list[list[int]]:
        """The tokens of each prompt with its response, cut to the context; what was cut is counted, and said once."""
        codec = self.network.codec
        rows = self._rows(prompts, responses)
        before = self.cuts.sentence(codec.context)
        sequences = [self.cuts.fitted(p, r, codec.context) for p, r in rows]
        if not before and self.cuts.sentence(codec.context):
            print(f"{self.name}: {self.cuts.sentence(codec.context)} This is said once.")
        return sequences

    def read(
        self, sequences: Sequence[list[int]], tags: Tags = (), *, states: States = "none"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) normalised scores of sequences, and the states of `read_table`."""
        table, seen = self.read_table(sequences, states=states)
        return self._scores(table, tags), seen

    @torch.no_grad()
    def read_table(
        self, sequences: Sequence[list[int]], *, states: States = "none"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C) normalised scores of sequences, and (B, width) their last hidden states: the mean over tokens, or that
        of the last one; or (B, 0)."""
        lengths = [len(s) for s in sequences]
        raw = torch.zeros(len(sequences), len(self.columns.columns))
        width = self.network.pretrained.config.get_text_config().hidden_size if states != "none" else 0
        seen = torch.zeros(len(sequences), width)
        for batch in cut(sorted(range(len(sequences)), key=lengths.__getitem__), lengths, limit=self.batch_tokens):
            few = [sequences[i] for i in batch]
            if states == "none":
                raw[batch] = self.network.score_table(few).cpu()
            elif states == "last":
                table, hidden = self.network.table_and_last_states(few)
                raw[batch], seen[batch] = table.cpu(), hidden.cpu()
            else:
                stream = Stream.of(few, self.network.device)
                table, hidden = self.network.table_and_states(stream)
                raw[batch] = table.cpu()
                total = torch.zeros(len(batch), width, device=hidden.device).index_add_(0, stream.rows, hidden.float())
                seen[batch] = total.cpu() / torch.tensor(stream.lengths)[:, None]
        each = zip(raw.unbind(1), self.columns.columns, strict=True)
        return torch.stack([normalised_scores(one, mean=of.mean, std=of.std) for one, of in each], 1), seen


def narrowed(states: torch.Tensor) -> torch.Tensor:
    """(B, min(width, EMBEDDED)) states (B, width), projected at random where they are wider, always in the same way."""
    width = states.shape[1]
    if width <= EMBEDDED:
        return states
    drawn = np.random.default_rng(width).standard_normal((width, EMBEDDED)) / math.sqrt(EMBEDDED)
    return states @ torch.from_numpy(drawn).float()


def loaded_beside(
    path: str, placement: Placement, networks: list[Network], *, weights: str, kind: type[RewardModel] = RewardModel
) -> RewardModel:
    """A reward model that shares the base of one of some models in memory where it can; it is added to them."""
    made = kind(path, placement, weights=weights, beside=sharing(path, networks))
    networks.append(made.network)
    return made
