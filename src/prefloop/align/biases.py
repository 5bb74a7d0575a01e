"""What is biased in how drift is charged, in sentences that are said when a run begins.

What the gradient of a charge should be is that of the KL of the direction asked for, summed over the states of a
response. A charge in the reward reaches it through the tokens that led there, a term of the loss at the states alone.
"""

from prefloop.align.settings import OnlineConfig

ALONE = (
    "kl_estimator=full in the reward is exact in value, but no token can change the charge of its own state: only what "
    "is charged later teaches. kl_where=both adds the gradient that is missing."
)
OTHER = (
    "k3 in the loss is unbiased in value, but its expected gradient is that of KL(reference || policy), the other "
    "direction. full or k2 has that of KL(policy || reference)."
)
SQUARED = (
    "k2 in the loss is biased in value, which loss/kl tells; its expected gradient at each state is right as long as "
    "the policy in training is the one that sampled."
)
SAME = (
    "reference_every=1 with reference_mix=1 makes the reference the policy that samples, so that no drift is charged "
    "in the reward. reference_mix=0.05, say, or reference_every=10 leave something to charge."
)
NEAR = "k2 in the loss is biased: of the forward KL its value and gradient are near only while the two are close."


def of(config: OnlineConfig) -> list[str]:
    """The sentences; none for k1 in the reward, full in the loss, and full in both."""
    if config.kl_coef == 0:
        return []
    nothing = config.in_reward and config.reference_every == 1 and config.reference_mix == 1
    return [*([SAME] if nothing else []), *_in_reward(config), *_in_loss(config)]


def _in_reward(config: OnlineConfig) -> list[str]:
    forward, estimator = config.kl_direction == "forward", config.kl_estimator
    if not config.in_reward or (estimator == "k1" and not forward):
        return []
    if estimator == "full":
        return [] if config.in_loss and config.loss_estimator == "full" else [ALONE]
    value = "biased in value and gradient" if estimator == "k2" else "unbiased in value only"
    asked, has = ("reference || policy", "kl_where=loss") if forward else ("policy || reference", "k1")
    return [
        f"kl_estimator={estimator} in the reward is {value}: its expected gradient is not that of KL({asked}), which "
        f"{has} has."
    ]


def _in_loss(config: OnlineConfig) -> list[str]:
    if not config.in_loss:
        return []
    told = {"reverse": {"k3": OTHER, "k2": SQUARED}, "forward": {"k2": NEAR}}[config.kl_direction]
    return [told[config.loss_estimator]] if config.loss_estimator in told else []
