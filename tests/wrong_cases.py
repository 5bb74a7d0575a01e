"""Wrong inputs of every kind, as command lines: what is wrong with each, and what the sentence must name.

`benchmarks/wrong_inputs.py` runs them all, tests/test_wrong_inputs.py some of them.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from prefloop import cli
from prefloop.config import Config, section
from prefloop.named import named
from prefloop.stages import STAGES
from wrong_feedback import FEEDBACK, MARKED, ROWS
from wrong_models import damaged_models
from wrong_rewards import ENVIRONMENTS, REWARDS

WORLD = ("collect", "ppo", "validation", "test", "ood")
QUICK = ["threads=1", "dtype=float32"]
ONLINE = ["steps=1", "rollouts_per_step=4", "max_new_tokens=4", *QUICK]
GOOD: dict[str, list[str]] = {
    "data world": ["num_documents=2", "num_demonstrations=2", *QUICK],
    "data hacks": ["run=in/ppo", "judge=in/reward", *QUICK],
    "pretrain": ["corpus=in/corpus.jsonl", "steps=1", *QUICK],
    "sft": ["model=in/model", "demonstrations=in/demonstrations.jsonl", "gate=warn", "gate_max_new_tokens=8", *QUICK],
    "revise": ["model=in/model", "prompts=in/world/prompts.collect.jsonl", "by=simulated", "max_new_tokens=4", *QUICK],
    "choose": ["prompts=in/prompts.jsonl", "num=2", "model=in/model", "reward=in/reward", "max_new_tokens=4", *QUICK],
    "cards": ["model=in/model", "demonstrations=in/demonstrations.jsonl", "reward=in/reward", "threads=1"],
    "collect": ["model=in/model", "prompts=in/world/prompts.collect.jsonl", "max_new_tokens=4", *QUICK],
    "reward": ["model=in/model", "preferences=in/preferences.jsonl", *QUICK],
    "ppo": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", "minibatch_size=4", *ONLINE],
    "reinforce": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", *ONLINE],
    "rloo": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", "minibatch_size=4", *ONLINE],
    "grpo": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", "responses_per_prompt=4", *ONLINE],
    "rft": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", "responses_per_prompt=4", *ONLINE],
    "best-of-n": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", "max_new_tokens=4", *QUICK],
    "online-dpo": ["policy=in/model", "reward=in/reward", "prompts=in/prompts.jsonl", *ONLINE],
    "dpo": ["policy=in/model", "preferences=in/preferences.jsonl", "max_new_tokens=4", *QUICK],
    "kto": ["policy=in/model", "preferences=in/thumbs.jsonl", "max_new_tokens=4", *QUICK],
    "cpl": ["policy=in/model", "preferences=in/preferences.jsonl", "max_new_tokens=4", *QUICK],
    "offline": ["policy=in/model", "preferences=in/preferences.jsonl", "max_new_tokens=4", *QUICK],
    "evaluate": ["reference=in/model", "candidates=in/model", "validation_prompts=in/prompts.jsonl", "reward=in/reward",
                 "test_prompts=in/other_prompts.jsonl", "max_new_tokens=4", *QUICK],
    "skills": ["models.a=in/model", "models.b=in/model", "suite=small", "num_tasks=2", "texts=in/corpus.jsonl", "max_new_tokens=4", *QUICK],
    "sweep": ["policy=in/model", "prompts=in/prompts.jsonl", "reward.a.model=in/reward", "max_new_tokens=4",
              "reward.b.model=in/reward", *QUICK],
    "lab best-of": ["policy=in/model", "prompts=in/prompts.jsonl", "reward=in/reward", "max_new_tokens=4", *QUICK],
    "report": ["pipeline=in"],
    "score": ["model=in/reward", "data=in/demonstrations.jsonl", "dtype=float32"],
}  # fmt: skip
"""Stage -> settings with which it would run, but for `out`."""


class Case(NamedTuple):
    """One wrong input."""

    stage: str
    what: str
    """What is wrong with it."""
    arguments: list[str]
    says: str
    """What the sentence must name."""


def changed(stage: str, *settings: str, out: str = "out") -> list[str]:
    """The stage's good arguments with other settings."""
    given = {text.partition("=")[0] for text in settings}
    keys = given | {key.split(".")[0] for key in given}
    out = "out.jsonl" if (stage, out) == ("score", "out") else out
    good = [(text.partition("=")[0], text) for text in [*GOOD[stage], f"out={out}"]]
    kept = [text for key, text in good if key not in keys and key.split(".")[0] not in given]
    return [*stage.split(), *kept, *settings]


