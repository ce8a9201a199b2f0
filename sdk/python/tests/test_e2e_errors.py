"""Each exception of the contract, raised by a real daemon, with real attributes."""

import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest
from daemon import Daemon

import agentfense
from agentfense import ResourceLimits, Sandbox, SandboxClient

pytestmark = pytest.mark.e2e

SDK = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="agent-safe") as sandbox:
        yield sandbox


@pytest.fixture
def other(project):
    """A daemon that may be killed."""
    daemon = Daemon("--max-sandboxes=2")
    yield daemon
    daemon.signal(signal.SIGCONT)
    daemon.close()


def told(error, reason):
    """What every error of the server has."""
    assert error.reason == reason and error.details["reason"] == reason
    assert isinstance(error.grpc_code, int) and str(error) == error.message != ""
    return error


def test_command_timeout(sandbox):
    with pytest.raises(agentfense.CommandTimeoutError) as e:
        sandbox.run(["sleep", "60"], timeout=0.3)
    error = told(e.value, "COMMAND_TIMEOUT")
    assert (error.command, error.timeout_seconds) == ("sleep 60", 0.3)


# Seconds in which a busy machine surely gets to the first output of a command.
LONG = 2.5


def test_a_timeout_has_the_output_until_then(sandbox):
    command = "echo out; echo err >&2; sleep 60"
    session, process = sandbox.session(), sandbox.spawn(command, timeout=LONG)
    for call in (
        lambda: sandbox.run(command, timeout=LONG),
        lambda: sandbox.run(command, timeout=LONG, on_stdout=len),
        lambda: session.exec(command, timeout=LONG),
        lambda: session.exec(command, timeout=LONG, on_stdout=len),
        process.wait,
    ):
        with pytest.raises(agentfense.CommandTimeoutError) as e:
            call()
        error = told(e.value, "COMMAND_TIMEOUT")
        assert (error.stdout, error.stderr) == ("out\n", "err\n")
        assert (error.command, error.timeout_seconds, error.grpc_code) == (command, LONG, 4)
        assert error.details["sandbox_id"] == sandbox.id
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.stdout, copy.stderr) == ("out\n", "err\n")


def test_lines_end_with_the_error_after_what_came_before_it(sandbox):
    command = "echo one; echo two >&2; printf three; sleep 60"
    stream, process = (
        sandbox.exec_stream(command, timeout=LONG),
        sandbox.spawn(command, timeout=LONG),
    )
    with pytest.raises(agentfense.SandboxError, match="has not ended"):
        stream.result  # noqa: B018
    for lines in (stream.lines(), process.lines()):
        seen = set()
        with pytest.raises(agentfense.CommandTimeoutError):
            for line in lines:
                seen.add((line.stream, line.text))
        assert seen == {("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three")}
    assert [line.text for line in sandbox.exec_stream("seq 3").lines()] == ["1\n", "2\n", "3\n"]


def test_command_execution(sandbox):
    with pytest.raises(agentfense.CommandExecutionError) as e:
        sandbox.run("echo out; echo err >&2; exit 4", raise_on_error=True)
    error = e.value
    assert (error.exit_code, error.stdout, error.stderr) == (4, "out\n", "err\n")
    assert error.command == "echo out; echo err >&2; exit 4"
    with pytest.raises(agentfense.CommandExecutionError) as e:
        sandbox.run(["/no/such/program"])
    assert told(e.value, "COMMAND_NOT_FOUND").exit_code == 127
    with pytest.raises(agentfense.CommandExecutionError) as e:
        sandbox.run(["/etc/passwd"])
    assert told(e.value, "COMMAND_NOT_EXECUTABLE").exit_code == 126


def test_permission_denied(sandbox):
    with pytest.raises(agentfense.PermissionDeniedError) as e:
        sandbox.write_file("main.py", "changed")
    error = told(e.value, "PERMISSION_DENIED")
    assert (error.path, error.rule) == ("/main.py", "**/*")
    assert error.operation and error.filename == "/main.py"


def test_file_not_found(sandbox):
    for path in ("gone", ".env"):
        with pytest.raises(agentfense.FileNotFoundError) as e:
            sandbox.read_file(path)
        error = told(e.value, "FILE_NOT_FOUND")
        assert (error.file_path, error.filename) == (f"/{path}", f"/{path}")
        assert error.codebase_id == sandbox.codebase_id
    with SandboxClient() as client, pytest.raises(agentfense.FileNotFoundError) as e:
        client.download_file(sandbox.codebase_id, "gone")
    assert e.value.codebase_id == sandbox.codebase_id


def test_sandbox_and_codebase_not_found(api, endpoint):
    with api.client() as client:
        with pytest.raises(agentfense.SandboxNotFoundError) as e:
            client.get_sandbox("sb_" + "0" * 32)
        assert told(e.value, "SANDBOX_NOT_FOUND").sandbox_id == "sb_" + "0" * 32
        with pytest.raises(agentfense.CodebaseNotFoundError) as e:
            client.get_codebase("cb_" + "0" * 32)
        assert told(e.value, "CODEBASE_NOT_FOUND").codebase_id == "cb_" + "0" * 32


