"""The table of methods: which stages each runs, and on what of the recipe's. Pure words, read by whoever runs them.

A value with `$` stands for something: of the recipe's, `$policy` the model that all begin as, `$preferences`,
`$held_out` and `$undecided` what was said, `$reward` its reward model, `$prompts` those that a policy is trained on,
`$asked` those of the judgements; of the method's, `$thumbs` what was said as thumbs, `$own/...` what its stages wrote.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from prefloop import layout


class Job(NamedTuple):
    """One stage that a method runs."""

    stage: str
    settings: Mapping[str, Any]


class Method(NamedTuple):
    """What a method is."""

    family: str
    """imitation, reward, direct or ai: how it is told on the page."""
    jobs: tuple[Job, ...] = ()
    """Stages, in their order."""
    evaluated: Mapping[str, Any] = {}
    """Settings of its evaluation."""
    policy: str = "$policy"
    """What is evaluated."""


FEEDBACK = {"preferences": "$preferences", "held_out": "$held_out"}
REWARDED = {"policy": "$policy", "reward": "$reward", "prompts": "$prompts"}
LEARNED = {
    "model": "$policy",
    "preferences": f"$own/{layout.COLLECT}/{layout.PREFERENCES}",
    "held_out": f"$own/{layout.COLLECT}/{layout.HELD_OUT}",
}


def _direct(stage: str, **settings: Any) -> Method:
    job = Job(stage, {"policy": "$policy", **FEEDBACK, **settings})
    return Method("direct", (job,), policy=f"$own/{stage}/{layout.MODELS}")


def _online(stage: str) -> Method:
    return Method("reward", (Job(stage, REWARDED),), policy=f"$own/{stage}/{layout.MODELS}")


METHODS: Mapping[str, Method] = {
    "sft": Method("imitation"),
    "best-of-n": Method("reward", evaluated={"best_of": 8, "best_of_reward": "$reward"}),
    "rft": Method(
        "reward",
        (
            Job("best-of-n", {**REWARDED, "num_prompts": 2000, "responses_per_prompt": 8}),
            Job("sft", {"model": "$policy", "demonstrations": f"$own/best-of-n/{layout.DEMONSTRATIONS}"}),
        ),
        policy=f"$own/{layout.SFT}/{layout.MODEL}",
    ),
    "ppo": _online("ppo"),
    "reinforce": _online("reinforce"),
    "rloo": _online("rloo"),
    "grpo": _online("grpo"),
    "online-dpo": _online("online-dpo"),
    "dpo": _direct("dpo", undecided="$undecided"),
    "ipo": _direct("dpo", objective="ipo"),
    "simpo": _direct("dpo", score="simpo"),
    "orpo": _direct("dpo", score="orpo"),
    "kto": _direct("kto", preferences="$thumbs"),
    "cpl": _direct("cpl"),
    "filtered": _direct("offline", method="filtered"),
    "awr": _direct("offline", method="advantage_weighted"),
    "rlaif": Method(
        "ai",
        (
            Job("collect", {"model": "$policy", "prompts": "$asked"}),
            Job("reward", LEARNED),
            Job("ppo", {"policy": "$policy", "reward": f"$own/{layout.REWARD}/{layout.MODEL}", "prompts": "$prompts"}),
        ),
        policy=f"$own/{layout.PPO}/{layout.MODELS}",
    ),
    "constitutional": Method(
        "ai",
        (
            Job("revise", {"model": "$policy", "prompts": "$asked"}),
            Job("sft", {"model": "$policy", "demonstrations": f"$own/revise/{layout.DEMONSTRATIONS}"}),
        ),
        policy=f"$own/{layout.SFT}/{layout.MODEL}",
    ),
}
"""Name -> what it is, in the order of the page."""
DEFAULT = (
    "sft", "best-of-n", "rft", "ppo", "reinforce", "rloo", "grpo", "online-dpo", "dpo", "ipo", "kto", "cpl", "filtered",
    "awr",
)  # fmt: skip
"""What is compared if nothing else is asked for: all that needs nothing but the recipe."""
