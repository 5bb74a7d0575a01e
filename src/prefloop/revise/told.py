"""What can be said of revisions: how often each principle was drawn, changed the text, and came to nothing."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from prefloop.errors import UserError
from prefloop.records import Revised, Step
from prefloop.stats.text import overlap, words

FAILURES = ("refused", "empty", "malformed", "unfinished", "too_long")
"""Why an answer cannot be used."""
SOME = 8
"""Prompts from which something is said of all of them."""
MOST_ALIKE = 0.5
"""Share of the revisions with one text from which that is said."""
FEW_CHANGED = 0.1
"""Share of the texts changed up to which that is said."""


def turns(rows: Sequence[Revised]) -> list[tuple[Step, str]]:
    """Every step with the text that it was a revision of."""
    found = []
    for row in rows:
        before = row.draft
        for step in row.steps:
            found.append((step, before))
            before = step.revision
    return found


def of_principles(rows: Sequence[Revised], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Principle -> its numbers, in the order of the names.

    drawn, changed (the share of its revisions that differ from the text before), overlap (the mean share of word pairs
    that both have), words (the mean change of the length in words), left_out (steps without a revision), and for each
    of `FAILURES` how many answers were so. Means are None where there is no revision.
    """
    every = turns(rows)
    told: dict[str, dict[str, Any]] = {}
    for name in names:
        own = [(step, before) for step, before in every if step.principle == name]
        made = [(step.revision, before) for step, before in own if not step.failure]
        failures = Counter(why for step, _ in own for why in step.failures)
        told[name] = {
            "drawn": len(own),
            "changed": _mean([float(after != before) for after, before in made]),
            "overlap": _mean([overlap(before, after) for after, before in made]),
            "words": _mean([len(words(after)) - len(words(before)) for after, before in made]),
            "left_out": sum(bool(step.failure) for step, _ in own),
            **{f"num_{why}": failures[why] for why in FAILURES},
        }
    return told


def counted(rows: Sequence[Revised], names: Sequence[str]) -> dict[str, Any]:
    """Numbers for the stage's result."""
    made = [row for row in rows if row.revision is not None]
    failures = Counter(why for row in rows for step in row.steps for why in step.failures)
    return {
        "num_revised": len(made),
        "num_unchanged": sum(row.revision == row.draft for row in made),
        "num_left_out": len(rows) - len(made),
        "num_no_draft": sum(not row.draft for row in rows),
        **{f"num_{why}": failures[why] for why in FAILURES},
        "principles": of_principles(rows, names),
    }


def sentences(result: dict[str, Any], rows: Sequence[Revised]) -> list[str]:
    """The same in words, with what deserves a second look."""
    said = []
    for name, numbers in result["principles"].items():
        if not numbers["drawn"]:
            said.append(f"{name}: never drawn.")
            continue
        why = _reasons(numbers)
        out = f"; {numbers['left_out']} left out" if numbers["left_out"] else ""
        out += f" ({why} answers)" if why else ""
        if numbers["changed"] is None:
            said.append(f"{name}: drawn {numbers['drawn']} times, and never followed{out}.")
            continue
        said.append(
            f"{name}: drawn {numbers['drawn']} times, changed the text in {numbers['changed']:.0%} (word overlap "
            f"{numbers['overlap']:.2f}, {numbers['words']:+.1f} words){out}."
        )
    made, why = [row for row in rows if row.revision is not None], _reasons(result)
    said.append(
        f"{len(made)} of {len(rows)} drafts have a revision, {result['num_unchanged']} of them the draft itself; "
        f"{result['num_left_out']} are left out" + (f" (answers that cannot be used: {why})." if why else ".")
    )
    text, count = _most_alike(made)
    if len(made) >= SOME and count > MOST_ALIKE * len(made):
        said.append(
            f"look at it: {count} of {len(made)} revisions are the same text, {text[:60]!r}. Whatever learns from them "
            "learns to say that."
        )
    if len(made) >= SOME and len(made) - result["num_unchanged"] <= FEW_CHANGED * len(made):
        said.append(
            f"look at it: the reviser changed {len(made) - result['num_unchanged']} of {len(made)} drafts. Whatever "
            "learns from them learns what the model already says; take a better reviser, or other principles."
        )
    return said


def refuse_worthless(rows: Sequence[Revised], *, kept: str) -> None:
    """Stops where the reviser is of no use, as soon as that shows.

    Args: kept: where what it said can be read.

    Raises: UserError if it gave no revision that can be used, or one text for all drafts, though these differ.
    """
    drafted = [row for row in rows if row.draft]
    made = [row.revision for row in drafted if row.revision is not None]
    if len(drafted) < SOME:
        return
    who = drafted[0].reviser
    if not made:
        why = _reasons(counted(drafted, ())) or "nothing"
        raise UserError(
            f"{who}: none of its revisions of {len(drafted)} drafts can be used ({why}). What it said is in {kept}. "
            "Take another reviser"
            + (", or a larger reviser.max_new_tokens" if who.startswith("model:") else "")
            + ", with another out=DIR."
        )
    if len(made) >= SOME and len({*made}) == 1 and len({row.draft for row in drafted}) > 1:
        raise UserError(
            f"{who}: it revised {len(made)} drafts into one and the same text, {made[0][:60]!r}, of which nothing can "
            f"be learned. What it said is in {kept}. Take another reviser, or other principles."
        )


def _reasons(numbers: dict[str, Any]) -> str:
    return ", ".join(f"{numbers[f'num_{why}']} {why}" for why in FAILURES if numbers[f"num_{why}"])


def _most_alike(rows: Sequence[Revised]) -> tuple[str, int]:
    counts = Counter(row.revision or "" for row in rows)
    return counts.most_common(1)[0] if counts else ("", 0)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
