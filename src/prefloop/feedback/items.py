"""What is learned from: responses to one prompt in tokens, and what was said of them. A preference is an item of two.

Shapes: B items, K responses of the item that has most of them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from prefloop.errors import UserError
from prefloop.feedback.annotators import Voter, voters_of
from prefloop.feedback.trust import weight_of
from prefloop.feedback.votes import Interval, intervals
from prefloop.models.batching import Batching
from prefloop.models.network import Network
from prefloop.records import Preference, Ranking, Rated
from prefloop.records.judgements import MAIN_AXES
from prefloop.scoring.pair_classifier import both_orders
from prefloop.text.batches import cut
from prefloop.text.examples import Cuts

Say = Callable[[str], None]
Row = Preference | Ranking | Rated
"""A row of a file that a reward model learns from."""


@dataclass(frozen=True)
class Item:
    """K responses to one prompt, and what was said of them; what was not said is empty."""

    sequences: tuple[list[int], ...]
    """K, each the prompt with a response, in tokens; of a preference the chosen response comes first"""
    weight: float = 1.0
    ranks: tuple[float, ...] = (1.0, 2.0)
    """K, lower is better, equal ones are ties; nan for a response of which it was not said"""
    letters: tuple[int, ...] = (0, 0)
    """K, the length of each response"""
    votes: tuple[Interval, ...] = ()
    """of a pair: what each annotator said"""
    voters: tuple[Voter, ...] = ()
    """and who they were"""
    share: float | None = None
    """of a pair without votes: the share of the annotators that chose so, if it was told"""
    strength: float = 0.0
    """of a pair: mean strength stated, 1 to 3; 0 if it was not asked"""
    marks: tuple[float, ...] = ()
    """K, of rated responses the rating, or 1 for a thumb up and 0 for one down; nan where nobody said"""
    column: int = 0
    """which of the model's scores it speaks of, where there are several"""
    begins: tuple[int, ...] = ()
    """K, where in its sequence each response begins; empty where both of a pair are in one sequence"""
    row: int = -1
    """its number among the rows that are learned from, where somebody keeps what was said of them"""
    trust: float = 1.0
    """what the row counts by who judged it and by its tags; `weight` has it"""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return sum(map(len, self.sequences))

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(better, worse) of all its pairs of different responses that were told apart."""
        return tuple(
            (i, j)
            for i, j in itertools.permutations(range(len(self.sequences)), 2)
            if self.ranks[i] < self.ranks[j] and self.sequences[i] != self.sequences[j]
        )

    @property
    def longer(self) -> float:
        """Share of its pairs whose better response is the longer one, less those where it is the shorter one."""
        signs = [(self.letters[i] > self.letters[j]) - (self.letters[i] < self.letters[j]) for i, j in self.pairs]
        return sum(signs) / len(signs) if signs else 0.0


@dataclass(frozen=True)
class Tokenised:
    """Rows whose responses are different things to the model, and what became of the others."""

    rows: list[Row]
    items: list[Item]
    cuts: Cuts
    num_equal: int
    """rows left out, for cut to the context (or in tokens) all their responses are the same"""

    def first(self, num: int) -> "Tokenised":
        """The first ones."""
        return replace(self, rows=self.rows[:num], items=self.items[:num])

    def tell(self, say: Say, path: str, context: int) -> None:
        """Says what was cut and left out. Raises: UserError if nothing is left."""
        if self.num_equal and not self.rows:
            raise UserError(
                f"{path}: in each of the {self.num_equal} pairs both responses are the same within the context of "
                f"{context} tokens. Use a model with a longer context."
            )
        tell(self.cuts, self.num_equal, say, path, context)


def tell(cuts: Cuts, num_equal: int, say: Say, path: str, context: int) -> None:
    """Says what was cut, and how many rows were left out."""
    if sentence := cuts.sentence(context):
        say(f"{path}: {sentence}")
    if num_equal:
        say(
            f"{path}: {num_equal} pairs are left out, for within the context of {context} tokens both "
            "responses are the same."
        )


FIRST = 1000
"""Training rows that are looked at before all others."""


def first_of(
    rows: Sequence[Row], learn: Callable[[Sequence[Row]], Tokenised], *, path: str, say: Say, context: int
) -> Tokenised:
    """The first rows in tokens, and what they lost is told; of all the others only while they are learned from.

    Raises: UserError if no row at all holds different things to the model.
    """
    first, begin, num_equal = learn(rows[:FIRST]), 0, 0
    while not first.items and begin + FIRST < len(rows):
        begin, num_equal = begin + FIRST, num_equal + first.num_equal
        first = learn(rows[begin : begin + FIRST])
    first = replace(first, num_equal=num_equal + first.num_equal)
    first.tell(say, f"{path}{' (its first rows)' if len(rows) > FIRST else ''}", context)
    return first


@dataclass
class Taught:
    """What the items were that taught, counted as each is read for the first time; saved with every checkpoint."""

    num: int = 0
    num_equal: int = 0
    """rows left out, as in `Tokenised`"""
    longer: float = 0.0
    """pairs whose better response is the longer one, less those where it is the shorter one"""
    cuts: Cuts = field(default_factory=Cuts)
    said: dict[Any, float] = field(default_factory=dict)
    """what the objective counts of what was said"""
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    """(items seen, accuracy on held-out ones, its standard error) at some moments of the first pass"""

    def see(self, read: Tokenised) -> None:
        """Counts some more."""
        self.num += len(read.items)
        self.num_equal += read.num_equal
        self.longer += sum(item.longer for item in read.items)
        self.cuts.add(read.cuts)

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return vars(self) | {"cuts": vars(self.cuts), "said": list(self.said.items())}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        """What `state` gave."""
        said = {_key(what): count for what, count in state["said"]}
        return cls(**state | {"cuts": Cuts(**state["cuts"]), "said": said})


def _key(what: Any) -> Any:
    return tuple(map(_key, what)) if isinstance(what, list | tuple) else what


def tokenised(
    rows: Sequence[Row],
    network: Network,
    *,
    orders: bool = False,
    asks: "Asks | None" = None,
    together: bool = False,
    trust: Mapping[str, float] | None = None,
) -> Tokenised:
    """Rows in tokens, cut to the context; those of which only equal sequences are left then are left out.

    Args:
        orders: True for items of the two responses of a pair in one sequence, in both orders, in place of each alone.
        asks: what is learned of rated responses, if they are.
        together: True if all responses of a row must follow the very same prompt, also where it is cut.
        trust: what rows count, see `FeedbackConfig.trust`; None where all count as they are.
    """
    codec, made = network.codec, Tokenised([], [], Cuts(), 0)
    texts = [_texts(row) for row in rows]
    responses = iter(codec.responses([text for some in texts for text in some]))
    for row, prompt, some in zip(rows, codec.prompts([row.messages for row in rows]), texts, strict=True):
        said = [next(responses) for _ in some]
        begins: tuple[int, ...] = ()
        if orders:
            fitted = both_orders(prompt, said[0], said[1], context=codec.context, cuts=made.cuts)
        else:
            fitted = tuple(made.cuts.fitted(prompt, response, codec.context) for response in said)
            begins = tuple(len(all_) - min(len(own), codec.context - 1) for all_, own in zip(fitted, said, strict=True))
        if together:  # as much of the prompt as the longest response leaves room for
            least = min(begins)
            fitted = tuple(ids[begin - least :] for ids, begin in zip(fitted, begins, strict=True))
            begins = (least,) * len(begins)
        if isinstance(row, Rated) or any(sequence != fitted[0] for sequence in fitted[1:]):
            made.rows.append(row)
            item, counts = item_of(row, fitted, asks), weight_of(row, trust or {})
            made.items.append(replace(item, begins=begins, weight=item.weight * counts, trust=counts))
    return replace(made, num_equal=len(rows) - len(made.rows))


def _texts(row: Row) -> tuple[str, ...]:
    """The responses of a row, in the order of its item."""
    return (row.chosen, row.rejected) if isinstance(row, Preference) else row.responses


@dataclass(frozen=True)
class Asks:
    """What is learned of rated responses."""

    thumbs: bool
    """thumbs, or ratings"""
    axis: str | None
    """on which axis; None for the main one, or the mean of all"""
    each: bool = False
    """on every axis, each by itself"""
    main: bool = False
    """whether rows have a main axis, so that the mean of others would be of another kind"""

    def marks(self, row: Rated) -> tuple[float, ...]:
        """(K,) see `Item.marks`; where each axis is learned, those on the first that the row speaks of."""
        said: Sequence[float | None] | None = row.thumbs
        if self.each:
            said = next(iter(on_axes(row).values()), None)
        elif not self.thumbs and self.axis is None and row.ratings:
            said = None if self.main and row.main_axis not in MAIN_AXES else row.grades
        elif not self.thumbs:
            said = (row.ratings or {}).get(self.axis or "")
        return _numbers(said or [None] * len(row.responses))

    def by_axis(self, row: Rated) -> dict[str, tuple[float, ...]]:
        """The same by the name of the axis, which is empty where one alone is learned."""
        return on_axes(row) if self.each else {"": self.marks(row)}


def on_axes(row: Rated) -> dict[str, tuple[float, ...]]:
    """(K,) the marks on each axis on which a response has one, the main axis first."""
    ratings = row.ratings or {}
    order = sorted(ratings, key=lambda axis: axis != row.main_axis)
    return {axis: _numbers(ratings[axis]) for axis in order if any(mark is not None for mark in ratings[axis])}


def _numbers(marks: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if mark is None else float(mark) for mark in marks)


def rated(item: Item, marks: Sequence[float]) -> Item:
    """The same responses with these marks, of which each weighs one."""
    num = sum(not math.isnan(mark) for mark in marks)
    return replace(item, weight=num * item.trust, ranks=tuple(-mark for mark in marks), marks=tuple(marks))


def item_of(row: Row, sequences: tuple[list[int], ...], asks: Asks | None) -> Item:
    """What was said in a row of its responses. Args: sequences: see `Item`; empty where nothing is read of them."""
    letters = tuple(map(len, _texts(row)))
    if isinstance(row, Rated):
        assert asks is not None  # whoever reads such rows says what of them
        return rated(Item(sequences, letters=letters), asks.marks(row))
    if isinstance(row, Ranking):
        return Item(sequences, ranks=tuple(map(float, row.places)), letters=letters)
    ranks = (1.0, 2.0 if row.decided else 1.0)
    said = Item(sequences, row.weight, ranks, letters=letters, strength=row.strength or 0.0)
    if not row.votes:
        return replace(said, share=row.agreement)
    return replace(said, votes=intervals(row), voters=voters_of(row))


def as_pairs(row: Row, item: Item) -> list[Preference]:
    """The pairs of an item that were told apart, as preferences, in the order of `Item.pairs`."""
    if isinstance(row, Preference):
        return [row]
    texts = _texts(row)
    return [
        Preference(id=f"{row.id}:{i}-{j}", messages=row.messages, chosen=texts[i], rejected=texts[j])
        for i, j in item.pairs
    ]


def best(row: Row, item: Item) -> str:
    """The best response of a row, the first of several."""
    ranks = [math.inf if math.isnan(rank) else rank for rank in item.ranks]
    return _texts(row)[ranks.index(min(ranks))]


def item_scores(network: Network, items: Sequence[Item]) -> Tensor:
    """(B, K) raw score of each response, 0 where an item has fewer; a response of several items is read once, and so
    is what responses begin with."""
    table, index, there = gathered(network, items)
    read = table[:, 0].index_select(0, index.flatten()).view(index.shape)
    return torch.where(there, read, 0.0)


def gathered(network: Network, items: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C) raw scores of all different responses, (B, K) which of them each item's are, and where an item has one."""
    places: dict[tuple[int, ...], int] = {}
    for sequence in itertools.chain.from_iterable(item.sequences for item in items):
        places.setdefault(tuple(sequence), len(places))
    table = network.score_table(list(places))
    most = max(len(item.sequences) for item in items)
    index = torch.zeros(len(items), most, dtype=torch.long)
    there = torch.zeros(len(items), most, dtype=torch.bool)
    for row, item in enumerate(items):
        index[row, : len(item.sequences)] = torch.tensor([places[tuple(sequence)] for sequence in item.sequences])
        there[row, : len(item.sequences)] = True
    return table, index.to(table.device), there.to(table.device)


