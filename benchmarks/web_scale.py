"""The page with a million items in its database: seconds to lease and to judge, to look at the numbers, and memory.

    python benchmarks/web_scale.py [items=1000000] [judged=200000] [leases=2000] [people=8] [database=URL]

Prints one JSON object. Items are put in by hand, two tags each, with one part of them judged already.
"""

import json
import random
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from prefloop.web.config import WebConfig
from prefloop.web.exchange.export import is_over
from prefloop.web.review import dashboard
from prefloop.web.security import accounts
from prefloop.web.store.database import Database
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, cursors, item_tags, items, responses
from prefloop.web.work import judging, presenting, queue
from prefloop.web.work.items import GAP
from prefloop.web.work.judging import Judged

PART = 20_000
TEXT = "I am sorry to hear that. Please tell me the order number, and I look it up at once. " * 3


def rows(
    first: int, last: int, judged: int
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]]:
    """(comparison, responses, item, tags) by number."""
    tree = [["p", {}, [TEXT]]]
    for n in range(first, last):
        name, done = f"c{n}", int(n < judged)
        message = [{"role": "user", "content": f"Where is parcel {n}?"}]
        tags = ["lang:zh" if n % 10 == 0 else "lang:en", f"topic:{n % 20}"]
        made = {"prompt_id": name, "messages": message, "trees": [tree], "tags": tags, "sampling": {"temperature": 1.0}}
        kept = {"batch": "b", "fingerprint": "f", "renderer": 1, "added": 0.0}
        answers = [
            {
                "comparison": name,
                "index": i,
                "text": TEXT,
                "tree": tree,
                "sampler": "s",
                "num_tokens": 50,
                "finished": True,
            }
            for i in (0, 1)
        ]
        counts = {"wanted": 1, "done": done, "leased": 0, "needed": 1 - done, "extended": False, "place": (n + 1) * GAP}
        chosen = {"strategy": "all", "probability": 1.0, "expected": None, "added": 0.0}
        item = {
            "id": n + 1,
            "key": name,
            "comparison": name,
            "kind": "pair",
            "responses": [0, 1],
            "purpose": "work",
            **counts,
            **chosen,
        }
        tagged = [
            {"item": n + 1, "tag": tag, "purpose": "work", "place": (n + 1) * GAP, "open": not done} for tag in tags
        ]
        yield {"id": name, **made, **kept}, answers, item, tagged


def fill(site: Site, number: int, judged: int) -> None:
    """Puts the items in."""
    for first in range(0, number, PART):
        part = list(rows(first, min(number, first + PART), judged))

        def put(connection: Any, part: list[Any] = part) -> None:
            connection.execute(insert(comparisons), [row[0] for row in part])
            connection.execute(insert(responses), [text for row in part for text in row[1]])
            connection.execute(insert(items), [row[2] for row in part])
            connection.execute(insert(item_tags), [tag for row in part for tag in row[3]])

        site.database.write(put)


def timed(times: list[tuple[float, float]], work: Callable[[], Any]) -> Any:
    """What `work()` returns; how long it took goes to `times`."""
    started, busy = time.perf_counter(), time.thread_time()
    result = work()
    times.append((time.perf_counter() - started, time.thread_time() - busy))
    return result


def quantiles(times: list[tuple[float, float]]) -> dict[str, float]:
    """Milliseconds by the clock; and of the processor, which other programs on the machine hardly lengthen."""
    result = {}
    for name, which in (("", 0), ("processor_", 1)):
        parts = statistics.quantiles([time[which] for time in times], n=100)
        result |= {f"{name}p{part}_ms": round(parts[part - 1] * 1000, 2) for part in (50, 95, 99)}
    return result


def measure(site: Site, people: list[accounts.User], number: int) -> dict[str, Any]:
    """Leases (with what is sent) and judgements, by people in turn."""
    lease_times: list[tuple[float, float]] = []
    judge_times: list[tuple[float, float]] = []

    def lease(who: accounts.User) -> list[dict[str, Any]]:
        served = queue.lease(site, who, 1)
        with site.database.reading() as connection:
            return presenting.sent(connection, who, served.presentations, site.clock())

    for turn in range(number):
        who = people[turn % len(people)]
        shown = timed(lease_times, lambda who=who: lease(who))
        if not shown:
            continue
        body = {
            "id": str(uuid.uuid4()),
            "presentation": shown[0]["id"],
            "answer": {"choice": random.choice(["left", "right"])},
            "active_seconds": 1.0,
        }
        judged = Judged.model_validate(body)
        timed(
            judge_times,
            lambda who=who, judged=judged: site.database.write(lambda c: judging.submit(c, site, who, judged)),
        )
    return {"lease": quantiles(lease_times), "judge": quantiles(judge_times)}


def main(arguments: list[str]) -> None:
    """Fills, measures, prints."""
    given = dict(argument.split("=", 1) for argument in arguments)
    usual = {"items": 10**6, "judged": 200_000, "leases": 2000, "people": 8}
    number, judged, leases, people = (int(given.get(key, value)) for key, value in usual.items())
    with tempfile.TemporaryDirectory() as folder:
        url = given.get("database", f"sqlite:///{folder}/scale.sqlite")
        site = Site(database=Database(url), config=WebConfig(password_memory_kb=64), folder=Path(folder))
        site.database.migrate()
        started = time.perf_counter()
        fill(site, number, judged)
        filled = time.perf_counter() - started
        if not site.database.is_sqlite:
            with site.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        def users(tags: tuple[str, ...]) -> list[accounts.User]:
            made = []
            for name in (f"u{i}-{'-'.join(tags)}" for i in range(people)):
                identity = site.database.write(
                    lambda c, name=name: accounts.add_user(c, site, name, "-", role="annotator", tags=tags)
                )
                made.append(accounts.User(identity, name, "annotator", tags=tags))
            return made

        result: dict[str, Any] = {
            "items": number,
            "database": site.database.engine.name,
            "fill_seconds": round(filled, 1),
        }
        everybody = users(())
        result["all"] = measure(site, everybody, leases)
        result["by_tag"] = measure(site, users(("lang:zh", "topic:3")), leases)
        site.database.write(
            lambda c: c.execute(update(cursors).values(place=number * GAP))
        )  # each looks from the front again
        result["from_the_front"] = measure(site, everybody, leases // 4)
        with site.database.reading() as connection:
            started = time.perf_counter()
            is_over(connection)
            connection.execute(select(items.c.id).limit(1))
            result["is_over_ms"] = round((time.perf_counter() - started) * 1000, 2)
        started = time.perf_counter()
        dashboard.numbers.of(site)
        result["dashboard_ms"] = round((time.perf_counter() - started) * 1000, 2)
        result["memory_growth_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - memory, 1)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
