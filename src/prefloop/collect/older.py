"""Which policy writes which of a prompt's responses, where older ones write a share of them.

What is judged of the newest policy alone makes a reward model forget what older policies wrote; a share of theirs keeps
it in sight, and shows people differences that the newest policy no longer makes.
"""

import random
from collections.abc import Sequence

from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.files.hashes import hash_of
from prefloop.models.network import Network
from prefloop.records import Prompt
from prefloop.seeds import seed_of


def writers(config: CollectConfig, prompt: Prompt) -> tuple[int, ...]:
    """Who writes each of a prompt's K responses: 0 is the model, 1, 2, ... the older ones; decided by seed and prompt.

    On average over prompts older ones write exactly `older_share` of them: what does not come out even is rounded up
    with that probability. Each of them is as likely as another, and who stands where is drawn too.
    """
    num = config.responses_per_prompt
    if not config.older:
        return (0,) * num
    rng = random.Random(seed_of(config.seed, "collect.older", hash_of(prompt.id)))
    share = num * config.older_share
    count = int(share) + (rng.random() < share - int(share))
    chosen = [*(rng.randrange(len(config.older)) + 1 for _ in range(count)), *[0] * (num - count)]
    rng.shuffle(chosen)
    return tuple(chosen)


def check_room(config: CollectConfig, prompts: Sequence[Prompt], policies: Sequence[Network]) -> None:
    """Raises: UserError if prompts that leave room for a response of the model do not of an older one."""
    for path, policy in zip(config.older, policies[1:], strict=True):
        if (
            policy.codec.fingerprint == policies[0].codec.fingerprint
            and policy.codec.context >= policies[0].codec.context
        ):
            continue
        lengths = [len(ids) for ids in policy.codec.prompts([prompt.messages for prompt in prompts])]
        long = sum(length + config.max_new_tokens > policy.codec.context for length in lengths)
        if long:
            raise UserError(
                f"older={path}: {long} of {len(prompts)} prompts leave no room for max_new_tokens = "
                f"{config.max_new_tokens} in its context of {policy.codec.context}. Lower it, or leave this one out."
            )
