"""What to ask next: a mixture of random and clever choices among the items that nobody has judged, with exact probabilities.

At least a fifth is random. The rest is shared by: disagreement of reward models, diversity, rise of the score since the last
round, length, and tags that are out of distribution. Every chosen item keeps the probability with which it was chosen. Tags
that are short of their floor are drawn apart from the rest, so that a red-team tag is never silently empty. What was not
chosen is held back until it is chosen or released. Of more than `POOL` items a systematic sample competes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sqlalchemy import Connection, case, func, select, update

from prefloop.stats import choosing
from prefloop.web.errors import refuse_unless
from prefloop.web.review import dashboard, diversity, reward_scores
from prefloop.web.store.chain import record
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import cursors, item_tags, responses
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import items
from prefloop.web.work import votes as facts
from prefloop.web.work.answers import Body

Array = NDArray[np.float64]
POOL = 20_000
"""Items that compete at most."""
HELD = "held"
"""Strategy of items that are held back."""
HELD_TOGETHER = 5_000
"""Items held back in one write."""
STRATEGIES = ("disagreement", "diversity", "rise", "longest", "out_of_distribution")


class Choice(Body):
    """What to choose."""

    num: Annotated[int, Field(ge=1, le=POOL)]
    """Items."""
    shares: dict[str, float] = Field(default_factory=lambda: {"random": 0.4, "disagreement": 0.3, "diversity": 0.3})
    """Strategy -> share of the places; `random` at least 0.2; they sum to 1."""
    rise: Annotated[list[str], Field(max_length=2)] = Field(default_factory=list)
    """For `rise`: the older model of scores, and the newer."""
    tags: Annotated[list[str], Field(max_length=50)] = Field(default_factory=lambda: ["ood"])
    """For `out_of_distribution`: the tags that are."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Decides what is drawn."""
    hold: bool = True
    """Hold back what is not chosen; probabilities mean something only if it is."""


@dataclass(frozen=True)
class Candidates:
    """Items that nobody has judged, with what strategies look at."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    """comparisons"""
    pairs: tuple[tuple[int, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    thinned: int
    """one of this many items competes"""


def candidates(connection: Connection, seed: int) -> Candidates:
    """The items that compete."""
    work = item_table.c.purpose == "work", item_table.c.kind != "demonstration", ~item_table.c.retired
    fresh = *work, item_table.c.done == 0, item_table.c.leased == 0
    total = connection.execute(select(func.count()).select_from(item_table).where(*fresh)).scalar_one()
    thinned = max(1, -(-total // POOL))
    rest = int(np.random.default_rng([seed, 1]).integers(thinned))
    query = select(item_table.c.id, item_table.c.comparison, item_table.c.responses).where(
        *fresh, item_table.c.id % thinned == rest
    )
    rows = connection.execute(query.order_by(item_table.c.id)).all()
    tags = facts.tags_of(connection, {row.comparison for row in rows})
    return Candidates(
        tuple(row.id for row in rows), tuple(row.comparison for row in rows), tuple(tuple(row.responses) for row in rows),
        tuple(tags.get(row.comparison, ()) for row in rows), thinned,
    )  # fmt: skip


def opinions(connection: Connection, found: Candidates, wanted: Choice) -> tuple[dict[str, Array], str | None]:
    """Strategy -> (n,) scores of at least 0, for those that have a share; and what diversity went by."""
    told = reward_scores.of(connection, found.names) if {"disagreement", "rise"} & wanted.shares.keys() else {}
    number = len(found.ids)
    made: dict[str, Array] = {}
    seen_by: str | None = None
    for name in wanted.shares:
        if name == "disagreement":
            made[name] = _disagreement(found, told) ** 2
        elif name == "rise":
            made[name] = _rise(found, told, wanted.rise) ** 2
        elif name == "longest":
            made[name] = _letters(connection, found) ** 2
        elif name == "out_of_distribution":
            made[name] = np.array([float(bool(set(tags) & set(wanted.tags))) for tags in found.tags]).reshape(number)
        elif name == "diversity":
            made[name], seen_by = diversity.spread(
                connection, found.names, max(1, round(wanted.shares[name] * wanted.num))
            )
    return made, seen_by


def _disagreement(found: Candidates, told: Mapping[str, Mapping[tuple[str, int], float]]) -> Array:
    """Standard deviation of the models' margins; 0 where fewer than two models know the responses."""
    result = np.zeros(len(found.ids))
    for place, (name, pair) in enumerate(zip(found.names, found.pairs, strict=True)):
        gaps = (
            [
                gap
                for known in told.values()
                if len(pair) >= 2 and (gap := reward_scores.margin(dict(known), name, pair)) is not None
            ]
            if told
            else []
        )
        if len(gaps) >= 2:
            result[place] = float(choosing.ensemble_disagreement([[gap] for gap in gaps])[0])
    return result


