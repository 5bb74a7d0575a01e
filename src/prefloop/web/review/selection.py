"""What to ask next: a mixture of random and clever choices among items that nobody judged, with exact probabilities.

At least a fifth is random. The rest is shared by: disagreement of reward models, diversity, rise of the score since the
last round, length, and tags that are out of distribution. Every chosen item keeps the probability with which it was
chosen. Tags that are short of their floor are drawn apart from the rest: no red-team tag is ever silently empty. What
was not chosen is held back until it is chosen or released. Of more than `POOL` items a systematic sample competes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sqlalchemy import Connection, case, func, select, update

from prefloop.stats import choosing
from prefloop.web.body import Body
from prefloop.web.errors import refuse_unless
from prefloop.web.review import dashboard, diversity
from prefloop.web.review.reward_scores import Scores, margin, scores_of
from prefloop.web.store.chain import record
from prefloop.web.store.comparisons import of_responses, parts, tags_of
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import cursors, item_tags, items, responses
from prefloop.web.work.items import HELD, NOBODY, requeue

Array = NDArray[np.float64]
POOL = 20_000
"""Items that compete at most."""
HELD_TOGETHER = 5_000
"""Items held back in one write."""
STRATEGIES = ("disagreement", "diversity", "rise", "longest", "out_of_distribution")


class Choice(Body):
    """How many items are asked next, and by which strategies."""

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
    work = items.c.purpose == "work", items.c.kind != "demonstration", ~items.c.retired
    fresh = *work, items.c.done == 0, items.c.leased == 0
    total = connection.execute(select(func.count()).select_from(items).where(*fresh)).scalar_one()
    thinned = max(1, -(-total // POOL))
    rest = int(np.random.default_rng([seed, 1]).integers(thinned))
    query = select(items.c.id, items.c.comparison, items.c.responses).where(*fresh, items.c.id % thinned == rest)
    rows = connection.execute(query.order_by(items.c.id)).all()
    tags = tags_of(connection, {row.comparison for row in rows})
    return Candidates(
        tuple(row.id for row in rows),
        tuple(row.comparison for row in rows),
        tuple(tuple(row.responses) for row in rows),
        tuple(tags.get(row.comparison, ()) for row in rows),
        thinned,
    )


def opinions(connection: Connection, pool: Candidates, wanted: Choice) -> tuple[dict[str, Array], str | None]:
    """Strategy -> (n,) scores of at least 0, for those that have a share; and what diversity went by."""
    by_model = scores_of(connection, pool.names) if {"disagreement", "rise"} & wanted.shares.keys() else {}
    number = len(pool.ids)
    made: dict[str, Array] = {}
    seen_by: str | None = None
    for name in wanted.shares:
        if name == "disagreement":
            made[name] = _disagreement(pool, by_model) ** 2
        elif name == "rise":
            made[name] = _rise(pool, by_model, wanted.rise) ** 2
        elif name == "longest":
            made[name] = _letters(connection, pool) ** 2
        elif name == "out_of_distribution":
            made[name] = np.array([float(bool(set(tags) & set(wanted.tags))) for tags in pool.tags]).reshape(number)
        elif name == "diversity":
            places = max(1, round(wanted.shares[name] * wanted.num))
            made[name], seen_by = diversity.spread(connection, pool.names, places)
    return made, seen_by


def _disagreement(pool: Candidates, by_model: Mapping[str, Scores]) -> Array:
    """Standard deviation of the models' margins; 0 where fewer than two models know the responses."""
    deviations = np.zeros(len(pool.ids))
    for place, (name, pair) in enumerate(zip(pool.names, pool.pairs, strict=True)):
        margins = [margin(scores, name, pair) for scores in by_model.values()] if len(pair) >= 2 else []
        gaps = [[gap] for gap in margins if gap is not None]
        if len(gaps) >= 2:
            deviations[place] = float(choosing.ensemble_disagreement(gaps)[0])
    return deviations


