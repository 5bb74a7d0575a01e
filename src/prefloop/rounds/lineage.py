"""Lineage: what came of what, kept so that nothing is lost, changed in silence, or promoted twice at once."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import make_folder
from prefloop.files.documents import read_document, write_document
from prefloop.records.lineages import Lineage, Round
from prefloop.records.runs import Artefact

MARKS = {"ship": "shipped", "hold": "held"}
LETTERS = "bcdefghijklmnopqrstuvwxyz"


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """While it lasts nobody else adds a round. Raises: UserError if somebody does."""
    place = out / layout.ROUNDS
    make_folder(place)
    lock = filelock.FileLock(place / layout.RUN_LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"{place}: another `prefloop rounds` is working here, and two at once would both promote a policy. Wait "
            "for it, or stop it."
        ) from None
    try:
        yield
    finally:
        lock.release()


def file_of(out: Path) -> Path:
    """The file of a pipeline's lineage."""
    return out / layout.ROUNDS / layout.LINEAGE


def read(out: Path) -> Lineage:
    """The lineage of a pipeline. Raises: UserError if there is none, or if a round is not as it was sealed."""
    path = file_of(out)
    if not path.is_file():
        raise UserError(f"{out}: there are no rounds here yet. Begin with: prefloop rounds RECIPE out={out}")
    found = read_document(path, Lineage)
    for each in found.rounds:
        if each.decision and each.seal != seal_of(found, each):
            raise UserError(
                f"{path}: round {each.name} is not as it was when it was decided, so that what came after it cannot be "
                "trusted. Put back the file as prefloop wrote it."
            )
    return found


def write(out: Path, lineage: Lineage) -> None:
    """Writes it, whole or not at all."""
    write_document(file_of(out), lineage)


def seal_of(lineage: Lineage, of: Round) -> str:
    """What the seal of a round must be: it holds that of its parent."""
    parent = lineage.named(of.parent)
    return fingerprints.of_value([parent.seal if parent else "", of.model_dump(mode="json", exclude={"seal"})])


def with_round(lineage: Lineage, new: Round) -> Lineage:
    """The lineage with a round added, or in place of the one of its name."""
    kept = [new if each.name == new.name else each for each in lineage.rounds]
    return lineage.model_copy(update={"rounds": (*kept, *([] if lineage.named(new.name) else [new]))})


def name_after(lineage: Lineage, parent: Round | None) -> tuple[str, int]:
    """(name, number) of the round that begins after another one, or first: a branch gets a letter. Raises: UserError if
    none is left."""
    number = parent.number + 1 if parent else 1
    taken = {each.name for each in lineage.rounds}
    names = (str(number), *(f"{number}{letter}" for letter in LETTERS))
    name = next((name for name in names if name not in taken), None)
    if name is None:
        raise UserError(f"round {number} has {len(LETTERS)} branches, and no letter is left. Go on from one of them.")
    return name, number


def artefact(out: Path, path: str | Path) -> Artefact:
    """A file or folder, and what it is; by its place in the pipeline's folder, so that the whole can be moved."""
    return Artefact(path=inside(out, path), fingerprint=fingerprints.of_path(path))


def inside(out: Path, path: str | Path) -> str:
    """A path as the lineage has it: from the pipeline's folder on, where it lies there, or else whole."""
    whole, home = Path(path).resolve(), out.resolve()
    return whole.relative_to(home).as_posix() if whole.is_relative_to(home) else str(whole)


def place(out: Path, what: Artefact) -> str:
    """Where something of the lineage is."""
    return str(out / what.path)


def selected(folder: Path, path: str, fingerprint: str) -> str:
    """Where a round's candidate is now: as it was evaluated, or where the round's stages keep their policies, if the
    folder was moved or the evaluation was begun from elsewhere."""
    kept = layout.kept_in(folder, Path(path).name)
    return str(next((place for place in kept if fingerprints.of_path(place) == fingerprint), Path(path)))


def check(what: Artefact, *, of: str, out: Path) -> None:
    """Raises: UserError if a model that a round begins from is gone, or is another one by now."""
    path = Path(place(out, what))
    back = f"Put it back, or begin again before that: prefloop rounds {out} back NAME"
    if not path.exists():
        raise UserError(f"{path}: {of} is not there any more. {back}")
    if fingerprints.of_path(path) != what.fingerprint:
        raise UserError(f"{path}: {of} is not the same any more. {back}")


def back(out: Path, name: str) -> Lineage:
    """Lets the next round come after an earlier one; nothing is deleted. Raises: UserError if there is none such."""
    with held(out):
        lineage = read(out)
        found = lineage.named(name)
        if name != "0" and (found is None or found.decision is None):
            done = [each.name for each in lineage.rounds if each.decision]
            raise UserError(f"{out}: no round `{name}` is decided. There are: {', '.join(['0', *done])}.")
        lineage = lineage.model_copy(update={"head": "" if name == "0" else name, "ended": ""})
        write(out, lineage)
    return lineage


def told(lineage: Lineage) -> str:
    """The rounds as a tree: what each began from, took and decided."""
    if not lineage.rounds:
        return "no round has begun yet"
    children: dict[str, list[Round]] = {}
    for each in lineage.rounds:
        children.setdefault(each.parent, []).append(each)
    first = lineage.rounds[0].incumbent
    return "\n".join([f"begin  {first.path} ({first.fingerprint})", *_branches(lineage, children, "", 0)])


def _branches(lineage: Lineage, children: Mapping[str, list[Round]], parent: str, depth: int) -> Iterator[str]:
    for each in children.get(parent, []):
        yield from _lines(lineage, each, depth)
        deeper = depth + (len(children[parent]) > 1)
        yield from _branches(lineage, children, each.name, deeper)


def _lines(lineage: Lineage, each: Round, depth: int) -> Iterator[str]:
    indent, here = "    " * depth, "  <- the next round comes after this one" if each.name == lineage.head else ""
    yield f"{indent}round {each.name}: {MARKS[each.decision] if each.decision else 'goes on'}{here}"
    yield f"{indent}  from      {each.incumbent.path} ({each.incumbent.fingerprint})"
    if each.reward:
        yield f"{indent}  reward    {each.reward.path} ({each.reward.fingerprint})"
    if each.judgements:
        yield f"{indent}  judged    {each.judgements} judgements"
    for name, what in (("last reward model on its pairs", each.stale), ("refreshed", each.fresh)):
        if what:
            yield f"{indent}  {name}: {what.mean:.1%} of {what.num} pairs as judged"
    if each.sentence:
        yield f"{indent}  gate      {each.sentence} (signed {each.signature})"
    if each.selected:
        yield f"{indent}  selected  {each.selected.path} ({each.selected.fingerprint})"
