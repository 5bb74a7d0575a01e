"""What is learned from and validated with: split by prompt, by hashes, with the rows left in their files.

In memory are 17 bytes a row: where it begins (4), its prompt's first words (8), its prompt (4), its responses (1).
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prefloop.errors import UserError
from prefloop.feedback.config import FeedbackConfig
from prefloop.feedback.items import Asks, Row
from prefloop.feedback.kinds import SCORED, Kinds
from prefloop.feedback.objectives import Objective
from prefloop.feedback.trust import FOUND, about, refuse_synthetic, tell
from prefloop.files.feedback import feedback_of, has_main_axis
from prefloop.files.foreign import serves
from prefloop.files.forms import recognise
from prefloop.files.hashes import hash_of
from prefloop.files.index import Lazy, Noted, Rows
from prefloop.ops.draws import permutation
from prefloop.records import Message, Preference, Ranking, Rated, opening
from prefloop.records.judgements import SYNTHETIC
from prefloop.text.batches import Batches

Say = Callable[[str], None]
FILES = ("preferences", "held_out", "undecided", "replay")
MOST_HELD_OUT = 4096
"""Told that are validated with at most, for they are in memory and are read five times: an accuracy is known to
within 1.5 % by them."""
MADE = "made"
"""The column of how many rows are synthetic."""
NO_DECISION = np.uint64(1)
"""The bit of a prompt's hash that says that its pair has no majority."""
NOUNS: Mapping[type[Row], str] = {Preference: "pairs", Ranking: "rankings", Rated: "rated rows"}
"""What can be learned from, and how it is called."""
MOST_WITH_TIES = 12
"""Responses of a ranking with ties above the last place: the cost of its exact probability is 2 to their power."""
MOST_LEVELS = 64
"""Different ratings that are levels."""


