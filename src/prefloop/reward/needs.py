"""What `prefloop reward` will need: memory at each moment of its loop, and arithmetic."""

from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import Models, settled
from prefloop.models.device import placement
from prefloop.reward.config import RewardConfig
from prefloop.reward.data import objective_name, record

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the prompts at which a learning curve has a point, beside all of them."""
TRAINING_LOOKS = 4 + len(SHARES)
"""Times that the held-out pairs are read."""
READ_AGAIN = 200
"""Training pairs that are read once after training, for the accuracy on what was learned; as many as are held out, if
those are more. A thousand of them cost a third of a pass of learning."""


def lengths(config: RewardConfig) -> Lengths:
    """How long the sequences of what is learned from are, as far as some of them say."""
    kind = record(config.preferences, objective_name(config))
    return looking.preferences(config.preferences, config.model, template=config.template, kind=kind)


def needs(config: RewardConfig, told: Lengths) -> Needs:
    """The needs of these settings. Args: told: how long the sequences are, and how many pairs of them."""
    config = settled("reward", config, config.model, scores=True)
    place = placement(config.device, config.dtype)
    models = Models(config, place)
    sizes, model = models.batching(models.trained("reward model", config.model, scores=True).at(told), config)
    held_out = 0 if config.held_out else round(config.validation * told.count)
    pairs = max(1, round(config.share * (told.count - held_out)))
    batch = min(config.batch_pairs, pairs) * 2 * told.mean
    tokens = max(2 * told.longest, min(sizes.micro_tokens, batch))
    again = 1 + sum(SHARES) * config.curve
    learned = again * config.members * config.epochs * pairs * 2 * told.mean
    looked = (TRAINING_LOOKS * held_out + min(max(READ_AGAIN, held_out), pairs)) * 2 * told.mean
    looked *= (
        (1 + len(SHARES) * config.curve) * config.members * (2 if config.members > 1 else 1)
    )  # the ensemble is measured once more
    return Needs(
        "reward",
        roles=(model.role,),
        moments=(
            model.loading(),
            model.update(tokens, 0, parts=batch / tokens),
            model.reading("validation", min(sizes.reading_tokens, 2 * pairs * told.mean), 0),
        ),
        updates=round(again * config.members * config.epochs * -(-pairs // config.batch_pairs)),
        parts=(model.learning("updates", learned, 0), model.forward("validation", looked, 0)),
        device=place.device.type,
    )
