"""Who is there: users, passwords, sessions, invitations, tokens, and the brake on guessing.

Every secret (cookie, invitation, token) is 32 random bytes and is kept only as its SHA-256; passwords as argon2id.
Nobody signs up without an invitation; the first one is printed where the server was started.
"""

import functools
import hashlib
import itertools
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import argon2
from fastapi import Request
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.pages.words import LANGUAGES
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site
from prefloop.web.store.tables import attempts, cursors, invitations, sessions, tokens, users

COOKIE = "prefloop_session"
PAGE_OF = "x-prefloop-user"
"""Header in which a page says whose it is: a cookie is all of a browser's, and another tab may have changed it."""
ROLES = ("annotator", "lead", "admin")
"""Each may do what those before it may."""
SCOPES = ("read", "write", "judge", "admin")
LONGEST_NAME = 80
SHORTEST, LONGEST = 10, 200
"""Letters of a password."""
WINDOW = 15 * 60.0
"""Seconds in which failed sign-ins count."""
LIMITS = {"pair": 5, "name": 30, "address": 60}
"""Failed sign-ins in that time with one name from one address, with one name, from one address."""
IMPORTED, PROGRAM = "imported", "program"
UNSIGNED = (IMPORTED, PROGRAM)
"""Stands in place of a hash for people whose judgements were brought in: no password fits it."""
SEEN_EVERY = 300.0
"""Seconds between two notes that a session is in use."""


