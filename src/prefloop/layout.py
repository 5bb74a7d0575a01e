"""What lies where: the name of everything that one part of prefloop writes and another looks for, said once.

PIPELINE/recipe.yaml              the recipe as it ran
PIPELINE/STAGE/                   run.json, config.yaml, metrics.jsonl, samples.jsonl, timing.json, finished.json;
                                  while it is not finished checkpoints/, parts/ and .rows/; with track=
                                  tracker.json, tensorboard/
PIPELINE/sft/model/               a plain model folder, as pretrain and reward write one too
PIPELINE/revise/                  demonstrations.jsonl, preferences.jsonl, revisions.jsonl; asked.jsonl as in collect/
PIPELINE/reward/model/            with members=: ensemble.json and members/0, members/1, ..., each a model folder;
                                  the runs that trained them are then PIPELINE/reward/members/0, ...
                                  with curve=true those of a share of the prompts are PIPELINE/reward/shares/0.125, ...
PIPELINE/reward/                  beside its model card.html and card.zh.html; in the model prefloop_card.json
PIPELINE/ppo/models/step-000040/  the policy after 40 steps
PIPELINE/ppo/rollouts-000040.parquet  with dump_rollouts=: that step's responses, token by token
PIPELINE/dpo/, PIPELINE/kto/       the same; reference.npz is what the reference says of the rows, for others to reuse
PIPELINE/best-of-n/                demonstrations.jsonl, each prompt with the best of its responses
PIPELINE/choose/                  prompts.jsonl, those that are asked next; chosen.jsonl, why each of them
PIPELINE/collect/                 comparisons.jsonl and what became of them; in judged/ the page leaves judgements,
                                  in asked.jsonl is what a model was asked as a judge, and its answers
PIPELINE/evaluate/                evaluation.json, arena.jsonl; with data= bench.json, bench_scores.jsonl, its card
PIPELINE/skills/                  skills.json, what each model can; suite.jsonl, what was asked; answers.jsonl
PIPELINE/cards/                   MODEL_CARD.md, DATA_CARD.md, both in Chinese too, and pii.jsonl
PIPELINE/gate/                    gate.json, the decision whether the selected model takes the reference's place
PIPELINE/compare/                 of `prefloop compare`: compare.json, index.html, index.zh.html, arena.jsonl, of each
                                  method its stages' runs and log.txt, what they said
PIPELINE/lab/                     of `prefloop lab overopt`: lab.json, overopt.svg, overopt.zh.svg, index.html,
                                  index.zh.html, and a folder for each reward model, policy and best of n of each seed
PIPELINE/rounds/                  lineage.json; rounds/1, rounds/2, ... each with its stages' folders, and in stale/ and
                                  fresh/ how right the last and the new reward model are on its pairs; earlier.jsonl is
                                  what was learned from before it; a branch of the second round is rounds/2b
PIPELINE/report/                  index.html, summary.json
"""

from collections.abc import Mapping
from pathlib import Path

RECIPE = "recipe.yaml"
SFT, COLLECT, REWARD, PPO, EVALUATE = "sft", "collect", "reward", "ppo", "evaluate"
"""Stages (stages.py has all of them) whose folders are looked for by others than a recipe."""

CARD = "run.json"
SETTINGS = "config.yaml"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
TIMING = "timing.json"
FINISHED = "finished.json"
CHECKPOINTS = "checkpoints"
STATE = "state.pt"
PARTS = "parts"
ROWS = ".rows"
TRACKER = "tracker.json"
REFERENCE = "reference.npz"
TENSORBOARD = "tensorboard"
RUN_LOCK = ".lock"

MODEL = "model"
MODELS = "models"
_STEP = "step-"

CORPUS = "corpus.jsonl"
PRACTICE = "practice.jsonl"
DEMONSTRATIONS = "demonstrations.jsonl"

COMPARISONS = "comparisons.jsonl"
JUDGEMENTS = "judgements.jsonl"
PREFERENCES = "preferences.jsonl"
HELD_OUT = "held_out.jsonl"
UNDECIDED = "undecided.jsonl"
RANKINGS = "rankings.jsonl"
RATINGS = "ratings.jsonl"
THUMBS = "thumbs.jsonl"
ASKED = "asked.jsonl"
REVISIONS = "revisions.jsonl"
CARD_OF_MODEL, CARD_OF_MODEL_ZH = "MODEL_CARD.md", "MODEL_CARD.zh.md"
DATA_CARD, DATA_CARD_ZH, PII = "DATA_CARD.md", "DATA_CARD.zh.md", "pii.jsonl"
PROMPTS, CHOSEN = "prompts.jsonl", "chosen.jsonl"

EVALUATION = "evaluation.json"
GATE, GATED, SKILLS = "gate", "gate.json", "skills.json"
SUITE, ANSWERS = "suite.jsonl", "answers.jsonl"
BENCH = "bench.json"
BENCH_SCORES = "bench_scores.jsonl"
ARENA = "arena.jsonl"

MODEL_CARD = "prefloop_card.json"
CARD_PAGE, CARD_PAGE_ZH = "card.html", "card.zh.html"

SWEEP = "sweep.json"

ROUNDS, LINEAGE, STALE, FRESH, EARLIER = "rounds", "lineage.json", "stale", "fresh", "earlier.jsonl"

