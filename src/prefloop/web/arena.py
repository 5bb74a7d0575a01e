"""Blind checkpoint against checkpoint: who wins, whether that is certain by now, and a leaderboard of all of them.

Comparisons of an arena carry the tag `arena`; their responses name their samplers, which annotators never see. A verdict may
be looked at after every judgement: the interval is a confidence sequence. Judgements of one prompt are one observation: its
share of wins. The leaderboard is Bradley-Terry with errors clustered by prompt, raw and with length taken out.
"""

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, func, select

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.records import Comparison, Message, Response, Sampling
from prefloop.stats import sequential, strengths
from prefloop.web import facts, ingest, items
from prefloop.web.facts import finite
from prefloop.web.site import Site
from prefloop.web.tables import comparisons, responses
from prefloop.web.tables import items as item_table

TAG, AUDIT = "arena", "audit:"
"""Tags: of every comparison here; and the beginning of those that say why a response was chosen to be looked at."""
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


def name_of(row: Mapping[str, Any], place: str) -> str:
    """What a prompt is called: by its id, else by its words. Raises: UserError with the place."""
    if not isinstance(row.get("response"), str):
        raise UserError(f"{place}: `response` should be text; rows have `prompt` (or `messages`) and `response`.")
    for key in ("id", "prompt_id"):
        if isinstance(row.get(key), str) and row[key]:
            return str(row[key])
    return " / ".join(message.content for message in conversation(row, place))


def conversation(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    """The prompt of a row. Raises: UserError with the place."""
    prompt = row.get("prompt")
    raw = row.get("messages") or (prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}])
    try:
        return tuple(Message.model_validate(message) for message in raw)
    except (ValueError, TypeError):
        raise UserError(
            f"{place}: `prompt` should be text, or `messages` a list of {{role, content}}; mend the row."
        ) from None


def comparison_of(name: str, answers: Mapping[str, tuple[str, dict[str, Any]]]) -> Comparison:
    """All samplers' responses to one prompt.

    Args:
        answers: sampler -> (place, row); a row is {"prompt" (text) or "messages", "response", maybe "id" and "tags"}.

    Raises: UserError with the place.
    """
    place, first = next(iter(answers.values()))
    messages = conversation(first, place)
    if any(conversation(row, where) != messages for where, row in answers.values()):
        raise UserError(
            f"{place}: the samplers answered different prompts called {name[:40]!r}; give equal prompts equal ids."
        )
    given = first.get("tags")
    tags = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    texts = {sampler: row["response"] for sampler, (_, row) in answers.items()}
    key = fingerprints.of_value([_short(name), [m.model_dump() for m in messages], texts])
    try:
        return Comparison(
            id=f"{TAG}-{key}", prompt_id=_short(name), messages=messages, sampling=Sampling(temperature=0.0), tags=(*tags, TAG),
            responses=tuple(Response(text=text, num_tokens=0, finished=True, sampler=sampler) for sampler, text in texts.items()),
        )  # fmt: skip
    except ValidationError as problem:
        raise UserError(f"{place}: {problem.errors()[0]['msg'][:200]}; mend the row.") from None


def keep(connection: Connection, site: Site, ready: Sequence[ingest.Ready], *, wanted: int, actor: str) -> int:
    """Keeps comparisons and asks every pair of their samplers. Returns: the number of new items."""
    there = ingest.prints(
        connection, [one.comparison.id for one in ready]
    )  # the same texts, maybe with other tags: they stay as they are
    new = [one for one in ready if one.comparison.id not in there]
    ingest.keep(connection, site, new, actor=actor, work=False)
    batch = [one.comparison for one in new]
    rows = [
        items.new_item(one.id, "pair", pair, purpose="arena", wanted=wanted, at=site.clock())
        for one in batch
        for pair in itertools.combinations(range(len(one.responses)), 2)
        if one.responses[pair[0]].text != one.responses[pair[1]].text
    ]
    return items.add(connection, site.database, rows, {one.id: one.tags for one in batch})


def _short(name: str) -> str:
    """A prompt's name in 200 letters; two that begin alike stay two."""
    return name if len(name) <= 200 else f"{name[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def games(connection: Connection) -> list[Game]:
    """All that was judged in the arena, oldest first."""
    judged = [
        one
        for one in facts.load(connection, item_table.c.purpose == "arena", item_table.c.kind == "pair")
        if not one.repeat and one.counted
    ]
    names = {one.comparison for one in judged}
    about, tags, prompts = _texts(connection, names), facts.tags_of(connection, names), _prompts(connection, names)
    found = []
    for one in judged:
        i, j = one.responses
        first, second = about[one.comparison, i], about[one.comparison, j]
        score = 0.5 if one.best is None else float(one.best == i)
        own = tuple(tag for tag in tags.get(one.comparison, ()) if tag != TAG)
        found.append(Game(prompts[one.comparison], first[0], second[0], score, (first[1], second[1]), own))
    return found


def _texts(connection: Connection, names: set[str]) -> dict[tuple[str, int], tuple[str, int]]:
    query = select(
        responses.c.comparison,
        responses.c.index.label("number"),
        responses.c.sampler,
        func.length(responses.c.text).label("letters"),
    )
    return {
        (row.comparison, row.number): (row.sampler, row.letters)
        for part in facts.parts(names)
        for row in connection.execute(query.where(responses.c.comparison.in_(part)))
    }


