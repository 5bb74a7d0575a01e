"""Blind checkpoint against checkpoint: who wins, whether that is certain by now, and a leaderboard of all of them.

Comparisons of an arena carry the tag `arena`; their responses name their samplers, which annotators never see. A
verdict may be looked at after every judgement: the interval is a confidence sequence. Judgements of one prompt are one
observation: its share of wins. The leaderboard is Bradley-Terry with errors clustered by prompt, raw and with length
taken out.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from prefloop.files.arenas import ARENA, AUDIT
from prefloop.stats import sequential, strengths
from prefloop.web.body import finite
from prefloop.web.store.comparisons import of_comparisons, of_responses, tags_of
from prefloop.web.store.tables import comparisons, items, responses
from prefloop.web.work.votes import votes_where

ALPHA = 0.05
ELO = {"k": 32.0, "start": 1000.0}
RIDGE = 0.01
"""Of the leaderboard: strengths stay finite while somebody has won everything."""
Z = 1.959964
CONTROLLED = 30
"""Prompts from which on length is taken out; of fewer it would only be guessed."""
PER_SLICE = 5
"""Games from which on a tag has a board of its own."""


@dataclass(frozen=True)
class Game:
    """One judgement of two samplers' responses."""

    prompt: str
    first: str
    second: str
    score: float
    """1 if the first was preferred, 0 if the second, 1/2 for ties and both bad"""
    letters: tuple[int, int]
    tags: tuple[str, ...]

    @property
    def is_fair(self) -> bool:
        """False if it was chosen by how the response turned out: then it is in the slices only."""
        return not any(tag.startswith(AUDIT) for tag in self.tags)


def games(connection: Connection) -> list[Game]:
    """All that was judged in the arena, oldest first."""
    votes = votes_where(connection, items.c.purpose == ARENA, items.c.kind == "pair")
    judged = [vote for vote in votes if not vote.repeat and vote.counted]
    names = {vote.comparison for vote in judged}
    samplers = of_responses(connection, names, responses.c.sampler)
    letters = of_responses(connection, names, func.length(responses.c.text))
    prompts, tags = of_comparisons(connection, names, comparisons.c.prompt_id), tags_of(connection, names)
    played = []
    for vote in judged:
        first, second = ((vote.comparison, index) for index in vote.responses)
        own = tuple(tag for tag in tags[vote.comparison] if tag != ARENA)
        both, score = (letters[first], letters[second]), vote.share(vote.responses[0])
        played.append(Game(prompts[vote.comparison], samplers[first], samplers[second], score, both, own))
    return played


def duel(played: Sequence[Game], new: str, old: str, *, alpha: float, worthwhile: float) -> dict[str, Any]:
    """The new sampler against the old: ship, hold, or how many more. A prompt counts once, with its share of wins."""
    by_prompt: dict[str, list[float]] = defaultdict(list)
    wins = losses = ties = 0
    for game in played:
        if {game.first, game.second} != {new, old}:
            continue
        score = game.score if game.first == new else 1.0 - game.score
        by_prompt[game.prompt].append(score)
        wins, losses, ties = wins + (score == 1), losses + (score == 0), ties + (score == 0.5)
    shares = [sum(scores) / len(scores) for scores in by_prompt.values()]
    won, per_prompt = sum(shares), (wins + losses + ties) / max(len(shares), 1)
    decision = sequential.decision(won, len(shares) - won, 0.0, alpha=alpha, worthwhile=worthwhile)
    more = None if decision.expected_more is None else math.ceil(decision.expected_more * max(per_prompt, 1.0))
    low, high = decision.interval
    return {
        "new": new, "old": old, "wins": wins, "losses": losses, "ties": ties, "prompts": len(shares),
        "verdict": decision.verdict, "win_rate": finite(decision.win_rate), "low": finite(low), "high": finite(high),
        "e_value": finite(decision.e_value, 4), "expected_more": more, "alpha": alpha, "worthwhile": worthwhile,
    }  # fmt: skip


