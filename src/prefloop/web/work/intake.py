"""Comparisons come in: rendered once, kept once, made into items as the project's settings say.

The same comparison twice is once; another one under the same id is refused. Nothing of a batch is written if a row is
wrong.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.records import Comparison
from prefloop.web.config import ProjectConfig
from prefloop.web.pages import rendering
from prefloop.web.store.chain import record
from prefloop.web.store.comparisons import as_brought, of_comparisons, print_of_trees
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, responses
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import items

BATCH = 200
"""Comparisons of one transaction."""


@dataclass(frozen=True)
class Ready:
    """A comparison as its rows: made before the transaction, for rendering takes its time and others want to write."""

    comparison: Comparison
    fingerprint: str
    row: dict[str, Any] | None
    """None if it was there already"""
    responses: tuple[dict[str, Any], ...]

    @property
    def trees(self) -> str:
        """The fingerprint of what is shown."""
        return print_of_trees((self.row or {})["trees"], [response["tree"] for response in self.responses])


def fingerprint(comparison: Comparison) -> str:
    """By which a comparison is known to be the same."""
    return fingerprints.of_value(comparison.model_dump(mode="json"))


def prints(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Fingerprints of those of these comparisons that are there."""
    return of_comparisons(connection, names, comparisons.c.fingerprint)


def ready(site: Site, batch: Sequence[Comparison]) -> list[Ready]:
    """Comparisons as their rows, rendered unless they are there already."""
    with site.database.reading() as connection:
        here = prints(connection, [comparison.id for comparison in batch])
    return [_ready(comparison, is_new=comparison.id not in here) for comparison in batch]


def _ready(comparison: Comparison, *, is_new: bool) -> Ready:
    if not is_new:
        return Ready(comparison, fingerprint(comparison), None, ())
    return Ready(comparison, fingerprint(comparison), _comparison_row(comparison), tuple(_response_rows(comparison)))


def take_in(connection: Connection, site: Site, batch: Sequence[Comparison], *, actor: str) -> int:
    """Renders and keeps comparisons, see `keep`."""
    return keep(connection, site, [_ready(comparison, is_new=True) for comparison in batch], actor=actor)


def another(identity: str) -> str:
    """What is wrong with an id that is in use."""
    return f"there is another comparison called {identity!r}, with other content; give this one an id of its own."


def keep(connection: Connection, site: Site, batch: Sequence[Ready], *, actor: str, work: bool = True) -> int:
    """Keeps comparisons and makes their items.

    Args:
        work: make the items that the settings ask for; else none.

    Returns: the number of new comparisons. Raises: UserError if an id is used twice.
    """
    config, now = project(connection), site.clock()
    here = prints(connection, [ready.comparison.id for ready in batch])
    new: dict[str, Ready] = {}
    for ready in batch:
        name = ready.comparison.id
        before = here.get(name) or (new[name].fingerprint if name in new else ready.fingerprint)
        if before != ready.fingerprint:
            raise UserError(another(name))
        new.setdefault(name, ready)
    fresh = {name: ready for name, ready in new.items() if name not in here}
    if fresh:
        batch_name = f"{int(now)}-{fingerprints.of_value(list(fresh))}"
        same = {"batch": batch_name, "added": now}
        rows = [{**(ready.row or {}), "fingerprint": ready.fingerprint, **same} for ready in fresh.values()]
        connection.execute(insert(comparisons), rows)
        connection.execute(insert(responses), [row for ready in fresh.values() for row in ready.responses])
        marks = {
            "fingerprints": {name: ready.fingerprint for name, ready in fresh.items()},
            "trees": {name: ready.trees for name, ready in fresh.items()},
        }
        record(connection, "comparisons", actor, now, {"batch": batch_name, **marks})
    if work:  # of what is new: other settings since then change nothing when the same file comes again
        made = [row for r in fresh.values() for row in asked(r.comparison, config, seed=site.config.seed, at=now)]
        items.add(connection, site.database, made, {name: ready.comparison.tags for name, ready in fresh.items()})
    return len(fresh)


