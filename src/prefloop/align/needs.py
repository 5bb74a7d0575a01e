"""What `prefloop ppo` and its kin that sample will need: memory at each moment of a step, and arithmetic."""

from dataclasses import replace

from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.settings import Grouped, OnlineConfig, RolloutsConfig
from prefloop.costs import looking
from prefloop.costs.estimate import Moment, Needs, Part
from prefloop.costs.reading import Lengths, Model
from prefloop.costs.subject import Models, Named, settled
from prefloop.models.columns import parted
from prefloop.models.device import placement
from prefloop.scoring.reward_model import BATCH_TOKENS


def lengths(config: RolloutsConfig) -> Lengths:
    """How long the prompts are, as far as some of them say."""
    return looking.prompts(config.prompts, config.policy, template=config.template)


def ppo(config: PPOConfig, asked: Lengths) -> Needs:
    """The needs of PPO. Args: asked: how long the prompts are."""
    config = settled("ppo", config, config.policy)
    step = _Step(config, asked, size=config.minibatch_size, trunks=1 if config.critic == "shared" else 2)
    critic = _critic(config, step)
    updates = config.epochs * config.rollouts_per_step // config.minibatch_size
    return step.needs("ppo", critic, updates=updates, epochs=config.epochs)


def reinforce(config: REINFORCEConfig, asked: Lengths) -> Needs:
    """The needs of REINFORCE: no critic, and one update a step."""
    config = settled("reinforce", config, config.policy)
    step = _Step(config, asked, size=config.rollouts_per_step)
    return step.needs("reinforce", None, updates=1, epochs=1)


def rloo(config: RLOOConfig, asked: Lengths) -> Needs:
    """The needs of RLOO: no critic, and the updates of its settings."""
    return _grouped("rloo", settled("rloo", config, config.policy), asked)


def grpo(config: GRPOConfig, asked: Lengths) -> Needs:
    """The same of GRPO."""
    return _grouped("grpo", settled("grpo", config, config.policy), asked)


def _grouped(stage: str, config: Grouped, asked: Lengths) -> Needs:
    updates = config.epochs * config.rollouts_per_step // config.minibatch_size
    step = _Step(config, asked, size=config.minibatch_size)
    return step.needs(stage, None, updates=updates, epochs=config.epochs)


def online_dpo(config: OnlineDPOConfig, asked: Lengths) -> Needs:
    """The same of online DPO, whose reference may be another model than the one that drift is told from."""
    config = settled("online-dpo", config, config.policy)
    return _Step(config, asked, size=config.rollouts_per_step).needs("online-dpo", None, updates=1, epochs=1)


class _Step:
    """A step of an algorithm that samples: its models, and how many tokens go through them."""

    def __init__(self, config: RolloutsConfig, asked: Lengths, *, size: int, trunks: int = 1) -> None:
        """Args: size: responses in an update. trunks: that keep activations at once."""
        self.config, self.place = config, placement(config.device, config.dtype)
        self.asked = asked
        new = config.max_new_tokens
        self.whole = Lengths(self.asked.count, self.asked.mean + new, self.asked.longest + new, responses=new)
        self.models = Models(config, self.place)
        self.policy = self.models.trained("policy", config.policy).at(self.whole)
        begun = Named.of(config.policy).rank
        self.reference = self.models.beside("reference", self.policy, trained=False, worn=begun)
        without = isinstance(config, OnlineConfig) and config.kl_where == "off"
        self.references = [] if without else [self.reference]
        self.compares = isinstance(config, OnlineConfig) and config.in_loss and config.loss_estimator == "full"
        """whether the reference is read again in every update"""
        if isinstance(config, OnlineDPOConfig) and config.reference_every:
            following = self.models.beside("following", self.policy, trained=False, worn=self.policy.role.rank)
            self.references.append(replace(following, role=replace(following.role, form=self.policy.role.form)))
        self.scorers = [scorer.at(self.whole) for scorer in self.models.scorers(config.reward, config.policy)]
        others = [*self.references, *self.scorers, *[self.policy] * (trunks - 1)]
        beside = sum(model.role.weights for model in others)
        sizes, self.policy = self.models.batching(self.policy, config, trunks=trunks, beside=beside)
        self.batch = size * self.whole.mean
        self.tokens = max(self.whole.longest, min(sizes.micro_tokens, self.batch))
        self.all = config.rollouts_per_step * self.whole.mean

    def needs(self, stage: str, critic: Model | None, *, updates: int, epochs: int) -> Needs:
        """The needs of all steps. Args: updates: in a step. epochs: passes over its rollouts."""
        config, new = self.config, self.config.max_new_tokens
        share = new / self.whole.mean
        separate = critic is not None and critic.role.name == "critic"
        beside = critic.update(self.tokens, 0).activations if critic and separate else 0.0
        rows = config.rollouts_per_step
        moments: list[Moment] = [
            self.policy.loading(),
            self.policy.sampling(
                "sampling",
                rows,
                self.asked,
                new,
                copies=config.responses_per_prompt,
                device=self.place.device,
                cache_tokens=config.cache_tokens,
            ),
            self.policy.reading("reading", self.tokens, share * self.tokens),
            *(one.reading("reading", self.tokens, share * self.tokens) for one in self.references[:1]),
            self.policy.update(self.tokens, share * self.tokens, parts=self.batch / self.tokens, beside=beside),
        ]
        readers = [self.policy, *self.references, *([critic] if critic and separate else [])]
        steps, predicted = config.steps, share * self.all
        parts: list[Part] = [
            self.policy.writing("sampling", steps * rows, rows, self.asked, new, copies=config.responses_per_prompt),
            *(
                m.forward(f"reading by {m.role.name}", steps * self.all, steps * predicted)
                for m in readers[: 1 + len(self.references)]
            ),
            self.policy.learning("updates", epochs * steps * self.all, epochs * steps * predicted),
        ]
        if self.compares:
            again = epochs * steps * self.all
            parts.append(self.reference.forward("comparing with reference", again, epochs * steps * predicted))
        if critic and separate:
            parts.append(critic.learning("updates of the critic", epochs * steps * self.all, 0))
        for scorer in self.scorers:
            moments.insert(0, scorer.loading())
            moments.append(scorer.reading("scoring", min(BATCH_TOKENS, self.all), 0))
            parts.append(scorer.forward("scoring", steps * self.all, 0))
        models = [*readers, *self.scorers]
        return Needs(
            stage,
            roles=tuple(model.role for model in models),
            moments=tuple(moments),
            updates=updates * steps,
            parts=tuple(parts),
            notes=(f"every response is taken to be {new} tokens long (max_new_tokens); shorter ones take less.",),
            device=self.place.device.type,
        )


def _critic(config: PPOConfig, step: _Step) -> Model:
    """The critic: the policy's trunk with a head, or a trunk of its own."""
    if config.critic == "shared":
        return step.policy
    if config.critic_from is None:
        critic = step.models.beside("critic", step.policy, trained=True)
    else:
        kind = "lora" if step.policy.role.rank else "none"  # as the policy is trained
        models = replace(step.models, settings=config.model_copy(update={"adapter": kind}))
        critic = models.trained("critic", parted(config.critic_from)[0], scores=True).at(step.whole)
    return replace(critic, role=replace(critic.role, anatomy=critic.role.anatomy.trunk()))
