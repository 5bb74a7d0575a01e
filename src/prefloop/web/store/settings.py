"""The project's settings as the database holds them: a row of JSON for each, over the defaults of `ProjectConfig`."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from prefloop.config import frozen
from prefloop.web.body import check_storable
from prefloop.web.config import ProjectConfig, WebConfig, check_seen
from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.store.chain import record
from prefloop.web.store.tables import settings


def project(connection: Connection) -> ProjectConfig:
    """The project's settings."""
    rows = connection.execute(select(settings.c.key, settings.c.value)).all()
    mine = {row.key: frozen(row.value) for row in rows if row.key in ProjectConfig.model_fields}
    return ProjectConfig.model_validate(mine)


def change(connection: Connection, changes: dict[str, Any], *, actor: str, at: float) -> ProjectConfig:
    """Keeps some settings. Raises: UserError if they contradict each other or are not known."""
    before = project(connection).model_dump(mode="json")
    after = ProjectConfig.parse({**before, **changes}, where="the settings")
    if {"name", "axes"} & changes.keys():
        check_seen(after)
    values = after.model_dump(mode="json")
    different = {key: values[key] for key in changes if values[key] != before[key]}
    for key, value in different.items():
        keep_value(connection, key, value)
    if different:
        record(connection, "settings", actor, at, different)
    return after


def value_of(connection: Connection, key: str) -> Any:
    """What stands under a key, the project's or another's; None if nothing does."""
    return connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar()


def keep_value(connection: Connection, key: str, value: Any) -> None:
    """Puts a value under a key, in the place of what stood there."""
    connection.execute(delete(settings).where(settings.c.key == key))
    connection.execute(insert(settings).values(key=key, value=value))


def typed(config: WebConfig) -> dict[str, Any]:
    """The project's settings that were typed on the command line."""
    named = {name for name in config.model_fields_set if name in ProjectConfig.model_fields}
    return config.model_dump(mode="json", include=named)


def checked_keys(body: dict[str, Any]) -> dict[str, Any]:
    """The body if it names only settings of the project. Raises: Refusal (422)."""
    unknown, names = sorted(set(body) - set(ProjectConfig.model_fields)), ", ".join(ProjectConfig.model_fields)
    refuse_unless(not unknown, f"There is no setting called {', '.join(unknown)[:200]}; there are {names}.")
    try:
        check_storable(body)
    except ValueError as problem:
        raise Refusal(422, "invalid", f"{problem}.") from None
    return body