def of_settings() -> Iterator[Case]:
    """A wrong value for every setting of every stage, each time another kind of wrong."""
    turn = 0
    for command in GOOD:
        config: type[Config] = named(next(s.settings for s in STAGES.values() if s.command == command) or "")
        for name, field in config.model_fields.items():
            annotation = str(field.annotation)
            turn += 1
            if section(field.annotation) is not None:
                yield Case(command, "a value for a section", changed(command, f"{name}=3"), f"`{name}` is a section")
            elif field.annotation is bool:
                yield Case(command, "not true or false", changed(command, f"{name}=7"), f"`{name}` should be true or")
            elif "int" in annotation or "float" in annotation:
                wrong = ("many", ".inf", ".nan", "[1]", "{a: 1}", "-1e300", "1e999", "yes", "''", "2024-01-31")[
                    turn % 10
                ]
                says = f"`{name}` "
                yield Case(command, "a number", changed(command, f"{name}={wrong}"), says)
            elif "Literal" in annotation:
                wrong = ("nothing", "3", "maybe", "[a]")[turn % 4]
                yield Case(command, "a choice", changed(command, f"{name}={wrong}"), f"`{name}` should be")
            elif "tuple" in annotation and not annotation.startswith("str |"):  # or a text
                yield Case(command, "a list", changed(command, f"{name}=a"), f"`{name}` should be a list")
            elif field.is_required():
                wrong, says = (("", "is empty"), ('"\\0"', "NUL character"), ("x" * 5000, "x"))[turn % 3]
                yield Case(command, "a name", changed(command, f"{name}={wrong}"), says)
            else:
                yield Case(command, "given twice", changed(command, f"{name}=a", f"{name}=b"), f"`{name}` is set twice")
    for command in GOOD:
        yield Case(command, "no such setting", changed(command, "sed=1"), "no setting is called `sed`")
        yield Case(command, "dashes", [*command.split(), "--out", "x"], "without dashes: out=x")
        yield Case(command, "no settings at all", command.split(), "is needed")


def of_absurd_counts() -> Iterator[Case]:
    """Numbers that would end in the machine's limits."""
    for command, key, value in (
        ("sft", "threads", 5000), ("dpo", "num_samples", 10**12), ("kto", "batch_pairs", 10**18), ("sft", "epochs", 10**8), ("sft", "seed", 10**30), ("ppo", "rollouts_per_step", 10**9),
        ("ppo", "epochs", 10**6), ("ppo", "steps", 10**12), ("collect", "resample", 10**6), ("choose", "num", 10**6), ("choose", "random", 0.1), ("choose", "floors.unsafe", 0), ("reward", "epochs", 10**6),
        ("data world", "num_documents", 10**12), ("pretrain", "model.hidden_size", 10**7), ("score", "batch", 10**9),
        ("pretrain", "model.num_layers", 10**6), ("pretrain", "model.vocab_size", 10**9), ("collect", "overlap", 10**12),
        ("evaluate", "batch_prompts", 10**12), ("reward", "batch_pairs", 10**18), ("ppo", "max_new_tokens", 10**10),
        ("reinforce", "responses_per_prompt", 3), ("online-dpo", "responses_per_prompt", 1), ("ppo", "minibatch_size", 3), ("collect", "responses_per_prompt", 99),
    ):  # fmt: skip
        yield Case(command, "an absurd count", changed(command, f"{key}={value}"), key)


