"""Each failure that the server can tell becomes its own exception, attributes included."""

import builtins
import errno
import inspect
import pickle

import pytest
from fake_errors import detail

import agentfense
from agentfense import _errors, _failure
from agentfense._failure import About, to_error

ABOUT = About(
    endpoint="localhost:1",
    sandbox_id="sb_1",
    codebase_id="cb_1",
    path="given",
    operation="read",
    command="make",
    timeout=2.5,
)

CASES = {
    "COMMAND_TIMEOUT": (
        4,
        {"timeout": "2.5"},
        "CommandTimeoutError",
        {"command": "make", "timeout_seconds": 2.5},
    ),
    "COMMAND_NOT_FOUND": (
        5,
        {"command": "make"},
        "CommandExecutionError",
        {"command": "make", "exit_code": 127, "stderr": "told"},
    ),
    "COMMAND_NOT_EXECUTABLE": (
        7,
        {"command": "make"},
        "CommandExecutionError",
        {"command": "make", "exit_code": 126},
    ),
    "SANDBOX_NOT_FOUND": (
        5,
        {"sandbox_id": "sb_9"},
        "SandboxNotFoundError",
        {"sandbox_id": "sb_9"},
    ),
    "SANDBOX_NOT_RUNNING": (
        9,
        {"sandbox_id": "sb_9", "status": "STOPPED"},
        "SandboxNotRunningError",
        {"sandbox_id": "sb_9", "current_status": "stopped"},
    ),
    "SANDBOX_RUNNING": (
        9,
        {"status": "running"},
        "SandboxNotRunningError",
        {"sandbox_id": "sb_1", "current_status": "running"},
    ),
    "CODEBASE_NOT_FOUND": (
        5,
        {"codebase_id": "cb_9"},
        "CodebaseNotFoundError",
        {"codebase_id": "cb_9"},
    ),
    "FILE_NOT_FOUND": (
        5,
        {"path": "/x", "codebase_id": "cb_9"},
        "FileNotFoundError",
        {"file_path": "/x", "codebase_id": "cb_9", "filename": "/x", "errno": errno.ENOENT},
    ),
    "PERMISSION_DENIED": (
        7,
        {"path": "/.env", "operation": "open", "rule": "**/.env*"},
        "PermissionDeniedError",
        {
            "path": "/.env",
            "operation": "open",
            "rule": "**/.env*",
            "filename": "/.env",
            "errno": errno.EACCES,
        },
    ),
    "LIMIT_EXCEEDED": (
        8,
        {"resource": "pids", "limit": "100"},
        "ResourceLimitExceededError",
        {"resource_type": "pids", "limit": "100"},
    ),
    "DISK_FULL": (
        8,
        {"resource": "disk"},
        "ResourceLimitExceededError",
        {"resource_type": "disk", "limit": None},
    ),
    "SESSION_NOT_FOUND": (
        5,
        {"session_id": "sess_1"},
        "SessionNotFoundError",
        {"session_id": "sess_1"},
    ),
    "SESSION_CLOSED": (9, {"session_id": "sess_1"}, "SessionClosedError", {"session_id": "sess_1"}),
    "COMMIT_CONFLICT": (
        10,
        {"paths": '["/a"]'},
        "ConflictError",
        {"codebase_id": "cb_1", "paths": ["/a"]},
    ),
    "PROCESS_NOT_FOUND": (
        5,
        {"process_id": "proc_1"},
        "ProcessNotFoundError",
        {"process_id": "proc_1"},
    ),
    "FILE_UNREADABLE": (
        9,
        {"path": "secret"},
        "UploadError",
        {"file_path": "secret", "codebase_id": "cb_1"},
    ),
    "FILE_CHANGED": (10, {"path": "log"}, "FileError", {"file_path": "log", "errno": None}),
    "COMMIT_FAILED": (13, {}, "CodebaseError", {}),
    "DIRECTORY_MISMATCH": (9, {"path": "/p"}, "UploadError", {"file_path": "/p"}),
    "DIRECTORY_NOT_FOUND": (5, {"path": "/p"}, "UploadError", {"file_path": "/p"}),
    "NOT_A_DIRECTORY": (
        9,
        {"path": "src"},
        "NotADirectoryError",
        {"file_path": "src", "filename": "src", "errno": errno.ENOTDIR},
    ),
    "NOT_A_FILE": (9, {"path": "src"}, "FileError", {"file_path": "src", "errno": None}),
    "DIRECTORY_NOT_EMPTY": (
        9,
        {"path": "src", "errno": "ENOTEMPTY"},
        "FileError",
        {"errno": errno.ENOTEMPTY, "strerror": "Directory not empty", "codebase_id": "cb_1"},
    ),
    "RENAME_IMPOSSIBLE": (9, {"path": "src"}, "FileError", {"errno": errno.EXDEV}),
    "INVALID_RULE": (3, {"rule": "[", "rule_index": "3"}, "InvalidConfigurationError", {}),
    "MISSING_FIELD": (3, {"field": "command"}, "InvalidConfigurationError", {}),
    "IMAGE_UNAVAILABLE": (9, {"image": "x:1"}, "InvalidConfigurationError", {}),
    "RUNTIME_UNAVAILABLE": (9, {"runtime": "docker"}, "NotSupportedError", {}),
    "NOT_IMPLEMENTED": (12, {}, "NotSupportedError", {}),
    "COMMAND_ENDED": (9, {}, "SandboxError", {}),
    "SHUTTING_DOWN": (14, {}, "ConnectionError", {"endpoint": "localhost:1"}),
    "INTERNAL": (13, {}, "SandboxError", {}),
    "A_REASON_OF_TOMORROW": (13, {"x": "y"}, "SandboxError", {}),
}