def board(played: Sequence[Game]) -> dict[str, Any]:
    """Strengths of all samplers, with intervals, raw and with length taken out; None where nothing can be said."""
    names = sorted({name for game in played for name in (game.first, game.second)})
    if len(names) < 2:
        says = "fewer than two samplers played"
        return {"rows": [], "length_effect": None, "games": len(played), "prompts": 0, "problem": says}
    place = {name: n for n, name in enumerate(names)}
    first, second = np.array([place[g.first] for g in played]), np.array([place[g.second] for g in played])
    scores, prompts = np.array([g.score for g in played]), [g.prompt for g in played]
    number = len(set(prompts))
    lengths = strengths.normalised_difference([g.letters[0] for g in played], [g.letters[1] for g in played])
    how: dict[str, Any] = {"num_players": len(names), "ridge": RIDGE, "clusters": prompts if number >= 2 else None}
    problem, controlled = "", None
    raw = strengths.bradley_terry(first, second, scores, **how)
    if number >= CONTROLLED and np.ptp(lengths) > 0:
        try:
            controlled = strengths.bradley_terry(first, second, scores, covariates=lengths[:, None], **how)
        except ValueError as trouble:
            problem = str(trouble)
    points = strengths.elo(first, second, scores, num_players=len(names), **ELO)
    rows = [{**_standing(name, n, raw, controlled, played), "elo": finite(points[n], 1)} for name, n in place.items()]
    effect = None
    if controlled is not None:
        effect = {"nats": finite(controlled.effects[0]), "error": finite(controlled.effect_errors[0])}
    order = sorted(rows, key=lambda row: -row["strength"])
    return {"rows": order, "length_effect": effect, "games": len(played), "prompts": number, "problem": problem}


def _standing(
    name: str, place: int, raw: strengths.Strengths, controlled: strengths.Strengths | None, played: Sequence[Game]
) -> dict[str, Any]:
    scores = [g.score if g.first == name else 1 - g.score for g in played if name in (g.first, g.second)]
    row: dict[str, Any] = {"sampler": name, "games": len(scores), "win_rate": finite(sum(scores) / len(scores))}
    for prefix, fitted in (("", raw), ("controlled_", controlled)):
        strength = math.nan if fitted is None else float(fitted.strengths[place])
        error = math.nan if fitted is None else float(fitted.standard_errors[place])
        for label, value in (("strength", strength), ("low", strength - Z * error), ("high", strength + Z * error)):
            row[prefix + label] = finite(value)
    return row


def by_age(connection: Connection, names: set[str]) -> list[str]:
    """Samplers as they came; of those that came together, first the one whose responses stood first in the file."""
    came = (
        select(responses.c.sampler, func.min(comparisons.c.added), func.min(responses.c.index))
        .join(comparisons, comparisons.c.id == responses.c.comparison)
        .where(comparisons.c.id.startswith(f"{ARENA}-"), responses.c.sampler.in_(names))
        .group_by(responses.c.sampler)
    )
    first = {row[0]: (row[1], row[2]) for row in connection.execute(came)}
    return sorted(names, key=lambda name: (*first.get(name, (math.inf, 0)), name))


def standings(connection: Connection, *, alpha: float = ALPHA, worthwhile: float = 0.5) -> dict[str, Any]:
    """Everything about the arena: the board, each pair of samplers, and a board for each tag with enough games."""
    played = games(connection)
    fair = [game for game in played if game.is_fair]
    names = by_age(connection, {name for game in played for name in (game.first, game.second)})
    slices: dict[str, list[Game]] = defaultdict(list)
    for game in played:
        for tag in game.tags:
            if game.is_fair or tag.startswith(AUDIT):
                slices[tag].append(game)
    left = select(func.count(), func.sum(items.c.needed)).where(items.c.purpose == ARENA, items.c.needed > 0)
    waiting = connection.execute(left).one()
    return {
        "board": board(fair),
        "duels": [duel(fair, b, a, alpha=alpha, worthwhile=worthwhile) for a, b in itertools.combinations(names, 2)],
        "slices": {tag: board(some) for tag, some in sorted(slices.items()) if len(some) >= PER_SLICE},
        "samplers": names, "open": waiting[0], "judgements_left": int(waiting[1] or 0),
    }  # fmt: skip