def damaged_files(folder: Path) -> dict[str, str]:
    """Makes a damaged file of each kind of data. Returns: name -> what the sentence must hold."""
    says: dict[str, str] = {}

    def make(name: str, data: bytes, words: str) -> None:
        (folder / name).write_bytes(data)
        says[name] = words

    for kind, row in ROWS.items():
        asked = [[{"role": "user", "content": f"where is my parcel {i}?"}] for i in range(8)]
        rows = [row | {"id": f"{kind}{i}"} | ({"messages": asked[i]} if "messages" in row else {}) for i in range(8)]
        lines = [json.dumps(each) for each in rows]
        good = "\n".join(lines).encode() + b"\n"
        (folder / f"{kind}.jsonl").write_bytes(good)
        field = next(name for name in row if name != "messages" or kind == "prompts")
        wrong: dict[str, Any] = {**row, field: 7}
        bad_rows = {
            "type": (json.dumps(wrong), field), "half": (lines[0][:25], ":4"), "list": ("[1, 2]", ":4"), "word": ('"text"', ":4"),
            "deep": ("[" * 9000, ":4"), "huge": ('{"id": 1e999, "text": ' + "9" * 5000 + "}", ":4"),
        }  # fmt: skip
        if kind != "corpus":
            bad_rows |= {
                "role": (json.dumps(row | {"messages": [{"role": "customer", "content": "x"}]}), ":4"),
                "empty": (json.dumps(row | {"messages": []}), ":4"),
                "nobody": (json.dumps(row | {"messages": [{"role": "user"}]}), ":4"),
                "twice": (json.dumps(row | {"id": f"{kind}1"}), ":4"),
                "surrogate": (json.dumps(row | {"messages": [{"role": "user", "content": "\ud800"}]}), ":4"),
            }
        for name, (line, words) in bad_rows.items():
            put = "\n".join([*lines[:3], line, *lines[3:]]) + "\n"
            make(f"{kind}-{name}.jsonl", put.encode("utf-8", "surrogatepass"), words)
        make(f"{kind}-nul.jsonl", good[:40] + b"\0" * 50 + good[40:], ".jsonl")
        make(f"{kind}-cut.jsonl.gz", gzip.compress(good)[:-12], ".gz")
        make(f"{kind}-no.jsonl.gz", good, ".gz")
        make(f"{kind}-no.parquet", good, ".parquet")
        make(f"{kind}-empty.jsonl", b"", ".jsonl")
        make(f"{kind}-blank.jsonl", b"\n\n\n", ".jsonl")
        make(f"{kind}-binary.jsonl", bytes(range(256)) * 4, ".jsonl")
        make(f"{kind}-other.jsonl", b'{"colour": "green"}\n', ".jsonl")
        make(f"{kind}-one.json", b"7", ".json")
    for name, (row, change, words) in FEEDBACK.items():
        rows = [row, row, row, row | change, row]
        put = "".join(json.dumps(each | {"id": f"r{number}"}) + "\n" for number, each in enumerate(rows))
        make(f"preferences-{name}.jsonl", put.encode(), words)
    other = [
        json.dumps(ROWS["prompts"] | {"messages": [{"role": "user", "content": f"parcel {i}?"}]}) for i in range(4)
    ]
    for name, one_sided in (("thumbs", False), ("thumbs-up", True)):
        marked = [
            json.dumps(
                {"responses": ["on its way.", "no"]}
                | {"id": f"t{i}", "thumbs": [True, one_sided], "messages": [{"role": "user", "content": f"{i}"}]}
            )
            for i in range(8)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(marked) + "\n", encoding="utf-8")
    (folder / "other_prompts.jsonl").write_text("\n".join(other) + "\n", encoding="utf-8")
    return says


DATA = {
    "sft": "demonstrations",
    "reward": "preferences",
    "dpo": "preferences",
    "cpl": "preferences",
    "offline": "preferences",
    "ppo": "prompts",
    "choose": "prompts",
    "cards": "demonstrations",
    "collect": "prompts",
    "revise": "prompts",
    "pretrain": "corpus",
}


def of_data(says: dict[str, str]) -> Iterator[Case]:
    """Damaged data files."""
    for command, kind in DATA.items():
        for name, words in says.items():
            if name.startswith(f"{kind}-"):
                marked = (
                    command in ("dpo", "cpl") and FEEDBACK.get(Path(name).stem.partition("-")[2], (None,))[0] is MARKED
                )
                says_so = "learns `prefloop offline`" if marked else words
                yield Case(command, f"data: {name}", changed(command, f"{kind}=in/{name}"), says_so)
        for name in (
            "nowhere.jsonl",
            "",
            ".",
            "model",
            "pipe",
            "x" * 300,
            "/dev/null",
            "\udcff.jsonl",
            "demonstrations-no.png",
        ):
            yield Case(
                command, f"data: {name[:20]}", changed(command, f"{kind}=in/{name}"), "in" if not name else name[-3:]
            )
        for other in ROWS.keys() - {kind}:
            if kind == "prompts" and other != "corpus":
                continue  # every row with a prompt gives one
            yield Case(command, f"data: {other}", changed(command, f"{kind}=in/{other}.jsonl"), f"{other}.jsonl")
    for name in (
        "demonstrations-empty.jsonl",
        "demonstrations-other.jsonl",
        "demonstrations-binary.jsonl",
        "pipe",
        "nowhere",
    ):
        yield Case("score", f"data: {name}", changed("score", f"data=in/{name}"), name)
        yield Case("evaluate", f"data: {name}", changed("evaluate", f"test_prompts=in/{name}"), name)
    for name, words in (("thumbs-up", "all its"), ("preferences", "holds preferences. From"), ("nowhere", "nowhere"),
                        ("demonstrations", "demonstrations.jsonl"), ("preferences-marks", "learns `prefloop offline`")):  # fmt: skip
        yield Case("kto", f"data: {name}", changed("kto", f"preferences=in/{name}.jsonl"), words)
    for name, settings, words in (
        ("thumbs", ["objective=ratings"], "holds thumbs, which objective=ratings does not learn from"),
        ("preferences", ["axis=safe"], "axis is a setting of objective = ratings"),
        ("preferences", ["method=filtered", "most=3"], "most is a setting of method = advantage_weighted"),
    ):
        yield Case("offline", f"data: {name}", changed("offline", f"preferences=in/{name}.jsonl", *settings), words)
    for command in ("dpo", "cpl"):
        yield Case(command, "thumbs", changed(command, "preferences=in/thumbs.jsonl"), "learns `prefloop kto`")
    for name in ("nowhere", "demonstrations-empty.jsonl", "demonstrations-other.jsonl", "pipe", "model"):
        yield Case("data", f"check {name}", ["data", "check", f"in/{name}"], name)


