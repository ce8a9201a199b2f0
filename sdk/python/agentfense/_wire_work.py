"""Between messages about sessions, processes and file events, and our types. Pure."""

import os
from typing import Optional

from . import _wire
from . import _work as w
from ._enums import FileEventKind, SessionStatus
from ._gen import file_pb2 as fl
from ._gen import process_pb2 as pr
from ._gen import sandbox_pb2 as sb

_KIND = {
    fl.FileEvent.KIND_CREATED: FileEventKind.CREATED,
    fl.FileEvent.KIND_MODIFIED: FileEventKind.MODIFIED,
    fl.FileEvent.KIND_REMOVED: FileEventKind.REMOVED,
    fl.FileEvent.KIND_ATTRIBUTES: FileEventKind.ATTRIBUTES,
}


def session(message: sb.Session) -> w.Session:
    active = message.status == sb.SESSION_STATUS_ACTIVE
    return w.Session(
        id=message.id,
        sandbox_id=message.sandbox_id,
        status=SessionStatus.ACTIVE if active else SessionStatus.CLOSED,
        shell=message.shell,
        created_at=_wire.time_of(message, "created_at"),
        closed_at=_wire.time_of(message, "closed_at"),
        pid=message.pid,
        close_reason=message.close_reason,
        idle_timeout=_wire.span(message, "idle_timeout"),
    )


def process(message: pr.Process) -> w.ProcessInfo:
    ended = message.HasField("exit")
    return w.ProcessInfo(
        id=message.id,
        sandbox_id=message.sandbox_id,
        pid=message.pid,
        command=message.command,
        started_at=_wire.time_of(message, "started_at"),
        exit_code=message.exit.exit_code if ended else None,
        signal=message.exit.signal,
        pty=message.pty,
    )


def file_event(message: fl.FileEvent) -> Optional[w.FileEvent]:
    """The event; None for the first message of a stream, which carries none."""
    if message.kind == fl.FileEvent.KIND_UNSPECIFIED:
        return None
    kind = _KIND.get(message.kind, FileEventKind.OVERFLOW)
    return w.FileEvent(kind, os.fsdecode(message.path), message.is_dir)
