"""Files and deltas of a sandbox, against a real daemon."""

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest

import agentfense
from agentfense import FileEventKind, SandboxClient

pytestmark = pytest.mark.e2e

SDK = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="development") as sandbox:
        yield sandbox
    with SandboxClient() as client:
        assert client.list_sandboxes() == []


def test_all_that_can_be_done_with_files(sandbox):
    files = sandbox.files
    assert files.make_dir("/workspace/a/b").is_dir and files.make_dir("a/b").is_dir
    written = files.write("a/b/x", "ä", mode=0o750)
    assert (written.size, written.mode) == (2, 0o750)
    info = files.stat("/a/b/x")
    assert (info.path, info.name, info.size, info.mode) == ("a/b/x", "x", 2, 0o750)
    assert info.modified_at.tzinfo is not None and not info.is_dir
    files.rename("a/b/x", "a/y")
    assert files.read("a/y") == "ä" and not files.exists("a/b/x")
    assert sandbox.run("cat a/y").stdout == "ä"
    assert files.stat("link").symlink_target == "main.py"
    with pytest.raises(agentfense.SandboxError) as e:
        files.remove("a")
    assert e.value.reason
    files.remove("a", recursive=True)
    assert not files.exists("a")
    assert not files.exists(".env")
    for call in (files.read, files.stat, files.remove):
        with pytest.raises(agentfense.FileNotFoundError) as e:
            call(".env")
        assert e.value.file_path.lstrip("/") == ".env"


def test_what_the_policy_refuses_is_an_error_with_its_rule(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="agent-safe") as sandbox:
        files = sandbox.files
        for call in (
            lambda: files.write("main.py", b"x"),
            lambda: files.remove("main.py"),
            lambda: files.rename("main.py", "output/main.py"),
            lambda: files.make_dir("src/new"),
        ):
            with pytest.raises(agentfense.PermissionDeniedError) as e:
                call()
            assert e.value.path.startswith("/") and e.value.operation
        files.write("/output/x", b"x")
        files.remove("/output/x")


def test_content_that_fails_half_way_is_the_error(sandbox):
    def broken():
        yield bytes(1_000_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sandbox.files.write("new", broken())
    sandbox.files.write("new", b"whole")
    assert sandbox.read_file("new") == "whole"


def test_a_refusal_while_content_is_sent_is_the_error(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="agent-safe") as sandbox:
        for size in range(20):
            with pytest.raises(agentfense.PermissionDeniedError) as e:
                sandbox.write_file("main.py", bytes(size * 100_000))
            assert e.value.path == "/main.py"


def test_watching_sees_what_the_sandbox_does(sandbox):
    sandbox.files.make_dir("w/d")
    with sandbox.files.watch("w", recursive=True) as events:
        sandbox.run("echo x > w/f; echo y >> w/d/g; rm w/f", raise_on_error=True)
        seen = {}
        for event in events:
            seen.setdefault(event.path, set()).add(event.kind)
            if event.kind == FileEventKind.REMOVED:
                break
    assert {FileEventKind.CREATED, FileEventKind.REMOVED} <= seen["w/f"]
    assert FileEventKind.CREATED in seen["w/d/g"]


GIGABYTE = """
import hashlib, os, resource, sys, tempfile
sys.path.insert(0, sys.argv[1])
from agentfense import Sandbox, SandboxClient
size = int(sys.argv[3]) << 20
block = os.urandom(1 << 20)
with Sandbox.from_local(sys.argv[2], preset="development") as sandbox:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wanted = hashlib.sha256()
    def blocks():
        for i in range(size >> 20):
            wanted.update(block)
            yield block
    info = sandbox.files.write("big", blocks())
    assert info.size == size, info
    with open(sys.argv[2] + "/copy", "w+b") as copy:
        assert sandbox.files.read_into("big", copy) == size
        copy.seek(0)
        found = hashlib.sha256()
        for piece in iter(lambda: copy.read(1 << 20), b""):
            found.update(piece)
        assert found.digest() == wanted.digest()
        copy.seek(0)
        with SandboxClient() as client:
            codebase = client.create_codebase("up").id
            assert client.upload_file(codebase, "big", copy).checksum == wanted.hexdigest()
            assert sum(len(p) for p in client.stream_file(codebase, "big")) == size
            client.delete_codebase(codebase)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{size >> 20} MiB up and down: {grown / 1024:.1f} MiB more memory")
    assert grown < 64 << 10, grown
"""


def test_a_large_file_costs_no_memory(endpoint, project):
    size = os.environ.get("AGENTFENSE_TEST_MIB", "256")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GIGABYTE, SDK, project, size],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)


