"""Sessions, sync and async, against a server in this process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import grpc
import pytest

import agentfense
from agentfense import AsyncSandbox, Sandbox

DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.fixture
def sandbox(api, fake, project):
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        yield sandbox


def test_a_session_is_a_shell_that_ends_with_its_block(fake, sandbox):
    with sandbox.session(env={"A": "b"}, workdir="src", idle_timeout=60) as session:
        assert session.exec("cd /workspace").stdout == "cd /workspace"
        assert session.id in fake.sessions
        assert (session.sandbox_id, session.shell) == (sandbox.id, "/bin/bash")
        assert session.info.idle_timeout == timedelta(minutes=1)
        assert (session.status, session.info.pid) == ("active", 7)
        assert "active" in repr(session)
    assert not fake.sessions and session.status == "closed"
    asked = next(c for c in fake.calls if hasattr(c, "shell"))
    assert (dict(asked.env), asked.workdir, bool(asked.request_id)) == ({"A": "b"}, "src", True)


def test_a_command_is_one_plain_call_unless_somebody_listens(fake, sandbox):
    with sandbox.session() as session:
        session.exec("x", timeout=2.5)
        assert (fake.names[-1], fake.calls[-1].timeout.nanos) == ("SessionExec", 500_000_000)
        assert fake.deadlines[-1] is None
        list(session.exec_stream("x", timeout=2.5))
        assert (fake.names[-1], fake.deadlines[-1]) == ("SessionExecStream", None)
        session.exec("x")
        assert (fake.names[-1], fake.calls[-1].HasField("timeout")) == ("SessionExec", False)
        session.exec("x", on_stdout=lambda _: None)
        assert fake.names[-1] == "SessionExecStream"
        with pytest.raises(ValueError):
            session.exec("x", timeout=0)


@pytest.mark.parametrize("command", ["", ["ls"], b"ls"])
def test_a_session_takes_a_string_only(sandbox, command):
    with sandbox.session() as session, pytest.raises(ValueError):
        session.exec(command)


def test_exit_is_a_result_and_the_next_call_says_closed(sandbox):
    with sandbox.session() as session:
        assert session.exec("exit 3").exit_code == 3
        with pytest.raises(agentfense.SessionClosedError) as e:
            session.exec("true")
        assert e.value.session_id == session.id and session.status == "closed"
        assert session.refresh().info.close_reason == "the shell ended"


def test_a_closed_session_says_so_without_a_call(fake, sandbox):
    session = sandbox.session()
    session.close()
    session.close()
    assert fake.names.count("DestroySession") == 1
    with pytest.raises(agentfense.SessionClosedError):
        session.exec("true")
    with pytest.raises(agentfense.SessionClosedError):
        session.exec_stream("true")


def test_closing_what_is_gone_is_no_error(fake, sandbox):
    with sandbox.session():
        fake.sessions.clear()


def test_an_error_of_the_block_is_the_one_that_counts(fake, sandbox, caplog):
    with pytest.raises(ZeroDivisionError), sandbox.session():
        fake.rules["DestroySession"] = lambda r: (grpc.StatusCode.INTERNAL, "broken", "", {})
        raise ZeroDivisionError
    assert "cannot close session" in caplog.text


def test_a_timeout_is_an_error_and_the_session_stays(fake, sandbox):
    with sandbox.session() as session:
        fake.rules["SessionExec"] = lambda r: (DEADLINE, "long", "COMMAND_TIMEOUT", {})
        with pytest.raises(TimeoutError) as e:
            session.exec("sleep 9", timeout=2)
        assert (e.value.command, e.value.timeout_seconds) == ("sleep 9", 2)
        del fake.rules["SessionExec"]
        assert session.exec("x", timeout=2).stdout == "x"


def test_streams_and_callbacks(sandbox):
    seen = []
    with sandbox.session() as session:
        stream = session.exec_stream("hello")
        assert b"".join(stream) == b"hello" and stream.exit_code == 0
        session.exec("hi", on_stdout=seen.append)
        with pytest.raises(agentfense.CommandExecutionError):
            session.exec("exit 2", raise_on_error=True)
    assert seen == ["hi"]


def test_the_client_has_a_call_for_each(api, fake, sandbox):
    with api.client(fake.endpoint) as client:
        made = client.create_session(sandbox.id, shell="/bin/sh")
        assert client.get_session(made.id) == made and made.shell == "/bin/sh"
        assert [s.id for s in client.list_sessions(sandbox.id)] == [made.id]
        assert client.session_exec(made.id, "x", timeout=1).stdout == "x"
        assert [s.id for s in sandbox.sessions()] == [made.id]
        client.destroy_session(made.id)
        client.destroy_session(made.id)
        with pytest.raises(agentfense.SessionNotFoundError) as e:
            client.get_session(made.id)
        assert e.value.session_id == made.id


def test_threads_queue(fake, project):
    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        with sandbox.session() as session, ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: session.exec("wait", timeout=5).stdout, range(8)))
    assert results == ["wait"] * 8


def test_tasks_queue(fake, project):
    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            async with sandbox.session() as one, await sandbox.session() as two:
                assert one.id != two.id
                await asyncio.gather(*(one.exec("wait", timeout=5) for _ in range(8)))
            fake.rules["SessionExec"] = None

    asyncio.run(main())