def _rise(found: Candidates, told: Mapping[str, Mapping[tuple[str, int], float]], models: Sequence[str]) -> Array:
    """The largest rise of a response's score from the older model to the newer, at least 0."""
    old, new = (told.get(model, {}) for model in models) if len(models) == 2 else ({}, {})
    rises = [
        max(
            [new[name, index] - old[name, index] for index in pair if (name, index) in new and (name, index) in old],
            default=0.0,
        )
        for name, pair in zip(found.names, found.pairs, strict=True)
    ]
    return np.maximum(np.array(rises, dtype=float), 0.0)


def _letters(connection: Connection, found: Candidates) -> Array:
    lengths = facts.of_responses(connection, found.names, func.length(responses.c.text))
    return np.array(
        [
            sum(lengths.get((name, index), 0) for index in pair)
            for name, pair in zip(found.names, found.pairs, strict=True)
        ],
        dtype=float,
    )


def sampled(
    found: Candidates, scores: Mapping[str, Array], wanted: Choice, short: Mapping[str, int]
) -> dict[int, tuple[str, float]]:
    """Place of each chosen candidate -> (strategy, probability).

    Args:
        short: tag -> items missing to its floor; these tags are strata of their own, the rest is another.
    """
    rng, total = np.random.default_rng([wanted.seed, 2]), len(found.ids)
    strata: dict[str, list[int]] = {tag: [] for tag in short}
    strata[""] = []
    for place, tags in enumerate(found.tags):
        strata[next((tag for tag in short if tag in tags), "")].append(place)
    left, chosen = min(wanted.num, total), {}
    for tag, places in strata.items():
        fair = round(wanted.num * len(places) / max(total, 1))
        number = min(len(places), left if tag == "" else min(left, max(short[tag], fair)))
        if number:
            chosen |= _drawn(np.array(places), scores if tag == "" else {}, wanted, number, rng, found.thinned, tag)
            left -= number
    return chosen


def _drawn(
    places: NDArray[np.int64],
    scores: Mapping[str, Array],
    wanted: Choice,
    number: int,
    rng: np.random.Generator,
    thinned: int,
    tag: str,
) -> dict[int, tuple[str, float]]:
    mine = {name: column[places] for name, column in scores.items()}
    shares = (
        {name: wanted.shares[name] for name in mine} | {"random": wanted.shares["random"]} if mine else {"random": 1.0}
    )
    drawn = choosing.mixture_sample(mine, shares, num_items=len(places), num=number, rng=rng)
    weight = {name: shares[name] * column / column.sum() for name, column in mine.items() if column.sum() > 0}
    weight["random"] = np.full(len(places), shares["random"] / len(places))
    found = {}
    for place in drawn.chosen.tolist():
        why = f"floor:{tag}"[:40] if tag else max(weight, key=lambda name: weight[name][place])
        found[int(places[place])] = (why, float(drawn.inclusion[place]) / thinned)
    return found


