"""Several reward models of the same preferences as one scorer: what they agree on counts, and how far they differ is
known.

Shapes: B responses, E members.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import members_of, model_folder
from prefloop.models.network import Network
from prefloop.ops.rewards import Combine, combined_scores, disagreement
from prefloop.scoring.outliers import read_card
from prefloop.scoring.protocol import Conversation, Scored, Tags
from prefloop.scoring.reward_model import RewardModel, loaded_beside
from prefloop.text.examples import Cuts


class Ensemble:
    """The members of an ensemble's folder. All read the same tokens; adapters share one base in memory."""

    def __init__(
        self,
        path: str,
        placement: Placement,
        networks: list[Network],
        *,
        combine: Combine,
        variance_coef: float,
        weights: str = "float32",
    ) -> None:
        """Loads it.

        Args:
            path: its folder.
            placement: where it computes, and how precisely.
            networks: models in memory, whose bases its members share where they can; they are added.
            combine: how the members' scores become one.
            variance_coef: weight of their variance, where it counts.
            weights: how matrices are held.

        Raises: UserError if a member is missing, or not of the first one's base.
        """
        self.name = path
        self.combine: Combine = combine
        self.variance_coef = variance_coef
        self.members = [loaded_beside(each, placement, networks, weights=weights) for each in members_of(path)]
        for member in self.members[1:]:
            _check_alike(path, self.members[0], member)

        folder = Path(model_folder(path, scores=True))
        self.known = read_card(folder)

    @property
    def tells_outliers(self) -> bool:
        """Whether it was noted, when it was trained, what responses are usual to its members."""
        return self.known is not None

    @property
    def first(self) -> RewardModel:
        """The member by whose tokens all of them read."""
        return self.members[0]

    @property
    def cuts(self) -> Cuts:
        """What did not fit the context."""
        return self.first.cuts

    @cuts.setter
    def cuts(self, cuts: Cuts) -> None:
        """Goes on counting from there."""
        self.first.cuts = cuts

    @property
    def context(self) -> int:
        """Most tokens that are read."""
        return self.first.context

    def unit(self, tags: Sequence[str] = ()) -> float:
        """Log-odds that a difference of 1 between mean scores stands for where the members agree on them. Args: tags:
        of the prompt."""
        return len(self.members) / sum(1 / member.unit(tags) for member in self.members)

    def same(self, prompt: Conversation, responses: Sequence[str]) -> bool:
        """Whether two responses to a prompt are the same to it."""
        return self.first.same(prompt, responses)

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Tensor:
        """(B,) one score from all members'."""
        return self.detailed(prompts, responses).scores

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The scores, with each member's and how far these are apart."""
        return self.said(self.first.sequences(prompts, responses), tags)

    def said(self, sequences: Sequence[list[int]], tags: Tags = ()) -> Scored:
        """The same of sequences of tokens."""
        scored, unusual = self.said_with_unusual(sequences, tags)
        if self.known is None or unusual is None:
            return scored
        return replace(scored, outlier=self.known.share(unusual), limited=self.known.limited(scored.scores))

    def said_with_unusual(self, sequences: Sequence[list[int]], tags: Tags = ()) -> tuple[Scored, Tensor | None]:
        """The scores, and (B,) how unusual each sequence is: the mean of what members say, if all can tell; no share of
        known responses before it is calibrated."""
        said = [member.said(sequences, tags) for member in self.members]
        outliers = [each.outlier for each in said if each.outlier is not None]
        scored = self._scored(torch.stack([each.scores for each in said], dim=1))
        return scored, torch.stack(outliers).cpu().double().mean(0) if len(outliers) == len(said) else None

    def score_and_embed(
        self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()
    ) -> tuple[Scored, Tensor]:
        """What `detailed` says, and (B, EMBEDDED or fewer) where the first member sees each response."""
        sequences = self.first.sequences(prompts, responses)
        scores, places = self.first.read_and_embed(sequences, tags)
        others = [member.read(sequences, tags)[0] for member in self.members[1:]]
        return self._scored(torch.stack([scores, *others], dim=1)), places

    def _scored(self, members: Tensor) -> Scored:
        scores = combined_scores(members, combine=self.combine, variance_coef=self.variance_coef)
        return Scored(scores, members=members, disagreement=disagreement(members))


def _check_alike(path: str, first: RewardModel, other: RewardModel) -> None:
    """Raises: UserError if two members do not read the same, or are adapters of two bases."""
    one, two = first.network, other.network
    difference = two.codec.difference(one.codec) or ("context" if first.context != other.context else None)
    if difference is None and (one.role is None) != (two.role is None):
        difference = "adapter: one is a whole model"
    if difference is None and one.role and two.role and one.role.base.fingerprint != two.role.base.fingerprint:
        difference = "base"
    if difference is not None:
        raise UserError(
            f"{path}: the members of an ensemble are models of one base, but {other.name} differs from {first.name} in "
            f"its {difference}. Train the ensemble with prefloop reward members=N, which makes them alike."
        )