@dataclass(frozen=True)
class User:
    """Somebody who is signed in, or whose token is used."""

    id: int
    name: str
    role: str
    preferences: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    calibrated: bool = False
    scopes: tuple[str, ...] | None = None
    """Of the token; None for somebody who signed in."""

    def is_at_least(self, role: str) -> bool:
        """True if the user may do what the role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def may_administer(self) -> bool:
        """True for an admin who signed in, or whose token has the scope for it."""
        return self.is_at_least("admin") and (self.scopes is None or "admin" in self.scopes)


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _user(row: Row[Any], scopes: Sequence[str] | None = None) -> User:
    return User(
        row.id,
        row.name,
        row.role,
        dict(row.preferences),
        tuple(row.tags),
        row.calibrated,
        None if scopes is None else tuple(scopes),
    )


# -- who asks -------------------------------------------------------------------------------------------------------


def current_user(request: Request) -> User | None:
    """Who asks: by bearer token, else by session cookie; None if by neither. A wrong token is refused.

    Raises: Refusal (401).
    """
    site: Site = request.app.state.site
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user = by_token(site, token.strip())
        if user is None:
            raise Refusal(401, "bad_token", "This token is not known, or was revoked. Ask the lead for a new one.")
        return user
    cookie = request.cookies.get(COOKIE)
    return by_session(site, cookie) if cookie else None


def needs(role: str, *scopes: str) -> Callable[[Request], User]:
    """A dependency: the user, if they have at least this role and, with a token, one of these scopes."""

    def user(request: Request) -> User:
        found = current_user(request)
        if found is None:
            raise Refusal(401, "signed_out", "You are not signed in. Sign in and send it again; nothing is lost.")
        if found.scopes is None and request.headers.get(PAGE_OF, str(found.id)) != str(found.id):
            raise Refusal(
                401,
                "other_user",
                "Somebody else signed in in this browser. Sign in again and send it again; nothing is lost.",
            )
        if found.scopes is not None and not set(scopes) & set(found.scopes):
            raise Refusal(
                403,
                "wrong_scope",
                f"This token may {' and '.join(found.scopes) or 'do nothing'}; this needs {' or '.join(scopes)}.",
            )
        if not found.is_at_least(role):
            raise Refusal(403, "wrong_role", f"This is for a {role}; you are signed in as {found.role}.")
        return found

    return user


_SIGNED_IN = (
    select(users, sessions.c.seen, sessions.c.expires, sessions.c.created.label("began"))
    .join(sessions, sessions.c.user == users.c.id)
    .where(sessions.c.hash == bindparam("key"), users.c.active)
)


def by_session(site: Site, cookie: str) -> User | None:
    """The user of a session that has not expired."""
    now, key = site.clock(), hashed(cookie)
    with site.database.glancing() as connection:
        row = connection.execute(_SIGNED_IN, {"key": key}).first()
    idle = site.config.session_days * 86400 / 3
    if row is None or now >= row.expires or now - row.seen >= idle:
        return None
    if now - row.seen >= SEEN_EVERY:
        site.database.write(lambda c: c.execute(update(sessions).where(sessions.c.hash == key).values(seen=now)))
    return _user(row)


def by_token(site: Site, token: str) -> User | None:
    """The user of a token that was not revoked."""
    with site.database.glancing() as connection:
        row = connection.execute(
            select(users, tokens.c.scopes)
            .join(tokens, tokens.c.user == users.c.id)
            .where(tokens.c.hash == hashed(token), tokens.c.revoked.is_(None), users.c.active)
        ).first()
    return None if row is None else _user(row, row.scopes)


# -- signing in and out -----------------------------------------------------------------------------------------------


def sign_in(site: Site, name: str, password: str, *, address: str, old: str | None = None) -> str:
    """A new session's cookie; the old one ends. A failure counts before the password is looked at, so racing helps nobody.

    Raises: Refusal (401 wrong, 429 throttled).
    """
    now, folded = site.clock(), known_as(name)
    note = site.database.write(lambda c: _attempt(c, folded, address, now))
    with site.database.glancing() as connection:
        row = connection.execute(select(users).where(users.c.name == folded, users.c.active)).first()
    kept = row.password if row and row.password not in UNSIGNED else _nobody(site.hasher)
    if not _matches(site, kept, password) or row is None:
        raise Refusal(401, "wrong", "The name or the password is wrong.")
    renewed = (
        site.hasher.hash(password.encode("utf-8", "replace"))
        if site.hasher.check_needs_rehash(row.password)
        else row.password
    )

    def begin(connection: Connection) -> str:
        connection.execute(delete(attempts).where(attempts.c.id == note))
        connection.execute(delete(attempts).where(attempts.c.name == folded, attempts.c.address == address))
        if renewed != row.password:
            connection.execute(update(users).where(users.c.id == row.id).values(password=renewed))
        record(connection, "sign_in", row.name, now, {"address": address})
        return _begin_session(connection, site, row.id, old)

    return site.database.write(begin)


def _attempt(connection: Connection, name: str, address: str, now: float) -> int:
    """Notes an attempt. Raises: Refusal (429) if there were too many."""
    since = attempts.c.at > now - WINDOW
    connection.execute(delete(attempts).where(attempts.c.at <= now - 4 * WINDOW))
    of_name, of_address = attempts.c.name == name, attempts.c.address == address
    for limit, which in (("pair", of_name & of_address), ("name", of_name), ("address", of_address)):
        count = connection.execute(select(func.count()).select_from(attempts).where(since, which)).scalar_one()
        if count >= LIMITS[limit]:
            raise Refusal(429, "throttled", "Too many wrong passwords. Wait a quarter of an hour and try again.")
    return connection.execute(
        insert(attempts).values(name=name, address=address, at=now).returning(attempts.c.id)
    ).scalar_one()


def _matches(site: Site, kept: str, password: str) -> bool:
    try:
        return site.hasher.verify(kept, password.encode("utf-8", "replace"))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.cache
def _nobody(hasher: argon2.PasswordHasher) -> str:
    """The hash of a password that nobody has: a name that is not known, or cannot sign in, takes as long as one that can."""
    return hasher.hash(secrets.token_bytes(16))


def _begin_session(connection: Connection, site: Site, user: int, old: str | None) -> str:
    now, cookie = site.clock(), secrets.token_urlsafe(32)
    if old:
        connection.execute(delete(sessions).where(sessions.c.hash == hashed(old)))
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    row = {
        "hash": hashed(cookie),
        "user": user,
        "created": now,
        "seen": now,
        "expires": now + site.config.session_days * 86400,
    }
    connection.execute(insert(sessions).values(row))
    return cookie


def sign_out(site: Site, cookie: str) -> None:
    """Ends a session."""
    site.database.write(lambda c: c.execute(delete(sessions).where(sessions.c.hash == hashed(cookie))))


# -- joining ----------------------------------------------------------------------------------------------------------


def known_as(name: str) -> str:
    """A name as it is kept: composed, trimmed, single spaces, small letters, so that no two look alike by case."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()[:LONGEST_NAME]


