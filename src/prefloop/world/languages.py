"""The tables of each language that the helpdesk speaks."""

from prefloop.errors import UserError
from prefloop.world.chinese import CHINESE
from prefloop.world.english import ENGLISH
from prefloop.world.vocabulary import LANGUAGES, Table

TABLES = {"en": ENGLISH, "zh": CHINESE}


def table(language: str) -> Table:
    """The tables of a language. Raises: UserError if the helpdesk does not speak it."""
    if language not in TABLES:
        raise UserError(f"the helpdesk speaks {' and '.join(LANGUAGES)}, not {language!r}; set language to one of them")
    return TABLES[language]
