"""Processes and terminals, against a real daemon."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import agentfense
from agentfense import AsyncSandbox, Sandbox, SandboxClient

pytestmark = pytest.mark.e2e

SDK = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="development") as sandbox:
        yield sandbox
    with SandboxClient() as client:
        assert client.list_sandboxes() == []


def gone(sandbox, text):
    """Whether no command line in the sandbox has this text any more."""
    for _ in range(100):
        if text not in sandbox.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout:
            return True
        time.sleep(0.05)
    return False


def test_wait_gives_result_and_output(sandbox):
    process = sandbox.spawn("echo out; echo err >&2; exit 3", env={"A": "b"})
    assert process.pid > 1 and process.sandbox_id == sandbox.id
    result = process.wait(timeout=30)
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)
    assert result.duration.total_seconds() > 0
    assert process.wait(timeout=30) == result and process.poll() == 3
    with pytest.raises(agentfense.CommandExecutionError):
        process.wait(raise_on_error=True)


def test_input_goes_in_and_output_comes_while_it_runs(sandbox):
    process = sandbox.spawn("cat", b"first\n")
    assert process.read(timeout=30) == b"first\n"
    process.send_stdin("ä")
    assert process.read(timeout=30).text == "ä"
    data = os.urandom(100_000)
    process.send_stdin(data)
    process.close_stdin()
    assert b"".join(process) == data
    assert process.wait(5).exit_code == 0
    with pytest.raises(agentfense.SandboxError, match="no input"):
        process.send_stdin("more")
    assert sandbox.spawn("cat", "x", open_stdin=False).wait(30).stdout == "x"


def test_signals(sandbox):
    script = "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    process = sandbox.spawn(script)
    assert process.read(30) == b"ready\n"
    process.kill(signal.SIGINT)
    result = process.wait(30)
    assert (result.exit_code, result.stdout) == (5, "got\n")
    sleeping = sandbox.spawn("sleep 12345 & sleep 12345")
    sleeping.kill()
    assert sleeping.wait(30).signal == 9
    assert gone(sandbox, "12345")
    sleeping.kill()


def test_a_wait_that_times_out_does_nothing_to_the_process(sandbox):
    process = sandbox.spawn("sleep 1; echo done")
    with pytest.raises(agentfense.CommandTimeoutError, match="still runs"):
        process.wait(timeout=0.2)
    assert process.wait(30).stdout == "done\n"


def test_a_timeout_of_the_command_kills_it(sandbox):
    process = sandbox.spawn("sleep 23456", timeout=0.5)
    for read in (lambda: process.wait(30), lambda: list(sandbox.process(process.id))):
        with pytest.raises(agentfense.CommandTimeoutError) as e:
            read()
        assert (e.value.command, e.value.timeout_seconds) == ("sleep 23456", 0.5)
    assert process.exit_code == 137 and process.refresh().info.signal == 9
    assert gone(sandbox, "23456")


def test_processes_are_listed_and_found(api, sandbox):
    process = sandbox.spawn(["sleep", "34567"])
    assert [p.id for p in sandbox.processes()] == [process.id]
    info = sandbox.process(process.id).info
    assert (info.pid, info.command, info.running) == (process.pid, "sleep 34567", True)
    assert info.started_at.tzinfo is not None
    process.kill()
    process.wait(30)
    assert sandbox.process(process.id).exit_code == 137
    with pytest.raises(agentfense.ProcessNotFoundError) as e:
        sandbox.process("proc_" + "0" * 32)
    assert e.value.process_id == "proc_" + "0" * 32


def test_a_command_that_is_none_is_an_error(sandbox):
    with pytest.raises(agentfense.CommandExecutionError) as e:
        sandbox.spawn(["no-such-program"])
    assert e.value.exit_code == 127


DIES = """
import sys, os
sys.path.insert(0, sys.argv[1])
from agentfense import Sandbox
sandbox = Sandbox.connect(sys.argv[2])
process = sandbox.spawn("echo before; read line; echo $line; sleep 0.5; echo after")
assert process.read(30) == b"before\\n"
print(process.id, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_process_survives_its_client(sandbox):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DIES, SDK, sandbox.id],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -9, done.stderr
    process = sandbox.process(done.stdout.strip())
    process.send_stdin("line\n")
    assert process.wait(30).stdout == "line\nafter\n"