class Told(Lazy[Row]):
    """Some rows of some files, read when they are asked for."""

    def __init__(self, files: Sequence[Rows[Row]], places: np.ndarray) -> None:
        """Args: places: (n,) number of each row among those of all files."""
        self.files, self.places = files, places
        self._ends = list(itertools.accumulate(len(rows) for rows in files))

    def __len__(self) -> int:
        return len(self.places)

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[Row]:
        """Some rows, in the order asked for."""
        taken: list[Row] = []
        places = self.places[np.asarray(numbers, dtype=np.int64)].tolist()
        for file, some in itertools.groupby(places, key=lambda place: bisect_right(self._ends, place)):
            before = self._ends[file - 1] if file else 0
            taken += self.files[file].take([place - before for place in some])
        return taken

    def column(self, name: str) -> np.ndarray:
        """(n,) what was noted of each."""
        return np.concatenate([rows.columns[name] for rows in self.files])[self.places]

    def openings(self) -> np.ndarray:
        """(n,) hash of each prompt's first words."""
        return self.column("opening") & ~NO_DECISION

    @property
    def num_responses(self) -> int:
        """Of all its rows together."""
        return int(self.column("num").sum(dtype=np.int64))

    def forget(self) -> None:
        """Lets go of what was noted, once batches are made."""
        for rows in self.files:
            rows.columns.clear()

    def only(self, which: np.ndarray) -> "Told":
        """Those for which (n,) `which` is true, or those of these numbers."""
        return Told(self.files, self.places[which])


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to validate with."""

    objective: str
    """its name, which the file decides if it is left open"""
    training: Told
    """with the undecided pairs"""
    validation: list[Row]
    undecided: list[Row]
    """held-out pairs without a majority: calibration counts their votes"""
    skipped: tuple[str, ...]
    """what is wrong with each bad row that was left out"""
    asks: Asks | None = None
    """what is learned of rated responses"""
    levels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """axis, or nothing where one alone is learned -> its different ratings, ascending"""
    num_replayed: int = 0
    """rows of `replay` among those to learn from"""
    num_undecided: int = 0
    """pairs without a majority in `preferences` and `held_out`"""


def split(config: FeedbackConfig, say: Say = print, *, kept: Path | None = None, kinds: Kinds = SCORED) -> Split:
    """Preferences for training and for validation; no prompt is in both. Pairs without a majority are set apart.

    Args:
        kept: folder for what is to be remembered of the files while the run is not finished.
        kinds: the objectives of who learns.
    """
    _different_files(config)
    named = {name: path for name, path in config.model_dump().items() if name in FILES and path}
    given = {name: path for name, path in named.items() if name != "undecided" or _has_rows(path)}
    objective = objective_name(config, kinds)
    kind = kinds.objectives[objective]
    asks = asks_of(kind, config)
    files = {name: _indexed(name, path, config, objective, kinds, say, kept) for name, path in given.items()}
    for name, rows in files.items():
        num = int(rows.columns.pop(MADE).sum()) if MADE in rows.columns else 0
        if name == "held_out" or (name == "preferences" and config.held_out is None):
            refuse_synthetic(str(rows.path), num, held_out=name == "held_out")
    _tell_trust(files, config, say)
    levels = _levels(files, objective)
    decided, undecided = _by_majority(files)
    num_undecided = sum(len(undecided[name]) for name in files if name in ("preferences", "held_out"))
    rows, training = list(files.values()), decided["preferences"]
    apart = Told(rows, np.concatenate([undecided["preferences"].places, *_of_undecided(decided, undecided)]))
    if not len(training) and (config.held_out is None or not kind.TIES):
        raise UserError(f"{config.preferences}: all its pairs are ties, so there is no preference to learn from.")
    if config.held_out is not None:
        validation, ties = decided["held_out"], undecided["held_out"]
        if not len(validation):
            raise UserError(f"{config.held_out}: all its pairs are ties, so there is no preference to validate with.")
        apart = Told(rows, np.concatenate([apart.places, ties.places]))
        held_out = np.unique(np.concatenate([validation.openings(), ties.openings()]))
        _refuse_shared(training, held_out, config)
        validation = _few(validation, config, say)
    else:
        held_out = _drawn(training, config, say)
        training, validation = _parted(training, held_out)
        if not len(training):
            raise UserError(
                f"{config.preferences}: all rows have the same prompt, so none can be held out. Give a held_out file."
            )
    skipped = tuple(problem for file in rows for problem in file.problems)
    learned, beside = _parted(apart, held_out)
    if not kind.TIES:
        learned, beside = learned.only(np.zeros(0, dtype=int)), beside.only(np.zeros(0, dtype=int))
    again = _replayed(decided["replay"], len(training) + len(learned), held_out, config, say) if config.replay else None
    parts = [training.places, learned.places, *([] if again is None else [again.places])]
    whole = _share(Told(rows, np.concatenate(parts).astype(np.uint32)), config)
    some = validation[:], beside[:MOST_HELD_OUT]
    return Split(objective, whole, *some, skipped, asks, levels, len(again or ()), num_undecided)


def _replayed(old: Told, num: int, held_out: np.ndarray, config: FeedbackConfig, say: Say) -> Told:
    """Old rows beside `num` new ones, as many as are the share asked for; none of a prompt that is held out."""
    free, _ = _parted(old, held_out)
    wanted = round(num * config.replay_share / (1 - config.replay_share))
    if wanted > len(free):
        say(
            f"{config.replay}: {len(free)} of its {len(old)} rows can be learned from again, which is less than "
            f"replay_share = {config.replay_share:g} of all."
        )
    order = permutation(len(free), config.seed, "reward.replay").numpy()
    return free.only(np.sort(order[:wanted]))


def asks_of(kind: type[Objective], config: FeedbackConfig) -> Asks:
    """What an objective learns of rated responses."""
    axis, each = config.axes
    rates = Rated in kind.READS and not kind.THUMBS
    return Asks(kind.THUMBS, axis, each, rates and has_main_axis(config.preferences))


def _levels(files: Mapping[str, Rows[Row]], objective: str) -> dict[str, tuple[float, ...]]:
    """The different ratings of all files, by axis. Raises: UserError if they are too few or too many for levels."""
    found: dict[str, set[float]] = {}
    for rows in (rows for rows in files.values() if "levels" in rows.columns):
        axes, marks = (rows.columns.pop(name).tolist() for name in ("axes", "levels"))
        for axis, mark in zip(axes, marks, strict=True):
            found.setdefault(axis, set()).add(mark)
    levels = {axis: tuple(sorted(marks)) for axis, marks in found.items()}
    path = files["preferences"].path
    if levels and max(map(len, levels.values())) < 2:
        raise UserError(f"{path}: all its marks are the same, so there is nothing to learn from them.")
    for axis, marks in levels.items():
        if objective == "ordinal" and len(marks) > MOST_LEVELS:
            on = f" on the axis {axis}" if axis else ""
            raise UserError(
                f"{path}: it has {len(marks)} different ratings{on}, which are too many levels to learn where each "
                "ends. Set objective=regression, or objective=plackett_luce to learn from their order alone."
            )
    return levels


def _with_trust(noted: Noted[Any], trust: Mapping[str, float]) -> Noted[Any]:
    """What is noted, and how many rows each entry of `trust` is about."""
    return lambda rows: {**noted(rows), **about(rows, trust)}


def _tell_trust(files: Mapping[str, Rows[Row]], config: FeedbackConfig, say: Say) -> None:
    """Says what rows count. Raises: UserError for an entry of `trust` that is about no row."""
    if config.trust:
        tell(
            {str(rows.path): rows.columns.pop(FOUND) for rows in files.values() if FOUND in rows.columns},
            config.trust,
            say,
        )


def objective_name(config: FeedbackConfig, kinds: Kinds = SCORED) -> str:
    """The objective asked for, or that which suits the file of preferences.

    Raises: UserError for settings that are none of its own, or a file from which none of these learns.
    """
    if config.objective != "auto":
        return config.objective
    held = feedback_of(config.preferences)
    if held not in kinds.auto:
        raise UserError(f"{config.preferences}: this file holds {held}. {kinds.refusal(held)}")
    name = kinds.auto[held]
    try:
        config.check(name)
    except ValueError as problem:
        raise UserError(f"{config.preferences}: this file holds {held}, and {problem}") from None
    return name


def record(path: str, objective: str, *, others: bool = False, kinds: Kinds = SCORED) -> type[Row]:
    """The records that are read of a file.

    Args: others: True if those serve that the objective does not learn from: their pairs tell whether scores are right.

    Raises: UserError if the objective does not learn from such a file.
    """
    form, kind = recognise(path), kinds.objectives[objective]
    found = next((each for each in (*kind.READS, *((Preference,) if others else ())) if serves(form, each)), None)
    held = feedback_of(path) if found is None or found is Rated else None
    if found is not None and (found is not Rated or (held == "thumbs") == kind.THUMBS):
        return found
    if others and serves(form, Preference):
        return Preference
    assert held is not None  # nothing was found, or rated rows
    raise UserError(
        f"{path}: this file holds {held}, which objective={objective} does not learn from. "
        + (f"Set objective={kinds.auto[held]}, or leave objective out." if held in kinds.auto else kinds.refusal(held))
    )


def _few(validation: Told, config: FeedbackConfig, say: Say) -> Told:
    """Rows of a held-out file, drawn if they are more than enough."""
    order = permutation(len(validation), config.split_by, "reward.split").numpy()
    num = int((validation.column("num")[order].astype(np.int64).cumsum() <= 2 * MOST_HELD_OUT).sum())
    if num == len(validation):
        return validation
    noun = NOUNS[type(validation[0])]
    say(f"{config.held_out}: {num} of its {len(validation)} {noun} are validated with: it is enough.")
    return validation.only(np.sort(order[:num]))


def _of_undecided(decided: dict[str, Told], undecided: dict[str, Told]) -> list[np.ndarray]:
    """The pairs of the file `undecided`, those with a majority before the others."""
    return [side["undecided"].places for side in (decided, undecided) if "undecided" in side]


def _by_majority(files: dict[str, Rows[Row]]) -> tuple[dict[str, Told], dict[str, Told]]:
    """The pairs of each file with a majority, and those without."""
    rows, begin = list(files.values()), 0
    decided, undecided = dict[str, Told](), dict[str, Told]()
    for name, file in files.items():
        places = np.arange(begin, begin + len(file), dtype=np.uint32)
        without = (file.columns["opening"] & NO_DECISION) > 0
        decided[name], undecided[name] = Told(rows, places[~without]), Told(rows, places[without])
        begin += len(file)
    return decided, undecided


def _drawn(training: Told, config: FeedbackConfig, say: Say) -> np.ndarray:
    """Hashes of the prompts that are held out: the share asked for, but no more than `MOST_HELD_OUT` pairs have."""
    prompts, of_each = np.unique(training.openings(), return_inverse=True)
    counts = np.bincount(of_each, training.column("num"))
    order = permutation(len(prompts), config.split_by, "reward.split").numpy()
    share = max(1, round(config.validation * len(prompts)))
    few = max(1, int((counts[order[:share]].cumsum() <= 2 * MOST_HELD_OUT).sum()))
    if few < share:
        say(
            f"{config.preferences}: {few} of its {len(prompts)} prompts are held out, which is enough to tell, and not "
            f"validation = {config.validation:g} of them; the others are learned from."
        )
    return np.sort(prompts[order[:few]])


def _refuse_shared(training: Told, held_out: np.ndarray, config: FeedbackConfig) -> None:
    """Raises: UserError if a held-out prompt is also learned from; by hashes, and then by the words themselves."""
    hit = np.flatnonzero(np.isin(training.openings(), held_out))
    both = np.unique(training.openings()[hit])
    if not len(both):
        return
    _, first = np.unique(training.openings()[hit], return_index=True)
    words = sorted(opening(row.messages) for row in training.take(hit[first[:1000]]))
    raise UserError(
        f"{config.held_out}: {len(both)} of its {len(held_out)} prompts are also in {config.preferences}, for "
        f"instance {words[0][:60]!r}; "
        "accuracy on what was trained on means nothing. Take them out of one file, or leave held_out out."
    )


def _different_files(config: FeedbackConfig) -> None:
    """Raises: UserError if one file is to be learned from twice, or learned from and validated with."""
    named = {name: path for name, path in config.model_dump().items() if name in FILES and path}
    for first, second in itertools.combinations(named, 2):
        if Path(named[first]).resolve() == Path(named[second]).resolve():
            raise UserError(
                f"{named[first]}: this file is given as {first} and as {second}, but each needs its own. "
                f"Leave {second} out, or give another file."
            )


def _share(rows: Told, config: FeedbackConfig) -> Told:
    """The rows of the share of the prompts that is to be learned from."""
    if config.share == 1:
        return rows
    prompts = np.unique(rows.openings())
    order = permutation(len(prompts), config.split_by, "reward.share").numpy()
    return rows.only(np.isin(rows.openings(), prompts[order[: max(1, round(config.share * len(prompts)))]]))


def _parted(rows: Told, held_out: np.ndarray) -> tuple[Told, Told]:
    """The rows whose prompt is not held out, and those whose is."""
    held = np.isin(rows.openings(), held_out)
    return rows.only(~held), rows.only(held)


def _has_rows(path: str) -> bool:
    """False for an empty file: everybody agreed about everything, or one annotator judged each pair."""
    return not Path(path).is_file() or Path(path).stat().st_size > 0


def _indexed(
    name: str, path: str, config: FeedbackConfig, objective: str, kinds: Kinds, say: Say, kept: Path | None
) -> Rows[Any]:
    """The rows of a file. Raises: UserError at a bad row, unless bad rows are skipped."""
    kind = record(path, objective, others=name == "held_out", kinds=kinds)
    asks = asks_of(kinds.objectives[objective], config)
    how = [asks.thumbs, asks.axis, asks.each, asks.main] if kind is Rated else None
    noted = _noted
    if kind is Rated:
        noted = partial(_noted_of_marks, asks=asks)
    elif kind is Ranking and objective == "plackett_luce":
        noted = partial(_noted_of_rankings, path=path)
    if config.trust and name != "held_out":
        noted, how = _with_trust(noted, config.trust), [how, sorted(config.trust)]
    rows = Rows[Any](path, kind, on_bad="skip", say=say, kept=kept and kept / name, noted=noted, how=how)
    if kind is Rated and not len(rows.columns["levels"]):
        what = "thumbs" if asks.thumbs else f"ratings on the axis {asks.axis}" if asks.axis else "ratings"
        axes = sorted({axis for row in rows.take(range(min(1000, len(rows)))) for axis in row.ratings or ()})
        there = f" It has: {', '.join(axes)}." if asks.axis and axes else ""
        raise UserError(f"{path}: no row has {what}.{there} Leave objective and axis out to learn from what it has.")
    if rows.problems and config.on_bad == "stop":
        raise UserError(
            f"{rows.problems[0]} Bad rows: {len(rows.problems)}; see them with `prefloop data check {path}`, "
            "or pass by with on_bad=skip."
        )
    undecided = int((rows.columns["opening"] & NO_DECISION).sum())
    if undecided and name in ("preferences", "held_out"):
        fate = f"objective={objective} learns nothing from them"
        if kinds.objectives[objective].TIES:
            fate = "their votes count"
        if kind is Rated:
            say(f"{path}: {undecided} of {len(rows)} rated rows have no mark that objective={objective} learns from.")
            return rows
        say(f"{path}: {undecided} of {len(rows)} {NOUNS[kind]} are ties or have no majority: {fate}.")
    return rows


def _noted(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Of each row 63 bits of its prompt's first words and whether it is decided, 32 bits of its prompt, and how many
    responses it has."""
    first = np.array([hash_of(opening(row.messages)) for row in rows], dtype=np.uint64) & ~NO_DECISION
    undecided = np.array([not _decided(row) for row in rows], dtype=np.uint64)
    nums = [2 if isinstance(row, Preference) else min(255, len(row.responses)) for row in rows]
    return {
        "opening": first | undecided,
        "prompt": np.array([_prompt(row.messages) for row in rows], dtype=np.uint32),
        "num": np.array(nums, dtype=np.uint8),
        MADE: np.array([sum(SYNTHETIC in row.tags for row in rows)]),
    }


