"""Writes the helpdesk's files: text, demonstrations, and prompts for each purpose, none of them shared.

Reads: nothing. Writes: corpus.jsonl, practice.jsonl, demonstrations.jsonl,
prompts.{collect,ppo,validation,test,ood}.jsonl.
"""

from pathlib import Path

from prefloop import layout
from prefloop.data.config import WorldConfig
from prefloop.files.atomic import write_text
from prefloop.files.tables import jsonl, write_records
from prefloop.run import Run
from prefloop.world.agents import corpus, demonstrations
from prefloop.world.grammar import prompts
from prefloop.world.practice import practice


def write(config: WorldConfig) -> Path:
    """Runs the stage. Returns: its folder."""
    with Run(config, inputs={}) as run:
        if run.finished:
            return run.folder
        language, seed = config.language, config.seed
        for name, texts in (
            (layout.CORPUS, corpus(config.num_documents, language=language, seed=seed)),
            (layout.PRACTICE, practice(config.num_practice, language=language, seed=seed)),
        ):
            write_text(run.folder / name, jsonl([{"text": text} for text in texts]))
        asked = prompts("train", config.num_demonstrations, language=language, seed=seed)
        write_records(run.folder / layout.DEMONSTRATIONS, demonstrations(asked, language=language, seed=seed))
        begin = config.num_demonstrations
        slices = {
            "collect": ("train", config.num_collect, begin),
            "ppo": ("train", config.num_ppo, begin + config.num_collect),
            "validation": ("validation", config.num_validation, 0),
            "test": ("test", config.num_test, 0),
            "ood": ("ood", config.num_ood, 0),
        }
        files = [layout.CORPUS, layout.PRACTICE, layout.DEMONSTRATIONS]
        for name, (split, count, start) in slices.items():
            files.append(layout.prompts(name))
            write_records(run.folder / files[-1], prompts(split, count, language=language, seed=seed, start=start))
        run.finish(outputs=files, result={"language": language, "num_demonstrations": begin})
    return run.folder
