"""Synthetic rows beside preferences: the chosen response made worse as the rejected one, and prompts in other words.

Every such row is tagged `synthetic` and by its kind (`synthetic:shuffled`), so that it can be weighed (`trust`), left
out, and found again; whoever learns refuses to validate with one. Nothing is made of what is held out.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from prefloop.data.config import AugmentConfig
from prefloop.errors import UserError
from prefloop.files.foreign import read_preferences
from prefloop.files.tables import write_records
from prefloop.records import Message, Preference, Prompt, opening
from prefloop.records.judgements import SYNTHETIC
from prefloop.scoring.function import PythonFunction
from prefloop.text.facts import Facts

Worse = Callable[[Preference, random.Random], str | None]
"""A worse copy of a row's chosen response; None if there is none."""
_WORDS = re.compile(r"\s+")
_LETTERS = re.compile(r"[\u4e00-\u9fff]")


def augment(file: str, config: AugmentConfig, say: Callable[[str], None] = print) -> None:
    """Writes the rows of a file and the synthetic ones made of them. Raises: UserError if none can be made."""
    rows = [row for row in read_preferences(file).records if row.decided]
    synthetic = next((row for row in rows if SYNTHETIC in row.tags), None)
    if synthetic is not None:
        raise UserError(f"{file}: the row {synthetic.id!r} is synthetic already. Augment the file that it was made of.")
    held = {opening(row.messages) for row in read_preferences(config.held_out).records} if config.held_out else set()
    free = [row for row in rows if opening(row.messages) not in held]
    made = [row for kind in config.kinds for row in _worse(kind, free, config)]
    made += _paraphrased(free, config) if config.paraphrase else []
    if not made:
        raise UserError(f"{file}: no synthetic row could be made of its {len(free)} rows. Check kinds and held_out.")
    write_records(config.out, [*rows, *made])
    counts = Counter(tag for row in made for tag in row.tags if tag.startswith(f"{SYNTHETIC}:"))
    told = ", ".join(f"{num} {tag.removeprefix(f'{SYNTHETIC}:')}" for tag, num in sorted(counts.items()))
    say(
        f"{config.out}: {len(rows)} rows of {file}, and {len(made)} synthetic ones ({told}). Learn from them with "
        f"held_out=FILE; trust.{SYNTHETIC}=0.5 lets them count half."
    )


def _worse(kind: str, rows: Sequence[Preference], config: AugmentConfig) -> list[Preference]:
    """New pairs of some rows: their chosen response, and a copy of it that is worse."""
    rng = random.Random(f"{config.seed} {kind}")
    chosen = sorted(rng.sample(range(len(rows)), max(1, round(config.share * len(rows))) if rows else 0))
    change, made = _changes(rows)[kind], list[Preference]()
    for row in (rows[place] for place in chosen):
        text = change(row, random.Random(f"{config.seed} {kind} {row.id}"))
        if text and text.strip() and text != row.chosen:
            made.append(_tagged(row, kind, chosen=row.chosen, rejected=text))
    return made


def _changes(rows: Sequence[Preference]) -> Mapping[str, Worse]:
    prompts = [Prompt(id=row.id, messages=row.messages) for row in rows]
    facts = Facts.of(prompts)
    return {
        "shuffled": lambda row, rng: shuffled(row.chosen, rng),
        "truncated": lambda row, _: truncated(row.chosen),
        "swapped": lambda row, rng: _others(row, rows, rng),
        "altered": lambda row, rng: facts.altered(Prompt(id=row.id, messages=row.messages), row.chosen, rng),
    }


def parts_of(text: str) -> tuple[list[str], str]:
    """The words of a text and what stands between them; of Chinese its letters."""
    if len(_LETTERS.findall(text)) * 2 > len(text):
        return list(text), ""
    return _WORDS.split(text.strip()), " "


def shuffled(text: str, rng: random.Random) -> str:
    """The same words in another order."""
    words, between = parts_of(text)
    return between.join(rng.sample(words, len(words)))


def truncated(text: str) -> str:
    """Without its last third, at a word."""
    words, between = parts_of(text)
    return between.join(words[: len(words) - max(1, len(words) // 3)])


def _others(row: Preference, rows: Sequence[Preference], rng: random.Random) -> str | None:
    """The chosen response to another prompt."""
    for other in rng.sample(rows, min(len(rows), 20)):
        if other.messages != row.messages and other.chosen != row.chosen:
            return other.chosen
    return None


def _paraphrased(rows: Sequence[Preference], config: AugmentConfig) -> list[Preference]:
    """The rows again, with their last turn in other words; those that stay the same are left out."""
    assert config.paraphrase is not None
    needs = "it takes prompts as a list of strings and returns as many in other words"
    function = PythonFunction(
        config.paraphrase.removeprefix("python:"), needs=needs, each="string", arguments=1, setting="seconds"
    )
    said = function.listed([row.messages[-1].content for row in rows])
    made = list[Preference]()
    for row, text in zip(rows, said, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{function.name}: for a prompt it returned {text!r}, and {needs}.")
        if text != row.messages[-1].content:
            messages = (*row.messages[:-1], Message(role=row.messages[-1].role, content=text))
            made.append(_tagged(row, "paraphrased", messages=messages, votes=row.votes, agreement=row.agreement))
    return made


def _tagged(row: Preference, kind: str, **changed: object) -> Preference:
    """A new row of an old one, without what was said of the old one unless it is given."""
    told = {"id": f"{row.id}:{kind}", "tags": (*row.tags, SYNTHETIC, f"{SYNTHETIC}:{kind}"), "weight": row.weight}
    same = {"messages": row.messages, "chosen": row.chosen, "rejected": row.rejected}
    return Preference.model_validate({**same, **told, **changed})