def of_models(says: dict[str, str]) -> Iterator[Case]:
    """Damaged model folders, and paths that are none."""
    for name, words in says.items():
        wanted = ("sft", "chat", "reward") if name.startswith("m-") else ("score", "ppo")
        for command in wanted:
            setting = {"sft": "model", "score": "model", "ppo": "reward", "reward": "model"}.get(command, "")
            arguments = ["chat", f"in/{name}"] if command == "chat" else changed(command, f"{setting}=in/{name}")
            yield Case(command, f"model: {name}", arguments, words)
    for command, setting in (
        ("reward", "model"), ("ppo", "policy"), ("collect", "model"), ("choose", "model"), ("cards", "model"), ("revise", "model"), ("evaluate", "reference"), ("reinforce", "reward"),
        ("dpo", "policy"), ("kto", "policy"), ("cpl", "policy"), ("offline", "policy"),
    ):  # fmt: skip
        for name in ("nowhere", "in/prompts.jsonl", "in/m-bare", "in/m-cut", "a/b/c", "x" * 300):
            yield Case(command, f"model: {name[:20]}", changed(command, f"{setting}={name}"), name[-20:])
    yield Case("ppo", "a policy that scores", changed("ppo", "policy=in/reward"), "in/reward")
    yield Case("sft", "a model that scores", changed("sft", "model=in/reward"), "in/reward")
    yield Case("ppo", "a reward that speaks", changed("ppo", "reward=in/model"), "this is not a reward model")
    yield Case("score", "a reward that speaks", changed("score", "model=in/model"), "this is not a reward model")
    yield Case("ppo", "a critic that is nowhere", changed("ppo", "critic=nowhere"), "nowhere")
    for command, template in (("sft", "chatml"), ("ppo", "plane"), ("collect", "{{"), ("reward", "in/prompts.jsonl")):
        yield Case(command, "a template", changed(command, f"template={template}"), "template")


def of_rewards() -> Iterator[Case]:
    """Reward functions that go wrong."""
    for name, (_, says) in REWARDS.items():
        for command, setting in (("score", "model"), ("ppo", "reward")):
            seconds = 0.1 if name in ("hangs", "sleeps") else 60
            settings = (f"{setting}=python:in/{name}.py:score", f"reward_seconds={seconds}")
            yield Case(command, f"reward: {name}", changed(command, *settings), says)
    for name, value in ENVIRONMENTS.items():
        seconds = 0.1 if name == "env_hangs" else 60
        settings = (f"env=python:in/{name}.py:Env", f"env_seconds={seconds}", "max_turns=2")
        yield Case("ppo", f"environment: {name}", changed("ppo", *settings), value[1])
    for env, says in (("in/env_none.py:Env", "Write env=python:"), ("python:in/nowhere.py:Env", "there is no such file"),
                      ("python:in/none.py:score", "there is no class called `score`")):  # fmt: skip
        yield Case("reinforce", f"environment: {env}", changed("reinforce", f"env={env}"), says)
    yield Case("rloo", "turns of nobody", changed("rloo", "max_turns=3"), "max_turns does nothing")
    for url, says in (("http://", "this is no address"), ("http://me:word@host/x", "a name or a password"),
                      ("http://127.0.0.1:9/x", "the reward server does not answer")):  # fmt: skip
        for command, setting in (("score", "model"), ("ppo", "reward")):
            settings = (f"{setting}={url}", "reward_retries=0")
            yield Case(command, f"reward: {url}", changed(command, *settings), says)
    for spec in (
        "python:",
        "python:x",
        "python:in/nowhere.py:score",
        "python:in/none.py",
        "python:in/none.py:",
        "python:in:f",
    ):
        yield Case(
            "reinforce", f"reward: {spec}", changed("reinforce", f"reward={spec}"), spec.removeprefix("python:")[:10]
        )


