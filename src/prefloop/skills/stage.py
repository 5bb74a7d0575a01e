"""Skills: what models still can, the first of them beside the others: loss on base texts, and tasks of a suite.

Reads: model folders, texts, tasks. Writes: `skills.json`, the matrix of models and skills with the drops that are
certain; `suite.jsonl`, what was asked; `answers.jsonl`, what each model made of it. Follows DIA-10, DIA-13, FUT-4,
PPO-18: everything is measured on the same texts and tasks, so a change has the interval of its differences, which is
far narrower than those of the two numbers. Responses are greedy and checked by a program; choices are told by
likelihood. Leaves out: people, judges, and benchmarks of others, whose answers are in everybody's training data.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.documents import read_document, write_document
from prefloop.files.tables import write_records
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder, writer
from prefloop.models.network import Network
from prefloop.outcome import Outcome
from prefloop.records import Task
from prefloop.records.skills import OOD, Answered, Measured, Skills
from prefloop.run import Run
from prefloop.signs import of_knowing, says
from prefloop.skills.checks import right
from prefloop.skills.config import SkillsConfig
from prefloop.skills.measure import Loss, chosen, losses, written
from prefloop.skills.numbers import compared, of_loss, of_tasks
from prefloop.skills.suites import NAMED, file_of, tasks_of
from prefloop.skills.table import table
from prefloop.text.corpus import texts


@dataclass(frozen=True)
class Asked:
    """What every model is asked."""

    choices: tuple[Task, ...]
    writing: tuple[Task, ...]
    texts: dict[str, tuple[str, ...]]
    """ending of the losses' names -> texts"""


@dataclass(frozen=True)
class Job:
    """A part of the work."""

    model: str
    kind: str
    """choices, writing, or the ending of a loss's name"""
    start: int


def measure(config: SkillsConfig) -> Outcome:
    """Runs (or continues) the stage. Returns: the path of skills.json, and the matrix in words."""
    folders = {name: model_folder(path) for name, path in config.models.items()}
    suite = None if config.suite in (None, *NAMED) else file_of(config.suite or "")
    inputs: dict[str, str | None] = {f"models.{name}": folder for name, folder in folders.items()}
    inputs |= {"suite": suite, "texts": config.texts, "texts_ood": config.texts_ood}
    with Run(config, inputs=inputs) as run:
        path = run.folder / layout.SKILLS
        if not run.finished:
            found = _measured(run, config, folders)
            write_document(path, found)
            outputs = [layout.SKILLS, *([layout.SUITE, layout.ANSWERS] if config.suite else [])]
            run.finish(outputs=outputs, result=_result(found))
        made = read_document(path, Skills)
    return Outcome(path, table(made), 0)


def _measured(run: Run, config: SkillsConfig, folders: dict[str, str]) -> Skills:
    """The whole matrix; what is asked and answered is written beside it."""
    every = _asked(config)
    _check_limits(config, every)
    for folder in folders.values():  # before hours of measuring, not after them
        writer(folder, template=config.template)
    jobs = [
        Job(model, kind, start)
        for model in folders
        for kind, size in _sizes(every).items()
        for start in range(0, size, config.batch)
    ]
    done = sum(run.part(index).exists() for index in range(len(jobs)))
    run.progress.start(len(jobs), done, unit="part")
    _work(run, config, folders, every, jobs)
    parts = run.read_parts(len(jobs))
    rows: dict[str, list[Answered]] = {name: [] for name in folders}
    counted: dict[tuple[str, str], list[Loss]] = {}
    for job, part in zip(jobs, parts, strict=True):
        if job.kind in every.texts:
            counted.setdefault((job.model, job.kind), []).extend(Loss(**row) for row in part["losses"])
        else:
            rows[job.model] += [Answered(**row) for row in part["answers"]]
    tasks = [*every.choices, *every.writing]
    if config.suite:
        write_records(run.folder / layout.SUITE, tasks)
        write_records(run.folder / layout.ANSWERS, [row for own in rows.values() for row in own])
    first = next(iter(folders))
    models = []
    for name, folder in folders.items():
        skills = []
        for ending in every.texts:
            own, theirs = counted[name, ending], counted[first, ending]
            told = of_loss(ending, own, None if name == first else theirs)
            if len(told) < 2:
                run.say(
                    f"{name}: its tokens are not those of {first}, so loss per token cannot be compared and is left "
                    "out; loss per byte can."
                )
            skills += told
        skills += of_tasks(tasks, rows[name], None if name == first else rows[first])
        limited = tuple(skill if name == first else compared(skill, config.limit(skill.name)) for skill in skills)
        for sign in of_knowing({skill.name: skill.value for skill in limited}):
            run.say(f"{name}: {says(sign)}")
        models.append(Measured(name=name, path=folder, fingerprint=fingerprints.of_path(folder), skills=limited))
    return Skills(suite=config.suite, models=tuple(models))