def invite(
    connection: Connection,
    site: Site,
    *,
    role: str,
    by: User | None,
    tags: Sequence[str] = (),
    uses: int = 1,
    days: float = 7.0,
) -> str:
    """A new invitation's token."""
    token, now = secrets.token_urlsafe(32), site.clock()
    row = {
        "hash": hashed(token),
        "role": role,
        "tags": list(tags),
        "uses": uses,
        "expires": now + days * 86400,
        "created": now,
    }
    connection.execute(insert(invitations).values(**row, by=by.id if by else None))
    told = {"role": role, "tags": list(tags), "uses": uses, "days": days}
    record(connection, "invitation", by.name if by else "server", now, told)
    return token


def invited(site: Site, token: str) -> str | None:
    """The role that an invitation gives; None if it is used up, expired or unknown."""
    with site.database.glancing() as connection:
        row = _invitation(connection, site, token)
    return row.role if row else None


def _invitation(connection: Connection, site: Site, token: str) -> Row[Any] | None:
    now = site.clock()
    found = select(invitations).where(
        invitations.c.hash == hashed(token), invitations.c.uses > 0, invitations.c.expires > now
    )
    return connection.execute(found.with_for_update()).first()


def join(site: Site, token: str, name: str, password: str, *, old: str | None = None, language: str = "") -> str:
    """Makes a user of whoever holds an invitation, who goes on in the language in which they joined. Returns: a session's cookie.

    Raises: Refusal (404 no invitation, 409 the name is taken, 422 name or password will not do).
    """
    kept = known_as(name)
    refuse_unless(1 <= len(kept) <= 80 and kept.isprintable(), "A name has 1 to 80 letters.")
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refusal(
            422, "weak_password", f"A password has {SHORTEST} to {LONGEST} letters; a sentence is a good one."
        )
    if invited(site, token) is None:  # before the hash, which is dear
        raise Refusal(404, "no_invitation", "This invitation is not valid any more. Ask for a new link.")
    secret = site.hasher.hash(password.encode("utf-8", "replace"))

    def begin(connection: Connection) -> str:
        invitation = _invitation(connection, site, token)
        if invitation is None:
            raise Refusal(404, "no_invitation", "This invitation is not valid any more. Ask for a new link.")
        if connection.execute(select(users.c.id).where(users.c.name == kept)).first():
            raise Refusal(409, "name_taken", "Somebody already has this name. Choose another.")
        connection.execute(
            update(invitations).where(invitations.c.id == invitation.id).values(uses=invitations.c.uses - 1)
        )
        user = add_user(connection, site, kept, secret, role=invitation.role, tags=invitation.tags)
        if language in LANGUAGES:
            connection.execute(update(users).where(users.c.id == user).values(preferences={"language": language}))
        return _begin_session(connection, site, user, old)

    return site.database.write(begin)


def add_user(
    connection: Connection, site: Site, name: str, password: str, *, role: str, tags: Sequence[str] = (), by: str = ""
) -> int:
    """A new user, with a password that is already hashed, brought in by somebody or by themselves. Returns: their id."""
    now = site.clock()
    row = {"name": name, "role": role, "password": password, "preferences": {}, "tags": list(tags), "active": True}
    counts = {"calibrated": False, "attempt": 1, "served": 0, "created": now}
    user = connection.execute(insert(users).values(**row, **counts).returning(users.c.id)).scalar_one()
    record(connection, "user", by or name, now, {"user": user, "name": name, "role": role, "tags": list(tags)})
    return user


