"""Rollouts of earlier steps, learned from again as if they were written now.

At the beginning of a step all that will be learned from is read by the present policy, reference and critic, replayed
rollouts among it. A replayed token weighs min(present policy / policy that wrote it, cap); its advantage and value
target are V-trace's (Espeholt et al. 2018, arXiv:1802.01561), its drift is charged as the present policy drifts, and
its ratio, as that of every token, is to the policy of the step's beginning: Hilton et al. 2021 (arXiv:2110.00641), eq.
3, a clip around a policy that need not be the one that wrote. What is not corrected: which states there are, beyond one
token at a time; and a response keeps the score that it was given when it was written.

Shapes: B new responses of a step, R replayed ones behind them, T tokens of the longest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from prefloop.align import online
from prefloop.align.config import PPOConfig
from prefloop.align.drift import Terms
from prefloop.align.online import Before
from prefloop.align.progress import Batch, moved
from prefloop.ops.draws import shuffled
from prefloop.ops.replay import effective_share, truncated_weights, vtrace
from prefloop.sampling.rollouts import Rollouts, stacked
from prefloop.text.examples import Asked


@dataclass(frozen=True)
class Past:
    """Rollouts of earlier steps: one step's, or those that were drawn."""

    rollouts: Rollouts
    scores: Tensor
    """(R,) reward units, as they were given"""
    shaped: Tensor
    """(R,) reward units, as they were rewarded"""
    placed: Tensor
    """(R, T) reward units, the part of them that was paid within the responses"""
    logprobs: Tensor
    """(R, T) nats, under the policy that wrote them"""
    ids: tuple[str, ...]
    """R ids of prompts"""
    steps: tuple[int, ...]
    """R steps in which they were written, from 1"""

    def on(self, device: torch.device) -> Self:
        """The same, all of it on one device: scores come from the CPU."""
        return type(self)(**moved(vars(self), device))


class Memory:
    """The rollouts of the last few steps."""

    def __init__(self, config: PPOConfig, *, device: torch.device) -> None:
        self._config, self._device = config, device
        self._kept: list[Past] = []
        self._new: dict[str, Tensor] = {}

    @property
    def num(self) -> int:
        """R, how many are learned from again in the next step."""
        share = self._config.replay_share
        wanted = round(self._config.rollouts_per_step * share / (1 - share))
        return min(wanted, sum(len(past.steps) for past in self._kept))

    def order(self, step: int) -> list[list[int]]:
        """The rows of each update of a step: its minibatches, and in each its part of the replayed rows, which every
        epoch deals out anew."""
        config, num = self._config, self._config.rollouts_per_step
        updates = online.order(config, step)
        if not self.num:
            return updates
        mixed, each = list[list[int]](), num // config.minibatch_size
        for epoch in range(config.epochs):
            old = [num + i for i in shuffled(self.num, config.seed, "online.replay", step, epoch)]
            mixed += [rows + old[i::each] for i, rows in enumerate(updates[epoch * each : (epoch + 1) * each])]
        return mixed

    def drawn(self, step: int) -> Past | None:
        """The rollouts that a step learns from again, each at most once; None if there are none."""
        if not self.num:
            return None
        everything = _joined(self._kept)
        rows = shuffled(len(everything.steps), self._config.seed, "online.replay", step)[: self.num]
        index = torch.tensor(rows, device=self._device)
        return Past(
            everything.rollouts.picked(rows),
            everything.scores[index],
            everything.shaped[index],
            everything.placed[index],
            everything.logprobs[index],
            tuple(everything.ids[i] for i in rows),
            tuple(everything.steps[i] for i in rows),
        )

    def joined(
        self, rollouts: Rollouts, scores: Tensor, shaped: Tensor, placed: Tensor | None, step: int
    ) -> tuple[Rollouts, Tensor, Tensor, Tensor | None, Past | None]:
        """A step's new rollouts with their scores as given, as rewarded and as paid within, and the replayed ones
        behind them, which are told by themselves too; None for none."""
        within = torch.zeros(rollouts.mask.shape, device=shaped.device) if placed is None else placed
        if self._config.replay_steps:
            self._new = {"shaped": shaped, "placed": within}
        past = self.drawn(step)
        if past is None:
            return rollouts, scores, shaped, placed, None
        both = ((scores, past.scores), (shaped, past.shaped))
        scores, shaped = (torch.cat([new, old.to(new)]) for new, old in both)
        if placed is not None or bool(past.placed.any()):
            placed = stacked([within, past.placed.to(within)])
        return rollouts.joined([past.rollouts]), scores, shaped, placed, past

    def keep(self, step: int, new: Batch, prompts: Sequence[Asked]) -> None:
        """Takes over a finished step's rollouts, and forgets those that are too old.

        Args:
            step: from 1.
            new: its new rows.
            prompts: of these.
        """
        if self._config.replay_steps:
            shaped, width = self._new["shaped"], new.rollouts.mask.shape[1]
            placed = pad(self._new["placed"], (0, width - self._new["placed"].shape[1]))
            ids, steps = tuple(prompt.id for prompt in prompts), (step,) * len(prompts)
            kept = Past(new.rollouts, new.scores, shaped, placed, new.logprobs, ids, steps)
            self._kept.append(kept.on(self._device))
            del self._kept[: -self._config.replay_steps]

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"kept": [{**vars(past), "rollouts": vars(past.rollouts)} for past in self._kept], "new": self._new}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self._new = moved(state["new"], self._device)
        self._kept = [
            Past(**{**past, "rollouts": Rollouts(**moved(past["rollouts"], self._device))}).on(self._device)
            for past in state["kept"]
        ]


