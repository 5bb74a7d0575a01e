"""Which scorer a setting names."""

from prefloop.models.device import Placement
from prefloop.models.load import model_folder
from prefloop.models.network import Network
from prefloop.scoring.function import SECONDS, PythonReward
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel

PYTHON = "python:"


def scorer(
    reward: str,
    placement: Placement,
    *,
    seconds: float = SECONDS,
    weights: str = "float32",
    beside: Network | None = None,
) -> Scorer:
    """The scorer that `reward` names: a reward model folder (or hub id), or `python:FILE.py:FUNCTION`.

    Args:
        seconds: how long one call of a Python function may take.
        weights: how the matrices of a reward model are held.
        beside: a model in memory, whose base a reward model shares that is an adapter of the same.
    """
    if reward.startswith(PYTHON):
        return PythonReward(reward.removeprefix(PYTHON), seconds=seconds)
    return RewardModel(reward, placement, weights=weights, beside=beside)


def check_reward(reward: str) -> None:
    """Raises: UserError if no scorer can be made of it, as far as that can be seen without loading weights."""
    if reward.startswith(PYTHON):
        PythonReward(reward.removeprefix(PYTHON))
    else:
        model_folder(reward, scores=True)


def check_model(path: str) -> None:
    """Raises: UserError if there is no model folder, no stage's folder with one, and no such hub id."""
    model_folder(path)


def reward_input(reward: str) -> str:
    """The file or folder whose fingerprint stands for a reward in a run's inputs."""
    return (
        reward.removeprefix(PYTHON).rpartition(":")[0]
        if reward.startswith(PYTHON)
        else model_folder(reward, scores=True)
    )