def _rise(pool: Candidates, by_model: Mapping[str, Scores], models: Sequence[str]) -> Array:
    """The largest rise of a response's score from the older model to the newer, at least 0."""
    old, new = (by_model.get(model, {}) for model in models) if len(models) == 2 else ({}, {})
    both = {key: new[key] - old[key] for key in new.keys() & old.keys()}
    rises = [
        max([both.get((name, index), 0.0) for index in pair], default=0.0)
        for name, pair in zip(pool.names, pool.pairs, strict=True)
    ]
    return np.maximum(np.array(rises, dtype=float), 0.0)


def _letters(connection: Connection, pool: Candidates) -> Array:
    lengths = of_responses(connection, pool.names, func.length(responses.c.text))
    pairs = zip(pool.names, pool.pairs, strict=True)
    return np.array([sum(lengths.get((name, index), 0) for index in pair) for name, pair in pairs], dtype=float)


def sampled(
    pool: Candidates, scores: Mapping[str, Array], wanted: Choice, short: Mapping[str, int]
) -> dict[int, tuple[str, float]]:
    """Place of each chosen candidate -> (strategy, probability).

    Args:
        short: tag -> items missing to its floor; these tags are strata of their own, the rest is another.
    """
    rng, total = np.random.default_rng([wanted.seed, 2]), len(pool.ids)
    strata: dict[str, list[int]] = {tag: [] for tag in (*short, "")}
    for place, tags in enumerate(pool.tags):
        strata[next((tag for tag in short if tag in tags), "")].append(place)
    left, chosen = min(wanted.num, total), {}
    for tag, places in strata.items():
        fair = round(wanted.num * len(places) / max(total, 1))
        number = min(len(places), left if tag == "" else min(left, max(short[tag], fair)))
        if number:
            mine = {name: column[places] for name, column in scores.items()} if tag == "" else {}
            for n, why, probability in _drawn(len(places), mine, wanted, number, rng):
                chosen[places[n]] = (f"floor:{tag}"[:40] if tag else why, probability / pool.thinned)
            left -= number
    return chosen


def _drawn(
    size: int, scores: Mapping[str, Array], wanted: Choice, number: int, rng: np.random.Generator
) -> Iterator[tuple[int, str, float]]:
    """(which of a stratum, the strategy that favours it most, its probability) for each that is drawn."""
    shares = {name: wanted.shares[name] for name in (*scores, "random")} if scores else {"random": 1.0}
    drawn = choosing.mixture_sample(dict(scores), shares, num_items=size, num=number, rng=rng)
    weight = {name: shares[name] * column / column.sum() for name, column in scores.items() if column.sum() > 0}
    weight["random"] = np.full(size, shares["random"] / size)
    for place in drawn.chosen.tolist():
        yield place, max(weight, key=lambda name: weight[name][place]), float(drawn.inclusion[place])


def _check(wanted: Choice) -> None:
    """Raises: Refusal (422) unless the shares are of strategies that exist, with enough of random."""
    unknown = sorted(set(wanted.shares) - {*STRATEGIES, "random"})
    there = f"there are random, {', '.join(STRATEGIES)}"
    refuse_unless(not unknown, f"There is no strategy called {', '.join(unknown)[:80]}; {there}.")
    is_enough = wanted.shares.get("random", 0) >= choosing.MIN_RANDOM
    refuse_unless(
        is_enough and min(wanted.shares.values()) >= 0 and abs(sum(wanted.shares.values()) - 1) < 1e-9,
        f"The shares are at least 0 and sum to 1, and `random` has at least {choosing.MIN_RANDOM:.0%}: "
        "else nothing could be said of what was not chosen.",
        code="shares",
    )


