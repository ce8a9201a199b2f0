"""Between protobuf messages and the types of this package. Pure."""

import os
from datetime import datetime, timedelta, timezone
from typing import Dict, Iterable, List, Optional, TypeVar, Union

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from . import _check
from . import _types as t
from ._errors import InvalidConfigurationError
from ._gen import codebase_pb2 as cb
from ._gen import common_pb2 as common
from ._gen import sandbox_pb2 as sb

Seconds = Union[int, float, timedelta, None]
Bytes = Union[str, bytes, bytearray, memoryview]

PERMISSION: Dict[t.Permission, "common.Permission"] = {
    t.Permission.NONE: common.PERMISSION_NONE,
    t.Permission.VIEW: common.PERMISSION_VIEW,
    t.Permission.READ: common.PERMISSION_READ,
    t.Permission.WRITE: common.PERMISSION_WRITE,
}
PATTERN: Dict[t.PatternType, "common.PatternType"] = {
    t.PatternType.GLOB: common.PATTERN_TYPE_GLOB,
    t.PatternType.DIRECTORY: common.PATTERN_TYPE_DIRECTORY,
    t.PatternType.FILE: common.PATTERN_TYPE_FILE,
}
_STATUS = {
    sb.SANDBOX_STATUS_PENDING: t.SandboxStatus.PENDING,
    sb.SANDBOX_STATUS_RUNNING: t.SandboxStatus.RUNNING,
    sb.SANDBOX_STATUS_STOPPED: t.SandboxStatus.STOPPED,
}
_OPERATION = {
    sb.Change.OPERATION_ADDED: t.Operation.ADDED,
    sb.Change.OPERATION_DELETED: t.Operation.DELETED,
}
_KIND = {
    cb.TreeEntry.KIND_DIRECTORY: t.Kind.DIRECTORY,
    cb.TreeEntry.KIND_SYMLINK: t.Kind.SYMLINK,
}
_SKIP = {
    cb.SkippedEntries.REASON_HIDDEN: t.SkipReason.HIDDEN,
    cb.SkippedEntries.REASON_IGNORED: t.SkipReason.IGNORED,
    cb.SkippedEntries.REASON_SPECIAL: t.SkipReason.SPECIAL,
    cb.SkippedEntries.REASON_HARD_LINK_TO_HIDDEN: t.SkipReason.HARD_LINK_TO_HIDDEN,
    cb.SkippedEntries.REASON_NAME_TOO_LONG: t.SkipReason.NAME_TOO_LONG,
}

# Seconds that are no mistake.
_LONGEST = 1e9

K = TypeVar("K")
V = TypeVar("V")


def _back(forward: Dict[K, V]) -> Dict[V, K]:
    return {v: k for k, v in forward.items()}


_PERMISSION_BACK = _back(PERMISSION)
_PATTERN_BACK = _back(PATTERN)


# Simple values.


def seconds(value: Seconds, name: str = "timeout") -> Optional[float]:
    """The value as seconds; None stays None, and 0 or less is an error."""
    if value is None:
        return None
    number = _seconds(value, name)
    if not 0 < number < _LONGEST:
        hint = "; None is no limit" if name == "timeout" else ""
        raise InvalidConfigurationError(
            f"{name} {value!r} is not above 0 and below 10**9 seconds{hint}"
        )
    return number


def patience(value: Seconds, name: str = "timeout") -> Optional[float]:
    """How long to wait for something that goes on by itself: 0 or less is not at all."""
    if value is None:
        return None
    number = _seconds(value, name)
    if not -_LONGEST < number < _LONGEST:
        raise InvalidConfigurationError(
            f"{name} {value!r} is not below 10**9 seconds; None is no limit"
        )
    return max(number, 0.0)


def _seconds(value: Union[int, float, timedelta], name: str) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _check.wrong(value, name, "seconds or a timedelta")
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except (TypeError, ValueError):
        raise _check.wrong(value, name, "seconds or a timedelta") from None


def set_duration(target: Duration, value: float) -> None:
    # Less than the wire can say is not none at all.
    target.FromNanoseconds(max(1, round(value * 1e9)))


