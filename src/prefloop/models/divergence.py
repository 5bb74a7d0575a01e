"""How far two models are apart at the places of response tokens, exactly: their whole distributions are compared.

Shapes: M response tokens.
"""

from torch import Tensor

from prefloop.models.network import Network, Reading
from prefloop.ops.divergence import exact_kl


def divergence(
    policy: Network, now: Reading, reference: Network, theirs: Reading, *, temperature: float, forward: bool
) -> Tensor:
    """(M,) nats: KL(policy || reference) at each token, at the sampling temperature, with the policy's gradient.

    Args:
        now: what the policy says of the tokens, with its states.
        theirs: what the reference says of the same tokens, with its states.
        forward: True for KL(reference || policy).
    """
    assert now.states is not None  # they were asked for
    assert theirs.states is not None
    return exact_kl(
        now.states,
        theirs.states,
        policy.logits,
        reference.logits,
        size=int(policy.pretrained.config.get_text_config().vocab_size),
        temperature=temperature,
        forward=forward,
    )
