"""The end of a block, and of what must not stay half done, where somebody interrupts it."""

import asyncio

import grpc
import pytest
from test_undo import cancelled, interrupt, prepared  # noqa: F401

import agentfense
from agentfense import AsyncSandbox, Sandbox
from agentfense._gen import sandbox_pb2 as sb

INTERNAL = grpc.StatusCode.INTERNAL
BLOCKS = {"SignalProcess": "process", "DestroySession": "session", "DestroySandbox": "sandbox"}


@pytest.fixture
def hurry(monkeypatch):
    """An interrupted caller waits half a second."""
    monkeypatch.setattr("agentfense._patience.SECONDS", 0.5)


def hang(fake, *calls):
    """The server takes these calls and answers none."""
    for call in calls:
        fake.hold[call] = "always"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_a_server_that_hangs_does_not_hold_up_who_leaves(
    fake, project, caplog, hurry, interruption
):
    hang(fake, *BLOCKS)
    with pytest.raises(interruption):
        with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            with sandbox.session() as session, sandbox.spawn("cat") as process:
                raise interruption
    for left in (process.id, session.id, sandbox.id, sandbox.codebase_id):
        assert left in caplog.text


def test_a_cancelled_task_does_not_wait_for_a_server_that_hangs(fake, project, caplog, hurry):
    hang(fake, *BLOCKS)
    made = []

    async def work():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.session() as session, sandbox.spawn("cat") as process:
                made.extend([sandbox.codebase_id, sandbox.id, session.id, process.id])
                fake.held.set()
                await asyncio.sleep(60)

    asyncio.run(cancelled(fake, work()))
    assert len(made) == 4 and all(left in caplog.text for left in made)


@pytest.mark.parametrize("call", BLOCKS)
def test_who_gives_up_at_the_end_of_a_block_waits_no_longer(fake, project, caplog, hurry, call):
    async def work():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.session(), sandbox.spawn("cat"):
                hang(fake, *BLOCKS)
                for other in set(BLOCKS) - {call}:
                    del fake.hold[other]

    asyncio.run(cancelled(fake, work()))
    assert BLOCKS[call] in caplog.text


def test_the_error_of_a_block_leaves_the_usual_time(fake, project, monkeypatch):
    monkeypatch.setattr("agentfense._patience.SECONDS", 0.001)
    with pytest.raises(ZeroDivisionError):
        with Sandbox.from_local(project, endpoint=fake.endpoint):
            raise ZeroDivisionError
    assert not fake.sandboxes and not fake.codebases


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["StopSandbox", "Discard", "StartSandbox"])
def test_an_interrupted_restart_is_a_restart(fake, prepared, interrupt, call, when):  # noqa: F811
    sandbox = Sandbox.connect(prepared[1], endpoint=fake.endpoint)
    with sandbox, pytest.raises(KeyboardInterrupt):
        fake.hold[call] = when
        sandbox.discard(restart=True)
    assert fake.sandboxes[sandbox.id].status == sb.SANDBOX_STATUS_RUNNING


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["StopSandbox", "Discard", "StartSandbox"])
def test_a_cancelled_restart_is_a_restart(fake, prepared, call, when):  # noqa: F811
    fake.patience = 0.2

    async def main():
        async with AsyncSandbox.connect(prepared[1], endpoint=fake.endpoint) as sandbox:
            fake.hold[call] = when
            await cancelled(fake, sandbox.discard(restart=True), times=3)
            assert sandbox.status == "running"

    asyncio.run(main())
    assert fake.sandboxes[prepared[1]].status == sb.SANDBOX_STATUS_RUNNING


def test_a_sandbox_that_cannot_be_restarted_says_that_it_is_stopped(api, fake, prepared, caplog):  # noqa: F811
    with api.Sandbox.connect(prepared[1], endpoint=fake.endpoint) as sandbox:
        fake.rules["StartSandbox"] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
        with pytest.raises(agentfense.SandboxError, match="broken"):
            sandbox.discard(restart=True)
        assert sandbox.status == "stopped"
        assert f"cannot start sandbox {sandbox.id} again: broken" in caplog.text


def test_a_sandbox_that_does_not_run_is_not_started(api, fake, prepared):  # noqa: F811
    with api.Sandbox.connect(prepared[1], endpoint=fake.endpoint) as sandbox:
        sandbox.stop()
        with pytest.raises(agentfense.SandboxNotRunningError):
            sandbox.discard(restart=True)
    assert "StartSandbox" not in fake.names