RECIPES: dict[str, tuple[str, str]] = {
    "empty": ("", "has no stage"),
    "words": ("just words", "expected lines"),
    "list": ("- sft\n", "expected lines"),
    "number": ("sft: 3\n", "needs settings under it"),
    "lists": ("sft: [1]\n", "needs settings under it"),
    "typo": ("stf: {}\n", "Did you mean `sft`?"),
    "key": ("sft:\n  model: m\n  demonstrations: d\n  epoks: 3\n", "key.yaml:4: no setting is called `sft.epoks`"),
    "value": ("sft:\n  model: m\n  demonstrations: d\n  epochs: few\n", "value.yaml:4: `sft.epochs` should be a whole number"),
    "seed": ("seed: x\nsft:\n  model: m\n  demonstrations: d\n", "seed.yaml:1: `seed` should be a whole number"),
    "order": ("ppo:\n  policy: sft/model\n  reward: r\n  prompts: p\nsft:\n  model: m\n  demonstrations: d\n",
              "order.yaml:2: `ppo.policy`: the stage `sft` has not run by then"),
    "itself": ("sft:\n  model: sft/model\n  demonstrations: d\n", "itself.yaml:2: `sft.model`: the stage `sft` has not run"),
    "absent": ("reward:\n  model: sft/model\n  preferences: in/preferences.jsonl\n", "absent.yaml:2: `reward.model`: sft/model"),
    "written": ("sft:\n  model: in/model\n  demonstrations: in/demonstrations.jsonl\nreward:\n  model: sft/modle\n"
                "  preferences: in/preferences.jsonl\n", "written.yaml:5: `reward.model`: the stage `sft` writes no `modle`"),
    "out": ("sft:\n  model: m\n  demonstrations: d\n  out: else\n", "out.yaml:4: `sft.out`: in a recipe"),
    "base": ("sft:\n  model: $base\n  demonstrations: d\n", "base.yaml:2: `sft.model`: this recipe starts from a model"),
    "bse": ("sft:\n  model: $bse\n  demonstrations: d\n", "bse.yaml:2: `sft.model`: there is no `$bse`"),
    "report": ("report: {}\nsft:\n  model: m\n  demonstrations: d\n", "report.yaml:1: `report` tells of all"),
    "missing": ("sft:\n  model: in/model\n", "missing.yaml:1: the setting `sft.demonstrations` is needed"),
    "data": ("sft:\n  model: in/model\n  demonstrations: nowhere.jsonl\n", "data.yaml:3: `sft.demonstrations`: nowhere.jsonl"),
    "kind": ("sft:\n  model: in/model\n  demonstrations: in/prompts.jsonl\n", "kind.yaml:3: `sft.demonstrations`: in/prompts.jsonl: "
             "this file holds prompts"),
    "model": ("sft:\n  model: in/nowhere\n  demonstrations: in/demonstrations.jsonl\n", "model.yaml:2: `sft.model`: in/nowhere"),
    "later": ("sft:\n  model: in/model\n  demonstrations: in/demonstrations.jsonl\nppo:\n  policy: sft/model\n"
              "  reward: python:in/syntax.py:score\n  prompts: in/prompts.jsonl\n", "later.yaml:6: `ppo.reward`"),
    "function": ("ppo:\n  policy: in/model\n  reward: python:in/none.py:skore\n  prompts: in/prompts.jsonl\n",
                 "function.yaml:3: `ppo.reward`"),
    "twice": ("sft:\n  model: a\n  model: b\n", "twice.yaml:3: `sft.model` was already set in line 2"),
    "tabs": ("sft:\n\tmodel: a\n", "tabs.yaml:2: this is not YAML"),
    "cycle": ("sft: &a\n  model: *a\n", "cycle.yaml"),
    "laughs": ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in ("ab", "bc", "cd", "de")),
               "laughs.yaml"),
    "deep": ("sft: " + "[" * 3000, "deep.yaml"),
    "python": ("sft: !!python/object/apply:os.system [ls]\n", "python.yaml:1"),
    "nul": ('sft:\n  model: "\\0"\n  demonstrations: d\n', "nul.yaml:2"),
    "dotted": ("sft.model: a\n", "dotted.yaml:1: a recipe has no `sft.model`"),
    "merge": ("sft:\n  <<: 3\n", "merge.yaml:1: the setting `sft.model` is needed"),
    "world": ("world: 3\nreport: {}\n", "world.yaml:1: `world` needs settings"),
    "language": ("world: {language: fr}\nreport: {}\n", "language.yaml:1: `world.language` should be 'en' or 'zh'"),
    "rollouts": ("ppo:\n  policy: m\n  reward: r\n  prompts: p\n  minibatch_size: 3\n  rollouts_per_step: 4\n", "rollouts.yaml:6: "),
    "anchor": ("sft: *nobody\n", "anchor.yaml:1"),
    "documents": ("sft: {}\n---\nsft: {}\n", "documents.yaml"),
}  # fmt: skip


