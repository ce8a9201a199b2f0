"""Existing programs call these: the names, their order and their defaults are a contract."""

import dataclasses
import enum
import inspect

import pytest

import agentfense
from agentfense import PatternType, Permission, RuntimeType

NEEDED = inspect.Parameter.empty
OPEN = [("shell", None), ("env", None)]
COMMAND = [("command", NEEDED), ("stdin", None), ("env", None), ("workdir", None)]
LOCAL = [
    ("path", NEEDED),
    ("preset", "view-only"),
    ("permissions", None),
    ("runtime", RuntimeType.BWRAP),
    ("image", None),
    ("resources", None),
    ("endpoint", None),
    ("secure", False),
    ("owner_id", None),
    ("codebase_name", None),
    ("ignore_patterns", None),
    ("labels", None),
    ("auto_start", True),
]
SANDBOX = {
    "from_local": LOCAL,
    "from_codebase": [("codebase_id", NEEDED), ("preset", "view-only")],
    "connect": [("sandbox_id", NEEDED)],
    "run": [
        ("command", NEEDED),
        ("timeout", 60),
        ("env", None),
        ("workdir", None),
        ("raise_on_error", False),
    ],
    "exec": [*COMMAND, ("timeout", None)],
    "exec_stream": [*COMMAND, ("timeout", None)],
    "spawn": [("command", NEEDED)],
    "session": OPEN,
    "pty": [("cols", 80), ("rows", 24)],
    "read_file": [("path", NEEDED)],
    "read_file_bytes": [("path", NEEDED)],
    "write_file": [("path", NEEDED), ("content", NEEDED)],
    "list_files": [("path", ""), ("recursive", False)],
    "diff": [],
    "commit": [("paths", None)],
    "discard": [("paths", None)],
    "snapshot": [],
    "fork": [],
    "apply_to": [("local_dir", NEEDED)],
    "start": [],
    "stop": [],
    "refresh": [],
    "destroy": [("delete_codebase", None)],
}
# What may only be named: everything that came after those above.
NAMED = {
    "Sandbox": {
        "from_local": ["on_progress", "expires_in", "idle_timeout", "commit_mode", "strict"],
        "run": ["input", "on_stdout", "on_stderr", "raise_on_denied"],
        "session": ["workdir", "idle_timeout"],
    },
    "SandboxSession": {"exec": ["raise_on_error", "on_stdout", "on_stderr", "raise_on_denied"]},
}
SESSION = {"exec": [("command", NEEDED), ("timeout", None)], "close": []}
PROCESS = {
    "wait": [],
    "kill": [],
    "send_stdin": [("data", NEEDED)],
    "close_stdin": [],
}
CLIENT = {
    "create_sandbox": [("codebase_id", NEEDED), ("permissions", None)],
    "get_sandbox": [("sandbox_id", NEEDED)],
    "list_sandboxes": [("codebase_id", None)],
    "start_sandbox": [("sandbox_id", NEEDED)],
    "stop_sandbox": [("sandbox_id", NEEDED)],
    "destroy_sandbox": [("sandbox_id", NEEDED)],
    "exec": [("sandbox_id", NEEDED), *COMMAND],
    "exec_stream": [("sandbox_id", NEEDED), *COMMAND],
    "create_session": [("sandbox_id", NEEDED), *OPEN],
    "get_session": [("session_id", NEEDED)],
    "list_sessions": [("sandbox_id", NEEDED)],
    "destroy_session": [("session_id", NEEDED)],
    "session_exec": [("session_id", NEEDED), ("command", NEEDED), ("timeout", None)],
    "create_codebase": [("name", NEEDED), ("owner_id", None)],
    "get_codebase": [("codebase_id", NEEDED)],
    "list_codebases": [("owner_id", None)],
    "delete_codebase": [("codebase_id", NEEDED)],
    "upload_file": [("codebase_id", NEEDED), ("file_path", NEEDED), ("content", NEEDED)],
    "download_file": [("codebase_id", NEEDED), ("file_path", NEEDED)],
    "list_files": [("codebase_id", NEEDED)],
    "close": [],
}
CLASSES = {
    "Sandbox": SANDBOX,
    "SandboxSession": SESSION,
    "Process": PROCESS,
    "SandboxClient": CLIENT,
}
DATA = {
    "PermissionRule": [
        ("pattern", NEEDED),
        ("permission", Permission.READ),
        ("type", PatternType.GLOB),
        ("priority", 0),
    ],
    "ResourceLimits": [
        ("memory_bytes", None),
        ("cpu_quota", None),
        ("cpu_shares", None),
        ("pids_limit", None),
    ],
}
FROZEN = ["ExecResult", "SandboxInfo", "Codebase", "FileInfo", "UploadResult", "Session"]
WORDS = {
    "Permission": ["none", "view", "read", "write"],
    "PatternType": ["glob", "directory", "file"],
    "SandboxStatus": ["pending", "running", "stopped", "error"],
    "SessionStatus": ["active", "closed"],
    "RuntimeType": ["bwrap", "docker"],
}


