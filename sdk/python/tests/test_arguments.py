"""Arguments that are paths, arguments of a wrong type, and objects that stay where they are."""

import copy
import io
import pathlib
import pickle
from datetime import timedelta

import pytest

import agentfense
from agentfense import PermissionRule, ResourceLimits, _requests

P = pathlib.PurePosixPath


@pytest.fixture
def client(api, fake):
    with api.client(fake.endpoint) as client:
        yield client


@pytest.fixture
def codebase(client):
    return client.create_codebase("c").id


@pytest.fixture
def sandbox(api, fake, codebase):
    with api.Sandbox.from_codebase(codebase, endpoint=fake.endpoint) as sandbox:
        yield sandbox


def test_a_path_may_be_an_object(api, fake, client, sandbox, codebase):
    socket = P(fake.endpoint[len("unix://") :])
    with api.client(socket) as other:
        assert other.endpoint == fake.endpoint
    sandbox.run(["cat", P("/a b")], workdir=P("src"), timeout=5)
    sent = fake.calls[-1]
    assert (list(sent.argv), sent.workdir) == ([b"cat", b"/a b"], "src")
    assert sandbox.run([P("/bin/x"), b"\xff"], timeout=5).command == "/bin/x '\ufffd'"
    with sandbox.session(shell=P("/bin/sh"), workdir=P("src")):
        assert (fake.calls[-1].shell, fake.calls[-1].workdir) == ("/bin/sh", "src")
    sandbox.spawn("x", workdir=P("src"))
    assert fake.calls[-1].exec.workdir == "src"
    sandbox.write_file(P("a/b"), "x")
    assert sandbox.files.read(P("a/b")) == "x"
    sandbox.files.list(P("a"))
    assert fake.calls[-1].path == b"a"
    client.upload_file(codebase, P("up"), b"1")
    assert client.download_file(codebase, P("up")) == b"1"
    client.list_files(codebase, P("a"))
    assert fake.calls[-1].path == "a"
    client.commit(sandbox.id, P("a"))
    assert list(fake.calls[-1].paths) == [b"a"]
    client.commit(sandbox.id, [P("a"), "b"])
    assert list(fake.calls[-1].paths) == [b"a", b"b"]


WRONG = {
    "command must be a str for the shell, or a list of arguments, not int": lambda s: s.run(5),
    "command must be a str for the shell, or a list of arguments, not bytes": lambda s: s.run(b"x"),
    "command must be a str for the shell, or a list of arguments, not None": lambda s: s.exec(None),
    r"command\[1\] must be a str, bytes or os.PathLike, not int": lambda s: s.run(["x", 1]),
    r"env\['PORT'\] must be a str, not int": lambda s: s.run("x", env={"PORT": 80}),
    "a key of env must be a str, not int": lambda s: s.run("x", env={1: "x"}),
    "env must be a dict of str to str, not list": lambda s: s.run("x", env=["A=1"]),
    "workdir must be a path .* not int": lambda s: s.run("x", workdir=1),
    "timeout must be seconds or a timedelta, not str": lambda s: s.run("x", timeout="5"),
    "path must be a path .* not None": lambda s: s.read_file(None),
    "to must be a path .* not int": lambda s: s.files.rename("x", 1),
    "content must be str, bytes, .* not int": lambda s: s.write_file("x", 1),
    "content must be str, bytes, .* not None": lambda s: s.files.write("x", None),
    "open a file in binary mode": lambda s: s.write_file("x", io.StringIO("text")),
    "a piece of the content must be bytes": lambda s: s.write_file("x", ["text"]),
    "mode must be an int, not str": lambda s: s.write_file("x", "x", mode="0644"),
    "paths must be a path or a list of paths, not int": lambda s: s.commit(1),
    r"paths\[0\] must be a path": lambda s: s.discard([1]),
    "local_dir must be a path": lambda s: s.apply_to(None),
    "shell must be a path": lambda s: s.session(shell=1),
    "idle_timeout must be seconds": lambda s: s.session(idle_timeout="1"),
    "labels must be a dict": lambda s: s.fork(labels=["x"]),
    "name must be a str": lambda s: s.snapshot(1),
    "command must be a str: shlex.join": lambda s: s.session().exec(["x"]),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_type_is_an_error_that_names_the_argument(sandbox, message):
    with pytest.raises(TypeError, match=message) as e:
        WRONG[message](sandbox)
    assert isinstance(e.value, agentfense.InvalidTypeError)
    assert isinstance(e.value, (ValueError, agentfense.SandboxError))


CALLS = {
    "sandbox_id": [
        lambda c, x: c.get_sandbox(x),
        lambda c, x: c.start_sandbox(x),
        lambda c, x: c.stop_sandbox(x),
        lambda c, x: c.destroy_sandbox(x),
        lambda c, x: c.exec(x, "true"),
        lambda c, x: c.exec_stream(x, "true"),
        lambda c, x: c.create_session(x),
        lambda c, x: c.list_sessions(x),
        lambda c, x: c.spawn(x, "true"),
        lambda c, x: c.spawn_pty(x),
        lambda c, x: c.list_processes(x),
        lambda c, x: c.read_sandbox_file(x, "x"),
        lambda c, x: c.write_sandbox_file(x, "x", "x"),
        lambda c, x: c.list_sandbox_files(x),
        lambda c, x: c.stat_sandbox_file(x, "x"),
        lambda c, x: c.remove_sandbox_file(x, "x"),
        lambda c, x: c.rename_sandbox_file(x, "x", "y"),
        lambda c, x: c.make_sandbox_directory(x, "x"),
        lambda c, x: c.watch_sandbox_files(x),
        lambda c, x: c.diff(x),
        lambda c, x: c.commit(x),
        lambda c, x: c.discard(x),
        lambda c, x: c.fork_sandbox(x),
        lambda c, x: c.snapshot_sandbox(x),
    ],
    "codebase_id": [
        lambda c, x: c.create_sandbox(x),
        lambda c, x: c.get_codebase(x),
        lambda c, x: c.keep_codebase(x),
        lambda c, x: c.delete_codebase(x),
        lambda c, x: c.upload_file(x, "x", b""),
        lambda c, x: c.download_file(x, "x"),
        lambda c, x: c.list_files(x),
    ],
    "session_id": [
        lambda c, x: c.get_session(x),
        lambda c, x: c.destroy_session(x),
        lambda c, x: c.session_exec(x, "true"),
        lambda c, x: c.session_exec_stream(x, "true"),
    ],
    "process_id": [lambda c, x: c.get_process(x), lambda c, x: c.signal_process(x)],
}


@pytest.mark.parametrize("name", CALLS)
def test_an_object_in_the_place_of_an_id(client, fake, name):
    thing = agentfense.Codebase("cb_1", "c")
    for call in CALLS[name]:
        calls = len(fake.calls)
        with pytest.raises(TypeError, match=f"{name} must be a str, not Codebase: use its id"):
            call(client, thing)
        with pytest.raises(TypeError, match=f"{name} must be a str, not None"):
            call(client, None)
        assert len(fake.calls) == calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": None}, "path must be a path"),
        ({"path": 5}, "path must be a path"),
        ({"endpoint": 5}, "endpoint must be a path"),
        ({"labels": {"a": 1}}, r"labels\['a'\] must be a str"),
        ({"resources": {"memory_bytes": 1}}, "resources must be a ResourceLimits, not dict"),
        ({"resources": ResourceLimits(memory_bytes="1G")}, "ResourceLimits.memory_bytes must be"),
        ({"permissions": {"pattern": "x"}}, "permissions must be a list of rules, not dict"),
        ({"permissions": "/x"}, "permissions must be a list of rules, not str"),
        ({"codebase_name": 5}, "codebase_name must be a str"),
        ({"owner_id": 5}, "owner_id must be a str"),
        ({"ignore_patterns": 5}, "ignore_patterns must be a list of str"),
        ({"ignore_patterns": [5]}, r"ignore_patterns\[0\] must be a str"),
        ({"image": 5}, "image must be a str"),
        ({"expires_in": "1h"}, "expires_in must be seconds or a timedelta"),
    ],
)
def test_a_wrong_type_is_an_error_before_anything_is_made(api, fake, project, arguments, message):
    with pytest.raises(TypeError, match=message):
        api.Sandbox.from_local(**{"path": project, "endpoint": fake.endpoint, **arguments})
    assert not fake.names


