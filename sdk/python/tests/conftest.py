import os
import pathlib
import shutil
import signal
import tempfile
from typing import Iterator

# The fake server is an async one: with fork support a grpcio as old as 1.49.1
# ends every child that these tests start.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# What a script runs in the background ignores it, and so does what that starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from daemon import Daemon
from drive import Surface
from fake import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    # A socket's path is at most 107 bytes: pytest's own directories are too deep.
    directory = tempfile.mkdtemp(prefix="af")
    server = Fake(f"{directory}/s")
    yield server
    server.close()
    assert not server.timeless, (
        "a call has a deadline, unless it is a command without a timeout or of a session"
    )
    shutil.rmtree(directory)


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    """A small directory with what a real one has."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "main.py").write_text("print('hi')\n")
    (root / "src" / "run.sh").write_text("#!/bin/sh\n")
    (root / "src" / "run.sh").chmod(0o755)
    (root / ".env").write_text("KEY=secret\n")
    (root / "link").symlink_to("main.py")
    return root


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest) -> Iterator[Surface]:
    surface = Surface(request.param)
    yield surface
    surface.close()


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    running = Daemon()
    yield running
    running.close()


@pytest.fixture
def endpoint(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> str:
    """A real daemon, also where AGENTFENSE_ENDPOINT names it."""
    monkeypatch.setenv("AGENTFENSE_ENDPOINT", daemon.endpoint)
    return daemon.endpoint
