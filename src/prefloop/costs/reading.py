"""What it takes to have a model learn from tokens, read them, or write them: moments in memory, and arithmetic.

Letters as in `models.memory`: N tokens read at once, M response tokens among them, V vocabulary, L longest sequence.
"""

from dataclasses import dataclass, replace

import torch

from prefloop.costs.estimate import FORMS, HEAP, Moment, Part, Role
from prefloop.models.memory import (
    FLOAT,
    HALF,
    Way,
    activation_bytes_per_token,
    cache_bytes_per_token,
    choosing_bytes,
    logit_bytes,
    reading_bytes_per_token,
)
from prefloop.models.quantised import AT_ONCE, QUANTISED
from prefloop.sampling.batch import PREFILL
from prefloop.sampling.room import MOST_ROWS, ROWS, tokens_held

ANSWERED = 400
"""Tokens, at most, of the short answers that tell what quantised weights change (`models.quantised`)."""
CPU = torch.device("cpu")
GRID = 1.1
"""Places of the attention's grids for each token, where those of like length share one."""


@dataclass(frozen=True)
class Lengths:
    """How long a file's rows are, in tokens: of all, or of those that were looked at."""

    count: int = 1
    """rows in the file"""
    mean: float = 1.0
    """tokens of a row, response included"""
    longest: int = 1
    """of nearly all rows (95 %); a rarer one is read in a batch of its own"""
    responses: float = 1.0
    """tokens of a response, or of all that is predicted"""
    assumed: str = ""
    """a sentence, if they could not be counted"""


