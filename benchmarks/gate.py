"""The gate by simulation: how often equals are shipped, and how soon a better model is. A table in Markdown.

    python benchmarks/gate.py [num=1000] [most=400] [seed=0] [rates=0.4,0.5,0.55,0.6,0.65,0.7]

Each comparison is looked at after every judgement, by the very function that `prefloop gate` uses, and ends with its
verdict or after `most` judgements. Of equals any "ship" is wrong, of the better ones any "hold".
"""

import math
import sys

import numpy as np

from prefloop.files.arenas import arena_comparison
from prefloop.records import Message
from prefloop.rounds.gate import Judged, look
from prefloop.rounds.gate_config import GateConfig

ASKED = arena_comparison("p", [Message(role="user", content="?")], {"old": "a", "new": "b"})
OUTCOMES = (Judged(ASKED, (0.0,)), Judged(ASKED, (1.0,)))


def row(rate: float, num: int, most: int, draw: np.random.Generator) -> str:
    """One line: what became of `num` comparisons at this true win rate."""
    config = GateConfig(out="x", evaluation="x", by="gold")
    ended = [look([OUTCOMES[int(won)] for won in games], config) for games in draw.random((num, most)) < rate]
    verdicts = [each.decision.verdict for each in ended]
    lengths = [len(each.judged) for each, said in zip(ended, verdicts, strict=True) if said != "continue"]
    share = {name: verdicts.count(name) / num for name in ("ship", "hold", "continue")}
    error = 1.96 * math.sqrt(share["ship"] * (1 - share["ship"]) / num)
    middle = f"{np.median(lengths):.0f}" if lengths else "-"
    cells = [f"{share['ship']:.1%} ± {error:.1%}", f"{share['hold']:.1%}", f"{share['continue']:.1%}", middle]
    return f"| {rate:.0%} | {' | '.join(cells)} |"


if __name__ == "__main__":
    given = {"num": "1000", "most": "400", "seed": "0", "rates": "0.4,0.5,0.55,0.6,0.65,0.7"}
    given |= dict(argument.split("=", 1) for argument in sys.argv[1:])
    draw = np.random.default_rng(int(given["seed"]))
    print(f"| true win rate | shipped | held | no verdict after {given['most']} | median judgements to a verdict |")
    print("|---|---|---|---|---|")
    for rate in map(float, given["rates"].split(",")):
        print(row(rate, int(given["num"]), int(given["most"]), draw), flush=True)
