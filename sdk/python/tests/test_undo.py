"""Whoever is interrupted while something is made leaves nothing."""

import asyncio
import os
import signal
import threading
import time

import grpc
import pytest

import agentfense
from agentfense import AsyncSandbox, AsyncSandboxClient, Sandbox, SandboxClient
from agentfense._patience import Patience

CREATIONS = {
    "CreateCodebase": lambda client, codebase, sandbox: client.create_codebase("x"),
    "CreateSandbox": lambda client, codebase, sandbox: client.create_sandbox(codebase, start=True),
    "CreateSession": lambda client, codebase, sandbox: client.create_session(sandbox),
    "ForkSandbox": lambda client, codebase, sandbox: client.fork_sandbox(sandbox, start=True),
    "SnapshotSandbox": lambda client, codebase, sandbox: client.snapshot_sandbox(sandbox),
    "Spawn": lambda client, codebase, sandbox: client.spawn(sandbox, "cat"),
}
INTERNAL = grpc.StatusCode.INTERNAL
STAGES = ["CreateCodebase", "IngestDirectory", "CreateSandbox"]


def there(fake):
    running = [p.info.id for p in fake.processes.values() if not p.info.HasField("exit")]
    return sorted([*fake.codebases, *fake.sandboxes, *fake.sessions, *running])


@pytest.fixture
def prepared(fake):
    """A codebase and a sandbox that runs, and what there is with them."""
    with SandboxClient(fake.endpoint) as client:
        codebase = client.create_codebase("before").id
        sandbox = client.create_sandbox(codebase, start=True).id
    return codebase, sandbox, there(fake)


@pytest.fixture
def interrupt(fake):
    """Sends this process a SIGINT as soon as the fake holds a call."""

    def send():
        if fake.held.wait(10):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    fake.held.set()
    thread.join()


async def cancelled(fake, work, times=1):
    """Cancels the work once the fake holds a call of it, and again while it cleans up."""
    task = asyncio.ensure_future(work)
    while not fake.held.is_set():
        assert not task.done(), task
        await asyncio.sleep(0.005)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.005)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", CREATIONS)
def test_a_cancelled_call_makes_nothing(fake, prepared, call, when):
    codebase, sandbox, before = prepared

    async def main():
        async with AsyncSandboxClient(fake.endpoint) as client:
            fake.hold[call] = when
            await cancelled(fake, CREATIONS[call](client, codebase, sandbox), times=3)

    asyncio.run(main())
    assert there(fake) == before
    asked = [r for r in fake.calls if type(r).__name__ == f"{call}Request"]
    assert not asked or not getattr(asked[-1], "start", False)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", CREATIONS)
def test_an_interrupted_call_makes_nothing(fake, prepared, interrupt, call, when):
    codebase, sandbox, before = prepared
    with SandboxClient(fake.endpoint) as client:
        fake.hold[call] = when
        with pytest.raises(KeyboardInterrupt):
            CREATIONS[call](client, codebase, sandbox)
    assert there(fake) == before
    assert threading.active_count() <= 3


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", STAGES)
def test_cancelling_from_local_leaves_nothing(fake, project, call, when):
    fake.mismatch, fake.hold[call] = False, when

    async def main():
        await cancelled(fake, AsyncSandbox.from_local(project, endpoint=fake.endpoint), times=3)

    asyncio.run(main())
    assert there(fake) == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", STAGES)
def test_interrupting_from_local_leaves_nothing(fake, project, interrupt, call, when):
    fake.mismatch, fake.hold[call] = False, when
    with pytest.raises(KeyboardInterrupt):
        Sandbox.from_local(project, endpoint=fake.endpoint)
    assert there(fake) == []


def test_cancelling_from_codebase_leaves_the_codebase_alone(fake, prepared):
    codebase, _, before = prepared
    fake.hold["CreateSandbox"] = "after"
    asyncio.run(cancelled(fake, AsyncSandbox.from_codebase(codebase, endpoint=fake.endpoint)))
    assert there(fake) == before


def test_a_loop_that_ends_waits_for_the_undoing(fake, project):
    """asyncio.run cancels all tasks that are left, those that undo as well."""
    fake.mismatch, fake.hold["CreateSandbox"] = False, "after"

    async def main():
        task = asyncio.ensure_future(AsyncSandbox.from_local(project, endpoint=fake.endpoint))
        while not fake.held.is_set():
            await asyncio.sleep(0.005)
        fake.hold["ListSandboxes"] = "before"
        fake.held.clear()
        task.cancel()
        while not fake.held.is_set():
            await asyncio.sleep(0.005)

    asyncio.run(main())
    assert there(fake) == []


@pytest.mark.parametrize("block", ["sandbox", "session", "process"])
def test_the_end_of_a_block_is_not_cancelled(fake, project, block):
    async def main():
        async def work():
            async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
                async with sandbox.session(), sandbox.spawn("cat"):
                    if block == "sandbox":
                        fake.hold["DeleteCodebase"] = "before"
                    elif block == "session":
                        fake.hold["DestroySession"] = "before"
                    else:
                        fake.hold["SignalProcess"] = "before"
                    fake.held.set()
                    await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        for _ in range(2):
            while not fake.held.is_set():
                await asyncio.sleep(0.005)
            fake.held.clear()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    fake.patience = 0.2
    asyncio.run(main())
    assert there(fake) == []


