"""Which scorer a setting names."""

from prefloop.errors import UserError
from prefloop.files.fingerprints import is_address
from prefloop.models.device import Placement
from prefloop.models.load import members_of, model_folder
from prefloop.models.network import Network
from prefloop.ops.rewards import Combine
from prefloop.scoring.composite import Composite
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.environment import PythonEnvironment
from prefloop.scoring.function import SECONDS, PythonReward
from prefloop.scoring.http import BATCH, RETRIES, HTTPReward, check_address
from prefloop.scoring.pair_classifier import PairClassifier, is_pair_classifier
from prefloop.scoring.protocol import Scorer
from prefloop.scoring.reward_model import RewardModel, loaded_beside
from prefloop.settings import Reward, Rewarded, models_of

PYTHON = "python:"


def is_model(reward: str) -> bool:
    """Whether that names a reward model, and not a function or a server."""
    return not reward.startswith(PYTHON) and not is_address(reward)


def scorer(
    reward: Reward,
    placement: Placement,
    *,
    seconds: float = SECONDS,
    batch: int = BATCH,
    retries: int = RETRIES,
    weights: str = "float32",
    beside: Network | None = None,
    combine: Combine = "mean",
    variance_coef: float = 0.0,
) -> Scorer:
    """The scorer that `reward` names: a reward model or an ensemble's folder (or a hub id), `python:FILE.py:FUNCTION`,
    a server's address, or several of them. Models share the bases that they are adapters of.

    Args:
        seconds: how long one call of a Python function, or one request to a server, may take.
        batch: responses in a request at most.
        retries: how often a request is sent again.
        weights: how the matrices of a reward model are held.
        beside: a model in memory, whose base a reward model shares that is an adapter of the same.
        combine: how the scores of an ensemble's members become one.
        variance_coef: weight of their variance, with `variance`.

    Raises: UserError if there is no such thing, or nothing to combine.
    """
    named = models_of(reward).values()
    if combine != "mean" and not any(len(members_of(model)) > 1 for model in named if is_model(model)):
        raise UserError(
            f"combine={combine}: {' + '.join(named)} is no ensemble, so there is nothing to combine. Leave combine "
            "out, or train an ensemble: prefloop reward members=N."
        )
    networks = [] if beside is None else [beside]

    def one(model: str) -> Scorer:
        if model.startswith(PYTHON):
            return PythonReward(model.removeprefix(PYTHON), seconds=seconds)
        if is_address(model):
            return HTTPReward(model, seconds=seconds, batch=batch, retries=retries)
        if len(members_of(model)) == 1:
            kind = PairClassifier if is_pair_classifier(model_folder(model, scores=True)) else RewardModel
            return loaded_beside(model, placement, networks, weights=weights, kind=kind)
        return Ensemble(model, placement, networks, combine=combine, variance_coef=variance_coef, weights=weights)

    if isinstance(reward, str):
        return one(reward)
    return Composite(reward, {name: one(part.model) for name, part in reward.items()})


def scorer_as(
    settings: Rewarded, reward: Reward, placement: Placement, *, weights: str, beside: Network | None = None
) -> Scorer:
    """The scorer that `reward` names, asked as the settings say. Args: see `scorer`. Raises: UserError, as it does."""
    return scorer(
        reward,
        placement,
        seconds=settings.reward_seconds,
        batch=settings.reward_batch,
        retries=settings.reward_retries,
        weights=weights,
        beside=beside,
        combine=settings.combine,
        variance_coef=settings.variance_coef,
    )


def check_reward(reward: str) -> None:
    """Raises: UserError if no scorer can be made of it, as far as that can be seen without loading weights."""
    if reward.startswith(PYTHON):
        PythonReward(reward.removeprefix(PYTHON))
    elif is_address(reward):
        check_address(reward)
    else:
        model_folder(reward, scores=True)


def environment_as(env: str, *, seconds: float = SECONDS) -> PythonEnvironment:
    """The environment that `python:FILE.py:CLASS` names. Raises: UserError if there is no such thing."""
    return PythonEnvironment(env.removeprefix(PYTHON), seconds=seconds)


def check_model(path: str) -> None:
    """Raises: UserError if there is no model folder, no stage's folder with one, and no such hub id."""
    model_folder(path)


def reward_input(reward: str) -> str:
    """The file or folder whose fingerprint stands for one reward in a run's inputs; of a server its address."""
    if reward.startswith(PYTHON):
        return reward.removeprefix(PYTHON).rpartition(":")[0]
    return reward if is_address(reward) else model_folder(reward, scores=True)


def reward_inputs(reward: Reward | None) -> dict[str, str]:
    """What stands for a reward in a run's inputs: `reward`, or `reward.NAME` for each of several."""
    return {key: reward_input(model) for key, model in models_of(reward).items()}
