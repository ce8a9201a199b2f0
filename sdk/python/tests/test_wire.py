"""Conversion and reduction, without a channel."""

import copy
import pickle
from datetime import datetime, timedelta, timezone

import pytest
from fake import KINDS, all_methods

import agentfense
from agentfense import (
    Change,
    Denial,
    ExecChunk,
    FileEvent,
    FileEventKind,
    Operation,
    PatternType,
    Permission,
    PermissionRule,
    ResourceLimits,
    RuleRef,
    RuntimeType,
    SandboxStatus,
    _reduce,
    _requests,
    _wire,
)
from agentfense import _methods as methods
from agentfense._gen import codebase_pb2 as cb
from agentfense._gen import common_pb2 as common
from agentfense._gen import process_pb2 as pr
from agentfense._gen import sandbox_pb2 as sb


def test_methods_agree_with_the_contract():
    files = {
        "SandboxService": sb.DESCRIPTOR,
        "CodebaseService": cb.DESCRIPTOR,
        "ProcessService": pr.DESCRIPTOR,
    }
    for method in all_methods():
        _, service, name = method.path.split("/")
        short = service.rpartition(".")[2]
        declared = files[short].services_by_name[short].methods_by_name[name]
        assert service == f"sandbox.v1.{short}"
        assert declared.input_type is method.request.DESCRIPTOR
        assert declared.output_type is method.response.DESCRIPTOR
        if hasattr(declared, "client_streaming"):
            kind = "_".join(
                "stream" if s else "unary"
                for s in (declared.client_streaming, declared.server_streaming)
            )
            assert kind == KINDS.get(name, "unary_unary")
    assert methods.EXEC.path == "/sandbox.v1.SandboxService/Exec"


@pytest.mark.parametrize("level", list(Permission))
@pytest.mark.parametrize("kind", list(PatternType))
def test_rules_survive_the_wire(level, kind):
    rule = PermissionRule("/x/**", level, kind, -7, "mine")
    (message,) = _requests.rules_out([rule])
    back = _wire.rule_in(message)
    assert back == rule
    assert back.preset == "mine"


def test_create_request_says_manual_and_names_presets():
    rules = [PermissionRule("**/*", preset="read-only"), PermissionRule("/x", "write")]
    request = _requests.create_sandbox(
        "cb_1",
        rules,
        runtime="native",
        resources=ResourceLimits(cpu_quota=150_000, pids_limit=9),
        labels={"a": "b"},
        expires_in=timedelta(minutes=1),
        request_id="r",
        start=True,
    )
    assert request.commit_mode == sb.COMMIT_MODE_MANUAL
    assert [p.preset for p in request.permissions] == ["read-only", ""]
    assert request.runtime == sb.RUNTIME_TYPE_BWRAP
    assert (request.resources.cpu_quota, request.resources.memory_bytes) == (150_000, 0)
    assert request.expires_in.seconds == 60
    assert (request.start, request.request_id, dict(request.labels)) == (True, "r", {"a": "b"})


def test_limits_survive_the_wire():
    limits = ResourceLimits(1, 2, 3, 4, timeout=1.5, disk_bytes=6, output_rate=7)
    message = sb.Sandbox(resources=_requests.limits_out(limits))
    assert _wire.sandbox_info(message).resources == limits
    with pytest.raises(ValueError, match="ResourceLimits.timeout"):
        _requests.limits_out(ResourceLimits(timeout=0))


def test_the_hint_of_the_server_is_the_one_that_is_shown():
    (denial,) = _wire.denials([common.Denial(operation="open", path=b"/x", hint="do this")])
    assert denial.hint == "do this"


def test_a_string_is_for_the_shell_and_a_list_is_an_argv():
    assert _requests.exec_request("s", "echo $HOME").command == "echo $HOME"
    request = _requests.exec_request("s", ["printf", "%s", "a b", b"\xff", "\udcfe"])
    assert list(request.argv) == [b"printf", b"%s", b"a b", b"\xff", b"\xfe"]
    assert request.command == ""


@pytest.mark.parametrize("command", ["", [], b"ls"])
def test_a_command_that_is_none_is_refused(command):
    with pytest.raises(ValueError):
        _requests.exec_request("s", command)


def test_exec_request_carries_input_and_timeout():
    request = _requests.exec_request(
        "s", "cat", stdin="ä", env={"A": "1"}, workdir="src", timeout=1.5
    )
    assert request.stdin_bytes == "ä".encode()
    assert (request.timeout.seconds, request.timeout.nanos) == (1, 500_000_000)
    assert (dict(request.env), request.workdir) == ({"A": "1"}, "src")


