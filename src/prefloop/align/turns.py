"""Rollouts of several turns: the policy speaks, an environment answers and pays, the policy speaks again.

    prompt  |  turn  answer  turn  answer  turn  |            the response is what stands between the bars
               ----          ----          ----               what the policy wrote: learned from
                    ======        ======                      what the environment wrote: read as context, and no more

An answer is a user's turn, in the tokens with which the model's chat template writes it behind the policy's turn, so
that the tokens of the pieces are those of the whole conversation; a template for which they are not is refused. A
rollout ends

    done    when the environment says so
    turns   after `max_turns` turns of the policy
    room    when the answer and another turn of `max_new_tokens` tokens would not fit the model's context, or when the
            template does not take the answer
    cut     with a turn that does not end by itself with the template's own token

and the environment pays for its last turn in each case. Shapes: B responses, T tokens of the longest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.sampling.protocol import Sampled, Sampler
from prefloop.sampling.rollouts import Rollouts, written
from prefloop.scoring.environment import Answer, PythonEnvironment
from prefloop.scoring.protocol import Place, Scored, summed
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.text.codec import Codec
from prefloop.text.examples import Asked
from prefloop.text.turns import SAID, TALK, THEN

TRIED = (SAID, "it", "I", "the", "a", "1", "很")
"""Responses by which a template is tried: some tokenizers make one token of a space and the first word behind it."""
PAID = "env"
"""What an environment's pay is called among the parts of a score."""


@dataclass
class _Talk:
    """A rollout in the making."""

    messages: list[Message]
    tokens: list[int]
    """of all of it"""
    begun: int
    """tokens of the prompt"""
    seed: int
    turns: list[tuple[int, int]] = field(default_factory=list)
    pay: list[float] = field(default_factory=list)
    ended: str = ""
    finished: bool = False

    def hear(self, said: Sampled, codec: Codec) -> None:
        """A turn of the policy."""
        begin = len(self.tokens) - self.begun
        self.turns.append((begin, begin + len(said.tokens)))
        self.tokens += said.tokens
        self.messages.append(Message.model_construct(role="assistant", content=codec.decode(said.tokens)))
        self.finished = said.finished
        if not said.finished or said.tokens[-1] != codec.stop_ids[0]:
            self.ended = "cut"

    def take(self, answer: Answer, codec: Codec, *, room: int, max_turns: int) -> None:
        """What the environment said to it. Args: room: tokens of another turn."""
        self.pay.append(answer.reward)
        if answer.text is None:
            self.ended = "done"
        elif not self.ended and len(self.turns) == max_turns:
            self.ended = "turns"
        elif not self.ended:
            *before, last = self.messages
            more = codec.following(before, last.content, answer.text)
            if more is None or len(self.tokens) + len(more) + room > codec.context:
                self.ended = "room"
                return
            self.tokens += more
            self.messages.append(Message(role="user", content=answer.text))


def check_template(codec: Codec, env: str) -> None:
    """Raises: UserError if the model's template does not write a conversation as the pieces that it is sampled in."""
    if any(codec.following(TALK[:1], said, THEN) is None for said in TRIED):
        raise UserError(
            f"env={env}: the chat template of {codec.name} ({codec.template_name}) does not write what the assistant "
            "said before in the tokens in which it is sampled, so that turns cannot be learned token for token. Take a "
            "model whose template ends each turn with a token of its own, such as `turns` or `chatml`."
        )