@dataclass(frozen=True)
class Model:
    """A role as it is read."""

    role: Role
    way: Way

    def at(self, lengths: Lengths) -> "Model":
        """The same, reading sequences of these lengths."""
        return replace(self, way=replace(self.way, longest=round(lengths.mean), grid=GRID))

    @property
    def rounded_weights(self) -> float:
        """Bytes of the copy of the matrices in bfloat16 that products round them to, where they are kept otherwise."""
        return HALF * self.role.anatomy.matrices if self.way.half and self.role.form == "float32" else 0.0

    @property
    def written_with(self) -> float:
        """Bytes of the copy that responses are written with (`models.decoding`): in bfloat16, and the head in float32
        then, or with an adapter added."""
        anatomy = self.role.anatomy
        if self.role.form in QUANTISED:
            return 0.0  # they are not copied
        if self.way.half:
            return HALF * anatomy.matrices + FLOAT * anatomy.vocabulary * anatomy.width
        return FLOAT * anatomy.matrices if self.role.rank + self.role.worn else 0.0

    @property
    def _heap(self) -> float:
        return HEAP if self.way.half else 1.0

    def loading(self) -> Moment:
        """Its load: beside the weights in the form that they are held in there are two matrices in float32, and what
        quantises them and reads the answers that tell what this changes; weights to be trained are in float32 first."""
        anatomy, role = self.role.anatomy, self.role
        held = 2.0 * FLOAT * anatomy.width * max(anatomy.inner, anatomy.queries)
        if role.form == "bfloat16" and role.trained:
            held += (FLOAT - HALF) * anatomy.matrices
        if role.form in QUANTISED:
            held += 5 * FLOAT * AT_ONCE + ANSWERED * reading_bytes_per_token(anatomy, self.way)
            held += logit_bytes(anatomy, ANSWERED, learned=False)
        return Moment("loading", role.name, activations=held, optimiser=False, heap=1.0)

    def update(self, tokens: float, responses: float, *, parts: float = 1.0, beside: float = 0.0) -> Moment:
        """An update from micro-batches of N tokens.

        Args:
            tokens, responses: N, M; M is 0 where no logits are wanted.
            parts: micro-batches in the update.
            beside: bytes that the critic's own trunk keeps at the same time.
        """
        anatomy = self.role.anatomy
        held = tokens * activation_bytes_per_token(anatomy, self.way) + self.rounded_weights
        if responses:
            held += logit_bytes(anatomy, responses, learned=True)
        first = anatomy.embeddings / anatomy.numbers if responses and not self.role.rank else 0.001
        share = 1.0 if parts > 1 else first
        return Moment(
            "update", self.role.name, held, gradients=share, beside=beside, beside_role="critic", heap=self._heap
        )

    def reading(self, name: str, tokens: float, responses: float) -> Moment:
        """A reading without gradients of N tokens, of which M get logprobs."""
        held = tokens * reading_bytes_per_token(self.role.anatomy, self.way)
        held += self.rounded_weights if self.role.trained else 0.0  # those without gradients are rounded one by one
        if responses:
            states = FLOAT * self.role.anatomy.width * tokens
            held = max(held, states + logit_bytes(self.role.anatomy, responses, learned=False))
        return Moment(name, self.role.name, activations=held, heap=self._heap)

    def sampling(
        self,
        name: str,
        rows: float,
        prompt: Lengths,
        new: float,
        *,
        copies: int = 1,
        device: torch.device = CPU,
        cache_tokens: int | None = None,
    ) -> Moment:
        """Responses of at most `new` tokens to prompts, `rows` in all and `copies` to a prompt; not all at once.

        Args:
            device, cache_tokens: by which the sampler bounds its cache (`sampling.room`).
        """
        anatomy, rows = self.role.anatomy, self.at_once(rows)
        kept = FLOAT if self.way.cpu or not self.way.half else HALF
        each = cache_bytes_per_token(anatomy, key=kept, value=kept)
        most = cache_tokens or tokens_held(device, each)
        cache = max(prompt.longest + new, min(rows * (prompt.longest + new), most)) * each
        prompts = max(prompt.longest, min(PREFILL, rows / copies * prompt.mean))
        reading = prompts * reading_bytes_per_token(anatomy, self.way)
        choosing = choosing_bytes(anatomy, rows)
        return Moment(
            name, self.role.name, activations=max(reading, choosing) + self.written_with, cache=cache, heap=self._heap
        )

    def at_once(self, rows: float) -> float:
        """Most responses that are in the making at once."""
        return min(rows, ROWS["cpu"] if self.way.cpu else MOST_ROWS)

    def forward(self, name: str, tokens: float, predicted: float, *, times: float = 1.0) -> Part:
        """Arithmetic of reading `tokens`, of which `predicted` get logits; `times` as often."""
        anatomy = self.role.anatomy
        each = 2 * anatomy.matrices + 2 * anatomy.layers * anatomy.queries * min(self.way.longest, anatomy.context)
        return Part(
            name, flops=times * tokens * each, flops_full=times * predicted * 2 * anatomy.vocabulary * anatomy.width
        )

    def learning(self, name: str, tokens: float, predicted: float) -> Part:
        """Arithmetic of an update: forward, and twice that backward (once where the weights are frozen beside an
        adapter); forward again where layers are computed again."""
        return self.forward(name, tokens, predicted, times=3.0 - bool(self.role.rank) + 1.0 * self.way.recompute)

    def writing(self, name: str, rows: float, together: float, prompt: Lengths, new: float, *, copies: int = 1) -> Part:
        """Arithmetic of `rows` responses of `new` tokens, asked for `together` at a time."""
        anatomy, at_once = self.role.anatomy, self.at_once(together)
        read = self.forward(name, rows / copies * prompt.mean, rows / copies)
        written = self.forward(name, rows * new, rows * new)
        batches = rows / max(1.0, at_once)
        weights = anatomy.numbers * (HALF if self.way.half else FORMS[self.role.form])
        cache = at_once * (prompt.mean + new / 2) * cache_bytes_per_token(anatomy)
        return Part(
            name,
            flops=read.flops + written.flops,
            flops_full=read.flops_full + written.flops_full,
            read=batches * new * (weights + cache),
            calls=round(batches * new * anatomy.layers),
        )
