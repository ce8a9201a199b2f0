"""Processes and terminals, sync and async, against a server in this process."""

import asyncio
import io
import signal
import threading
import time
from datetime import timedelta

import pytest

import agentfense
from agentfense import AsyncSandbox, Sandbox


@pytest.fixture
def sandbox(api, fake, project):
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        yield sandbox


def test_wait_gives_the_result_and_the_output(sandbox):
    process = sandbox.spawn("make test")
    assert (process.pid, process.command) == (11, "make test")
    result = process.wait(timeout=5)
    assert (result.stdout, result.exit_code, result.command) == ("make test", 0, "make test")
    assert process.wait() == result
    assert process.exit_code == 0 and "ended with 0" in repr(process)
    assert process.poll() == 0


def test_spawn_passes_everything_on(fake, sandbox):
    sandbox.spawn(["cat", "a b"], b"in", {"A": "b"}, "src", 5, open_stdin=False)
    request = fake.calls[-1]
    assert list(request.exec.argv) == [b"cat", b"a b"]
    assert (request.exec.stdin_bytes, dict(request.exec.env)) == (b"in", {"A": "b"})
    assert (request.exec.workdir, request.exec.timeout.seconds) == ("src", 5)
    assert request.open_stdin is False and request.request_id
    sandbox.spawn("x")
    assert fake.calls[-1].open_stdin is True


@pytest.mark.parametrize("data", ["ä", b"\xc3\xa4", io.BytesIO(b"\xc3\xa4")])
def test_what_is_sent_arrives_and_comes_back(sandbox, data):
    if isinstance(data, io.BytesIO):
        data.seek(0)
    process = sandbox.spawn("cat")
    process.send_stdin(data)
    assert process.read(timeout=5) == "ä".encode()
    process.close_stdin()
    assert list(process) == []
    assert process.wait().stdout == ""
    with pytest.raises(agentfense.SandboxError, match="no input"):
        process.send_stdin("more")


def test_iterating_ends_with_the_process(sandbox):
    process = sandbox.spawn("cat", b"first")
    process.send_stdin("second")
    process.close_stdin()
    chunks = list(process)
    assert b"".join(chunks) == b"firstsecond" and chunks[0].stream == "stdout"
    assert process.exit_code == 0


def test_a_wait_that_times_out_does_nothing_to_the_process(sandbox):
    process = sandbox.spawn("cat", b"early")
    with pytest.raises(agentfense.CommandTimeoutError, match="still runs") as e:
        process.wait(timeout=1)
    assert (e.value.command, e.value.timeout_seconds) == ("cat", 1)
    with pytest.raises(TimeoutError, match="gave no output for 0.1 s"):
        process.read(timeout=0.1)
    process.send_stdin(" late")
    process.close_stdin()
    assert process.wait(timeout=5).stdout == "early late"


@pytest.mark.parametrize("now", [0, 0.0, -1, timedelta(0)])
def test_no_time_at_all_asks_what_there_is(sandbox, now):
    process, silent = sandbox.spawn("cat", b"early"), sandbox.spawn("sleep")
    for wait in (process.wait, process.wait, silent.wait, silent.read):
        with pytest.raises(agentfense.CommandTimeoutError, match="0 s$"):
            wait(timeout=now)
    process.send_stdin(b"x" * 100_000)
    process.close_stdin()
    while process.poll() is None:
        pass
    assert process.wait(timeout=now).stdout == "early" + "x" * 100_000
    assert process.wait(timeout=now).exit_code == 0 and process.read(timeout=now) is None
    ended = sandbox.spawn("x")
    assert ended.read(timeout=now) == b"x" and ended.read(timeout=now) is None


def test_kill_sends_the_signal_and_twice_is_no_error(fake, sandbox):
    process = sandbox.spawn("sleep")
    assert process.exit_code is None and process.poll() is None and "running" in repr(process)
    process.kill(signal.SIGINT)
    assert fake.calls[-1].signal == 2
    result = process.wait(5)
    assert (result.exit_code, result.signal) == (130, 2)
    process.kill()
    fake.processes.clear()
    process.kill()


def test_the_end_of_the_block_kills(fake, sandbox):
    with sandbox.spawn("sleep") as process:
        pass
    assert process.refresh().info.signal == 9
    with sandbox.spawn("x") as process:
        process.wait()
    assert fake.names.count("SignalProcess") == 1


