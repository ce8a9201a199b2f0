"""From the status of a failed call to the exception that it means. Pure."""

import errno
import json
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, Mapping, Optional, Tuple, Type

from . import _errors as errors
from ._endpoint import diagnose
from ._gen import status_pb2

CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 1, 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 7, 8, 9
UNIMPLEMENTED, UNAVAILABLE = 12, 14

_TOO_LARGE = re.compile(r"(?:grpc: received|Sent) message larger than max \((\d+) vs\. (\d+)\)")
_ERROR_INFO = "/google.rpc.ErrorInfo"


@dataclass(frozen=True)
class About:
    """What a call was about: fills in what the server's answer leaves out."""

    endpoint: str = ""
    # Why nobody accepts a connection there, if that is so.
    refusal: str = ""
    sandbox_id: str = ""
    codebase_id: str = ""
    session_id: str = ""
    process_id: str = ""
    path: str = ""
    # "read", "write", "upload", ...
    operation: str = ""
    command: str = ""
    timeout: Optional[float] = None


@dataclass(frozen=True)
class Failure:
    """A failed call: its status, the server's detail, and what it was about."""

    code: int
    message: str
    about: About
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str, otherwise: str = "") -> str:
        return self.metadata.get(key) or otherwise

    @property
    def details(self) -> Dict[str, str]:
        told = dict(self.metadata)
        if self.reason:
            told["reason"] = self.reason
        return told


def read_detail(trailer: Optional[bytes]) -> Tuple[str, Dict[str, str]]:
    """Reason and metadata of the ErrorInfo in a grpc-status-details-bin trailer."""
    if trailer:
        status = status_pb2.Status()
        try:
            status.ParseFromString(trailer)
            for detail in status.details:
                if detail.type_url.endswith(_ERROR_INFO):
                    info = status_pb2.ErrorInfo()
                    info.ParseFromString(detail.value)
                    return info.reason, dict(info.metadata)
        except Exception:  # a damaged detail must not hide the failure itself
            return "", {}
    return "", {}


def to_error(
    code: int, message: str, trailer: Optional[bytes], about: About
) -> errors.SandboxError:
    """The exception for a failed call."""
    reason, metadata = read_detail(trailer)
    failure = Failure(code, message, about, reason, metadata)
    build = _BY_REASON.get(reason) or _BY_CODE.get(code, _plain)
    return build(failure)


def timed_out(metadata: Mapping[str, str], about: About) -> errors.CommandTimeoutError:
    """The exception for an answer that tells of a timeout."""
    return _command_timeout(
        Failure(DEADLINE_EXCEEDED, "", about, "COMMAND_TIMEOUT", dict(metadata))
    )


def never_sent(error: errors.SandboxError) -> bool:
    """Whether the call surely did not reach a server."""
    return (error.details or {}).get("grpc", "").startswith("failed to connect")


def answered(error: BaseException) -> bool:
    """Whether an error of a call is the server's own answer, or no call was made.

    After any other the server may have done what it was asked for.
    """
    if not isinstance(error, errors.SandboxError):
        return False
    if never_sent(error):
        return True
    if error.reason:
        return error.reason != "CALL_TIMEOUT"
    return error.grpc_code not in (CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, UNAVAILABLE)


def _plain(f: Failure) -> errors.SandboxError:
    return errors.SandboxError(f.message or f"the call failed: {f.reason}", f.details, f.code)


def _connection(f: Failure) -> errors.SandboxError:
    message = diagnose(f.about.endpoint, f.message, f.about.refusal)
    details = dict(f.details, grpc=f.message)
    return errors.ConnectionError(message, details, f.code, endpoint=f.about.endpoint)


def _configuration(f: Failure) -> errors.SandboxError:
    if f.about.operation == "upload" and f.reason in ("", "INVALID_PATH"):
        return _upload(f)
    return errors.InvalidConfigurationError(f.message, f.details, f.code)


def _not_supported(f: Failure) -> errors.SandboxError:
    message = f.message if f.reason else f"the server does not know this call: {f.message}"
    return errors.NotSupportedError(message, f.details, f.code)