@pytest.mark.parametrize("reason", CASES)
def test_reason_becomes_its_exception(reason):
    code, metadata, name, attributes = CASES[reason]
    error = to_error(code, "told", detail(code, reason, metadata), ABOUT)
    assert type(error).__name__ == name
    assert type(error) is getattr(agentfense, name)
    for key, value in attributes.items():
        assert getattr(error, key) == value, key
    assert error.reason == reason
    assert error.grpc_code == code
    assert error.details.items() >= dict(metadata, reason=reason).items()


@pytest.mark.parametrize(
    "reason, name, kind, builtin",
    [
        ("NOT_A_FILE", "EISDIR", "IsADirectoryError", builtins.IsADirectoryError),
        ("NOT_A_FILE", "ENXIO", "FileError", OSError),
        ("NOT_A_FILE", "ENOSUCH", "FileError", OSError),
        ("NOT_A_FILE", "errorcode", "FileError", OSError),
        ("NOT_A_DIRECTORY", "EEXIST", "FileExistsError", builtins.FileExistsError),
        ("NOT_A_DIRECTORY", "ENOTDIR", "NotADirectoryError", builtins.NotADirectoryError),
        ("FILE_NOT_FOUND", "ENOENT", "FileNotFoundError", builtins.FileNotFoundError),
    ],
)
def test_what_the_kernel_said_of_a_file_decides(reason, name, kind, builtin):
    error = to_error(9, "told", detail(9, reason, {"errno": name, "path": "p"}), ABOUT)
    assert type(error) is getattr(agentfense, kind)
    assert isinstance(error, builtin) and isinstance(error, agentfense.CodebaseError)
    assert error.errno == getattr(errno, name if name in errno.errorcode.values() else "", None)
    copy = pickle.loads(pickle.dumps(error))
    seen = ("errno", "strerror", "filename", "file_path", "details", "grpc_code", "message")
    assert [getattr(copy, s) for s in seen] == [getattr(error, s) for s in seen]
    assert str(error) == "told"


def test_every_reason_that_is_mapped_is_tested():
    assert set(_failure._BY_REASON) <= set(CASES)


@pytest.mark.parametrize(
    "code, about, name",
    [
        (3, About(), "InvalidConfigurationError"),
        (3, About(operation="upload", path="../x"), "UploadError"),
        (4, About(command="make", timeout=1), "CommandTimeoutError"),
        (4, About(command="make"), "ConnectionError"),
        (4, About(), "ConnectionError"),
        (5, About(session_id="s"), "SessionNotFoundError"),
        (5, About(process_id="p"), "ProcessNotFoundError"),
        (5, About(sandbox_id="s", path="x"), "FileNotFoundError"),
        (5, About(sandbox_id="s"), "SandboxNotFoundError"),
        (5, About(codebase_id="c"), "CodebaseNotFoundError"),
        (5, About(), "SandboxError"),
        (7, About(), "PermissionDeniedError"),
        (8, About(), "ResourceLimitExceededError"),
        (9, About(sandbox_id="s"), "SandboxNotRunningError"),
        (12, About(), "NotSupportedError"),
        (14, About(), "ConnectionError"),
        (2, About(), "SandboxError"),
    ],
)
def test_without_a_detail_the_code_and_the_call_decide(code, about, name):
    assert type(to_error(code, "told", None, about)).__name__ == name


@pytest.mark.parametrize("reason", ["FILE_CHANGED", "NOT_A_FILE", "NOT_A_DIRECTORY"])
def test_what_keeps_a_file_from_an_upload_is_an_upload_error(reason):
    error = to_error(9, "told", detail(9, reason, {"errno": "EISDIR"}), About(operation="upload"))
    assert type(error) is agentfense.UploadError


def test_a_damaged_detail_does_not_hide_the_failure():
    error = to_error(5, "told", b"\xff\xff\xff", About(sandbox_id="s"))
    assert type(error) is agentfense.SandboxNotFoundError


@pytest.mark.parametrize(
    "name, builtin",
    [
        ("ConnectionError", builtins.ConnectionError),
        ("CommandTimeoutError", TimeoutError),
        ("PermissionDeniedError", PermissionError),
        ("SandboxNotFoundError", LookupError),
        ("CodebaseNotFoundError", LookupError),
        ("SessionNotFoundError", LookupError),
        ("ProcessNotFoundError", LookupError),
        ("FileError", OSError),
        ("FileNotFoundError", builtins.FileNotFoundError),
        ("InvalidConfigurationError", ValueError),
        ("NotSupportedError", NotImplementedError),
    ],
)
def test_each_is_also_the_builtin_that_fits(name, builtin):
    cls = getattr(agentfense, name)
    assert issubclass(cls, builtin)
    assert issubclass(cls, agentfense.SandboxError)


def classes():
    return [c for c in vars(_errors).values() if inspect.isclass(c) and issubclass(c, Exception)]


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_all_take_message_details_and_code_and_survive_pickling(cls):
    error = cls("what", {"reason": "R"}, 5)
    keywords = [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in keywords:
        setattr(error, name, f"a {name}")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (str(copy), copy.message, copy.details, copy.grpc_code) == (
        "what",
        "what",
        {"reason": "R"},
        5,
    )
    for name in keywords:
        assert getattr(copy, name) == f"a {name}"
    assert cls.__name__ in _errors.__doc__
    assert cls.__name__ in agentfense.__all__
