"""Sandbox and AsyncSandbox against a server in this process."""

import asyncio
import hashlib
import logging
import os
from datetime import timedelta

import grpc
import pytest

import agentfense
from agentfense import AsyncSandbox, PermissionRule, Sandbox
from agentfense._async import _connection

INTERNAL = grpc.StatusCode.INTERNAL


@pytest.fixture
def sandbox(api, fake, project):
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        yield sandbox


def test_from_local_makes_and_removes_everything(api, fake, project):
    with api.Sandbox.from_local(str(project), endpoint=fake.endpoint) as sandbox:
        assert sandbox.status == "running" and sandbox.runtime == "bwrap"
        assert sandbox.id in fake.sandboxes and sandbox.codebase_id in fake.codebases
        assert sandbox.codebase.name == "project"
        assert sandbox.info.commit_mode == "manual"
    assert not fake.sandboxes and not fake.codebases


def test_from_local_uploads_where_the_server_sees_another_directory(fake, api, project):
    with api.Sandbox.from_local(
        project,
        endpoint=fake.endpoint,
        permissions=[PermissionRule("/.env", "none")],
        ignore_patterns=["*.log"],
    ) as sandbox:
        stored = fake.files[sandbox.codebase_id]
        assert stored == {"main.py": b"print('hi')\n", "src/run.sh": b"#!/bin/sh\n"}
        secret = hashlib.sha256(b"KEY=secret\n").digest()
        assert secret not in fake.objects
        start = next(c for c in fake.calls if hasattr(c, "options"))
        assert list(start.options.ignore_patterns) == ["*.log"]
        assert [p.preset for p in start.options.permissions] == ["view-only", ""]


def test_an_upload_sends_only_what_is_missing(fake, api, project):
    fake.objects[hashlib.sha256(b"print('hi')\n").digest()] = b"held already"
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        assert fake.files[sandbox.codebase_id]["main.py"] == b"held already"


def test_from_local_lets_the_server_read_the_directory(fake, api, project):
    fake.mismatch = False
    (project.parent / "alias").symlink_to(project)
    with api.Sandbox.from_local(project.parent / "alias", endpoint=fake.endpoint) as sandbox:
        (skipped,) = sandbox.codebase.skipped
        assert (skipped.reason, skipped.count, skipped.paths) == ("hidden", 1, [".env"])
        assert "UploadTree" not in fake.names
        assert sandbox.codebase.name == "project"


def test_a_file_that_cannot_be_read_is_named_and_nothing_stays(fake, api, project, monkeypatch):
    monkeypatch.setattr("agentfense._walk.digest", deny)
    with pytest.raises(agentfense.UploadError, match="src/run.sh") as e:
        api.Sandbox.from_local(project, endpoint=fake.endpoint)
    assert e.value.file_path.endswith("run.sh") and e.value.codebase_id == "cb_1"
    assert not fake.codebases


def deny(root, entry):
    from agentfense import _walk

    if entry.path.endswith(b"run.sh"):
        raise _walk.unreadable(PermissionError(13, "Permission denied"), entry.path)
    yield
    return b""


def test_a_file_that_keeps_changing_is_named(fake, api, project, monkeypatch):
    from agentfense import _walk

    def change(root, entry):
        raise _walk.Changed(entry.path)

    monkeypatch.setattr(_walk, "digest", change)
    with pytest.raises(agentfense.UploadError, match="keeps changing"):
        api.Sandbox.from_local(project, endpoint=fake.endpoint)
    assert not fake.codebases


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/nowhere/at/all"},
        {"path": __file__},
        {"path": None},
        {"preset": "nope"},
        {"permissions": [{"pattern": ""}]},
        {"permissions": ["/x"]},
        {"runtime": "vmware"},
        {"endpoint": "nonsense"},
    ],
)
def test_a_bad_argument_is_a_value_error_before_anything_is_created(api, fake, project, arguments):
    given = {"path": project, "endpoint": fake.endpoint, **arguments}
    with pytest.raises(ValueError):
        api.Sandbox.from_local(**given)
    assert not fake.names


@pytest.mark.parametrize("call", ["IngestDirectory", "CreateSandbox"])
def test_a_failure_on_the_way_removes_what_was_created(api, fake, project, call):
    fake.mismatch = False
    fake.rules[call] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
    with pytest.raises(agentfense.SandboxError, match="broken"):
        api.Sandbox.from_local(project, endpoint=fake.endpoint)
    assert not fake.codebases and not fake.sandboxes


def test_a_clean_up_that_fails_does_not_hide_the_failure(api, fake, project, caplog):
    for call in ("IngestDirectory", "DeleteCodebase"):
        fake.rules[call] = lambda r: (INTERNAL, "broken", "INTERNAL", {})
    fake.mismatch = False
    with caplog.at_level(logging.WARNING), pytest.raises(agentfense.SandboxError, match="broken"):
        api.Sandbox.from_local(project, endpoint=fake.endpoint)
    assert "cannot remove cb_1" in caplog.text


