"""Requests of more than a few fields, and what a user may not ask for. Pure."""

import dataclasses
import shlex
from datetime import timedelta
from typing import Any, Dict, Iterable, List, Mapping, Optional, TypeVar

from . import _check, _wire
from . import _types as t
from ._errors import InvalidConfigurationError
from ._gen import common_pb2 as common
from ._gen import process_pb2 as pr
from ._gen import sandbox_pb2 as sb

_RUNTIME: Dict[t.RuntimeType, "sb.RuntimeType"] = {
    t.RuntimeType.BWRAP: sb.RUNTIME_TYPE_BWRAP,
    t.RuntimeType.DOCKER: sb.RUNTIME_TYPE_DOCKER,
}
_COMMIT_MODE: Dict[t.CommitMode, "sb.CommitMode"] = {
    t.CommitMode.MANUAL: sb.COMMIT_MODE_MANUAL,
    t.CommitMode.ON_EXEC: sb.COMMIT_MODE_ON_EXEC,
}
R = TypeVar("R")

# How long a sandbox without use, and a codebase without a sandbox, outlive the
# program that made them and was killed.
DEFAULT_IDLE = timedelta(days=1)
# Bytes that a result holds of each stream; exec_stream has no limit.
OUTPUT_LIMIT = 8 << 20


def rules_out(rules: Iterable[t.PermissionRule]) -> List[common.PermissionRule]:
    return [
        common.PermissionRule(
            pattern=rule.pattern,
            type=_wire.PATTERN[rule.type],
            permission=_wire.PERMISSION[rule.permission],
            priority=rule.priority,
            preset=rule.preset,
        )
        for rule in rules
    ]


def limits_out(limits: t.ResourceLimits) -> common.ResourceLimits:
    if not isinstance(limits, t.ResourceLimits):
        raise _check.wrong(limits, "resources", "a ResourceLimits")
    counts = [f.name for f in dataclasses.fields(limits) if f.name != "timeout"]
    given: Dict[str, Any] = {
        name: _count(getattr(limits, name), f"ResourceLimits.{name}") for name in counts
    }
    request = common.ResourceLimits(**given)
    longest = _wire.seconds(limits.timeout, "ResourceLimits.timeout")
    if longest is not None:
        _wire.set_duration(request.timeout, longest)
    return request


def _count(value: Optional[int], name: str) -> Optional[int]:
    if value is None:
        return None
    found = _check.number(value, name, -_check.MAX_INT64, _check.MAX_INT64)
    if found <= 0:
        raise InvalidConfigurationError(
            f"{name} {found} is not above 0; None is the server's default"
        )
    return found


def create_sandbox(
    codebase_id: str,
    rules: Iterable[t.PermissionRule],
    *,
    runtime: t.RuntimeType = t.RuntimeType.BWRAP,
    image: Optional[str] = None,
    resources: Optional[t.ResourceLimits] = None,
    labels: Optional[Mapping[str, str]] = None,
    expires_in: _wire.Seconds = None,
    idle_timeout: _wire.Seconds = None,
    commit_mode: t.CommitMode = t.CommitMode.MANUAL,
    accept_losses: Optional[Iterable[str]] = None,
    strict: bool = False,
    seccomp_groups: Optional[Iterable[str]] = None,
    request_id: str = "",
    start: bool = False,
) -> sb.CreateSandboxRequest:
    request = sb.CreateSandboxRequest(
        codebase_id=_check.text(codebase_id, "codebase_id"),
        permissions=rules_out(rules),
        labels=_check.words(labels, "labels"),
        runtime=_RUNTIME[t.RuntimeType.of(runtime, "runtime")],
        image=_check.maybe_text(image, "image"),
        resources=None if resources is None else limits_out(resources),
        commit_mode=_COMMIT_MODE[t.CommitMode.of(commit_mode, "commit_mode")],
        accept_losses=_check.several(accept_losses, "accept_losses"),
        strict=_check.flag(strict, "strict"),
        seccomp_groups=_check.several(seccomp_groups, "seccomp_groups"),
        request_id=request_id,
        start=_check.flag(start, "start"),
    )
    for name, value in (("expires_in", expires_in), ("idle_timeout", idle_timeout)):
        span = _wire.seconds(value, name)
        if span is not None:
            _wire.set_duration(getattr(request, name), span)
    return request


