"""Files and deltas of a sandbox, sync and async, against a server in this process."""

import gzip
import io

import grpc
import pytest

import agentfense
from agentfense import FileEvent, Progress


@pytest.fixture
def sandbox(api, fake, project):
    with api.Sandbox.from_local(project, endpoint=fake.endpoint) as sandbox:
        yield sandbox


def test_files_as_an_object(sandbox):
    files = sandbox.files
    assert files.write("output/x", "ä").size == 2
    assert (files.read("output/x"), files.read_bytes("output/x")) == ("ä", "ä".encode())
    assert files.exists("output/x") and not files.exists("output/y")
    assert files.stat("output/x").size == 2
    files.rename("output/x", "output/y")
    assert files.read("output/y") == "ä"
    assert "output/y" in [f.path for f in files.list(recursive=True)]
    files.remove("output/y")
    assert not files.exists("output/y")
    assert files.make_dir("output/d").is_dir
    for call in (files.read, files.remove, files.stat):
        with pytest.raises(agentfense.FileNotFoundError) as e:
            call("gone")
        assert e.value.file_path == "gone"
    with pytest.raises(FileNotFoundError):
        files.rename("gone", "there")


def test_requests_carry_every_field(fake, sandbox):
    sandbox.files.write("d", "x")
    sandbox.files.remove("d", recursive=True)
    assert (fake.calls[-1].path, fake.calls[-1].recursive) == (b"d", True)
    sandbox.files.make_dir(b"\xff")
    assert fake.calls[-1].path == b"\xff"
    with pytest.raises(ValueError):
        sandbox.files.remove("a\0b")


def numbers(count):
    yield from (bytes([i % 256]) * 1000 for i in range(count))


@pytest.mark.parametrize(
    "content, total",
    [
        (lambda: bytes(1_000_000), 1_000_000),
        (lambda: bytearray(1_000_000), 1_000_000),
        (lambda: memoryview(bytes(1_000_000)), 1_000_000),
        (lambda: "x" * 1_000_000, 1_000_000),
        (lambda: io.BytesIO(bytes(1_000_000)), 1_000_000),
        (lambda: numbers(1000), None),
    ],
    ids=["bytes", "bytearray", "memoryview", "str", "file", "iterable"],
)
def test_content_goes_up_in_pieces_with_progress(fake, sandbox, content, total):
    seen = []
    sandbox.files.write("big", content(), on_progress=seen.append)
    assert len(sandbox.files.read_bytes("big")) == 1_000_000
    assert len(seen) > 2 and seen[-1] == Progress(1_000_000, total)
    assert max(len(c.data) for c in fake.calls[-2]) <= 256 << 10
    sandbox.write_file("big", b"", on_progress=seen.append)
    assert sandbox.read_file("big") == ""


@pytest.mark.parametrize("skip", [0, 7])
def test_an_open_file_tells_how_much_is_left_of_it(sandbox, tmp_path, skip):
    seen = []
    (tmp_path / "big").write_bytes(bytes(300_000))
    with (tmp_path / "big").open("rb") as file:
        file.read(skip)
        sandbox.files.write("big", file, on_progress=seen.append)
    assert seen[-1] == Progress(300_000 - skip, 300_000 - skip)


def test_a_file_that_is_decompressed_tells_no_size(sandbox, tmp_path):
    seen = []
    (tmp_path / "big").write_bytes(gzip.compress(bytes(300_000)))
    with gzip.open(tmp_path / "big") as file:
        sandbox.files.write("big", file, on_progress=seen.append)
    assert seen[-1] == Progress(300_000, None)


def test_content_that_fails_is_the_error(sandbox):
    def broken():
        yield b"half"
        raise ZeroDivisionError

    for call in (sandbox.files.write, sandbox.write_file):
        with pytest.raises(ZeroDivisionError):
            call("broken", broken())


class Left(BaseException):
    pass


