"""What an update imitates beside earning rewards: texts or demonstrations, whose surprise is a term of the loss.

Follows Ouyang et al. 2022, eq. 2 (arXiv:2203.02155), PPO-ptx:

    objective = E[reward - beta log(policy / reference)] + gamma E[log policy(x)]         x from the pretraining data
    loss      = the algorithm's + ptx_coef * mean over tokens of -log policy(token | before it)

The mean is over the predicted tokens of the update's own rows, at temperature 1: of a text all but its first token, of
a demonstration those of the response. Which rows an update has is decided by the seed and its number alone. Leaves out:
rows in a share of the rollouts' (their 8 to 1), a schedule of the coefficient.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from torch import Tensor

from prefloop import layout
from prefloop.align.settings import RolloutsConfig
from prefloop.align.switches import Mixed
from prefloop.files.forms import recognise
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream
from prefloop.models.sums import Sums
from prefloop.run import Run
from prefloop.text.batches import Batches, cut
from prefloop.text.codec import Codec
from prefloop.text.corpus import Documents, texts
from prefloop.text.examples import Examples


class Rows(Protocol):
    """Rows to imitate: how long each is, and how surprising."""

    lengths: np.ndarray
    """(n,) tokens in each"""

    def predicted(self, numbers: Sequence[int]) -> int:
        """How many tokens of some rows are predicted."""
        ...

    def surprise(self, network: Network, numbers: Sequence[int]) -> Tensor:
        """() nats of these tokens together, no row seeing another."""
        ...


class Texts:
    """Documents, each token predicted from those before it."""

    def __init__(self, codec: Codec, file: str, kept: Path) -> None:
        """Tokenises all. Args: kept: where their tokens lie."""
        self._documents = Documents(codec, texts(file), kept)
        self.lengths = self._documents.lengths

    def predicted(self, numbers: Sequence[int]) -> int:
        """See `Rows`."""
        return sum(int(self.lengths[number]) - 1 for number in numbers)

    def surprise(self, network: Network, numbers: Sequence[int]) -> Tensor:
        """See `Rows`."""
        stream = Stream.of(self._documents.take(numbers), network.device)
        after = (stream.positions > 0).nonzero()[:, 0]  # a document's first token is not predicted from the one before
        return network.total_surprise(stream, after - 1, stream.tokens[after])


class Demonstrations:
    """Prompts with responses, of which the responses are predicted."""

    def __init__(self, codec: Codec, file: str, kept: Path, say: Callable[[str], None]) -> None:
        """Tokenises all once. Args: kept: see `files.index.Rows`."""
        self._examples = Examples(codec, file, say=say, kept=kept)
        self.lengths = self._examples.lengths

    def predicted(self, numbers: Sequence[int]) -> int:
        """See `Rows`."""
        return sum(len(example.response) for example in self._examples.take(numbers))

    def surprise(self, network: Network, numbers: Sequence[int]) -> Tensor:
        """See `Rows`."""
        some = self._examples.take(numbers)
        packed = ResponseStream.of([e.prompt for e in some], [e.response for e in some], network.device)
        return network.total_surprise(packed.stream, packed.index, packed.tokens)


class Mixture:
    """The rows of every update, and what it learns from them."""

    def __init__(self, rows: Rows, settings: Mixed, *, seed: int) -> None:
        self.rows, self._coef = rows, settings.ptx_coef
        self._batches = Batches(rows.lengths, epochs=None, limit=settings.ptx_tokens, seed=seed, stream="online.ptx")

    @classmethod
    def of(cls, codec: Codec, config: RolloutsConfig, run: Run) -> Self | None:
        """What the settings ask for; None for nothing. Raises: UserError if the file holds neither."""
        if not isinstance(config, Mixed) or config.ptx is None:
            return None
        file, kept = config.ptx, run.folder / layout.ROWS
        rows: Rows
        if file.endswith(".txt") or recognise(file).what == "texts":
            rows = Texts(codec, file, kept / "ptx.tokens")
        else:
            rows = Demonstrations(codec, file, kept / "ptx", run.say)
        return cls(rows, config, seed=config.seed)

    def learn(self, policy: Network, number: int, *, limit: int) -> Mapping[str, float]:
        """Adds its part to the gradients of an update. Args: number: of the update, from 0. limit: most tokens at once.

        Returns: what is logged of it, before the coefficient.
        """
        batch = self._batches[number].tolist()
        total, sums = self.rows.predicted(batch), Sums()
        lengths = [int(self.rows.lengths[row]) for row in batch]
        for part in cut(range(len(batch)), lengths, limit=limit):
            share = self.rows.surprise(policy, [batch[i] for i in part]) / total
            (self._coef * share).backward()
            sums.add("loss/ptx", share)
        return sums.fetched()
