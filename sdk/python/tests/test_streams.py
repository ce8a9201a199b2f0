"""Streams that one reads and another closes, and streams that nobody reads to the end."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import agentfense
from agentfense import AsyncSandbox, Sandbox

# How many items a call gives before it is held.
ITEMS = {"ExecStream": 2, "WatchFiles": 2}
STREAMS = {
    "ExecStream": lambda sandbox, session: sandbox.exec_stream("abc"),
    "SessionExecStream": lambda sandbox, session: session.exec_stream("abc"),
    "WatchFiles": lambda sandbox, session: sandbox.files.watch(),
    "ReadFile": lambda sandbox, session: sandbox.files.stream("main.py"),
    "DownloadFile": lambda sandbox, session: sandbox._client.stream_file(
        sandbox.codebase_id, "main.py"
    ),
}
HANDLES = {
    "process": lambda sandbox: sandbox.spawn("cat"),
    "pty": lambda sandbox: sandbox.pty(),
}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def waits(event):
    assert event.wait(10)


async def comes(event):
    while not event.is_set():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("call", STREAMS)
def test_a_thread_closes_what_another_reads(fake, project, pool, call):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox, sandbox.session() as s:
        stream = STREAMS[call](sandbox, s)
        fake.hold[call] = "after"
        items = []
        reader = pool.submit(items.extend, stream)
        waits(fake.held)
        while len(items) < ITEMS.get(call, 1):
            time.sleep(0.005)
        stream.close()
        reader.result(10)
        waits(fake.let_go)
        stream.close()
        assert list(stream) == []


@pytest.mark.parametrize("call", STREAMS)
def test_a_task_closes_what_another_reads(fake, project, call):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.session() as session:
                stream = STREAMS[call](sandbox, session)
                fake.hold[call] = "after"

                items = []

                async def read():
                    async for item in stream:
                        items.append(item)

                reader = asyncio.ensure_future(read())
                while len(items) < ITEMS.get(call, 1):
                    await asyncio.sleep(0.005)
                await stream.aclose()
                await asyncio.wait_for(reader, 10)
                await comes(fake.let_go)
                await stream.aclose()
                await read()
                assert len(items) == ITEMS.get(call, 1)

    asyncio.run(main())


@pytest.mark.parametrize("call", STREAMS)
def test_what_is_closed_before_it_began_makes_no_call(api, fake, project, call):
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        with sandbox.session() as session:
            target = getattr(sandbox, "_target", sandbox), getattr(session, "_target", session)
            stream = STREAMS[call](*target)
            if api.name == "async":
                api._loop.run_until_complete(stream.aclose())
            else:
                stream.close()
                assert list(stream) == []
    assert call not in fake.names


def test_a_closed_command_has_no_result(fake, project):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        with sandbox.exec_stream("abcdef") as stream:
            assert next(stream) == b"abc"
        assert stream.exit_code is None and list(stream) == []
        with pytest.raises(agentfense.SandboxError, match="closed before the command ended"):
            _ = stream.result


@pytest.mark.parametrize("handle", HANDLES)
def test_a_thread_lets_go_of_a_process_that_another_reads(fake, project, pool, handle):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        process = HANDLES[handle](sandbox)
        process.send_stdin("x")
        assert process.read(10)
        readers = [pool.submit(list, process) for _ in range(2)]
        while len(process._stream._pipe.into.not_empty._waiters) < 2:
            time.sleep(0.005)
        process.detach()
        for reader in readers:
            with pytest.raises(agentfense.SandboxError, match="detached"):
                reader.result(10)
        process.send_stdin("again")
        assert process.read(10) == b"again"
        process.kill()
        assert process.wait(10).signal == 9


@pytest.mark.parametrize("handle", HANDLES)
def test_a_task_lets_go_of_a_process_that_another_reads(fake, project, handle):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            process = await HANDLES[handle](sandbox)
            await process.send_stdin("x")
            assert await process.read(10)
            readers = [asyncio.ensure_future(process.read()) for _ in range(2)]
            await asyncio.sleep(0.05)
            await process.detach()
            for reader in readers:
                with pytest.raises(agentfense.SandboxError, match="detached"):
                    await reader
            await process.send_stdin("again")
            assert await process.read(10) == b"again"
            await process.kill()
            assert (await process.wait(10)).signal == 9

    asyncio.run(main())


def test_tasks_share_the_output_of_a_process(fake, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.spawn("cat") as process:
                readers = [asyncio.ensure_future(process.read(10)) for _ in range(4)]
                await asyncio.sleep(0.05)
                for word in (b"1", b"2", b"3", b"4"):
                    await process.send_stdin(word)
                assert sorted([await reader for reader in readers]) == [b"1", b"2", b"3", b"4"]
        assert fake.names.count("Attach") == 1

    asyncio.run(main())


def test_threads_attach_to_a_process_once(fake, project, pool):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        with sandbox.spawn("cat") as process:
            readers = [pool.submit(process.read, 10) for _ in range(3)]
            for word in ("1", "2", "3"):
                process.send_stdin(word)
            assert sorted(reader.result(10) for reader in readers) == [b"1", b"2", b"3"]


def test_a_cancelled_write_is_not_the_end_of_a_process(fake, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.spawn("cat") as process:
                await process.send_stdin("1")
                assert await process.read(10) == b"1"
                writer = asyncio.ensure_future(process.send_stdin(bytes(64 << 20)))
                await asyncio.sleep(0)
                writer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writer
                await process.send_stdin("2")
                while not (await process.read(10)).endswith(b"2"):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize("call", STREAMS)
def test_leaving_a_loop_ends_the_call(fake, project, call):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox, sandbox.session() as s:
        fake.hold[call] = "after"
        for _ in STREAMS[call](sandbox, s):
            waits(fake.held)
            break
        gc.collect()
        waits(fake.let_go)


@pytest.mark.parametrize("call", STREAMS)
def test_leaving_an_async_loop_ends_the_call(fake, project, call):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.session() as session:
                fake.hold[call] = "after"
                async for _ in STREAMS[call](sandbox, session):
                    await comes(fake.held)
                    break
                gc.collect()
                await comes(fake.let_go)
                assert len(asyncio.all_tasks()) <= 2

    asyncio.run(main())


def test_a_stream_may_outlive_its_loop(fake, project):
    kept = []

    async def main():
        sandbox = await AsyncSandbox.from_local(project, endpoint=fake.endpoint)
        fake.hold["ExecStream"] = "after"
        kept.append(sandbox.exec_stream("abc"))
        assert await kept[0].__anext__() == b"abc"
        await comes(fake.held)
        process = await sandbox.spawn("cat")
        with pytest.raises(TimeoutError):
            await process.read(0.01)
        kept.append(process)

    asyncio.run(main())
    del kept[:]
    gc.collect()
    waits(fake.let_go)


def test_nothing_of_a_long_stream_is_lost(api, fake, project):
    text = bytes(range(256)) * 40
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        stream = sandbox.exec_stream("cat", text)
        chunks = [chunk for chunk in stream if chunk.stream == "stdout"]
        assert b"".join(chunks) == text and stream.result.exit_code == 7


def test_threads_share_a_stream(fake, project, pool):
    text = bytes(range(256)) * 20
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        stream = sandbox.exec_stream("cat", text)
        parts = [pool.submit(list, stream) for _ in range(4)]
        chunks = [chunk for part in parts for chunk in part.result(10)]
    assert len(b"".join(chunks)) == len(text) + len("warning")


def test_a_client_that_is_closed_ends_its_readers(fake, project, pool):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        fake.hold["ExecStream"] = "after"
        with Sandbox.connect(sandbox.id, endpoint=fake.endpoint) as other:
            reader = pool.submit(list, other.exec_stream("abc"))
            waits(fake.held)
        with pytest.raises(agentfense.SandboxError, match="closed during the call"):
            reader.result(10)
        assert threading.active_count() < 10
