"""What `prefloop score` will need: memory while responses are read, and arithmetic."""

from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import scoring
from prefloop.errors import UserError
from prefloop.models.device import placement
from prefloop.score.config import ScoreConfig
from prefloop.scoring.named import is_model
from prefloop.scoring.reward_model import BATCH_TOKENS


def lengths(config: ScoreConfig) -> Lengths:
    """How long the responses are with their prompts, as far as some of them say. Raises: UserError for a function."""
    if not is_model(config.model):
        raise UserError(f"{config.model}: what a function or a server takes is not known; a plan is of a reward model.")
    return looking.scored(config.data, config.model)


def needs(config: ScoreConfig, told: Lengths) -> Needs:
    """The needs of these settings. Args: told: how long the responses are with their prompts."""
    place = placement(config.device, config.dtype)
    models = [model.at(told) for model in scoring(config, place, config.model)]
    tokens = max(told.longest, min(BATCH_TOKENS, min(config.batch, told.count) * told.mean))
    return Needs(
        "score",
        roles=tuple(model.role for model in models),
        moments=tuple(m for model in models for m in (model.loading(), model.reading("scoring", tokens, 0))),
        parts=tuple(model.forward("scoring", told.count * told.mean, 0) for model in models),
        device=place.device.type,
    )
