"""Arguments that cannot be used: the class, the argument's name, and nothing done before.

A line of the table is a call, the class of its error, and what the message says.
"""

import array
import io
import os
import signal
from datetime import timedelta
from types import MappingProxyType

import pytest

import agentfense
from agentfense import PatternType, PermissionRule, ResourceLimits

TYPE, VALUE = agentfense.InvalidTypeError, agentfense.InvalidConfigurationError
LONE, RAW = "x\ud800", "x\udcff"


class Index:
    """An integer of somebody else's, as numpy's are."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class World:
    """What the calls of a table act on."""

    def __init__(self, api, fake, project):
        self.api, self.fake, self.project = api, fake, project
        self.client = api.client(fake.endpoint)
        self.codebase = self.client.create_codebase("c").id
        self.sandbox = api.Sandbox.from_codebase(self.codebase, endpoint=fake.endpoint)
        self.session = self.sandbox.session()
        self.process = self.sandbox.spawn("cat")
        self.pty = self.sandbox.pty()
        self.id = self.sandbox.id
        self.writer = io.BufferedWriter(io.FileIO(os.devnull, "w"))
        self.reader = io.BufferedReader(io.FileIO(os.devnull))

    def local(self, **arguments):
        return self.api.Sandbox.from_local(
            **{"path": self.project, "endpoint": self.fake.endpoint, **arguments}
        )

    def create(self, **arguments):
        return self.client.create_sandbox(self.codebase, **arguments)


@pytest.fixture
def world(api, fake, project):
    made = World(api, fake, project)
    yield made
    made.reader.close()
    made.writer.close()
    made.process.kill()
    made.pty.kill()
    made.sandbox.destroy()
    made.client.close()


COMMANDS = [
    (lambda w: w.sandbox.run({"ls"}), TYPE, "command must be .* not set"),
    (lambda w: w.sandbox.run(frozenset(["ls"])), TYPE, "command must be .* not frozenset"),
    (lambda w: w.sandbox.exec(bytearray(b"ls")), TYPE, "command must be .* not bytearray"),
    (lambda w: w.sandbox.exec(memoryview(b"ls")), TYPE, "command must be .* not memoryview"),
    (lambda w: w.sandbox.exec_stream({"ls": 1}), TYPE, "command must be .* not dict"),
    (lambda w: w.sandbox.spawn(b"ls"), TYPE, "command must be .* not bytes"),
    (lambda w: w.sandbox.pty(command=5), TYPE, "command must be .* not int"),
    (lambda w: w.sandbox.run(array.array("i", [1])), TYPE, r"command\[0\] must be"),
    (lambda w: w.sandbox.run(iter(["ls", None])), TYPE, r"command\[1\] must be .* not None"),
    (lambda w: w.sandbox.run(iter([])), VALUE, "command is empty"),
    (lambda w: w.sandbox.run([""]), VALUE, "command is empty"),
    (lambda w: w.sandbox.run(f"echo {RAW}"), VALUE, "command .* is not valid UTF-8"),
    (lambda w: w.sandbox.run(["echo", LONE]), VALUE, r"command\[1\] .* is not valid"),
    (lambda w: w.sandbox.run("a\0b"), VALUE, "command .* NUL"),
    (lambda w: w.sandbox.exec(["a\0b"]), VALUE, r"command\[0\] .* NUL"),
    (lambda w: w.sandbox.exec_stream(["a", b"a\0b"]), VALUE, r"command\[1\] .* NUL"),
    (lambda w: w.session.exec(RAW), VALUE, "command .* is not valid UTF-8"),
    (lambda w: w.session.exec("a\0b"), VALUE, "command .* NUL"),
    (lambda w: w.session.exec_stream(["ls"]), TYPE, "command must be a str"),
    (lambda w: w.session.exec(""), VALUE, "command is empty"),
]

TEXTS = [
    (lambda w: w.sandbox.run("x", env={"A": RAW}), VALUE, r"env\['A'\] .* is not valid UTF-8"),
    (lambda w: w.sandbox.run("x", env={RAW: "x"}), VALUE, "a key of env .* is not valid UTF-8"),
    (lambda w: w.sandbox.run("x", env={"A": "a\0b"}), VALUE, r"env\['A'\] .* NUL"),
    (lambda w: w.sandbox.exec("x", env={"N": 1}), TYPE, r"env\['N'\] must be a str, not int"),
    (lambda w: w.sandbox.exec("x", env={b"N": b"1"}), TYPE, "a key of env must be a str"),
    (lambda w: w.sandbox.exec("x", env=5), TYPE, "env must be a dict"),
    (lambda w: w.sandbox.exec_stream("x", env="A=1"), TYPE, "env must be a dict"),
    (lambda w: w.sandbox.spawn("x", env={"N": None}), TYPE, r"env\['N'\] must be a str"),
    (lambda w: w.sandbox.pty(env={"N": 1}), TYPE, r"env\['N'\] must be a str, not int"),
    (lambda w: w.sandbox.pty(env=[]), TYPE, "env must be a dict"),
    (lambda w: w.sandbox.pty(env=5), TYPE, "env must be a dict"),
    (lambda w: w.sandbox.session(env={"N": 1}), TYPE, r"env\['N'\] must be a str, not int"),
    (lambda w: w.sandbox.session(env={"N": RAW}), VALUE, r"env\['N'\] .* is not valid"),
    (lambda w: w.sandbox.session(shell=RAW), VALUE, "shell .* is not valid UTF-8"),
    (lambda w: w.sandbox.run("x", workdir=RAW), VALUE, "workdir .* is not valid UTF-8"),
    (lambda w: w.sandbox.run("x", workdir=LONE), VALUE, "workdir .* is not valid"),
    (lambda w: w.sandbox.run("x", workdir="a\0b"), VALUE, "workdir .* NUL"),
    (lambda w: w.sandbox.run("x", input=LONE), VALUE, "input .* is not valid"),
    (lambda w: w.sandbox.run("x", input=5), TYPE, "^input must be str or bytes, not int"),
    (lambda w: w.sandbox.exec("x", stdin=LONE), VALUE, "stdin .* is not valid"),
    (lambda w: w.sandbox.exec("x", stdin=["x"]), TYPE, "stdin must be str or bytes, not list"),
    (lambda w: w.process.send_stdin(LONE), VALUE, "data .* is not valid"),
    (lambda w: w.process.send_stdin(5), TYPE, "data must be str, bytes"),
    (lambda w: w.pty.send({1: 2}), TYPE, "data must be str, bytes"),
    (lambda w: w.sandbox.write_file("x", LONE), VALUE, "content .* is not valid"),
    (lambda w: w.sandbox.write_file("x", {b"x"}), TYPE, "content must be .* not set"),
    (lambda w: w.sandbox.write_file("x", io.StringIO("x")), TYPE, "content .* binary mode"),
    (lambda w: w.client.upload_file(w.codebase, "x", LONE), VALUE, "content .* is not valid"),
    (lambda w: w.sandbox.read_file(LONE), VALUE, "path .* is not valid"),
    (lambda w: w.sandbox.read_file("a\0b"), VALUE, "path .* NUL"),
    (lambda w: w.sandbox.files.stream(5), TYPE, "path must be a path"),
    (lambda w: w.client.stream_file(w.codebase, 5), TYPE, "file_path must be a path"),
    (lambda w: w.sandbox.files.rename("x", LONE), VALUE, "to .* is not valid"),
    (lambda w: w.sandbox.commit([LONE]), VALUE, r"paths\[0\] .* is not valid"),
    (lambda w: w.sandbox.commit({"x": 1}), TYPE, "paths must be a path or a list of paths"),
    (lambda w: w.sandbox.apply_to(LONE), VALUE, "local_dir .* is not valid"),
    (lambda w: w.sandbox.apply_to("/", force="no"), TYPE, "force must be a bool, not str"),
    (lambda w: w.sandbox.fork(labels={"a": RAW}), VALUE, r"labels\['a'\] .* is not valid"),
    (lambda w: w.sandbox.snapshot(RAW), VALUE, "name .* is not valid UTF-8"),
    (lambda w: w.local(labels={RAW: "a"}), VALUE, "a key of labels .* is not valid"),
    (lambda w: w.local(codebase_name=RAW), VALUE, "codebase_name .* is not valid"),
    (lambda w: w.local(owner_id="a\0b"), VALUE, "owner_id .* NUL"),
    (lambda w: w.local(path=LONE), VALUE, "path .* is not valid"),
    (lambda w: w.local(ignore_patterns=[RAW]), VALUE, r"ignore_patterns\[0\] .* is not valid"),
    (lambda w: w.local(ignore_patterns=b"x"), TYPE, "ignore_patterns must be a list of str"),
    (lambda w: w.local(image=RAW), VALUE, "image .* is not valid"),
    (lambda w: w.local(accept_losses={"a": 1}), TYPE, "accept_losses must be a list of str"),
    (lambda w: w.client.get_sandbox(RAW), VALUE, "sandbox_id .* is not valid"),
]

RANGES = [
    (lambda w: w.sandbox.write_file("x", "", mode=-1), VALUE, "mode .* 0 to 0o777"),
    (lambda w: w.sandbox.write_file("x", "", mode=0o100644), VALUE, "mode 0o100644 .* 0o777"),
    (lambda w: w.sandbox.write_file("x", "", mode=True), TYPE, "mode must be an int, not bool"),
    (lambda w: w.sandbox.write_file("x", "", mode=None), TYPE, "mode must be an int, not None"),
    (lambda w: w.sandbox.files.write("x", "", mode=6.0), TYPE, "mode must be an int, not float"),
    (lambda w: w.client.upload_file(w.codebase, "x", b"", mode=1 << 40), VALUE, "mode .* 0o777"),
    (lambda w: w.process.kill(0), VALUE, "signal 0 .* 1 to 64"),
    (lambda w: w.process.kill(-9), VALUE, "signal -9 .* 1 to 64"),
    (lambda w: w.process.kill(65), VALUE, "signal 65 .* 1 to 64"),
    (lambda w: w.process.kill(None), TYPE, "signal must be an int or a name, not None"),
    (lambda w: w.process.kill(True), TYPE, "signal must be an int or a name, not bool"),
    (lambda w: w.process.kill("SIGNAL"), VALUE, "signal 'SIGNAL' is unknown"),
    (lambda w: w.client.signal_process(w.process.id, 9.0), TYPE, "signal must be an int"),
    (lambda w: w.sandbox.pty(cols=0), VALUE, "cols 0 .* 1 to 65535"),
    (lambda w: w.sandbox.pty(80, 65536), VALUE, "rows 65536 .* 1 to 65535"),
    (lambda w: w.sandbox.pty(cols="80"), TYPE, "cols must be an int, not str"),
    (lambda w: w.sandbox.pty(rows=True), TYPE, "rows must be an int, not bool"),
    (lambda w: w.pty.resize(80, -1), VALUE, "rows -1 .* 1 to 65535"),
    (lambda w: w.pty.resize(None, 1), TYPE, "cols must be an int, not None"),
    (lambda w: w.sandbox.run("x", timeout=0), VALUE, "timeout 0 .* above 0"),
    (lambda w: w.sandbox.run("x", timeout=-1), VALUE, "timeout -1 .* above 0"),
    (lambda w: w.sandbox.run("x", timeout=float("nan")), VALUE, "timeout nan .* above 0"),
    (lambda w: w.sandbox.run("x", timeout=float("inf")), VALUE, "timeout inf .* None is no limit"),
    (lambda w: w.sandbox.run("x", timeout=10**400), VALUE, "timeout 1000.* above 0"),
    (lambda w: w.sandbox.run("x", timeout=timedelta.max), VALUE, "timeout .* above 0"),
    (lambda w: w.sandbox.run("x", timeout=True), TYPE, "timeout must be seconds"),
    (lambda w: w.sandbox.exec("x", timeout=b"5"), TYPE, "timeout must be seconds"),
    (lambda w: w.sandbox.exec("x", timeout=bytearray(b"5")), TYPE, "timeout must be seconds"),
    (lambda w: w.sandbox.spawn("x", timeout=[]), TYPE, "timeout must be seconds"),
    (lambda w: w.sandbox.pty(timeout=1j), TYPE, "timeout must be seconds"),
    (lambda w: w.session.exec("x", timeout="5"), TYPE, "timeout must be seconds"),
    (lambda w: w.session.exec("x", timeout=-0.0), VALUE, "timeout .* above 0"),
    (lambda w: w.process.wait(timeout="5"), TYPE, "timeout must be seconds"),
    (lambda w: w.process.wait(timeout=float("nan")), VALUE, "timeout nan"),
    (lambda w: w.process.read(timeout=float("inf")), VALUE, "timeout inf .* None is no limit"),
    (lambda w: w.process.read(timeout=False), TYPE, "timeout must be seconds"),
    (lambda w: w.sandbox.session(idle_timeout=-1), VALUE, "idle_timeout -1"),
    (lambda w: w.local(expires_in=0), VALUE, "expires_in 0"),
    (lambda w: w.local(idle_timeout=10**400), VALUE, "idle_timeout 1000"),
    (lambda w: w.client.create_codebase("c", idle_timeout=-1), VALUE, "idle_timeout -1"),
]
FLAGS = [
    (lambda w: w.sandbox.run("x", raise_on_error="no"), TYPE, "raise_on_error must be a bool"),
    (lambda w: w.sandbox.run("x", raise_on_denied=[]), TYPE, "raise_on_denied must be a bool"),
    (lambda w: w.session.exec("x", raise_on_error="no"), TYPE, "raise_on_error must be a bool"),
    (lambda w: w.process.wait(raise_on_error=5), TYPE, "raise_on_error must be a bool"),
    (lambda w: w.sandbox.run("x", on_stdout=5), TYPE, "on_stdout must be callable, not int"),
    (lambda w: w.sandbox.spawn("x", on_stderr="x"), TYPE, "on_stderr must be callable, not str"),
    (lambda w: w.session.exec("x", on_stderr=5), TYPE, "on_stderr must be callable, not int"),
    (lambda w: w.local(on_progress=5), TYPE, "on_progress must be callable, not int"),
    (lambda w: w.sandbox.write_file("x", "", on_progress=5), TYPE, "on_progress must be callable"),
    (lambda w: w.sandbox.spawn("x", open_stdin="no"), TYPE, "open_stdin must be a bool, not str"),
    (lambda w: w.sandbox.list_files("", "deep"), TYPE, "recursive must be a bool, not str"),
    (lambda w: w.sandbox.files.remove("x", recursive=None), TYPE, "recursive must be a bool"),
    (lambda w: w.sandbox.files.watch(recursive="x"), TYPE, "recursive must be a bool"),
    (lambda w: w.client.list_files(w.codebase, "", "x"), TYPE, "recursive must be a bool"),
    (lambda w: w.sandbox.discard(restart="no"), TYPE, "restart must be a bool"),
    (lambda w: w.sandbox.fork(auto_start="no"), TYPE, "auto_start must be a bool, not str"),
    (lambda w: w.sandbox.destroy(delete_codebase="no"), TYPE, "delete_codebase must be a bool"),
    (lambda w: w.local(auto_start="no"), TYPE, "auto_start must be a bool, not str"),
    (lambda w: w.local(strict="no"), TYPE, "strict must be a bool, not str"),
    (lambda w: w.local(secure="no"), TYPE, "secure must be a bool, not str"),
    (lambda w: w.create(start="no"), TYPE, "start must be a bool, not str"),
    (lambda w: w.sandbox.read_file("x", encoding="utf8x"), VALUE, "encoding 'utf8x' is unknown"),
    (lambda w: w.sandbox.read_file("x", encoding="hex"), VALUE, "encoding 'hex' is unknown"),
    (lambda w: w.sandbox.read_file("x", encoding=5), TYPE, "encoding must be a str, not int"),
    (lambda w: w.sandbox.files.read("x", errors="x"), VALUE, "errors 'x' is unknown"),
    (lambda w: w.sandbox.files.read_into("x", "file"), TYPE, "file must be an open binary file"),
    (lambda w: w.sandbox.files.read_into("x", io.StringIO()), TYPE, "file must be an open binary"),
    (lambda w: w.sandbox.files.read_into("x", w.reader), VALUE, "file is not open for writing"),
    (lambda w: w.sandbox.files.write("x", w.writer), VALUE, "content is not open for reading"),
]
POLICIES = [
    (lambda w: w.local(preset=5), TYPE, "preset must be a str, not int"),
    (lambda w: w.local(preset=[]), TYPE, "preset must be a str, not list"),
    (lambda w: w.local(preset="agent_safe"), VALUE, "preset 'agent_safe' is unknown"),
    (lambda w: w.local(permissions=["/x"]), VALUE, "rule '/x' is not 'PATTERN=LEVEL'"),
    (lambda w: w.local(permissions=[None]), TYPE, "rule None is no PermissionRule"),
    (lambda w: w.local(permissions=["/x=READ"]), VALUE, "permission 'READ' is unknown"),
    (lambda w: w.local(permissions=5), TYPE, "permissions must be a list of rules, not int"),
    (lambda w: w.local(permissions=[{"pattern": "/x", "perm": 1}]), VALUE, "'perm'.* use the keys"),
    (lambda w: w.local(permissions=[{"permission": "read"}]), VALUE, "use the keys pattern"),
    (lambda w: w.local(permissions=[{1: 2}]), VALUE, "use the keys pattern"),
    (lambda w: w.create(permissions=[{"pattern": 5}]), TYPE, "pattern must be a str, not int"),
    (lambda w: w.create(permissions=[{"pattern": RAW}]), VALUE, "pattern .* is not valid UTF-8"),
    (lambda w: w.create(permissions=b"x"), TYPE, "permissions must be a list of rules"),
    (lambda w: w.client.upload_directory(w.codebase, w.project, permissions="x"), TYPE, "permissi"),
    (lambda w: PermissionRule("/x", "READ"), VALUE, "permission 'READ' is unknown: use one of"),
    (lambda w: PermissionRule("/x", 5), TYPE, "permission must be a Permission.*, not int"),
    (lambda w: PermissionRule("/x", None), TYPE, "permission must be a Permission.*, not None"),
    (lambda w: PermissionRule("/x", type="regex"), VALUE, "type 'regex' is unknown: use one of"),
    (lambda w: PermissionRule("/x", PatternType.FILE), VALUE, "permission .*file.* is unknown"),
    (lambda w: PermissionRule("/x", priority="1"), TYPE, "priority must be an int, not str"),
    (lambda w: PermissionRule("/x", priority=True), TYPE, "priority must be an int, not bool"),
    (lambda w: PermissionRule("/x", priority=2**31), VALUE, "priority 2147483648 .* to 2147483647"),
    (lambda w: PermissionRule("/x", preset=5), TYPE, "preset must be a str, not int"),
    (lambda w: PermissionRule(""), VALUE, "pattern is empty"),
    (lambda w: agentfense.get_preset(5), TYPE, "preset must be a str, not int"),
    (lambda w: agentfense.register_preset(5, []), TYPE, "name must be a str, not int"),
    (lambda w: agentfense.register_preset("", []), VALUE, "name is empty"),
    (lambda w: agentfense.register_preset("x", None), TYPE, "rules must be a list of rules"),
    (lambda w: agentfense.register_preset("x", "/x"), TYPE, "rules must be a list of rules"),
    (lambda w: agentfense.extend_preset("read-only", 5), TYPE, "additions must be a list of rules"),
    (lambda w: agentfense.extend_preset("read-only", (), {"pattern": "x"}), TYPE, "overrides must"),
    (lambda w: w.local(runtime="podman"), VALUE, "runtime 'podman' is unknown"),
    (lambda w: w.local(runtime=5), TYPE, "runtime must be a RuntimeType .*, not int"),
    (lambda w: w.local(commit_mode="MANUAL"), VALUE, "commit_mode 'MANUAL' is unknown"),
    (lambda w: w.local(resources=ResourceLimits(pids_limit=-1)), VALUE, r"ResourceLimits.pids_lim"),
    (lambda w: w.local(resources=ResourceLimits(memory_bytes=0)), VALUE, "memory_bytes 0 .* None"),
    (lambda w: w.local(resources=ResourceLimits(cpu_quota=1 << 63)), VALUE, "cpu_quota 9223"),
    (lambda w: w.local(resources=ResourceLimits(disk_bytes=1.5)), TYPE, "disk_bytes must be an"),
    (lambda w: w.local(resources=ResourceLimits(timeout="5")), TYPE, "ResourceLimits.timeout must"),
    (lambda w: w.local(endpoint="host:0"), VALUE, "endpoint 'host:0'"),
    (lambda w: w.local(endpoint="a host:9"), VALUE, "endpoint 'a host:9'"),
    (lambda w: w.local(endpoint="host:65536"), VALUE, "endpoint 'host:65536'"),
    (lambda w: w.local(endpoint="host:\N{SUPERSCRIPT TWO}"), VALUE, "endpoint 'host"),
    (lambda w: w.local(endpoint=9000), TYPE, "endpoint must be a path"),
    (lambda w: w.local(endpoint=f"/run/{RAW}"), VALUE, "endpoint .* is not valid UTF-8"),
    (lambda w: w.local(endpoint="unix:///run/a\0b"), VALUE, "endpoint .* NUL"),
]
TABLE = {
    f"{name}-{i}": line
    for name, lines in (
        ("command", COMMANDS),
        ("text", TEXTS),
        ("range", RANGES),
        ("flag", FLAGS),
        ("policy", POLICIES),
    )
    for i, line in enumerate(lines)
}


@pytest.mark.parametrize("line", TABLE)
def test_what_cannot_be_used_is_refused_by_name(world, line):
    call, kind, message = TABLE[line]
    before = list(world.fake.names)
    with pytest.raises(kind, match=message) as e:
        call(world)
    assert type(e.value) is kind
    assert world.fake.names in (before, [*before, "Attach"])


def listed(values):
    """An iterator that can be read once."""
    return iter(values)


@pytest.mark.parametrize("made", [list, tuple, listed, lambda v: (x for x in v), dict.fromkeys])
@pytest.mark.parametrize("how", ["run", "exec", "exec_stream", "spawn", "pty"])
def test_an_argv_is_any_iterable(world, made, how):
    command = made(["printf", "a b", RAW])
    command = command.keys() if isinstance(command, dict) else command
    call = getattr(world.sandbox, how)
    outcome = call(command=command) if how == "pty" else call(command)
    sent = world.fake.calls[-1]
    if how == "exec_stream":
        text = outcome.__repr__()
        list(outcome)
        sent = world.fake.calls[-1]
    else:
        text = outcome.command
    assert list(getattr(sent, "exec", sent).argv) == [b"printf", b"a b", b"x\xff"]
    if how in ("run", "exec", "exec_stream"):
        assert "printf 'a b' 'x\ufffd'" in text


@pytest.mark.parametrize("what", [dict, MappingProxyType], ids=["dict", "proxy"])
def test_any_mapping_is_an_environment_and_labels(world, what):
    words = what({"A": "1", "Ä": "ü"})
    world.sandbox.run("x", env=words)
    assert dict(world.fake.calls[-1].env) == dict(words)
    world.sandbox.pty(env=words)
    assert dict(world.fake.calls[-1].exec.env) == {"TERM": "xterm-256color", **words}
    world.sandbox.session(env=words)
    assert dict(world.fake.calls[-1].env) == dict(words)
    world.sandbox.fork(labels=words).destroy()
    assert any(dict(getattr(call, "labels", {})) == dict(words) for call in world.fake.calls)
    world.client.list_sandboxes(labels=words)
    assert dict(world.fake.calls[-1].labels) == dict(words)


@pytest.mark.parametrize(
    "given, number",
    [
        (signal.SIGTERM, 15),
        (signal.SIGTERM.value, 15),
        ("SIGTERM", 15),
        ("TERM", 15),
        ("usr1", signal.SIGUSR1),
        ("RTMIN", signal.SIGRTMIN),
        (Index(15), 15),
    ],
)
def test_a_signal_is_a_number_or_a_name(world, given, number):
    world.client.signal_process(world.process.id, given)
    assert world.fake.calls[-1].signal == number


def test_integers_of_others(world):
    world.sandbox.write_file("x", "", mode=Index(0o600))
    assert world.fake.calls[-1][0].start.mode == 0o600
    world.pty.resize(Index(7), Index(8))
    assert world.pty.read(10) == b"7x8"
    world.create(resources=ResourceLimits(pids_limit=Index(9)), permissions=[{"pattern": "/x"}])
    assert world.fake.calls[-1].resources.pids_limit == 9
    rule = PermissionRule("/x", priority=Index(3))
    assert rule.priority == 3 and type(rule.priority) is int


def test_bytes_that_are_not_text_go_where_bytes_go(world, tmp_path):
    world.sandbox.run("cat", input=RAW)
    assert world.fake.calls[-1].stdin_bytes == b"x\xff"
    world.sandbox.write_file(RAW, memoryview(b"a-b-c")[::2])
    assert world.fake.calls[-1][0].start.path == b"x\xff"
    assert world.fake.calls[-1][1].data == b"abc"
    directory = tmp_path / "odd\n\udcff"
    directory.mkdir()
    with world.local(path=directory) as made:
        assert made.codebase.name == "odd\ufffd\ufffd"


def test_a_callback_that_would_be_awaited_is_for_async_sandboxes(world):
    heard = []

    async def hear(text):
        heard.append(text)

    if world.api.name == "async":
        assert world.sandbox.run("hello", on_stdout=hear).stdout == "hello"
        assert "".join(heard) == "hello"
        return
    before = list(world.fake.names)
    for call in (world.sandbox.run, world.sandbox.spawn, world.session.exec):
        with pytest.raises(TYPE, match="on_stdout is a coroutine function"):
            call("hello", on_stdout=hear)
    assert world.fake.names == before


def test_paths_of_a_discard_are_read_once(world):
    world.sandbox.discard(listed(["/output"]), restart=True)
    sent = [call for call in world.fake.calls if getattr(call, "paths", None)]
    assert list(sent[-1].paths) == [b"/output"]
