"""Scoring: a reward model's number for each response of a file; for preferences also how often it agrees with them.

Reads: a reward model folder (or a Python function), a file. Writes: one row for each row of the file, or for each
response of each comparison. A reward model only scores: it is not something to talk to (PIPE-9).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel

from prefloop.errors import RowRefused, UserError
from prefloop.files.foreign import read_demonstrations, read_preferences, serves
from prefloop.files.forms import Form, recognise
from prefloop.files.outputs import output
from prefloop.files.places import located
from prefloop.files.tables import read_records, write_records
from prefloop.models.device import placement
from prefloop.printing import say
from prefloop.records import Comparison, Demonstration, EmbeddedScore, Message, Preference, Score, opening
from prefloop.score.config import ScoreConfig
from prefloop.scoring.named import reward_input, scorer
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.intervals import share_interval

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
"""How a file of scores may be called."""


class PairScore(BaseModel):
    """The scores of both responses of a preference."""

    id: str
    chosen: float
    rejected: float


def score(config: ScoreConfig) -> str:
    """Scores the file. Returns: a sentence on what came of it."""
    try:
        form = recognise(config.data)
        with output(config.out, inputs=(config.data, reward_input(config.model)), suffixes=SUFFIXES) as out:
            return _score(config, form, out)
    except RowRefused as problem:
        raise located(problem, [config.data]) from None


def _score(config: ScoreConfig, form: Form, out: Path) -> str:
    skipped: tuple[str, ...] = ()
    place = placement(config.device, config.dtype)
    judge = scorer(config.model, place, seconds=config.reward_seconds, weights=config.weights)
    if config.embed and not (isinstance(judge, RewardModel) and form.what == "comparisons"):
        raise UserError(
            f"embed=true: {config.model} and {config.data} have no embeddings to write; give a reward model's folder "
            "as model= and comparisons as data=."
        )
    if serves(form, Preference):
        imported = read_preferences(config.data, on_bad="skip")
        rows, skipped = imported.records, imported.problems
        both = [
            _scores(judge, [(p.messages, text(p)) for p in rows], config.batch)
            for text in (lambda p: p.chosen, lambda p: p.rejected)
        ]
        write_records(out, [PairScore(id=p.id, chosen=c, rejected=r) for p, c, r in zip(rows, *both, strict=True)])
        sentence = f"{len(rows)} preferences scored; {_agreement(judge, rows, both)}"
    elif serves(form, Demonstration):
        imported = read_demonstrations(config.data, on_bad="skip")
        rows, skipped = imported.records, imported.problems
        values = _scores(judge, [(d.messages, d.response) for d in rows], config.batch)
        write_records(out, [Score(id=d.id, score=v) for d, v in zip(rows, values, strict=True)])
        sentence = f"{len(rows)} responses scored, mean {sum(values) / len(rows):.3f}"
    elif form.what == "comparisons":
        compared = read_records(config.data, Comparison)
        texts = [
            (f"{c.id}:{index}", c.messages, response.text)
            for c in compared
            for index, response in enumerate(c.responses)
        ]
        names, said = [name for name, _, _ in texts], [(messages, text) for _, messages, text in texts]
        if config.embed and isinstance(judge, RewardModel):
            values, places = _embedded(judge, said, config.batch)
            write_records(
                out,
                [
                    EmbeddedScore(id=name, score=v, embedding=e)
                    for name, v, e in zip(names, values, places, strict=True)
                ],
            )
        else:
            values = _scores(judge, said, config.batch)
            write_records(out, [Score(id=name, score=v) for name, v in zip(names, values, strict=True)])
        sentence = f"{len(texts)} responses of {len(compared)} comparisons scored, mean {sum(values) / len(values):.3f}"
    else:
        raise UserError(
            f"{config.data}: this file holds {form.what} ({form.sentence}); score needs responses: demonstrations, "
            "comparisons or preferences."
        )
    for problem in skipped:
        say(f"left out: {problem}")
    if isinstance(judge, RewardModel) and (cut := judge.cuts.sentence(judge.network.codec.context)):
        say(f"{config.data}: {cut}")
    return f"{sentence}; written to {Path(config.out)}" + (f"; {len(skipped)} bad rows left out" if skipped else "")


def _agreement(judge: Scorer, rows: Sequence[Preference], both: Sequence[Sequence[float]]) -> str:
    """How often the chosen response has the higher score, of the pairs with a majority that are two to the judge."""
    decided = [(p, c, r) for p, c, r in zip(rows, *both, strict=True) if p.decided]
    kept = [
        (opening(p.messages), 0.5 if c == r else float(c > r))
        for p, c, r in decided
        if not (c == r and isinstance(judge, RewardModel) and judge.same(p.messages, (p.chosen, p.rejected)))
    ]
    apart = [
        (len(rows) - len(decided), "without a majority"),
        (len(decided) - len(kept), "whose responses are the same once cut to the context"),
    ]
    told = "".join(f"; {count} {what} are not counted" for count, what in apart if count)
    if not kept:
        return f"none can say how often the chosen response has the higher score{told}"
    prompts, right = zip(*kept, strict=True)
    low, high = share_interval(right, prompts, confidence=0.95)
    return f"the chosen response has the higher score in {sum(right) / len(kept):.1%} [{low:.1%}, {high:.1%}]{told}"


def _embedded(
    judge: RewardModel, rows: list[tuple[tuple[Message, ...], str]], batch: int
) -> tuple[list[float], list[tuple[float, ...]]]:
    """Scores, and embeddings of five digits."""
    parts = [
        judge.score_and_embed([m for m, _ in rows[i : i + batch]], [r for _, r in rows[i : i + batch]])
        for i in range(0, len(rows), batch)
    ]
    places = torch.cat([part for _, part in parts]).tolist()
    return torch.cat([part for part, _ in parts]).tolist(), [
        tuple(float(f"{x:.5g}") for x in place) for place in places
    ]


def _scores(judge: Scorer, rows: list[tuple[tuple[Message, ...], str]], batch: int) -> list[float]:
    parts = [
        judge.score([m for m, _ in rows[i : i + batch]], [r for _, r in rows[i : i + batch]])
        for i in range(0, len(rows), batch)
    ]
    return torch.cat(parts).tolist()
