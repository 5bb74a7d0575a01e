"""Packages that only a part of prefloop needs, which `pip install 'prefloop[EXTRA]'` brings."""

import importlib.util

from prefloop.errors import UserError

EXTRAS = {
    "web": ("alembic", "argon2", "fastapi", "httpx", "markdown_it", "nh3", "sqlalchemy", "starlette", "uvicorn"),
    "gguf": ("gguf",),
    "tensorboard": ("tensorboardX",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "swanlab": ("swanlab",),
}
"""Extra -> what it brings, as it is imported."""


def check_extra(extra: str, what: str) -> None:
    """Raises: UserError, with what to type, if something is not installed that `what` needs."""
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        names = f"{', '.join(missing[:-1])} and {missing[-1]}" if missing[1:] else missing[0]
        is_not = "are not" if missing[1:] else "is not"
        raise UserError(f"{what} needs {names}, which {is_not} installed. Type: pip install 'prefloop[{extra}]'")
