"""Several columns on one trunk: which of them what was said of a row speaks of, and what each is worth.

    axes         each axis its own column, with edges of its own       score = mean of the columns
    members      each row to every column, with weights of its own     score = mean of the columns
    domains      everything to `common`, and what lies in a domain     score = `common`; another column is
    annotators   everything to `common`, and one's own votes             common + difference, while it learns

What everybody said teaches `common` alone; a difference learns what its own rows say beyond it, held back by a ridge
that is worth some votes. Shapes: B items, K responses, C columns.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prefloop.errors import UserError
from prefloop.feedback.items import Item, Row, Tokenised, gathered, item_scores, on_axes, rated
from prefloop.feedback.objectives import Objective, add
from prefloop.feedback.votes import TIE, interval
from prefloop.files.hashes import hash_of
from prefloop.models.checkpoint import HEAD
from prefloop.models.columns import COMMON, TOGETHER, Column, Columns, Kind, domain_of
from prefloop.models.network import Network
from prefloop.ops.draws import seeded
from prefloop.records import Preference, Rated, Vote, opening
from prefloop.records.cards import Parts
from prefloop.reward.carded import part
from prefloop.reward.config import RewardConfig
from prefloop.seeds import seed_of
from prefloop.stats.intervals import mean_interval, share_interval

BETTER, SAFER = "better", "safer"
"""Axes of preferences that name none, and of those that say by a tag which response is the safer one."""
GROUP, AXIS = "group:", "axis:"
"""How tags begin that say so."""
LEAST, MOST = 20, 1000
"""Rows or votes that a domain or an annotator must have for a column of its own, and such columns at most."""
SHRINKAGE, MEMBERS = 20.0, 4
"""Those of the settings that are left out."""
WEIGHT = "all of it"
"""What all that was said of a column weighs is counted beside it."""
CHUNK = 10_000
"""Rows that are looked at together for the columns' names."""
LEAST_DEVIATION = 1e-6
"""Raw scores nearer to each other than this are the same; to divide by less would make numbers of rounding."""
CONFIDENCE = 0.95


def said_of(kind: Kind, row: Row) -> Sequence[tuple[str, float, Vote | None]]:
    """The axes, the domain, or the annotators or group that a row speaks of: (name, share of its weight, the vote).

    A domain or group is that of the first tag that names one. Votes of nobody who is known speak of no one.
    """
    if kind == "axes" and isinstance(row, Rated):
        return [(axis, 1.0, None) for axis in on_axes(row)]
    tags = row.tags if isinstance(row, Preference) else ()
    if kind == "domains":
        domain = domain_of(tags)
        return [] if domain is None else [(domain, 1.0, None)]
    if kind == "axes":
        named = [tag.removeprefix(AXIS) for tag in tags if tag.startswith(AXIS)] or [BETTER]
        safer = [Vote(side=side) for side in ("chosen", "rejected") if f"{SAFER}:{side}" in tags]
        return [*((name, 1.0, None) for name in named), *((SAFER, 1.0, vote) for vote in safer)]
    group = next((tag.removeprefix(GROUP) for tag in tags if tag.startswith(GROUP)), None)
    if group is not None:
        return [(group, 1.0, None)]
    votes = row.votes if isinstance(row, Preference) else ()
    return [(vote.annotator, 1 / len(votes), vote) for vote in votes if vote.annotator]