def test_from_codebase_leaves_the_codebase(api, fake):
    with api.client(fake.endpoint) as client:
        codebase = client.create_codebase("shared")
        with api.Sandbox.from_codebase(codebase.id, endpoint=fake.endpoint, auto_start=False) as s:
            assert s.status == "pending"
            assert s.codebase.name == "shared"
            assert s.start().status == "running"
        assert not fake.sandboxes
        assert client.get_codebase(codebase.id)


def test_what_a_killed_program_leaves_goes_by_itself(api, fake, project):
    sandbox = api.Sandbox.from_local(project, endpoint=fake.endpoint)
    day = timedelta(days=1)
    assert (sandbox.info.idle_timeout, sandbox.codebase.idle_timeout) == (day, day)
    short = api.Sandbox.from_local(project, endpoint=fake.endpoint, idle_timeout=5)
    assert short.codebase.idle_timeout == timedelta(seconds=5)
    forever = api.Sandbox.from_local(project, endpoint=fake.endpoint, idle_timeout=None)
    assert (forever.info.idle_timeout, forever.codebase.idle_timeout) == (None, day)
    assert "KeepCodebase" not in fake.names
    for one in (sandbox, short, forever):
        one.destroy()
    assert "KeepCodebase" not in fake.names and not fake.codebases


def test_what_somebody_asked_to_keep_stays(api, fake, project):
    sandbox = api.Sandbox.from_local(project, endpoint=fake.endpoint)
    with api.Sandbox.from_codebase(sandbox.codebase_id, endpoint=fake.endpoint) as other:
        assert other.codebase.idle_timeout is None
        assert not fake.codebases[sandbox.codebase_id].HasField("idle_timeout")
    second = api.Sandbox.from_local(project, endpoint=fake.endpoint)
    second.destroy(delete_codebase=False)
    assert fake.names.count("KeepCodebase") == 2
    assert not fake.codebases[second.codebase_id].HasField("idle_timeout")
    third = api.Sandbox.from_local(project, endpoint=fake.endpoint)
    del fake.codebases[third.codebase_id]
    third.destroy(delete_codebase=False)
    assert third.id not in fake.sandboxes


def test_from_a_codebase_that_is_none(api, fake):
    with pytest.raises(agentfense.CodebaseNotFoundError):
        api.Sandbox.from_codebase("cb_9", endpoint=fake.endpoint)


def test_connect_owns_nothing(api, fake, sandbox):
    with api.Sandbox.connect(sandbox.id, endpoint=fake.endpoint) as other:
        assert other.run("x").stdout == "x"
        assert other.codebase == api.Sandbox.connect(sandbox.id, fake.endpoint).codebase
    assert sandbox.id in fake.sandboxes
    del fake.codebases[sandbox.codebase_id]
    other = api.Sandbox.connect(sandbox.id, endpoint=fake.endpoint)
    assert other.codebase is None
    other.destroy()
    assert sandbox.id not in fake.sandboxes


def test_connect_to_none_is_not_found(api, fake):
    with pytest.raises(agentfense.SandboxNotFoundError) as e:
        api.Sandbox.connect("sb_404", endpoint=fake.endpoint)
    assert e.value.sandbox_id == "sb_404"


def test_destroy_is_idempotent(api, fake, sandbox):
    sandbox.destroy()
    sandbox.destroy()
    assert fake.names.count("DestroySandbox") == 1
    assert sandbox.status == "stopped"
    with pytest.raises(agentfense.SandboxNotFoundError, match="destroyed"):
        sandbox.run("x")


def test_destroying_what_is_gone_is_no_error(api, fake, sandbox):
    fake.sandboxes.clear()
    fake.codebases.clear()
    sandbox.destroy()


def test_destroy_may_keep_the_codebase(api, fake, sandbox):
    sandbox.destroy(delete_codebase=False)
    assert sandbox.codebase_id in fake.codebases


def test_the_error_of_the_block_is_the_one_that_counts(api, fake, project, caplog):
    with pytest.raises(ZeroDivisionError):
        with api.Sandbox.from_local(project, endpoint=fake.endpoint):
            fake.rules["DestroySandbox"] = lambda r: (INTERNAL, "broken", "", {})
            raise ZeroDivisionError
    assert "cannot destroy" in caplog.text
    with pytest.raises(agentfense.SandboxError, match="broken"):
        with api.Sandbox.from_local(project, endpoint=fake.endpoint):
            pass


def test_a_forked_child_that_leaves_the_blocks_ends_nothing(api, fake, project, monkeypatch):
    sandbox = api.Sandbox.from_local(project, endpoint=fake.endpoint)
    session, process = sandbox.session(), sandbox.spawn("cat")
    here = os.getpid()
    # A real child keeps its parent's channel to its end; this one must let it go.
    monkeypatch.setattr(f"agentfense._{api.name}._connection._inherited", [])
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: here + 1)
        for block in (process, session, sandbox):
            block.__exit__(None, None, None)
    assert fake.names[-1] == "Spawn"


