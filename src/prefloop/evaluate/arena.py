"""What people may compare blind: responses of the reference and of the selected checkpoint to the same test prompts.

`prefloop web` takes the file into its arena. The first prompts are not chosen by how they turned out, so that the
verdict is fair; the others are those that the reward likes best and those that drifted furthest, tagged as an audit:
there people see whether the reward is being gamed, and the page keeps them out of the verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from prefloop.evaluate.measure import Answer
from prefloop.files.arenas import AUDIT
from prefloop.records import Prompt
from prefloop.world import gold

TOP_REWARD, TOP_KL = f"{AUDIT}top_reward", f"{AUDIT}top_kl"


def arena_rows(
    prompts: Sequence[Prompt], answers: Mapping[str, Sequence[Answer]], *, num_arena: int, num_audit: int
) -> list[dict[str, Any]]:
    """A row for each sampler and prompt.

    Args:
        prompts: (n,) of the test split.
        answers: sampler -> (n,) answers; the last sampler is the selected checkpoint.
        num_arena: prompts from the beginning.
        num_audit: of the rest, how many with the highest score, and how many with the highest KL.

    Returns: {"id", "messages", "response", "sampler", "tags"}, a prompt's rows together.
    """
    new = list(answers.values())[-1]
    rest = range(min(num_arena, len(prompts)), len(prompts))
    audit: dict[int, list[str]] = {}
    by_score = sorted((i for i in rest if new[i].score is not None), key=lambda i: -(new[i].score or 0.0))
    for tag, order in ((TOP_REWARD, by_score), (TOP_KL, sorted(rest, key=lambda i: -new[i].kl))):
        for place in order[:num_audit]:
            audit.setdefault(place, []).append(tag)
    chosen = [*range(rest.start), *sorted(audit)]
    return [
        {
            "id": prompts[i].id,
            "messages": [message.model_dump() for message in prompts[i].messages],
            "response": given[i].text,
            "sampler": sampler,
            "tags": [*prompts[i].tags, *audit.get(i, ())],
        }
        for i in chosen
        for sampler, given in answers.items()
    ]


def sampler_name(name: str, fingerprint: str) -> str:
    """What a model is called in the arena: with a piece of what it is, so that rounds are not mixed up."""
    return f"{name} {fingerprint[:8]}"


def by_gold(prompt: str, left: str, right: str) -> int:
    """-1 if the helpdesk's gold program likes the left response better, 1 the right one, 0 if it likes both alike."""
    a, b = gold.judge(prompt, left).utility, gold.judge(prompt, right).utility
    return 0 if abs(a - b) < 1e-9 else -1 if a > b else 1