def _asked(config: SkillsConfig) -> Asked:
    """What is asked. Raises: UserError for a file that holds nothing, or something else."""
    files = {"": config.texts, OOD: config.texts_ood}
    read = {
        ending: tuple(islice(texts(file), config.num_texts or None))
        for ending, file in files.items()
        if file is not None
    }
    tasks = tasks_of(config)
    choices, writing = (tuple(task for task in tasks if bool(task.options) == is_choice) for is_choice in (True, False))
    return Asked(choices, writing, read)


def _sizes(every: Asked) -> dict[str, int]:
    """How many there are of each kind."""
    sizes = {"choices": len(every.choices), "writing": len(every.writing)}
    return {**{ending: len(own) for ending, own in every.texts.items()}, **sizes}


def _check_limits(config: SkillsConfig, every: Asked) -> None:
    """Raises: UserError if there is a limit for a skill that nobody measures."""
    names = {f"{loss}{ending}" for ending in every.texts for loss in ("token_loss", "byte_loss")}
    names |= {task.skill for task in (*every.choices, *every.writing)}
    strange = next((name for name in config.max_drop if name not in names), None)
    if strange is not None:
        raise UserError(
            f"max_drop.{strange}: no skill is called so here. There are: {', '.join(sorted(names))}. Name one of them, "
            "or leave it out."
        )


def _work(run: Run, config: SkillsConfig, folders: dict[str, str], every: Asked, jobs: Sequence[Job]) -> None:
    """Does the parts that are not there yet, model by model; one is in memory at a time."""
    place, name, network = placement(config.device, config.dtype), "", None
    for index in run.parts(len(jobs)):
        job = jobs[index]
        if network is None or job.model != name:
            if network is not None:
                network.release()
            network, name = (
                causal(folders[job.model], place, template=config.template, weights=config.weights),
                job.model,
            )
            run.caution((f"{name}: {sentence}" for sentence in network.hold(config.weights)), of=name)
        run.write_part(index, _part(network, config, every, job))
        run.progress.advance()


def _part(network: Network, config: SkillsConfig, every: Asked, job: Job) -> dict[str, Any]:
    """One part: losses of some texts, or answers to some tasks."""
    end = job.start + config.batch
    if job.kind in every.texts:
        some = every.texts[job.kind][job.start : end]
        return {"losses": [asdict(each) for each in losses(network, some, micro_tokens=config.micro_tokens)]}
    if job.kind == "choices":
        tasks = every.choices[job.start : end]
        found = chosen(network, tasks, micro_tokens=config.micro_tokens)
    else:
        tasks = every.writing[job.start : end]
        said = written(network, tasks, max_new_tokens=config.max_new_tokens)
        found = [(float(right(task, text)), text) for task, text in zip(tasks, said, strict=True)]
    rows = [
        Answered(model=job.model, task=task.id, skill=task.skill, right=share, response=text)
        for task, (share, text) in zip(tasks, found, strict=True)
    ]
    return {"answers": [row.model_dump(mode="json") for row in rows]}


def _result(found: Skills) -> dict[str, Any]:
    """What is told of it: of each model its skills, and which are lost."""
    return {
        model.name: {
            "skills": {skill.name: skill.value for skill in model.skills},
            "lost": [skill.name for skill in model.skills if skill.lost],
        }
        for model in found.models
    }
