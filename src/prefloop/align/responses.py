"""What a step's responses look like, whatever the reward says of them: repetition, copying, other scripts and the like.

Cheap beside the sampling of what it reads: docs/signs.md has the measured share of a step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from prefloop.align.turns import conversations, last_turns
from prefloop.sampling.rollouts import Rollouts
from prefloop.stats.shallow import PAYS, shallow
from prefloop.stats.symptoms import symptoms
from prefloop.text.codec import Codec
from prefloop.text.examples import Asked

NAMES = {
    "repetition": "responses/repetition",
    "distinct_2": "responses/distinct_2",
    "first_token": "responses/first_token",
    "empty": "responses/empty",
    "at_once": "responses/at_once",
    "copied": "responses/copied",
    "other_script": "responses/other_script",
    "top_word": "responses/top_word",
}
"""Symptom -> its metric."""


def metrics(codec: Codec, prompts: Sequence[Asked], rollouts: Rollouts, scores: Tensor) -> dict[str, float]:
    """The part of the log line that is about the words of each rollout's last turn. Args: scores: (B,) of each."""
    asked = ["\n".join(turn.content for turn in turns) for turns in conversations(prompts, rollouts)]
    last = [rollouts.turns_of(row)[-1] for row in range(len(rollouts))]
    ids = [response[begin:end] for response, (begin, end) in zip(rollouts.responses, last, strict=True)]
    said = last_turns(codec, rollouts)
    found, pays = symptoms(asked, said, ids), shallow(asked, said, ids, scores.tolist())
    return {NAMES[name]: value for name, value in found.items()} | {PAYS + name: r for name, r in pays.items()}


def surprise(ref_logprobs: Tensor | None, mask: Tensor) -> dict[str, float]:
    """How unlikely the responses are to the reference. Shapes: N responses, T tokens of the longest.

    Args:
        ref_logprobs: (N or more, T) nats, the first N of these rows; None without a reference.
        mask: (N, T).
    """
    if ref_logprobs is None:
        return {}
    own = torch.where(mask, ref_logprobs[: len(mask)], 0.0).cpu().double().sum()
    return {"responses/surprise": -float(own) / max(1, int(mask.sum()))}
