"""What callers may give, where the daemon decides about it."""

import errno
import os
import pathlib
import signal
from types import MappingProxyType

import pytest

import agentfense
from agentfense import InvalidConfigurationError, ResourceLimits, SandboxClient

pytestmark = pytest.mark.e2e


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(project, preset="development") as sandbox:
        yield sandbox
    with SandboxClient() as client:
        assert client.list_sandboxes() == []


def test_mappings_and_iterators_are_taken(sandbox, monkeypatch):
    monkeypatch.setenv("OF_OURS", "ä b")
    assert sandbox.run("printenv OF_OURS", env=os.environ).stdout == "ä b\n"
    frozen = MappingProxyType({"OF_OURS": "c"})
    with sandbox.session(env=frozen) as session:
        assert session.exec("echo $OF_OURS").stdout == "c\n"
    result = sandbox.run(arg for arg in ["printf", "%s|", "a b", pathlib.Path("src")])
    assert (result.stdout, result.command) == ("a b|src|", "printf '%s|' 'a b' src")
    assert sandbox.spawn(map(str, ["echo", 1])).wait(30).stdout == "1\n"


def test_names_that_are_no_text_work_where_bytes_travel(api, endpoint, sandbox, project, tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    sandbox.write_file(odd, "x")
    assert sandbox.run(["cat", odd]).stdout == "x"
    assert sandbox.run("cat", input=odd).stdout_bytes == b"caf\xe9"
    assert odd in [file.path for file in sandbox.list_files()]
    directory = tmp_path / f"{odd}\n"
    project.rename(directory)
    with api.Sandbox.from_local(directory, preset="read-only") as other:
        assert other.read_file("main.py") == "print('hi')\n"
        assert other.codebase.name == "caf\ufffd\ufffd"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s.run("x", env={"A=B": "c"}), "env: name .A=B. holds '='"),
        (lambda s: s.run("x", env={"": "c"}), "env: a name is empty"),
        (lambda s: s.run("x", workdir="gone"), "working directory /workspace/gone"),
        (lambda s: s.session(shell="/gone/bash"), 'shell: the sandbox has no "/gone/bash"'),
        (lambda s: s.fork(labels={"a\n": "b"}), "labels: control characters"),
        (lambda s: s.fork(labels={"": "b"}), "labels: a key is empty"),
        (lambda s: s.snapshot("x" * 300), "name: longer than 256 bytes"),
        (lambda s: s.read_file("../x"), "it leaves the codebase"),
        (lambda s: s.read_file("x" * 5000), "longer than 4096 bytes"),
    ],
)
def test_the_daemon_names_what_it_refuses(sandbox, call, message):
    with pytest.raises(InvalidConfigurationError, match=message) as e:
        call(sandbox)
    assert e.value.reason


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"resources": ResourceLimits(memory_bytes=1)}, "resources.memory_bytes: 1 is below"),
        ({"seccomp_groups": "all"}, 'seccomp_groups: "all" is none of'),
        ({"accept_losses": ["x"]}, 'accept_losses: "x" is not the name of a loss'),
        ({"permissions": [{"pattern": "["}]}, r"\["),
    ],
)
def test_what_the_daemon_refuses_leaves_nothing(api, endpoint, project, arguments, message):
    with pytest.raises(InvalidConfigurationError, match=message):
        api.Sandbox.from_local(project, **arguments)
    with SandboxClient() as client:
        assert client.list_sandboxes() == [] and client.list_codebases() == []


@pytest.mark.parametrize(
    "call, kind, number",
    [
        (lambda f: f.read("src"), IsADirectoryError, errno.EISDIR),
        (lambda f: f.read("src/"), IsADirectoryError, errno.EISDIR),
        (lambda f: f.write("src", "x"), IsADirectoryError, errno.EISDIR),
        (lambda f: f.read("/"), IsADirectoryError, errno.EISDIR),
        (lambda f: f.rename("main.py", "src"), IsADirectoryError, errno.EISDIR),
        (lambda f: f.list("main.py"), NotADirectoryError, errno.ENOTDIR),
        (lambda f: f.stat("main.py/x"), NotADirectoryError, errno.ENOTDIR),
        (lambda f: f.write("main.py/x", ""), NotADirectoryError, errno.ENOTDIR),
        (lambda f: f.rename("new", "main.py"), NotADirectoryError, errno.ENOTDIR),
        (lambda f: f.watch("main.py").__enter__(), NotADirectoryError, errno.ENOTDIR),
        (lambda f: f.make_dir("main.py"), FileExistsError, errno.EEXIST),
        (lambda f: f.remove("full"), agentfense.FileError, errno.ENOTEMPTY),
        (lambda f: f.rename("new", "full"), agentfense.FileError, errno.ENOTEMPTY),
        (lambda f: f.read("fifo"), agentfense.FileError, errno.ENXIO),
        (lambda f: f.read("gone"), FileNotFoundError, errno.ENOENT),
    ],
)
def test_a_file_that_is_another_is_what_it_is_for_local_files(sandbox, call, kind, number):
    sandbox.run("mkdir new full; touch full/x; mkfifo fifo", raise_on_error=True)
    with pytest.raises(kind) as e:
        call(sandbox.files)
    assert isinstance(e.value, agentfense.FileError)
    assert (e.value.errno, e.value.strerror) == (number, os.strerror(number))
    assert e.value.filename == e.value.file_path != ""


def test_a_codebase_tells_files_and_directories_apart(api, endpoint):
    with api.client() as client:
        codebase = client.create_codebase("c").id
        client.upload_file(codebase, "d/x", b"x")
        for call, kind in (
            (lambda: client.download_file(codebase, "d"), IsADirectoryError),
            (lambda: client.upload_file(codebase, "d", b""), agentfense.UploadError),
            (lambda: client.upload_file(codebase, "d/x/y", b""), agentfense.UploadError),
            (lambda: client.download_file(codebase, "gone"), FileNotFoundError),
        ):
            with pytest.raises(kind):
                call()
        client.delete_codebase(codebase)


def test_a_process_is_polled(sandbox):
    process = sandbox.spawn("echo out; read line; seq 20000")
    with pytest.raises(agentfense.CommandTimeoutError):
        process.wait(timeout=0)
    process.send_stdin("\n")
    while process.poll() is None:
        pass
    result = process.wait(timeout=0)
    assert result.stdout.startswith("out\n1\n") and result.stdout.endswith("\n20000\n")
    reader, seen = sandbox.spawn("echo one; exec sleep 1000"), None
    while seen is None:
        try:
            seen = reader.read(timeout=0)
        except agentfense.CommandTimeoutError:
            continue
    assert seen == b"one\n"
    reader.kill("INT")
    assert reader.wait(30).signal == signal.SIGINT