def _denied(f: Failure) -> errors.SandboxError:
    return errors.PermissionDeniedError(
        f.message,
        f.details,
        f.code,
        operation=f.get("operation", f.about.operation),
        path=f.get("path", f.about.path) or None,
        rule=f.get("rule") or None,
    )


def _limit(f: Failure) -> errors.SandboxError:
    large = None if f.reason else _TOO_LARGE.search(f.message)
    if large:
        # gRPC refuses it by itself, which the server cannot give a detail.
        size, most = large.groups()
        return errors.ResourceLimitExceededError(
            f"the request has {size} bytes, and the server takes at most {most}: "
            "write what is large to a file, or send it to the input of a process",
            f.details,
            f.code,
            resource_type="message-size",
            limit=most,
        )
    return errors.ResourceLimitExceededError(
        f.message,
        f.details,
        f.code,
        resource_type=f.get("resource"),
        limit=f.get("limit") or None,
    )


def _number(text: str, otherwise: Optional[float]) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return otherwise


def _timeout(f: Failure) -> errors.SandboxError:
    timed = f.about.command and f.about.timeout is not None
    if f.reason != "COMMAND_TIMEOUT" and not timed:
        return errors.ConnectionError(
            f"the server did not answer in time: {f.message}",
            f.details,
            f.code,
            endpoint=f.about.endpoint,
        )
    return _command_timeout(f)


def _command_timeout(f: Failure) -> errors.CommandTimeoutError:
    seconds = _number(f.get("timeout"), f.about.timeout)
    command = f.about.command or f.get("command")
    after = "" if seconds is None else f" after {seconds:g} s"
    return errors.CommandTimeoutError(
        f"command {command!r} timed out{after}",
        f.details,
        f.code,
        command=command,
        timeout_seconds=seconds,
    )


def _no_sandbox(f: Failure) -> errors.SandboxError:
    return errors.SandboxNotFoundError(
        f.message, f.details, f.code, sandbox_id=f.get("sandbox_id", f.about.sandbox_id)
    )


def _not_running(f: Failure) -> errors.SandboxError:
    return errors.SandboxNotRunningError(
        f.message,
        f.details,
        f.code,
        sandbox_id=f.get("sandbox_id", f.about.sandbox_id),
        current_status=f.get("status").lower(),
    )


def _no_codebase(f: Failure) -> errors.SandboxError:
    return errors.CodebaseNotFoundError(
        f.message, f.details, f.code, codebase_id=f.get("codebase_id", f.about.codebase_id)
    )


def _no_file(f: Failure) -> errors.SandboxError:
    return _file(f, "ENOENT")


def _no_directory(f: Failure) -> errors.SandboxError:
    return _file(f, "ENOTDIR")


def _full_directory(f: Failure) -> errors.SandboxError:
    return _file(f, "ENOTEMPTY")


def _no_rename(f: Failure) -> errors.SandboxError:
    return _file(f, "EXDEV")


_FILE_ERRORS: Dict[Optional[int], Type[errors.FileError]] = {
    errno.EEXIST: errors.FileExistsError,
    errno.EISDIR: errors.IsADirectoryError,
    errno.ENOENT: errors.FileNotFoundError,
    errno.ENOTDIR: errors.NotADirectoryError,
}


def _file(f: Failure, otherwise: str = "") -> errors.SandboxError:
    """The error for what the kernel said; a server may leave it to the reason to tell."""
    if f.about.operation == "upload":
        return _upload(f)
    name = f.get("errno", otherwise)
    number = getattr(errno, name, None) if name in errno.errorcode.values() else None
    return _FILE_ERRORS.get(number, errors.FileError)(
        f.message,
        f.details,
        f.code,
        codebase_id=f.get("codebase_id", f.about.codebase_id),
        file_path=f.get("path", f.about.path),
        errno=number,
    )


def _upload(f: Failure) -> errors.SandboxError:
    return errors.UploadError(
        f.message,
        f.details,
        f.code,
        codebase_id=f.get("codebase_id", f.about.codebase_id),
        file_path=f.get("path", f.about.path),
    )


def _codebase(f: Failure) -> errors.SandboxError:
    return errors.CodebaseError(
        f.message, f.details, f.code, codebase_id=f.get("codebase_id", f.about.codebase_id)
    )


