"""What must be true of a run's first batch, looked at once, and said in words if it is not.

Whatever is wrong here is wrong in every step, and shows late and as something else: a reward that seems not to be
learned, drift that is negative. What is known when a model is loaded is checked there (models/verify.py: positions,
attention, the cache, no dropout); this is about the batch: its tokens, how they were drawn, where they are paid.

Shapes: B responses of a step, T tokens of the longest.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from prefloop.align import drift, online
from prefloop.align.online import Before, Setup
from prefloop.align.settings import OnlineConfig, RolloutsConfig, TokenRewards
from prefloop.errors import UserError
from prefloop.ops.rewards import last_index
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts
from prefloop.signs import says, sign
from prefloop.text.codec import Codec
from prefloop.text.examples import Asked

ROWS = 32
"""Responses that are read again, and conversations that are written whole."""
READ = 1024
"""Tokens that are read again at most, or one response: no more than any machine holds that learns."""
SAME = 1e-3
"""Nats by which two readings of the same tokens may differ: far above rounding, far below dropout."""


def look(
    run: Run, setup: Setup, config: RolloutsConfig, step: int, prompts: Sequence[Asked], rollouts: Rollouts
) -> None:
    """Looks at the tokens of the first step, and at how they were drawn.

    Args:
        step: from 0.
        prompts: of the rollouts.

    Raises: UserError with watch=stop, if something is not as it must be.
    """
    if step == 0 and config.watch != "off":
        codec = setup.policy.codec
        found = [doubled_beginning(codec, rollouts), misplaced_end(codec, rollouts), boundary(codec, prompts, rollouts)]
        _tell(run, config, "first_batch", [*found, *drawn(setup, config, rollouts)])


def look_at_rewards(
    run: Run,
    config: OnlineConfig,
    step: int,
    rollouts: Rollouts,
    rewards: Tensor,
    before: Before,
    placed: Tensor | None,
    *,
    kl_coef: float,
) -> None:
    """Looks at where the responses of the first step are paid.

    Args:
        step: from 0.
        rewards: (B, T) reward units.
        before: what policy and reference said.
        placed: (B, T) reward units paid within the responses; None for none.
        kl_coef: reward units a nat.

    Raises: UserError with watch=stop, if something is not as it must be.
    """
    plain = placed is None and not (
        isinstance(config, TokenRewards) and (config.score_at == "every" or config.whiten_rewards)
    )
    if step == 0 and config.watch != "off" and plain:
        charge = kl_coef * drift.charged(config, before, rollouts.mask)
        _tell(run, config, "first_rewards", [paid_late(rewards + charge, rollouts.mask)])


def doubled_beginning(codec: Codec, rollouts: Rollouts) -> str | None:
    """A text begins once."""
    begin: Any = codec.tokenizer.bos_token_id
    doubled = sum(prompt[:2] == (begin, begin) for prompt in rollouts.prompts)
    if begin is None or not doubled:
        return None
    return (
        f"{doubled} of {len(rollouts)} prompts begin with two tokens for the beginning of a text "
        f"({codec.tokenizer.convert_ids_to_tokens(begin)}), and one is expected: the template writes one and the "
        "tokenizer adds one. Take it out of the chat template."
    )


def misplaced_end(codec: Codec, rollouts: Rollouts) -> str | None:
    """What ends a response is its last token, is learned from, and stands nowhere before."""
    ends, wrong, unlearned = {*codec.stop_ids}, 0, 0
    lengths = rollouts.mask.sum(1).tolist()
    for row, (response, finished) in enumerate(zip(rollouts.responses, rollouts.finished.tolist(), strict=True)):
        turns = rollouts.turns_of(row)
        begin, end = turns[-1]
        last = response[begin:end]
        wrong += bool(ends & {*last[:-1]}) or (last[-1] in ends) != finished
        unlearned += lengths[row] != sum(stop - start for start, stop in turns)
    if wrong:
        return (
            f"{wrong} of {len(rollouts)} responses do not end where their end-of-text token is: it stands within them, "
            "or they count as ended without it. The sampler stops at other tokens than training does "
            f"({', '.join(map(str, codec.stop_ids))})."
        )
    if unlearned:
        return (
            f"of {unlearned} of {len(rollouts)} responses not every token is learned from, the one that ends them "
            "perhaps: padding is told by its token, and it is the same one. Give the tokenizer a pad token of its own."
        )
    return None


def boundary(codec: Codec, prompts: Sequence[Asked], rollouts: Rollouts) -> str | None:
    """The prompt's tokens are the beginning of the whole conversation's."""
    num = min(ROWS, len(rollouts))
    if rollouts.turns:
        return None  # the template was checked for that before
    asked, said = [p.messages for p in prompts[:num]], [codec.decode(r) for r in rollouts.responses[:num]]
    whole = codec.conversations(asked, said)
    cut = sum(len(begun) < len(ids) for (begun, _), ids in zip(whole, rollouts.prompts, strict=False))
    if not cut:
        return None
    return (
        f"the tokens of {cut} of {num} prompts are not the beginning of those of their conversation with the response, "
        "so what is sampled is not what is read later: the chat template writes a prompt otherwise once it is "
        "answered. Take another template (template=...)."
    )


SURE, RARE = 0.15, 6.0
"""Nats of entropy below which a token is nearly sure, and log(1 / p) of what else may come there."""


def drawn(setup: Setup, config: RolloutsConfig, rollouts: Rollouts) -> list[str]:
    """Read twice, tokens are as likely as before; and they are as likely, on the mean, as draws from what is read.

    Of a token x that is drawn from p the mean of log p(x) is minus the entropy of p, whatever came before it: the sum
    of both over all tokens is a martingale, and its mean in standard errors a standard normal number.
    """
    rows = online.micro_batches(rollouts, range(min(ROWS, len(rollouts))), limit=READ)[0]
    packed = rollouts.stream(rows)
    with torch.no_grad():
        first = setup.policy.read(packed, temperature=config.temperature, entropy="value")
        again = setup.policy.logprobs(packed, temperature=config.temperature)
    assert first.entropy is not None  # it was asked for
    found = list[str]()
    apart = float((first.logprobs - again).abs().max())
    if apart > SAME:
        found.append(
            f"the same tokens read twice differ by up to {apart:.2g} nats, and by none is expected: dropout is on, or "
            "something random is in the model. Save it in evaluation mode, with all dropout 0."
        )
    gap = (first.logprobs + first.entropy).cpu().double()
    # where a policy is nearly sure, few draws hold none of the rare tokens that most of the variance is of: at least
    # H log(1 / p) of a token whose others have p in all
    sure = first.entropy.cpu().double()
    least = RARE * (sure * (sure < SURE)).mean()
    error = math.sqrt(max(float(gap.var(correction=0)), float(least)) / len(gap))
    far = sign("other_sampling", value=float(gap.mean()) / error if error else 0.0, said=float(gap.mean()))
    return [*found, *([says(far)] if far.level == "alarm" else [])]


def paid_late(paid: Tensor, mask: Tensor) -> str | None:
    """Rewards, charges for drift taken out, stand at the last token of each response and nowhere else."""
    elsewhere = paid.clone().scatter_(1, last_index(mask)[:, None], 0.0).abs()
    wrong = int((elsewhere > 1e-4 * (1 + paid.abs().max())).any(1).sum())
    if not wrong:
        return None
    return (
        f"{wrong} of {len(mask)} responses are paid elsewhere than at their last token, where the score is expected: "
        "one token late it teaches nothing, and early it teaches too few tokens. This is a fault of prefloop or of a "
        "change to it; please report it."
    )


def _tell(run: Run, config: RolloutsConfig, name: str, found: Iterable[str | None]) -> None:
    sentences = [f"first batch: {sentence}" for sentence in found if sentence]
    if sentences and config.watch == "stop":
        raise UserError(f"{sentences[0]} The run does not begin, because of watch=stop; watch=warn goes on.")
    run.caution(sentences, of=name)