@pytest.mark.parametrize(
    "value, expected", [(None, None), (3, 3.0), (0.25, 0.25), (timedelta(milliseconds=5), 0.005)]
)
def test_seconds(value, expected):
    assert _wire.seconds(value) == expected


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "soon", timedelta(0)])
def test_seconds_that_are_none_are_refused(value):
    with pytest.raises(ValueError):
        _wire.seconds(value)


def test_sandbox_info():
    message = sb.Sandbox(
        id="sb_1",
        codebase_id="cb_1",
        status=sb.SANDBOX_STATUS_ERROR,
        status_reason="why",
        runtime=sb.RUNTIME_TYPE_DOCKER,
        image="i",
        labels={"k": "v"},
        resources=common.ResourceLimits(memory_bytes=5),
        losses=[sb.Loss(name="n", consequence="c", fix="f")],
    )
    message.created_at.FromJsonString("2024-05-06T07:08:09.123456789Z")
    info = _wire.sandbox_info(message)
    assert info.created_at == datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc)
    assert info.started_at is None
    assert (info.status, info.status_reason) == (SandboxStatus.ERROR, "why")
    assert (info.runtime, info.image) == (RuntimeType.DOCKER, "i")
    assert info.resources == ResourceLimits(memory_bytes=5)
    assert info.losses[0].fix == "f"
    with pytest.raises(AttributeError):
        info.id = "x"


def test_exec_result_keeps_exact_bytes():
    message = sb.ExecResult(
        stdout="\ufffd",
        stdout_bytes=b"\xff",
        stderr="plain",
        exit_code=137,
        signal=9,
        stderr_truncated=True,
        oom_killed=True,
    )
    message.duration.FromMicroseconds(1_500_001)
    result = _wire.exec_result(message, "'a b' c")
    assert (result.stdout, result.stdout_bytes) == ("\ufffd", b"\xff")
    assert (result.stderr, result.stderr_bytes) == ("plain", b"plain")
    assert (result.exit_code, result.signal, result.success) == (137, 9, False)
    assert result.duration == timedelta(seconds=1, microseconds=500_001)
    assert result.truncated and result.oom_killed
    assert result.command == "'a b' c"
    assert result.output == "\ufffdplain"
    with pytest.raises(agentfense.CommandExecutionError, match="memory limit.*plain") as e:
        result.raise_on_error()
    assert (e.value.exit_code, e.value.stderr) == (137, "plain")


def test_denials_name_the_rule_and_say_what_would_allow_it():
    rule = common.RuleRef(
        index=4,
        pattern="**/.env*",
        permission=common.PERMISSION_NONE,
        priority=100,
        preset="agent-safe",
    )
    messages = [
        common.Denial(operation="open", path=b"/\xff.env", rule=rule),
        common.Denial(operation="create", path=b"/new"),
    ]
    first, second = _wire.denials(messages)
    assert first == Denial(
        "open",
        "/\udcff.env",
        RuleRef(4, "**/.env*", Permission.NONE, 100, "agent-safe"),
        first.hint,
    )
    assert str(first.rule) == "**/.env*"
    assert "above 100" in first.hint and "agent-safe" in first.hint
    assert second.rule is None and "no rule matches /new" in second.hint


def test_file_info_prefers_exact_bytes():
    info = _wire.file_info(
        cb.FileInfo(path="a/\ufffd", path_bytes=b"a/\xfe", mode=0o755, symlink_target=b"t")
    )
    assert (info.path, info.name) == ("a/\udcfe", "\udcfe")
    assert (f"{info}", info.symlink_target, info.modified_at) == ("a/\udcfe", "t", None)


def out(data, kind=sb.ExecOutput.OUTPUT_TYPE_STDOUT):
    return sb.ExecOutput(type=kind, data=data)


def test_a_stream_of_output_becomes_chunks_and_a_result():
    reducer = _reduce.ExecReducer("make")
    assert reducer.feed(sb.ExecOutput(started=sb.ExecStarted(pid=3))) is None
    chunk = reducer.feed(out(b"a"))
    assert chunk == b"a" and chunk.stream == "stdout" and chunk.decode() == "a"
    assert reducer.feed(out(b"e", sb.ExecOutput.OUTPUT_TYPE_STDERR)).stream == "stderr"
    reducer.feed(out(b"b"))
    assert reducer.exit_code is None
    assert reducer.feed(sb.ExecOutput(exit=sb.ExecExit(exit_code=3))) is None
    result = reducer.result()
    assert (result.stdout, result.stderr, result.exit_code) == ("ab", "e", 3)