def parameters(function):
    found = inspect.signature(function).parameters.values()
    return [p for p in found if p.name != "self"]


@pytest.mark.parametrize("twin", ["", "Async"])
@pytest.mark.parametrize(
    "name, method", [(name, method) for name, methods in CLASSES.items() for method in methods]
)
def test_a_call_of_the_contract_is_taken(twin, name, method):
    cls = getattr(agentfense, twin + name)
    found = parameters(getattr(cls, method))
    wanted = CLASSES[name][method]
    assert [(p.name, p.default) for p in found[: len(wanted)]] == wanted
    kinds = {p.kind for p in found[: len(wanted)]}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert all(p.default is not NEEDED for p in found[len(wanted) :])
    named = NAMED.get(name, {}).get(method, [])
    assert all(p.kind is p.KEYWORD_ONLY for p in found if p.name in named)


@pytest.mark.parametrize("name", ["SandboxClient", "AsyncSandboxClient"])
def test_a_client_needs_nothing(name):
    found = parameters(getattr(agentfense, name))
    assert [(p.name, p.default) for p in found[:2]] == [("endpoint", None), ("secure", False)]


@pytest.mark.parametrize("name", DATA)
def test_values_are_made_by_position(name):
    found = parameters(getattr(agentfense, name))
    assert [(p.name, p.default) for p in found[: len(DATA[name])]] == DATA[name]


@pytest.mark.parametrize("name", [*DATA, *FROZEN])
def test_values_are_frozen(name):
    cls = getattr(agentfense, name)
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen


def test_a_result_has_what_the_contract_says():
    fields = [f.name for f in dataclasses.fields(agentfense.ExecResult)]
    assert fields[:5] == ["stdout", "stderr", "exit_code", "duration", "command"]
    result = agentfense.ExecResult("out", "err", 3)
    assert (result.success, result.output) == (False, "outerr")
    for name in ("stdout_bytes", "stderr_bytes", "truncated", "signal", "denials"):
        assert name in fields
    denial = [f.name for f in dataclasses.fields(agentfense.Denial)]
    assert denial[:4] == ["operation", "path", "rule", "hint"]


@pytest.mark.parametrize("name", WORDS)
def test_words_are_strings(name):
    cls = getattr(agentfense, name)
    assert issubclass(cls, str) and issubclass(cls, enum.Enum)
    assert [member.value for member in cls] == WORDS[name]
    assert [member.name for member in cls] == [word.upper() for word in WORDS[name]]
    assert agentfense.RuntimeType.NATIVE is agentfense.RuntimeType.BWRAP


def test_a_sandbox_has_the_properties_of_the_contract():
    for name in ("status", "info", "id", "codebase_id", "runtime", "codebase"):
        assert isinstance(getattr(agentfense.Sandbox, name), property)
        assert isinstance(getattr(agentfense.AsyncSandbox, name), property)
    assert isinstance(agentfense.Process.pid, property)
