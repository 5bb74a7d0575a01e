"""Several rewards added to one: each a reward model or a function, with its weight, and perhaps with a level to keep.

    score = sum over parts of weight * score of the part

A part with `at_least` is a constraint on its mean over a step's responses. It is kept by a multiplier that begins at 0,
grows while the mean is below and shrinks while it is above (dual ascent; Dai et al. 2023, Safe RLHF, eq. 11,
arXiv:2310.12773):

    score      += multiplier * (score of the part - at_least)
    multiplier  = max(0, multiplier + rate * (at_least - mean score of the part))

Shapes: B responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from prefloop.scoring.protocol import Conversation, Place, Scored, Scorer, Tags, summed
from prefloop.settings import Component


class Composite:
    """Rewards with weights, as one scorer."""

    def __init__(self, settings: Mapping[str, Component], scorers: Mapping[str, Scorer]) -> None:
        """Args: settings, scorers: by name, the same names."""
        self.settings, self.scorers = settings, scorers
        self.name = " + ".join(f"{part.weight:g} {part.model}" for part in settings.values())

    @property
    def tells_outliers(self) -> bool:
        """Whether one of them tells what is unusual to it."""
        return any(scorer.tells_outliers for scorer in self.scorers.values())

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Tensor:
        """(B,) the weighted sum."""
        return self.detailed(prompts, responses).scores

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The weighted sum with its parts. A response is as unusual as it is to the model to which it is most so."""
        said = {name: judge.detailed(prompts, responses, tags) for name, judge in self.scorers.items()}
        return weighted(said, {name: part.weight for name, part in self.settings.items()})


def weighted(components: Mapping[str, Scored], weights: Mapping[str, float]) -> Scored:
    """What several scorers say of the same responses, as one.

    Disagreements add up as deviations of independent numbers do: by their squares.
    """
    parts = {name: weights[name] * said.scores for name, said in components.items()}
    limited = {name: weights[name] * _limited(said, weights[name]) for name, said in components.items()}
    outliers = [said.outlier for said in components.values() if said.outlier is not None]
    apart = [weights[name] * said.disagreement for name, said in components.items() if said.disagreement is not None]
    return Scored(
        summed(parts),
        parts,
        outlier=torch.stack(outliers).amax(0) if outliers else None,
        limited=summed(limited) if outliers else None,
        disagreement=torch.stack(apart).square().sum(0).sqrt() if apart else None,
        components=components,
        placed=_placed(components, weights),
    )


def _placed(components: Mapping[str, Scored], weights: Mapping[str, float]) -> list[list[Place]]:
    """What the parts pay within responses, weighted; the rest of the sum is paid at their ends."""
    some = [(weights[name], said.placed) for name, said in components.items() if said.placed]
    columns = [[[(end, weight * paid) for end, paid in places] for places in placed] for weight, placed in some]
    return [[place for places in row for place in places] for row in zip(*columns, strict=True)]


def constrained(scored: Scored, levels: Mapping[str, float], multipliers: Mapping[str, float]) -> Scored:
    """What is optimised under constraints: each part that has one counts by its multiplier more.

    Args:
        levels: name of a part -> the mean score that it is to keep.
        multipliers: of the same names, at least 0.
    """
    if not levels:
        return scored
    parts, limited = dict(scored.parts), scored.limited
    for name, level in levels.items():
        said, multiplier = scored.components[name], multipliers[name]
        parts[name] = parts[name] + multiplier * (said.scores - level)
        limited = None if limited is None else limited + multiplier * (_limited(said, multiplier) - level)
    return replace(scored, scores=summed(parts), parts=parts, limited=limited)


def _limited(said: Scored, weight: float) -> Tensor:
    """(B,) the scores, no higher than known responses reach where more would count for more."""
    return said.scores if said.limited is None or weight < 0 else said.limited


def next_multiplier(multiplier: float, margin: float, *, rate: float) -> float:
    """The multiplier of a constraint after a step. Args: margin: mean score less what it is to be at least."""
    return max(0.0, multiplier - rate * margin)