def of_recipes() -> Iterator[Case]:
    """Recipes, and what is typed behind them."""
    for name, (_, says) in RECIPES.items():
        yield Case("run", f"recipe: {name}", ["run", f"in/{name}.yaml", "out=out"], says)
    for arguments, says in (
        ([], "RECIPE is a YAML file"), (["helpdsk"], "Did you mean helpdesk?"), (["out=x"], "needs a recipe first"), (["in"], "a folder"),
        (["in/model/model.safetensors"], "not a text file"), (["in/prompts-binary.jsonl"], "in/prompts-binary.jsonl"),
        (["helpdesk", "ppo.stepz=1"], "the command line: no setting is called `ppo.stepz`"), (["x" * 300], "xxx"),
        (["helpdesk", "pppo.steps=1"], "the command line: a recipe has no `pppo`"), (["helpdesk", "seed=x"], "the command line: `seed`"),
        (["helpdesk", "ppo.minibatch_size=60", "ppo.rollouts_per_step=256"], "the command line: "), (["helpdesk", "sft.out=x"], "the command line: `sft.out`"),
        (["helpdesk", "sft.model=ppo/models"], "the command line: `sft.model`: the stage `ppo` has not run"), (["helpdesk", "more"], "`more`"),
        (["stories", "sft.epochs=1", "base=in/model"], "the recipe stories has no stage `sft`"), (["helpdesk", "--out", "x"], "out=x"),
        (["stories", "out=out"], "Add model=FOLDER"), (["helpdesk", "sft=3"], "the command line: `sft` needs"), (["helpdesk", "out="], "the command line: `out` is empty"),
        (["helpdesk", "ppo.steps=1", "ppo.steps=2"], "`ppo.steps` is set twice"), (["helpdesk", "world.language=no"], "world.language"),
        (["helpdesk", "sft=3", "sft.lr=1"], "set the same thing"), (["stories", "base=in/nowhere", "out=out"], "in/nowhere"),
        (["helpdesk", "threads=5000"], "`threads`"), (["helpdesk", "name=a", "name=b"], "`name` is set twice"), (["helpdesk", "out=in"], "in: "),
        (["helpdesk", "out=in/prompts.jsonl"], "in/prompts.jsonl"), (["stories", "base=in/prompts.jsonl", "out=out"], "in/prompts.jsonl"),
    ):  # fmt: skip
        if arguments:
            yield Case("run", f"typed: {' '.join(arguments)[:40]}", ["run", *arguments], says)


