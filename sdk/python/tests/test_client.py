"""The low-level client against a server in this process, sync and async."""

import asyncio
import io
import sys
import threading
from datetime import timedelta

import grpc
import pytest

import agentfense
from agentfense._gen import sandbox_pb2 as sb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def client(api, fake):
    with api.client(fake.endpoint) as client:
        yield client


@pytest.fixture
def running(client):
    return client.create_sandbox(client.create_codebase("c").id, start=True).id


def test_codebases_come_and_go(client, fake):
    made = client.create_codebase(name="shared-repo", owner_id="team_A")
    assert made.name == "shared-repo" and made.created_at.tzinfo is not None
    assert client.get_codebase(made.id) == made
    client.delete_codebase(made.id)
    with pytest.raises(agentfense.CodebaseNotFoundError) as e:
        client.get_codebase(made.id)
    assert e.value.codebase_id == made.id


def test_lists_follow_the_pages(client):
    ids = {client.create_codebase(f"c{i}").id for i in range(5)}
    assert {c.id for c in client.list_codebases()} == ids


@pytest.mark.parametrize("content", [b"print()", "print()", io.BytesIO(b"print()")])
def test_files_go_up_and_down(client, content):
    codebase = client.create_codebase("c").id
    if isinstance(content, io.BytesIO):
        content.seek(0)
    result = client.upload_file(codebase, "a/main.py", content)
    assert (result.size, len(result.checksum)) == (7, 64)
    assert client.download_file(codebase, "a/main.py") == b"print()"
    assert [f.path for f in client.list_files(codebase, recursive=True)] == ["a/main.py"]
    with pytest.raises(FileNotFoundError) as e:
        client.download_file(codebase, "other")
    assert (e.value.file_path, e.value.codebase_id) == ("other", codebase)


def test_a_large_file_goes_in_pieces(client, fake):
    codebase = client.create_codebase("c").id
    data = bytes(range(256)) * 8000
    client.upload_file(codebase, "big", data)
    sent = fake.calls[-1]
    assert len(sent) > 5 and sent[0].metadata.total_size == len(data)
    assert client.download_file(codebase, "big") == data


def test_an_upload_that_is_refused_is_an_upload_error(client, fake):
    fake.rules["UploadFiles"] = lambda r: (INVALID, "leaves it", "INVALID_PATH", {"path": "../x"})
    with pytest.raises(agentfense.UploadError) as e:
        client.upload_file("cb_1", "../x", b"")
    assert e.value.file_path == "../x"


def test_create_calls_carry_their_own_request_id(client, fake):
    first = client.create_codebase("a")
    client.create_codebase("b")
    client.create_sandbox(first.id)
    ids = [c.request_id for c in fake.calls]
    assert len(set(ids)) == 3 and all(ids)


def test_create_sandbox_sends_exactly_the_rules_given(client, fake):
    codebase = client.create_codebase("c").id
    info = client.create_sandbox(codebase, permissions=[{"pattern": "/x", "permission": "write"}])
    assert [p.pattern for p in info.permissions] == ["/x"]
    assert info.commit_mode == "manual"
    assert fake.calls[-1].commit_mode == sb.COMMIT_MODE_MANUAL


@pytest.mark.parametrize("permissions", [None, [], [...]])
def test_no_rules_and_an_ellipsis_mean_the_default_preset(client, permissions):
    info = client.create_sandbox(client.create_codebase("c").id, permissions=permissions)
    assert [p.preset for p in info.permissions] == ["view-only"]


def test_a_preset_comes_before_the_rules(client):
    codebase = client.create_codebase("c").id
    info = client.create_sandbox(codebase, [{"pattern": "/x"}], preset="read-only")
    assert [p.preset for p in info.permissions] == ["read-only", ""]


def test_life_of_a_sandbox(client):
    codebase = client.create_codebase("c").id
    made = client.create_sandbox(codebase, labels={"team": "a"})
    assert made.status == "pending"
    assert client.start_sandbox(made.id).status == "running"
    assert client.get_sandbox(made.id).status == "running"
    assert client.stop_sandbox(made.id).status == "stopped"
    with pytest.raises(agentfense.SandboxNotRunningError) as e:
        client.exec(made.id, "ls", timeout=5)
    assert (e.value.sandbox_id, e.value.current_status) == (made.id, "stopped")
    assert [s.id for s in client.list_sandboxes(codebase)] == [made.id]
    assert client.list_sandboxes(labels={"team": "b"}) == []
    client.destroy_sandbox(made.id)
    with pytest.raises(LookupError):
        client.get_sandbox(made.id)
    client.destroy_sandbox(made.id)
    client.delete_codebase(codebase)
    client.delete_codebase(codebase)


def test_a_command_with_a_timeout_is_one_plain_call(client, fake, running):
    result = client.exec(running, "echo hi", timeout=timedelta(seconds=3))
    assert (result.stdout, result.command) == ("echo hi", "echo hi")
    assert result.duration == timedelta(milliseconds=5)
    assert fake.names[-1] == "Exec" and fake.calls[-1].timeout.seconds == 3


