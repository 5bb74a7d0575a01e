"""What `prefloop sft` will need: memory at each moment of its loop, and arithmetic."""

from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import Models, settled
from prefloop.models.device import placement
from prefloop.sft.config import SFTConfig


def lengths(config: SFTConfig) -> Lengths:
    """How long the demonstrations are, as far as some of them say."""
    return looking.demonstrations(config.demonstrations, config.model, template=config.template)


def needs(config: SFTConfig, told: Lengths) -> Needs:
    """The needs of these settings. Args: told: how long the demonstrations are."""
    config = settled("sft", config, config.model)
    place = placement(config.device, config.dtype)
    models = Models(config, place)
    sizes, model = models.batching(models.trained("model", config.model).at(told), config)
    share = told.responses / told.mean
    batch = max(told.longest, min(config.batch_tokens, told.count * told.mean))
    tokens = max(told.longest, min(sizes.micro_tokens, batch))
    held_out = min(2 * config.batch_tokens, sizes.reading_tokens, max(1, config.validation * told.count) * told.mean)
    room = min(config.gate_max_new_tokens or round(2 * told.responses), model.role.anatomy.context)
    asked = Lengths(told.count, told.mean - told.responses, round(told.longest - told.responses), 0)
    gated = min(config.gate_prompts, max(1, round(config.validation * told.count)))
    learned = config.epochs * (1 - config.validation) * told.count * told.mean
    updates = max(1, round(learned / batch))
    looks = min(updates, 10) * config.validation * told.count * told.mean
    return Needs(
        "sft",
        roles=(model.role,),
        moments=(
            model.loading(),
            model.update(tokens, share * tokens, parts=batch / tokens),
            model.reading("validation", held_out, share * held_out),
            model.sampling("the gate's samples", gated, asked, room, device=place.device),
        ),
        updates=updates,
        parts=(
            model.learning("updates", learned, share * learned),
            model.forward("validation", looks, share * looks),
            model.writing("the gate's samples", gated, gated, asked, room),
        ),
        device=place.device.type,
    )