def test_sandbox_not_running(sandbox):
    sandbox.stop()
    for call in (lambda: sandbox.run("true"), lambda: sandbox.read_file("main.py")):
        with pytest.raises(agentfense.SandboxNotRunningError) as e:
            call()
        error = told(e.value, "SANDBOX_NOT_RUNNING")
        assert (error.sandbox_id, error.current_status) == (sandbox.id, "stopped")


def test_resource_limit_exceeded(api, other, project):
    with api.Sandbox.from_local(project, endpoint=other.endpoint) as first:
        with api.Sandbox.from_codebase(first.codebase_id, endpoint=other.endpoint):
            with pytest.raises(agentfense.ResourceLimitExceededError) as e:
                api.Sandbox.from_codebase(first.codebase_id, endpoint=other.endpoint)
    error = told(e.value, "LIMIT_EXCEEDED")
    assert error.resource_type and error.limit == "2"


def test_a_request_that_is_too_large(sandbox):
    for call in (
        lambda: sandbox.run("cat", input=b"x" * (17 << 20)),
        lambda: list(sandbox.exec_stream(["echo", "x" * (17 << 20)])),
        lambda: sandbox.spawn("cat", b"x" * (17 << 20)),
        lambda: sandbox.session().exec("#" * (17 << 20)),
    ):
        with pytest.raises(agentfense.ResourceLimitExceededError, match="the request has") as e:
            call()
        assert (e.value.resource_type, e.value.limit) == ("message-size", str(16 << 20))
    process = sandbox.spawn("wc -c")
    process.send_stdin(b"x" * (17 << 20))
    process.close_stdin()
    assert process.wait(60).stdout.strip() == str(17 << 20)


def test_invalid_configuration(sandbox):
    with pytest.raises(agentfense.InvalidConfigurationError) as e:
        sandbox.run("true", workdir="gone")
    told(e.value, "WORKDIR_NOT_FOUND")
    with pytest.raises(agentfense.InvalidConfigurationError) as e:
        sandbox.read_file("../../etc/passwd")
    told(e.value, "INVALID_PATH")


def test_codebase(api, sandbox):
    for call in (lambda: sandbox.read_file("src"), lambda: sandbox.list_files("main.py")):
        with pytest.raises(agentfense.CodebaseError) as e:
            call()
        assert e.value.codebase_id == sandbox.codebase_id and e.value.reason
    with api.client() as client, pytest.raises(agentfense.CodebaseError) as e:
        client.download_file(sandbox.codebase_id, "src")
    assert told(e.value, "NOT_A_FILE").codebase_id == sandbox.codebase_id


def test_upload(api, sandbox):
    with api.client() as client, pytest.raises(agentfense.UploadError) as e:
        client.upload_file(sandbox.codebase_id, "../x", b"")
    error = told(e.value, "INVALID_PATH")
    assert (error.file_path, error.codebase_id) == ("../x", sandbox.codebase_id)
    with api.client() as client, pytest.raises(agentfense.UploadError) as e:
        client.upload_file(sandbox.codebase_id, "src", b"x")
    error = told(e.value, "NOT_A_FILE")
    assert (error.file_path, error.codebase_id) == ("src", sandbox.codebase_id)


def test_a_conflict_names_the_paths(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="full-access") as first:
        with api.Sandbox.from_codebase(first.codebase_id, preset="full-access") as second:
            for sandbox in (first, second):
                sandbox.run(["sh", "-c", f"echo {sandbox.id} > main.py"], raise_on_error=True)
            first.commit()
            with pytest.raises(agentfense.ConflictError) as e:
                second.commit()
    error = told(e.value, "COMMIT_CONFLICT")
    assert error.paths == ["/main.py"] and error.codebase_id == first.codebase_id


def test_a_server_that_is_not_there(api, tmp_path, project):
    nowhere = f"unix://{tmp_path}/s"
    begun = time.monotonic()
    for call in (
        lambda: api.Sandbox.from_local(project, endpoint=nowhere),
        lambda: api.client(nowhere).get_sandbox("sb_1"),
        lambda: list(api.client(nowhere).exec_stream("sb_1", "true")),
        lambda: api.client(nowhere).write_sandbox_file("sb_1", "x", b"x"),
    ):
        with pytest.raises(agentfense.ConnectionError, match="sudo sandboxd") as e:
            call()
        assert e.value.endpoint == nowhere
    assert time.monotonic() - begun < 10


NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[1])
import agentfense, agentfense._sync.client
client = agentfense.SandboxClient(sys.argv[2])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for call in (lambda: client.get_sandbox("sb_1"), lambda: list(client.exec_stream("sb_1", "x"))):
    try:
        call()
    except agentfense.ConnectionError as e:
        print(e.endpoint, e)
