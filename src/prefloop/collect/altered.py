"""Hard negatives: copies of sampled responses in which one thing that was copied from the prompt is wrong.

A model that samples well seldom writes a wrong order number, so annotators seldom judge one, and a reward model that
never saw one cannot tell. So a copy is made with another number, name or thing, and is judged like any other response.
"""

import random
from collections.abc import Sequence

from prefloop.records import Prompt, Response
from prefloop.text.facts import Facts

ALTERED = "altered"
"""Who wrote such a response."""


def with_altered(
    prompts: Sequence[Prompt], responses: Sequence[list[Response]], facts: Facts, *, num: int, seed: int
) -> int:
    """Adds to the responses of each prompt as many altered copies, of different ones. Returns: how many are missing.

    Args:
        num: altered copies of each prompt; fewer if its responses copy nothing.
        seed: decides, with the prompt's id, which and how.
    """
    missing = 0
    for prompt, kept in zip(prompts, responses, strict=True):
        rng = random.Random(f"{seed} {prompt.id}")
        made: list[Response] = []
        for response in rng.sample(kept, len(kept)):
            text = facts.altered(prompt, response.text, rng)
            if len(made) < num and text is not None and text not in [r.text for r in (*kept, *made)]:
                made.append(response.model_copy(update={"text": text, "sampler": ALTERED}))
        missing += num - len(made)
        kept += made
    return missing
