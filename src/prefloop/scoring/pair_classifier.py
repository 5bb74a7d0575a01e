"""A model that reads a prompt with two responses and says which is better; and the scores that follow from it.

It reads both orders and takes half their difference, so that exchanging the responses turns the sign of what it says,
to the bit. Of a single response it can say nothing: the scores of K responses to one prompt are the strengths of a
Bradley-Terry model fitted to what it says of all their pairs, with mean 0; they compare within the prompt only.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.special import expit
from torch import Tensor

from prefloop.errors import UserError
from prefloop.ops.preferences import pair_logit
from prefloop.scoring.protocol import Conversation, Scored, Tags
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.strengths import bradley_terry
from prefloop.text.examples import Cuts

PAIRS = "prefloop_pairs.json"
"""The file in a model's folder that says that it reads pairs."""
READS = {"reads": "prompt, first response, second response"}
SUREST = 15.0
"""Log-odds beyond which a pair is as sure as it gets, for the fit of scores."""


def both_orders(
    prompt: list[int], first: list[int], second: list[int], *, context: int, cuts: Cuts
) -> tuple[list[int], list[int]]:
    """A prompt with its two responses in tokens, in the order given and exchanged, cut to the context.

    Each response keeps at most half of the context, and its last token, which ends it; the prompt loses its beginning.
    """
    most = (context - 1) // 2
    few = [ids if len(ids) <= most else [*ids[: most - 1], ids[-1]] for ids in (first, second)]
    cuts.responses += (len(first) > most) + (len(second) > most)
    return cuts.fitted(prompt, few[0] + few[1], context), cuts.fitted(prompt, few[1] + few[0], context)


def is_pair_classifier(folder: str) -> bool:
    """Whether a model folder is one."""
    return (Path(folder) / PAIRS).is_file()


class PairClassifier(RewardModel):
    """A folder that `prefloop reward objective=pair_classifier` wrote."""

    def log_odds(self, prompts: Sequence[Conversation], first: Sequence[str], second: Sequence[str]) -> Tensor:
        """(B,) log-odds that the first response is better than the second."""
        rows = [*zip(*self._pairs(prompts, first, second), strict=True)] if prompts else [(), ()]
        sequences = sorted(set(map(tuple, itertools.chain(*rows))))  # the same, in whatever order they are asked about
        places = {sequence: place for place, sequence in enumerate(sequences)}
        raw = self.read([list(sequence) for sequence in sequences])[0]
        ahead, behind = (raw[[places[tuple(sequence)] for sequence in side]] for side in rows)
        return pair_logit(ahead, behind)

    def _pairs(
        self, prompts: Sequence[Conversation], first: Sequence[str], second: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        codec, before = self.network.codec, self.cuts.sentence(self.context)
        tokens = zip(codec.prompts(prompts), codec.responses(first), codec.responses(second), strict=True)
        pairs = [both_orders(*some, context=codec.context, cuts=self.cuts) for some in tokens]
        if not before and (sentence := self.cuts.sentence(codec.context)):
            print(f"{self.name}: {sentence} This is said once.")
        return pairs

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Tensor:
        """(B,) log-odds: strengths among the responses to the same prompt, with mean 0.

        Raises: UserError for a prompt with a single response.
        """
        groups: dict[Conversation, list[int]] = {}
        for place, prompt in enumerate(prompts):
            groups.setdefault(tuple(prompt), []).append(place)
        alone = sum(len(places) == 1 for places in groups.values())
        if alone:
            raise UserError(
                f"{self.name}: this model says which of two responses to a prompt is better, and nothing of a single "
                f"one, but {alone} of {len(groups)} prompts came with one response. Give several to each prompt, or "
                "train a reward model with another objective."
            )
        pairs = [pair for places in groups.values() for pair in itertools.combinations(places, 2)]
        said = self.log_odds(
            [prompts[i] for i, _ in pairs], [responses[i] for i, _ in pairs], [responses[j] for _, j in pairs]
        )
        chances = iter(expit(said.cpu().double().clamp(-SUREST, SUREST).numpy()).tolist())
        scores = torch.zeros(len(prompts))
        for places in groups.values():
            first, second = zip(*itertools.combinations(range(len(places)), 2), strict=True)
            outcomes = list(itertools.islice(chances, len(first)))
            fitted = bradley_terry(first, second, outcomes, num_players=len(places), ridge=0.0)
            scores[places] = torch.from_numpy(fitted.strengths).float()
        return scores

    @property
    def tells_outliers(self) -> bool:
        """It does not."""
        return False

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The scores."""
        return Scored(self.score(prompts, responses))

    def same(self, prompt: Conversation, responses: Sequence[str]) -> bool:
        """Whether two responses to a prompt are the same to this model."""
        codec = self.network.codec
        tokens = (*codec.prompts([prompt]), *codec.responses(responses))
        ahead, behind = both_orders(*tokens, context=codec.context, cuts=Cuts())
        return ahead == behind