def test_a_command_without_a_timeout_has_no_deadline_either(client, fake, running):
    assert client.exec(running, "echo hi").stdout == "echo hi"
    assert fake.names[-1] == "Exec" and not fake.calls[-1].HasField("timeout")
    assert fake.deadlines[-1] is None
    client.exec(running, "echo hi", timeout=3)
    assert 3 < fake.deadlines[-1] < 30


def test_input_and_argv_arrive_as_bytes(client, fake, running):
    assert client.exec(running, ["cat"], stdin=b"\xff\x00", timeout=1).stdout_bytes == b"\xff\x00"
    assert list(fake.calls[-1].argv) == [b"cat"]


def test_callbacks_get_whole_characters(client, running):
    seen, errors = [], []
    result = client.exec(
        running, "aä€" * 5, timeout=1, on_stdout=seen.append, on_stderr=errors.append
    )
    assert "".join(seen) == "aä€" * 5 and len(seen) > 1
    assert errors == ["warning"]
    assert (result.stdout, result.exit_code) == ("aä€" * 5, 7)


def test_a_callback_that_fails_ends_the_call(client, running):
    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.exec(running, "x", on_stdout=fail)


def test_a_stream_yields_bytes_that_know_their_stream(client, running):
    stream = client.exec_stream(running, "hello")
    chunks = list(stream)
    assert b"".join(chunks) == b"hellowarning"
    assert [c.stream for c in chunks] == ["stdout", "stdout", "stderr"]
    assert (stream.exit_code, stream.result.exit_code) == (7, 7)
    assert list(stream) == []


def test_a_stream_may_be_left_early(client, running):
    with client.exec_stream(running, "hello") as stream:
        assert next(stream) == b"hel"
        assert stream.exit_code is None
    with pytest.raises(StopIteration):
        stream_end = client.exec_stream(running, "x")
        for _ in range(9):
            next(stream_end)


def test_a_timeout_carries_command_and_seconds(client, fake, running):
    fake.rules["Exec"] = lambda r: (DEADLINE, "too long", "COMMAND_TIMEOUT", {"timeout": "2"})
    with pytest.raises(TimeoutError) as e:
        client.exec(running, ["sleep", "9"], timeout=2)
    assert type(e.value) is agentfense.CommandTimeoutError
    assert (e.value.command, e.value.timeout_seconds) == ("sleep 9", 2)


def test_files_of_a_sandbox(client, running):
    written = client.write_sandbox_file(running, "/output/x", "text", mode=0o600)
    assert (written.path, written.size, written.mode) == ("/output/x", 4, 0o600)
    assert client.read_sandbox_file(running, "/output/x") == b"text"
    assert [f.path for f in client.list_sandbox_files(running)] == ["/output/x"]
    with pytest.raises(agentfense.FileNotFoundError) as e:
        client.read_sandbox_file(running, "gone")
    assert e.value.file_path == "gone"


def test_diff_and_commit(client, fake, running):
    (change,) = client.diff(running)
    assert (change.path, change.operation, change.kind) == ("/output/x", "added", "file")
    result = client.commit(running, ["/output"])
    assert result.head == "ab" * 32 and result.applied[0].path == "/output/x"
    assert list(fake.calls[-1].paths) == [b"/output"]
    client.commit(running, "/output")
    assert list(fake.calls[-1].paths) == [b"/output"]
    with pytest.raises(ValueError):
        client.commit(running, [])


def test_server_info(client):
    assert client.server_info().version == "1.2"


def test_a_call_that_may_be_repeated_is_when_the_server_went_away(client, fake):
    answers = [(UNAVAILABLE, "gone", "", {})]
    fake.rules["GetInfo"] = lambda r: answers.pop() if answers else None
    assert client.server_info().version == "1.2"
    assert fake.names.count("GetInfo") == 2


def test_no_server_is_a_connection_error_at_once(api, tmp_path):
    client = api.client(f"unix://{tmp_path}/none.sock")
    with pytest.raises(ConnectionError, match="sudo sandboxd") as e:
        client.create_codebase("x")
    assert e.value.endpoint.endswith("none.sock")
    client.close()


def test_a_closed_client_says_so(client):
    client.close()
    client.close()
    with pytest.raises(agentfense.SandboxError, match="closed"):
        client.server_info()


CUT = "the client was closed during the call"


def test_a_client_that_is_closed_during_a_call_says_so(fake):
    client = agentfense.SandboxClient(fake.endpoint)
    fake.hold["GetInfo"] = "before"

    def close():
        fake.held.wait(10)
        client.close()

    thread = threading.Thread(target=close)
    thread.start()
    with pytest.raises(agentfense.SandboxError, match=CUT):
        client.server_info()
    thread.join()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not know who cancelled it")
@pytest.mark.parametrize("cancelled", [False, True])
def test_an_async_client_that_is_closed_during_a_call_says_so(fake, cancelled):
    async def main():
        client = agentfense.AsyncSandboxClient(fake.endpoint)
        fake.hold["GetInfo"] = "before"
        task = asyncio.ensure_future(client.server_info())
        while not fake.held.is_set():
            await asyncio.sleep(0.005)
        if cancelled:
            task.cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError if cancelled else agentfense.SandboxError) as e:
            await task
        assert cancelled or CUT in str(e.value)

    asyncio.run(main())
