"""Every exception that this package raises.

Each is a :class:`SandboxError`, and also the builtin that fits, so that an
ordinary ``except TimeoutError`` catches it::

    SandboxError
    +-- ConnectionError             (also builtins.ConnectionError)
    +-- InvalidConfigurationError   (also ValueError)
    |   +-- InvalidTypeError        (also TypeError)
    +-- NotSupportedError           (also NotImplementedError)
    +-- PermissionDeniedError       (also PermissionError)
    +-- ResourceLimitExceededError
    +-- CommandTimeoutError         (also TimeoutError)
    +-- CommandExecutionError
    +-- SandboxNotFoundError        (also LookupError)
    +-- SandboxNotRunningError
    +-- ProcessNotFoundError        (also LookupError)
    +-- CodebaseError
    |   +-- CodebaseNotFoundError   (also LookupError)
    |   +-- ConflictError
    |   +-- FileError               (also OSError)
    |   |   +-- FileExistsError     (also builtins.FileExistsError)
    |   |   +-- FileNotFoundError   (also builtins.FileNotFoundError)
    |   |   +-- IsADirectoryError   (also builtins.IsADirectoryError)
    |   |   +-- NotADirectoryError  (also builtins.NotADirectoryError)
    |   +-- UploadError
    +-- SessionError
        +-- SessionNotFoundError    (also LookupError)
        +-- SessionClosedError

All of them survive pickling, attributes included.
"""

import builtins
import errno as errnos
import os
from typing import Any, Mapping, Optional, Sequence

__all__ = [
    "CodebaseError",
    "CodebaseNotFoundError",
    "CommandExecutionError",
    "CommandTimeoutError",
    "ConflictError",
    "ConnectionError",
    "FileError",
    "FileExistsError",
    "FileNotFoundError",
    "InvalidConfigurationError",
    "InvalidTypeError",
    "IsADirectoryError",
    "NotADirectoryError",
    "NotSupportedError",
    "PermissionDeniedError",
    "ProcessNotFoundError",
    "ResourceLimitExceededError",
    "SandboxError",
    "SandboxNotFoundError",
    "SandboxNotRunningError",
    "SessionClosedError",
    "SessionError",
    "SessionNotFoundError",
    "UploadError",
]

Details = Optional[Mapping[str, str]]


def _fill(error: OSError, number: Optional[int], path: Optional[str]) -> None:
    """Sets what a builtin OSError has."""
    error.errno = number
    error.strerror = None if number is None else os.strerror(number)
    error.filename = path


def _reduced(error: Any) -> Any:
    """For pickle, which by itself forgets what _fill has set."""
    names = ("errno", "strerror", "filename")
    state = {**error.__dict__, **{name: getattr(error, name) for name in names}}
    return type(error), (error.message,), state


