"""The values that go in and come out, as frozen dataclasses; the enums are in _enums.

Times are timezone-aware (UTC), sizes are bytes, durations are timedelta. Paths
are text as :func:`os.fsdecode` gives it, so a name that is not UTF-8 survives
the way there and back.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Dict, Iterable, List, Optional, Tuple, Union

from . import _check

# The enums belong to these types: modules import both from here.
from ._enums import (
    CommitMode as CommitMode,
)
from ._enums import (
    Kind as Kind,
)
from ._enums import (
    Operation as Operation,
)
from ._enums import (
    PatternType as PatternType,
)
from ._enums import (
    Permission as Permission,
)
from ._enums import (
    RuntimeType as RuntimeType,
)
from ._enums import (
    SandboxStatus as SandboxStatus,
)
from ._enums import (
    SkipReason as SkipReason,
)
from ._errors import CommandExecutionError, PermissionDeniedError
from ._rules import (
    Denial as Denial,
)
from ._rules import (
    PermissionRule as PermissionRule,
)
from ._rules import (
    RuleLike as RuleLike,
)
from ._rules import (
    RuleRef as RuleRef,
)
from ._rules import (
    shown as shown,
)


@dataclass(frozen=True)
class ResourceLimits:
    """Bounds of one sandbox. None means the server's default."""

    # Swap excluded.
    memory_bytes: Optional[int] = None
    # Microseconds of CPU time in each 100 ms: 150_000 is one and a half CPUs.
    cpu_quota: Optional[int] = None
    # Relative weight; 1024 is normal.
    cpu_shares: Optional[int] = None
    # Processes and threads together.
    pids_limit: Optional[int] = None
    # Seconds that one command may run; its own timeout can only be shorter.
    timeout: Union[int, float, timedelta, None] = None
    # Bytes that the delta may hold.
    disk_bytes: Optional[int] = None
    # Bytes per second that all commands together may write to their standard
    # output, standard error and terminals, on average; they wait where they
    # write faster. At least 65_536, at most ServerInfo.max_output_rate.
    output_rate: Optional[int] = None


@dataclass(frozen=True)
class ExecResult:
    """How a command ended and what it wrote."""

    # Bytes that are not UTF-8 are replaced here; stdout_bytes is exact.
    stdout: str
    stderr: str
    # 128 + n for a command that signal n ended.
    exit_code: int
    duration: timedelta = timedelta()
    command: str = ""
    stdout_bytes: bytes = field(default=b"", repr=False)
    stderr_bytes: bytes = field(default=b"", repr=False)
    # Output over the server's limit was dropped.
    truncated: bool = False
    # The signal that ended the command, else 0.
    signal: int = 0
    # Ended for going over the memory limit.
    oom_killed: bool = False
    denials: List[Denial] = field(default_factory=list)
    # Failed operations that denials does not tell about: there were too many.
    denials_omitted: int = 0

    @property
    def success(self) -> bool:
        return self.exit_code == 0

    @property
    def output(self) -> str:
        """Standard output, then standard error."""
        return self.stdout + self.stderr

    def raise_on_error(self) -> "ExecResult":
        """Returns itself; CommandExecutionError if the exit code is not 0."""
        if self.success:
            return self
        why = " (over its memory limit)" if self.oom_killed else ""
        last = self.stderr.strip()[-500:]
        raise CommandExecutionError(
            f"command {self.command!r} ended with exit code {self.exit_code}{why}"
            + (f": {last}" if last else ""),
            command=self.command,
            exit_code=self.exit_code,
            stdout=self.stdout,
            stderr=self.stderr,
        )

    def raise_on_denied(self) -> "ExecResult":
        """Returns itself; PermissionDeniedError if the command ran into the policy."""
        if not self.denials:
            return self
        first = self.denials[0]
        raise PermissionDeniedError(
            f"the policy refused to {first.operation} {first.path}: {first.hint}",
            operation=first.operation,
            path=first.path,
            rule=str(first.rule) if first.rule else None,
        )


class ExecChunk(bytes):
    """A piece of output: bytes that know their stream, "stdout" or "stderr"."""

    stream: str

    def __new__(cls, data: bytes, stream: str) -> "ExecChunk":
        chunk = super().__new__(cls, data)
        chunk.stream = stream
        return chunk

    def __getnewargs__(self) -> Tuple[bytes, str]:  # type: ignore[override]
        return bytes(self), self.stream

    @property
    def text(self) -> str:
        """The piece as text; a character cut in two at its edge is replaced."""
        return self.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"ExecChunk({bytes(self)!r}, {self.stream!r})"