def not_started(request: R) -> R:
    """The same request, for something that need not run."""
    copy: Any = type(request)()
    copy.CopyFrom(request)
    if "start" in copy.DESCRIPTOR.fields_by_name:
        copy.start = False
    same: R = copy
    return same


def exec_request(
    sandbox_id: str,
    command: t.Command,
    *,
    stdin: Optional[_wire.Bytes] = None,
    env: Optional[Mapping[str, str]] = None,
    workdir: Optional[_check.Path] = None,
    timeout: Optional[float] = None,
) -> sb.ExecRequest:
    request = sb.ExecRequest(
        sandbox_id=_check.text(sandbox_id, "sandbox_id"),
        env=_check.words(env, "env"),
        workdir=_check.maybe_path(workdir, "workdir"),
        output_limit=OUTPUT_LIMIT,
    )
    if isinstance(command, str):
        request.command = shell_command(command)
    else:
        argv = _check.argv(command, "command")
        if not argv or not argv[0]:
            raise InvalidConfigurationError("command is empty")
        request.argv.extend(argv)
    if stdin is not None:
        request.stdin_bytes = _check.data(stdin, "stdin")
    if timeout is not None:
        _wire.set_duration(request.timeout, timeout)
    return request


def shell_command(command: str) -> str:
    if not _check.text(command, "command"):
        raise InvalidConfigurationError("command is empty")
    return command


def command_text(request: sb.ExecRequest) -> str:
    """The command as a person would type it."""
    if request.command:
        return request.command
    return " ".join(shlex.quote(arg.decode("utf-8", "replace")) for arg in request.argv)


# A shell for a terminal; on one it is interactive by itself.
_TERMINAL = "if command -v bash >/dev/null; then exec bash; fi; exec sh"


def spawn(request: sb.ExecRequest, open_stdin: bool, request_id: str) -> pr.SpawnRequest:
    request.output_limit = 0
    stays = _check.flag(open_stdin, "open_stdin")
    return pr.SpawnRequest(exec=request, open_stdin=stays, request_id=request_id)


def terminal(
    sandbox_id: str,
    size: common.WindowSize,
    command: Optional[t.Command],
    env: Optional[Mapping[str, str]],
    workdir: Optional[_check.Path],
    timeout: Optional[float],
    request_id: str,
) -> pr.SpawnRequest:
    environment = {"TERM": "xterm-256color", **(_check.words(env, "env") or {})}
    request = exec_request(
        sandbox_id,
        _TERMINAL if command is None else command,
        env=environment,
        workdir=workdir,
        timeout=timeout,
    )
    request.pty.CopyFrom(size)
    return spawn(request, True, request_id)


def create_session(
    sandbox_id: str,
    shell: Optional[_check.Path],
    env: Optional[Mapping[str, str]],
    workdir: Optional[_check.Path],
    idle_timeout: _wire.Seconds,
    request_id: str,
) -> sb.CreateSessionRequest:
    request = sb.CreateSessionRequest(
        sandbox_id=_check.text(sandbox_id, "sandbox_id"),
        shell=_check.maybe_path(shell, "shell"),
        env=_check.words(env, "env"),
        workdir=_check.maybe_path(workdir, "workdir"),
        request_id=request_id,
    )
    idle = _wire.seconds(idle_timeout, "idle_timeout")
    if idle is not None:
        _wire.set_duration(request.idle_timeout, idle)
    return request


def session_exec(session_id: str, command: str, timeout: Optional[float]) -> sb.SessionExecRequest:
    if not isinstance(command, str):
        raise _check.wrong(command, "command", "a str: shlex.join() makes one of a list")
    request = sb.SessionExecRequest(
        session_id=_check.text(session_id, "session_id"),
        command=shell_command(command),
        output_limit=OUTPUT_LIMIT,
    )
    if timeout is not None:
        _wire.set_duration(request.timeout, timeout)
    return request


def window(cols: int, rows: int) -> common.WindowSize:
    return common.WindowSize(
        cols=_check.number(cols, "cols", 1, 65535), rows=_check.number(rows, "rows", 1, 65535)
    )


def chosen(paths: object, otherwise: str) -> List[bytes]:
    """The paths that a call is limited to; [] for None, an error for none at all."""
    if paths is None:
        return []
    found = _check.paths(paths, "paths")
    if not found:
        raise InvalidConfigurationError(f"paths is empty: leave it out to {otherwise} all")
    return found
