"""Scoring: a reward model's number for each response of a file; for preferences also how often it agrees with them.

Reads: a reward model folder (or a Python function), a file. Writes: one row for each row of the file, or for each
response of each comparison. A reward model only scores: it is not something to talk to (PIPE-9).
"""

import collections
import itertools
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import prefloop
from prefloop.errors import RowRefused, UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import writing
from prefloop.files.foreign import Reading, concluded, serves
from prefloop.files.forms import Form, recognise
from prefloop.files.hashes import hash_of
from prefloop.files.outputs import output
from prefloop.files.places import located
from prefloop.files.tables import write_in_turn
from prefloop.files.unfinished import Unfinished, drop
from prefloop.models.columns import parted
from prefloop.models.device import placement
from prefloop.ops.rewards import disagreement
from prefloop.printing import say
from prefloop.records import Comparison, Demonstration, Preference, Record, opening
from prefloop.score.config import ScoreConfig
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import reward_input, scorer_as
from prefloop.scoring.pair_classifier import PairClassifier
from prefloop.scoring.protocol import Conversation, Scored, Scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.intervals import share_interval
from prefloop.text.examples import Cuts

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
"""How a file of scores may be called."""
READERS = (RewardModel, Ensemble)
"""Scorers that read text as a model does: what does not fit its context is cut."""
KINDS = (Preference, Demonstration, Comparison)
"""What is scored, in the order in which a file is asked for it."""


def score(config: ScoreConfig) -> str:
    """Scores the file, or goes on where the same command was broken off. Returns: a sentence on what came of it."""
    try:
        form = recognise(config.data)
        with output(config.out, inputs=(config.data, reward_input(config.model)), suffixes=SUFFIXES) as out:
            sentence = _score(config, form, out)
        drop(config.out)
        return sentence
    except RowRefused as problem:
        raise located(problem, [config.data]) from None


def _score(config: ScoreConfig, form: Form, out: Path) -> str:
    place = placement(config.device, config.dtype)
    judge = scorer_as(config, config.model, place, weights=config.weights)
    embeds = isinstance(judge, READERS) and not isinstance(judge, PairClassifier)
    if config.embed and not (embeds and form.what == "comparisons"):
        raise UserError(
            f"embed=true: {config.model} and {config.data} have no embeddings to write; give a reward model's folder "
            "as model= and comparisons as data=."
        )
    kind = next((kind for kind in KINDS if serves(form, kind)), None)
    if kind is None:
        raise UserError(
            f"{config.data}: this file holds {form.what} ({form.sentence}); score needs responses: demonstrations, "
            "comparisons or preferences."
        )
    read = fingerprints.of_path(config.data)
    model = fingerprints.of_path(reward_input(config.model))
    settings = config.model_dump(include={"batch", "embed", "weights", "combine", "variance_coef"})
    settings |= {"column": parted(config.model)[1]}
    job = [read, model, settings, str(place), prefloop.__version__]
    num, skipped = _looked_through(config.data, kind)
    with Unfinished(config.out, job) as done:
        _go_on(config, kind, judge, done)
        if fingerprints.of_path(config.data) != read:
            raise UserError(f"{config.data}: this file changed while it was read. Run the same command again.")
        with writing(out, otherwise="Choose another out=FILE."):
            write_in_turn(out, (part["rows"] for part in done))
        sentence = _sentence(done, kind, num)
    for problem in skipped:
        say(f"left out: {problem}")
    if isinstance(judge, READERS) and (cut := judge.cuts.sentence(judge.context)):
        say(f"{config.data}: {cut}")
    return f"{sentence}; written to {Path(config.out)}" + (f"; {len(skipped)} bad rows left out" if skipped else "")


def _looked_through(data: str, kind: type[Record]) -> tuple[int, list[str]]:
    """How many records a file has, and what is wrong with its other rows, before hours of scoring. Raises: UserError if
    there are none, or for a bad comparison."""
    reading, problems, num = Reading(data, kind), list[str](), 0
    for _, outcome in reading:
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
        num += not isinstance(outcome, UserError)
    concluded(reading, problems, num, on_bad="stop" if kind is Comparison else "skip", say=say)
    return num, problems


def _go_on(config: ScoreConfig, kind: type[Record], judge: Scorer, done: Unfinished) -> None:
    """Scores what is not scored yet, batch after batch; of each its rows are kept, and what is told at the end."""
    if isinstance(judge, READERS) and done.count:
        judge.cuts = Cuts(**collections.deque(done, maxlen=1)[0]["cuts"])
    whole = isinstance(judge, PairClassifier)
    items = itertools.islice(_items(config.data, kind, whole=whole), config.batch * done.count, None)
    while batch := list(itertools.islice(items, config.batch)):
        if whole and kind is Comparison:
            batch = list(itertools.chain.from_iterable(batch))
        part = _pairs(judge, batch) if kind is Preference else _responses(judge, batch, embed=config.embed)
        done.add(part | {"cuts": vars(judge.cuts) if isinstance(judge, READERS) else None})


