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

from prefloop.records import AnnotatorKind
from prefloop.web import names
from prefloop.web.config import LANGUAGES
from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site, site_of
from prefloop.web.store.tables import attempts, cursors, invitations, judgements, sessions, tokens, users

COOKIE = "prefloop_session"
PAGE_OF = "x-prefloop-user"
"""Header in which a page says whose it is: a cookie is all of a browser's, and another tab may have changed it."""
ROLES = ("annotator", "lead", "admin")
"""Each may do what those before it may."""
SCOPES = ("read", "write", "judge", "admin")
CHAT = "chat"
"""Tag, and purpose, of what is said in the chat with the policy under test."""
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

    @property
    def may_chat(self) -> bool:
        """Annotators who may judge only some tags chat only if that is one of them."""
        return not self.tags or CHAT in self.tags


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _user(row: Row[Any], scopes: Sequence[str] | None = None) -> User:
    only = None if scopes is None else tuple(scopes)
    return User(row.id, row.name, row.role, dict(row.preferences), tuple(row.tags), row.calibrated, only)


# -- who asks ---------------------------------------------------------------------------------------------------------


def current_user(request: Request) -> User | None:
    """Who asks: by bearer token, else by session cookie; None if by neither. A wrong token is refused.

    Raises: Refusal (401).
    """
    site = site_of(request)
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

    def allowed(request: Request) -> User:
        user = current_user(request)
        if user is None:
            raise Refusal(401, "signed_out", "You are not signed in. Sign in and send it again; nothing is lost.")
        if user.scopes is None and request.headers.get(PAGE_OF, str(user.id)) != str(user.id):
            says = "Somebody else signed in in this browser. Sign in again and send it again; nothing is lost."
            raise Refusal(401, "other_user", says)
        if user.scopes is not None and not set(scopes) & set(user.scopes):
            says = f"This token may {' and '.join(user.scopes) or 'do nothing'}; this needs {' or '.join(scopes)}."
            raise Refusal(403, "wrong_scope", says)
        if not user.is_at_least(role):
            raise Refusal(403, "wrong_role", f"This is for a {role}; you are signed in as {user.role}.")
        return user

    return allowed


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
    query = select(users, tokens.c.scopes).join(tokens, tokens.c.user == users.c.id)
    mine = tokens.c.hash == hashed(token), tokens.c.revoked.is_(None), users.c.active
    with site.database.glancing() as connection:
        row = connection.execute(query.where(*mine)).first()
    return None if row is None else _user(row, row.scopes)


# -- signing in and out -----------------------------------------------------------------------------------------------


def sign_in(site: Site, name: str, password: str, *, address: str, old: str | None = None) -> str:
    """A new session's cookie; the old one ends. A failure counts before the password is looked at: racing helps nobody.

    Raises: Refusal (401 wrong, 429 throttled).
    """
    now, folded = site.clock(), known_as(name)
    note = site.database.write(lambda c: _attempt(c, folded, address, now))
    with site.database.glancing() as connection:
        row = connection.execute(select(users).where(users.c.name == folded, users.c.active)).first()
    kept = row.password if row and row.password not in UNSIGNED else _nobody(site.hasher)
    if not _matches(site, kept, password) or row is None:
        raise Refusal(401, "wrong", "The name or the password is wrong.")
    renewed = row.password
    if site.hasher.check_needs_rehash(row.password):
        renewed = site.hasher.hash(password.encode("utf-8", "replace"))

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
    note = insert(attempts).values(name=name, address=address, at=now)
    return connection.execute(note.returning(attempts.c.id)).scalar_one()


def _matches(site: Site, kept: str, password: str) -> bool:
    try:
        return site.hasher.verify(kept, password.encode("utf-8", "replace"))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.cache
def _nobody(hasher: argon2.PasswordHasher) -> str:
    """The hash of a password that nobody has: a name that cannot sign in takes as long as one that can."""
    return hasher.hash(secrets.token_bytes(16))


def _begin_session(connection: Connection, site: Site, user: int, old: str | None) -> str:
    now, cookie = site.clock(), secrets.token_urlsafe(32)
    if old:
        connection.execute(delete(sessions).where(sessions.c.hash == hashed(old)))
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    row = {"hash": hashed(cookie), "user": user, "expires": now + site.config.session_days * 86400}
    connection.execute(insert(sessions).values(**row, created=now, seen=now))
    return cookie


def sign_out(site: Site, cookie: str) -> None:
    """Ends a session."""
    site.database.write(lambda c: c.execute(delete(sessions).where(sessions.c.hash == hashed(cookie))))


def end_sessions(connection: Connection, site: Site, *, by: User) -> int:
    """Signs everybody out. Returns: how many sessions ended."""
    record(connection, "sessions_ended", by.name, site.clock(), {})
    return connection.execute(delete(sessions)).rowcount


# -- joining ----------------------------------------------------------------------------------------------------------


