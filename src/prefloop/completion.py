"""`prefloop completion SHELL`: a script that makes the TAB key complete stages, settings and files.

The script holds every word by itself, so completing starts no Python; print it again after an update.
"""

import typing
from collections.abc import Sequence
from importlib import resources

from prefloop import presets
from prefloop.config import Config, in_order, section
from prefloop.errors import UserError
from prefloop.named import named
from prefloop.stages import STAGES, Stage

USAGE = """prefloop completion bash|zsh|fish: print a script that makes the TAB key complete stages, settings and files.

  bash:  prefloop completion bash > ~/.local/share/bash-completion/completions/prefloop
  zsh:   prefloop completion zsh > ~/.prefloop.zsh; echo 'source ~/.prefloop.zsh' >> ~/.zshrc
  fish:  prefloop completion fish > ~/.config/fish/completions/prefloop.fish"""
SELF_PARSED = {
    "data": ("check", "preview", "augment", "hacks", "world"),
    "doctor": ("apply=", "page=", "judge=", "rollout=", "json="),
    "web": ("--demo", "--link", "--verify", "--host", "--port"),
    "completion": ("bash", "zsh", "fish"),
}
"""Command -> the words that it takes, beside files."""
BASH = """\
_prefloop() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" line="${{COMP_LINE:0:COMP_POINT}}" words=""
  [[ $line == *[[:space:]]* ]] && line="${{line##*[[:space:]]}}"
  if (( COMP_CWORD == 1 )); then
    words="{stages}"
  elif [[ $line == *=* ]]; then
    local value="${{line#*=}}"
    case "${{COMP_WORDS[1]}} ${{line%%=*}}" in
{values}
      *) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$value")); return ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$value"))
    return
  else
    case "${{COMP_WORDS[1]}}" in
{settings}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if (( COMP_CWORD > 1 )); then
    local file; for file in $(compgen -f -- "$current"); do COMPREPLY+=("$file"); done
  fi
  [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace 2>/dev/null
}}
complete -F _prefloop prefloop
"""


def main(arguments: Sequence[str]) -> int:
    """Prints the script. Returns: the exit code."""
    if "--help" in arguments:
        print(USAGE)
        return 0
    shell = arguments[0] if len(arguments) == 1 else ""
    if shell not in ("bash", "zsh", "fish"):
        raise UserError("`prefloop completion` needs one of bash, zsh, fish, for instance: prefloop completion bash")
    print(
        _fish()
        if shell == "fish"
        else ("autoload -U bashcompinit && bashcompinit\n" if shell == "zsh" else "") + _bash()
    )
    return 0


def _first_words() -> list[str]:
    """What can follow `prefloop`."""
    return [*dict.fromkeys(stage.command.split()[0] for stage in STAGES.values()), "help"]


def _settings(stage: Stage) -> dict[str, tuple[str, ...]]:
    """Setting of a stage -> the values that it can have, if they can be listed."""
    classes = (stage.settings, stage.variant and stage.variant.settings)
    found = {key: values for name in classes if name for key, values in _flat(named(name), "").items()}
    return found | ({"preset": tuple(presets.names(stage.name))} if "preset" in found else {})


def _flat(config: type[Config], prefix: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in in_order(config):
        annotation = config.model_fields[name].annotation
        inner = section(annotation)
        if inner is not None and issubclass(inner, Config):
            found |= _flat(inner, f"{prefix}{name}.")
            continue
        listed = typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()
        found[prefix + name] = ("true", "false") if annotation is bool else tuple(map(str, listed))
    return found


def _words() -> dict[str, list[str]]:
    """First word of a command -> what can follow it."""
    names = sorted(file.name for file in resources.files("prefloop.recipes").iterdir())
    recipes = [name.removesuffix(".yaml") for name in names if name.endswith(".yaml")]
    words = {stage.command.split()[0]: [f"{key}=" for key in _settings(stage)] for stage in STAGES.values()}
    words["run"] = [*recipes, "out=", "seed=", "base=", "model="]
    words["compare"] = [*words["run"], "methods=", "at_once="]
    return words | {name: list(given) for name, given in SELF_PARSED.items()} | {"help": _first_words()[:-1]}


def _bash() -> str:
    values = [
        f'      "{stage.command} {key}") words="{" ".join(listed)}" ;;'
        for stage in STAGES.values()
        if " " not in stage.command
        for key, listed in _settings(stage).items()
        if listed
    ]
    settings = [f'      {name}) words="{" ".join(words)}" ;;' for name, words in _words().items() if words]
    return BASH.format(stages=" ".join(_first_words()), values="\n".join(values), settings="\n".join(settings))


def _fish() -> str:
    first = [
        f"complete -c prefloop -n __fish_use_subcommand -f -a {stage.command} -d '{stage.sentence}'"
        for stage in STAGES.values()
        if " " not in stage.command
    ]
    then = [
        f"complete -c prefloop -n '__fish_seen_subcommand_from {name}' -a '{' '.join(words)}'"
        for name, words in _words().items()
        if words
    ]
    return "\n".join([*first, *then]) + "\n"
