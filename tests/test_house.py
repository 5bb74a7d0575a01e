"""The house rules that a machine can keep (CONTRIBUTING.md); floors are import-linter's, in pyproject.toml."""

import ast
import graphlib
import importlib
import pkgutil
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import prefloop
from prefloop.config import Config
from prefloop.extras import EXTRAS
from prefloop.stages import STAGES

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "prefloop"
PYTHON = sorted([*SRC.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
CODE = sorted([*PYTHON, *SRC.rglob("*.html"), *SRC.rglob("*.css")])
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PYTHON}
OURS = {path: tree for path, tree in TREES.items() if path.is_relative_to(SRC)}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
REFLECTION: dict[str, str] = {}
"""File -> why getattr, hasattr or setattr is right there."""
BROAD: dict[str, str] = {
    "scoring/function.py": "somebody else's function may raise anything",
    "run/track.py": "so may a tracker",
}
"""File outside cli.py -> why it may catch everything."""
ONE_IMPORT_NAME = {
    "yaml": "PyYAML",
    "markdown_it": "markdown-it-py",
    "argon2": "argon2-cffi",
    "tensorboardX": "tensorboardx",
}
"""Import name -> package name, where they differ."""
TRACKERS = ("tensorboard", "wandb", "trackio", "swanlab")
PLACES_OF = {"web": ("web", "serve"), "gguf": ("models/gguf.py",)} | dict.fromkeys(TRACKERS, ("run/track.py",))
"""Extra -> the folders or files of src/prefloop that may import what it brings."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
INDENTING = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)


def where(path: Path, node: ast.AST | None = None) -> str:
    """file:line, relative to the repository."""
    line = ast.unparse(node)[:60] if node is not None else ""
    number = {**vars(node)}.get("lineno", 1) if node is not None else 1
    return f"{path.relative_to(ROOT)}:{number} {line}".strip()


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def test_files_are_at_most_500_lines():
    lengths = {where(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_functions_are_shorter_than_80_lines():
    every = [(path, function) for path, tree in TREES.items() for function in functions(tree)]
    assert [where(path, f) for path, f in every if (f.end_lineno or f.lineno) - f.lineno + 1 >= 80] == []


def depth(node: ast.AST) -> int:
    """How deeply blocks are nested inside a node; `elif` is not deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue  # counted for itself
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, INDENTING) and not chained))
    return deepest


def test_nesting_counts_blocks():
    tree = ast.parse("def f():\n if a:\n  pass\n elif b:\n  for x in y:\n   with z:\n    pass")
    assert depth(next(functions(tree))) == 3


def test_blocks_nest_at_most_four_deep():
    assert [where(path, f) for path, tree in TREES.items() for f in functions(tree) if depth(f) > 4] == []


def test_nothing_is_caught_wholesale():
    offenders = []
    for path in OURS.keys() - {SRC / name for name in ("cli.py", *BROAD)}:
        for node in ast.walk(OURS[path]):
            if isinstance(node, ast.ExceptHandler):
                names = ast.walk(node.type) if node.type else [ast.Name("Exception")]
                if {n.id for n in names if isinstance(n, ast.Name)} & {"Exception", "BaseException"}:
                    offenders.append(where(path, node))
    assert offenders == []


def test_no_reflection_on_our_own_objects():
    names = {"getattr", "hasattr", "setattr", "delattr"}
    offenders = [
        where(path, node)
        for path, tree in OURS.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
        if path.relative_to(SRC).as_posix() not in REFLECTION
    ]
    assert offenders == []