def ordered(scores: Tensor, items: Sequence[Item]) -> Tensor:
    """(B,) share of each item's pairs whose better response has the higher score; 0 for an item without pairs."""
    told = torch.zeros(*scores.shape, scores.shape[1], dtype=torch.bool)
    places = [(row, i, j) for row, item in enumerate(items) for i, j in item.pairs]
    told[tuple(torch.tensor(places, dtype=torch.long).view(-1, 3).unbind(1))] = True
    told = told.to(scores.device)
    right = (scores[:, :, None] > scores[:, None, :]) & told
    return right.sum((1, 2)) / told.sum((1, 2)).clamp(min=1)


def margins(scores: Tensor, items: Sequence[Item]) -> list[list[float]]:
    """Of each item the raw score of the better response less that of the worse one, of all its pairs."""
    rows = zip(scores.tolist(), items, strict=True)
    return [[row[better] - row[worse] for better, worse in item.pairs] for row, item in rows]


@torch.no_grad()
def tables_of(items: Sequence[Item], network: Network, sizes: Batching) -> Tensor:
    """(B, K, C) raw scores of items, which may be none, in every column, on the CPU."""
    if not items:
        return torch.zeros(0, 2, int(network.pretrained.config.num_labels or 1))
    read: list[Tensor] = []
    for part in cut(range(len(items)), [item.length for item in items], limit=sizes.reading_tokens):
        table, index, there = gathered(network, [items[i] for i in part])
        read.append(torch.where(there[..., None], table[index], 0.0).cpu())
    most = max(part.shape[1] for part in read)
    return torch.cat([torch.nn.functional.pad(part, (0, 0, 0, most - part.shape[1])) for part in read])