def of_commands() -> Iterator[Case]:
    """Commands that parse for themselves, folders of runs, and places to write to."""
    for arguments, says in (
        ("pro", "Did you mean `ppo`?"), ("xyzzy", "no stage called"), ("help nothing", "no stage called `nothing`"), ("-x", "-x"),
        ("world", "Did you mean `data world`?"), ("data chek x", "not a command"), ("data check", "not a command"), ("data augment in/nowhere.jsonl out=x.jsonl", "nowhere"), ("data preview m", "not a"),
        ("data preview in/model in/nowhere", "nowhere"), ("data preview in/nowhere in/demonstrations.jsonl", "nowhere"),
        ("data preview in/model in/demonstrations.jsonl row=3", "`row`. Did you mean `rows`?"), ("data check a b", "not a command"), ("data preview in/model in/prompts.jsonl", "prompts"), ("data preview in/model in/demonstrations.jsonl rows=0", "`rows` should"),
        ("chat", "HELP"), ("chat in/nowhere", "nowhere"), ("chat a b c", "one or two"), ("chat in/reward", "reward model"), ("chat in/m-bare", "m-bare"),
        ("chat in/model temperature=-1", "`temperature` should"), ("chat in/model --temperature 1", "temperature=1"), ("chat in/model seed=x", "seed"),
        ("chat in/model in/prompts.jsonl", "prompts.jsonl"), ("chat in/model template=plane", "template"), ("chat in/model top_p=2", "`top_p`"),
        ("serve", "HELP"), ("serve in/nowhere", "nowhere"), ("serve a b", "one folder"), ("serve in/model port=99999", "`port` should"),
        ("serve in/reward", "reward"), ("serve in/model port=x", "`port` should"), ("serve --port 3", "port=3"), ("serve in/prompts.jsonl", "prompts.jsonl"),
        ("web", "HELP"), ("web a b", "one folder"), ("web out --port", "--port needs a value"), ("web out --prot 3", "knows no --prot"),
        ("web out port=99999", "`port` should"), ("web out proxies=[*]", "`proxies`"), ("web out axes=[helpful,helpful]", "axes"), ("web in/nowhere", "nowhere"),
        ("web out model_server=ftp://x", "model_server"), ("web out --link x", "one folder"), ("web in/prompts.jsonl", "prompts.jsonl"), ("init", "needs one folder"), ("init a b", "needs one folder"), ("init a=b", "needs one folder"), ("init in/prompts.jsonl", "prompts.jsonl"), ("data hacks run=in/model judge=in/reward out=out", "no policy was trained here"), ("data hacks run=in/ppo judge=in/nowhere out=out", "nowhere"),
        ("gate", "HELP"), ("gate out=out", "`evaluation` is needed"), ("gate evaluation=in by=gold out=out", "no incumbent"), ("gate evaluation=in by=score out=out", "cannot say whether it is better"),
        ("rounds", "HELP"), ("rounds out=out", "needs a recipe or folder"), ("rounds helpdesk out=out", "has no `rounds:`"), ("rounds in lineage", "no rounds here yet"), ("rounds in back", "is not understood"),
        ("doctor", "HELP"), ("doctor in/nowhere", "no such folder"), ("doctor in/model", "this is no run"), ("doctor in/prompts.jsonl", "no such folder"),
        ("doctor json=true", "needs a folder first"), ("doctor in/model json=perhaps", "`json` should"), ("doctor in/model aply=a.yaml", "Did you mean `apply`?"), ("doctor in/model rollout=1", "rollout=STEP:INDEX"),
        ("compare", "HELP"), ("compare out=out", "needs a recipe first"), ("compare helpdsk out=out", "Did you mean helpdesk?"),
        ("compare helpdesk out=out methods=[dop]", "Did you mean `dpo`?"), ("compare helpdesk out=out methods=[dpo] dpo.bta=1", "bta"), ("compare helpdesk out=out methods=[dpo] kto.beta=1", "`kto`"),
        ("lab overopt", "HELP"), ("lab", "Did you mean"), ("lab overopt out=out", "needs a recipe first"), ("lab overopt helpdsk out=out", "Did you mean helpdesk?"),
        ("lab overopt helpdesk out=out cells=[oen]", "Did you mean `one`?"), ("lab overopt helpdesk out=out one.pars=3", "`lab.one.pars`"), ("lab overopt helpdesk out=out cells=[one,one]", "twice"), ("lab overopt helpdesk out=out one.combine=min", "needs an ensemble"),
        ("lab overopt stories base=in/model out=out", "judge: gold"), ("lab overopt helpdesk out=out cells=[one] min.pairs=9", "`min`"), ("lab overopt helpdesk out=out cells=[rewards]", "cannot be called"),
        ("plan nothing", "sft, collect, reward, ppo, reinforce, rloo, grpo, rft, online-dpo"), ("plan collect", "`model`"), ("plan sft stt=1", "`stt`"), ("plan sft model=a", "`demonstrations`"),
        ("plan ppo " + " ".join(GOOD["ppo"]) + " out=o on=2x", "on"), ("export marge", "export merge"), ("export merge out=out", "`model`"), ("export merge model=in/nowhere out=out", "nowhere"),
        ("export merge model=in/model out=out", "a whole model already"), ("export merge model=in/prompts.jsonl out=out", "prompts.jsonl"), ("export merge mdoel=in/model out=out", "`mdoel`"),
        ("init kept", "kept/kept.yaml: this is there already"), ("completion", "needs one of bash, zsh, fish"), ("completion csh", "needs one of"),
        ("sft in/typo.yaml", "`stf`"), ("sft in/nowhere.yaml", "nowhere.yaml"), ("sft in/demonstrations.jsonl", "demonstrations.jsonl"),
        ("sft in/twice.yaml", "twice.yaml:3"), ("sft lr=1 in/typo.yaml", "the YAML file comes first"), ("ppo -lr 3", "lr=3"), ("sft in", "a folder"),
        ("sft model", "no such file"), ("sft =3", "`=3` is not a setting"), ("sft model=a model.x=3", "set the same thing"), ("ppo advantage=td", "is gone"),
        ("report pipeline=in/nowhere out=out", "nowhere"), ("report pipeline=in/model out=out", "no stage ran here"), ("report pipeline=hurt out=out", "hurt/sft"),
        ("report pipeline=in/prompts.jsonl out=out", "prompts.jsonl"), ("score model=in/reward data=in/demonstrations.jsonl out=in", "in"),
        ("score model=in/reward data=in/demonstrations.jsonl out=in/prompts.jsonl/x", "prompts.jsonl"), ("score embed=true " + " ".join(GOOD["score"]) + " out=out/s.jsonl", "embed=true"),
    ):  # fmt: skip
        if says != "HELP":
            first = arguments.split()[0]
            stage = first if any(first == command.split()[0] for command in cli.COMMANDS) else "mistyped"
            yield Case(stage, f"typed: {arguments[:40]}", arguments.split(), says)
    for command in GOOD:
        if command not in ("score", "report"):
            yield Case(command, "out is a file", changed(command, out="in/prompts.jsonl"), "in/prompts.jsonl")
            yield Case(
                command, "out holds other things", changed(command, out="in"), "in: this folder holds other things"
            )
    for command, out in (
        ("sft", "hurt/sft"),
        ("ppo", "hurt/sft"),
        ("collect", "/proc/x"),
        ("reward", "a" * 300),
        ("sft", "in/pipe"),
    ):
        yield Case(command, f"out={out[:20]}", changed(command, out=out), out[:100])
    for command in ("sft", "ppo", "reward"):
        settings = {"ppo": "lr=1e30", "sft": "lr=1e30", "reward": "lr=1e30"}[command]
        more = ["epochs=9", "steps=9"] if command == "ppo" else ["epochs=60"]
        yield Case(command, "diverges", changed(command, settings, *more), "diverged")


