"""What `prefloop dpo` and its relatives will need: memory at each moment of the loop, and arithmetic."""

from dataclasses import replace

from prefloop.costs import looking
from prefloop.costs.estimate import Needs
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import Models, Named, settled
from prefloop.direct.config import CPLConfig, DirectConfig, DPOConfig, KTOConfig, OfflineConfig, RatioConfig
from prefloop.direct.implied import needs_reference
from prefloop.direct.marks import OFFLINE
from prefloop.direct.objectives import CONTRASTED, PAIRED, THUMBED
from prefloop.feedback.data import objective_name, record
from prefloop.models.device import placement

LOOKS = 5
"""Times that the held-out rows are read, the last one after training."""


def lengths(config: DirectConfig) -> Lengths:
    """How long the sequences of what is learned from are, as far as some of them say."""
    kinds = {KTOConfig: THUMBED, CPLConfig: CONTRASTED, OfflineConfig: OFFLINE}.get(type(config), PAIRED)
    kind = record(config.preferences, objective_name(config, kinds), kinds=kinds)
    return looking.preferences(config.preferences, config.policy, template=config.template, kind=kind)


def dpo(config: DPOConfig, told: Lengths) -> Needs:
    """The needs of DPO. Args: told: how long the sequences are, and how many pairs of them."""
    return _needs("dpo", config, told, apart=0.0)


def kto(config: KTOConfig, told: Lengths) -> Needs:
    """The same of KTO, which reads each response with another prompt too."""
    return _needs("kto", config, told, apart=1.0 if config.objective != "apo_zero" else 0.0)


def cpl(config: CPLConfig, told: Lengths) -> Needs:
    """The same of CPL, which asks no reference."""
    return _needs("cpl", config, told, apart=0.0)


def offline(config: OfflineConfig, told: Lengths) -> Needs:
    """The same of offline learning, which asks the reference of held-out rows alone."""
    return _needs("offline", config, told, apart=0.0)


def _needs(stage: str, config: DirectConfig, told: Lengths, *, apart: float) -> Needs:
    """Args: apart: times that responses are read with another prompt, by both models."""
    config = settled(stage, config, config.policy)
    place = placement(config.device, config.dtype)
    models = Models(config, place)
    policy = models.trained("policy", config.policy).at(told)
    reference = models.beside("reference", policy, trained=False, worn=Named.of(config.policy).rank)
    others = [reference]
    if isinstance(config, RatioConfig) and config.reference_every:
        following = models.beside("following", policy, trained=False, worn=policy.role.rank)
        others.append(replace(following, role=replace(following.role, form=policy.role.form)))
    sizes, policy = models.batching(policy, config, beside=sum(other.role.weights for other in others))
    pairs = max(1, round(config.share * told.count * (1 if config.held_out else 1 - config.validation)))
    held_out = max(1, round(told.count * config.validation))
    batch = min(config.batch_pairs, pairs) * 2 * told.mean
    tokens = max(2 * told.longest, min(sizes.micro_tokens, batch))
    once = (told.mean + told.responses) / (2 * told.mean)  # of a pair's tokens: the prompt of both is read once
    share = told.responses / (told.mean + told.responses) * 2  # of the tokens that are read those that are predicted
    learned = config.epochs * pairs * 2 * told.mean * once
    looked = (LOOKS + 1) * held_out * 2 * told.mean * once  # and once by the reference
    asked = Lengths(told.count, told.mean - told.responses, round(told.longest - told.responses), 0)
    rows, new = min(config.num_samples, held_out), config.max_new_tokens
    asks = (1.0 if needs_reference(config) and not isinstance(config, OfflineConfig) else 0.0) + apart
    at_once = min(sizes.reading_tokens, held_out * 2 * told.mean * once)
    return Needs(
        stage,
        roles=(policy.role, *(other.role for other in others)),
        moments=(
            policy.loading(),
            policy.update(once * tokens, share * once * tokens, parts=batch / tokens),
            reference.reading("reading", once * tokens, share * once * tokens),
            policy.reading("validation", at_once, share * at_once),
            policy.sampling("samples", rows, asked, new, device=place.device, cache_tokens=config.cache_tokens),
        ),
        updates=round(config.epochs * -(-pairs // config.batch_pairs)),
        parts=(
            policy.learning("updates", learned, share * learned),
            reference.forward("reading by reference", (asks + apart) * learned, (asks + apart) * share * learned),
            policy.forward("validation", looked, share * looked),
            policy.writing("samples", 2 * rows, rows, asked, new),
        ),
        device=place.device.type,
    )
