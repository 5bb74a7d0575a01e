"""Revising: the model drafts a response to each prompt, which is criticised by a principle and rewritten.

Reads: a model folder, prompts, principles. Writes: `demonstrations.jsonl` (prompts with their last revision, for sft),
`preferences.jsonl` and `held_out.jsonl` (revision against draft), `revisions.jsonl` (each draft and what became of it).
Follows Bai et al. 2022 (arXiv:2212.08073, section 3): constitutional AI's supervised part. Leaves out: its examples
before each question, and the mix with responses that are helpful only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.foreign import read_prompts
from prefloop.files.tables import write_records
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder, writer
from prefloop.models.network import Network
from prefloop.principles.reading import Principles
from prefloop.records import Demonstration, Preference, Prompt, Revised, Vote, opening
from prefloop.records.judgements import AnnotatorKind
from prefloop.revise.config import MODEL, SIMULATED, ReviseConfig
from prefloop.revise.model_reviser import ModelReviser
from prefloop.revise.revisers import Function, Reviser, Simulated, Task
from prefloop.revise.told import counted, refuse_worthless, sentences
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.seeds import is_held_out, seed_of
from prefloop.text.examples import FittingPrompts
from prefloop.world.origin import own

REVISED = "revised"
"""Tag of whatever nobody wrote."""
INSTEAD = "Let a model revise (by=model), or a function of yours (by=python:FILE.py:FUNCTION)."
"""What to do with prompts of one's own."""


def revise(config: ReviseConfig) -> Path:
    """Runs (or continues) the stage. Returns: its folder."""
    principles = Principles.of(config.named_principles, language=config.principles_language)
    if config.by == SIMULATED:
        asked = read_prompts(config.prompts).records
        own(asked[: config.num_prompts or len(asked)], file=config.prompts, who="by=simulated", instead=INSTEAD)
    model = ModelReviser(config, principles) if config.by == MODEL else None
    reviser: Reviser = model or (Simulated(config, principles) if config.by == SIMULATED else Function(config))
    files = {f"principles.{number}": file for number, file in enumerate(principles.files)}
    inputs = {"model": model_folder(config.model), "prompts": config.prompts, **files, **reviser.inputs}
    with Run(config, inputs=inputs) as run:
        if run.finished:
            return run.folder
        models = _Models(config, run)
        if model is not None:
            model.begin(run, models.network)
        rows, num_too_long, num_tokens = _revised(run, config, principles, reviser, models)
        told = counted(rows, principles.names)
        for sentence in sentences(told, rows):
            run.say(sentence)
        outputs = _write(run, config, rows)
        if model is not None and model.requests is not None:
            told |= {"num_requests": model.requests, "cost": model.cost}
        result = {"num_prompts": len(rows), "num_too_long_prompts": num_too_long, "num_tokens": num_tokens}
        result |= {**outputs, **told}
        run.finish(
            outputs=[layout.DEMONSTRATIONS, layout.PREFERENCES, layout.HELD_OUT, layout.REVISIONS],
            result=result | {"fingerprint_principles": principles.fingerprint},
        )
    return run.folder


class _Models:
    """The model that is in memory, one at a time."""

    def __init__(self, config: ReviseConfig, run: Run) -> None:
        self._config, self._run = config, run
        self._path, self._network = "", None

    def network(self, path: str) -> Network:
        """The model of a folder."""
        if self._network is None or self._path != path:
            self._network = None  # before the next is read: there is room for one
            place = placement(self._config.device, self._config.dtype)
            network = causal(path, place, template=self._config.template, weights=self._config.weights)
            self._run.caution(network.hold(self._config.weights))
            self._path, self._network = path, network
        return self._network


def _revised(
    run: Run, config: ReviseConfig, principles: Principles, reviser: Reviser, models: _Models
) -> tuple[list[Revised], int, int]:
    """Drafts to all prompts, part by part, and then their revisions. Returns: them, how many prompts do not fit, and
    the tokens of all drafts."""
    drafted = run.part(0).exists()
    codec = (
        writer(model_folder(config.model), template=config.template) if drafted else models.network(config.model).codec
    )
    fitting = FittingPrompts.of(codec, config.prompts, room=config.max_new_tokens, say=run.say, num=config.num_prompts)
    prompts, size = fitting.records, config.batch_prompts
    chunks = [prompts[i : i + size] for i in range(0, len(prompts), size)]
    count = 2 * len(chunks)
    run.progress.start(count, sum(run.part(i).exists() for i in range(count)), unit="part")
    for index in range(len(chunks), count):
        if run.part(index).exists():  # what was refused once is refused again
            before = [Revised.model_validate(row) for row in run.read_part(index)["rows"]]
            refuse_worthless(before, kept=str(run.part(index)))
    for index in run.parts(count):
        number = index % len(chunks)
        if index < len(chunks):
            run.write_part(index, _drafts(chunks[number], models, config, number))
        else:
            rows = _rows(chunks[number], run.read_part(number), config, principles, reviser, number)
            run.write_part(index, {"rows": [row.model_dump(mode="json") for row in rows]})
            refuse_worthless(rows, kept=str(run.part(index)))
        run.progress.advance()
    parts = run.read_parts(count)
    rows = [Revised.model_validate(row) for part in parts[len(chunks) :] for row in part["rows"]]
    refuse_worthless(rows, kept=str(run.folder / layout.PARTS))
    return rows, fitting.num_left_out, sum(part["num_tokens"] for part in parts[: len(chunks)])


