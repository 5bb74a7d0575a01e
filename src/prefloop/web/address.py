"""Where the page listens, and the address that is printed."""

import socket

from prefloop.errors import UserError
from prefloop.web.config import WebConfig

EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for every address of this machine."""


def free_port(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises: UserError if the address or the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        why = problem.strerror or problem
        raise UserError(f"cannot listen on {host}:{port} ({why}). Choose another: --port 0 takes a free one.") from None
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def own_address(host: str) -> str:
    """This machine's address in its network, of the kind of `host`; without a network, that of the machine itself."""
    family, anywhere, alone = socket.AF_INET, "192.0.2.1", "127.0.0.1"
    if ":" in host:
        family, anywhere, alone = socket.AF_INET6, "2001:db8::1", "::1"
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((anywhere, 9))  # sends nothing: it only chooses the way to a place that does not exist
            return str(asked.getsockname()[0])
        except OSError:
            return alone


def base(config: WebConfig, port: int) -> str:
    """The address that is printed: one that a colleague can open where the network is let in."""
    if config.https and config.names:
        return f"https://{config.names[0]}"
    host = config.host
    if host in EVERYWHERE:
        host = config.names[0] if config.names else own_address(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