def test_values_may_be_pickled(sandbox):
    result = sandbox.run("x", timeout=timedelta(seconds=5))
    for value in (result, sandbox.info, sandbox.codebase, PermissionRule("/x"), ResourceLimits(1)):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_holds_a_connection_may_not(fake, codebase, how):
    with agentfense.SandboxClient(fake.endpoint) as client:
        with agentfense.Sandbox.from_codebase(codebase, endpoint=fake.endpoint) as sandbox:
            session, process = sandbox.session(), sandbox.spawn("cat")
            for thing, instead in [
                (client, "endpoint"),
                (sandbox, r"Sandbox\.connect"),
                (sandbox.files, r"Sandbox\.connect"),
                (session, "session_exec"),
                (process, r"Sandbox\.process"),
                (sandbox.exec_stream("x"), "here"),
                (sandbox.files.watch(), "here"),
                (agentfense.AsyncSandboxClient(fake.endpoint), "endpoint"),
            ]:
                name = type(thing).__name__
                with pytest.raises(TypeError, match=f"{name} cannot be pickled.*{instead}"):
                    how(thing)


def test_what_objects_show(fake, sandbox, client, codebase, api):
    kind = "Async" if type(client).__name__ == "Driver" else ""
    assert repr(client) == f"<{kind}SandboxClient {fake.endpoint}>"
    assert repr(sandbox) == f"<{kind}Sandbox {sandbox.id} running>"
    assert repr(sandbox.files) == f"<{kind}SandboxFiles of {sandbox.id}>"
    with sandbox.session() as session:
        assert repr(session) == f"<{kind}SandboxSession {session.id} active>"
    stream = sandbox.exec_stream(["a", "b c"])
    assert repr(stream) == f"<{kind}ExecStream of \"a 'b c'\": not ended>"
    list(stream)
    assert repr(stream).endswith("ended with 7>")
    result = sandbox.run("hello", timeout=5)
    assert repr(result).count("hello") == 2 and result.stdout_bytes == b"hello"
    gone = api.Sandbox.from_codebase(codebase, endpoint=fake.endpoint)
    gone.destroy()
    assert repr(gone) == f"<{kind}Sandbox {gone.id} destroyed>"


def test_labels_to_look_for_are_checked(api, fake):
    with api.client(fake.endpoint) as client:
        with pytest.raises(agentfense.InvalidTypeError, match=r"labels\['a'\] must be a str"):
            client.list_sandboxes(labels={"a": 1})


def test_the_shortest_timeout_is_no_missing_one():
    request = _requests.exec_request("s", "x", timeout=1e-10)
    assert request.timeout.ToNanoseconds() == 1
