"""How channels are set up. Imported before any other module that imports gRPC."""

import os
from typing import List, Tuple, Union

# Without it a process that was forked after a call cannot make calls of its
# own. gRPC reads it when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")
# What goes wrong comes as an exception; gRPC need not write to stderr as well.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

Option = Tuple[str, Union[int, str]]

# One answer may be large: a diff, or the output of a command.
_MAX_MESSAGE = 256 << 20

_OPTIONS: List[Option] = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # A server that was just started is found at once, not after a minute.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A stream has no deadline: without these it would wait for a server that
    # stopped answering for as long as the command may run.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
]

# A stream of answers is read by the thread that asks for it, by no other.
SINGLE_THREADED: Option = ("SingleThreadedUnaryStream", 1)


def options() -> List[Option]:
    """Those of a new channel.

    Channels with the same options share a connection, and the server takes a
    connection for the user who opened it: a program that gave up its rights since
    then gets one of its own. So does a forked child, for that of its parent may be
    of no use to it.
    """
    caller = (os.getpid(), os.geteuid(), os.getegid(), *os.getgroups())
    return [*_OPTIONS, ("agentfense.caller", " ".join(map(str, caller)))]