def _items(data: str, kind: type[Record], *, whole: bool) -> Iterator[Any]:
    """What is scored one by one: preferences, or (name, messages, response, tags).

    Args: whole: True for all responses of a comparison together, as a list.
    """
    for _, outcome in Reading(data, kind):
        match outcome:
            case Preference():
                yield outcome
            case Demonstration():
                yield outcome.id, outcome.messages, outcome.response, outcome.tags
            case Comparison():
                texts = [response.text for response in outcome.responses]
                some = [(f"{outcome.id}:{i}", outcome.messages, t, outcome.tags) for i, t in enumerate(texts)]
                yield from [some] if whole else some


def _responses(
    judge: Scorer, batch: Sequence[tuple[str, Conversation, str, Sequence[str]]], *, embed: bool
) -> dict[str, Any]:
    """The rows of some responses: scores, what else is known of each, and embeddings of five digits."""
    names, messages, texts, tags = zip(*batch, strict=True)
    places = None
    if embed and isinstance(judge, READERS):
        said, places = judge.score_and_embed(messages, texts, tags)
    else:
        said = judge.detailed(messages, texts, tags)
    columns: dict[str, list[Any]] = {"id": list(names), "score": said.scores.tolist()}
    columns |= _of_members(said)
    if said.outlier is not None:
        columns["outlier"] = said.outlier.tolist()
    if places is not None:
        columns["embedding"] = [[float(f"{x:.5g}") for x in place] for place in places.tolist()]
    return {"rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _of_members(said: Scored) -> dict[str, list[Any]]:
    """What the members of an ensemble say, each for itself, and how far they are apart; nothing of one model."""
    if said.members is None:
        return {}
    return {"members": said.members.tolist(), "disagreement": disagreement(said.members).tolist()}


def _pairs(judge: Scorer, batch: Sequence[Preference]) -> dict[str, Any]:
    """The rows of some preferences, and of those with a majority that are two to the judge a hash of the prompt and
    whether the chosen response has the higher score (1/2 if neither has)."""
    prompts, texts = [p.messages for p in batch], ([p.chosen for p in batch], [p.rejected for p in batch])
    if isinstance(judge, PairClassifier):
        half = judge.log_odds(prompts, *texts) / 2
        sides = [Scored(half), Scored(-half)]
    else:
        sides = [judge.detailed(prompts, side, [p.tags for p in batch]) for side in texts]
    chosen, rejected = (said.scores.tolist() for said in sides)
    margins = [said.members for said in sides if said.members is not None]
    more = _of_members(Scored(sides[0].scores, members=margins[0] - margins[1])) if margins else {}
    both = list(zip(batch, chosen, rejected, strict=True))
    decided = [(p, c, r) for p, c, r in both if p.decided]
    kept = [
        (hash_of(opening(p.messages)), 0.5 if c == r else float(c > r))
        for p, c, r in decided
        if not (c == r and isinstance(judge, READERS) and judge.same(p.messages, (p.chosen, p.rejected)))
    ]
    return {
        "rows": [
            {"id": p.id, "chosen": c, "rejected": r, **{name: values[i] for name, values in more.items()}}
            for i, (p, c, r) in enumerate(both)
        ],
        "kept": kept,
        "undecided": len(both) - len(decided),
        "same": len(decided) - len(kept),
    }


def _sentence(done: Unfinished, kind: type[Record], num: int) -> str:
    """What came of it."""
    if kind is Preference:
        return f"{num} preferences scored; {_agreement(done)}"
    total, count = 0.0, 0
    for part in done:
        total, count = total + sum(row["score"] for row in part["rows"]), count + len(part["rows"])
    of = f" of {num} comparisons" if kind is Comparison else ""
    return f"{count} responses{of} scored, mean {total / count:.3f}"


def _agreement(done: Unfinished) -> str:
    """How often the chosen response has the higher score, of the pairs with a majority that are two to the judge."""
    prompts, right, undecided, same = array("Q"), array("d"), 0, 0
    for part in done:
        prompts.extend(prompt for prompt, _ in part["kept"])
        right.extend(share for _, share in part["kept"])
        undecided, same = undecided + part["undecided"], same + part["same"]
    apart = [(undecided, "without a majority"), (same, "whose responses are the same once cut to the context")]
    told = "".join(f"; {count} {what} are not counted" for count, what in apart if count)
    if not right:
        return f"none can say how often the chosen response has the higher score{told}"
    low, high = share_interval(np.array(right), np.array(prompts), confidence=0.95)
    return f"the chosen response has the higher score in {sum(right) / len(right):.1%} [{low:.1%}, {high:.1%}]{told}"