def time_of(message: object, name: str) -> Optional[datetime]:
    if not message.HasField(name):  # type: ignore[attr-defined]
        return None
    stamp: Timestamp = getattr(message, name)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return epoch + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def duration(value: Duration) -> timedelta:
    return timedelta(seconds=value.seconds, microseconds=value.nanos / 1000)


def span(message: object, name: str) -> Optional[timedelta]:
    """A duration that may be absent; zero means the same."""
    if not message.HasField(name):  # type: ignore[attr-defined]
        return None
    return duration(getattr(message, name)) or None


# Answers.


def rule_in(rule: common.PermissionRule) -> t.PermissionRule:
    return t.PermissionRule(
        rule.pattern,
        _PERMISSION_BACK.get(rule.permission, t.Permission.NONE),
        _PATTERN_BACK.get(rule.type, t.PatternType.GLOB),
        rule.priority,
        rule.preset,
    )


def _rule_ref(message: object) -> Optional[t.RuleRef]:
    if not message.HasField("rule"):  # type: ignore[attr-defined]
        return None
    rule: common.RuleRef = message.rule  # type: ignore[attr-defined]
    level = _PERMISSION_BACK.get(rule.permission, t.Permission.NONE)
    return t.RuleRef(rule.index, rule.pattern, level, rule.priority, rule.preset)


def _hint(operation: str, path: str, rule: Optional[t.RuleRef]) -> str:
    if rule is None:
        return f"no rule matches {path}: add one that allows to {operation} it"
    origin = f"preset {rule.preset}" if rule.preset else "a rule of your own"
    return (
        f"{rule.pattern!r} ({origin}) gives {rule.permission}: to allow it, add a rule for {path} "
        f"with a priority above {rule.priority}"
    )


def denials(messages: Iterable[common.Denial]) -> List[t.Denial]:
    out = []
    for message in messages:
        path, rule = os.fsdecode(message.path), _rule_ref(message)
        hint = message.hint or _hint(message.operation, path, rule)
        fix = rule_in(message.remedy) if message.HasField("remedy") else None
        out.append(t.Denial(message.operation, path, rule, hint, fix))
    return out


def _limits_in(message: sb.Sandbox) -> Optional[t.ResourceLimits]:
    if not message.HasField("resources"):
        return None
    r = message.resources
    return t.ResourceLimits(
        r.memory_bytes or None,
        r.cpu_quota or None,
        r.cpu_shares or None,
        r.pids_limit or None,
        timeout=r.timeout.ToNanoseconds() / 1e9 if r.HasField("timeout") else None,
        disk_bytes=r.disk_bytes or None,
        output_rate=r.output_rate or None,
    )


def _losses(messages: Iterable[sb.Loss]) -> List[t.Loss]:
    return [t.Loss(m.name, m.consequence, m.fix) for m in messages]


def sandbox_info(message: sb.Sandbox) -> t.SandboxInfo:
    docker = message.runtime == sb.RUNTIME_TYPE_DOCKER
    on_exec = message.commit_mode != sb.COMMIT_MODE_MANUAL
    return t.SandboxInfo(
        id=message.id,
        codebase_id=message.codebase_id,
        status=_STATUS.get(message.status, t.SandboxStatus.ERROR),
        permissions=[rule_in(rule) for rule in message.permissions],
        labels=dict(message.labels),
        created_at=time_of(message, "created_at"),
        started_at=time_of(message, "started_at"),
        stopped_at=time_of(message, "stopped_at"),
        expires_at=time_of(message, "expires_at"),
        runtime=t.RuntimeType.DOCKER if docker else t.RuntimeType.BWRAP,
        image=message.image or None,
        resources=_limits_in(message),
        commit_mode=t.CommitMode.ON_EXEC if on_exec else t.CommitMode.MANUAL,
        snapshot=message.snapshot,
        status_reason=message.status_reason,
        losses=_losses(message.losses),
        accepted_losses=list(message.accepted_losses),
        strict=message.strict,
        idle_timeout=span(message, "idle_timeout"),
        seccomp_groups=list(message.seccomp_groups),
    )