def choose(site: Site, wanted: Choice, *, actor: str) -> dict[str, Any]:
    """Chooses items, puts them first in a random order, and holds the others back. Raises: Refusal (422).

    Reads and reckons without holding anybody up; the others are held back in many short writes.
    """
    _check(wanted)
    with site.database.reading() as connection:
        pool = candidates(connection, wanted.seed)
        refuse_unless(
            bool(pool.ids), "There is nothing left to choose from: every item was judged, or is with somebody."
        )
        tags = dashboard.coverage(connection, dashboard.targets(connection).floors)
        short = {row["tag"]: row["missing"] for row in tags if row["missing"]}
        scores, seen_by = opinions(connection, pool, wanted)
        chosen = sampled(pool, scores, wanted, short)
    order = [int(place) for place in np.random.default_rng([wanted.seed, 3]).permutation(sorted(chosen))]
    reasons = Counter(why for why, _ in chosen.values())
    outcome = {"chosen": len(chosen), "of": len(pool.ids), "thinned": pool.thinned}
    outcome |= {"reasons": dict(sorted(reasons.items()))}
    outcome |= {"diversity_by": seen_by} if "diversity" in wanted.shares else {}  # None: the prompts' words

    def ask(connection: Connection) -> None:
        requeue(connection, [(pool.ids[place], *chosen[place]) for place in order])
        for part in parts(pool.ids[place] for place in order):
            _ask(connection, items.c.id.in_(part), project(connection).overlap.judgements)
        record(connection, "selection", actor, site.clock(), {**outcome, **wanted.model_dump(mode="json")})

    site.database.write(ask)
    if wanted.hold:
        _hold(site, {pool.ids[place] for place in order})
    cover = choosing.tag_coverage(pool.tags, sorted(chosen), floors=short)
    names = ("tag", "available", "chosen", "floor")
    return {
        **outcome, "problems": [tag.sentence for tag in cover if tag.sentence],
        "tags": [{name: asdict(tag)[name] for name in names} for tag in cover],
    }  # fmt: skip


def _hold(site: Site, chosen: set[int]) -> None:
    """Takes what nobody has begun out of the queue, but for those chosen; a part at a time, so that nobody waits."""
    with site.database.reading() as connection:
        last = connection.execute(select(func.max(items.c.id))).scalar() or 0
    for start in range(0, last, HELD_TOGETHER):
        site.database.write(lambda connection, start=start: _take_out(connection, start, chosen))


def _take_out(connection: Connection, start: int, chosen: set[int]) -> None:
    """Holds back the items whose numbers follow `start`."""
    here = (items.c.id > start) & (items.c.id <= start + HELD_TOGETHER)
    fresh = items.c.purpose == "work", items.c.done == 0, items.c.leased == 0, items.c.needed > 0
    numbers = connection.execute(select(items.c.id).where(here, *fresh).with_for_update()).scalars()
    held = {"wanted": 0, "needed": 0, "strategy": HELD}
    for part in parts(set(numbers) - chosen):
        connection.execute(update(item_tags).where(item_tags.c.item.in_(part)).values(open=False))
        connection.execute(update(items).where(items.c.id.in_(part)).values(held))


def _ask(connection: Connection, where: Any, overlap: int) -> None:
    """Puts items that nobody has begun into the queue."""
    fresh = where, items.c.done == 0, items.c.leased == 0, ~items.c.retired
    strategy = case((items.c.strategy == HELD, "all"), else_=items.c.strategy)
    connection.execute(update(items).where(*fresh).values(wanted=overlap, needed=overlap, strategy=strategy))
    of_these = item_tags.c.item.in_(select(items.c.id).where(*fresh))
    connection.execute(update(item_tags).where(of_these).values(open=True))


def release(connection: Connection, site: Site, *, actor: str) -> int:
    """Everything that was held back is work again, with certainty. Returns: how many items."""
    held = (items.c.strategy == HELD) & ~items.c.retired
    number = connection.execute(select(func.count()).select_from(items).where(held)).scalar_one()
    wanted = project(connection).overlap.judgements
    left = wanted - items.c.done - items.c.leased  # something may have been judged elsewhere, and brought in
    still = item_tags.c.item.in_(select(items.c.id).where(held, left > 0))
    connection.execute(update(item_tags).where(still).values(open=True))
    values = {"wanted": wanted, "needed": case((left > 0, left), else_=0), "strategy": "all", "probability": 1.0}
    connection.execute(update(items).where(held).values(values))
    connection.execute(update(cursors).where(cursors.c.purpose == "work", cursors.c.user != NOBODY).values(place=0))
    record(connection, "released", actor, site.clock(), {"items": number})
    return number
