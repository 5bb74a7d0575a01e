"""What `prefloop reward` will need: memory at each moment of its loop, and arithmetic."""

from pathlib import Path

from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import Models, settled
from prefloop.feedback.data import objective_name, record
from prefloop.health.probes import LEAST, NUM_ROWS
from prefloop.models.device import placement
from prefloop.reward.config import RewardConfig
from prefloop.scoring.outliers import KNOWN

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the prompts at which a learning curve has a point, beside all of them."""
TRAINING_LOOKS = 4 + len(SHARES)
"""Times that the held-out pairs are read."""
READ_AGAIN = 200
"""Training pairs that are read once after training, for the accuracy on what was learned; as many as are held out, if
those are more. A thousand of them cost a third of a pass of learning."""
NUM_DEMONSTRATIONS = 512
"""Responses that put scores on a scale, at most."""
EDITED = 25
"""Edited responses, about, that the card has scored for each prompt that it looks at."""


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
    held_out = _held_out(config, told.count)
    pairs = max(1, round(config.share * (told.count - (0 if config.held_out else held_out))))
    batch = min(config.batch_pairs, pairs) * 2 * told.mean
    tokens = max(2 * told.longest, min(sizes.micro_tokens, batch))
    read = (told.mean + told.responses) / (2 * told.mean)  # of a pair's tokens: the prompt of both is read once
    again = 1 + sum(SHARES) * config.curve
    learned = again * config.members * config.epochs * pairs * 2 * told.mean * read
    looked = TRAINING_LOOKS * held_out * 2 * told.mean * read
    looked *= 1 + len(SHARES) * config.curve
    looked += _afterwards(config, pairs, held_out) * told.mean
    looked *= config.members * (2 if config.members > 1 else 1)  # the ensemble is measured once more
    return Needs(
        "reward",
        roles=(model.role,),
        moments=(
            model.loading(),
            model.update(read * tokens, 0, parts=batch / tokens),
            model.reading("validation", read * min(sizes.reading_tokens, 2 * pairs * told.mean), 0),
        ),
        updates=round(again * config.members * config.epochs * -(-pairs // config.batch_pairs)),
        parts=(model.learning("updates", learned, 0), model.forward("validation", looked, 0)),
        device=place.device.type,
    )


def _held_out(config: RewardConfig, count: int) -> int:
    """Held-out pairs, about: a share of those in the file, or as many more as a file of their own has bytes.

    Args: count: pairs in the file.
    """
    files = [Path(file) for file in (config.held_out or "", config.preferences)]
    if not all(file.is_file() for file in files):
        return round(config.validation * count)
    held_out, learned = (max(1, file.stat().st_size) for file in files)
    return round(count * held_out / learned)


def _afterwards(config: RewardConfig, pairs: int, held_out: int) -> float:
    """Sequences that the finished model reads once: of the training pairs for the scale, for the accuracy on them and
    for what is usual; of the held-out pairs for what is usual there, and edited responses for the card."""
    learned = min(2 * pairs, max(NUM_DEMONSTRATIONS, KNOWN, 2 * READ_AGAIN, 2 * held_out))
    scale = NUM_DEMONSTRATIONS if config.demonstrations else 0
    edited = EDITED * min(NUM_ROWS, held_out) if held_out >= LEAST else 0
    return learned + scale + min(KNOWN, 2 * held_out) + edited