COMPARE, COMPARED, LOG = "compare", "compare.json", "log.txt"

LAB, OVEROPT, BEST_OF = "lab", "lab.json", "best_of.json"
PICTURE, PICTURE_ZH = "overopt.svg", "overopt.zh.svg"

HACKS, LOOKED_AT = "hacks.jsonl", "looked_at.jsonl"

PAGE, PAGE_ZH = "index.html", "index.zh.html"
SUMMARY = "summary.json"


def prompts(purpose: str) -> str:
    """The file of prompts for one purpose: collect, ppo, validation, test or ood."""
    return f"prompts.{purpose}.jsonl"


WRITTEN: Mapping[str, tuple[str, ...]] = {
    "world": (CORPUS, PRACTICE, DEMONSTRATIONS, prompts("*")),
    "pretrain": (MODEL,),
    "revise": (DEMONSTRATIONS, PREFERENCES, HELD_OUT, REVISIONS),
    "sft": (MODEL,),
    "choose": (PROMPTS, CHOSEN),
    "collect": (COMPARISONS, JUDGEMENTS, PREFERENCES, HELD_OUT, UNDECIDED, RANKINGS, RATINGS, THUMBS),
    "reward": (MODEL,),
    "ppo": (MODELS, f"{MODELS}/{_STEP}*"),
    "reinforce": (MODELS, f"{MODELS}/{_STEP}*"),
    "rloo": (MODELS, f"{MODELS}/{_STEP}*"),
    "grpo": (MODELS, f"{MODELS}/{_STEP}*"),
    "rft": (MODELS, f"{MODELS}/{_STEP}*"),
    "best-of-n": (DEMONSTRATIONS,),
    "online-dpo": (MODELS, f"{MODELS}/{_STEP}*"),
    "dpo": (MODELS, f"{MODELS}/{_STEP}*"),
    "kto": (MODELS, f"{MODELS}/{_STEP}*"),
    "cpl": (MODELS, f"{MODELS}/{_STEP}*"),
    "offline": (MODELS, f"{MODELS}/{_STEP}*"),
    "evaluate": (EVALUATION, ARENA),
    "skills": (SKILLS, SUITE, ANSWERS),
    "gate": (GATED,),
    "cards": (CARD_OF_MODEL, CARD_OF_MODEL_ZH, DATA_CARD, DATA_CARD_ZH, PII),
}
"""Stage -> what a recipe may ask of its folder, as patterns of paths in it."""


def part(index: int) -> str:
    """The file of one part of a stage that works part by part."""
    return f"{index:06d}.json"


def policy(step: int) -> str:
    """Where the policy after `step` steps is, inside its run's folder."""
    return f"{MODELS}/{_STEP}{step:06d}"


def rollouts(step: int) -> str:
    """Where the responses of a step are, token by token, inside its run's folder."""
    return f"rollouts-{step:06d}.parquet"


def dumped(run: Path) -> list[Path]:
    """The files of the steps that a run wrote token by token, first to last."""
    return sorted(run.glob("rollouts-*.parquet"))


def step_of(name: str) -> int | None:
    """The number of steps in the name of a policy's folder; None if there is none."""
    number = name.removeprefix(_STEP)
    return int(number) if number.isdigit() else None


def model_card(folder: Path) -> Path:
    """The file by which a model folder of transformers is known."""
    return folder / "config.json"


def adapter_card(folder: Path) -> Path:
    """The file by which a folder of PEFT is known: an adapter, which names its base."""
    return folder / "adapter_config.json"


def is_adapter(folder: Path) -> bool:
    """True for a folder of PEFT."""
    return adapter_card(folder).is_file()


def share(run: Path, part: float) -> Path:
    """The run inside a reward run that learned from a share of the prompts."""
    return run / "shares" / f"{part:g}"


def ensemble_card(folder: Path) -> Path:
    """The file by which an ensemble of reward models is known."""
    return folder / "ensemble.json"


def member(folder: Path, index: int) -> Path:
    """One model of an ensemble, a plain model folder."""
    return folder / "members" / str(index)


def is_ensemble(folder: Path) -> bool:
    """True for a folder of several reward models."""
    return ensemble_card(folder).is_file()


def is_model(folder: Path) -> bool:
    """True for a model folder: a whole model, or an adapter."""
    return model_card(folder).is_file() or is_adapter(folder)


def policies(run: Path) -> list[Path]:
    """The policies that a run kept, first to last."""
    return steps(run / MODELS)


def steps(folder: Path) -> list[Path]:
    """The policies in a `models` folder, first to last."""
    return [path for path in sorted(folder.glob(f"{_STEP}*")) if is_model(path)]


def sft_model(pipeline: Path) -> Path:
    """The model that policies of a pipeline begin as."""
    return pipeline / SFT / MODEL


def judged(collect: Path) -> Path:
    """The file in which the page leaves what people judged, beside the comparisons."""
    return collect / "judged" / JUDGEMENTS


def arena_judged(collect: Path) -> Path:
    """The file in which the page leaves what people judged in the arena, beside that."""
    return judged(collect).with_name(ARENA)


def kept_in(pipeline: Path, name: str) -> list[Path]:
    """The models of that name that stages of a pipeline, or of a round, have written."""
    return [path for path in (*pipeline.glob(f"*/{MODELS}/{name}"), *pipeline.glob(f"*/{name}")) if is_model(path)]