def _prompts(connection: Connection, names: set[str]) -> dict[str, str]:
    query = select(comparisons.c.id, comparisons.c.prompt_id)
    return {
        row.id: row.prompt_id
        for part in facts.parts(names)
        for row in connection.execute(query.where(comparisons.c.id.in_(part)))
    }


def duel(played: Sequence[Game], new: str, old: str, *, alpha: float, worthwhile: float) -> dict[str, Any]:
    """The new sampler against the old one: ship, hold, or how many more. Each prompt counts once, with its share of wins."""
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
    told = sequential.decision(won, len(shares) - won, 0.0, alpha=alpha, worthwhile=worthwhile)
    more = None if told.expected_more is None else math.ceil(told.expected_more * max(per_prompt, 1.0))
    return {
        "new": new, "old": old, "wins": wins, "losses": losses, "ties": ties, "prompts": len(shares), "verdict": told.verdict,
        "win_rate": finite(told.win_rate), "low": finite(told.interval[0]), "high": finite(told.interval[1]), "e_value": finite(told.e_value, 4),
        "expected_more": more, "alpha": alpha, "worthwhile": worthwhile,
    }  # fmt: skip


def board(played: Sequence[Game]) -> dict[str, Any]:
    """Strengths of all samplers, with intervals, raw and with length taken out; None where nothing can be said."""
    names = sorted({name for game in played for name in (game.first, game.second)})
    if len(names) < 2:
        return {
            "rows": [],
            "length_effect": None,
            "games": len(played),
            "prompts": 0,
            "problem": "fewer than two samplers played",
        }
    place = {name: n for n, name in enumerate(names)}
    first, second = np.array([place[g.first] for g in played]), np.array([place[g.second] for g in played])
    scores, prompts = np.array([g.score for g in played]), [g.prompt for g in played]
    enough = len(set(prompts)) >= CONTROLLED
    lengths = strengths.normalised_difference([g.letters[0] for g in played], [g.letters[1] for g in played])
    clusters = prompts if len(set(prompts)) >= 2 else None
    known: dict[str, Any] = {"num_players": len(names), "ridge": RIDGE, "clusters": clusters}
    problem, controlled = "", None
    raw = strengths.bradley_terry(first, second, scores, **known)
    try:
        controlled = (
            strengths.bradley_terry(first, second, scores, covariates=lengths[:, None], **known)
            if enough and np.ptp(lengths) > 0
            else None
        )
    except ValueError as trouble:
        problem = str(trouble)
    points = strengths.elo(first, second, scores, num_players=len(names), **ELO)
    rows = [{**_standing(name, n, raw, controlled, played), "elo": finite(points[n], 1)} for name, n in place.items()]
    effect = (
        None
        if controlled is None
        else {"nats": finite(controlled.effects[0]), "error": finite(controlled.effect_errors[0])}
    )
    order = sorted(rows, key=lambda row: -row["strength"])
    return {
        "rows": order,
        "length_effect": effect,
        "games": len(played),
        "prompts": len(set(prompts)),
        "problem": problem,
    }


def _standing(
    name: str, place: int, raw: strengths.Strengths, controlled: strengths.Strengths | None, played: Sequence[Game]
) -> dict[str, Any]:
    mine = [
        game.score if game.first == name else 1 - game.score for game in played if name in (game.first, game.second)
    ]
    told: dict[str, Any] = {
        "sampler": name,
        "games": len(mine),
        "win_rate": finite(sum(mine) / len(mine)) if mine else None,
    }
    for prefix, fitted in (("", raw), ("controlled_", controlled)):
        strength = None if fitted is None else float(fitted.strengths[place])
        error = None if fitted is None else float(fitted.standard_errors[place])
        told |= {f"{prefix}strength": finite(strength)}
        told |= {f"{prefix}low": None if strength is None or error is None else finite(strength - Z * error)}
        told |= {f"{prefix}high": None if strength is None or error is None else finite(strength + Z * error)}
    return told


def by_age(connection: Connection, names: set[str]) -> list[str]:
    """Samplers, the one that came first first; of those that came together, the one whose responses stood first in the file."""
    came = (
        select(responses.c.sampler, func.min(comparisons.c.added), func.min(responses.c.index))
        .join(comparisons, comparisons.c.id == responses.c.comparison)
        .where(comparisons.c.id.startswith(f"{TAG}-"), responses.c.sampler.in_(names))
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
    waiting = connection.execute(
        select(func.count(), func.sum(item_table.c.needed)).where(
            item_table.c.purpose == "arena", item_table.c.needed > 0
        )
    ).one()
    return {
        "board": board(fair),
        "duels": [duel(fair, b, a, alpha=alpha, worthwhile=worthwhile) for a, b in itertools.combinations(names, 2)],
        "slices": {tag: board(some) for tag, some in sorted(slices.items()) if len(some) >= PER_SLICE},
        "samplers": names, "open": waiting[0], "judgements_left": int(waiting[1] or 0),
    }  # fmt: skip
