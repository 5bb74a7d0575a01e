"""A crowd that judges: honest people, and some who are not, through the queue as everybody."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.work import queue
from prefloop.web.work.votes import Vote
from web.acts import judged, presented, submit, user

Chooser = Callable[[list[int]], str]
on_sqlite = pytest.mark.parametrize("new_url", ["new_sqlite"], ids=["sqlite"], indirect=True)
"""For tests whose point is not the database."""


def honest(rng: random.Random, accuracy: float = 0.84) -> Chooser:
    """Prefers response 0 as often as this, wherever it stands."""

    def choose(order: list[int]) -> str:
        wanted = 0 if rng.random() < accuracy else 1
        return "left" if order[0] == wanted else "right"

    return choose


def tosses(rng: random.Random) -> Chooser:
    """Clicks anywhere."""
    return lambda order: rng.choice(["left", "right"])


def lefts(order: list[int]) -> str:
    """Clicks left."""
    return "left"


def let_work(site: Site, crowd: dict[str, Chooser], judgements: int) -> dict[str, accounts.User]:
    """Everybody judges so many items, in turns. Returns: the users."""
    people = {name: user(site, name) for name in crowd}
    for _ in range(judgements):
        for name, who in people.items():
            served = queue.lease(site, who, 1).presentations
            if served:
                submit(site, who, judged(served[0], choice=crowd[name](presented(site, served[0]).order)))
    return people


def said(number: int, who: int, best: int | None, *, order: tuple[int, int] = (0, 1), **more: Any) -> Vote:
    """A pair judgement, without a database."""
    choice = "tie" if best is None else "left" if order[0] == best else "right"
    usual: dict[str, Any] = {
        "id": f"{who}-{number}", "user": who, "name": f"u{who}", "item": number, "comparison": f"c-{number}",
        "kind": "pair", "purpose": "work", "responses": (0, 1), "order": order, "answer": {"choice": choice},
        "meaning": {"choice": "tie"} if best is None else {"best": best}, "expected": None, "repeat": False,
        "counted": True, "right": None, "seconds": 8.0, "at": float(number),
    }  # fmt: skip
    return Vote(**{**usual, **more})
