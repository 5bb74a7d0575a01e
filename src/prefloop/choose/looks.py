"""What models see in prompts: where a policy sees them, and how little a reward knows of its responses to them.

Shapes: B prompts, K responses to each, M members of a reward, D dimensions of an embedding.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.records import Prompt
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.pair_classifier import PairClassifier
from prefloop.scoring.protocol import of_several
from prefloop.scoring.reward_model import BATCH_TOKENS, RewardModel, narrowed
from prefloop.settings import SamplingConfig
from prefloop.stats.choosing import bald
from prefloop.text.batches import cut

Array = NDArray[np.float64]
DIGITS = 5
"""Digits of an embedding that are kept."""


@torch.no_grad()
def embedded(policy: Network, ids: Sequence[Sequence[int]]) -> list[list[float]]:
    """(B, D) where a policy sees prompts: the mean of its last hidden states over their tokens, D as in
    scoring/reward_model.py. What does not fit its context is cut at the beginning."""
    sequences = [list(one)[-policy.codec.context :] for one in ids]
    lengths = [len(one) for one in sequences]
    seen: dict[int, list[float]] = {}
    for batch in cut(sorted(range(len(lengths)), key=lengths.__getitem__), lengths, limit=BATCH_TOKENS):
        stream = Stream.of([sequences[i] for i in batch], policy.device)
        hidden = policy.hidden_states(stream).float()
        total = hidden.new_zeros(len(batch), hidden.shape[1]).index_add_(0, stream.rows, hidden)
        means = narrowed(total.cpu() / torch.tensor(stream.lengths)[:, None])
        rows = means.cpu().double().tolist()
        seen |= {i: [float(f"{x:.{DIGITS}g}") for x in row] for i, row in zip(batch, rows, strict=True)}
    return [seen[place] for place in range(len(ids))]


def unsure(
    policy: Network,
    judge: RewardModel | Ensemble,
    prompts: Sequence[Prompt],
    ids: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    place: int,
    *,
    copies: int,
) -> tuple[list[float], int]:
    """(B,) nats that a judgement of two of the policy's responses would teach, on average over their pairs; and the
    tokens that were written.

    Of several members it is what they disagree on (`stats.choosing.bald`); a single model has no second opinion, and
    counts the entropy of its own probability, noise included.

    Args:
        judge: members, or a single model.
        sampling: how responses are drawn.
        place: seed of their random numbers.
        copies: K.
    """
    sampled = InProcess(policy).sample(ids, sampling, place, copies=copies)
    texts = [policy.codec.decode(one.tokens) for one in sampled]
    said = of_several(judge, prompts, texts, copies=copies)
    members = said.scores[:, None] if said.members is None else said.members  # (B K, M)
    table = members.cpu().double().numpy().T.reshape(members.shape[1], len(prompts), copies)
    learned = [
        _learned(table[:, row] * _units(judge, prompt.tags, len(table))[:, None]) for row, prompt in enumerate(prompts)
    ]
    return learned, sum(len(one.tokens) for one in sampled)


def _units(judge: RewardModel | Ensemble, tags: Sequence[str], num: int) -> Array:
    """(M,) log-odds that a difference of 1 between two scores of each member stands for."""
    if isinstance(judge, Ensemble):
        return np.array([member.unit(tags) for member in judge.members])
    return np.full(num, 1.0 if isinstance(judge, PairClassifier) else judge.unit(tags))


def _learned(odds: Array) -> float:
    """Nats of a pair, on average over all pairs. Args: odds: (M, K) log-odds, but for what they begin at."""
    first, second = zip(*itertools.combinations(range(odds.shape[1]), 2), strict=True)
    chances = special.expit(odds[:, list(first)] - odds[:, list(second)])  # (M, pairs)
    if len(chances) > 1:
        return float(bald(chances).mean())
    return float((special.entr(chances) + special.entr(1.0 - chances)).mean())
