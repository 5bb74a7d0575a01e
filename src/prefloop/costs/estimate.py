"""What a stage will hold in memory, role by role, and when it will hold most.

A stage says which models it has in memory (`Role`) and which moments its loop goes through (`Moment`): sampling,
reading, an update. Weights and what the optimiser keeps are there all the time, gradients only around an update; the
peak is the moment at which all of it together is most. Units: bytes, and seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prefloop.models.machine import HOLES
from prefloop.models.memory import ADAM, FLOAT, HALF, Anatomy, adapter_numbers
from prefloop.printing import amount
from prefloop.run import progress

GB = 1e9
FORMS = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0, "nf4": 0.53}
"""How matrices are held -> bytes of a number, scales included."""
HEAP = 1.35
"""Bytes that a process on a CPU holds for each byte of tensors in bfloat16 that come and go: what is given back leaves
holes. Those of float32 are large enough to be mapped one by one, and leave none."""
LEFT = 0.75 * HOLES
"""Bytes of holes, about, that a process on a CPU leaves open from one moment to the next; at most what passes."""


@dataclass(frozen=True)
class Role:
    """A model that a stage has in memory."""

    name: str
    """policy, reference, critic, reward model, model"""
    anatomy: Anatomy
    trained: bool = False
    """True if all its weights are trained"""
    rank: int = 0
    """of an adapter that is trained on it; 0 for none"""
    worn: int = 0
    """rank of an adapter that it wears and that is not trained"""
    form: str = "float32"
    """how its matrices are held"""
    shares: str = ""
    """the role whose base it is beside its own adapter or head; empty if it has one of its own"""
    unseen: str = ""
    """a sentence, if no file of its weights is there"""

    @property
    def numbers_trained(self) -> int:
        """Numbers that are trained."""
        if self.rank:
            return adapter_numbers(self.anatomy, self.rank)
        return self.anatomy.numbers if self.trained and not self.shares else 0

    @property
    def weights(self) -> float:
        """Bytes of weights, its adapters with them."""
        anatomy, beside = self.anatomy, adapter_numbers(self.anatomy, self.rank + self.worn)
        base = anatomy.matrices * FORMS[self.form] + FLOAT * (anatomy.numbers - anatomy.matrices)
        return FLOAT * beside + (0.0 if self.shares else base)

    @property
    def _halved(self) -> float:
        """Trained numbers that are held in bfloat16."""
        return self.anatomy.matrices if self.form == "bfloat16" and self.numbers_trained and not self.rank else 0

    @property
    def gradients(self) -> float:
        """Bytes of gradients, each as its weight is."""
        return FLOAT * self.numbers_trained - HALF * self._halved

    @property
    def optimiser(self) -> float:
        """Bytes that AdamW keeps; of weights in bfloat16 also the bits that these lack."""
        return ADAM * self.numbers_trained + HALF * self._halved


@dataclass(frozen=True)
class Moment:
    """A moment of a stage's loop, and what it takes for as long as it lasts."""

    name: str
    role: str
    """whose tokens are read"""
    activations: float = 0.0
    cache: float = 0.0
    gradients: float = 0.0
    """share of all gradients that are there while the activations are: 1 if those of an earlier micro-batch are
    there already; afterwards all of them are there in any case"""
    beside: float = 0.0
    """activations of another role at the same time"""
    beside_role: str = ""
    optimiser: bool = True
    """False before the first update"""
    heap: float = HEAP
    """bytes that a process on a CPU holds for each byte that comes and goes"""

    @property
    def passing(self) -> float:
        """Bytes that are there for as long as it lasts, but for gradients."""
        return self.activations + self.beside + self.cache


@dataclass(frozen=True)
class Part:
    """Arithmetic that a stage does: some tokens through some model."""

    name: str
    flops: float = 0.0
    """of matrix products in the precision of the placement"""
    flops_full: float = 0.0
    """of matrix products in float32 (the output matrix)"""
    read: float = 0.0
    """bytes of weights and cache that are read from memory, where that takes longer than the products (sampling)"""
    calls: int = 0
    """layers called one after another, each of which has its price whatever its size"""


