"""Creations that are interrupted at any moment, with a real daemon: nothing is left of them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from daemon import Daemon
from test_process import ENVIRONMENT, SDK

from agentfense import AsyncSandbox, Sandbox, SandboxClient

pytestmark = pytest.mark.e2e

# Moments on the way through a creation, of which they are fractions.
MOMENTS = [i / 24 for i in range(26)]

CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from agentfense import Sandbox
try:
    print("go", flush=True)
    with Sandbox.from_local(sys.argv[3], "full-access", endpoint=sys.argv[2]) as sandbox:
        with sandbox.session() as session:
            session.exec("sleep 60")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture(scope="module")
def own():
    daemon = Daemon()
    yield daemon
    daemon.close()


@pytest.fixture
def there(own):
    def there():
        with SandboxClient(own.endpoint) as client:
            return [s.id for s in client.list_sandboxes()] + [c.id for c in client.list_codebases()]

    assert there() == []
    return there


def whole(own, project):
    """How long a creation takes that nobody interrupts."""
    Sandbox.from_local(project, endpoint=own.endpoint).destroy()
    began = time.monotonic()
    sandbox = Sandbox.from_local(project, endpoint=own.endpoint)
    took = time.monotonic() - began
    sandbox.destroy()
    return took


def test_creations_that_are_cancelled_leave_nothing(own, there, project):
    took = whole(own, project)

    async def main():
        async def make(moment):
            task = asyncio.ensure_future(AsyncSandbox.from_local(project, endpoint=own.endpoint))
            await asyncio.sleep(moment * took)
            task.cancel()
            try:
                await (await task).destroy()
            except asyncio.CancelledError:
                return 1
            return 0

        return [await make(moment) for moment in MOMENTS]

    assert sum(asyncio.run(main())) > len(MOMENTS) // 2
    assert there() == []


def test_forks_and_sessions_that_are_cancelled_leave_nothing(own, there, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=own.endpoint) as sandbox:
            for make in (
                sandbox.fork,
                sandbox.snapshot,
                sandbox.session,
                lambda: sandbox.spawn("sleep 100"),
            ):
                for moment in MOMENTS[::3]:
                    task = asyncio.ensure_future(make())
                    await asyncio.sleep(moment / 50)
                    task.cancel()
                    try:
                        made = await task
                    except asyncio.CancelledError:
                        continue
                    if make == sandbox.snapshot:
                        await sandbox._client.delete_codebase(made.id)
                    else:
                        async with made:
                            pass
            assert await sandbox.sessions() == []
            # They were killed and may take a moment to end.
            for process in await sandbox.processes():
                assert (await process.wait(30)).signal == signal.SIGKILL
            assert len(await sandbox._client.list_sandboxes()) == 1
            assert len(await sandbox._client.list_codebases()) == 1

    asyncio.run(main())
    assert there() == []


def test_a_discard_with_a_restart_that_is_cancelled_leaves_the_sandbox_running(own, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=own.endpoint) as sandbox:
            began = time.monotonic()
            await sandbox.discard(restart=True)
            took = time.monotonic() - began
            for moment in MOMENTS[::2]:
                task = asyncio.ensure_future(sandbox.discard(restart=True))
                await asyncio.sleep(moment * took)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert (await sandbox.refresh()).status == "running", moment
                assert (await sandbox.run("echo on")).stdout == "on\n"

    asyncio.run(main())


def test_a_daemon_that_hangs_does_not_hold_up_who_is_interrupted(project, caplog, monkeypatch):
    monkeypatch.setattr("agentfense._patience.SECONDS", 1.0)
    daemon = Daemon()
    try:
        with pytest.raises(KeyboardInterrupt):
            with Sandbox.from_local(project, "full-access", endpoint=daemon.endpoint) as sandbox:
                with sandbox.session() as session, sandbox.spawn("sleep 60") as process:
                    daemon.signal(signal.SIGSTOP)
                    began = time.monotonic()
                    raise KeyboardInterrupt
        assert time.monotonic() - began < 30
        for left in (process.id, session.id, sandbox.id, sandbox.codebase_id):
            assert left in caplog.text
    finally:
        daemon.signal(signal.SIGCONT)
        daemon.close()


def test_programs_that_are_interrupted_leave_nothing(own, there, project):
    took = whole(own, project)
    for moment in MOMENTS[::3]:
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLIENT, SDK, own.endpoint, project],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        ) as client:
            assert client.stdout.readline() == "go\n"
            time.sleep(moment * 2 * took)
            os.kill(client.pid, signal.SIGINT)
            out, err = client.communicate(timeout=60)
        assert (client.returncode, out) == (0, "interrupted\n"), err
        assert there() == [], moment


WORK = {
    "a command": lambda sandbox: sandbox.run("sleep 77", timeout=70),
    "a command without a timeout": lambda sandbox: sandbox.run("sleep 77", timeout=None),
    "a stream": lambda sandbox: list(sandbox.exec_stream("echo 1; sleep 77")),
    "a session": lambda sandbox: sandbox.sessions()[0].exec("sleep 77"),
    "a session with a timeout": lambda sandbox: sandbox.sessions()[0].exec("sleep 77", timeout=70),
}


@pytest.mark.parametrize("what", WORK)
def test_control_c_ends_the_command(own, there, project, what):
    with Sandbox.from_local(project, "full-access", endpoint=own.endpoint) as sandbox:
        with sandbox.session() as session:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                WORK[what](sandbox)
            assert time.monotonic() - began < 30
            running = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
            until = time.monotonic() + 20
            while "sleep 77" in sandbox.run(running).stdout and time.monotonic() < until:
                time.sleep(0.05)
            assert "sleep 77" not in sandbox.run(running).stdout
            assert session.exec("echo usable", timeout=10).stdout == "usable\n"
