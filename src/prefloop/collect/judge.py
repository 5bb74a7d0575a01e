"""A Python function judges: each response gets a number, and of two responses the one with more is better.

Its judgements are recorded as a machine's, under the function's name, and the guideline names the file's content.
"""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

from prefloop.collect.config import CollectConfig
from prefloop.files import fingerprints
from prefloop.records import Comparison, Judgement, PairChoice
from prefloop.scoring.function import PythonReward
from prefloop.scoring.named import PYTHON, reward_input


class FunctionJudge:
    """The function that `by` names, as an annotator."""

    def __init__(self, config: CollectConfig) -> None:
        """Raises: UserError if there is no such file or function."""
        spec = config.by.removeprefix(PYTHON)
        self._reward = PythonReward(spec, seconds=config.reward_seconds)
        self._config = config
        self.name = PYTHON + Path(spec).name
        self._version = fingerprints.of_path(reward_input(config.by))[:12]

    def judgements(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Of each comparison the pairs that the settings ask for; seed and id decide which, and the order shown."""
        rows = [(c, r.text) for c in comparisons for r in c.responses]
        numbers = iter(self._reward.score([c.messages for c, _ in rows], [text for _, text in rows]).tolist())
        return [j for c in comparisons for j in self._of(c, list(itertools.islice(numbers, len(c.responses))))]

    def _of(self, comparison: Comparison, numbers: Sequence[float]) -> list[Judgement]:
        rng = random.Random(f"{self._config.seed} {comparison.id}")
        pairs = list(itertools.combinations(range(len(numbers)), 2))
        chosen = sorted(rng.sample(pairs, min(len(pairs), self._config.pairs_per_prompt)))
        return [self._judged(comparison, numbers, rng.sample(pair, 2)) for pair in chosen]

    def _judged(self, comparison: Comparison, numbers: Sequence[float], order: Sequence[int]) -> Judgement:
        left, right = order
        ahead = numbers[left] - numbers[right]
        choice: PairChoice = "tie" if abs(ahead) <= self._config.margin else "left" if ahead > 0 else "right"
        return Judgement(
            id=f"{comparison.id}:{min(order)}-{max(order)}:{self.name}",
            comparison=comparison.id,
            annotator=self.name,
            annotator_kind="model",
            kind="pair",
            order=(left, right),
            choice=choice,
            seconds=0.0,
            guideline=self._version,
        )
