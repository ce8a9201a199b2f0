"""Run untrusted code on a real codebase, with a policy for every path.

    from agentfense import Sandbox

    with Sandbox.from_local("./my-project", preset="agent-safe") as sandbox:
        result = sandbox.run("python analyze.py")

:class:`Sandbox` and :class:`AsyncSandbox` are the usual way in;
:class:`SandboxClient` and :class:`AsyncSandboxClient` have one method a call.
Every error is a :class:`SandboxError`.
"""

from . import _channel  # isort: skip  # noqa: F401  (first, before gRPC is imported)
from ._async._exec import AsyncExecStream
from ._async._files import AsyncFileStream, AsyncFileWatch
from ._async.client import AsyncSandboxClient
from ._async.files import AsyncSandboxFiles
from ._async.process import AsyncProcess, AsyncPty
from ._async.sandbox import AsyncSandbox
from ._async.session import AsyncSandboxSession
from ._enums import FileEventKind, SessionStatus
from ._errors import (
    CodebaseError,
    CodebaseNotFoundError,
    CommandExecutionError,
    CommandTimeoutError,
    ConflictError,
    ConnectionError,
    FileError,
    FileExistsError,
    FileNotFoundError,
    InvalidConfigurationError,
    InvalidTypeError,
    IsADirectoryError,
    NotADirectoryError,
    NotSupportedError,
    PermissionDeniedError,
    ProcessNotFoundError,
    ResourceLimitExceededError,
    SandboxError,
    SandboxNotFoundError,
    SandboxNotRunningError,
    SessionClosedError,
    SessionError,
    SessionNotFoundError,
    UploadError,
)
from ._presets import extend_preset, get_preset, list_presets, register_preset
from ._sync._exec import ExecStream
from ._sync._files import FileStream, FileWatch
from ._sync.client import SandboxClient
from ._sync.files import SandboxFiles
from ._sync.process import Process, Pty
from ._sync.sandbox import Sandbox
from ._sync.session import SandboxSession
from ._types import (
    ApplyResult,
    Change,
    Codebase,
    CommitMode,
    CommitResult,
    Denial,
    ExecChunk,
    ExecResult,
    FileInfo,
    IngestSummary,
    Kind,
    Loss,
    Operation,
    PatternType,
    Permission,
    PermissionRule,
    ResourceLimits,
    RuleRef,
    RuntimeType,
    SandboxInfo,
    SandboxStatus,
    ServerInfo,
    Skipped,
    SkipReason,
    UploadResult,
)
from ._work import FileEvent, ProcessInfo, Progress, Session

__version__ = "0.1.0"

__all__ = [
    "ApplyResult",
    "AsyncExecStream",
    "AsyncFileStream",
    "AsyncFileWatch",
    "AsyncProcess",
    "AsyncPty",
    "AsyncSandbox",
    "AsyncSandboxClient",
    "AsyncSandboxFiles",
    "AsyncSandboxSession",
    "Change",
    "Codebase",
    "CodebaseError",
    "CodebaseNotFoundError",
    "CommandExecutionError",
    "CommandTimeoutError",
    "CommitMode",
    "CommitResult",
    "ConflictError",
    "ConnectionError",
    "Denial",
    "ExecChunk",
    "ExecResult",
    "ExecStream",
    "FileError",
    "FileEvent",
    "FileEventKind",
    "FileExistsError",
    "FileInfo",
    "FileNotFoundError",
    "FileStream",
    "FileWatch",
    "IngestSummary",
    "InvalidConfigurationError",
    "InvalidTypeError",
    "IsADirectoryError",
    "Kind",
    "Loss",
    "NotADirectoryError",
    "NotSupportedError",
    "Operation",
    "PatternType",
    "Permission",
    "PermissionDeniedError",
    "PermissionRule",
    "Process",
    "ProcessInfo",
    "ProcessNotFoundError",
    "Progress",
    "Pty",
    "ResourceLimitExceededError",
    "ResourceLimits",
    "RuleRef",
    "RuntimeType",
    "Sandbox",
    "SandboxClient",
    "SandboxError",
    "SandboxFiles",
    "SandboxInfo",
    "SandboxNotFoundError",
    "SandboxNotRunningError",
    "SandboxSession",
    "SandboxStatus",
    "ServerInfo",
    "Session",
    "SessionClosedError",
    "SessionError",
    "SessionNotFoundError",
    "SessionStatus",
    "SkipReason",
    "Skipped",
    "UploadError",
    "UploadResult",
    "extend_preset",
    "get_preset",
    "list_presets",
    "register_preset",
]