def choose(site: Site, wanted: Choice, *, actor: str) -> dict[str, Any]:
    """Chooses items, puts them first in a random order, and holds the others back. Raises: Refusal (422).

    Reads and reckons without holding anybody up; the others are held back in many short writes.
    """
    unknown = sorted(set(wanted.shares) - {*STRATEGIES, "random"})
    refuse_unless(
        not unknown,
        f"There is no strategy called {', '.join(unknown)[:80]}; there are random, {', '.join(STRATEGIES)}.",
    )
    refuse_unless(
        wanted.shares.get("random", 0) >= choosing.MIN_RANDOM
        and min(wanted.shares.values()) >= 0
        and abs(sum(wanted.shares.values()) - 1) < 1e-9,
        f"The shares are at least 0 and sum to 1, and `random` has at least {choosing.MIN_RANDOM:.0%}: else nothing could be said of what was not chosen.",
    )
    with site.database.reading() as connection:
        found = candidates(connection, wanted.seed)
        refuse_unless(
            bool(found.ids), "There is nothing left to choose from: every item was judged, or is with somebody."
        )
        short = {
            row["tag"]: row["missing"]
            for row in dashboard.coverage(connection, dashboard.desk(connection).floors)
            if row["missing"]
        }
        scores, seen_by = opinions(connection, found, wanted)
        chosen = sampled(found, scores, wanted, short)
    order = [int(place) for place in np.random.default_rng([wanted.seed, 3]).permutation(sorted(chosen))]
    reasons = [why for why, _ in chosen.values()]
    told = {
        "chosen": len(chosen),
        "of": len(found.ids),
        "thinned": found.thinned,
        "reasons": {why: reasons.count(why) for why in sorted(set(reasons))},
    }
    told |= {"diversity_by": seen_by} if "diversity" in wanted.shares else {}  # None: the prompts' words

    def ask(connection: Connection) -> None:
        items.requeue(connection, [(found.ids[place], *chosen[place]) for place in order])
        for part in facts.parts(found.ids[place] for place in order):
            _ask(connection, item_table.c.id.in_(part), project(connection).overlap.judgements)
        record(connection, "selection", actor, site.clock(), {**told, **wanted.model_dump(mode="json")})

    site.database.write(ask)
    if wanted.hold:
        _hold(site, {found.ids[place] for place in order})
    cover = choosing.tag_coverage(found.tags, sorted(chosen), floors=short)
    return {
        **told, "problems": [one.sentence for one in cover if one.sentence],
        "tags": [{"tag": one.tag, "available": one.available, "chosen": one.chosen, "floor": one.floor} for one in cover],
    }  # fmt: skip


def _hold(site: Site, chosen: set[int]) -> None:
    """Takes what nobody has begun out of the queue, but for those chosen; a part at a time, so that nobody waits."""
    with site.database.reading() as connection:
        last = connection.execute(select(func.max(item_table.c.id))).scalar() or 0
    for start in range(0, last, HELD_TOGETHER):
        site.database.write(lambda connection, start=start: _take_out(connection, start, chosen))


def _take_out(connection: Connection, start: int, chosen: set[int]) -> None:
    """Holds back the items whose numbers follow `start`."""
    here = (item_table.c.id > start) & (item_table.c.id <= start + HELD_TOGETHER)
    fresh = (
        (item_table.c.purpose == "work")
        & (item_table.c.done == 0)
        & (item_table.c.leased == 0)
        & (item_table.c.needed > 0)
    )
    found = connection.execute(select(item_table.c.id).where(here, fresh).with_for_update()).scalars()
    for part in facts.parts(set(found) - chosen):
        connection.execute(update(item_tags).where(item_tags.c.item.in_(part)).values(open=False))
        connection.execute(
            update(item_table).where(item_table.c.id.in_(part)).values(wanted=0, needed=0, strategy=HELD)
        )


def _ask(connection: Connection, where: Any, overlap: int) -> None:
    """Puts items that nobody has begun into the queue."""
    fresh = (item_table.c.done == 0) & (item_table.c.leased == 0) & ~item_table.c.retired
    strategy = case((item_table.c.strategy == HELD, "all"), else_=item_table.c.strategy)
    connection.execute(update(item_table).where(where, fresh).values(wanted=overlap, needed=overlap, strategy=strategy))
    connection.execute(
        update(item_tags).where(item_tags.c.item.in_(select(item_table.c.id).where(where, fresh))).values(open=True)
    )


def release(connection: Connection, site: Site, *, actor: str) -> int:
    """Everything that was held back is work again, with certainty. Returns: how many items."""
    held = (item_table.c.strategy == HELD) & ~item_table.c.retired
    number = connection.execute(select(func.count()).select_from(item_table).where(held)).scalar_one()
    wanted = project(connection).overlap.judgements
    left = wanted - item_table.c.done - item_table.c.leased  # something may have been judged elsewhere, and brought in
    still = select(item_table.c.id).where(held, left > 0)
    connection.execute(update(item_tags).where(item_tags.c.item.in_(still)).values(open=True))
    connection.execute(update(item_table).where(held).values(
        wanted=wanted, needed=case((left > 0, left), else_=0), strategy="all", probability=1.0
    ))  # fmt: skip
    connection.execute(
        update(cursors).where(cursors.c.purpose == "work", cursors.c.user != items.NOBODY).values(place=0)
    )
    record(connection, "released", actor, site.clock(), {"items": number})
    return number
