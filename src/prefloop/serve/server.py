"""The server: a port first, then the model, which takes its time."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.models.device import placement
from prefloop.models.folders import speakers
from prefloop.models.load import causal
from prefloop.printing import printable
from prefloop.scoring.named import scorer
from prefloop.serve.app import create_app
from prefloop.serve.config import ServeConfig
from prefloop.serve.engine import Engine
from prefloop.serve.scores import PATH, create_scoring_app

HOST = "127.0.0.1"


def serve(path: str, config: ServeConfig) -> None:
    """Serves the last model of a folder (of a pipeline that is its policy) until it is stopped; or its reward model."""
    if config.scores:
        _serve_scores(path, config)
        return
    speaker = speakers(path)[-1]
    with listening(config.port) as listener:
        place = placement(config.device, "float32")
        policy = causal(speaker.path, place, template=config.template or speaker.template, weights=config.weights)
        said = policy.hold(config.weights)
        name = config.name or served_name(speaker.path)
        engine = Engine(
            policy,
            name=name,
            fingerprint=fingerprints.of_path(policy.path),
            max_tokens=config.max_tokens,
            max_rows=config.max_rows,
            cache_tokens=config.cache_tokens,
        )
        lines = [
            f"{name}, with a context of {policy.codec.context} tokens on {place.device}",
            f"http://{HOST}:{listener.getsockname()[1]}/v1",
            *said,
        ]
        if speaker.single_turn:
            lines[:0] = ["this policy has only ever seen single questions; earlier turns of a conversation confuse it."]
        _run(create_app(engine), listener, lines)


def _serve_scores(path: str, config: ServeConfig) -> None:
    """The same of a reward model, an ensemble or several. Raises: UserError if there is none."""
    with listening(config.port) as listener:
        place = placement(config.device, "float32")
        judge = scorer(path, place, weights=config.weights)
        url = f"http://{HOST}:{listener.getsockname()[1]}{PATH}"
        _run(create_scoring_app(judge), listener, [f"{judge.name}, which scores, on {place.device}", f"reward={url}"])


def _run(app: FastAPI, listener: socket.socket, lines: Sequence[str]) -> None:
    """Answers until it is stopped. Args: lines: said first."""
    print(printable("\n".join(f"serve: {line}" for line in lines)), flush=True)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once all connections are closed
        uvicorn.Server(settings).run(sockets=[listener])
    print("serve: stopped", flush=True)


def served_name(path: str) -> str:
    """What a model is called if nobody says: the last two parts of its path that mean something, and no machine's."""
    folder = Path(path)
    parts = (folder.resolve() if folder.is_dir() else folder).parts
    return "/".join([part for part in parts if part not in (layout.MODEL, layout.MODELS, "/")][-2:])[:120] or "model"


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