def public(body: list[ast.stmt]) -> list[ast.stmt]:
    """Functions and classes without an underscore."""
    return [node for node in body if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")]


def test_every_module_and_public_thing_says_what_it_is():
    missing = [where(path) for path, tree in OURS.items() if tree.body and not ast.get_docstring(tree)]
    for path, tree in OURS.items():
        things = public(tree.body)
        things += [method for thing in things if isinstance(thing, ast.ClassDef) for method in public(thing.body)]
        missing += [where(path, thing) for thing in things if not ast.get_docstring(thing)]
    assert missing == []


def takes_arrays(function: Function) -> bool:
    """True if an argument is a tensor or an array."""
    return any(word in ast.unparse(function.args) for word in ("Tensor", "Array"))


def test_ops_tell_shapes():
    shape = re.compile(r"\([A-Z][\w, ]*\)|\(n[,)]|shape|\bn\b|\bnumber\b")
    offenders = [
        where(path, node)
        for path, tree in OURS.items()
        if path.parent.name == "ops"
        for node in tree.body
        if isinstance(node, Function) and not node.name.startswith("_")
        if takes_arrays(node) and not shape.search(ast.get_docstring(node) or "")
    ]
    assert offenders == []


def all_modules() -> list[str]:
    """Every module of the package but programs."""
    return [m.name for m in pkgutil.walk_packages(prefloop.__path__, "prefloop.") if not m.name.endswith("__main__")]


def test_every_setting_has_a_docstring():
    for name in all_modules():
        importlib.import_module(name)
    classes, offenders = [Config], []
    while classes:
        inner = classes.pop()
        classes += inner.__subclasses__()
        if inner.__module__.startswith("prefloop."):
            bare = [name for name, field in inner.model_fields.items() if not field.description]
            offenders += [f"{inner.__module__}.{inner.__name__}.{name}" for name in bare]
    assert offenders == []


def test_only_parallel_knows_other_processes():
    offenders = [
        where(p) for p in OURS if "torch.distributed" in p.read_text(encoding="utf-8") and p.name != "parallel.py"
    ]
    assert offenders == []


def test_no_module_has_a_name_that_says_nothing():
    names = [path for path in PYTHON if {path.stem, *path.relative_to(ROOT).parent.parts} & FORBIDDEN_NAMES]
    assert names == []


def packages(requirements: list[str]) -> set[str]:
    """Names of required packages, in small letters."""
    return {re.split(r"[^\w-]", text)[0].lower() for text in requirements}


def test_every_import_is_among_the_dependencies_or_in_the_folders_of_its_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always = set(sys.stdlib_module_names) | {"prefloop"} | packages(project["dependencies"])
    only = {extra: packages(project["optional-dependencies"][extra]) for extra in EXTRAS}
    assert only == {extra: {ONE_IMPORT_NAME.get(name, name) for name in names} for extra, names in EXTRAS.items()}
    assert len(project["dependencies"]) <= 15
    offenders = []
    for path, tree in OURS.items():
        roots = {module.split(".")[0] for node in ast.walk(tree) for module in imported(node)}
        inside = [extra for extra, places in PLACES_OF.items() if any(path.is_relative_to(SRC / p) for p in places)]
        allowed = always.union(*(only[extra] for extra in inside))
        offenders += [where(path) for root in roots if ONE_IMPORT_NAME.get(root, root).lower() not in allowed]
    assert offenders == []


def test_the_dependencies_are_pinned():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = packages(project["dependencies"]).union(*map(packages, project["optional-dependencies"].values()))
    assert named - {name.lower() for name in pins} - {"prefloop"} == set()
    assert pins["torch"] == "2.13.0"


def laid_out_by_hand(tree: ast.AST) -> set[int]:
    """Lines where a literal ends, a table of the database, or the rows of a parametrised test."""
    literals = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.DictComp, ast.ListComp, ast.Subscript)
    ends = {node.end_lineno or 0 for node in ast.walk(tree) if isinstance(node, literals)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    ends |= {
        node.end_lineno or 0 for node in calls if ast.unparse(node.func).split(".")[-1] in ("Table", "create_table")
    }
    return ends | {each.end_lineno or 0 for function in functions(tree) for each in function.decorator_list}


def test_only_tables_are_laid_out_by_hand():
    for path, tree in TREES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        skipped = {number for number, line in enumerate(lines, 1) if "# fmt: " + "skip" in line}
        assert skipped <= laid_out_by_hand(tree), where(path)


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_a_benchmark_can_be_imported(file: Path, monkeypatch: pytest.MonkeyPatch):
    """It runs seldom: what it imports must not have moved on without it."""
    monkeypatch.syspath_prepend(str(file.parent))
    importlib.import_module(file.stem)


def test_every_planted_mistake_still_has_its_place(monkeypatch: pytest.MonkeyPatch):
    """benchmarks/mutants.py replaces exact text: code that moved on takes its mutant along."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    mutants = importlib.import_module("mutants")
    assert len(mutants.MUTANTS) > 100
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
    for mutant in mutants.MUTANTS:
        assert mutants.mutated(mutant)
        assert all((ROOT / "tests" / name).exists() for name in mutant.tests.split())


METRIC = re.compile(r"\"([a-z]+/[a-z0-9_]+|lr|updates)\"")
LOGS = re.compile(r"\b(run|online|learning)\.(log|keep|updated)\(")
NOT_WRITTEN = {"ratio/max_error"}  # becomes ratio/first_error
METRICS_PAGE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([a-z0-9_/]+)` \|", flags=re.MULTILINE)


def logged() -> set[str]:
    """Names of metrics in the files that log them; an algorithm's may come from what several share."""
    texts = [text for path in OURS if LOGS.search(text := path.read_text(encoding="utf-8")) or "align" in path.parts]
    return {name for text in texts for name in METRIC.findall(text)} - NOT_WRITTEN


def test_every_metric_is_in_the_table_and_nothing_else():
    assert set(ROW.findall(METRICS_PAGE.read_text(encoding="utf-8"))) == logged()


START, EXTRA, PARQUET = "speed of start", "not on every machine", "a third of a second, and only for Parquet"
SECONDS = "three seconds, and only for adapters"
HIDDEN: dict[tuple[str, str], str] = {
    ("doctor.reading", "prefloop.costs.subject"): "transformers, for the size of a model whose lr was too high",
    ("cli", "prefloop.config"): START,
    ("cli", "prefloop.notation"): START,
    ("chat.command", "prefloop.chat.conversation"): START,
    ("chat.conversation", "readline"): EXTRA,
    ("data.command", "prefloop.data.check"): START,
    ("data.command", "prefloop.data.preview"): START,
    ("data.command", "prefloop.data.augment"): START,
    ("doctor.command", "prefloop.scoring.function"): START,
    ("files.tables", "pyarrow"): PARQUET,
    ("files.tables", "pyarrow.parquet"): PARQUET,
    ("models.adapters", "peft"): SECONDS,
    ("models.gguf", "gguf"): EXTRA,
    ("models.gguf", "numpy"): START,
    ("rounds.beforehand", "prefloop.scoring.named"): START,
    ("run.track", "swanlab"): EXTRA,
    ("run.track", "tensorboardX"): EXTRA,
    ("run.track", "trackio"): EXTRA,
    ("run.track", "wandb"): EXTRA,
    ("serve.command", "prefloop.serve.server"): START,
    ("web.command", "prefloop.web.serving"): START,
    ("web.exchange.outcome_files", "pyarrow"): PARQUET,
    ("web.exchange.outcome_files", "pyarrow.parquet"): PARQUET,
    ("web.exchange.rows", "pyarrow"): PARQUET,
    ("web.exchange.rows", "pyarrow.parquet"): PARQUET,
}
"""(our module, what it imports inside a function or for types only) -> why it is not at the top of the file."""
ALL, RECIPES, SETTINGS, NEEDS = "all", "what may stand in a recipe", "settings", "needs and settings"
BY_NAME = {
    "prefloop.cli": ALL,
    "prefloop.rounds.recipe": RECIPES,
    "prefloop.rounds.command": RECIPES,
    "prefloop.rounds.advance": RECIPES,
    "prefloop.completion": SETTINGS,
    "prefloop.cards.lineage": SETTINGS,
    "prefloop.compare.plans": SETTINGS,
    "prefloop.lab.plans": SETTINGS,
    "prefloop.doctor.reading": SETTINGS,
    "prefloop.plan.command": NEEDS,
}
"""Modules that import what the table of stages names -> which of it."""


def module_of(path: Path) -> str:
    """The dotted name of a file of ours."""
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): tree for path, tree in OURS.items()}