def test_a_process_is_found_again_by_its_id(api, fake, sandbox):
    first = sandbox.spawn("cat")
    first.send_stdin("one")
    assert first.read() == b"one"
    first.detach()
    with api.Sandbox.connect(sandbox.id, endpoint=fake.endpoint) as other:
        again = other.process(first.id)
        again.send_stdin("two")
        again.close_stdin()
        assert again.wait(5).stdout == "two"
        assert [p.id for p in other.processes()] == [first.id]
        with pytest.raises(agentfense.ProcessNotFoundError) as e:
            other.process("proc_404")
        assert e.value.process_id == "proc_404"
    assert first.poll() == 0
    with api.Sandbox.from_codebase(sandbox.codebase_id, endpoint=fake.endpoint) as stranger:
        with pytest.raises(LookupError, match="none of sandbox"):
            stranger.process(first.id)


def test_the_one_that_attaches_last_reads(api, fake, sandbox):
    first = sandbox.spawn("cat")
    first.send_stdin("one")
    assert first.read(5) == b"one"
    second = sandbox.process(first.id)
    second.send_stdin("two")
    assert second.read(5) == b"two"
    with pytest.raises(agentfense.SandboxError, match="another reads") as e:
        first.read(5)
    assert e.value.reason == "TAKEN_OVER"
    second.close_stdin()
    # Input that was not taken yet is lost with a reader that is replaced.
    assert second.wait(5).exit_code == first.wait(5).exit_code == 0


def test_callbacks_get_text_while_wait_reads(sandbox):
    seen = []
    process = sandbox.spawn("cat", "aä€", open_stdin=True, on_stdout=seen.append)
    process.close_stdin()
    assert process.wait().stdout == "aä€"
    assert "".join(seen) == "aä€"


def test_output_that_nobody_read_and_that_is_too_much_is_flagged(fake, sandbox):
    process = sandbox.spawn("cat")
    fake.processes[process.id].say(b"x", lost=5)
    process.close_stdin()
    assert process.wait().truncated
    flood = sandbox.spawn("flood").wait(30)
    assert flood.truncated and len(flood.stdout_bytes) == 8 << 20


def test_a_terminal(fake, sandbox):
    with sandbox.pty(cols=100, rows=30, env={"A": "b"}) as pty:
        request = fake.calls[-1].exec
        assert (request.pty.cols, request.pty.rows) == (100, 30)
        assert dict(request.env) == {"TERM": "xterm-256color", "A": "b"}
        assert "bash" in request.command and pty.info.pty
        pty.send(b"\x03\xff")
        assert pty.read(5) == b"\x03\xff"
        pty.resize(120, 40)
        assert pty.read(5) == b"120x40"
        assert type(sandbox.process(pty.id)._target if hasattr(pty, "_target") else pty) is (
            agentfense.AsyncPty if hasattr(pty, "_target") else agentfense.Pty
        )
        for size in [(0, 24), (80, 1 << 16), ("80", 24)]:
            with pytest.raises(ValueError):
                pty.resize(*size)


def test_attaching_to_none_is_not_found(fake, sandbox):
    process = sandbox.spawn("cat")
    fake.processes.clear()
    with pytest.raises(agentfense.ProcessNotFoundError) as e:
        process.wait(5)
    assert e.value.process_id == process.id


def test_a_stream_that_ends_without_an_exit_is_an_error(fake, sandbox):
    process = sandbox.spawn("cat")
    fake.rules["Attach"] = lambda r: []
    with pytest.raises(agentfense.SandboxError, match="without an exit code"):
        process.wait(5)


def test_the_thread_of_an_attached_process_ends_with_it(fake, project):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        sandbox.spawn("x").wait(5)
        left = sandbox.spawn("cat")
        left.send_stdin("x")
        left.detach()
        flood = sandbox.spawn("flood")
        flood.read(5)
        flood.detach()
        forgotten = sandbox.spawn("flood")
        forgotten.read(5)
        del forgotten
    for _ in range(100):
        names = {t.name for t in threading.enumerate()}
        if "agentfense-attach" not in names:
            return
        time.sleep(0.05)
    raise AssertionError(names)


def test_the_async_side_has_no_thread(fake, project):
    before = set(threading.enumerate())

    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.spawn("cat") as process:
                await process.send_stdin("x")
                assert await process.read(5) == b"x"
                ours = {t for t in threading.enumerate() if "agentfense" in t.name}
                assert not ours - before

    asyncio.run(main())


def test_an_awaiting_task_may_be_cancelled_and_another_reads_on(fake, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            process = await sandbox.spawn("cat")
            waiting = asyncio.ensure_future(process.read())
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await process.send_stdin("still")
            assert await process.read(5) == b"still"
            await process.detach()

    asyncio.run(main())


def test_leaving_a_loop_over_a_terminal_leaves_nothing_pending(fake, project, recwarn):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.pty() as pty:
                with pytest.raises(TimeoutError):
                    await pty.read(0.05)
        assert len(asyncio.all_tasks()) <= 2

    asyncio.run(main())
