"""The table of stages: what there is to type, what it reads and what it writes. Everything that knows stages asks here.

Pure words: modules are named as "module:name" and imported by whoever runs them, so that `prefloop --help` is instant.
A new stage is one entry here, its folder and its page docs/stages/NAME.md.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Variant(NamedTuple):
    """Another thing that a command does where a certain setting is given."""

    given: str
    """The setting."""
    sentence: str
    """What it does then."""
    function: str
    """module:name of what runs it."""
    settings: str
    """module:Class of its settings."""


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
    takes: Mapping[str, str] = {}
    """Setting that names an input, with a dot one of a section -> what must be there: file, model, folder, reward (a
    model, a function or a server), environment (a class), judge (a word, or a function), or named (words that may be
    files)."""
    writes: tuple[str, ...] = ()
    """Kinds of data, models, policies or pages."""
    needs: str | None = None
    """module:name of what it will need of memory and time, for `prefloop plan`; in the same module stands `lengths`."""
    typed: str = ""
    """What follows `prefloop` on the command line, if not the name."""
    variant: Variant | None = None
    """What it does instead on the command line, if a certain setting is given."""

    @property
    def command(self) -> str:
        """What follows `prefloop` on the command line."""
        return self.typed or self.name

    def meant(self, given: Collection[str]) -> "Stage":
        """The stage, or its variant, that is meant where these settings are given."""
        if self.variant is None or self.variant.given not in given:
            return self
        _, sentence, function, settings = self.variant
        return self._replace(sentence=sentence, function=function, settings=settings, variant=None)


STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (  # the order is the order of a round
    Stage("data", "look at data: check FILE, preview MODEL FILE, make the helpdesk's files",
          "prefloop.data.command:main"),
    Stage("world", "write the helpdesk's files", "prefloop.data.stage:write", "prefloop.data.config:WorldConfig",
          in_recipe=True, writes=("texts", "demonstrations", "prompts"), typed="data world"),
    Stage("pretrain", "train a tokenizer and a small Llama from raw text",
          "prefloop.pretrain.stage:train", "prefloop.pretrain.config:PretrainConfig",
          in_recipe=True, reads={"texts": "corpus=, practice="}, takes={"corpus": "file", "practice": "file"},
          writes=("model",)),
    Stage("revise", "draft responses, criticise and rewrite them by principles: demonstrations without people",
          "prefloop.revise.stage:revise", "prefloop.revise.config:ReviseConfig", in_recipe=True,
          reads={"prompts": "prompts="},
          takes={"model": "model", "prompts": "file", "by": "judge", "principles": "named", "reviser.model": "model"},
          writes=("demonstrations", "preferences")),
    Stage("sft", "fine-tune a model on demonstrations", "prefloop.sft.stage:train", "prefloop.sft.config:SFTConfig",
          in_recipe=True, reads={"demonstrations": "demonstrations="},
          takes={"model": "model", "demonstrations": "file"}, writes=("model",), needs="prefloop.sft.needs:needs"),
    Stage("choose", "choose the prompts that are asked next: at random, by disagreement, by diversity",
          "prefloop.choose.stage:choose", "prefloop.choose.config:ChooseConfig", in_recipe=True,
          reads={"prompts": "prompts=, asked=", "comparisons": "asked="},
          takes={"prompts": "file", "asked": "file", "model": "model", "reward": "reward"}, writes=("prompts",)),
    Stage("collect", "sample responses and have them judged",
          "prefloop.collect.stage:collect", "prefloop.collect.config:CollectConfig", in_recipe=True,
          reads={"prompts": "prompts=", "judgements": "by=people, as judged/judgements.jsonl in its folder"},
          takes={"model": "model", "older": "model", "prompts": "file", "by": "judge", "judge.model": "model",
                 "judge.rubric": "named", "judge.audit": "named", "judge.principles": "named"},
          writes=("comparisons", "judgements", "preferences", "rankings"), needs="prefloop.collect.needs:needs"),
    Stage("reward", "learn a reward model from preferences",
          "prefloop.reward.stage:train", "prefloop.reward.config:RewardConfig", in_recipe=True,
          reads={"preferences": "preferences=, held_out=, undecided=, replay=", "demonstrations": "demonstrations=",
                 **dict.fromkeys(("rankings", "ratings", "thumbs"), "preferences=, held_out=, replay=")},
          takes={"model": "model", "preferences": "file", "held_out": "file", "undecided": "file",
                 "replay": "file", "demonstrations": "file"}, writes=("model",), needs="prefloop.reward.needs:needs"),
    Stage("ppo", "optimise a policy against a reward", "prefloop.align.ppo:train", "prefloop.align.config:PPOConfig",
          in_recipe=True, reads={"prompts": "prompts=", "demonstrations": "ptx=", "texts": "ptx="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file", "critic": "model",
                 "ptx": "file"},
          writes=("policies",), needs="prefloop.align.needs:ppo"),
    Stage("reinforce", "the same without a critic, one update a step",
          "prefloop.align.reinforce:train", "prefloop.align.config:REINFORCEConfig",
          in_recipe=True, reads={"prompts": "prompts=", "demonstrations": "ptx=", "texts": "ptx="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file", "ptx": "file"},
          writes=("policies",),
          needs="prefloop.align.needs:reinforce"),
    Stage("rloo", "the same with each response measured against the others to its prompt",
          "prefloop.align.rloo:train", "prefloop.align.config:RLOOConfig",
          in_recipe=True, reads={"prompts": "prompts=", "demonstrations": "ptx=", "texts": "ptx="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file", "ptx": "file"},
          writes=("policies",),
          needs="prefloop.align.needs:rloo"),
    Stage("grpo", "the same in deviations of its prompt's responses; with the variants DAPO, Dr. GRPO, GSPO, CISPO",
          "prefloop.align.grpo:train", "prefloop.align.config:GRPOConfig",
          in_recipe=True, reads={"prompts": "prompts=", "demonstrations": "ptx=", "texts": "ptx="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file", "ptx": "file"},
          writes=("policies",),
          needs="prefloop.align.needs:grpo"),
    Stage("rft", "keep the best of several responses by a reward and imitate them, step after step",
          "prefloop.align.rft:train", "prefloop.align.config:RFTConfig",
          in_recipe=True, reads={"prompts": "prompts="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file"}, writes=("policies",),
          needs="prefloop.align.needs:rft"),
    Stage("online-dpo", "the same by pairs: of each prompt's responses the best and the worst teach as in dpo",
          "prefloop.align.online_dpo:train", "prefloop.align.config:OnlineDPOConfig",
          in_recipe=True, reads={"prompts": "prompts="},
          takes={"policy": "model", "reward": "reward", "env": "environment", "prompts": "file"}, writes=("policies",),
          needs="prefloop.align.needs:online_dpo"),
    Stage("best-of-n", "keep the best of several responses by a reward, as demonstrations for sft",
          "prefloop.align.best_of_n:choose", "prefloop.align.config:BestOfNConfig",
          in_recipe=True, reads={"prompts": "prompts="},
          takes={"policy": "model", "reward": "reward", "prompts": "file"}, writes=("demonstrations",)),
    Stage("dpo", "learn a policy from preferences or rankings directly, without a reward model",
          "prefloop.direct.dpo:train", "prefloop.direct.config:DPOConfig", in_recipe=True,
          reads=dict.fromkeys(("preferences", "rankings"), "preferences=, held_out=, undecided=, replay="),
          takes={"policy": "model", "preferences": "file", "held_out": "file", "undecided": "file", "replay": "file",
                 "reuse": "folder"},
          writes=("policies",), needs="prefloop.direct.needs:dpo"),
    Stage("kto", "the same from thumbs: each response good or bad by itself",
          "prefloop.direct.kto:train", "prefloop.direct.config:KTOConfig", in_recipe=True,
          reads={"thumbs": "preferences=, held_out=, replay="},
          takes={"policy": "model", "preferences": "file", "held_out": "file", "undecided": "file", "replay": "file",
                 "reuse": "folder"},
          writes=("policies",), needs="prefloop.direct.needs:kto"),
    Stage("cpl", "learn a policy from preferences or rankings by regret, without a reference in the loss",
          "prefloop.direct.cpl:train", "prefloop.direct.config:CPLConfig", in_recipe=True,
          reads=dict.fromkeys(("preferences", "rankings"), "preferences=, held_out=, replay="),
          takes={"policy": "model", "preferences": "file", "held_out": "file", "undecided": "file", "replay": "file"},
          writes=("policies",), needs="prefloop.direct.needs:cpl"),
    Stage("offline", "learn a policy from scored or rated responses by imitating the better ones",
          "prefloop.direct.offline:train", "prefloop.direct.config:OfflineConfig", in_recipe=True,
          reads=dict.fromkeys(("preferences", "rankings", "ratings", "thumbs"), "preferences=, held_out=, replay="),
          takes={"policy": "model", "preferences": "file", "held_out": "file", "undecided": "file", "replay": "file"},
          writes=("policies",), needs="prefloop.direct.needs:offline"),
    Stage("hacks", "find responses by which a policy cheats its reward model, as preferences",
          "prefloop.data.hacks:find", "prefloop.data.config:HacksConfig", reads={"prompts": "prompts="},
          takes={"run": "folder", "reference": "model", "prompts": "file", "reward": "reward"},
          writes=("preferences",), typed="data hacks"),
    Stage("evaluate", "compare checkpoints with the reference, and select one",
          "prefloop.evaluate.stage:evaluate", "prefloop.evaluate.config:EvaluateConfig", in_recipe=True,
          reads={"prompts": "validation_prompts=, test_prompts=, ood_prompts=",
                 "demonstrations": "demonstrations=, of the helpdesk",
                 "preferences": "data=, of a reward model", "rankings": "data=, of a reward model"},
          takes={"reference": "model", "base": "model", "candidates": "folder", "validation_prompts": "file",
                 "test_prompts": "file", "ood_prompts": "file", "reward": "reward", "best_of_reward": "reward",
                 "collected": "folder", "demonstrations": "file"},
          writes=("evaluation",),
          variant=Variant("data", "see how often a reward model likes the right response of a file best",
                          "prefloop.evaluate.reward_file:evaluate_file", "prefloop.evaluate.config:RewardFileConfig")),
    Stage("skills", "measure what models still can: loss on base texts, and tasks; say what was forgotten",
          "prefloop.skills.stage:measure", "prefloop.skills.config:SkillsConfig", in_recipe=True,
          reads={"texts": "texts=, texts_ood=", "tasks": "suite="},
          takes={"models": "model", "texts": "file", "texts_ood": "file", "suite": "named"}, writes=("skills",)),
    Stage("gate", "decide whether the selected model takes the place of the one before it",
          "prefloop.rounds.gate:gate", "prefloop.rounds.gate_config:GateConfig", in_recipe=True,
          reads={"judgements": "judged=, of the page's arena"},
          takes={"evaluation": "folder", "by": "judge", "judge.model": "model", "judge.rubric": "named",
                 "judge.audit": "named", "judge.principles": "named", "judged": "file", "skills": "folder"},
          writes=("decision",)),
    Stage("cards", "write a model card and a data card, and say where personal data stand",
          "prefloop.cards.stage:write", "prefloop.cards.config:CardsConfig", in_recipe=True,
          reads={"demonstrations": "demonstrations="},
          takes={"model": "model", "collected": "folder", "demonstrations": "file", "evaluation": "folder",
                 "reward": "reward", "gate": "file"},
          writes=("pages",)),
    Stage("report", "write the report of a pipeline",
          "prefloop.report.stage:write", "prefloop.report.config:ReportConfig",
          in_recipe=True, reads={"pipeline": "pipeline="}, takes={"pipeline": "folder"}, writes=("pages",)),
    Stage("run", "run a recipe: all of the above, in order", "prefloop.rounds.command:main", writes=("pipeline",)),
    Stage("rounds", "go round again and again: collect, learn, optimise, evaluate, decide",
          "prefloop.rounds.rounds_command:main", writes=("pipeline",)),
    Stage("compare", "say what several methods gain and cost on a recipe's preferences",
          "prefloop.compare.command:main", writes=("pages",)),
    Stage("lab", "measure over-optimisation: proxy against gold as policies drift, in one picture",
          "prefloop.lab.command:main", writes=("pages",), typed="lab overopt"),
    Stage("best-of", "say what the best of n is worth to gold, by several rewards",
          "prefloop.evaluate.best_of:measure", "prefloop.evaluate.config:BestOfConfig",
          reads={"prompts": "prompts=, of the helpdesk"},
          takes={"policy": "model", "reward": "reward", "prompts": "file"}, typed="lab best-of"),
    Stage("doctor", "say what is wrong with a run or a pipeline, what shows it, and what to change",
          "prefloop.doctor.command:main"),
    Stage("plan", "say what a stage will take of memory and time, and what to change where it does not fit",
          "prefloop.plan.command:main"),
    Stage("init", "write a recipe for your own data, and a sample of each file", "prefloop.rounds.init:main"),
    Stage("web", "serve the page where people judge what a model wrote", "prefloop.web.command:main",
          reads={"comparisons": "DIR, as comparisons.jsonl in it", "scores": "brought in by a lead"},
          writes=("judgements",)),
    Stage("chat", "talk to one model, or to two side by side", "prefloop.chat.command:main"),
    Stage("serve", "serve a policy over HTTP, as OpenAI's API does", "prefloop.serve.command:main"),
    Stage("score", "score a file of prompts and responses with a reward model",
          "prefloop.score.stage:score", "prefloop.score.config:ScoreConfig",
          reads={"demonstrations": "data=", "comparisons": "data=", "preferences": "data="},
          takes={"model": "reward", "data": "file"}, writes=("scores",), needs="prefloop.score.needs:needs"),
    Stage("sweep", "show what several rewards trade against each other, by best of n",
          "prefloop.sweep.stage:sweep", "prefloop.sweep.config:SweepConfig",
          reads={"prompts": "prompts="}, takes={"policy": "model", "reward": "reward", "prompts": "file"},
          writes=("pages",)),
    Stage("export", "add an adapter to the weights of its base: a whole model folder",
          "prefloop.export.merge:merge", "prefloop.export.config:MergeConfig",
          takes={"model": "model"}, writes=("model",), typed="export merge"),
    Stage("completion", "make the TAB key complete stages, settings and files", "prefloop.completion:main"),
)}  # fmt: skip
RUNS = tuple(name for name, stage in STAGES.items() if stage.in_recipe and "pipeline" not in stage.reads)
"""Stages of a recipe whose folder is a run's."""
ALIGNING = tuple(name for name, stage in STAGES.items() if "policies" in stage.writes)
"""Stages that train a policy, from rollouts or from what people said."""


OPTIMISING = tuple(name for name in ALIGNING if "reward" in STAGES[name].takes)
"""Those of them that optimise it against a reward."""


def stage_of(settings: type) -> str:
    """The name of the stage whose settings class that is. Raises: ValueError if it is none of the table's."""
    name = f"{settings.__module__}:{settings.__name__}"
    named = {stage.name: (stage.settings, stage.variant and stage.variant.settings) for stage in STAGES.values()}
    stage = next((stage for stage, classes in named.items() if name in classes), None)
    if stage is None:
        raise ValueError(f"{name} are the settings of no stage in stages.py")
    return stage