@dataclass(frozen=True)
class Needs:
    """All that a stage will need."""

    stage: str
    roles: tuple[Role, ...]
    moments: tuple[Moment, ...]
    updates: int = 0
    """of the optimiser"""
    parts: tuple[Part, ...] = ()
    """arithmetic of the whole stage"""
    notes: tuple[str, ...] = ()
    """what was assumed, in sentences"""
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """A line of the table: a role's bytes."""

    name: str
    weights: float = 0.0
    gradients: float = 0.0
    optimiser: float = 0.0
    activations: float = 0.0
    cache: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """The table, and its peak."""

    needs: Needs
    around: float
    """bytes of interpreter and libraries"""
    rows: tuple[Row, ...] = field(init=False)
    peak: float = field(init=False)
    at: str = field(init=False)
    """the moment of the peak"""

    def __post_init__(self) -> None:
        moments = [(self._at(moment), moment) for moment in self.needs.moments]
        peak, moment = max(moments, key=lambda both: both[0], default=(self._at(Moment("loading", "")), None))
        object.__setattr__(self, "peak", peak)
        object.__setattr__(self, "at", moment.name if moment else "loading")
        object.__setattr__(self, "rows", tuple(self._row(role) for role in self.needs.roles))

    def _at(self, moment: Moment) -> float:
        roles = self.needs.roles
        held = self.around + sum(role.weights for role in roles)
        held += sum(role.optimiser for role in roles) if moment.optimiser else 0.0
        gradients = sum(role.gradients for role in roles)
        passing = moment.passing
        if self.needs.device == "cpu":
            passing = passing * moment.heap + (min(LEFT, passing) if moment.heap > 1 else 0.0)
        if moment.gradients <= 0:
            return held + passing
        return held + max(gradients, moment.gradients * gradients + passing)

    def _row(self, role: Role) -> Row:
        mine = [moment for moment in self.needs.moments if moment.role == role.name]
        beside = [moment.beside for moment in self.needs.moments if moment.beside_role == role.name]
        return Row(
            role.name,
            role.weights,
            role.gradients,
            role.optimiser,
            max([moment.activations for moment in mine] + beside, default=0.0),
            max((moment.cache for moment in mine), default=0.0),
            f"on the {role.shares}'s base" if role.shares else "",
        )


def size(count: float) -> str:
    """Bytes as people read them: 16 kB, 950 MB, 2.41 GB."""
    if count < 999.5e3:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 0.9995 * GB else f"{count / GB:.2f} GB"


def table(estimate: Estimate) -> list[str]:
    """The whole table: a line for each role, then what is around, then the peak."""
    heads = ("", "weights", "gradients", "optimiser", "activations", "cache")
    rows = [
        (row.name, *(size(x) if x else "-" for x in (row.weights, row.gradients, row.optimiser, row.activations,
                                                     row.cache)), row.note)
        for row in estimate.rows
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [_line(heads, widths), *(_line(row, widths) for row in rows)]
    return [*lines, f"interpreter and libraries  {size(estimate.around)}"] if estimate.around else lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name = cells[0].ljust(widths[0])
    columns = [cell.rjust(width) for cell, width in zip(cells[1 : len(widths)], widths[1:], strict=True)]
    return "  ".join([name, *columns, *cells[len(widths) :]]).rstrip()


def in_three_lines(estimate: Estimate, free: float) -> list[str]:
    """The same in three lines: what is there all the time, what comes and goes, and the peak."""
    roles = ", ".join(f"{row.name} {size(row.weights)}" for row in estimate.rows)
    gradients = sum(row.gradients for row in estimate.rows)
    optimiser = sum(row.optimiser for row in estimate.rows)
    passing = [f"{moment.name} {size(moment.passing)}" for moment in estimate.needs.moments if moment.passing]
    trained = sum(role.numbers_trained for role in estimate.needs.roles)
    return [
        f"memory: weights {roles}; optimiser {size(optimiser)} for {amount(trained)} trained weights",
        f"memory: while it works {', '.join(passing)}; gradients {size(gradients)}",
        f"memory: peak {size(estimate.peak)} expected ({estimate.at}), {size(free)} there",
    ]


def span(seconds: float) -> str:
    """Seconds as people say them, for what may take less than a bar shows and more than a run."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    return progress.span(seconds) if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