def imported(connection: Connection, site: Site, name: str, *, by: str) -> int:
    """Somebody whose judgements are brought in: a user of their own, who can never sign in, whoever else has the name. Returns: their id."""
    plain = known_as(name) or "somebody"
    for number in itertools.count(1):
        suffix = f" (imported{f' {number}' if number > 1 else ''})"
        room = LONGEST_NAME - len(suffix)
        kept = (plain if len(plain) <= room else f"{plain[: room - 9]}~{hashed(plain)[:8]}") + suffix
        rows = connection.execute(
            select(users.c.id, users.c.name, users.c.password).where(users.c.name.in_((plain, kept)))
        ).all()
        same = next(
            (row.id for row in rows if row.password == IMPORTED), None
        )  # by the plain name, if an older prefloop brought them in
        if same is not None:
            return same
        if all(row.name != kept for row in rows):
            return add_user(connection, site, kept, IMPORTED, role="annotator", by=by)
    raise AssertionError


def has_admin(connection: Connection) -> bool:
    """True if somebody may administer."""
    some = select(users.c.id).where(users.c.role == "admin", users.c.active, users.c.password.not_in(UNSIGNED)).limit(1)
    return connection.execute(some).first() is not None


# -- what an admin or lead changes --------------------------------------------------------------------------------------


def change_user(connection: Connection, site: Site, user: int, changes: dict[str, Any], *, by: User) -> None:
    """Changes role, tags, activity or calibration. Raises: Refusal (404, 403, 409)."""
    held = (
        select(users).where((users.c.id == user) | (users.c.role == "admin")).order_by(users.c.id)
    )  # all admins: two may not end each other
    row = next((one for one in connection.execute(held.with_for_update()) if one.id == user), None)
    if row is None:
        raise Refusal(404, "not_found", "There is no such user.")
    if (row.role != "annotator" or changes.get("role", "annotator") != "annotator") and not by.may_administer:
        raise Refusal(403, "wrong_role", "Only an admin changes leads and admins, and makes them.")
    connection.execute(update(users).where(users.c.id == user).values(**changes))
    if row.role == "admin" and not has_admin(connection):
        raise Refusal(409, "last_admin", "This is the last admin; make somebody else one first.")
    if "tags" in changes:  # what was passed over may be theirs now
        connection.execute(update(cursors).where(cursors.c.user == user).values(place=0))
    if changes.get("active") is False:
        connection.execute(delete(sessions).where(sessions.c.user == user))
    record(connection, "user_changed", by.name, site.clock(), {"user": user, **changes})


def new_token(
    connection: Connection, site: Site, name: str, scopes: Sequence[str], *, by: User, user: str | None = None
) -> str:
    """A bearer token with scopes, of whoever makes it, or of a user who can never sign in, such as a model that judges.

    Raises: Refusal (422) if that user is somebody who signs in.
    """
    token, owner = "pl_" + secrets.token_urlsafe(32), by.id
    if user is not None:
        folded = known_as(user)
        refuse_unless(bool(folded), "A user has a name.")
        row = connection.execute(select(users.c.id, users.c.password).where(users.c.name == folded)).first()
        refuse_unless(
            row is None or row.password == PROGRAM,
            f"{folded} is a person, who makes tokens of their own. Give the program another name.",
        )
        owner = add_user(connection, site, folded, PROGRAM, role="annotator", by=by.name) if row is None else row.id
    kept = {"hash": hashed(token), "name": name, "scopes": list(scopes), "user": owner, "created": site.clock()}
    made = connection.execute(insert(tokens).values(kept).returning(tokens.c.id)).scalar_one()
    record(
        connection, "token", by.name, site.clock(), {"token": made, "name": name, "scopes": list(scopes), "user": owner}
    )
    return token