def ask_kinds(site: Site, *, actor: str) -> dict[str, int]:
    """Asks what is here as the settings say now, in parts; twice is once.

    What nobody has begun changes its kind. A comparison of which something was answered, or is being answered, in a
    kind that is not asked any more keeps that, and is not asked anew in another.

    Returns: how many items were `withdrawn` and `made`, and how many comparisons were `kept` as they are.
    """
    last, whole = "", Counter({"withdrawn": 0, "made": 0, "kept": 0})
    work = select(item_table.c.comparison).distinct().where(item_table.c.purpose == "work")
    while True:
        query = work.where(item_table.c.comparison > last).order_by(item_table.c.comparison).limit(BATCH)
        with site.database.reading() as connection:
            names = connection.execute(query).scalars().all()
        if not names:
            return dict(whole)
        last = names[-1]
        whole.update(site.database.write(lambda c, names=names: _ask_anew(c, site, names, actor)))


def _ask_anew(connection: Connection, site: Site, names: Sequence[str], actor: str) -> Counter[str]:
    """The same for a few comparisons."""
    config, now = project(connection), site.clock()
    mine = item_table.c.comparison.in_(names), item_table.c.purpose == "work"
    rows = connection.execute(select(item_table).where(*mine).order_by(item_table.c.id).with_for_update()).all()
    here = [Comparison.model_validate(record) for record in as_brought(connection, names).values()]
    counts: Counter[str] = Counter()
    for comparison in here:
        known = [row for row in rows if row.comparison == comparison.id and not row.retired]
        if not any(response.text for response in comparison.responses):
            continue  # a prompt alone, which asks for a demonstration
        other = [row for row in known if row.kind not in config.kinds]
        begun = [row for row in other if row.done or row.leased]
        for row in other:
            if row not in begun:
                items.retire(connection, row.id)
        counts.update(withdrawn=len(other) - len(begun), kept=bool(begun))
        there = {row.kind for row in known}
        wanted = [] if begun else asked(comparison, config, seed=site.config.seed, at=now)
        for row in (row for row in wanted if row["kind"] not in there):
            new = items.add(connection, site.database, [row], {comparison.id: comparison.tags})
            counts["made"] += new or items.revive(connection, row)
    if counts["withdrawn"] or counts["made"]:
        record(connection, "kinds", actor, now, {"kinds": list(config.kinds), **counts})
    return counts


def asked(comparison: Comparison, config: ProjectConfig, *, seed: int, at: float) -> list[dict[str, Any]]:
    """The items that the settings make of a comparison; which pairs is decided by the seed and the comparison's id."""
    everything = range(len(comparison.responses))
    wanted = config.overlap.judgements
    made: list[dict[str, Any]] = []
    for kind in config.kinds:
        if kind == "pair":
            pairs = list(itertools.combinations(everything, 2))
            number = min(len(pairs), config.pairs_per_prompt)
            chosen = sorted(random.Random(f"{seed} {comparison.id}").sample(pairs, number))
            share = number / len(pairs)
            how: dict[str, Any] = {"strategy": "random" if share < 1 else "all", "probability": share}
            made += [items.new_item(comparison.id, kind, pair, wanted=wanted, at=at, **how) for pair in chosen]
        else:
            which = () if kind == "demonstration" else everything
            made.append(items.new_item(comparison.id, kind, which, wanted=wanted, at=at))
    return made


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    messages = [message.model_dump(mode="json") for message in comparison.messages]
    return {
        "id": comparison.id, "prompt_id": comparison.prompt_id, "messages": messages,
        "trees": [rendering.tree(message["content"]) for message in messages], "tags": list(comparison.tags),
        "sampling": comparison.sampling.model_dump(mode="json"), "renderer": rendering.RENDERER,
    }  # fmt: skip


def _response_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {**response.model_dump(), "comparison": comparison.id, "index": n, "tree": rendering.tree(response.text)}
        for n, response in enumerate(comparison.responses)
    ]
