"""Preferences to learn from and to validate with: split by prompt, by hashes, with the rows left in their files.

In memory are 16 bytes a preference: where its row begins (4), its prompt's first words (8), its prompt (4).
"""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prefloop.errors import UserError
from prefloop.files.hashes import hash_of
from prefloop.files.index import Lazy, Rows
from prefloop.ops.draws import permutation
from prefloop.records import Message, Preference, opening
from prefloop.reward.config import RewardConfig
from prefloop.text.batches import Batches

Say = Callable[[str], None]
FILES = ("preferences", "held_out", "undecided")
MOST_HELD_OUT = 4096
"""Pairs that are validated with at most, for they are in memory and are read five times: an accuracy is known to
within 1.5 % by them."""
NO_DECISION = np.uint64(1)
"""The bit of a prompt's hash that says that its pair has no majority."""


class Pairs(Lazy[Preference]):
    """Some preferences of some files, read when they are asked for."""

    def __init__(self, files: Sequence[Rows[Preference]], places: np.ndarray) -> None:
        """Args: places: (n,) number of each preference among those of all files."""
        self.files, self.places = files, places
        self._ends = list(itertools.accumulate(len(rows) for rows in files))

    def __len__(self) -> int:
        return len(self.places)

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[Preference]:
        """Some preferences, in the order asked for."""
        taken: list[Preference] = []
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

    def forget(self) -> None:
        """Lets go of what was noted, once batches are made."""
        for rows in self.files:
            rows.columns.clear()

    def only(self, which: np.ndarray) -> "Pairs":
        """Those for which (n,) `which` is true, or those of these numbers."""
        return Pairs(self.files, self.places[which])


@dataclass(frozen=True)
class Split:
    """Preferences to learn from and preferences to validate with."""

    training: Pairs
    """with the undecided pairs"""
    validation: list[Preference]
    undecided: list[Preference]
    """held-out pairs without a majority: calibration counts their votes"""
    skipped: tuple[str, ...]
    """what is wrong with each bad row that was left out"""
    num_undecided: int = 0
    """pairs without a majority in `preferences` and `held_out`"""


def split(config: RewardConfig, say: Say = print, *, kept: Path | None = None) -> Split:
    """Preferences for training and for validation; no prompt is in both. Pairs without a majority are set apart.

    Args:
        kept: folder for what is to be remembered of the files while the run is not finished.
    """
    _different_files(config)
    named = {name: path for name, path in config.model_dump().items() if name in FILES and path}
    given = {name: path for name, path in named.items() if name != "undecided" or _has_rows(path)}
    files = {name: _indexed(name, path, config, say, kept) for name, path in given.items()}
    decided, undecided = _by_majority(files)
    num_undecided = sum(len(undecided[name]) for name in files if name != "undecided")
    rows, training = list(files.values()), decided["preferences"]
    apart = Pairs(rows, np.concatenate([undecided["preferences"].places, *_of_undecided(decided, undecided)]))
    if not len(training) and (config.held_out is None or config.labels == "majority"):
        raise UserError(f"{config.preferences}: all its pairs are ties, so there is no preference to learn from.")
    if config.held_out is not None:
        validation, ties = decided["held_out"], undecided["held_out"]
        if not len(validation):
            raise UserError(f"{config.held_out}: all its pairs are ties, so there is no preference to validate with.")
        apart = Pairs(rows, np.concatenate([apart.places, ties.places]))
        held_out = np.unique(np.concatenate([validation.openings(), ties.openings()]))
        _refuse_shared(training, held_out, config)
        if len(validation) > MOST_HELD_OUT:
            say(f"{config.held_out}: {MOST_HELD_OUT} of its {len(validation)} pairs are validated with: it is enough.")
            some = permutation(len(validation), config.seed, "reward.split")[:MOST_HELD_OUT].sort().values
            validation = validation.only(some.numpy())
    else:
        held_out = _drawn(training, config, say)
        training, validation = _parted(training, held_out)
        if not len(training):
            raise UserError(
                f"{config.preferences}: all rows have the same prompt, so none can be held out. Give a held_out file."
            )
    skipped = tuple(problem for file in rows for problem in file.problems)
    learned, beside = _parted(apart, held_out)
    if config.labels == "majority":
        learned, beside = learned.only(np.zeros(0, dtype=int)), beside.only(np.zeros(0, dtype=int))
    whole = Pairs(rows, np.concatenate([training.places, learned.places]).astype(np.uint32))
    return Split(whole, validation[:], beside[:MOST_HELD_OUT], skipped, num_undecided)


def _of_undecided(decided: dict[str, Pairs], undecided: dict[str, Pairs]) -> list[np.ndarray]:
    """The pairs of the file `undecided`, those with a majority before the others."""
    return [side["undecided"].places for side in (decided, undecided) if "undecided" in side]


