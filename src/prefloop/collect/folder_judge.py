"""A model folder as a judge: how likely it finds each letter as the next word after the question. Nothing is parsed.

Shape letters: B questions, L = tokens of a question, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch

from prefloop.asking.answers import Answer, Question
from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal, model_folder, writer
from prefloop.models.stream import Shared
from prefloop.records import Message
from prefloop.text.batches import cut
from prefloop.text.codec import Codec

TOKENS = 8192
"""Read at once."""


def lettered(path: str, letters: str, *, template: str | None) -> tuple[Codec, tuple[int, ...], list[int]]:
    """The codec of a folder, what its template writes before an answer, and the token of each letter.

    Raises: UserError if the folder's model cannot write, or writes a letter in more than one token.
    """
    codec = writer(model_folder(path), template=template)
    written = [codec.response_ids(letter, finished=False) for letter in letters]
    lead = tuple(written[0][:-1])
    if any(tuple(ids[:-1]) != lead for ids in written) or len({ids[-1] for ids in written}) < len(letters):
        names = " or ".join(f'"{letter}"' for letter in letters)
        raise UserError(
            f"{path}: its tokenizer does not write {names} as one token each, so that it cannot judge by their "
            "likelihood. Take another model, or ask it over HTTP: prefloop serve, and judge.base_url."
        )
    return codec, lead, [ids[-1] for ids in written]


class FolderJudge:
    """The model in a folder, in memory."""

    def __init__(self, path: str, letters: str, place: Placement, *, template: str | None, weights: str) -> None:
        """Loads it. Raises: UserError, see `lettered`."""
        _, self._lead, self._tokens = lettered(path, letters, template=template)
        self._letters = letters
        self.network = causal(path, place, template=template, weights=weights).freeze()

    def answers(self, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
        """The likeliest letter of each, batch by batch; `too_long` where the question does not fit."""
        codec = self.network.codec
        prompts = codec.prompts([[Message(role="user", content=q.prompt)] for q in questions])
        ids = [[*prompt, *self._lead] for prompt in prompts]
        fits = [i for i, of_one in enumerate(ids) if len(of_one) < codec.context]
        long = [i for i, of_one in enumerate(ids) if len(of_one) >= codec.context]
        if long:
            yield [(questions[i], Answer("", num_prompt=len(ids[i]), failure="too_long")) for i in long]
        for batch in cut(fits, [len(of_one) for of_one in ids], limit=TOKENS):
            nats = self._logprobs([ids[i] for i in batch])
            yield [(questions[i], self._answer(row, len(ids[i]))) for i, row in zip(batch, nats, strict=True)]

    def _answer(self, nats: Sequence[float], num_prompt: int) -> Answer:
        by_letter = dict(zip(self._letters, nats, strict=True))
        return Answer(max(self._letters, key=by_letter.__getitem__), by_letter, num_prompt, 1)

    @torch.no_grad()
    def _logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """(B, letters) nats."""
        shared = Shared.of(sequences, self.network.device)
        hidden = self.network.hidden_states(shared.stream).index_select(0, shared.last)
        return self.network.logits(hidden).log_softmax(-1)[:, self._tokens].cpu().double().tolist()
