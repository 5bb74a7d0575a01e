"""ILQL: of each token of a recorded response, how much better it was than what one expects there; the better ones are
imitated more.

Reads and writes what offline.py does, whose method it is. Follows Snell et al. 2022 (arXiv:2206.11871) and Kostrikov et
al. 2021 (arXiv:2110.06169): heads on the policy's trunk say what a token is worth (Q, learned from one step ahead) and
what its place is worth (V, an expectile of Q over the data); a slow copy of Q is what V and the weights are made of.
Leaves out: ILQL's way of writing, which adds beta (Q - V) to the logits as it samples and so needs the heads for ever.
Here the policy takes that in by weights exp((Q - V) / beta), and what is written is a plain model. Also left out: two
Qs of which the lower counts.

Shapes: N responses, T tokens of the longest, M tokens of all.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prefloop.direct import learning
from prefloop.direct.config import OfflineConfig
from prefloop.direct.implied import Packed
from prefloop.direct.learning import Setup
from prefloop.direct.marks import columns_of
from prefloop.feedback.items import Item
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.direct import advantage_weights, expectile_loss, followed, td_targets
from prefloop.ops.preferences import regression_loss
from prefloop.ops.rewards import token_rewards
from prefloop.ops.vocabulary import Head, token_readings
from prefloop.run import Run


class Values(nn.Module):
    """What tokens and places are worth: heads on the policy's states, which begin at zero."""

    def __init__(self, policy: Network) -> None:
        """Args: policy: on whose states they stand."""
        super().__init__()
        size = policy.pretrained.config.get_text_config()
        self.q = nn.Linear(int(size.hidden_size), int(size.vocab_size))
        self.v = nn.Linear(int(size.hidden_size), 1)
        for part in (*self.q.parameters(), *self.v.parameters()):
            nn.init.zeros_(part)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.to(policy.device)

    def group(self, lr: float) -> Group:
        """What of them learns."""
        return Group((*self.q.parameters(), *self.v.parameters()), lr, follows=True)

    @torch.no_grad()
    def follow(self, *, mix: float) -> None:
        """Moves the slow copy towards Q."""
        for slow, now in zip(self.target.parameters(), self.q.parameters(), strict=True):
            slow.copy_(followed(slow, now, mix=mix))


def of_tokens(head: nn.Linear, states: Tensor, tokens: Tensor) -> Tensor:
    """(M,) what a head says of one token each. Args: states: (M, width). tokens: (M,)."""
    return (states * head.weight[tokens]).sum(-1) + head.bias[tokens]


@dataclass(frozen=True)
class Told:
    """What is said of each token of some responses. All (N, T), 0 behind the end of a response."""

    mask: Tensor
    """bool"""
    nats: Tensor
    """surprise at it, under the policy"""
    q: Tensor
    """what it is worth, in deviations of marks"""
    slow: Tensor
    """the same by the slow copy; no grad"""
    values: Tensor
    """what its place is worth"""
    conservative: Tensor
    """nats, surprise at it by the softmax of Q"""


def told(policy: Network, heads: Values, items: Sequence[Item]) -> Told:
    """Reads the responses of items."""
    packed = Packed.of(items, policy.device)
    stream, where = packed.stream, packed.index[packed.there]
    logprobs, states = policy.logprobs_and_states(stream)
    with torch.no_grad():
        slow = of_tokens(heads.target, states, stream.tokens)
    head = Head(heads.q.weight, heads.q.bias, 1.0, None, None)
    each = (
        -logprobs,
        of_tokens(heads.q, states, stream.tokens),
        slow,
        heads.v(states)[:, 0],
        -token_readings(states, stream.tokens, head, temperature=1.0, entropy="none")[0],
    )
    return Told(stream.mask[where], *(stream.grid(column)[where] for column in each))


def terms(config: OfflineConfig, said: Told, marks: Tensor) -> dict[str, Tensor]:
    """(N, T) the weights of tokens, and what each costs: as a word of the policy, as Q, as V, and by others that Q
    likes; 0 behind the end. Args: marks: (N,) in deviations, earned at the last token."""
    rewards = token_rewards(marks, torch.zeros_like(said.nats), said.mask, kl_coef=0.0)
    targets = td_targets(rewards, said.values.detach(), said.mask, discount=config.discount)
    weights = advantage_weights(said.slow - said.values, beta=config.beta, most=config.most)
    found = {
        "weights": weights,
        "train": weights * said.nats,
        "q": regression_loss(said.q, targets),
        "value": expectile_loss(said.values, said.slow, expectile=config.expectile),
        "conservative": said.conservative,
    }
    return {name: torch.where(said.mask, value, 0.0) for name, value in found.items()}


def whole(config: OfflineConfig, parts: dict[str, Tensor]) -> Tensor:
    """() the loss. Args: parts: sums of `terms`."""
    beside = parts["q"] + parts["value"] + config.cql_coef * parts["conservative"]
    return parts["train"] + config.value_coef * beside


def update(
    run: Run, setup: Setup, config: OfflineConfig, optimizer: Optimizer, items: Sequence[Item]
) -> dict[str, float]:
    """One update by the tokens of items, and the slow copy moves. Returns: its metrics, means over tokens."""
    heads = setup.beside
    assert isinstance(heads, Values)  # nobody else calls it
    marks, shares, lengths = columns_of(items, setup.policy.device)
    num, divisor = lengths.sum(), (shares * lengths).sum()
    sums, begin = Sums(), 0
    for few in learning.micro_batches(items, limit=setup.sizes.micro_tokens):
        here = slice(begin, begin + sum(len(item.marks) for item in few))
        begin = here.stop
        parts = terms(config, told(setup.policy, heads, few), marks[here])
        weights = parts.pop("weights")
        losses = {name: shares[here][:, None] * value / divisor for name, value in parts.items()}
        whole(config, {name: value.sum() for name, value in losses.items()}).backward()
        sums.add("loss/train", losses["train"])
        sums.add("loss/q", losses["q"])
        sums.add("loss/value", losses["value"])
        sums.add("loss/conservative", losses["conservative"])
        sums.add("weights/clipped", (weights >= config.most).float() / num)
        sums.add("whole", weights)
        sums.add("squares", weights.square())
    found = learning.updated(run, optimizer, sums)
    heads.follow(mix=config.target_mix)
    effective = found.pop("whole") ** 2 / (found.pop("squares") * float(num))
    return {**found, "weights/effective": effective}


@torch.no_grad()
def validated(setup: Setup, config: OfflineConfig, items: Sequence[Item]) -> dict[str, float]:
    """The losses over the held-out responses, which may be none, as if they were one update."""
    heads = setup.beside
    assert isinstance(heads, Values)  # nobody else calls it
    if not items:
        return {}
    marks, shares, lengths = columns_of(items, setup.policy.device)
    sums, begin, divisor = Sums(), 0, (shares * lengths).sum()
    for few in learning.micro_batches(items, limit=setup.sizes.reading_tokens):
        here = slice(begin, begin + sum(len(item.marks) for item in few))
        begin = here.stop
        parts = terms(config, told(setup.policy, heads, few), marks[here])
        sums.add("loss/validation", shares[here][:, None] * parts["train"] / divisor)
        sums.add("loss/value_validation", shares[here][:, None] * parts["value"] / divisor)
    return sums.fetched()
