"""Which scorer a setting names."""

from prefloop.models.device import Placement
from prefloop.models.load import model_folder
from prefloop.scoring.function import PythonReward
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel

PYTHON = "python:"


def scorer(reward: str, placement: Placement) -> Scorer:
    """The scorer that `reward` names: a reward model folder (or hub id), or `python:FILE.py:FUNCTION`."""
    if reward.startswith(PYTHON):
        return PythonReward(reward.removeprefix(PYTHON))
    return RewardModel(reward, placement)


def reward_input(reward: str) -> str:
    """The file or folder whose fingerprint stands for a reward in a run's inputs."""
    return (
        reward.removeprefix(PYTHON).rpartition(":")[0]
        if reward.startswith(PYTHON)
        else model_folder(reward, scores=True)
    )
