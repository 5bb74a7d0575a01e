"""Preferences whose truth and whose noise are known, and judges of known skill."""

import random
from collections.abc import Callable, Sequence

import torch

from prefloop.records import Message, Preference, Vote
from prefloop.scoring.protocol import Conversation, Scored

WORDS = [f"word{number}" for number in range(200)]


def spoken_at_random(drawn: random.Random, num: int) -> str:
    """So many words."""
    return " ".join(drawn.choices(WORDS, k=num))


def pairs(
    num: int, *, seed: int = 0, votes: int = 3, right: float = 0.85, num_words: tuple[int, int] = (8, 12)
) -> list[Preference]:
    """One pair for each prompt; the better response ends in "good". Each vote is for it with the chance `right`.

    Rows are as `collect` writes them: decided by the majority, those without one too.
    """
    drawn = random.Random(seed)
    rows = []
    for number in range(num):
        good, bad = (f"{spoken_at_random(drawn, drawn.randint(*num_words))} {end}" for end in ("good", "poor"))
        for_good = sum(drawn.random() < right for _ in range(votes))
        chosen, rejected, count = (good, bad, for_good) if 2 * for_good >= votes else (bad, good, votes - for_good)
        said = [Vote(side="chosen", strength=2)] * count + [Vote(side="rejected", strength=1)] * (votes - count)
        rows.append(
            Preference(
                id=f"{seed}-{number}",
                messages=(Message(role="user", content=f"{spoken_at_random(drawn, 12)} {seed} {number}"),),
                chosen=chosen,
                rejected=rejected,
                votes=tuple(said),
                num_judgements=votes,
                strength=2.0,
                tags=(f"topic:{'ab'[number % 2]}", "calm"),
            )
        )
    return rows


class Judge:
    """A scorer that is a function of the response."""

    name = "out/reward/model"

    def __init__(self, number: Callable[[str], float]) -> None:
        self.number = number

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) what the function says."""
        return torch.tensor([self.number(response) for response in responses], dtype=torch.float64)

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: object = ()) -> Scored:
        """The same."""
        return Scored(self.score(prompts, responses))
