"""Clients that are killed: after the grace time nothing of them is left."""

import contextlib
import pathlib
import subprocess
import sys
import time

import pytest
from daemon import Daemon

from agentfense import Sandbox, SandboxClient

pytestmark = pytest.mark.e2e

SDK = pathlib.Path(__file__).resolve().parent.parent
# The grace time, in seconds.
IDLE = 3.0

CLIENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from agentfense import Sandbox, SandboxClient

stage, path, idle = sys.argv[2], sys.argv[3], float(sys.argv[4])


def here(*_, **__):
    print("here", flush=True)
    time.sleep(3600)


method = {
    "before the ingest": "upload_directory",
    "between ingest and create": "create_sandbox",
    "before the sandbox is destroyed": "destroy_sandbox",
    "before the codebase is deleted": "delete_codebase",
}.get(stage)
if method:
    setattr(SandboxClient, method, here)
progress = here if stage == "during the ingest" else None
with Sandbox.from_local(
    path, "full-access", codebase_name=stage, idle_timeout=idle, on_progress=progress
) as sandbox:
    if stage == "in the middle of a run":
        sandbox.run("echo x; sleep 3600", timeout=None, on_stdout=here)
    elif stage == "in a session of a stopped sandbox's fork":
        sandbox.run("echo x > new")
        sandbox.commit()
        fork = sandbox.fork()
        sandbox.stop()
        fork.session().exec("echo x", on_stdout=here)
"""

# Where clients are killed, and how many sandboxes they have there.
STAGES = {
    "before the ingest": 0,
    "during the ingest": 0,
    "between ingest and create": 0,
    "in the middle of a run": 1,
    "in a session of a stopped sandbox's fork": 2,
    "before the sandbox is destroyed": 1,
    "before the codebase is deleted": 0,
}


@pytest.fixture(scope="module")
def killable():
    daemon = Daemon()
    yield daemon
    daemon.close()


@pytest.fixture
def there(killable, monkeypatch):
    """Lists what there is, which is no use of it."""
    monkeypatch.setenv("AGENTFENSE_ENDPOINT", killable.endpoint)

    def there():
        with SandboxClient() as client:
            return [s.id for s in client.list_sandboxes()] + [c.id for c in client.list_codebases()]

    yield there
    with SandboxClient() as client:
        for sandbox in client.list_sandboxes():
            client.destroy_sandbox(sandbox.id)
        for codebase in client.list_codebases():
            client.delete_codebase(codebase.id)


def start(stage, project):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLIENT, SDK, stage, project, str(IDLE)],
        stdout=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def arrived(client):
    """The client has come as far as it should; it is killed at the end of the block."""
    with client:
        try:
            assert client.stdout.readline() == "here\n", client.args
            yield
        finally:
            client.kill()


def wait(done):
    until = time.monotonic() + 60
    while not done() and time.monotonic() < until:
        time.sleep(0.1)
    return done()


@pytest.mark.parametrize("restart", [False, True], ids=["", "and the daemon is restarted"])
def test_nothing_is_left_of_clients_that_are_killed(killable, there, project, tmp_path, restart):
    big = tmp_path / "big"
    big.mkdir()
    for i in range(2000):
        (big / str(i)).write_text(f"{time.monotonic()} {i}")
    with contextlib.ExitStack() as clients:
        started = [start(s, big if s == "during the ingest" else project) for s in STAGES]
        for one in started:
            clients.enter_context(arrived(one))
        # Where there is no sandbox and no call, the time runs already.
        left = there()
        with SandboxClient() as client:
            sandboxes = [s.codebase_id for s in client.list_sandboxes()]
            found = {c.name: sandboxes.count(c.id) for c in client.list_codebases()}
    expected = {stage: n for stage, n in STAGES.items() if n or stage in found}
    assert found == expected and "during the ingest" in found
    if restart:
        killable.kill()
        killable.start()
        assert there() != []
    assert wait(lambda: there() == []), left


def test_a_sandbox_of_somebody_else_keeps_the_codebase(there, project):
    with arrived(start("in the middle of a run", project)):
        pass
    with SandboxClient() as client:
        (codebase,) = client.list_codebases()
        other = client.create_sandbox(codebase.id, preset="full-access", start=True)
        assert wait(lambda: len(client.list_sandboxes()) == 1)
        time.sleep(2 * IDLE)
        client.exec(other.id, "echo mine > main.py", timeout=30)
        client.commit(other.id)
        assert client.download_file(codebase.id, "main.py") == b"mine\n"
        client.destroy_sandbox(other.id)
    assert wait(lambda: there() == [])


def test_what_was_asked_to_stay_stays(there, project):
    with Sandbox.from_local(project, idle_timeout=IDLE) as first:
        kept = first.codebase_id
        first.destroy(delete_codebase=False)
    with arrived(start("in the middle of a run", project)):
        pass
    with SandboxClient() as client:
        (claimed,) = (c.id for c in client.list_codebases() if c.id != kept)
        with Sandbox.from_codebase(claimed) as second:
            assert second.codebase.idle_timeout is None
        snapshot = client.snapshot_sandbox(client.list_sandboxes(claimed)[0].id).id
        assert wait(lambda: client.list_sandboxes() == [])
        time.sleep(2 * IDLE)
    assert sorted(there()) == sorted([kept, claimed, snapshot])


def test_a_client_that_lives_loses_nothing(there, project):
    """A command, a stream that is not read, a process: all are use."""
    with contextlib.ExitStack() as blocks:
        running, streaming, spawning = (
            blocks.enter_context(Sandbox.from_local(project, "full-access", idle_timeout=IDLE))
            for _ in range(3)
        )
        stream = blocks.enter_context(streaming.exec_stream("yes"))
        next(stream)
        process = spawning.spawn(f"sleep {2 * IDLE}")
        running.run(f"sleep {2 * IDLE}", timeout=None, raise_on_error=True)
        assert len(there()) == 6
        assert next(stream) and process.wait(30).success
        running.commit()
    assert there() == []
