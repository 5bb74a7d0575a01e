"""Is a prompt the helpdesk's own? Gold and simulated annotators understand no other, and would judge it by chance."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from prefloop.errors import UserError
from prefloop.records import Comparison, Prompt
from prefloop.world.grammar import ARRANGEMENTS
from prefloop.world.languages import table
from prefloop.world.tickets import read
from prefloop.world.vocabulary import TOPICS, plain

Asked = Prompt | Comparison


def is_own(asked: Asked) -> bool:
    """True if `data world` writes this prompt: one turn, in the helpdesk's sentences, with the tags that it gives them.

    The tags count because harm and over-refusal are shares of the prompts tagged `unsafe` and `safe`.
    """
    ticket = read(asked.text)
    if len(asked.messages) != 1 or ticket.topic not in TOPICS or not _is_written(asked.text):
        return False
    return {f"topic:{ticket.topic}", f"mood:{ticket.mood}", "unsafe" if ticket.unsafe else "safe"} <= set(asked.tags)


def own(asked: Sequence[Asked], *, file: str, who: str, instead: str) -> None:
    """Checks every one.

    Args:
        file: where they stand.
        who: the setting that asks for a judge who knows the helpdesk only, such as `judge=gold`.
        instead: a sentence on what to type for prompts of one's own.

    Raises: UserError that shows the first which is not the helpdesk's.
    """
    foreign = [each for each in asked if not is_own(each)]
    if foreign:
        why = "its tags are missing" if _is_written(foreign[0].text) else f"it says {foreign[0].text[:60]!r}"
        raise UserError(
            f"{file}: {len(foreign)} of its {len(asked)} prompts are not the helpdesk's, for instance "
            f"{foreign[0].id!r} ({why}). {who} knows the helpdesk of `prefloop data world` and nothing else: of any "
            f"other prompt its verdict is noise. {instead}"
        )


@lru_cache(maxsize=65536)
def _is_written(text: str) -> bool:
    """True if the text is a mood sentence, a request and an introduction in one of the arrangements."""
    ticket = read(text)
    if ticket.topic not in TOPICS or not ticket.mood:
        return False
    spoken = table(ticket.language)
    case, slots = spoken.cases[ticket.topic], ticket.slots()
    moods, requests, introductions = (
        [said for template in templates if (said := plain(template).format(**slots))[1:] in text]
        for templates in (spoken.moods[ticket.mood], case.requests + case.borderline + case.ood, spoken.introductions)
    )  # all but their first letter: a text begins with a capital one
    written = (
        form.format(m=m, r=r, i=i, j=spoken.joiner)
        for m, r, i, form in product(moods, requests, introductions, ARRANGEMENTS)
    )
    return any(text == whole[0].upper() + whole[1:] for whole in written)
