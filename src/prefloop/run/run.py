"""A run: one folder with its settings, command, inputs, metrics, samples and checkpoints; exact to resume.

    config.yaml     the resolved settings                       metrics.jsonl   one line per logged step
    run.json        command, versions, seed, inputs             samples.jsonl   what the model wrote on the way
    finished.json   written last: outputs and result            checkpoints/    whole folders, newest kept
    timing.json     seconds and memory, summed over sessions    parts/          for stages that work part by part
    tracker.json    what a tracker was told, with track=        .rows/          where the rows of its files begin

Kill it at any moment and run the same command again: a finished stage is recognised and skipped, a broken one goes
on from its last checkpoint, and what it then writes is bit-identical to an uninterrupted run with the same threads.
"""

import contextlib
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import torch
import yaml

from prefloop import layout
from prefloop.defaults import Learner, chosen, resolved
from prefloop.errors import Diverged, RowRefused, UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import refuse_foreign, write_text
from prefloop.files.documents import read_document, write_document
from prefloop.files.places import located
from prefloop.printing import say
from prefloop.records import Artefact, Finished, RunCard
from prefloop.run.checkpoints import Checkpoints, State
from prefloop.run.claim import BOOKKEEPING, Claim
from prefloop.run.identity import change_of_versions, difference, new_card
from prefloop.run.interrupts import Interrupts
from prefloop.run.logs import Logs
from prefloop.run.parts import Parts
from prefloop.run.progress import Progress
from prefloop.run.timing import Stopwatch
from prefloop.run.track import Track
from prefloop.run.verify import damage, sizes_of
from prefloop.run.watch import Watch
from prefloop.settings import RunConfig
from prefloop.signs import Sign, says
from prefloop.stages import stage_of

C = TypeVar("C", bound=RunConfig)
ALL_THREADS = torch.get_num_threads()  # torch asks OMP_NUM_THREADS, then which cores this process may use