def _noted_of_marks(rows: Sequence[Rated], *, asks: Asks) -> dict[str, np.ndarray]:
    """The same of rated rows, those without a mark for undecided; and the different marks, each with its axis."""
    said = [
        {(axis, mark) for axis, marks in asks.by_axis(row).items() for mark in marks if not math.isnan(mark)}
        for row in rows
    ]
    noted, found = _noted(rows), sorted(set[tuple[str, float]]().union(*said))
    return noted | {
        "opening": noted["opening"] & ~NO_DECISION | np.array([not some for some in said], dtype=np.uint64),
        "axes": np.array([axis for axis, _ in found], dtype=str),
        "levels": np.array([mark for _, mark in found], dtype=float),
    }


def _noted_of_rankings(rows: Sequence[Ranking], *, path: str) -> dict[str, np.ndarray]:
    """The same of rankings. Raises: UserError for one whose probability cannot be computed."""
    for row in rows:
        told = [place for place in row.places if place < max(row.places)]
        if len(row.ranks) > MOST_WITH_TIES and len(set(told)) < len(told):
            raise UserError(
                f"{path}: the ranking {row.id!r} has {len(row.ranks)} responses, with ties above the last place, which "
                f"objective=plackett_luce takes of up to {MOST_WITH_TIES}. Set objective=all_pairs, which takes any."
            )
    return _noted(rows)