def test_life(sandbox):
    assert sandbox.stop().status == "stopped"
    with pytest.raises(agentfense.SandboxNotRunningError):
        sandbox.run("x")
    assert sandbox.refresh().status == "stopped"
    assert sandbox.start().start().status == "running"
    assert "running" in repr(sandbox)


def test_run_has_a_timeout_of_a_minute(fake, sandbox):
    assert sandbox.run("echo hi").stdout == "echo hi"
    assert (fake.names[-1], fake.calls[-1].timeout.seconds) == ("Exec", 60)


def test_run_passes_everything_on(fake, sandbox):
    sandbox.run("x", 5, {"A": "b"}, "src", input="in")
    request = fake.calls[-1]
    assert (dict(request.env), request.workdir, request.stdin_bytes) == ({"A": "b"}, "src", b"in")


def test_run_raises_on_error_if_told_to(sandbox):
    assert sandbox.run("x", on_stdout=lambda _: None).exit_code == 7
    with pytest.raises(agentfense.CommandExecutionError) as e:
        sandbox.run("x", raise_on_error=True, timeout=None, on_stdout=lambda _: None)
    assert (e.value.exit_code, e.value.stdout, e.value.stderr) == (7, "x", "warning")


def test_run_raises_on_denials_if_told_to(fake, sandbox):
    from agentfense._gen import common_pb2 as common
    from agentfense._gen import sandbox_pb2 as sb

    rule = common.RuleRef(
        pattern="**/.env*", permission=common.PERMISSION_NONE, preset="agent-safe"
    )
    denial = common.Denial(operation="open", path=b"/.env", rule=rule)
    fake.rules["Exec"] = lambda r: sb.ExecResult(denials=[denial], stdout="x")
    assert sandbox.run("cat .env").denials[0].path == "/.env"
    with pytest.raises(PermissionError) as e:
        sandbox.run("cat .env", raise_on_denied=True)
    assert (e.value.operation, e.value.path, e.value.rule) == ("open", "/.env", "**/.env*")


def test_exec_and_exec_stream(sandbox):
    assert sandbox.exec(command="cat", stdin="in").stdout == "in"
    assert b"".join(sandbox.exec_stream("abc")) == b"abcwarning"


def test_files(sandbox):
    sandbox.write_file("output/x", "ä")
    assert sandbox.read_file("output/x") == "ä"
    assert sandbox.read_file_bytes("output/x") == "ä".encode()
    names = [f.path for f in sandbox.list_files(recursive=True)]
    assert "output/x" in names
    sandbox.write_file("bin", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        sandbox.read_file("bin")
    assert sandbox.read_file("bin", errors="replace") == "\ufffd"


def test_diff_and_commit(sandbox):
    assert [c.path for c in sandbox.diff()] == ["/output/x"]
    assert sandbox.commit().applied[0].path == "/output/x"


def test_async_sandbox_is_both_awaitable_and_a_context_manager(fake, project):
    async def main():
        async with await AsyncSandbox.from_local(project, endpoint=fake.endpoint) as one:
            async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as two:
                results = await asyncio.gather(one.run("1"), two.run("2"))
                return [r.stdout for r in results]

    assert asyncio.run(main()) == ["1", "2"]
    assert not fake.sandboxes


def test_async_callbacks_may_be_coroutines(fake, project):
    seen = []

    async def note(text):
        await asyncio.sleep(0)
        seen.append(text)

    async def main():
        async with AsyncSandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
            await sandbox.run("hello", on_stdout=note)

    asyncio.run(main())
    assert "".join(seen) == "hello"


def test_an_async_client_may_be_used_from_one_loop_after_the_other(fake):
    client = agentfense.AsyncSandboxClient(fake.endpoint)

    async def main():
        return (await client.server_info()).version

    assert [asyncio.run(main()), asyncio.run(main())] == ["1.2", "1.2"]


def test_one_loop_after_the_other_keeps_no_channels(fake):
    client, before = agentfense.AsyncSandboxClient(fake.endpoint), [*_connection._inherited]
    for _ in range(3):
        asyncio.run(client.server_info())
    assert _connection._inherited == before


def test_cancelling_creation_leaves_nothing(fake, project):
    async def main():
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        fake.rules["CreateSandbox"] = lambda r: loop.call_soon_threadsafe(started.set) and None
        task = asyncio.ensure_future(start())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def start():
        return await AsyncSandbox.from_local(project, endpoint=fake.endpoint)

    asyncio.run(main())
    assert not fake.codebases and not fake.sandboxes


def test_threads_may_share_a_sandbox(fake, project):
    from concurrent.futures import ThreadPoolExecutor

    with Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda i: sandbox.run(str(i)).stdout, range(40)))
    assert results == [str(i) for i in range(40)]
