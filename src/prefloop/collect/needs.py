"""What `prefloop collect` will need: memory while responses are written, and arithmetic."""

from prefloop.collect.config import CollectConfig
from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import frozen
from prefloop.models.device import placement


def lengths(config: CollectConfig) -> Lengths:
    """How long the prompts are, as far as some of them say."""
    return looking.prompts(config.prompts, config.model, template=config.template)


def needs(config: CollectConfig, asked: Lengths) -> Needs:
    """The needs of these settings. Args: asked: how long the prompts are."""
    place = placement(config.device, config.dtype)
    new, copies = config.max_new_tokens, config.responses_per_prompt
    count = min(config.num_prompts or asked.count, asked.count)
    together = min(config.batch_prompts, count) * copies
    model = frozen(config, place, "model", config.model)
    model = model.at(Lengths(asked.count, asked.mean + new, asked.longest + new, responses=new))
    sampling = model.sampling(
        "sampling", together, asked, new, copies=copies, device=place.device, cache_tokens=config.cache_tokens
    )
    older = [frozen(config, place, f"older.{number}", path) for number, path in enumerate(config.older)]
    return Needs(
        "collect",
        roles=(model.role, *(each.role for each in older)),
        moments=(*(each.loading() for each in (model, *older)), sampling),
        parts=(model.writing("sampling", count * copies, together, asked, new, copies=copies),),
        notes=(
            f"every response is taken to be {new} tokens long (max_new_tokens); shorter ones take less. What is drawn "
            "again (resample), and whoever judges, is not in it.",
        ),
        device=place.device.type,
    )