@dataclass(frozen=True)
class Corrected:
    """What a step's rows are worth to the present policy. Grids of (B + R, T)."""

    advantages: Tensor
    returns: Tensor
    weights: Tensor
    """1 for what was written now, 0 at padding behind it"""
    told: dict[str, float]
    """what is logged of it"""

    @property
    def learned(self) -> tuple[Tensor, Tensor]:
        """What the critic is to predict, and what tokens weigh."""
        return self.returns, self.weights

    @classmethod
    def of(
        cls,
        config: PPOConfig,
        past: Past | None,
        before: Before,
        mask: Tensor,
        rewards: Tensor,
        advantages: Tensor,
        returns: Tensor,
    ) -> Self:
        """Leaves the new rows as they are, and corrects the replayed ones.

        Args:
            past: the replayed ones; None for none.
            before: what is said of all rows now.
            mask, rewards: (B + R, T).
            advantages, returns: (B + R, T), as if the present policy had written all.
        """
        weights = torch.ones_like(advantages)
        if past is None:
            return cls(advantages, returns, weights, {})
        assert before.values is not None  # a critic is there
        old, cap = slice(len(mask) - len(past.steps), None), config.replay_cap
        inside, now = mask[old], before.logprobs[old]
        weighed = torch.where(inside, truncated_weights(now, stacked([past.logprobs, now[:0]]), cap=cap), 0.0)
        again = vtrace(rewards[old], before.values[old], weighed, inside, discount=config.discount, decay=config.decay)
        advantages, returns = advantages.clone(), returns.clone()
        advantages[old], returns[old], weights[old] = *again, weighed
        seen, full = weighed[inside].cpu().double(), (weighed[inside] >= cap).cpu().double()
        told = {
            "replay/weight": float(seen.mean()),
            "replay/ess": float(effective_share(seen)),
            "replay/truncated": float(full.mean()),
        }
        return cls(advantages, returns, weights, told)


def weighted(terms: Terms, weights: Tensor, *, exact: Tensor | None) -> Terms:
    """Terms of a loss, where what a token was sampled for weighs as the token does: drift that is told from it, but not
    what is told of the whole distribution.

    Args:
        weights: (M,).
        exact: drift of the whole distribution, if it is that which is a term.
    """
    told = {"loss/kl"} if exact is None else set[str]()
    return {name: (coef, weights * term if name in told else term) for name, (coef, term) in terms.items()}


def _joined(each: Sequence[Past]) -> Past:
    """Those of several steps as one."""
    return Past(
        each[0].rollouts.joined([past.rollouts for past in each[1:]]),
        torch.cat([past.scores for past in each]),
        torch.cat([past.shaped for past in each]),
        stacked([past.placed for past in each]),
        stacked([past.logprobs for past in each]),
        tuple(one for past in each for one in past.ids),
        tuple(one for past in each for one in past.steps),
    )