@pytest.mark.parametrize("failure", [Left, KeyboardInterrupt, SystemExit])
def test_whatever_content_and_callbacks_raise_comes_out(api, fake, project, failure):
    def content():
        yield b"x"
        raise failure

    def stop(progress):
        raise failure

    with api.client(fake.endpoint) as client:
        codebase = client.create_codebase("c").id
        sandbox = client.create_sandbox(codebase, start=True).id
        for call in (
            lambda: client.upload_file(codebase, "x", content()),
            lambda: client.upload_file(codebase, "x", b"x", on_progress=stop),
            lambda: client.write_sandbox_file(sandbox, "x", content()),
            lambda: client.upload_directory(codebase, project, on_progress=stop),
        ):
            with pytest.raises(failure):
                call()


def test_a_refusal_while_content_is_sent_is_the_error(fake, sandbox):
    denied = (grpc.StatusCode.PERMISSION_DENIED, "no", "PERMISSION_DENIED", {"path": "/x"})
    fake.early["WriteFile"] = denied
    for _ in range(20):
        with pytest.raises(agentfense.PermissionDeniedError):
            sandbox.files.write("x", numbers(2000))


def test_content_comes_down_into_a_file(sandbox):
    sandbox.files.write("big", bytes(1_000_000))
    into, seen = io.BytesIO(), []
    assert sandbox.files.read_into("big", into, on_progress=seen.append) == 1_000_000
    assert into.getvalue() == bytes(1_000_000) and seen[-1] == Progress(1_000_000, 1_000_000)
    with pytest.raises(FileNotFoundError):
        sandbox.files.read_into("gone", into)


def test_uploads_tell_their_progress(api, fake, project):
    seen = []
    for fake.mismatch in (True, False):
        with api.Sandbox.from_local(project, endpoint=fake.endpoint, on_progress=seen.append):
            pass
        assert seen[-1].files > 0
    with api.client(fake.endpoint) as client:
        seen.clear()
        client.upload_file(client.create_codebase("c").id, "x", b"abc", on_progress=seen.append)
        assert seen == [Progress(3, 3)]


def test_watching_is_ready_when_its_block_begins(fake, sandbox):
    with sandbox.files.watch("output", recursive=True) as events:
        assert repr(events).endswith(f"FileWatch of 'output' in {sandbox.id}>")
        assert (fake.calls[-1].path, fake.calls[-1].recursive) == (b"output", True)
        assert list(events) == [
            FileEvent("created", "output/x"),
            FileEvent("overflow", "output", True),
        ]
    assert [e.path for e in sandbox.files.watch()] == ["output/x", "output"]


def test_discard(fake, sandbox):
    assert [c.path for c in sandbox.discard()] == ["/output/x"]
    assert list(fake.calls[-1].paths) == []
    sandbox.discard("/output")
    assert list(fake.calls[-1].paths) == [b"/output"]
    fake.names.clear()
    with pytest.raises(ValueError, match="discard all"):
        sandbox.discard([], restart=True)
    sandbox.discard(restart=True)
    assert fake.names == ["StopSandbox", "Discard", "StartSandbox"]


def test_snapshot_is_a_codebase(fake, sandbox):
    made = sandbox.snapshot("after")
    assert made.name == "after" and fake.calls[-1].request_id
    assert sandbox.snapshot().name == sandbox.codebase.name


def test_fork_is_a_sandbox_of_its_own(fake, sandbox):
    with sandbox.fork(labels={"try": "2"}) as other:
        assert other.id != sandbox.id and other.codebase_id == sandbox.codebase_id
        assert other.status == "running" and other.info.labels == {"try": "2"}
        assert other.run("x").stdout == "x"
        sandbox.destroy(delete_codebase=False)
        assert other.run("y").stdout == "y"
    assert not fake.sandboxes and fake.codebases
    fake.codebases.clear()


def test_a_fork_may_wait_to_be_started(sandbox):
    other = sandbox.fork(auto_start=False)
    assert other.status == "pending" and other.start().status == "running"
    other.destroy()