def played(
    environment: PythonEnvironment,
    sampler: Sampler,
    codec: Codec,
    prompts: Sequence[Asked],
    sampling: SamplingConfig,
    *,
    copies: int,
    max_turns: int,
    seed: int,
    step: int,
    device: torch.device,
) -> Rollouts:
    """A rollout of each prompt. Args: prompts: `copies` of each stand together. seed: the run's."""
    talks = [
        _Talk([*asked.messages], [*asked.tokens], len(asked.tokens), seed_of(seed, "online.env", step, place // copies))
        for place, asked in enumerate(prompts)
    ]
    running, turn = talks, 0
    while running:
        place = seed_of(seed, "online.turns", step, turn) if turn else seed_of(seed, "online.rollouts", step)
        asked = [talk.tokens for talk in running][:: 1 if turn else copies]
        for talk, said in zip(
            running, sampler.sample(asked, sampling, place, copies=1 if turn else copies), strict=True
        ):
            talk.hear(said, codec)
        answers = environment.respond([talk.messages for talk in running], [talk.seed for talk in running])
        for talk, answer in zip(running, answers, strict=True):
            talk.take(answer, codec, room=sampling.max_new_tokens, max_turns=max_turns)
        running, turn = [talk for talk in running if not talk.ended], turn + 1
    return _rollouts(talks, [len(asked.messages) for asked in prompts], device)


def _rollouts(talks: Sequence[_Talk], num_asked: Sequence[int], device: torch.device) -> Rollouts:
    """Args: num_asked: turns of each prompt."""
    responses = [tuple(talk.tokens[talk.begun :]) for talk in talks]
    longest = max(map(len, responses))
    mask = torch.stack([written(talk.turns, longest) for talk in talks])
    paid = torch.zeros(mask.shape)
    for row, talk in enumerate(talks):
        for (_, end), reward in zip(talk.turns, talk.pay, strict=True):
            paid[row, end - 1] = reward
    return Rollouts(
        prompts=tuple(tuple(talk.tokens[: talk.begun]) for talk in talks),
        responses=tuple(responses),
        finished=torch.tensor([talk.finished for talk in talks], device=device),
        mask=mask.to(device),
        turns=tuple(tuple(talk.turns) for talk in talks),
        paid=paid.to(device),
        answered=tuple(
            tuple((m.role, m.content) for m in talk.messages[num:-1])
            for talk, num in zip(talks, num_asked, strict=True)
        ),
        ended=tuple(talk.ended for talk in talks),
    )


def conversations(prompts: Sequence[Asked], rollouts: Rollouts) -> list[tuple[Message, ...]]:
    """What the last turn of each rollout answers: its prompt and what was said since."""
    if not rollouts.answered:
        return [prompt.messages for prompt in prompts]
    return [
        (*prompt.messages, *(Message.model_construct(role=role, content=text) for role, text in since))
        for prompt, since in zip(prompts, rollouts.answered, strict=True)
    ]


def last_turns(codec: Codec, rollouts: Rollouts) -> list[str]:
    """The text of each rollout's last turn."""
    return [codec.decode(_last(rollouts, row)[1]) for row in range(len(rollouts))]


def with_pay(said: Scored | None, rollouts: Rollouts) -> Scored:
    """What is optimised: what a scorer said of the last turns, if there is one, and what the environment paid."""
    if rollouts.paid is None:
        assert said is not None  # the settings say so
        return said
    pay = rollouts.paid.cpu().double().sum(1).float()
    if said is None:
        return Scored(pay)
    parts = {**(said.parts or {"model": said.scores}), PAID: pay}
    return replace(said, scores=summed(parts), parts=parts)


def placed(codec: Codec, rollouts: Rollouts, places: Sequence[Sequence[Place]]) -> Tensor | None:
    """(B, T) reward units, what of the scores is paid within the responses, by the environment and as the scorer said
    of the last turns; None if all is paid at the ends."""
    if rollouts.paid is None and not places:
        return None
    found = torch.zeros(rollouts.mask.shape) if rollouts.paid is None else rollouts.paid.cpu().clone()
    for row, some in enumerate(places):
        begin, tokens = _last(rollouts, row)
        for place, (_, paid) in zip(codec.places(tokens, [end for end, _ in some]), some, strict=True):
            found[row, begin + place] += paid
    return found.to(rollouts.mask.device)


def metrics(rollouts: Rollouts) -> Mapping[str, float]:
    """The part of the log line that is about turns; nothing without an environment."""
    if not rollouts.turns:
        return {}
    num = len(rollouts)
    return {
        "rollouts/turns": sum(map(len, rollouts.turns)) / num,
        "rollouts/done": rollouts.ended.count("done") / num,
        "rollouts/room": rollouts.ended.count("room") / num,
    }


def _last(rollouts: Rollouts, row: int) -> tuple[int, tuple[int, ...]]:
    """Where the last turn of a rollout begins in its response, and its tokens."""
    begin, end = rollouts.turns_of(row)[-1]
    return begin, rollouts.responses[row][begin:end]
