"""What goes on in a sandbox: its sessions, its processes, the changes of its files."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from ._enums import FileEventKind, SessionStatus
from ._types import shown


@dataclass(frozen=True)
class Session:
    """A persistent shell, as the server last described it."""

    id: str
    sandbox_id: str
    status: SessionStatus
    shell: str = ""
    created_at: Optional[datetime] = None
    closed_at: Optional[datetime] = None
    # Process id of the shell inside the sandbox.
    pid: int = 0
    # Why it is closed.
    close_reason: str = ""
    # Closed after this long without a command; None means never.
    idle_timeout: Optional[timedelta] = None


@dataclass(frozen=True)
class ProcessInfo:
    """A command in the background, as the server last described it."""

    id: str
    sandbox_id: str
    # Process id inside the sandbox.
    pid: int
    command: str
    started_at: Optional[datetime] = None
    # None while it runs; 128 + n for a command that signal n ended.
    exit_code: Optional[int] = None
    # The signal that ended it, else 0.
    signal: int = 0
    # It has a terminal.
    pty: bool = False

    @property
    def running(self) -> bool:
        return self.exit_code is None


@dataclass(frozen=True)
class FileEvent:
    """One change below a watched directory. A rename is a removal and a creation."""

    kind: FileEventKind
    # Relative to the codebase's root, without a leading slash.
    path: str
    is_dir: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {shown(self.path)}"


@dataclass(frozen=True)
class Progress:
    """How far a transfer is."""

    # Bytes so far.
    bytes: int
    # Bytes in all, where that is known.
    total: Optional[int] = None
    # Files so far, where a directory is on its way.
    files: int = 0