"""


def test_a_socket_that_may_not_be_used(other):
    path = other.endpoint[len("unix://") :]
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o600)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOBODY, SDK, other.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.count("permission denied") == 2, done
    assert done.stdout.count(other.endpoint) == 4


GIVES_UP_RIGHTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from agentfense import Sandbox, SandboxClient, SandboxNotFoundError
with Sandbox.from_local(sys.argv[3], endpoint=sys.argv[2]) as sandbox:
    os.setgroups([]); os.setegid(65534); os.seteuid(65534)
    with SandboxClient(sys.argv[2]) as client:
        assert client.list_sandboxes() == [] == client.list_codebases()
        try:
            client.get_sandbox(sandbox.id)
        except SandboxNotFoundError:
            print("not found")
    os.seteuid(0)
    assert [found.id for found in SandboxClient(sys.argv[2]).list_sandboxes()] == [sandbox.id]
"""


def test_who_gave_up_rights_calls_as_who_is_left(other, project):
    path = other.endpoint[len("unix://") :]
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o666)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GIVES_UP_RIGHTS, SDK, other.endpoint, project],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "not found\n", done.stderr


def watched(sandbox):
    with sandbox.files.watch() as watch:
        return next(watch)


LONG_CALLS = {
    "session": lambda sandbox: sandbox.session().exec("sleep 60"),
    "session with a timeout": lambda sandbox: sandbox.session().exec("sleep 60", timeout=60),
    "process": lambda sandbox: sandbox.spawn("sleep 60").wait(),
    "terminal": lambda sandbox: sandbox.pty(command="sleep 60").wait(60),
    "watch": watched,
}


@pytest.mark.parametrize("call", ["run", "stream", "input", *LONG_CALLS])
def test_a_daemon_that_is_killed_in_the_middle_of_a_call(api, other, project, call):
    sandbox = api.Sandbox.from_local(project, preset="full-access", endpoint=other.endpoint)
    threading.Timer(0.5, other.kill).start()
    begun = time.monotonic()
    with pytest.raises(agentfense.ConnectionError) as e:
        if call == "run":
            sandbox.run("sleep 60", timeout=60)
        elif call == "stream":
            list(sandbox.exec_stream("sleep 60"))
        elif call in LONG_CALLS:
            LONG_CALLS[call](sandbox)
        else:
            sandbox.write_file("/output/x", (time.sleep(0.1) or b"x" for _ in range(300)))
    assert e.value.endpoint == other.endpoint
    assert time.monotonic() - begun < 10
    # It is used again as soon as it is there, by any kind of call.
    other.start()
    if call == "run":
        assert sandbox.refresh().status == "stopped"
        sandbox.start()
    elif call == "stream":
        with pytest.raises(agentfense.SandboxNotRunningError):
            list(sandbox.exec_stream("true"))
    else:
        with pytest.raises(agentfense.SandboxNotRunningError):
            sandbox.write_file("/output/x", b"x")
    sandbox.destroy()


def test_a_daemon_that_does_not_answer_is_an_error_after_the_deadline(other, monkeypatch):
    monkeypatch.setattr("agentfense._sync._connection.DEADLINE", 1.0)
    with SandboxClient(other.endpoint) as client:
        client.server_info()
        other.signal(signal.SIGSTOP)
        time.sleep(0.2)
        begun = time.monotonic()
        with pytest.raises(agentfense.ConnectionError, match="in time"):
            client.server_info()
        assert time.monotonic() - begun < 5
        other.signal(signal.SIGCONT)
        client.server_info()


def test_a_command_never_runs_twice(api, other, project):
    """Reads are repeated after a failure, commands are not."""
    sandbox = api.Sandbox.from_local(project, preset="full-access", endpoint=other.endpoint)
    threading.Timer(0.5, other.kill).start()
    with pytest.raises(ConnectionError):
        sandbox.run("echo ran >> count; sleep 60", timeout=60)
    other.start()
    sandbox.start()
    assert sandbox.read_file("count") == "ran\n"
    sandbox.destroy()


def test_the_limit_of_the_sandbox_is_the_timeout_that_is_reported(api, endpoint, project):
    limits = ResourceLimits(timeout=0.5)
    with api.Sandbox.from_local(project, resources=limits) as sandbox:
        with pytest.raises(agentfense.CommandTimeoutError) as e:
            sandbox.run("sleep 3", timeout=30)
        assert e.value.timeout_seconds == 0.5
        with pytest.raises(agentfense.CommandTimeoutError) as e:
            sandbox.run("sleep 3", timeout=None)
        assert (e.value.timeout_seconds, e.value.command) == (0.5, "sleep 3")


def test_destroying_twice_is_fine(endpoint, project):
    sandbox = Sandbox.from_local(project)
    again = Sandbox.connect(sandbox.id)
    again.destroy()
    sandbox.destroy()
    sandbox.destroy()
    again.destroy()
    with SandboxClient() as client:
        client.destroy_sandbox(sandbox.id)
        client.delete_codebase(sandbox.codebase_id)
