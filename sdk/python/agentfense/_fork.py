"""What becomes of gRPC in a forked child.

Its own handlers run inside fork(2). There they would wait for ever for the lock
of a channel that has a call under way. So such channels are hidden from them; in
the child gRPC is of no use then, and whoever wants to make a call gets an error.
"""

import contextlib
import os
from typing import Any, Iterator, List, Set, Tuple

from grpc._cython import cygrpc

from ._errors import SandboxError

# Calls under way, each with its channel. A child keeps those of its parent, for
# to let go of a call is to end it.
_calls: Set[Tuple[object, Any]] = set()
_hidden: List[Any] = []
# Not empty in a process that can make no calls.
_unusable: List[bool] = []


@contextlib.contextmanager
def call(channel: Any) -> Iterator[None]:
    """A call of the channel is under way; at its end in a child it is an error."""
    pid, entry = os.getpid(), (object(), channel)
    _calls.add(entry)
    try:
        yield
    finally:
        if pid == os.getpid():
            _calls.discard(entry)


def check(pid: int) -> None:
    """An error in any process but this one."""
    if pid != os.getpid():
        raise SandboxError("this call belongs to the process that this one was forked from")


def check_usable() -> None:
    """An error in a process that can make no calls."""
    if _unusable:
        raise SandboxError(
            "the client cannot be used in a process that was forked while a call was under way: "
            "fork before or after it, or start the process with spawn or forkserver"
        )


def _before() -> None:
    _hidden[:] = {channel for _, channel in list(_calls)}
    for channel in _hidden:
        cygrpc.fork_unregister_channel(channel)


def _after_in_parent() -> None:
    for channel in _hidden:
        cygrpc.fork_register_channel(channel)
    _hidden.clear()


def _after_in_child() -> None:
    if _hidden:
        _unusable.append(True)


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
