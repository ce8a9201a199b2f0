"""A directory becomes the same codebase whichever way it comes, against a real daemon."""

import os
import socket

import pytest

import agentfense
from agentfense import PermissionRule, SandboxClient

pytestmark = pytest.mark.e2e

RULES = [PermissionRule("**/*", "read"), PermissionRule("**/hidden/**", "none", priority=1)]
IGNORED = {
    ".sandboxignore": "\ufeff*.log\r\n/build/\r\n!keep.log \r\nsp\\ \n[[:digit:]]*\n# no\n\\#yes\n",
    "a/.sandboxignore": "!b.log\n/b/*\n!/b/c\n.sandboxignore\n",
    "a/b/.sandboxignore": "*\n!.sandboxignore\n",
    "build/.sandboxignore": "!*\n",
    "hidden/.sandboxignore": "!*\n",
    "d/.sandboxignore": "",
    "d/e/.sandboxignore": "*\r",
}
FILES = ["b.log", "keep.log", "sp ", "sp", "1x", "x1", "#yes", "#no", "c", "__pycache__/x", "y.pyc"]


@pytest.fixture
def tree(project):
    for directory in ("", "a", "a/b", "build", "hidden", "d", "d/e"):
        for name in FILES:
            path = project / directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(directory + name)
    for name, text in IGNORED.items():
        (project / name).write_bytes(text.encode())
    os.mkfifo(project / "a" / "pipe")
    os.mkfifo(project / "hidden" / "pipe")
    os.mkfifo(project / "build" / "pipe")
    os.link(project / "a" / "c", project / "d" / "same")
    os.link(project / "hidden" / "c", project / "d" / "hidden")
    os.link(project / "build" / "c", project / "d" / "built")
    return project


@pytest.fixture
def codebase(api, endpoint):
    made = []

    def make():
        with SandboxClient() as client:
            made.append(client.create_codebase("c").id)
        return made[-1]

    yield make
    with SandboxClient() as client:
        for codebase_id in made:
            client.delete_codebase(codebase_id)


@pytest.fixture
def upload(api, codebase, monkeypatch):
    """Takes a directory, sent by the client or read by the daemon."""

    def take(directory, sent, **options):
        with api.client() as client, monkeypatch.context() as patch:
            if sent:
                place = f"agentfense._{api.name}._upload._ingest"
                patch.setattr(place, nowhere_to_be_seen if api.name == "sync" else unseen)
            return client.upload_directory(codebase(), directory, **options)

    def nowhere_to_be_seen(*args):
        raise agentfense.NotSupportedError("not the same host")

    async def unseen(*args):
        nowhere_to_be_seen()

    return take


@pytest.mark.parametrize("patterns", [[], ["x1"], ["!b.log", "d/"], [".sandboxignore"], ["*"]])
def test_what_is_sent_is_what_the_daemon_would_read(upload, tree, patterns):
    read, sent = (
        upload(tree, sent, permissions=RULES, ignore_patterns=patterns) for sent in (False, True)
    )
    assert read.head == sent.head and read.file_count == sent.file_count
    assert read.skipped == sent.skipped
    assert "ignored" in [s.reason for s in read.skipped]


def test_what_is_left_out_is_counted_and_named(upload, project, monkeypatch):
    for i in range(150):
        (project / f"{i:03}.log").touch()
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        os.mkfifo(project / "pipe")
        os.link(project / ".env", project / "src" / "same")
        rules = [*RULES, PermissionRule("**/.env", "none", priority=1)]
        for sent in (False, True):
            found = upload(project, sent, permissions=rules, ignore_patterns=["*.log"])
            skipped = {str(s.reason): (s.count, s.paths[:2], len(s.paths)) for s in found.skipped}
            assert skipped["ignored"] == (150, ["000.log", "001.log"], 100)
            assert skipped["special"] == (2, ["pipe", "socket"], 2)
            assert skipped["hidden"] == (1, [".env"], 1)
            assert skipped["hard_link_to_hidden"] == (1, ["src/same"], 1)