def ingest_summary(message: cb.IngestResult) -> t.IngestSummary:
    return t.IngestSummary(
        files=message.files,
        directories=message.directories,
        symlinks=message.symlinks,
        bytes=message.bytes,
        new_bytes=message.new_bytes,
        skipped=[
            t.Skipped(
                _SKIP.get(s.reason, t.SkipReason.OTHER), s.count, [os.fsdecode(p) for p in s.paths]
            )
            for s in message.skipped
        ],
    )


def codebase(message: cb.Codebase, ingest: Optional[t.IngestSummary] = None) -> t.Codebase:
    return t.Codebase(
        id=message.id,
        name=message.name,
        owner_id=message.owner_id,
        size=message.size,
        file_count=message.file_count,
        created_at=time_of(message, "created_at"),
        updated_at=time_of(message, "updated_at"),
        head=message.head,
        idle_timeout=span(message, "idle_timeout"),
        ingest=ingest,
    )


def file_info(message: cb.FileInfo) -> t.FileInfo:
    path = os.fsdecode(message.path_bytes) if message.path_bytes else message.path
    return t.FileInfo(
        path=path,
        name=path.rstrip("/").rpartition("/")[2] or message.name,
        is_dir=message.is_dir,
        size=message.size,
        modified_at=time_of(message, "modified_at"),
        mode=message.mode,
        symlink_target=os.fsdecode(message.symlink_target) if message.symlink_target else None,
    )


def upload_result(message: cb.UploadResult) -> t.UploadResult:
    return t.UploadResult(message.codebase_id, message.file_path, message.size, message.checksum)


def exec_result(message: sb.ExecResult, command: str) -> t.ExecResult:
    stdout = message.stdout_bytes or message.stdout.encode("utf-8")
    stderr = message.stderr_bytes or message.stderr.encode("utf-8")
    return t.ExecResult(
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        exit_code=message.exit_code,
        duration=duration(message.duration),
        command=command,
        stdout_bytes=stdout,
        stderr_bytes=stderr,
        truncated=message.stdout_truncated or message.stderr_truncated,
        signal=message.signal,
        oom_killed=message.oom_killed,
        denials=denials(message.denials),
        denials_omitted=message.denials_omitted,
    )


def exec_exit(
    message: sb.ExecExit,
    command: str,
    stdout: bytes,
    stderr: bytes,
    truncated: bool = False,
) -> t.ExecResult:
    """The result of a streamed command whose output was collected."""
    return t.ExecResult(
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        exit_code=message.exit_code,
        duration=duration(message.duration),
        command=command,
        stdout_bytes=stdout,
        stderr_bytes=stderr,
        truncated=truncated,
        signal=message.signal,
        oom_killed=message.oom_killed,
        denials=denials(message.denials),
        denials_omitted=message.denials_omitted,
    )


def _why(message: sb.Change) -> str:
    if message.shadowed:
        return "the name is hidden, so the file stays the sandbox's own"
    if not message.refused:
        return ""
    rule = _rule_ref(message)
    return f"below write level, by {rule.text}" if rule else "no rule gives it"


def change(message: sb.Change) -> t.Change:
    return t.Change(
        path=os.fsdecode(message.path),
        operation=_OPERATION.get(message.operation, t.Operation.MODIFIED),
        kind=_KIND.get(message.kind, t.Kind.FILE),
        mode=message.mode,
        size=message.size,
        shadowed=message.shadowed,
        refused=message.refused,
        rule=_rule_ref(message),
        why=_why(message),
    )


def commit_result(message: sb.CommitResponse) -> t.CommitResult:
    return t.CommitResult(
        head=message.head,
        applied=[change(m) for m in message.applied],
        refused=[change(m) for m in message.refused],
    )


def server_info(message: sb.Info) -> t.ServerInfo:
    return t.ServerInfo(
        message.version,
        message.kernel,
        _losses(message.losses),
        message.sandboxes,
        message.max_output_rate,
    )
