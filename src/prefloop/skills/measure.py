"""What a model knows, in nats: how texts surprise it, and how likely it finds each option of a task.

Shapes: n texts or tasks. Sums are of float64 on the CPU, so that which texts are read together changes nothing but the
last digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from prefloop.errors import UserError
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream
from prefloop.records import Message, Task
from prefloop.sampling.in_process import InProcess
from prefloop.settings import SamplingConfig
from prefloop.text.batches import cut
from prefloop.text.corpus import encoded


@dataclass(frozen=True)
class Loss:
    """Of one text."""

    nats: float
    """surprise, -log P summed over its tokens and the one that ends it"""
    tokens: int
    """how many are predicted: all of the text and the end"""
    bytes: int
    """in UTF-8"""


@torch.no_grad()
def continued_nats(
    network: Network, before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], *, micro_tokens: int
) -> list[float]:
    """(n,) nats: -log P of each sequence of tokens behind what stands before it, at temperature 1.

    Args:
        before, after: n sequences each, none empty.
        micro_tokens: most tokens read at once.
    """
    lengths = [len(b) + len(a) for b, a in zip(before, after, strict=True)]
    nats = torch.zeros(len(before), dtype=torch.float64)
    for part in cut(range(len(before)), lengths, limit=micro_tokens):
        packed = ResponseStream.of([before[i] for i in part], [after[i] for i in part], network.device)
        nats[part] = -packed.grid(network.logprobs(packed, temperature=1.0)).cpu().double().sum(1)
    return nats.tolist()


def losses(network: Network, texts: Sequence[str], *, micro_tokens: int) -> list[Loss]:
    """(n,) the loss of each text, between end-of-text tokens as `pretrain` reads it; a text beyond the context is read
    in pieces."""
    pieces: list[list[int]] = []
    owners: list[int] = []
    for place, text in enumerate(texts):
        own = encoded(network.codec, [text])
        pieces += own
        owners += [place] * len(own)
    nats = continued_nats(network, [p[:1] for p in pieces], [p[1:] for p in pieces], micro_tokens=micro_tokens)
    totals, tokens = [0.0] * len(texts), [0] * len(texts)
    for place, piece, surprise in zip(owners, pieces, nats, strict=True):
        totals[place] += surprise
        tokens[place] += len(piece) - 1
    sizes = [len(text.encode()) for text in texts]
    return [Loss(*each) for each in zip(totals, tokens, sizes, strict=True)]


def asked(network: Network, tasks: Sequence[Task], *, room: int) -> list[list[int]]:
    """The tokens of each task's prompt. Raises: UserError if one leaves less than `room` tokens of the context."""
    ids = network.codec.prompts([(Message(role="user", content=task.prompt),) for task in tasks])
    long = next((i for i, own in enumerate(ids) if len(own) + room > network.codec.context), None)
    if long is not None:
        raise UserError(
            f"task {tasks[long].id!r}: its prompt takes {len(ids[long])} tokens, which leaves no room for {room} in "
            f"the context of {network.codec.context}. Lower max_new_tokens, or leave the task out."
        )
    return ids


def chosen(network: Network, tasks: Sequence[Task], *, micro_tokens: int) -> list[tuple[float, str]]:
    """(n,) of each choice the share of the right option among the likeliest ones, and the first of those.

        value of an option = log P(option | prompt) / bytes of the option

    By bytes, so that a long option is as likely as a short one and models of other tokenizers are measured alike; the
    options do not stand in the prompt, so their order counts for nothing.
    """
    prompts = asked(network, tasks, room=1)
    options = [(prompt, option) for prompt, task in zip(prompts, tasks, strict=True) for option in task.options]
    tokens = network.codec.responses([option for _, option in options], finished=False)
    nats = continued_nats(network, [prompt for prompt, _ in options], tokens, micro_tokens=micro_tokens)
    values = iter(-each / len(option.encode()) for each, (_, option) in zip(nats, options, strict=True))
    found = []
    for task in tasks:
        own = [next(values) for _ in task.options]
        best = [place for place, value in enumerate(own) if value == max(own)]
        found.append((float(task.right in best) / len(best), task.options[best[0]]))
    return found


def written(network: Network, tasks: Sequence[Task], *, max_new_tokens: int) -> list[str]:
    """(n,) the likeliest response to each task, token by token."""
    sampling = SamplingConfig(temperature=0.0, max_new_tokens=max_new_tokens)
    prompts = asked(network, tasks, room=max_new_tokens)
    return [network.codec.decode(each.tokens) for each in InProcess(network).sample(prompts, sampling, 0)]
