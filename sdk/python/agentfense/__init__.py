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
from ._async.client import AsyncSandboxClient
from ._async.sandbox import AsyncSandbox
from ._errors import (
    CodebaseError,
    CodebaseNotFoundError,
    CommandExecutionError,
    CommandTimeoutError,
    ConnectionError,
    FileNotFoundError,
    InvalidConfigurationError,
    NotSupportedError,
    PermissionDeniedError,
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
from ._sync.client import SandboxClient
from ._sync.sandbox import Sandbox
from ._types import (
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
    Session,
    SessionStatus,
    Skipped,
    SkipReason,
    UploadResult,
)

__version__ = "0.1.0"

__all__ = [
    "AsyncExecStream",
    "AsyncSandbox",
    "AsyncSandboxClient",
    "Change",
    "Codebase",
    "CodebaseError",
    "CodebaseNotFoundError",
    "CommandExecutionError",
    "CommandTimeoutError",
    "CommitMode",
    "CommitResult",
    "ConnectionError",
    "Denial",
    "ExecChunk",
    "ExecResult",
    "ExecStream",
    "FileInfo",
    "FileNotFoundError",
    "IngestSummary",
    "InvalidConfigurationError",
    "Kind",
    "Loss",
    "NotSupportedError",
    "Operation",
    "PatternType",
    "Permission",
    "PermissionDeniedError",
    "PermissionRule",
    "ResourceLimitExceededError",
    "ResourceLimits",
    "RuleRef",
    "RuntimeType",
    "Sandbox",
    "SandboxClient",
    "SandboxError",
    "SandboxInfo",
    "SandboxNotFoundError",
    "SandboxNotRunningError",
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
