"""Where the server is, and what to say when nobody answers there."""

import os
import socket
from dataclasses import dataclass
from typing import Optional

from . import _check
from ._errors import InvalidConfigurationError

ENVIRONMENT = "AGENTFENSE_ENDPOINT"
DEFAULT = "unix:///run/agentfense/api.sock"


@dataclass(frozen=True)
class Endpoint:
    # As gRPC takes it: unix:/path or host:port.
    target: str
    # Empty for an endpoint that is not a unix socket.
    socket_path: str = ""

    def __str__(self) -> str:
        return f"unix://{self.socket_path}" if self.socket_path else self.target


def resolve(endpoint: Optional[_check.Path] = None) -> Endpoint:
    """The argument, else AGENTFENSE_ENDPOINT, else the default socket."""
    named = _check.maybe_path(endpoint, "endpoint")
    given = named or _check.text(os.environ.get(ENVIRONMENT, ""), ENVIRONMENT) or DEFAULT
    path = given
    for prefix in ("unix://", "unix:"):
        if given.startswith(prefix):
            path = given[len(prefix) :]
            break
    else:
        if not given.startswith("/"):
            return _tcp(given)
    if not path.startswith("/"):
        raise InvalidConfigurationError(
            f"endpoint {given!r}: the path of the socket must be absolute, as in unix:///run/x.sock"
        )
    return Endpoint(f"unix:{path}", path)


def _tcp(given: str) -> Endpoint:
    target = given[len("tcp://") :] if given.startswith("tcp://") else given
    host, colon, port = target.rpartition(":")
    wrong_port = not (port.isascii() and port.isdigit() and 0 < int(port[-9:]) < 1 << 16)
    wrong_host = not host or any(c.isspace() for c in host)
    if "://" in target or not colon or wrong_host or wrong_port:
        raise InvalidConfigurationError(
            f"endpoint {given!r} is neither unix:///path/to/socket nor host:port"
        )
    return Endpoint(target)


def diagnose(endpoint: str, message: str, cause: str) -> str:
    """What to tell a user whose call found no server: the cause, then the cure.

    The cause is why nobody accepts a connection there, if that is so.
    """
    if cause == "permission denied":
        return f"may not connect to the AgentFense server at {endpoint}: {cause}"
    if not cause:
        return f"the AgentFense server at {endpoint} went away during the call: {message}"
    return (
        f"no AgentFense server answers at {endpoint} ({cause}). "
        f"Start one with `sudo sandboxd`, or name a running one with endpoint= or {ENVIRONMENT}."
    )


def refusal(endpoint: Endpoint) -> str:
    """Why nobody there accepts a connection; empty if somebody does. It blocks."""
    try:
        if endpoint.socket_path:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.settimeout(1)
                s.connect(endpoint.socket_path)
        else:
            host, _, port = endpoint.target.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError as e:
        return reason(e)
    return ""


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
