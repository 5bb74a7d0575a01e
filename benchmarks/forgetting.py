"""What the helpdesk's policy forgets, with and without ptx: a matrix of models and skills for each seed, in Markdown.

    DEMO=DIR python benchmarks/forgetting.py [mixed=none,texts,demonstrations] [seeds=0,1,2] [jobs=1] [out=DIR]

DEMO is what `prefloop run helpdesk out=DIR` wrote; its SFT model, reward model and prompts are used, and a seed is one
of PPO alone, with the recipe's settings. `texts` mixes the world's corpus into every update (ptx_coef 1), and
`demonstrations` what SFT imitated. Skills are measured against SFT on texts and prompts of another seed of the world.
"""

import json
import os
from pathlib import Path
from typing import Any

from helpdesk import settings
from side_by_side import shown

from prefloop import layout
from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.data.config import WorldConfig
from prefloop.data.stage import write
from prefloop.skills.config import SkillsConfig
from prefloop.skills.stage import measure

BASE_SEED = 100
"""Of the world whose texts nobody has learned from."""
NUM = {"num_documents": 400, "num_demonstrations": 10, "num_collect": 10, "num_ppo": 10, "num_validation": 10,
       "num_test": 10, "num_ood": 10}  # fmt: skip
MIXED = {"none": None, "texts": layout.CORPUS, "demonstrations": layout.DEMONSTRATIONS}


def one(mixed: str, seed: int, folder: Path, further: dict[str, Any]) -> dict[str, Any]:
    """Trains, and measures what is left."""
    demo = Path(os.environ["DEMO"]).resolve()
    file = MIXED[mixed]
    ptx = {} if file is None else {"ptx": str(demo / "world" / file)}
    given = settings("ppo", demo) | ptx | {"out": str(folder / "run"), "seed": seed, "threads": 1}
    ppo.train(PPOConfig(**given | further))
    base = write(WorldConfig(out=str(folder / "base"), seed=BASE_SEED, **NUM))
    policy = layout.policies(folder / "run")[-1]
    asked: dict[str, Any] = {
        "models": {"sft": str(demo / "sft/model"), "ppo": str(policy)}, "suite": "helpdesk", "num_texts": 400,
        "texts": str(base / layout.CORPUS), "texts_ood": str(base / layout.PRACTICE), "threads": 1,
    }  # fmt: skip
    found = measure(SkillsConfig(**asked, out=str(folder / "skills")))
    skills = json.loads(found.path.read_text(encoding="utf-8"))["models"][1]["skills"]
    return {"mixed": mixed, "seed": seed, "skills": {skill["name"]: skill for skill in skills}}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each skill and mixture, in which cells hold the change from SFT of each seed."""
    lines = ["| skill | ptx | change from SFT, each seed | lost |", "|---|---|---|---|"]
    for skill in rows[0]["skills"]:
        for mixed in dict.fromkeys(row["mixed"] for row in rows):
            own = [row["skills"][skill] for row in rows if row["mixed"] == mixed]
            changes = [each["change"] for each in own]
            told = ", ".join(f"{c['mean']:+.3f} [{c['low']:+.3f}, {c['high']:+.3f}]" for c in changes)
            lines.append(f"| {skill} | {mixed} | {told} | {sum(each['lost'] for each in own)} of {len(own)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"mixed": "none,texts", "seeds": "0,1,2"},
        lambda job, folder, further: one(job[0], int(job[1]), folder, further),
        table,
        needs={"DEMO": "what `prefloop run helpdesk out=DIR` wrote"},
    )
