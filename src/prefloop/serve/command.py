"""`prefloop serve FOLDER [key=value ...]`: one policy over HTTP, as OpenAI's API does, on this machine only.

Reads: a model folder, a stage's folder or a pipeline's (then the policy that `evaluate` selected). Writes nothing.
A reward model is refused, but with scores=true it tells its scores (PIPE-9). Leaves out: tools, log-probabilities,
penalties.
"""

from collections.abc import Sequence

from prefloop.config import settings_help
from prefloop.errors import UserError
from prefloop.extras import check_extra
from prefloop.serve.config import ServeConfig

USAGE = """prefloop serve FOLDER [key=value ...]: serve a policy over HTTP, as OpenAI's API does.

  FOLDER is a model folder or a hub id, a stage's folder, or a pipeline's folder: then it is the selected policy.
  GET /v1/models and POST /v1/chat/completions, on 127.0.0.1 only, until Ctrl-C.
  With scores=true FOLDER is a reward model, and POST /get_reward tells its scores."""


def main(arguments: Sequence[str]) -> int:
    """Serves until it is stopped. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(settings_help(USAGE, ServeConfig))
        return 0
    paths = [argument for argument in arguments if "=" not in argument]
    config = ServeConfig.load(None, [argument for argument in arguments if "=" in argument])
    if len(paths) != 1:
        raise UserError("`prefloop serve` needs one folder, for instance: prefloop serve demo")
    check_extra("web", "`prefloop serve`")
    from prefloop.serve.server import serve

    serve(paths[0], config)
    return 0
