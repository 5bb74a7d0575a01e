"""An ensemble: the reward stage run once for each member, every time with another seed, and its models in one folder.

Reads: what the stage reads. Writes: `members/N/`, each a run of the stage with its metrics and checkpoints; `model/`,
the ensemble's folder. A member is to the bit the model that the stage trains alone with that seed; all of them have the
same prompts held out, by which the ensemble is measured. Follows Coste et al. 2023 (RM-12).
"""

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prefloop import layout
from prefloop.feedback.data import split
from prefloop.feedback.items import Tokenised, tokenised
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.files.atomic import new_folder, write_json
from prefloop.files.documents import read_document
from prefloop.health.gate import card_of as card_in
from prefloop.models.device import placement
from prefloop.models.load import members_of
from prefloop.records import EnsembleCard, Finished
from prefloop.records.cards import Card, Parts
from prefloop.reward.carded import Pairs, card_of, part, shown
from prefloop.reward.config import RewardConfig
from prefloop.reward.needs import READ_AGAIN
from prefloop.run import Run
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.outliers import CARD, OutlierCard
from prefloop.scoring.protocol import Scored
from prefloop.seeds import seed_of


def member_config(config: RewardConfig, index: int) -> RewardConfig:
    """The settings of one member: another seed, but the same prompts held out."""
    return config.model_copy(
        update={
            "out": str(layout.member(Path(config.out), index)),
            "members": 1,
            "seed": seed_of(config.seed, "reward.members", index),
            "split_seed": config.split_by,
        }
    )


def train_members(config: RewardConfig, run: Run, train: Callable[[RewardConfig], Path]) -> None:
    """Trains (or goes on with) every member, and finishes the run. Args: train: the stage, of a single model."""
    folders: list[Path] = []
    for index in range(config.members):
        run.stop_if_interrupted()
        run.say(f"member {index + 1} of {config.members}")
        folders.append(train(member_config(config, index)))
    results = [read_document(folder.parent / layout.FINISHED, Finished).result for folder in folders]
    model = run.folder / layout.MODEL
    _put_together(model, folders)
    judge = Ensemble(str(model), placement(config.device, config.dtype), [], combine="mean", variance_coef=0.0)
    known, card = _measured(config, judge, results, run)
    beside = {CARD: known.model_dump(mode="json")} | ({layout.MODEL_CARD: card.model_dump(mode="json")} if card else {})
    _put_together(model, folders, beside)
    result = {**_shared(results), "members": [each["accuracy"] for each in results]}
    run.finish(outputs=[layout.MODEL], result=result | shown(card, config, run))


def _put_together(model: Path, folders: Sequence[Path], beside: dict[str, Any] | None = None) -> None:
    """The ensemble's folder, whole or not at all. Files of the members are the same files, where the disk can do so."""
    with new_folder(model) as temporary:
        for index, folder in enumerate(folders):
            shutil.copytree(folder, layout.member(temporary, index), copy_function=_linked)
        for name, value in (beside or {}).items():
            write_json(temporary / name, value)
        write_json(layout.ensemble_card(temporary), EnsembleCard(num=len(folders)).model_dump(mode="json"))


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(source, target)
    return target


def _measured(
    config: RewardConfig, judge: Ensemble, results: Sequence[dict[str, Any]], run: Run
) -> tuple[OutlierCard, Card | None]:
    """What held-out responses are like to the ensemble, and how good it is."""
    parts = split(config, lambda _: None, kept=run.folder / layout.ROWS)
    learn = partial(tokenised, network=judge.first.network, asks=parts.asks)
    again, validated, undecided = map(learn, (parts.training[:READ_AGAIN], parts.validation, parts.undecided))
    said, unusual = judge.said_with_unusual([ids for item in validated.items for ids in item.sequences])
    assert unusual is not None  # the stage has just noted it of each member
    cards = [card for member in members_of(judge.name) if (card := card_in(member))]
    members = (part(f"member-{i}", each, each["num_held_out"]) for i, each in enumerate(results))
    card = card_of(
        judge,
        judge.first.network,
        parts,
        _pairs(judge, validated, said) + _pairs(judge, undecided),
        _pairs(judge, again),
        alone=True,
        unit=judge.unit() * OBJECTIVES[parts.objective].UNIT,
        seed=config.seed,
        tie_edge=float(np.mean([card.calibration.tie_edge for card in cards if card.calibration] or [0.0])),
        parts=Parts(kind="ensemble", score=judge.combine, of=tuple(members)),
        curve=None,
    )
    return OutlierCard.of(unusual, said.scores), card


def _pairs(judge: Ensemble, read: Tokenised, said: Scored | None = None) -> Pairs:
    """The pairs of some items, which may be none. Args: said: of all their responses, one after another, if known."""
    if not read.items:
        return Pairs([], [])
    said = said or judge.said([sequence for item in read.items for sequence in item.sequences])
    scores = said.scores.split([len(item.sequences) for item in read.items])
    return Pairs.of(read, torch.nn.utils.rnn.pad_sequence(list(scores), batch_first=True))


def _shared(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all members report: numbers, and lists of them, as their means; of anything else the first one's."""
    return {name: _mean([result[name] for result in results]) for name in results[0]}


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if all(isinstance(value, tuple) and len(value) == len(first) for value in values):
        return [_mean(each) for each in zip(*values, strict=True)]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or all(value == first for value in values):
        return first
    return float(np.mean(values))