def imported(node: ast.AST) -> set[str]:
    """The modules that an import statement loads; none for any other node."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return set()
    inner = {f"{node.module}.{alias.name}" for alias in node.names}
    return (inner & MODULES.keys()) | ({node.module} if inner - MODULES.keys() else set())


def test_every_hidden_import_is_listed_with_its_reason():
    hidden = set()
    for name, tree in MODULES.items():
        top = {id(node) for node in ast.iter_child_nodes(tree)}
        inner = (node for node in ast.walk(tree) if id(node) not in top)
        hidden |= {(name.removeprefix("prefloop."), module) for node in inner for module in imported(node)}
    assert hidden == HIDDEN.keys()


def test_no_imports_go_round_in_a_circle_hidden_ones_and_stages_by_name_included():
    graph = {
        name: {module for node in ast.walk(tree) for module in imported(node)} & MODULES.keys()
        for name, tree in MODULES.items()
    }
    assert {name for name, modules in graph.items() if "prefloop.named" in modules} == BY_NAME.keys()
    for name, which in BY_NAME.items():
        stages = [stage for stage in STAGES.values() if stage.in_recipe or which != RECIPES]
        functions = {stage.function for stage in stages if which not in (SETTINGS, NEEDS)}
        functions |= {stage.needs for stage in stages if stage.needs is not None and which in (ALL, NEEDS)}
        named = functions | {stage.settings for stage in stages if stage.settings is not None}
        graph[name] |= {part.partition(":")[0] for part in named}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as problem:
        pytest.fail(" -> ".join(reversed(problem.args[1])))


def test_help_is_instant_and_loads_nothing():
    program = (
        "import sys, prefloop.cli; prefloop.cli.main(['--help'])\n"
        "bad = sorted({'torch', 'pydantic', 'transformers', 'numpy', 'yaml'} & set(sys.modules))\n"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)  # CPU seconds: whatever else the machine does
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


MACHINE = [
    re.escape(f"/{first}/{second}")
    for first, second in (("work", "main"), ("work", "shared"), ("opt", "pypi"), ("opt", "wheels"))
]
PLACES = re.compile("|".join([*MACHINE, r"(?<![\w.])/(?:root|home/\w+|Users/\w+)/"]))


def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_no_file_names_a_place_on_this_machine():
    offenders = []
    for path in tracked():
        if path.is_file() and path != Path(__file__):
            text = path.read_bytes().decode("utf-8", "replace")
            offenders += [f"{path.relative_to(ROOT)}: {match}" for match in PLACES.findall(text)]
    assert offenders == []