class Run:
    """One stage's folder, open for work. Use it as `with Run(...) as run:`."""

    def __init__(self, config: RunConfig, *, inputs: Mapping[str, str | None], stage: str | None = None) -> None:
        """Opens (or continues) the folder `config.out`.

        Args:
            config: the stage's settings.
            inputs: name -> path of everything that the stage reads; None entries are left out.
            stage: its name, if the settings are not those of a stage in the table.

        Raises: UserError if the folder belongs to another run, or to this one with other settings or inputs.
        """
        stage = stage or stage_of(type(config))
        self.config, self.folder = config, Path(config.out)
        self._files = [path for path in inputs.values() if path is not None and os.path.isfile(path)]
        self.progress = Progress(stage)
        self._stopwatch, self._interrupts = Stopwatch(self.folder), Interrupts(stage)
        self._logs, self._parts = Logs(self.folder), Parts(self.folder)
        self._checkpoints, self._watch = Checkpoints(self.folder, self._logs), Watch(config)
        self._ended: tuple[int, Sign] | None = None
        self._track = Track(config, self.folder, self.progress.note)
        torch.set_num_threads(config.threads or ALL_THREADS)
        card = new_card(stage, config, inputs, threads=torch.get_num_threads())
        self._claim = Claim(self.folder, inputs=[artefact.path for artefact in card.inputs.values()])
        with contextlib.ExitStack() as on_refusal:
            on_refusal.callback(self._claim.release)
            self._open(card)
            on_refusal.pop_all()

    def _open(self, card: RunCard) -> None:
        """Compares the card with the one that is there, or writes it: first of all files, or the folder is not ours."""
        path = self.folder / layout.CARD
        before = read_document(path, RunCard) if path.is_file() else None
        if before is None or self._has_nothing():
            self._write_card(card)
            return
        self._recognise(before, card)
        if self.finished:
            self._check_outputs(before)
            self._tidy()  # perhaps it was killed before it could
        else:
            for folder in (self.folder / layout.MODEL, *(self.folder / layout.MODELS).glob("*")):
                refuse_foreign(folder)  # now, not once it is trained
        if any(before.config.get(key) != card.config[key] for key in self.config.AFTERWARDS):
            (self.folder / layout.FINISHED).unlink(missing_ok=True)
            self._write_card(before.model_copy(update={"config": card.config, "command": card.command}))
        elif not (self.folder / layout.SETTINGS).is_file():
            self._write_card(before)

    def _has_nothing(self) -> bool:
        """True if nothing was done here yet, as after a command that was refused because of its data."""
        names = {path.name for path in self.folder.iterdir() if not path.name.startswith(".") and not _is_empty(path)}
        return names <= {*BOOKKEEPING}

    def _write_card(self, card: RunCard) -> None:
        write_document(self.folder / layout.CARD, card)
        settings = yaml.safe_dump(card.model_dump(mode="json")["config"], sort_keys=False, allow_unicode=True)
        sources = card.chosen.get("preset", {}).get("sources", {})
        cited = [
            f"{line}  # {sources[name]}" if (name := line.partition(":")[0]) in sources else line
            for line in settings.splitlines()
        ]
        write_text(self.folder / layout.SETTINGS, "\n".join(cited) + "\n")

    def _check_outputs(self, card: RunCard) -> None:
        """Raises: UserError if what the finished run wrote is not there any more, or not as it was."""
        finished = read_document(self.folder / layout.FINISHED, Finished)
        found = damage(self.folder, finished, by_content=self.config.verify)
        if found:
            raise UserError(
                f"{self.folder}: this stage has finished, but {found}. Put back what it wrote, or move the folder "
                f"away and make it again: {card.command}"
            )
        if self.config.verify:
            self.say(f"verified: all {len(finished.sizes)} files are as they were written.")

    def _recognise(self, before: RunCard, now: RunCard) -> None:
        """Raises: UserError if the folder's card is another run's."""
        defaults = type(self.config).model_construct().model_dump(mode="json")
        words = difference(before.identity, now.identity, aside=self.config.AFTERWARDS, defaults=defaults)
        if words:
            raise UserError(
                f"{self.folder}: this folder belongs to another run: {words}. "
                "Use another out=DIR, or delete the folder to start again."
            )
        begun, here = (card.versions.get("prefloop") for card in (before, now))
        if begun != here and not self.finished:
            raise UserError(
                f"{self.folder}: begun with prefloop {begun} and not finished; this is {here}, which draws other "
                f"random numbers. Go on with {begun}, use another out=DIR, or delete the folder to start again."
            )
        if self.finished:
            return
        if before.threads != now.threads:
            say(
                f"{self.folder}: begun with {before.threads} threads, going on with {now.threads}: "
                f"the result will be as good, but not bit-identical. For that, set threads={before.threads}.",
                to=sys.stderr,
            )
        changed = change_of_versions(before, now)
        if changed:
            say(
                f"{self.folder}: not everything is as when this run began: {changed}. It goes on; "
                "numbers may differ in their last digits from a run in one go.",
                to=sys.stderr,
            )

    def __enter__(self) -> Self:
        if not self.finished:
            self._interrupts.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> None:
        with contextlib.ExitStack() as last:  # each of these happens, whatever becomes of those before
            last.callback(self._claim.release)
            last.callback(self._interrupts.close)
            last.callback(self._track.close, well=kind is None)
            last.callback(self._logs.close)
            self.progress.close()
            if self.folder.is_dir() and not self.finished and not (kind and issubclass(kind, UserError)):
                self._stopwatch.add_session()
        if kind is None:
            self._interrupts.stop_if_asked()  # it was heard when there was nothing more to stop here
        if isinstance(value, RowRefused):
            raise located(value, self._files) from None

    @property
    def interrupted(self) -> bool:
        """True once somebody asked to stop: save and stop at the next safe place."""
        return self._interrupts.asked is not None

    def stop_if_interrupted(self) -> None:
        """For stages whose every written part is already safe. Raises: KeyboardInterrupt after Ctrl-C or SIGTERM."""
        self._interrupts.stop_if_asked()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one step's line to metrics.jsonl. Raises: Diverged if a loss or a gradient is not a number."""
        self.refuse_nan(step, metrics)
        numbers = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        row = {"step": step, **numbers}
        self._logs.append(layout.METRICS, [row])
        self._track.log(row)
        alarms = self._watch.see(numbers)
        for alarm in alarms:
            say(f"{self.progress.stage}: step {step}: {says(alarm)}", to=sys.stderr)
        grave = self._watch.ends(alarms)
        if grave is not None and self._ended is None:
            self._ended = step, grave

    def say(self, sentence: str) -> None:
        """Prints what the user should know, behind the stage's name."""
        say(f"{self.progress.stage}: {sentence}")

    def settled(self, config: C, learner: Learner) -> C:
        """The settings, with values for those that are left to prefloop; says which, and notes them in run.json."""
        values = self.chosen("settings", lambda: chosen(self.progress.stage, config, learner))
        if values:
            taken = ", ".join(f"{name}={value:g}" for name, value in values.items())
            self.say(f"for {learner} it takes {taken}. Give any of them to have another.")
        self.config = settled = resolved(config, values)
        return settled

    def caution(self, sentences: Iterable[str], *, of: str = "model") -> None:
        """Says each of them, before the work begins, and notes them in run.json under the name of what they are of."""
        said = [*sentences]
        for sentence in said:
            self.say(sentence)
        if said:
            self.chosen(of, lambda: {"said": said})

    def chosen(self, name: str, choose: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was chosen under that name when the run began; chosen now, and noted in run.json, if nothing was."""
        path = self.folder / layout.CARD
        card = read_document(path, RunCard)
        if name not in card.chosen:
            card = card.model_copy(update={"chosen": {**card.chosen, name: choose()}})
            write_document(path, card)
        return card.chosen[name]

    def expects(self, peak: float, device: str) -> None:
        """Notes how many bytes the stage will hold at most, as it looks before its first step; compared at its end."""
        self._stopwatch.expected_mb, self._stopwatch.device = peak / 2**20, device

    def refuse_nan(self, step: int, metrics: dict[str, float]) -> None:
        """Raises: Diverged if a loss or a gradient is not a number, before such weights reach a checkpoint."""
        for name, value in metrics.items():
            if not math.isfinite(value) and name.startswith(("loss/", "grad/")):
                lr = self.config.model_dump().get("lr", "...")
                self.diverged(
                    step,
                    f"{name} became {value}",
                    f"Lower the learning rate (lr={lr}) or set dtype=float32, with another out=DIR.",
                )

    def diverged(self, step: int, what: str, instead: str) -> NoReturn:
        """Stops a run whose numbers have gone wrong, and notes that in run.json.

        Args:
            step: in which, from 1.
            what: went wrong first.
            instead: what is left of the run, and what to type.

        Raises: Diverged
        """
        self._note_end(step, what)
        raise Diverged(
            f"{self.folder}: {what} in step {step}, so training has diverged and stops here. The last good checkpoint "
            f"is kept. {instead}"
        )

    def _note_end(self, step: int, what: str) -> None:
        path = self.folder / layout.CARD
        card = read_document(path, RunCard)
        write_document(path, card.model_copy(update={"diverged": f"step {step}: {what}"}))

    def _end(self, step: int, grave: Sign) -> NoReturn:
        """Stops a run whose signs are grave, and notes that in run.json. Raises: Diverged"""
        self._note_end(step, f"{grave.name}: {says(grave, change=False)}")
        raise Diverged(
            f"{self.folder}: step {step}: {grave.name}: {says(grave)} The run ends here because of watch=stop, and all "
            "up to this step is kept. With another setting it needs another out=DIR; to go on all the same, type the "
            "same command with watch=warn."
        )

    @property
    def warnings(self) -> list[str]:
        """What the metrics of all steps together warn of, in sentences."""
        return self._watch.warnings()

    def sample(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows to samples.jsonl."""
        self._logs.append(layout.SAMPLES, rows)

    def sample_anew(self, rows: list[dict[str, Any]]) -> None:
        """Rows that take the place of all in samples.jsonl."""
        self._logs.replace(layout.SAMPLES, rows)

    def checkpoint(self, position: int, state: Callable[[], State], *, every: int) -> None:
        """Saves when `position` is due, or when somebody asked to stop (Ctrl-C, SIGTERM).

        Args:
            position: optimiser updates done so far.
            state: makes everything that the loop needs to go on: tensors, generators, counters.
            every: save each time position has reached another multiple of it, which it may jump over; 0 saves only
                when asked to stop.

        Raises: KeyboardInterrupt after saving, if somebody asked to stop; Diverged after saving, if a sign ends it.
        """
        self._interrupts.until = "the next update is done"
        asked = self.interrupted  # once: a signal that comes from here on is for the next update, and that is saved too
        if asked or self._ended or self._checkpoints.is_due(position, every=every):
            self.save(position, state())
        if self._ended:
            self._end(*self._ended)
        if asked:
            self.stop_if_interrupted()

    def save(self, position: int, state: State) -> None:
        """Writes a checkpoint, whole or not at all."""
        self._checkpoints.save(position, state)

    def restore(self) -> State | None:
        """The last checkpoint's state, with the logs cut back to that moment; None if there is none."""
        state = self._checkpoints.restore()
        rows = self._logs.rows(layout.METRICS)
        self._watch.go_on(rows)
        grave = self._watch.standing()
        if grave is not None:
            self._end(int(rows[-1]["step"]), grave)
        self._track.go_on(rows)
        if state is not None:
            self.progress.note(f"going on from update {self._checkpoints.position}")
        return state

    def parts(self, count: int) -> Iterator[int]:
        """The numbers of the parts not written yet, for stages that work part by part (see `write_part`)."""
        for index in self._parts.missing(count):
            self.stop_if_interrupted()
            self._interrupts.until = f"part {index + 1} of {count} is done"
            yield index

    def part(self, index: int) -> Path:
        """Where part `index` is written."""
        return self._parts.path(index)

    def write_part(self, index: int, value: Any) -> None:
        """Writes one part, whole or not at all."""
        self._parts.write(index, value)

    def read_part(self, index: int) -> Any:
        """One part. Raises: UserError if it is damaged."""
        return self._parts.read_one(index)

    def read_parts(self, count: int) -> list[Any]:
        """All parts, in order."""
        return self._parts.read(count)

    @property
    def finished(self) -> bool:
        """True if this very run has already ended well."""
        return (self.folder / layout.FINISHED).is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The numbers that a finished run reported."""
        return read_document(self.folder / layout.FINISHED, Finished).result

    def finish(self, *, outputs: Iterable[str], result: dict[str, Any]) -> None:
        """Marks the run as done: fingerprints of what it wrote, and its headline numbers; drops the checkpoints.

        Args:
            outputs: names of files and folders inside the run's folder.

        Raises: Diverged if the last step has a sign that ends the run.
        """
        if self._ended:
            self._end(*self._ended)
        self._stopwatch.add_session()
        if self._stopwatch.expected_mb:
            self.say(self._stopwatch.sentence())
        artefacts = {
            name: Artefact(path=name, fingerprint=fingerprints.of_path(self.folder / name)) for name in outputs
        }
        sizes = sizes_of(self.folder, artefacts)
        card = read_document(self.folder / layout.CARD, RunCard)
        if card.diverged:  # and did not this time, with other threads or versions
            write_document(self.folder / layout.CARD, card.model_copy(update={"diverged": ""}))
        write_document(self.folder / layout.FINISHED, Finished(outputs=artefacts, sizes=sizes, result=result))
        self._tidy()

    def _tidy(self) -> None:
        """Removes what only an unfinished run needs."""
        shutil.rmtree(self.folder / layout.ROWS, ignore_errors=True)
        self._checkpoints.drop()
        self._parts.drop()


def _is_empty(path: Path) -> bool:
    """True for an empty file or folder."""
    return not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