def _decided(row: Row) -> bool:
    """Whether it says that one response is better than another."""
    match row:
        case Preference():
            return row.decided
        case Ranking():
            return len(set(row.places)) > 1
        case Rated():
            return True


def _prompt(messages: tuple[Message, ...]) -> int:
    if len(messages) == 1:
        return 0  # its first words are all of it
    return hash_of("\0".join(f"{message.role} {message.content}" for message in messages)) & 0xFFFFFFFF


class PromptBatches(Sequence[np.ndarray]):
    """The rows of each update, all those of one prompt together; as many responses as `batch_pairs` pairs have.

    Ouyang et al. 2022, section 3.5: pairs of one prompt share responses, so shuffled they are learned several times
    over.
    """

    def __init__(self, rows: Told, config: FeedbackConfig) -> None:
        keys = rows.openings() ^ (rows.column("prompt").astype(np.uint64) << np.uint64(32))
        _, first, group, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        nums = np.bincount(group, rows.column("num")).astype(np.uint32)
        self._members = first[group].argsort(kind="stable").astype(np.uint32)  # prompts in the order in which they come
        order = first.argsort()
        self._ends = counts[order].cumsum().astype(np.uint32)
        self._prompts = Batches(
            nums[order], epochs=config.epochs, limit=2 * config.batch_pairs, seed=config.seed, stream="reward.batches"
        )

    def __len__(self) -> int:
        return len(self._prompts)

    @property
    def first_pass(self) -> int:
        """Updates after which every preference was read once."""
        return self._prompts.first_pass

    def __getitem__(self, number: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]  # no slices
        prompts = self._prompts[number]
        begins = [int(self._ends[prompt - 1]) if prompt else 0 for prompt in prompts]
        return np.concatenate(
            [self._members[begin : self._ends[prompt]] for begin, prompt in zip(begins, prompts, strict=True)]
        )