def inputs(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Makes every input. Returns: what sentences on files and on models must hold."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from prefloop.align.config import PPOConfig
    from prefloop.layout import CARD, policy
    from prefloop.models.device import Placement
    from prefloop.models.load import save_model, scalar
    from prefloop.pretrain.tokenizer import trained_tokenizer
    from prefloop.run.identity import new_card
    from prefloop.text.codec import Codec
    from prefloop.text.templates import template_text

    torch.set_num_threads(1)
    folder.mkdir(parents=True)
    tokenizer = trained_tokenizer(["where is my parcel?", "it is on its way."] * 9, vocab_size=300)
    tokenizer.chat_template = template_text("turns")
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    card = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=end, eos_token_id=end, **sizes
    )
    save_model(folder / "model", LlamaForCausalLM(card), Codec(tokenizer, (end,), 64))
    head = scalar(str(folder / "model"), Placement(torch.device("cpu")), fresh_head=True)
    save_model(folder / "reward", head.pretrained, head.codec)
    (folder / "reward" / "prefloop_scores.json").write_text('{"mean": 0.0, "std": 1.0}')
    for name, (text, _) in (REWARDS | ENVIRONMENTS).items():
        (folder / f"{name}.py").write_text(text)
    for name, (text, _) in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text)
    with contextlib.redirect_stdout(io.StringIO()):
        sizes_of_world = [f"num_{name}=4" for name in WORLD]
        cli.main(
            [*["data", "world"], *GOOD["data world"], f"out={folder / 'world'}", "num_practice=2", *sizes_of_world]
        )
    os.mkfifo(folder / "pipe")
    named = {"policy": folder / "model", "reward": folder / "reward", "prompts": folder / "world/prompts.ppo.jsonl"}
    named = {key: str(path) for key, path in named.items()}
    shutil.copytree(folder / "model", folder / "ppo" / policy(1))
    (folder / "ppo" / CARD).write_text(new_card("ppo", PPOConfig(**named, out="o"), named, threads=1).model_dump_json())
    hurt = folder.parent / "hurt" / "sft"
    hurt.mkdir(parents=True)
    (hurt / "run.json").write_text('{"stage": "sft", "comm')
    (folder.parent / "kept").mkdir()
    (folder.parent / "kept" / "kept.yaml").write_text("name: kept\n")
    return damaged_files(folder), damaged_models(folder)


def cases(files: dict[str, str], models: dict[str, str]) -> list[Case]:
    """Every wrong input, once."""
    every = [
        *of_settings(), *of_absurd_counts(), *of_data(files), *of_models(models), *of_rewards(), *of_recipes(), *of_commands(),
    ]  # fmt: skip
    return list({tuple(case.arguments): case for case in every}.values())