class Heads:
    """The columns of a reward model in training."""

    def __init__(
        self, kind: Kind, counts: Mapping[str, int], config: RewardConfig, marks: Mapping[str, int] | None = None
    ) -> None:
        """Args: counts: name of each column -> training rows or votes that speak of it; marks: and the ratings in
        them, where rows are rated."""
        self.kind: Kind = kind
        self.names, self.counts, self.marks = tuple(counts), counts, marks or {}
        self._seed = config.seed
        self._ridge = SHRINKAGE if config.shrinkage is None else config.shrinkage
        self._place = {name: place for place, name in enumerate(self.names)}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names for the head's rows; none for one score."""
        return () if self.kind == "one" else self.names

    @property
    def _differ(self) -> bool:
        return self.kind in ("domains", "annotators")

    def objective(
        self, made: Callable[[Sequence[float]], Objective], levels: Mapping[str, Sequence[float]]
    ) -> Objective:
        """How items teach: of axes each by an objective of its own. Args: made: makes one; levels: see `Split`."""
        if self.kind == "axes":
            return PerColumn([made(levels.get(name, ())) for name in self.names], self.names)
        return made(levels.get("", ()))

    def begin(self, network: Network) -> None:
        """Gives members heads that differ; all others begin at zero."""
        if self.kind != "members":
            return
        weight = _head(network)
        for member in range(len(weight)):
            drawn = torch.rand(weight.shape[1], generator=seeded(self._seed, "reward.heads", member))
            weight.data[member] = ((2 * drawn - 1) / math.sqrt(weight.shape[1])).to(weight.device)

    def placed(self, read: Tokenised) -> Tokenised:
        """The same rows, each with what it says of the column that it speaks of first; without those that speak of
        none."""
        if self.kind != "axes":
            return read
        both = zip(read.rows, read.items, strict=True)
        said = [(row, voice) for row, item in both for voice in self.voices(row, item)[:1]]
        return replace(read, rows=[row for row, _ in said], items=[voice for _, voice in said])

    def voices(self, row: Row, item: Item, *, ties: bool = True) -> list[Item]:
        """What a row says, column by column; nothing if it speaks of none. Args: ties: whether ties teach."""
        if self.kind == "one":
            return [item]
        if self.kind == "axes" and isinstance(row, Rated):
            marks = on_axes(row)
            known = [axis for axis in marks if axis in self._place]
            return [replace(rated(item, marks[axis]), column=self._place[axis]) for axis in known]
        if self.kind == "members":
            prompt = hash_of(opening(row.messages))
            return [
                replace(item, weight=item.weight * self._share(member, prompt), column=member)
                for member in range(len(self.names))
            ]
        heard = [
            _only(replace(item, weight=item.weight * share, column=self._place[name]), vote)
            for name, share, vote in said_of(self.kind, row)
            if name in self._place and (ties or vote is None or vote.side != "tie")
        ]
        return [item, *heard] if self._differ else heard

    def weight(self, voices: Sequence[Item]) -> float:
        """What an update is divided by: the weight of all that is said, but of what the common column learns from where
        there is one, so that it learns as one score would, however many rows speak of a domain."""
        return sum(voice.weight for voice in voices if voice.column == 0 or not self._differ)

    def strangers(self, rows: Sequence[Row]) -> Counter[str]:
        """Axes, domains, annotators or groups that rows speak of and that have no column -> how often."""
        if self.kind in ("one", "members"):
            return Counter()
        return Counter(name for row in rows for name, _, _ in said_of(self.kind, row) if name not in self._place)

    def spoken(self, read: Tokenised, *, ties: bool = True) -> list[list[Item]]:
        """The same of all rows that speak of a column."""
        said = (self.voices(row, item, ties=ties) for row, item in zip(read.rows, read.items, strict=True))
        return [voices for voices in said if voices]

    def _share(self, member: int, prompt: int) -> float:
        """What a prompt weighs for a member: Exp(1), a Bayesian bootstrap over prompts (Rubin 1981)."""
        return -math.log((seed_of(self._seed, "reward.heads", member, prompt) + 1) / 2**63)

    def losses(self, network: Network, objective: Objective, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """(B,) nats per item, not weighed, and (B, K) the scores of its column that they are of."""
        if self.kind == "one":
            scores = item_scores(network, items)
            return objective(scores, items), scores
        table, index, there = gathered(network, items)
        columns = torch.tensor([item.column for item in items], device=table.device)[:, None]
        scores = torch.where(there, table[index, columns], 0.0)
        if not self._differ:
            return objective(scores, items), scores
        apart = (columns > 0) & there
        mean = scores.sum(1, keepdim=True) / there.sum(1, keepdim=True)
        spread = 2 * torch.where(apart, scores - mean, 0.0).square().sum(1)
        votes = torch.tensor([float(self.counts[self.names[item.column]]) for item in items], device=table.device)
        scores = scores + torch.where(apart, table[:, 0].detach()[index], 0.0)
        return objective(scores, items) + self._ridge / (2 * votes) * spread, scores

    def main(self, tables: Tensor, items: Sequence[Item]) -> Tensor:
        """(B, K) what tells how good the model is. Args: tables: (B, K, C) raw, of `placed` items."""
        if self.kind == "members":
            return tables.mean(-1)
        columns = torch.tensor([item.column for item in items], dtype=torch.long)[:, None, None]
        return tables.gather(2, columns.expand(*tables.shape[:2], 1))[..., 0] if len(items) else tables[..., 0]

    def heard(self, tables: Tensor, read: Tokenised) -> Iterator[tuple[Row, Item, Tensor]]:
        """Each row, what it says column by column, and (K, C) the scores of that. Args: tables: (B, K, C) raw."""
        for table, row, item in zip(tables, read.rows, read.items, strict=True):
            for voice in self.voices(row, item):
                yield row, voice, table[[item.sequences.index(sequence) for sequence in voice.sequences]]

    def asked(self, tables: Tensor, held_out: Tokenised) -> tuple[Tensor, list[Item]]:
        """(V, K) scores, and what was said of them, of which the held-out loss is: of axes each, else the main one.

        Args: tables: (B, K, C) raw, of the held-out items.
        """
        if self.kind != "axes":
            return self.main(tables, held_out.items), held_out.items
        voices = [(voice, table[:, voice.column]) for _, voice, table in self.heard(tables, held_out)]
        scores = nn.utils.rnn.pad_sequence([scores for _, scores in voices], batch_first=True)
        return scores, [voice for voice, _ in voices]

    def fold(self, network: Network) -> None:
        """Makes every column a score by itself, once training is over: common + difference."""
        if self._differ:
            with torch.no_grad():
                _head(network)[1:] += _head(network)[:1]

    def scale(self, raw: Tensor) -> tuple[Columns, bool]:
        """How columns are shifted and scaled. Args: raw: (B, C) scores of demonstrations.

        Returns: it, and whether a column had one score for all of them, so that it is shifted only.
        """
        each = list(raw.cpu().double().T.contiguous())
        stds = [float(one.std(correction=0)) for one in each]
        columns = [
            Column(name=name, mean=float(one.mean()), std=std if std >= LEAST_DEVIATION else 1.0)
            for name, one, std in zip(self.names, each, stds, strict=True)
        ]
        shifted = [(one - column.mean) / column.std for one, column in zip(each, columns, strict=True)]
        together = float(torch.stack(shifted).mean(0).std(correction=0)) if self.kind in TOGETHER else 1.0
        together = together if together >= LEAST_DEVIATION else 1.0
        return Columns(kind=self.kind, columns=tuple(columns), std=together), min(stds) < LEAST_DEVIATION

    def told(self, tables: Tensor, held_out: Tokenised) -> dict[str, Any]:
        """How often each column orders what its own held-out rows or votes tell apart, with its interval; of columns
        that differ beside the common one's. Args: tables: (B, K, C) raw, of the held-out items, before `fold`."""
        if self.kind == "one":
            return {}
        if self._differ:
            tables = torch.cat([tables[..., :1], tables[..., 1:] + tables[..., :1]], -1)
        right: dict[int, list[tuple[float, float, str]]] = {column: [] for column in range(len(self.names))}
        for row, voice, table in self.heard(tables, held_out):
            if voice.pairs:
                share = [_ordered(table[:, column], voice.pairs) for column in (voice.column, 0)]
                right[voice.column].append((share[0], share[1], opening(row.messages)))
        found: dict[str, Any] = {"heads": self.kind}
        found["columns"] = {name: self._of_column(place, right[place]) for name, place in self._place.items()}
        if self._differ:
            own = list(itertools.chain.from_iterable(right[place] for place in range(1, len(self.names))))
            found |= _gain(own)
        if self.kind == "members" and len(tables):
            gaps = [t[i] - t[j] for t, item in zip(tables, held_out.items, strict=True) for i, j in item.pairs]
            found["disagreement"] = (
                float(torch.stack(gaps).cpu().double().std(1, correction=0).mean()) if gaps else None
            )
        return found

    def _of_column(self, place: int, right: list[tuple[float, float, str]]) -> dict[str, Any]:
        name = self.names[place]
        numbers: dict[str, Any] = {"num_training": self.counts[name], "num": len(right)}
        numbers |= {"num_marks": self.marks[name]} if name in self.marks else {}
        if right:
            own, common, prompts = zip(*right, strict=True)
            low, high = share_interval(own, prompts, confidence=CONFIDENCE)
            numbers |= {"accuracy": float(np.mean(own)), "accuracy_low": low, "accuracy_high": high}
            if self._differ and place:
                numbers["accuracy_common"] = float(np.mean(common))
        return numbers

    def parts(self, told: Mapping[str, Any]) -> Parts | None:
        """The columns as the health card has them; None of one score. Args: told: what `told` said of them."""
        if self.kind == "one":
            return None
        columns: Mapping[str, Mapping[str, Any]] = told["columns"]
        return Parts(
            kind=self.kind,
            score="mean" if self.kind in TOGETHER else COMMON,
            of=tuple(part(name, numbers, numbers["num"]) for name, numbers in columns.items()),
        )


class PerColumn(Objective):
    """Items taught column by column, by objectives of one kind."""

    def __init__(self, of: Sequence[Objective], names: Sequence[str]) -> None:
        super().__init__(of[0].config, of[0].levels)
        self.of, self._names = nn.ModuleList(of), names
        self.READS, self.TIES = of[0].READS, of[0].TIES

    def _parts(self, items: Sequence[Item]) -> Iterator[tuple[int, Objective, list[int]]]:
        """Column, objective and places of the items that speak of it."""
        for column, objective in enumerate(self.of):
            places = [place for place, item in enumerate(items) if item.column == column]
            if places:
                assert isinstance(objective, Objective)
                yield column, objective, places

    def forward(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        """See `Objective`."""
        losses = scores.new_zeros(len(items))
        for _, objective, places in self._parts(items):
            index = torch.tensor(places, device=scores.device)
            some = objective(scores.index_select(0, index), [items[place] for place in places])
            losses = losses.index_add(0, index, some)
        return losses

    def begin(self, items: Sequence[Item]) -> None:
        """See `Objective`."""
        for column, objective in enumerate(self.of):
            assert isinstance(objective, Objective)
            objective.begin([item for item in items if item.column == column])

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`."""
        for column, objective, places in self._parts(items):
            few, some = [items[place] for place in places], dict[Any, float]()
            objective.count(few, some)
            some[WEIGHT] = sum(item.weight for item in few)
            for what, num in some.items():
                add(said, (column, what), num)

    def _said(self, said: Mapping[Any, float]) -> Iterator[tuple[str, Objective, dict[Any, float], float]]:
        """Column, objective, what was said of it, and how much that weighs."""
        for column, objective in enumerate(self.of):
            some = {what: num for (of, what), num in said.items() if of == column}
            if weight := some.pop(WEIGHT, 0.0):
                assert isinstance(objective, Objective)
                yield self._names[column], objective, some, weight

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        found = [(weight, objective.without_opinion(some)) for _, objective, some, weight in self._said(said)]
        total: dict[str, float | None] = {}
        for name in ("loss_at_start", "loss_no_opinion"):
            known = [(weight, each[name]) for weight, each in found]
            sums = [weight * loss for weight, loss in known if loss is not None]
            total[name] = sum(sums) / sum(weight for weight, _ in known) if sums and len(sums) == len(known) else None
        return total

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        found: dict[str, Any] = {}
        for name, objective, some, _ in self._said(said):
            for what, value in objective.learned(some).items():
                found.setdefault(what, {})[name] = value
        return found

    def first_edge(self, said: Mapping[Any, float]) -> float:
        """See `Objective`."""
        return next((objective.first_edge(some) for _, objective, some, _ in self._said(said)), 0.0)


def _head(network: Network) -> torch.nn.Parameter:
    return network.pretrained.get_submodule(HEAD).get_parameter("weight")


def _only(item: Item, vote: Vote | None) -> Item:
    """A pair as one vote has it, the response that it is for first."""
    if vote is None:
        return item
    side, low, high = interval(vote)
    if side < 0:
        item = replace(item, sequences=item.sequences[::-1], letters=item.letters[::-1])
    ranks = (1.0, 1.0) if (low, high) == TIE else (1.0, 2.0)
    return replace(item, votes=((1, low, high),), ranks=ranks, share=None, strength=float(vote.strength or 0))


def _ordered(scores: Tensor, pairs: Sequence[tuple[int, int]]) -> float:
    """Share of pairs whose better response has the higher score, half for equal ones. Args: scores: (K,)."""
    gaps = [float(scores[better] - scores[worse]) for better, worse in pairs]
    return float(np.mean([0.5 if gap == 0 else float(gap > 0) for gap in gaps]))


def _gain(right: list[tuple[float, float, str]]) -> dict[str, Any]:
    """What columns of their own gain over the common one, on the held-out rows or votes of those who have one."""
    if len({prompt for _, _, prompt in right}) < 2:
        return {}
    own, common, prompts = zip(*right, strict=True)
    gains = np.subtract(own, common)
    low, high = mean_interval(gains, confidence=CONFIDENCE, clusters=prompts)
    return {
        "own_accuracy": float(np.mean(own)),
        "common_accuracy": float(np.mean(common)),
        "own_gain": float(gains.mean()),
        "own_gain_low": low,
        "own_gain_high": high,
        "num_own": len(own),
    }


def heads_of(
    config: RewardConfig,
    training: Sequence[Row],
    say: Callable[[str], None],
    levels: Mapping[str, Sequence[float]] | None = None,
) -> Heads:
    """The columns that the settings ask for and the rows have.

    Args: levels: see `Split`; an axis with one rating only has no column.

    Raises: UserError if the rows have none to part.
    """
    kind, num = config.heads, len(training)
    if kind == "one":
        return Heads(kind, {"score": num}, config)
    if kind == "members":
        names = [f"member-{member + 1}" for member in range(config.num_members or MEMBERS)]
        return Heads(kind, dict.fromkeys(names, num), config)
    counts, marks = Counter[str](), Counter[str]()
    for begin in range(0, num, CHUNK):
        for row in training[begin : begin + CHUNK]:
            counts.update(name for name, _, _ in said_of(kind, row))
            if kind == "axes" and isinstance(row, Rated):
                marks.update({axis: len(some) - sum(map(math.isnan, some)) for axis, some in on_axes(row).items()})
    needed, how = {
        "axes": (2, "ratings on several axes, or tags such as axis:safety or safer:chosen"),
        "domains": (1, f"a tag such as domain:law or topic:refund, {LEAST} rows of each"),
        "annotators": (1, f"votes whose annotator is known, {LEAST} of each, or tags such as group:teachers"),
    }[kind]
    least = 1 if kind == "axes" else LEAST
    same = sorted(name for name in counts if marks and len((levels or {}).get(name, ())) < 2)
    known = {name: n for name, n in counts.items() if n >= least and name not in (same if marks else (COMMON,))}
    if len(known) < needed:
        found = f" (found: {', '.join(f'{name} {count}' for name, count in counts.most_common(5))})" if counts else ""
        raise UserError(
            f"{config.preferences}: heads={kind} needs rows that tell of {kind}{found}: {how}. Add them, or leave "
            "heads out."
        )
    kept = sorted(sorted(known, key=lambda name: (-known[name], name))[:MOST], key=lambda name: (name != BETTER, name))
    told = [f"{name} {known[name]}" + f" with {marks[name]} ratings" * (name in marks) for name in kept[:10]]
    shown = ", ".join(told) + (", ..." if len(kept) > 10 else "")
    say(f"{config.preferences}: {len(kept)} {kind} have columns of their own (of {num} rows: {shown}).")
    if same:
        say(f"{config.preferences}: all ratings are the same on {', '.join(same)}: nothing is learned from them.")
    if rest := len(counts) - len(kept) - len(same):
        say(
            f"{config.preferences}: {rest} {kind} have fewer than {LEAST} or are beyond {MOST}: only the common column."
        )
    common = {} if kind == "axes" else {COMMON: num}
    return Heads(kind, common | {name: known[name] for name in kept}, config, marks)
