"""The score that a policy gives a response without a reward model: how much likelier than the reference it makes it.

Shapes: B items, K responses of the item that has most of them, M response tokens.

Rafailov et al. 2023, eq. 5 (arXiv:2305.18290): the policy that is best for a reward is pi_ref exp(reward / beta), so
every policy is the best one for the reward beta log(pi / pi_ref), up to a number for each prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from prefloop.direct.config import REFERENCE_FREE, CPLConfig, DirectConfig, DPOConfig, OfflineConfig, RatioConfig
from prefloop.feedback.items import Item
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream
from prefloop.ops.direct import discounted_sums, dpop_penalty, linked, log_odds


@dataclass(frozen=True)
class Packed:
    """The different responses of some items as one stream, prompts that they share once, and whose each is."""

    stream: ResponseStream
    index: Tensor
    """(B, K) which response of the stream each item's are"""
    there: Tensor
    """(B, K) True where an item has one"""
    lengths: Tensor
    """(B, K) tokens, the end-of-text token included; 1 where there is none"""

    @classmethod
    def of(cls, items: Sequence[Item], device: torch.device) -> Self:
        """The stream of at least one item."""
        places: dict[tuple[int, tuple[int, ...]], int] = {}
        most = max(len(item.sequences) for item in items)
        index = torch.zeros(len(items), most, dtype=torch.long)
        there = torch.zeros(len(items), most, dtype=torch.bool)
        for row, item in enumerate(items):
            for column, (sequence, begin) in enumerate(zip(item.sequences, item.begins, strict=True)):
                index[row, column] = places.setdefault((begin, tuple(sequence)), len(places))
                there[row, column] = True
        prompts = [sequence[:begin] for begin, sequence in places]
        responses = [sequence[begin:] for begin, sequence in places]
        lengths = torch.tensor([len(response) for response in responses], dtype=torch.float32)
        lengths = torch.where(there, lengths[index], 1.0)
        stream = ResponseStream.of(prompts, responses, device)
        return cls(stream, index.to(device), there.to(device), lengths.to(device))

    def logprobs(self, network: Network) -> Tensor:
        """(B, K) nats of each whole response, 0 where there is none."""
        return self.logprobs_and_discounted(network, discount=1.0)[0]

    def logprobs_and_discounted(self, network: Network, *, discount: float) -> tuple[Tensor, Tensor]:
        """(B, K) nats of each whole response, 0 where there is none; and the same where the nats of its token t, from
        0, are discount^t of themselves."""
        tokens, stream = network.logprobs(self.stream, temperature=1.0), self.stream
        whole = self.summed(tokens)
        if discount == 1:
            return whole, whole
        return whole, self.laid(discounted_sums(stream.grid(tokens), stream.mask, discount=discount, alpha=1.0))

    def summed(self, tokens: Tensor) -> Tensor:
        """(B, K) sums of (M,) numbers of response tokens, 0 where there is no response."""
        return self.laid(tokens.new_zeros(len(self.stream.lengths)).index_add(0, self.stream.rows, tokens))

    def laid(self, responses: Tensor) -> Tensor:
        """(B, K) a number of each different response, 0 where an item has none."""
        return torch.where(self.there, responses[self.index], 0.0)


@dataclass(frozen=True)
class Said:
    """What policy and reference say of the responses of some items. All (B, K), 0 where there is no response."""

    logprobs: Tensor
    """nats of the whole response, under the policy"""
    ref_logprobs: Tensor
    """nats, under the reference"""
    lengths: Tensor
    """tokens; 1 where there is none"""
    discounted: Tensor
    """the same as `logprobs`, or, of a method that discounts, with less of the nats of later tokens"""

    @property
    def means(self) -> Tensor:
        """Nats of the mean token, under the policy."""
        return self.logprobs / self.lengths

    def log_ratios(self, config: RatioConfig) -> Tensor:
        """Nats by which the policy makes each response likelier than the reference does, of all its tokens or of the
        mean one."""
        ratios = self.logprobs - self.ref_logprobs
        return ratios / self.lengths if config.length == "mean" else ratios


def scores(config: DirectConfig, said: Said, items: Sequence[Item]) -> Tensor:
    """(B, K) the score of each response, in log-odds as an objective takes them; see the setting `score`. Where none
    is taught, offline, it is the log-ratio to the reference."""
    if isinstance(config, CPLConfig):
        return config.alpha * said.discounted
    if isinstance(config, OfflineConfig):
        return said.logprobs - said.ref_logprobs
    assert isinstance(config, RatioConfig)  # no other asks for scores
    if not isinstance(config, DPOConfig):
        return config.beta * said.log_ratios(config)
    match config.score:
        case "simpo":
            found = config.beta * said.means
        case "cpo":
            found = config.beta * said.logprobs
        case "orpo":
            found = config.beta * log_odds(said.means)
        case "dpo":
            ratios = said.log_ratios(config)
            found = config.beta * linked(ratios, divergence=config.divergence, alpha=config.divergence_alpha)
    return found


def charged(config: DirectConfig, said: Said, values: Tensor, items: Sequence[Item]) -> Tensor:
    """(B, K) what an objective is shown: the scores, those of the best responses less what is charged of them (see the
    settings `margin` and `dpop_coef`). Args: values: (B, K) scores."""
    if not isinstance(config, DPOConfig) or not (config.margin or config.dpop_coef):
        return values
    charge = torch.full_like(values, config.margin)
    if config.dpop_coef:
        charge = charge + config.beta * dpop_penalty(said.log_ratios(config), coef=config.dpop_coef)
    return values - charge * best(items, values)


def best(items: Sequence[Item], like: Tensor) -> Tensor:
    """(B, K) 1 at the better response of a pair, or at the best of several (the first of equals), else 0; an item in
    which nothing was told apart has none."""
    found = torch.zeros(like.shape)
    for row, item in enumerate(items):
        if item.pairs:
            found[row, item.pairs[_first(item)][0]] = 1.0
    return found.to(like)


def ends(items: Sequence[Item]) -> tuple[list[int], list[int], list[int]]:
    """Of each item in which something was told apart: its number, its best response, and its worst."""
    rows, top, bottom = list[int](), list[int](), list[int]()
    for row, item in enumerate(items):
        if item.pairs:
            rows.append(row)
            top.append(item.pairs[_first(item)][0])
            bottom.append(max(item.pairs, key=lambda pair: item.ranks[pair[1]])[1])
    return rows, top, bottom


def _first(item: Item) -> int:
    """The number of the pair whose better response has the best rank of all."""
    return min(range(len(item.pairs)), key=lambda pair: item.ranks[item.pairs[pair][0]])


def needs_reference(config: DirectConfig) -> bool:
    """Whether its loss asks the reference."""
    if isinstance(config, DPOConfig):
        return config.score not in REFERENCE_FREE
    return not isinstance(config, CPLConfig)


def discount_of(config: DirectConfig) -> float:
    """What each token of a response counts beside the one before it."""
    return config.discount if isinstance(config, CPLConfig) else 1.0