def _by_majority(files: dict[str, Rows[Preference]]) -> tuple[dict[str, Pairs], dict[str, Pairs]]:
    """The pairs of each file with a majority, and those without."""
    rows, begin = list(files.values()), 0
    decided, undecided = dict[str, Pairs](), dict[str, Pairs]()
    for name, file in files.items():
        places = np.arange(begin, begin + len(file), dtype=np.uint32)
        without = (file.columns["opening"] & NO_DECISION) > 0
        decided[name], undecided[name] = Pairs(rows, places[~without]), Pairs(rows, places[without])
        begin += len(file)
    return decided, undecided


def _drawn(training: Pairs, config: RewardConfig, say: Say) -> np.ndarray:
    """Hashes of the prompts that are held out: the share asked for, but no more than `MOST_HELD_OUT` pairs have."""
    prompts, counts = np.unique(training.openings(), return_counts=True)
    order = permutation(len(prompts), config.seed, "reward.split").numpy()
    share = max(1, round(config.validation * len(prompts)))
    few = max(1, int((counts[order[:share]].cumsum() <= MOST_HELD_OUT).sum()))
    if few < share:
        say(
            f"{config.preferences}: {few} of its {len(prompts)} prompts are held out, which is enough to tell, and not "
            f"validation = {config.validation:g} of them; the others are learned from."
        )
    return np.sort(prompts[order[:few]])


def _refuse_shared(training: Pairs, held_out: np.ndarray, config: RewardConfig) -> None:
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


def _different_files(config: RewardConfig) -> None:
    """Raises: UserError if one file is to be learned from twice, or learned from and validated with."""
    named = {name: path for name, path in config.model_dump().items() if name in FILES and path}
    for first, second in itertools.combinations(named, 2):
        if Path(named[first]).resolve() == Path(named[second]).resolve():
            raise UserError(
                f"{named[first]}: this file is given as {first} and as {second}, but each needs its own. "
                f"Leave {second} out, or give another file."
            )


def _parted(rows: Pairs, held_out: np.ndarray) -> tuple[Pairs, Pairs]:
    """The rows whose prompt is not held out, and those whose is."""
    held = np.isin(rows.openings(), held_out)
    return rows.only(~held), rows.only(held)


def _has_rows(path: str) -> bool:
    """False for an empty file: everybody agreed about everything, or one annotator judged each pair."""
    return not Path(path).is_file() or Path(path).stat().st_size > 0


def _indexed(name: str, path: str, config: RewardConfig, say: Say, kept: Path | None) -> Rows[Preference]:
    """The preferences of a file. Raises: UserError at a bad row, unless bad rows are skipped."""
    rows = Rows(path, Preference, on_bad="skip", say=say, kept=kept and kept / name, noted=_noted)
    if rows.problems and config.on_bad == "stop":
        raise UserError(
            f"{rows.problems[0]} Bad rows: {len(rows.problems)}; see them with `prefloop data check {path}`, "
            "or pass by with on_bad=skip."
        )
    undecided = int((rows.columns["opening"] & NO_DECISION).sum())
    if undecided and name != "undecided":
        fate = "their votes count" if config.labels == "votes" else "labels=majority learns nothing from them"
        say(f"{path}: {undecided} of {len(rows)} pairs are ties or have no majority: {fate}.")
    return rows


def _noted(rows: Sequence[Preference]) -> dict[str, np.ndarray]:
    """Of each preference 63 bits of its prompt's first words and whether it is decided, and 32 bits of its prompt."""
    first = np.array([hash_of(opening(row.messages)) for row in rows], dtype=np.uint64) & ~NO_DECISION
    undecided = np.array([not row.decided for row in rows], dtype=np.uint64)
    return {"opening": first | undecided, "prompt": np.array([_prompt(row.messages) for row in rows], dtype=np.uint32)}


def _prompt(messages: tuple[Message, ...]) -> int:
    if len(messages) == 1:
        return 0  # its first words are all of it
    return hash_of("\0".join(f"{message.role} {message.content}" for message in messages)) & 0xFFFFFFFF


class PromptBatches(Sequence[np.ndarray]):
    """The preferences of each update, all those of one prompt together.

    Ouyang et al. 2022, section 3.5: pairs of one prompt share responses, so shuffled they are learned several times
    over.
    """

    def __init__(self, rows: Pairs, config: RewardConfig) -> None:
        keys = rows.openings() ^ (rows.column("prompt").astype(np.uint64) << np.uint64(32))
        _, first, group, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        self._members = first[group].argsort(kind="stable").astype(np.uint32)  # prompts in the order in which they come
        sizes = counts[first.argsort()]
        self._ends = sizes.cumsum().astype(np.uint32)
        self._prompts = Batches(
            sizes, epochs=config.epochs, limit=config.batch_pairs, seed=config.seed, stream="reward.batches"
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