def known_as(name: str) -> str:
    """A name as it is kept: composed, trimmed, single spaces, small letters, so that no two look alike by case."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()[:LONGEST_NAME]


def _check_name(kept: str) -> None:
    """Raises: Refusal (422) if it is no name that others can tell from another."""
    refuse_unless(1 <= len(kept) <= LONGEST_NAME, "A name has 1 to 80 letters.")
    says = "A name has letters that are seen: no marks of direction, nothing of no width. Type it anew."
    refuse_unless(names.is_seen(kept), says)
    says = "A name mixes letters of two scripts that look alike, for instance Latin and Cyrillic. Type it in one."
    refuse_unless(not names.mixes(kept), says)


def _check_like(connection: Connection, kept: str) -> None:
    """Raises: Refusal (409) if somebody has a name that looks the same."""
    other = names.like(kept, connection.execute(select(users.c.name)).scalars())
    if other is not None:
        raise Refusal(409, "name_taken", "Somebody has a name that looks the same. Choose another.")


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
    what = {"role": role, "tags": list(tags), "uses": uses}
    when = {"expires": now + days * 86400, "created": now}
    connection.execute(insert(invitations).values(hash=hashed(token), **what, **when, by=by.id if by else None))
    record(connection, "invitation", by.name if by else "server", now, {**what, "days": days})
    return token


def invited(site: Site, token: str) -> str | None:
    """The role that an invitation gives; None if it is used up, expired or unknown."""
    with site.database.glancing() as connection:
        row = _invitation(connection, site, token)
    return row.role if row else None


def _invitation(connection: Connection, site: Site, token: str) -> Row[Any] | None:
    query = select(invitations).where(invitations.c.hash == hashed(token), _is_good(site))
    return connection.execute(query.with_for_update()).first()


def _is_good(site: Site) -> Any:
    """The condition that an invitation may still be used."""
    return (invitations.c.uses > 0) & (invitations.c.expires > site.clock())


def good_invitations(connection: Connection, site: Site) -> list[dict[str, Any]]:
    """Invitations that may still be used, oldest first; their links are never told again."""
    names = ("id", "role", "tags", "uses", "expires", "created")
    return _rows(connection, invitations, names, _is_good(site))


def end_invitation(connection: Connection, site: Site, number: int, *, by: User) -> None:
    """An invitation may not be used any more."""
    if connection.execute(update(invitations).where(invitations.c.id == number).values(uses=0)).rowcount:
        record(connection, "invitation_ended", by.name, site.clock(), {"invitation": number})


def _rows(connection: Connection, table: Any, names: Sequence[str], *where: Any) -> list[dict[str, Any]]:
    query = select(*[table.c[name] for name in names]).where(*where).order_by(table.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def join(site: Site, token: str, name: str, password: str, *, old: str | None = None, language: str = "") -> str:
    """Makes a user of whoever holds an invitation, in the language in which they joined. Returns: a session's cookie.

    Raises: Refusal (404 no invitation, 409 the name is taken, 422 name or password will not do).
    """
    kept = known_as(name)
    _check_name(kept)
    says = f"A password has {SHORTEST} to {LONGEST} letters; a sentence is a good one."
    refuse_unless(SHORTEST <= len(password) <= LONGEST, says, code="weak_password")
    ended = Refusal(404, "no_invitation", "This invitation is not valid any more. Ask for a new link.")
    if invited(site, token) is None:  # before the hash, which is dear
        raise ended
    secret = site.hasher.hash(password.encode("utf-8", "replace"))

    def begin(connection: Connection) -> str:
        invitation = _invitation(connection, site, token)
        if invitation is None:
            raise ended
        if connection.execute(select(users.c.id).where(users.c.name == kept)).first():
            raise Refusal(409, "name_taken", "Somebody already has this name. Choose another.")
        _check_like(connection, kept)
        used = update(invitations).where(invitations.c.id == invitation.id)
        connection.execute(used.values(uses=invitations.c.uses - 1))
        user = add_user(connection, site, kept, secret, role=invitation.role, tags=invitation.tags)
        if language in LANGUAGES:
            connection.execute(update(users).where(users.c.id == user).values(preferences={"language": language}))
        return _begin_session(connection, site, user, old)

    return site.database.write(begin)


def add_user(
    connection: Connection,
    site: Site,
    name: str,
    password: str,
    *,
    role: str,
    tags: Sequence[str] = (),
    by: str = "",
    kind: AnnotatorKind | None = None,
) -> int:
    """A new user, with a password that is hashed already, brought in by somebody or by themselves. Returns: the id."""
    now = site.clock()
    kind = kind or ("model" if password == PROGRAM else "person")
    row = {"name": name, "role": role, "password": password, "preferences": {}, "tags": list(tags), "active": True}
    counts = {"calibrated": False, "attempt": 1, "served": 0, "created": now, "kind": kind}
    user = connection.execute(insert(users).values(**row, **counts).returning(users.c.id)).scalar_one()
    what = {"user": user, "name": name, "role": role, "tags": list(tags), "kind": kind}
    record(connection, "user", by or name, now, what)
    return user


def imported(connection: Connection, site: Site, name: str, *, by: str, kind: AnnotatorKind = "person") -> int:
    """The id of a user, made if need be, for somebody whose judgements are brought in, who never signs in."""
    plain = names.seen(known_as(name)).strip() or "somebody"
    for number in itertools.count(1):
        suffix = f" (imported{f' {number}' if number > 1 else ''})"
        room = LONGEST_NAME - len(suffix)
        kept = (plain if len(plain) <= room else f"{plain[: room - 9]}~{hashed(plain)[:8]}") + suffix
        query = select(users.c.id, users.c.name, users.c.password, users.c.kind)
        rows = connection.execute(query.where(users.c.name.in_((plain, kept)))).all()
        # by the plain name, if an older prefloop brought them in
        same = next((row.id for row in rows if row.password == IMPORTED and row.kind == kind), None)
        if same is not None:
            return same
        if all(row.name != kept for row in rows):
            return add_user(connection, site, kept, IMPORTED, role="annotator", by=by, kind=kind)
    raise AssertionError


def has_admin(connection: Connection) -> bool:
    """True if somebody may administer."""
    some = select(users.c.id).where(users.c.role == "admin", users.c.active, users.c.password.not_in(UNSIGNED)).limit(1)
    return connection.execute(some).first() is not None


# -- what an admin or lead sees and changes ---------------------------------------------------------------------------


USER = ("id", "name", "role", "kind", "tags", "active", "calibrated", "served", "created")
"""What is told of a user."""


def everybody(connection: Connection) -> list[dict[str, Any]]:
    """All users, oldest first."""
    return _rows(connection, users, USER)


def people(connection: Connection) -> list[dict[str, Any]]:
    """All users, annotators last, each with when they were last seen and last judged; None if they were not lately."""
    seen = select(func.max(sessions.c.seen)).where(sessions.c.user == users.c.id).scalar_subquery()
    last = select(func.max(judgements.c.at)).where(judgements.c.user == users.c.id).scalar_subquery()
    query = select(*[users.c[name] for name in USER], seen.label("seen"), last.label("last")).order_by(users.c.id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        row["seen"] = max((at for at in (row["seen"], row["last"]) if at is not None), default=None)
    return sorted(rows, key=lambda row: (not row["active"], -ROLES.index(row["role"]), row["name"]))


def change_preferences(connection: Connection, user: User, changes: dict[str, Any]) -> dict[str, Any]:
    """Keeps how somebody wants the page. Returns: all that they want."""
    preferences = {**user.preferences, **changes}
    connection.execute(update(users).where(users.c.id == user.id).values(preferences=preferences))
    return preferences


def change_user(connection: Connection, site: Site, user: int, changes: dict[str, Any], *, by: User) -> None:
    """Changes role, tags, activity or calibration. Raises: Refusal (404, 403, 409)."""
    held = select(users).where((users.c.id == user) | (users.c.role == "admin")).order_by(users.c.id)
    rows = connection.execute(held.with_for_update())  # all admins: two may not end each other
    row = next((row for row in rows if row.id == user), None)
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
    connection: Connection,
    site: Site,
    name: str,
    scopes: Sequence[str],
    *,
    by: User,
    user: str | None = None,
    kind: AnnotatorKind = "model",
) -> str:
    """A bearer token with scopes, of whoever makes it, or of a user who can never sign in, such as a model that judges.

    Args:
        kind: what that user is, as whose judgements are exported.

    Raises: Refusal (422) if that user is somebody who signs in, or is of another kind.
    """
    token, owner = "pl_" + secrets.token_urlsafe(32), by.id
    if user is not None:
        folded = known_as(user)
        _check_name(folded)
        known = select(users.c.id, users.c.password, users.c.kind).where(users.c.name == folded)
        row = connection.execute(known).first()
        says = f"{folded} is a person, who makes tokens of their own. Give the program another name."
        refuse_unless(row is None or row.password == PROGRAM, says)
        if row is None:
            _check_like(connection, folded)
            owner = add_user(connection, site, folded, PROGRAM, role="annotator", by=by.name, kind=kind)
        else:
            refuse_unless(row.kind == kind, f"{folded} is known as {row.kind}, not as {kind}; give it another name.")
            owner = row.id
    what = {"name": name, "scopes": list(scopes), "user": owner}
    kept = insert(tokens).values(hash=hashed(token), **what, created=site.clock())
    made = connection.execute(kept.returning(tokens.c.id)).scalar_one()
    record(connection, "token", by.name, site.clock(), {"token": made, **what})
    return token


def all_tokens(connection: Connection) -> list[dict[str, Any]]:
    """Tokens of programs, oldest first, without their secrets, each with whose it is."""
    owners = {row.id: row for row in connection.execute(select(users.c.id, users.c.name, users.c.kind))}
    rows = _rows(connection, tokens, ("id", "name", "scopes", "user", "created", "revoked"))
    return [{**row, "owner": owners[row["user"]].name, "kind": owners[row["user"]].kind} for row in rows]


def revoke_token(connection: Connection, site: Site, number: int, *, by: User) -> None:
    """A token is not good any more."""
    still = (tokens.c.id == number) & tokens.c.revoked.is_(None)
    if connection.execute(update(tokens).where(still).values(revoked=site.clock())).rowcount:
        record(connection, "token_revoked", by.name, site.clock(), {"token": number})