class SandboxError(Exception):
    """The root of all errors of this package.

    ``details`` is what the server said beside its message: ``reason``, a stable
    word, and what the error is about. ``grpc_code`` is the number of the gRPC
    status, None where no call was made.
    """

    def __init__(
        self, message: str, details: Details = None, grpc_code: Optional[int] = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.grpc_code = grpc_code

    def __str__(self) -> str:
        return self.message

    @property
    def reason(self) -> str:
        """The server's stable word for what happened; empty if it gave none."""
        return (self.details or {}).get("reason", "")


class ConnectionError(SandboxError, builtins.ConnectionError):
    """No server answers at the endpoint, or it went away during a call."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        endpoint: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.endpoint = endpoint


class InvalidConfigurationError(SandboxError, ValueError):
    """An argument, a rule or a preset that cannot be used."""


class InvalidTypeError(InvalidConfigurationError, TypeError):
    """An argument of a type that cannot be used there."""


class NotSupportedError(SandboxError, NotImplementedError):
    """This version, or the server that answers, does not have it."""


class PermissionDeniedError(SandboxError, PermissionError):
    """The policy refuses it. ``rule`` is the pattern that decided."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        operation: str = "",
        path: Optional[str] = None,
        rule: Optional[str] = None,
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.operation = operation
        self.path = path
        self.rule = rule
        _fill(self, errnos.EACCES, path)

    def __reduce__(self) -> Any:
        return _reduced(self)


class ResourceLimitExceededError(SandboxError):
    """A limit of the server or of the sandbox is reached."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        resource_type: str = "",
        limit: Optional[str] = None,
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.resource_type = resource_type
        self.limit = limit


class CommandTimeoutError(SandboxError, TimeoutError):
    """The command ran longer than it may; it and its children were killed.

    ``stdout`` and ``stderr`` are what it had written by then; empty where somebody
    iterates over the output, and where only the waiting ended.
    """

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        command: str = "",
        timeout_seconds: Optional[float] = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.command = command
        self.timeout_seconds = timeout_seconds
        self.stdout = stdout
        self.stderr = stderr


class CommandExecutionError(SandboxError):
    """The command ended with an exit code other than 0."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        command: str = "",
        exit_code: int = 1,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.command = command
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class SandboxNotFoundError(SandboxError, LookupError):
    """No sandbox of the caller has this id, or has it any more."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        sandbox_id: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.sandbox_id = sandbox_id


class SandboxNotRunningError(SandboxError):
    """The call needs a sandbox in another status than ``current_status``."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        sandbox_id: str = "",
        current_status: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.sandbox_id = sandbox_id
        self.current_status = current_status


class ProcessNotFoundError(SandboxError, LookupError):
    """No process of the caller has this id, or it ended too long ago."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        process_id: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.process_id = process_id


class CodebaseError(SandboxError):
    """Something about a codebase; the root of the errors below it."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        codebase_id: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.codebase_id = codebase_id


class CodebaseNotFoundError(CodebaseError, LookupError):
    """No codebase of the caller has this id."""


class ConflictError(CodebaseError):
    """What the sandbox changed was changed elsewhere too; nothing was applied.

    ``paths`` are the first of them.
    """

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        codebase_id: str = "",
        paths: Sequence[str] = (),
    ) -> None:
        super().__init__(message, details, grpc_code, codebase_id=codebase_id)
        self.paths = list(paths)


class FileError(CodebaseError, OSError):
    """What cannot be done with a file, whoever tries; ``errno`` is what a local file would give.

    ENOTEMPTY is a directory that holds something, EXDEV a rename between two
    places, ENXIO something that is neither a file nor a directory.
    """

    _errno: Optional[int] = None

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        codebase_id: str = "",
        file_path: str = "",
        errno: Optional[int] = None,
    ) -> None:
        super().__init__(message, details, grpc_code, codebase_id=codebase_id)
        self.file_path = file_path
        _fill(self, self._errno if errno is None else errno, file_path)

    def __reduce__(self) -> Any:
        return _reduced(self)


class FileExistsError(FileError, builtins.FileExistsError):
    """Something else is where a directory is to be made."""

    _errno = errnos.EEXIST


class FileNotFoundError(FileError, builtins.FileNotFoundError):
    """The file does not exist, or the policy hides it."""

    _errno = errnos.ENOENT


class IsADirectoryError(FileError, builtins.IsADirectoryError):
    """It is a directory, and not a file."""

    _errno = errnos.EISDIR


class NotADirectoryError(FileError, builtins.NotADirectoryError):
    """It is no directory, or leads through something that is none."""

    _errno = errnos.ENOTDIR


class UploadError(CodebaseError):
    """A file or a directory could not be stored."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        codebase_id: str = "",
        file_path: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code, codebase_id=codebase_id)
        self.file_path = file_path


class SessionError(SandboxError):
    """Something about a session; the root of the errors below it."""

    def __init__(
        self,
        message: str,
        details: Details = None,
        grpc_code: Optional[int] = None,
        *,
        session_id: str = "",
    ) -> None:
        super().__init__(message, details, grpc_code)
        self.session_id = session_id


class SessionNotFoundError(SessionError, LookupError):
    """No session of the caller has this id."""


class SessionClosedError(SessionError):
    """The session's shell has ended."""
