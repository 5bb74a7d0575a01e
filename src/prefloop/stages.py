"""The table of stages: what there is to type, what it reads and what it writes. Everything that knows stages asks here.

Pure words: modules are named as "module:name" and imported by whoever runs them, so that `prefloop --help` is instant.
A new stage is one entry here, its folder and its page docs/stages/NAME.md.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Stage(NamedTuple):
    """One stage, or one command that works on what stages write."""

    name: str
    """What it is called in a recipe, in run.json and as its folder."""
    sentence: str
    """What it does."""
    function: str
    """module:name of what runs it: takes the settings, or the arguments if there is no settings class."""
    settings: str | None = None
    """module:Class of its settings; None if the command parses its own arguments."""
    in_recipe: bool = False
    """May it stand in a recipe?"""
    reads: Mapping[str, str] = {}
    """Kind of data (files/forms.py; or a pipeline's folder) -> by which setting, or where it must lie."""
    writes: tuple[str, ...] = ()
    """Kinds of data, models, policies or pages."""
    typed: str = ""
    """What follows `prefloop` on the command line, if not the name."""

    @property
    def command(self) -> str:
        """What follows `prefloop` on the command line."""
        return self.typed or self.name


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (  # the order is the order of a round
        Stage(
            name="data",
            sentence="look at data: check FILE, preview MODEL FILE, make the helpdesk's files",
            function="prefloop.data.command:main",
        ),
        Stage(
            name="world",
            sentence="write the helpdesk's files",
            function="prefloop.data.stage:write",
            settings="prefloop.data.config:WorldConfig",
            in_recipe=True,
            writes=("texts", "demonstrations", "prompts"),
            typed="data world",
        ),
        Stage(
            name="pretrain",
            sentence="train a tokenizer and a small Llama from raw text",
            function="prefloop.pretrain.stage:train",
            settings="prefloop.pretrain.config:PretrainConfig",
            in_recipe=True,
            reads={"texts": "corpus="},
            writes=("model",),
        ),
        Stage(
            name="sft",
            sentence="fine-tune a model on demonstrations",
            function="prefloop.sft.stage:train",
            settings="prefloop.sft.config:SFTConfig",
            in_recipe=True,
            reads={"demonstrations": "demonstrations="},
            writes=("model",),
        ),
        Stage(
            name="collect",
            sentence="sample responses and have them judged",
            function="prefloop.collect.stage:collect",
            settings="prefloop.collect.config:CollectConfig",
            in_recipe=True,
            reads={"prompts": "prompts=", "judgements": "by=people, as judged/judgements.jsonl in its folder"},
            writes=("comparisons", "judgements", "preferences", "rankings"),
        ),
        Stage(
            name="reward",
            sentence="learn a reward model from preferences",
            function="prefloop.reward.stage:train",
            settings="prefloop.reward.config:RewardConfig",
            in_recipe=True,
            reads={"preferences": "preferences=", "demonstrations": "demonstrations="},
            writes=("model",),
        ),
        Stage(
            name="ppo",
            sentence="optimise a policy against a reward",
            function="prefloop.align.ppo:train",
            settings="prefloop.align.config:PPOConfig",
            in_recipe=True,
            reads={"prompts": "prompts="},
            writes=("policies",),
        ),
        Stage(
            name="evaluate",
            sentence="compare checkpoints with the reference, and select one",
            function="prefloop.evaluate.stage:evaluate",
            settings="prefloop.evaluate.config:EvaluateConfig",
            in_recipe=True,
            reads={"prompts": "test_prompts=", "demonstrations": "demonstrations="},
            writes=("evaluation",),
        ),
        Stage(
            name="report",
            sentence="write the report of a pipeline",
            function="prefloop.report.stage:write",
            settings="prefloop.report.config:ReportConfig",
            in_recipe=True,
            reads={"pipeline": "pipeline="},
            writes=("pages",),
        ),
        Stage(
            name="run",
            sentence="run a recipe: all of the above, in order",
            function="prefloop.rounds.command:main",
            writes=("pipeline",),
        ),
        Stage(
            name="web",
            sentence="serve the page where people judge what a model wrote",
            function="prefloop.web.command:main",
            reads={"comparisons": "DIR, as comparisons.jsonl in it", "scores": "brought in by a lead"},
            writes=("judgements",),
        ),
        Stage(name="chat", sentence="talk to one model, or to two side by side", function="prefloop.chat.command:main"),
        Stage(
            name="serve",
            sentence="serve a policy over HTTP, as OpenAI's API does",
            function="prefloop.serve.command:main",
        ),
        Stage(
            name="score",
            sentence="score a file of prompts and responses with a reward model",
            function="prefloop.score.stage:score",
            settings="prefloop.score.config:ScoreConfig",
            reads={"demonstrations": "data=", "comparisons": "data=", "preferences": "data="},
            writes=("scores",),
        ),
    )
}