def test_a_terminal(sandbox):
    with sandbox.pty(cols=100, rows=30, env={"PS1": "$ "}) as pty:
        pty.resize(120, 40)
        pty.send("stty size; tty >/dev/null && echo is a $TERM; exit 4\n")
        seen = b"".join(pty)
        assert b"40 120" in seen and b"is a xterm-256color" in seen
        assert pty.wait(5).exit_code == 4
    with sandbox.pty(command="cat") as pty:
        pty.send(b"\x03")
        assert pty.wait(30).signal == 2


def test_the_end_of_the_block_kills(sandbox):
    with sandbox.spawn("sleep 45678"):
        pass
    assert gone(sandbox, "45678")


def test_processes_end_with_their_sandbox(sandbox):
    process = sandbox.spawn("sleep 1000")
    sandbox.stop()
    with pytest.raises(agentfense.ProcessNotFoundError) as e:
        process.wait(30)
    assert e.value.process_id == process.id
    assert sandbox.processes() == [] == sandbox.start().processes()


def test_output_that_nobody_reads_holds_the_command_and_not_the_client(sandbox):
    """A client that stops reading is a pipe that is full."""
    process = sandbox.spawn("head -c 50000000 /dev/zero; echo end >&2", open_stdin=False)
    assert process.read(30)
    time.sleep(0.5)
    assert process.poll() is None
    rest = sum(len(chunk) for chunk in process if chunk.stream == "stdout")
    assert 40_000_000 < rest < 50_000_000 and process.exit_code == 0


def test_cancelling_the_task_kills_the_command(endpoint, project):
    async def main():
        async with AsyncSandbox.from_local(project, preset="development") as sandbox:
            for call in (
                lambda: sandbox.run("sleep 56789"),
                lambda: sandbox.exec("sleep 56789"),
                lambda: drain(sandbox.exec_stream("sleep 56789")),
            ):
                task = asyncio.ensure_future(call())
                await asyncio.sleep(0.3)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                for _ in range(100):
                    shown = await sandbox.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
                    if "56789" not in shown.stdout:
                        break
                    await asyncio.sleep(0.05)
                else:
                    raise AssertionError(shown.stdout)

    async def drain(stream):
        async for _ in stream:
            pass

    asyncio.run(main())


@pytest.mark.parametrize("leave", ["close", "drop"])
@pytest.mark.parametrize("where", ["sandbox", "session"])
def test_a_thread_that_leaves_a_stream_kills_the_command(endpoint, project, where, leave):
    command = "echo ready; sleep 56789"
    with Sandbox.from_local(project, preset="development") as sandbox:
        with sandbox.session() as session, ThreadPoolExecutor(1) as pool:
            stream = (session if where == "session" else sandbox).exec_stream(command)
            assert next(stream) == b"ready\n"
            if leave == "close":
                rest = pool.submit(list, stream)
                stream.close()
                assert rest.result(30) == []
            del stream
            assert gone(sandbox, "56789")
            assert session.exec("echo still", timeout=10).stdout == "still\n"


def test_a_hundred_sandboxes_at_once_from_one_loop(endpoint, project):
    count = int(os.environ.get("AGENTFENSE_TEST_SANDBOXES", "100"))

    async def one(number):
        async with AsyncSandbox.from_local(project, preset="agent-safe") as sandbox:
            await sandbox.write_file("/output/x", str(number))
            result = await sandbox.run("cat /output/x")
            return int(result.stdout)

    async def main():
        return await asyncio.gather(*(one(number) for number in range(count)))

    assert asyncio.run(main()) == list(range(count))
    with Sandbox.from_local(project) as last, SandboxClient() as client:
        assert [s.id for s in client.list_sandboxes()] == [last.id]