def test_a_stream_without_an_end_is_an_error():
    reducer = _reduce.ExecReducer("make")
    reducer.feed(out(b"a"))
    with pytest.raises(agentfense.SandboxError, match="without an exit code"):
        reducer.result()


def test_output_that_is_not_kept_is_not_in_the_result():
    reducer = _reduce.ExecReducer("make", limit=0)
    reducer.feed(out(b"a"))
    reducer.feed(sb.ExecOutput(exit=sb.ExecExit()))
    assert reducer.result().stdout == ""


def test_output_over_the_limit_is_dropped_with_a_flag():
    reducer = _reduce.ExecReducer("make", limit=5)
    assert [reducer.feed(out(data)) for data in (b"abc", b"def", b"ghi")] == [
        b"abc",
        b"def",
        b"ghi",
    ]
    reducer.feed(out(b"12345", sb.ExecOutput.OUTPUT_TYPE_STDERR))
    reducer.feed(sb.ExecOutput(exit=sb.ExecExit()))
    result = reducer.result()
    assert (result.stdout, result.stderr, result.truncated) == ("abcde", "12345", True)
    whole = _reduce.ExecReducer("make", limit=3)
    whole.feed(out(b"abc"))
    whole.feed(sb.ExecOutput(exit=sb.ExecExit()))
    assert whole.result().truncated is False


def test_text_for_callbacks_never_cuts_a_character():
    splitter = _reduce.TextSplitter()
    data = "aä€".encode()
    texts = [splitter.feed(ExecChunk(bytes([b]), "stdout")) for b in data]
    assert "".join(texts) == "aä€"
    assert "\ufffd" not in "".join(texts)
    splitter.feed(ExecChunk(b"\xe2", "stderr"))
    assert splitter.rest("stderr") == "\ufffd"
    assert splitter.rest("stdout") == ""


def test_lists_of_an_upload_come_in_parts():
    reducer = _reduce.TreeReducer()
    response = cb.UploadTreeResponse
    wanted = response.Wanted
    assert reducer.feed(response(wanted=wanted(entries=[1]))) is None
    assert reducer.feed(response(wanted=wanted(entries=[4], last=True))) == [1, 4]
    assert reducer.feed(response(missing=response.Missing(last=True))) == []
    reducer.feed(response(result=cb.IngestResult(files=2)))
    assert _reduce.ingested(reducer.result).ingest.files == 2


def test_ingest_without_a_result_is_an_error():
    reducer = _reduce.IngestReducer()
    reducer.feed(cb.IngestProgress(files=3))
    with pytest.raises(agentfense.SandboxError):
        reducer.codebase()


def test_enums_are_their_words_everywhere():
    assert f"{Permission.READ} {Permission.READ!s}" == "read read"
    assert Permission.READ == "read"
    assert RuntimeType.NATIVE is RuntimeType.BWRAP is RuntimeType("native")


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_chunk_may_be_copied_with_its_stream(how):
    chunk = how(ExecChunk(b"x", "stderr"))
    assert (chunk, chunk.stream) == (b"x", "stderr")


def test_what_a_log_gets_is_short_and_fools_nobody():
    rule = RuleRef(1, "**/.env*", Permission.NONE, 100, "agent-safe")
    denial = Denial("open", "/.env", rule, "a rule /.env=read@101 allows it")
    assert str(denial) == "open /.env (**/.env*=none@100): a rule /.env=read@101 allows it"
    assert str(Denial("open", "/a\nb")) == "open '/a\\nb'"
    assert str(Change("/new", Operation.ADDED)) == "added /new"
    assert (
        str(Change("/\x1b[2J", Operation.DELETED, refused=True)) == "deleted '/\\x1b[2J', refused"
    )
    assert str(FileEvent(FileEventKind.CREATED, "a\r")) == "created 'a\\r'"


def test_chunks_become_lines_of_bounded_length():
    splitter = _reduce.LineSplitter(longest=8)
    chunks = [
        ("stdout", b"a\nb"),
        ("stderr", b"warn"),
        ("stdout", b"c\n\n\xc3"),
        ("stdout", b"\xa9"),
    ]
    chunks += [("stderr", b"ing\n"), ("stdout", b"123456"), ("stdout", b"7\nend")]
    lines = [
        (line.stream, bytes(line)) for c in chunks for line in splitter.feed(ExecChunk(c[1], c[0]))
    ]
    lines += [(line.stream, bytes(line)) for line in splitter.rest()]
    assert lines == [
        ("stdout", b"a\n"),
        ("stdout", b"bc\n"),
        ("stdout", b"\n"),
        ("stderr", b"warning\n"),
        ("stdout", b"\xc3\xa9123456"),
        ("stdout", b"7\n"),
        ("stdout", b"end"),
    ]