@dataclass(frozen=True)
class Loss:
    """One protection that was asked for and that the host cannot give."""

    name: str
    consequence: str
    fix: str


@dataclass(frozen=True)
class SandboxInfo:
    id: str
    codebase_id: str
    status: SandboxStatus
    permissions: List[PermissionRule] = field(default_factory=list)
    labels: Dict[str, str] = field(default_factory=dict)
    created_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    stopped_at: Optional[datetime] = None
    expires_at: Optional[datetime] = None
    runtime: RuntimeType = RuntimeType.BWRAP
    image: Optional[str] = None
    resources: Optional[ResourceLimits] = None
    commit_mode: CommitMode = CommitMode.MANUAL
    # Root digest of the snapshot that the sandbox sees.
    snapshot: str = ""
    # Why the status is ERROR, or why the sandbox stopped by itself.
    status_reason: str = ""
    # Protection that was asked for and that the host cannot give.
    losses: List[Loss] = field(default_factory=list)
    # Losses that the request accepted by name.
    accepted_losses: List[str] = field(default_factory=list)
    # It starts with no loss at all but the accepted ones.
    strict: bool = False
    # Destroyed after this long without a call and without a command.
    idle_timeout: Optional[timedelta] = None
    seccomp_groups: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Skipped:
    """Entries of a directory that were left out for one reason."""

    reason: SkipReason
    count: int
    # The first of them, at most 100; a directory stands for all below it.
    paths: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class IngestSummary:
    """What of a directory went into the codebase, and what did not."""

    files: int
    directories: int
    symlinks: int
    bytes: int
    # What the server did not hold yet.
    new_bytes: int
    skipped: List[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class Codebase:
    id: str
    name: str
    owner_id: str = ""
    # Bytes of all files together.
    size: int = 0
    # Regular files and symbolic links.
    file_count: int = 0
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    # Root digest of the newest snapshot.
    head: str = ""
    # Deleted after this long without a call that names it and without a sandbox
    # of it; None means never.
    idle_timeout: Optional[timedelta] = None
    # Set where this object came from a directory.
    ingest: Optional[IngestSummary] = None

    @property
    def skipped(self) -> List[Skipped]:
        """What was left out of the directory that the codebase was made from."""
        return self.ingest.skipped if self.ingest else []


@dataclass(frozen=True)
class FileInfo:
    """A file, directory or symbolic link. As text it is its path."""

    # Relative to the root, without a leading slash.
    path: str
    name: str
    is_dir: bool = False
    size: int = 0
    modified_at: Optional[datetime] = None
    # Permission bits.
    mode: int = 0
    # Target of a symbolic link.
    symlink_target: Optional[str] = None

    def __str__(self) -> str:
        return self.path

    def __fspath__(self) -> str:
        return self.path


@dataclass(frozen=True)
class UploadResult:
    codebase_id: str
    file_path: str
    size: int
    # SHA-256, 64 hex digits.
    checksum: str


@dataclass(frozen=True)
class Change:
    """One difference between a sandbox's delta and its snapshot."""

    # Relative to the root, with a leading slash.
    path: str
    operation: Operation
    kind: Kind = Kind.FILE
    mode: int = 0
    size: int = 0
    # The name is hidden in the codebase: the sandbox has a private file there,
    # and no commit applies it.
    shadowed: bool = False
    # Below write level: a commit refuses it, for this rule.
    refused: bool = False
    rule: Optional[RuleRef] = None
    # Why it is refused, in words; empty where it is not.
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        refused = ", refused" if self.refused else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.operation} {shown(self.path)}{refused}{why}"


@dataclass(frozen=True)
class CommitResult:
    # Root digest of the codebase's new head; the old one if nothing changed.
    head: str
    applied: List[Change] = field(default_factory=list)
    refused: List[Change] = field(default_factory=list)


@dataclass(frozen=True)
class ApplyResult:
    """What apply_to did to a local directory."""

    applied: List[Change] = field(default_factory=list)
    # Not permitted, hidden, in a .git directory, or a link that leads outside.
    refused: List[Change] = field(default_factory=list)
    # There already, or a deleted directory that holds other files and stays.
    unchanged: List[Change] = field(default_factory=list)


@dataclass(frozen=True)
class ServerInfo:
    version: str
    kernel: str
    losses: List[Loss] = field(default_factory=list)
    # Sandboxes of the caller.
    sandboxes: int = 0
    # Bytes per second that any sandbox's commands may write; 0: no limit.
    max_output_rate: int = 0


Command = Union[str, Iterable[_check.Path]]
