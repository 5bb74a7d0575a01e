"""What routes ask for: the site, who asks and what they may, numbers and keys."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request
from sqlalchemy import Connection

from prefloop.web.security.accounts import User, needs
from prefloop.web.store.site import Site, site_of


async def _here(request: Request) -> Site:
    return site_of(request)  # async, so that it takes no thread


Here = Annotated[Site, Depends(_here)]
"""The site that answers."""
Annotator = Annotated[User, Depends(needs("annotator", "read", "judge"))]
"""Whoever may see what is their own."""
Judge = Annotated[User, Depends(needs("annotator", "judge"))]
"""Whoever may judge."""
Reader = Annotated[User, Depends(needs("lead", "read", "admin"))]
"""A lead who looks."""
Lead = Annotated[User, Depends(needs("lead", "write", "admin"))]
"""A lead who changes something."""
Admin = Annotated[User, Depends(needs("admin", "admin"))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
LongNumber = Annotated[int, Path(ge=1, le=2**62)]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=64, pattern=r"^[\x21-\x7e]*$")]


def read(site: Site, work: Callable[[Connection], Any]) -> Any:
    """What `work(connection)` reads."""
    with site.database.reading() as connection:
        return work(connection)