def _drafts(prompts: Sequence[Prompt], models: _Models, config: ReviseConfig, part: int) -> dict[str, Any]:
    """One response to each prompt, and how many tokens all of them have."""
    network = models.network(config.model)
    ids = network.codec.prompts([prompt.messages for prompt in prompts])
    sampled = InProcess(network).sample(ids, config, seed_of(config.seed, "revise.drafts", part))
    drafts = [network.codec.decode(each.tokens).strip() for each in sampled]
    num_tokens = sum(len(each.tokens) for each in sampled)
    return {"drafts": drafts, "finished": [each.finished for each in sampled], "num_tokens": num_tokens}


def _rows(
    prompts: Sequence[Prompt],
    drafted: Mapping[str, Any],
    config: ReviseConfig,
    principles: Principles,
    reviser: Reviser,
    part: int,
) -> list[Revised]:
    """The drafts of a part, each revised as often as is asked for, until a revision fails."""
    rows = [
        Revised(
            id=prompt.id,
            messages=prompt.messages,
            draft=draft,
            finished=finished,
            revision=draft or None,
            reviser=reviser.name,
            held_out=is_held_out(opening(prompt.messages), config.held_out, config.seed),
            tags=prompt.tags,
        )
        for prompt, draft, finished in zip(prompts, drafted["drafts"], drafted["finished"], strict=True)
    ]
    for turn in range(config.rounds):
        left = [i for i, row in enumerate(rows) if row.revision is not None]
        tasks = []
        for i in left:
            place = f"{config.seed} {prompts[i].id} {turn}"
            principle = principles.named(principles.drawn(place), prompts[i].messages)
            tasks.append(Task(prompts[i], rows[i].revision or "", principle, place))
        for i, step in zip(left, reviser.steps(tasks, part=part, turn=turn), strict=True):
            text = None if step.failure else step.revision
            rows[i] = rows[i].model_copy(update={"steps": (*rows[i].steps, step), "revision": text})
    return rows


def _write(run: Run, config: ReviseConfig, rows: Sequence[Revised]) -> dict[str, Any]:
    """The stage's files. Returns: how many rows each has. Raises: UserError if there is nothing to learn from."""
    write_records(run.folder / layout.REVISIONS, rows)
    made = [row for row in rows if row.revision is not None and not row.held_out and not row.cut_off]
    if not made:
        raise UserError(
            f"{config.prompts}: {len(rows)} prompts gave no demonstration. What the reviser said is in "
            f"{run.folder / layout.REVISIONS}; take another one, or more prompts."
        )
    pairs = [(row, row.revision) for row in rows if row.revision is not None and row.revision != row.draft]
    preferences = [_preference(row, text) for row, text in pairs if not row.held_out]
    held_out = [_preference(row, text) for row, text in pairs if row.held_out]
    write_records(run.folder / layout.DEMONSTRATIONS, [_demonstration(row, row.revision or "") for row in made])
    write_records(run.folder / layout.PREFERENCES, preferences)
    write_records(run.folder / layout.HELD_OUT, held_out)
    return {
        "num_cut_off": sum(row.cut_off for row in rows), "num_demonstrations": len(made),
        "num_preferences": len(preferences), "num_held_out": len(held_out),
    }  # fmt: skip


def _marks(row: Revised) -> tuple[str, ...]:
    """The prompt's tags, that nobody wrote this, and by which principles it was revised."""
    return tuple(dict.fromkeys([*row.tags, REVISED, *(f"principle:{step.principle}" for step in row.steps)]))


def _demonstration(row: Revised, text: str) -> Demonstration:
    source = f"revise:{row.reviser}"
    return Demonstration(id=row.id, messages=row.messages, tags=_marks(row), response=text, source=source)


def _preference(row: Revised, text: str) -> Preference:
    kind: AnnotatorKind = "simulated" if row.reviser == SIMULATED else "model"
    vote = Vote(side="chosen", annotator=f"revise:{row.reviser}", annotator_kind=kind)  # nobody compared the two
    return Preference(
        id=f"r-{row.id}", messages=row.messages, chosen=text, rejected=row.draft, votes=(vote,), tags=_marks(row)
    )
