"""Sessions, against a real daemon: every case that the contract lists."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import agentfense
from agentfense import AsyncSandbox, Sandbox, SandboxClient

pytestmark = pytest.mark.e2e


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="development") as sandbox:
        yield sandbox


@pytest.fixture
def session(sandbox):
    with sandbox.session() as session:
        yield session


def test_state_lasts(session):
    for command in ("cd src", "export A='b c'", "f() { echo $A from $PWD; }", "x=1"):
        assert session.exec(command).exit_code == 0
    assert session.exec("f; echo $x").stdout == "b c from /workspace/src\n1\n"
    session.exec("echo 'y=sourced' > /tmp/rc; source /tmp/rc")
    assert session.exec("echo $y").stdout == "sourced\n"
    session.exec("sleep 1000 &")
    assert "sleep 1000" in session.exec("jobs").stdout
    assert session.exec("kill %1; wait; echo over").stdout.endswith("over\n")


def test_what_it_is(api, sandbox, session):
    assert session.id.startswith("sess_") and session.sandbox_id == sandbox.id
    assert session.status == "active" and session.info.pid > 1
    assert session.info.created_at.tzinfo is not None
    assert int(session.exec("echo $$").stdout) == session.info.pid
    assert [s.id for s in sandbox.sessions()] == [session.id]
    with api.client() as client:
        assert client.get_session(session.id).id == session.id


def test_arguments(sandbox):
    with sandbox.session(shell="/bin/sh", env={"A": "b"}, workdir="src") as session:
        assert session.exec("echo $A; pwd").stdout == "b\n/workspace/src\n"
        assert session.shell.endswith("sh")


@pytest.mark.parametrize(
    "command, stdout, stderr, code",
    [
        ("printf 'no newline'", "no newline", "", 0),
        ("echo out; echo err >&2; (exit 7)", "out\n", "err\n", 7),
        ("true # a comment", "", "", 0),
        ("false", "", "", 1),
        ("cat", "", "", 0),
        ("read x; echo $?", "1\n", "", 0),
        ("printf 'a\\0b'", "a\0b", "", 0),
        ("echo one\necho two", "one\ntwo\n", "", 0),
        ("cat <<'X'\nhere $A\nX", "here $A\n", "", 0),
        ("for i in 1 2; do echo $i; done", "1\n2\n", "", 0),
        ("echo __MARK__ 0; echo '\x1e__END__'", "__MARK__ 0\n\x1e__END__\n", "", 0),
        ("  ", "", "", 0),
    ],
)
def test_results(session, command, stdout, stderr, code):
    result = session.exec(command, timeout=30)
    assert (result.stdout, result.stderr, result.exit_code) == (stdout, stderr, code)
    assert result.command == command
    assert session.exec("echo next", timeout=30).stdout == "next\n"


@pytest.mark.parametrize("command", ["echo 'unbalanced", "if true", "(", "echo $(", "done"])
def test_a_syntax_error_is_a_result(session, command):
    result = session.exec(command, timeout=30)
    assert result.exit_code != 0 and result.stderr
    assert session.exec("echo next", timeout=30).stdout == "next\n"


@pytest.mark.parametrize("command, code", [("exit 3", 3), ("exec sh -c 'exit 4'", 4), ("exit", 0)])
def test_a_shell_that_ends_is_a_result_and_then_closed(session, command, code):
    result = session.exec(command, timeout=30)
    assert result.exit_code == code
    with pytest.raises(agentfense.SessionClosedError) as e:
        session.exec("true", timeout=30)
    assert e.value.session_id == session.id and e.value.reason == "SESSION_CLOSED"


def test_set_e_ends_the_shell_only_where_it_should(session):
    assert session.exec("set -e; true", timeout=30).exit_code == 0
    assert session.exec("false", timeout=30).exit_code == 1


def test_long_lines_and_binary(session):
    line = "x" * 500_000
    assert session.exec(f"echo {line} | wc -c", timeout=30).stdout.strip() == "500001"
    result = session.exec("head -c 3000000 /dev/zero | tr '\\0' y", timeout=60)
    assert len(result.stdout) == 3_000_000
    every = session.exec("printf '\\000\\377\\200'", timeout=30)
    assert every.stdout_bytes == b"\x00\xff\x80"


def test_a_timeout_leaves_the_session_usable(session):
    session.exec("kept=yes; sleep 2222 &")
    begun = time.monotonic()
    for command in (
        "sleep 1111",
        "sleep 1111 | cat",
        "(trap '' INT; sleep 1111)",
        "while :; do :; done",
    ):
        with pytest.raises(agentfense.CommandTimeoutError) as e:
            session.exec(command, timeout=0.5)
        assert (e.value.command, e.value.timeout_seconds) == (command, 0.5)
        assert session.exec("echo $kept", timeout=30).stdout == "yes\n"
    assert time.monotonic() - begun < 30
    shown = session.exec("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", timeout=30).stdout
    assert "sleep 1111" not in shown and "sleep 2222" in shown


def test_output_streams_and_calls_back(session):
    seen = []
    result = session.exec("echo a; echo b >&2", on_stdout=seen.append)
    assert seen == ["a\n"] and result.stderr == "b\n"
    stream = session.exec_stream("echo x; sleep 0.2; echo y; (exit 5)")
    assert b"".join(stream) == b"x\ny\n" and stream.exit_code == 5
    with session.exec_stream("echo x; sleep 3333") as stream:
        assert next(stream) == b"x\n"
    assert session.exec("echo usable", timeout=30).stdout == "usable\n"


def test_closing_ends_what_runs_in_it(sandbox):
    with sandbox.session() as session:
        session.exec("sleep 4444 & disown", timeout=30)
    for _ in range(100):
        if "4444" not in sandbox.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("it still runs")
    with SandboxClient() as client, pytest.raises(agentfense.SessionNotFoundError) as e:
        client.destroy_session(session.id)
        client.get_session(session.id)
    assert e.value.session_id == session.id and e.value.reason == "SESSION_NOT_FOUND"


def test_sessions_end_with_their_sandbox(sandbox):
    session = sandbox.session()
    sandbox.stop()
    with pytest.raises(agentfense.SessionClosedError, match="sandbox has stopped") as e:
        session.exec("true", timeout=30)
    assert e.value.session_id == session.id
    assert [(s.id, s.status) for s in sandbox.sessions()] == [(session.id, "closed")]
    session.close()
    with pytest.raises(agentfense.SandboxNotRunningError):
        sandbox.session()


def test_an_idle_session_is_closed(sandbox):
    session = sandbox.session(idle_timeout=0.5)
    session.exec("true", timeout=30)
    while session.refresh().status != "closed":
        time.sleep(0.05)
    with pytest.raises(agentfense.SessionClosedError, match="nobody used it") as e:
        session.exec("true", timeout=30)
    assert e.value.session_id == session.id and session.info.closed_at.tzinfo is not None


def test_concurrent_callers_queue(endpoint, project):
    with Sandbox.from_local(project, preset="development") as sandbox:
        with sandbox.session() as session, ThreadPoolExecutor(8) as pool:
            session.exec("n=0")
            list(pool.map(lambda _: session.exec("n=$((n+1)); sleep 0.01", timeout=30), range(24)))
            assert session.exec("echo $n").stdout == "24\n"
        with sandbox.session() as session, SandboxClient() as client:
            # Of several clients too.
            with ThreadPoolExecutor(8) as pool:
                calls = [
                    pool.submit(client.session_exec, session.id, f"echo {i}; sleep 0.01", 30)
                    for i in range(16)
                ]
                assert [c.result().stdout for c in calls] == [f"{i}\n" for i in range(16)]


def test_cancelling_the_task_interrupts_the_command(endpoint, project):
    async def main():
        async with AsyncSandbox.from_local(project, preset="development") as sandbox:
            async with sandbox.session() as session:
                task = asyncio.ensure_future(session.exec("sleep 5555"))
                await asyncio.sleep(0.5)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                result = await session.exec("echo usable", timeout=30)
                assert result.stdout == "usable\n"

    asyncio.run(main())


def test_many_sessions_from_one_loop(endpoint, project):
    count = 60

    async def one(sandbox, number):
        async with sandbox.session() as session:
            await session.exec(f"n={number}", timeout=60)
            return int((await session.exec("echo $n", timeout=60)).stdout)

    async def main():
        async with AsyncSandbox.from_local(project, preset="development") as sandbox:
            return await asyncio.gather(*(one(sandbox, i) for i in range(count)))

    assert asyncio.run(main()) == list(range(count))
