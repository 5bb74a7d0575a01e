"""`prefloop serve FOLDER [key=value ...]`: one policy over HTTP, as OpenAI's API does, on this machine only.

Reads: a model folder, a stage's folder or a pipeline's (then the policy that `evaluate` selected). Writes nothing. A reward
model is refused: it only scores (PIPE-9). Leaves out: streaming, tools, log-probabilities, many requests in one batch.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from prefloop.errors import UserError
from prefloop.models.folders import Speaker, speakers
from prefloop.serve.config import ServeConfig

HOST = "127.0.0.1"
USAGE = """prefloop serve FOLDER [key=value ...]: serve a policy over HTTP, as OpenAI's API does.

  FOLDER is a model folder or a hub id, a stage's folder, or a pipeline's folder: then it is the selected policy.
  GET /v1/models and POST /v1/chat/completions, on 127.0.0.1 only, until Ctrl-C.
"""


def main(arguments: Sequence[str]) -> int:
    """Serves until it is stopped. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(help_text())
        return 0
    paths = [argument for argument in arguments if "=" not in argument]
    config = ServeConfig.load(None, [argument for argument in arguments if "=" in argument])
    if len(paths) != 1:
        raise UserError("`prefloop serve` needs one folder, for instance: prefloop serve demo")
    speaker = speakers(paths[0])[-1]  # of a pipeline, the aligned policy
    with listening(config.port) as listener:  # before the model, which takes its time
        _serve(speaker, config, listener)
    return 0


def _serve(speaker: Speaker, config: ServeConfig, listener: socket.socket) -> None:
    import uvicorn

    from prefloop.files import fingerprints
    from prefloop.models.device import placement
    from prefloop.models.load import causal
    from prefloop.serve.app import create_app
    from prefloop.serve.engine import Engine

    place = placement(config.device, "float32")
    policy = causal(speaker.path, place, template=config.template or speaker.template)
    name = config.name or served_name(speaker.path)
    engine = Engine(policy, name=name, fingerprint=fingerprints.of_path(policy.path), max_tokens=config.max_tokens)
    if speaker.single_turn:
        print(
            "serve: this policy has only ever seen single questions; earlier turns of a conversation confuse it.",
            flush=True,
        )
    print(f"serve: {name}, with a context of {policy.codec.context} tokens on {place.device}", flush=True)
    print(f"serve: http://{HOST}:{listener.getsockname()[1]}/v1", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(engine), log_level="warning", access_log=False, proxy_headers=False, server_header=False
        )
    )
    server.run(sockets=[listener])


def help_text() -> str:
    """What `prefloop serve --help` prints."""
    from prefloop.config import settings_help

    return USAGE + "\n" + settings_help("serve", "serve a policy over HTTP", ServeConfig).partition("\n\n")[2]


def served_name(path: str) -> str:
    """What a model is called if nobody says: the last two parts of its path that mean something, and no place on this machine."""
    folder = Path(path)
    parts = [
        part for part in (folder.resolve() if folder.is_dir() else folder).parts if part not in ("model", "models", "/")
    ]
    return "/".join(parts[-2:])[:120] or "model"


def listening(port: int) -> socket.socket:
    """A socket that listens on this machine only. Raises: UserError if the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as problem:
        listener.close()
        raise UserError(
            f"cannot listen on {HOST}:{port} ({problem.strerror or problem}). Choose another: port=0 takes a free one."
        ) from None
    listener.listen(128)
    return listener
