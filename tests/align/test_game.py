"""The game of the page on environments, as it stands there: a small policy learns it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefloop.align import ppo
from prefloop.align.config import PPOConfig

from .test_turns import PAGE, policy_that_can_play


def test_the_game_of_the_page_is_learned(tmp_path: Path, read_lines: Callable[[Path], list[dict[str, Any]]]):
    """Blind guesses earn about 0.2, looking in the middle 0.8."""
    (code,) = re.findall(r"```python\n(import random\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "game.py").write_text(code, encoding="utf-8")
    policy_that_can_play(tmp_path / "policy")
    (tmp_path / "prompts.jsonl").write_text('{"id": "p", "messages": [{"role": "user", "content": "guess"}]}\n')
    config = PPOConfig(
        out=str(tmp_path / "run"),
        policy=str(tmp_path / "policy"),
        prompts=str(tmp_path / "prompts.jsonl"),
        env=f"python:{tmp_path / 'game.py'}:Guess",
        max_turns=3,
        max_new_tokens=2,
        steps=40,
        rollouts_per_step=64,
        minibatch_size=64,
        epochs=2,
        kl_coef=0.0,
        unfinished_penalty=0.0,
        value_coef=0.5,
        value_clip=10.0,
        lr=0.01,
        warmup=0.0,
        save_every=1000,
        checkpoint_every=0,
        micro_tokens=4096,
        dtype="float32",
        threads=1,
    )
    ppo.train(config)
    earned = [row["scores/mean"] for row in read_lines(Path(config.out) / "metrics.jsonl")]
    first, last = (sum(some) / 5 for some in (earned[:5], earned[-5:]))
    assert first < 0.3
    assert last > 0.5
