"""The command line: `prefloop STAGE [file.yaml] [key=value ...]`. A stage is imported only when it is chosen."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from prefloop import __version__
from prefloop.errors import UserError

STAGES: dict[str, tuple[str, str, str]] = {
    # name: (module:Config, module:function, sentence); the order is the order of a round
    "data": (
        "",
        "prefloop.data.command:main",
        "look at data: check FILE, preview MODEL FILE, make the helpdesk's files",
    ),
    "pretrain": (
        "prefloop.pretrain.config:PretrainConfig",
        "prefloop.pretrain.stage:train",
        "train a tokenizer and a small Llama from raw text",
    ),
    "sft": ("prefloop.sft.config:SFTConfig", "prefloop.sft.stage:train", "fine-tune a model on demonstrations"),
    "collect": (
        "prefloop.collect.config:CollectConfig",
        "prefloop.collect.stage:collect",
        "sample responses and have them judged",
    ),
    "reward": (
        "prefloop.reward.config:RewardConfig",
        "prefloop.reward.stage:train",
        "learn a reward model from preferences",
    ),
    "ppo": ("prefloop.align.config:PPOConfig", "prefloop.align.ppo:train", "optimise a policy against a reward"),
    "reinforce": (
        "prefloop.align.config:REINFORCEConfig",
        "prefloop.align.reinforce:train",
        "optimise a policy against a reward, without a critic",
    ),
    "evaluate": (
        "prefloop.evaluate.config:EvaluateConfig",
        "prefloop.evaluate.stage:evaluate",
        "compare checkpoints with the reference, and select one",
    ),
    "report": ("prefloop.report.config:ReportConfig", "prefloop.report.stage:write", "write the report of a pipeline"),
    "run": ("", "prefloop.rounds.command:main", "run a recipe: all of the above, in order"),
    "web": ("", "prefloop.web.command:main", "serve the page where people judge what a model wrote"),
    "chat": ("", "prefloop.chat.command:main", "talk to one model, or to two side by side"),
    "serve": ("", "prefloop.serve.command:main", "serve a policy over HTTP, as OpenAI's API does"),
    "score": (
        "prefloop.score.config:ScoreConfig",
        "prefloop.score.stage:score",
        "score a file of prompts and responses with a reward model",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns: the exit code (0 well, 2 the user can mend it, 130 stopped by Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # threads that wait by spinning for long make two threads slower than one as soon as anything else runs on the machine;
    # threads that never spin lose a third when nothing does
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except UserError as problem:
        print(f"prefloop: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        import shlex

        again = shlex.join(["prefloop", *arguments])
        print(f"\nprefloop: stopped; what was done is saved. Go on with the same command: {again}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `prefloop --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    stage, *rest = arguments
    if stage in ("-V", "--version"):
        print(f"prefloop {__version__}")
        return 0
    if stage not in STAGES:
        import difflib

        near = difflib.get_close_matches(stage, STAGES, n=1)
        raise UserError(
            f"there is no stage called `{stage}`. "
            + (f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(STAGES)}.")
        )
    config_name, function_name, sentence = STAGES[stage]
    if not config_name:
        return int(_named(function_name)(rest))
    config_class = _named(config_name)
    if any(argument in ("-h", "--help") for argument in rest):
        from prefloop.config import settings_help

        print(settings_help(stage, sentence, config_class))
        return 0
    path = rest.pop(0) if rest and "=" not in rest[0] else None
    config = config_class.load(path, rest)
    print(_named(function_name)(config))
    return 0


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return vars(importlib.import_module(module))[attribute]


def overview() -> str:
    """What `prefloop --help` prints."""
    rows = "\n".join(f"  {name:<9} {sentence}" for name, (_, _, sentence) in STAGES.items())
    return (
        f"prefloop {__version__} closes the preference loop for language models.\n\n"
        f"  prefloop STAGE [file.yaml] [key=value ...]\n\n{rows}\n\n"
        "Start with:  prefloop run helpdesk out=demo    (the whole loop in minutes, on a laptop)\n"
        "Settings:    prefloop STAGE --help"
    )


if __name__ == "__main__":
    sys.exit(main())
