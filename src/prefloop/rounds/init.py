"""`prefloop init DIR`: a recipe for one's own data, with comments, and a sample row of each file that it expects."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, write_text

USAGE = """prefloop init DIR: write a recipe for your own data, and a sample of each file that it expects.

  Writes DIR/NAME.yaml, where NAME is the last part of DIR, and files of data beside it. It never overwrites a file."""
ASKED = [{"role": "user", "content": "Where is my parcel?"}]
SAMPLES: Mapping[str, dict[str, Any]] = {
    layout.DEMONSTRATIONS: {"messages": ASKED, "response": "I am sorry for the wait. It comes tomorrow."},
    layout.PREFERENCES: {"messages": ASKED, "chosen": "It comes tomorrow.", "rejected": "No idea."},
    layout.PROMPTS: {"messages": [{"role": "user", "content": "Can I send it back?"}]},
    layout.prompts("validation"): {"messages": [{"role": "user", "content": "How long do I have to wait?"}]},
    layout.prompts("test"): {"messages": [{"role": "user", "content": "Can I have my money back?"}]},
}
"""File -> a row of it."""
RECIPE = """\
# A recipe of your own: fine-tune, learn what is preferred, optimise, and check whether it is better.
# Beside it lie the files that it reads, each with one row to show what a row looks like: replace them with yours, in
# any form that `prefloop data check FILE` names. Then:
#   prefloop run {path} base=FOLDER_OR_HUB_ID
# The same command goes on with what is not finished. Every setting of a stage: prefloop STAGE --help

name: {name}
out: {out}                              # one folder for each stage, and the report, are written here
seed: 0                                 # decides every random choice

sft:                                    # imitate good responses
  model: $base                          # your model, given on the command line as base=...
  demonstrations: demonstrations.jsonl  # prompts with a good response; some hundred, better some thousand
  # template: chatml                    # only if the model's folder records no chat template
  lr: 1e-5                              # for models of a hundred million parameters or more; 1e-3 for a tiny one
  epochs: 2

reward:                                 # learn to tell the better response
  model: sft/model                      # what a stage above wrote is named by the stage: sft/model
  preferences: preferences.jsonl        # prompts with a chosen and a rejected response; some thousand
  demonstrations: demonstrations.jsonl  # to put scores on a scale: these have mean 0 and deviation 1
  lr: 1e-5
  epochs: 1

ppo:                                    # do more of what scores well, without drifting too far
  policy: sft/model
  reward: reward/model                  # or a function of yours: python:FILE.py:FUNCTION
  prompts: prompts.jsonl                # prompts alone; the policy answers them
  steps: 40
  rollouts_per_step: 256
  minibatch_size: 64                    # must divide rollouts_per_step
  max_new_tokens: 96                    # longest response
  kl_coef: 0.05                         # the more, the nearer to the SFT model
  lr: 1e-6

evaluate:                               # is it really better, on prompts that training never saw?
  reference: sft/model
  candidates: ppo/models
  reward: reward/model
  judge: score                          # the reward model itself, a proxy: let people judge with `prefloop web {out}`
  validation_prompts: prompts.validation.jsonl  # to choose a checkpoint with
  test_prompts: prompts.test.jsonl      # to measure it with; no prompt may be in both
  max_new_tokens: 96

report: {{}}                              # say what happened, on one page
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code."""
    if "--help" in arguments:
        print(USAGE)
        return 0
    if len(arguments) != 1 or "=" in arguments[0]:
        raise UserError("`prefloop init` needs one folder, for instance: prefloop init mine")
    folder = Path(arguments[0])
    name = folder.resolve().name
    path = folder / f"{name}.yaml"
    files = {
        path: RECIPE.format(path=path, name=json.dumps(name, ensure_ascii=False), out=_quoted(str(folder / "run"))),
        **{folder / file: json.dumps(row, ensure_ascii=False) + "\n" for file, row in SAMPLES.items()},
    }
    there = next((file for file in files if file.exists() or file.is_symlink()), None)
    if there is not None:
        raise UserError(f"{there}: this is there already, and init overwrites nothing. Choose another folder.")
    make_folder(folder, otherwise="Choose another folder.")
    for file, text in files.items():
        write_text(file, text)
    print(f"{path} is a recipe with comments; beside it is a sample of each file: {', '.join(SAMPLES)}.")
    print(f"Replace these with yours, then type: prefloop run {path} base=FOLDER_OR_HUB_ID")
    return 0


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text.replace("/", "").replace("-", "").isalnum() else text
