import hashlib
import os
import socket
import subprocess
import sys

import pytest

from agentfense import UploadError, _walk
from agentfense._gen import codebase_pb2 as cb
from agentfense._sync._flavor import paced

ENTRY = cb.TreeEntry


def test_a_directory_is_listed_with_all_that_it_has(project):
    os.mkfifo(project / "pipe")
    found = paced(_walk.walk(os.fsencode(project)))
    listed = {e.path: e for e in found.entries}
    assert sorted(listed) == [
        b".env",
        b"empty",
        b"link",
        b"main.py",
        b"pipe",
        b"src",
        b"src/run.sh",
    ]
    assert listed[b"src/run.sh"].mode == 0o755
    assert listed[b"link"].symlink_target == b"main.py"
    assert listed[b"empty"].kind == ENTRY.KIND_DIRECTORY
    assert listed[b"main.py"].size == 12
    assert listed[b"pipe"].kind == ENTRY.KIND_SPECIAL


def test_names_are_bytes(tmp_path):
    name = b"\xff\n"
    open(os.fsencode(tmp_path) + b"/" + name, "w").close()
    (entry,) = paced(_walk.walk(os.fsencode(tmp_path))).entries
    assert entry.path == name


def test_parents_come_before_children(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "f").touch()
    (tmp_path / "a.txt").touch()
    paths = [e.path for e in paced(_walk.walk(os.fsencode(tmp_path))).entries]
    for path in paths:
        parent = os.path.dirname(path)
        assert not parent or paths.index(parent) < paths.index(path)


def test_ignore_files_come_with_their_content(project):
    content = b"\xef\xbb\xbf# top\r\n*.log\r\n\xff"
    (project / ".sandboxignore").write_bytes(content)
    (project / "src" / ".sandboxignore").symlink_to("../.sandboxignore")
    (project / "empty" / ".sandboxignore").write_bytes(b"x" * ((1 << 20) + 1))
    listed = {e.path: e for e in paced(_walk.walk(os.fsencode(project))).entries}
    assert listed[b".sandboxignore"].patterns == content
    assert not listed[b"src/.sandboxignore"].patterns
    assert not listed[b"empty/.sandboxignore"].patterns
    assert not listed[b"main.py"].patterns


LOCKED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from agentfense import _walk
from agentfense._sync._flavor import paced
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
print({e.path: e.unreadable for e in paced(_walk.walk(b".")).entries})
"""


def test_a_directory_that_may_not_be_listed_is_told(tmp_path):
    for name in ("locked", "names", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    tmp_path.chmod(0o755)
    (tmp_path / "locked").chmod(0o300)
    (tmp_path / "names").chmod(0o444)
    sdk = os.path.dirname(os.path.dirname(_walk.__file__))
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, sdk], cwd=tmp_path, capture_output=True, text=True
    )
    assert eval(done.stdout) == {b"locked": True, b"names": True, b"open": False, b"open/x": False}


def test_a_manifest_is_sent_in_messages_of_bounded_size():
    entries = [ENTRY(path=b"x" * 4000 + b"%d" % i) for i in range(500)]
    messages = list(_walk.manifest(entries))
    assert len(messages) > 3
    assert all(m.ByteSize() < 1 << 20 for m in messages)
    assert [m.manifest.last for m in messages] == [False] * (len(messages) - 1) + [True]
    assert [e for m in messages for e in m.manifest.entries] == entries


def test_an_empty_manifest_is_one_last_message():
    (message,) = _walk.manifest([])
    assert message.WhichOneof("step") == "manifest" and message.manifest.last


def entry_of(project, name):
    found = paced(_walk.walk(os.fsencode(project)))
    return found.root, next(e for e in found.entries if e.path == name)


def test_contents_end_with_a_mark(project):
    (project / "big").write_bytes(b"x" * 600_000)
    root, entry = entry_of(project, b"big")
    digest = paced(_walk.digest(root, entry))
    assert digest == hashlib.sha256(b"x" * 600_000).digest()
    messages = [m.content for m in _walk.contents(root, entry, digest)]
    assert b"".join(m.data for m in messages) == b"x" * 600_000
    assert [m.end_of_file for m in messages] == [False] * (len(messages) - 1) + [True]


@pytest.mark.parametrize("change", ["grow", "gone", "other kind", "other content"])
def test_a_file_that_changed_is_never_stored_torn(project, change):
    root, entry = entry_of(project, b"main.py")
    digest = paced(_walk.digest(root, entry))
    path = project / "main.py"
    if change == "grow":
        path.write_text("more than there was")
    else:
        data = path.read_bytes()
        path.unlink()
        if change == "other kind":
            path.symlink_to("/etc/hostname")
        if change == "other content":
            path.write_bytes(data.upper())
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
    with pytest.raises(_walk.Changed):
        list(_walk.contents(root, entry, digest))


def test_a_socket_is_special(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("sock")
        (entry,) = paced(_walk.walk(os.fsencode(tmp_path))).entries
    assert (entry.path, entry.kind) == (b"sock", ENTRY.KIND_SPECIAL)


def test_what_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(UploadError, match="cannot read .*gone") as e:
        paced(_walk.walk(os.fsencode(tmp_path / "gone")))
    assert e.value.file_path.endswith("gone")