def _conflict(f: Failure) -> errors.SandboxError:
    try:
        paths = [str(path) for path in json.loads(f.get("paths", "[]"))]
    except (ValueError, TypeError):
        # A list that was too long is cut.
        paths = []
    codebase_id = f.get("codebase_id", f.about.codebase_id)
    return errors.ConflictError(f.message, f.details, f.code, codebase_id=codebase_id, paths=paths)


def _no_session(f: Failure) -> errors.SandboxError:
    return errors.SessionNotFoundError(
        f.message, f.details, f.code, session_id=f.get("session_id", f.about.session_id)
    )


def _session_closed(f: Failure) -> errors.SandboxError:
    return errors.SessionClosedError(
        f.message, f.details, f.code, session_id=f.get("session_id", f.about.session_id)
    )


def _no_process(f: Failure) -> errors.SandboxError:
    return errors.ProcessNotFoundError(
        f.message, f.details, f.code, process_id=f.get("process_id", f.about.process_id)
    )


def _missing(f: Failure) -> errors.SandboxError:
    """NOT_FOUND without a reason that we know: the most special thing named is missing."""
    if f.about.session_id:
        return _no_session(f)
    if f.about.process_id:
        return _no_process(f)
    if f.about.path and f.about.operation != "upload":
        return _no_file(f)
    if f.about.sandbox_id:
        return _no_sandbox(f)
    if f.about.codebase_id:
        return _no_codebase(f)
    return _plain(f)


def _precondition(f: Failure) -> errors.SandboxError:
    if f.about.sandbox_id and not f.reason:
        return _not_running(f)
    return _plain(f)


def _no_command(f: Failure) -> errors.SandboxError:
    return _not_started(f, 127)


def _not_executable(f: Failure) -> errors.SandboxError:
    return _not_started(f, 126)


def _not_started(f: Failure, exit_code: int) -> errors.SandboxError:
    """A program that could not be started; the exit code is the one a shell would give."""
    return errors.CommandExecutionError(
        f.message, f.details, f.code, command=f.about.command, exit_code=exit_code, stderr=f.message
    )


Build = Callable[[Failure], errors.SandboxError]

_BY_REASON: Dict[str, Build] = {
    "CODEBASE_NOT_FOUND": _no_codebase,
    "COMMAND_NOT_EXECUTABLE": _not_executable,
    "COMMAND_NOT_FOUND": _no_command,
    "COMMAND_TIMEOUT": _timeout,
    "COMMIT_CONFLICT": _conflict,
    "COMMIT_FAILED": _codebase,
    "DIRECTORY_MISMATCH": _upload,
    "DIRECTORY_NOT_EMPTY": _full_directory,
    "DIRECTORY_NOT_FOUND": _upload,
    "FILE_CHANGED": _file,
    "FILE_NOT_FOUND": _no_file,
    "FILE_UNREADABLE": _upload,
    "IMAGE_UNAVAILABLE": _configuration,
    "LIMIT_EXCEEDED": _limit,
    "NOT_A_DIRECTORY": _no_directory,
    "NOT_A_FILE": _file,
    "PERMISSION_DENIED": _denied,
    "PROCESS_NOT_FOUND": _no_process,
    "RENAME_IMPOSSIBLE": _no_rename,
    "RUNTIME_UNAVAILABLE": _not_supported,
    "SANDBOX_NOT_FOUND": _no_sandbox,
    "SANDBOX_NOT_RUNNING": _not_running,
    "SANDBOX_RUNNING": _not_running,
    "SESSION_CLOSED": _session_closed,
    "SESSION_NOT_FOUND": _no_session,
}

_BY_CODE: Dict[int, Build] = {
    INVALID_ARGUMENT: _configuration,
    DEADLINE_EXCEEDED: _timeout,
    NOT_FOUND: _missing,
    PERMISSION_DENIED: _denied,
    RESOURCE_EXHAUSTED: _limit,
    FAILED_PRECONDITION: _precondition,
    UNIMPLEMENTED: _not_supported,
    UNAVAILABLE: _connection,
}
