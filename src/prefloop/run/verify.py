"""Whether what a finished run wrote is still there: by name and size always, by content on request."""

from collections.abc import Iterable
from pathlib import Path

from prefloop.files import fingerprints
from prefloop.records import Finished


def sizes_of(folder: Path, outputs: Iterable[str]) -> dict[str, int]:
    """Bytes of each file among a run's outputs, by its name inside the run's folder; hidden ones left out."""
    sizes: dict[str, int] = {}
    for name in outputs:
        path = folder / name
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            inside = file.relative_to(folder)
            if not any(part.startswith(".") for part in inside.parts):
                sizes[inside.as_posix()] = file.stat().st_size
    return sizes


def damage(folder: Path, finished: Finished, *, by_content: bool) -> str:
    """What is wrong with a finished run's outputs, in words; empty if nothing is."""
    for name in finished.outputs:
        if not (folder / name).exists():
            return f"its `{name}` is not there any more"
    for name, size in finished.sizes.items():
        file = folder / name
        if not file.is_file():
            return f"its `{name}` is not there any more"
        if file.stat().st_size != size:
            return f"its `{name}` has {file.stat().st_size} bytes and not the {size} that were written"
    for name, artefact in finished.outputs.items() if by_content else ():
        if fingerprints.of_path(folder / name) != artefact.fingerprint:
            return f"its `{name}` holds other bytes than were written (fingerprint {artefact.fingerprint})"
    return ""