def test_uploads_and_downloads_of_a_codebase(api, endpoint):
    with api.client() as client:
        codebase = client.create_codebase("c").id
        seen = []
        data = os.urandom(1_000_000)
        result = client.upload_file(codebase, "a/b", data, on_progress=seen.append)
        assert result.checksum == hashlib.sha256(data).hexdigest()
        assert seen[-1].bytes == seen[-1].total == 1_000_000
        assert client.download_file(codebase, "a/b") == data
        client.delete_codebase(codebase)


def test_what_an_agent_changed_comes_home(api, sandbox, project):
    sandbox.run(
        "echo changed > main.py; rm -r src; mkdir new; echo x > new/x; chmod 755 new/x;"
        "ln -s ../main.py new/up; ln -s /etc/passwd bad; rm link; ln -s src link",
        raise_on_error=True,
    )
    result = sandbox.apply_to(project)
    assert [str(c) for c in result.refused] == ["added /bad, refused: the link leads outside"]
    assert (project / "main.py").read_text() == "changed\n" and not (project / "src").exists()
    assert os.access(project / "new" / "x", os.X_OK)
    assert os.readlink(project / "new" / "up") == "../main.py"
    assert os.readlink(project / "link") == "src"
    assert (project / ".env").exists() and (project / "empty").is_dir()
    assert sandbox.apply_to(project).applied == []


def test_a_conflict_loses_nothing(sandbox, project):
    sandbox.run("echo agent > main.py; echo new > other", raise_on_error=True)
    (project / "main.py").write_text("mine\n")
    with pytest.raises(agentfense.ConflictError) as e:
        sandbox.apply_to(project)
    assert e.value.paths == ["/main.py"]
    assert (project / "main.py").read_text() == "mine\n" and not (project / "other").exists()
    sandbox.apply_to(project, ["/other"])
    assert (project / "other").exists()
    sandbox.apply_to(project, force=True)
    assert (project / "main.py").read_text() == "agent\n"


def test_apply_after_a_commit_compares_with_the_begin(sandbox, project):
    sandbox.run("echo agent > main.py", raise_on_error=True)
    sandbox.commit()
    sandbox.apply_to(project)
    assert (project / "main.py").read_text() == "agent\n"


def test_discard(sandbox):
    sandbox.run("echo x > main.py; echo y > new; mkdir d; echo z > d/z", raise_on_error=True)
    with pytest.raises(agentfense.SandboxNotRunningError, match="stop it first") as e:
        sandbox.discard()
    assert e.value.current_status == "running"
    dropped = sandbox.discard(["/d", "new"], restart=True)
    assert {c.path for c in dropped} == {"/d", "/d/z", "/new"}
    assert [c.path for c in sandbox.diff()] == ["/main.py"]
    sandbox.stop().discard()
    assert sandbox.start().diff() == [] and sandbox.read_file("main.py") == "print('hi')\n"


def test_snapshot_and_fork(api, sandbox):
    sandbox.run("echo x > new", raise_on_error=True)
    made = sandbox.snapshot("after")
    try:
        with api.Sandbox.from_codebase(made.id, preset="read-only") as other:
            assert other.read_file("new") == "x\n" and made.name == "after"
    finally:
        with SandboxClient() as client:
            client.delete_codebase(made.id)
    with sandbox.fork(labels={"n": "2"}) as fork:
        assert fork.read_file("new") == "x\n" and fork.info.labels == {"n": "2"}
        fork.run("echo other > new", raise_on_error=True)
        assert sandbox.read_file("new") == "x\n"
