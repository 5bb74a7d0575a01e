"""The health card of a model that was just trained: of margins that are known, and of some edits scored anew."""

from collections.abc import Callable, Sequence

import torch

from prefloop import layout
from prefloop.health import page
from prefloop.health.card import MOST_TRAINING, make_card
from prefloop.health.probes import LEAST, NUM_ROWS
from prefloop.health.words import label, says
from prefloop.models.batching import Batching
from prefloop.models.network import Network
from prefloop.ops.draws import permutation
from prefloop.records import Preference
from prefloop.records.cards import Card
from prefloop.reward.data import Told
from prefloop.reward.items import Asks, Tokenised, as_pairs, tokenised
from prefloop.run import Run
from prefloop.scoring.protocol import Conversation, Scored
from prefloop.text.batches import cut
from prefloop.text.examples import fitted

AT_ONCE = 1000
"""Training rows that are in memory as tokens at once."""


class Trained:
    """The network in memory as a scorer, in raw scores."""

    tells_outliers = False

    def __init__(
        self, name: str, network: Network, sizes: Batching, mean: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        """Args: name: where it is saved; mean: (B, C) raw scores -> (B,) their score together."""
        self.name, self.network, self.sizes, self.mean = name, network, sizes, mean

    @torch.no_grad()
    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) raw scores, on the CPU."""
        codec = self.network.codec
        both = zip(codec.prompts(prompts), codec.responses(responses), strict=True)
        sequences = [fitted(prompt, response, codec.context) for prompt, response in both]
        parts = cut(range(len(sequences)), [len(s) for s in sequences], limit=self.sizes.reading_tokens)
        return torch.cat([self.mean(self.network.score_table([sequences[i] for i in part])).cpu() for part in parts])

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        """The same."""
        return Scored(self.score(prompts, responses))


def card_of(
    judge: Trained,
    held_out: Sequence[tuple[float, Preference]],
    training: Told,
    asks: Asks | None,
    *,
    alone: bool,
    seed: int,
    accuracy_train: float | None,
    tie_edge: float,
) -> Card | None:
    """The card; None if no held-out pair has a decision.

    Args:
        held_out: (margin, pair), those without a majority among them.
        asks: what is learned of rated responses.
        alone: False for a model that reads pairs, of whose judgement of edited responses nothing can be said.
        accuracy_train: on some training pairs.
        tie_edge: log-odds where a tie ends.
    """
    rows = [pair for _, pair in held_out]
    decided = {pair.messages for pair in rows if pair.decided}
    if not decided:
        return None
    half = len(decided) // 2  # of few prompts not all are spent on edits, which would take longer than learning did
    return make_card(
        judge,
        rows,
        seed=seed,
        margins=[margin for margin, _ in held_out],
        training=learned_from(training, judge.network, asks, seed),
        accuracy_train=accuracy_train,
        tie_edge=tie_edge,
        num_probed=min(NUM_ROWS, half) if alone and half >= LEAST else 0,
    )


def learned_from(training: Told, network: Network, asks: Asks | None, seed: int) -> list[Preference]:
    """The pairs of the training rows, of at most `MOST_TRAINING` rows."""
    order = permutation(len(training), seed, "health.training")[:MOST_TRAINING].sort().values
    pairs: list[Preference] = []
    for some in order.split(AT_ONCE):
        told: Tokenised = tokenised(training.take(some.numpy()), network, asks=asks)
        for row, item in zip(told.rows, told.items, strict=True):
            pairs += as_pairs(row, item)
    return pairs


def shown(card: Card, run: Run) -> tuple[str, ...]:
    """Writes the card's pages and says what they say. Returns: what was found."""
    english, _ = page.write(card, run.folder, title=str(run.folder / layout.MODEL))
    for reason in card.reasons:
        if reason.stops:
            run.say(says(reason))
    others = sum(not reason.stops for reason in card.reasons)
    also = f" {others} more to know stand on it." if others else ""
    run.say(f"{english}: the health card of this reward model. {label(card.verdict, 'en')}{also}")
    return tuple(says(reason) for reason in card.reasons)