def test_an_undoing_that_fails_is_in_the_log(fake, prepared, interrupt, caplog):
    codebase, *_ = prepared
    fake.hold["CreateSandbox"] = "after"
    fake.rules["DestroySandbox"] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
    with SandboxClient(fake.endpoint) as client, pytest.raises(KeyboardInterrupt):
        client.create_sandbox(codebase)
    assert "cannot remove what an interrupted call made: broken" in caplog.text


class TimeIsUp(Exception):
    pass


@pytest.fixture
def time_is_up():
    """SIGINT raises what is an Exception, as Celery's SoftTimeLimitExceeded is."""

    def handler(*_):
        raise TimeIsUp

    before = signal.signal(signal.SIGINT, handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("call", CREATIONS)
def test_an_interruption_may_be_an_exception(fake, prepared, time_is_up, interrupt, call):
    codebase, sandbox, before = prepared
    with SandboxClient(fake.endpoint) as client:
        fake.hold[call] = "after"
        with pytest.raises(TimeIsUp):
            CREATIONS[call](client, codebase, sandbox)
    assert there(fake) == before


@pytest.mark.parametrize("call", ["CreateCodebase", "Spawn"])
def test_a_lost_answer_leaves_nothing(api, fake, prepared, monkeypatch, call):
    codebase, sandbox, before = prepared
    for flavor in ("_sync", "_async"):
        monkeypatch.setattr(f"agentfense.{flavor}._connection.DEADLINE", 0.5)

    # The server goes away: nothing is repeated.
    def gone(*_):
        return "gone" if api.name == "sync" else asyncio.sleep(0, "gone")

    monkeypatch.setattr(f"agentfense._{api.name}._flavor.refusal", gone)
    fake.hold[call] = "after"
    with api.client(fake.endpoint) as client:
        with pytest.raises(ConnectionError, match="did not answer in time"):
            CREATIONS[call](client, codebase, sandbox)
    assert there(fake) == before


def test_what_the_server_refused_is_not_undone(api, fake, prepared):
    codebase, *_ = prepared
    fake.rules["CreateSandbox"] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
    with api.client(fake.endpoint) as client, pytest.raises(agentfense.SandboxError):
        client.create_sandbox(codebase)
    assert fake.names.count("CreateSandbox") == 2


def test_a_lost_server_is_not_asked_again_after_an_interruption(fake, project, interrupt, caplog):
    fake.mismatch, fake.hold["CreateSandbox"] = False, "after"
    lost = (grpc.StatusCode.UNAVAILABLE, "gone", "", {})
    fake.rules["DestroySandbox"] = lambda r: lost
    with pytest.raises(KeyboardInterrupt):
        Sandbox.from_local(project, endpoint=fake.endpoint)
    assert not {"ListSandboxes", "DeleteCodebase"} & set(fake.names)
    assert caplog.text.count("cannot remove") == 2


def test_all_removals_after_an_interruption_share_one_time(fake, project, interrupt, monkeypatch):
    monkeypatch.setattr("agentfense._patience.SECONDS", 5.0)
    fake.mismatch, fake.hold["CreateSandbox"] = False, "after"
    with pytest.raises(KeyboardInterrupt):
        Sandbox.from_local(project, endpoint=fake.endpoint)
    last = dict(zip(fake.names, fake.deadlines))
    assert {"DestroySandbox", "ListSandboxes", "DeleteCodebase"} <= set(last)
    assert max(last[name] for name in ("DestroySandbox", "ListSandboxes", "DeleteCodebase")) < 10


def test_one_error_is_one_patience():
    error = KeyboardInterrupt()
    assert Patience.with_error(error) is Patience.with_error(error)
    assert Patience.with_error(error) is not Patience.with_error(KeyboardInterrupt())


def test_a_cancellation_comes_through_although_the_end_of_a_block_fails(fake, project):
    async def main():
        async def work():
            async with AsyncSandbox.from_local(project, endpoint=fake.endpoint):
                pass

        fake.rules["DestroySandbox"] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
        fake.hold["DestroySandbox"] = "before"
        fake.patience = 0.2
        task = asyncio.ensure_future(work())
        while not fake.held.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as e:
            await task
        return e.value

    assert "broken" in str(asyncio.run(main()).__cause__)


def test_a_server_that_does_not_answer_does_not_hold_up_who_gave_up(fake, prepared, monkeypatch):
    codebase, *_ = prepared
    monkeypatch.setattr("agentfense._patience.SECONDS", 0.2)
    fake.hold["CreateSandbox"] = "before"
    fake.rules["CreateSandbox"] = lambda r: time.sleep(1)
    began = time.monotonic()

    async def main():
        async with AsyncSandboxClient(fake.endpoint) as client:
            await cancelled(fake, client.create_sandbox(codebase))

    asyncio.run(main())
    assert time.monotonic() - began < 30


def test_what_is_opened_is_a_coroutine(fake, project):
    """create_task, gather and wait_for take it."""

    async def main():
        made = AsyncSandbox.from_local(project, endpoint=fake.endpoint)
        assert asyncio.iscoroutine(made)
        one = await asyncio.create_task(made)
        two = await asyncio.wait_for(AsyncSandbox.connect(one.id, fake.endpoint), 10)
        session, process = await asyncio.gather(one.session(), one.spawn("cat"))
        assert session.sandbox_id == process.sandbox_id == two.id
        await process.kill()
        await process.detach()
        await one.destroy()
        async with two:
            pass

    asyncio.run(main())
