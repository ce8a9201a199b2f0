from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from agentfense._gen import codebase_pb2 as _codebase_pb2
from agentfense._gen import common_pb2 as _common_pb2
from agentfense._gen import file_pb2 as _file_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

COMMIT_MODE_MANUAL: CommitMode
COMMIT_MODE_ON_EXEC: CommitMode
COMMIT_MODE_UNSPECIFIED: CommitMode
DESCRIPTOR: _descriptor.FileDescriptor
RUNTIME_TYPE_BWRAP: RuntimeType
RUNTIME_TYPE_DOCKER: RuntimeType
RUNTIME_TYPE_UNSPECIFIED: RuntimeType
SANDBOX_STATUS_ERROR: SandboxStatus
SANDBOX_STATUS_PENDING: SandboxStatus
SANDBOX_STATUS_RUNNING: SandboxStatus
SANDBOX_STATUS_STOPPED: SandboxStatus
SANDBOX_STATUS_UNSPECIFIED: SandboxStatus
SESSION_STATUS_ACTIVE: SessionStatus
SESSION_STATUS_CLOSED: SessionStatus
SESSION_STATUS_UNSPECIFIED: SessionStatus

class Change(_message.Message):
    __slots__ = ["kind", "mode", "operation", "path", "refused", "rule", "shadowed", "size"]
    class Operation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ADDED: Change.Operation
    OPERATION_DELETED: Change.Operation
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_MODIFIED: Change.Operation
    OPERATION_UNSPECIFIED: Change.Operation
    PATH_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SHADOWED_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    kind: _codebase_pb2.TreeEntry.Kind
    mode: int
    operation: Change.Operation
    path: bytes
    refused: bool
    rule: _common_pb2.RuleRef
    shadowed: bool
    size: int
    def __init__(self, path: _Optional[bytes] = ..., operation: _Optional[_Union[Change.Operation, str]] = ..., kind: _Optional[_Union[_codebase_pb2.TreeEntry.Kind, str]] = ..., mode: _Optional[int] = ..., size: _Optional[int] = ..., shadowed: bool = ..., refused: bool = ..., rule: _Optional[_Union[_common_pb2.RuleRef, _Mapping]] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ["paths", "sandbox_id"]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ["applied", "head", "refused"]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    applied: _containers.RepeatedCompositeFieldContainer[Change]
    head: str
    refused: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, head: _Optional[str] = ..., applied: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

class CreateSandboxRequest(_message.Message):
    __slots__ = ["accept_losses", "codebase_id", "commit_mode", "expires_in", "idle_timeout", "image", "labels", "permissions", "request_id", "resources", "runtime", "seccomp_groups", "start", "strict"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCEPT_LOSSES_FIELD_NUMBER: _ClassVar[int]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_MODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    SECCOMP_GROUPS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    accept_losses: _containers.RepeatedScalarFieldContainer[str]
    codebase_id: str
    commit_mode: CommitMode
    expires_in: _duration_pb2.Duration
    idle_timeout: _duration_pb2.Duration
    image: str
    labels: _containers.ScalarMap[str, str]
    permissions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PermissionRule]
    request_id: str
    resources: _common_pb2.ResourceLimits
    runtime: RuntimeType
    seccomp_groups: _containers.RepeatedScalarFieldContainer[str]
    start: bool
    strict: bool
    def __init__(self, codebase_id: _Optional[str] = ..., permissions: _Optional[_Iterable[_Union[_common_pb2.PermissionRule, _Mapping]]] = ..., expires_in: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., runtime: _Optional[_Union[RuntimeType, str]] = ..., image: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.ResourceLimits, _Mapping]] = ..., commit_mode: _Optional[_Union[CommitMode, str]] = ..., request_id: _Optional[str] = ..., start: bool = ..., seccomp_groups: _Optional[_Iterable[str]] = ..., accept_losses: _Optional[_Iterable[str]] = ..., strict: bool = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ["env", "idle_timeout", "request_id", "sandbox_id", "shell", "workdir"]
    class EnvEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENV_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    env: _containers.ScalarMap[str, str]
    idle_timeout: _duration_pb2.Duration
    request_id: str
    sandbox_id: str
    shell: str
    workdir: str
    def __init__(self, sandbox_id: _Optional[str] = ..., shell: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ..., workdir: _Optional[str] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DestroySandboxRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class DestroySessionRequest(_message.Message):
    __slots__ = ["session_id"]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ["changes"]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

class DiscardRequest(_message.Message):
    __slots__ = ["paths", "sandbox_id"]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DiscardResponse(_message.Message):
    __slots__ = ["discarded"]
    DISCARDED_FIELD_NUMBER: _ClassVar[int]
    discarded: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, discarded: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

class ExecExit(_message.Message):
    __slots__ = ["denials", "denials_omitted", "duration", "exit_code", "oom_killed", "signal"]
    DENIALS_FIELD_NUMBER: _ClassVar[int]
    DENIALS_OMITTED_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    denials: _containers.RepeatedCompositeFieldContainer[_common_pb2.Denial]
    denials_omitted: int
    duration: _duration_pb2.Duration
    exit_code: int
    oom_killed: bool
    signal: int
    def __init__(self, exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., oom_killed: bool = ..., denials: _Optional[_Iterable[_Union[_common_pb2.Denial, _Mapping]]] = ..., denials_omitted: _Optional[int] = ...) -> None: ...

class ExecInput(_message.Message):
    __slots__ = ["close_stdin", "resize", "signal", "start", "stdin"]
    CLOSE_STDIN_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    close_stdin: _common_pb2.Empty
    resize: _common_pb2.WindowSize
    signal: int
    start: ExecRequest
    stdin: bytes
    def __init__(self, start: _Optional[_Union[ExecRequest, _Mapping]] = ..., stdin: _Optional[bytes] = ..., close_stdin: _Optional[_Union[_common_pb2.Empty, _Mapping]] = ..., signal: _Optional[int] = ..., resize: _Optional[_Union[_common_pb2.WindowSize, _Mapping]] = ...) -> None: ...

class ExecOutput(_message.Message):
    __slots__ = ["data", "exit", "lost", "started", "type"]
    class OutputType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TYPE_STDERR: ExecOutput.OutputType
    OUTPUT_TYPE_STDOUT: ExecOutput.OutputType
    OUTPUT_TYPE_UNSPECIFIED: ExecOutput.OutputType
    STARTED_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    exit: ExecExit
    lost: int
    started: ExecStarted
    type: ExecOutput.OutputType
    def __init__(self, type: _Optional[_Union[ExecOutput.OutputType, str]] = ..., data: _Optional[bytes] = ..., started: _Optional[_Union[ExecStarted, _Mapping]] = ..., exit: _Optional[_Union[ExecExit, _Mapping]] = ..., lost: _Optional[int] = ...) -> None: ...

class ExecRequest(_message.Message):
    __slots__ = ["answer_timeout", "argv", "command", "env", "output_limit", "pty", "sandbox_id", "stdin", "stdin_bytes", "timeout", "workdir"]
    class EnvEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ANSWER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PTY_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    STDIN_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    answer_timeout: bool
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    command: str
    env: _containers.ScalarMap[str, str]
    output_limit: int
    pty: _common_pb2.WindowSize
    sandbox_id: str
    stdin: str
    stdin_bytes: bytes
    timeout: _duration_pb2.Duration
    workdir: str
    def __init__(self, sandbox_id: _Optional[str] = ..., command: _Optional[str] = ..., stdin: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., workdir: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., argv: _Optional[_Iterable[bytes]] = ..., stdin_bytes: _Optional[bytes] = ..., output_limit: _Optional[int] = ..., pty: _Optional[_Union[_common_pb2.WindowSize, _Mapping]] = ..., answer_timeout: bool = ...) -> None: ...

class ExecResult(_message.Message):
    __slots__ = ["denials", "denials_omitted", "duration", "exit_code", "oom_killed", "signal", "stderr", "stderr_bytes", "stderr_truncated", "stdout", "stdout_bytes", "stdout_truncated", "timed_out"]
    class TimedOutEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DENIALS_FIELD_NUMBER: _ClassVar[int]
    DENIALS_OMITTED_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    STDERR_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    denials: _containers.RepeatedCompositeFieldContainer[_common_pb2.Denial]
    denials_omitted: int
    duration: _duration_pb2.Duration
    exit_code: int
    oom_killed: bool
    signal: int
    stderr: str
    stderr_bytes: bytes
    stderr_truncated: bool
    stdout: str
    stdout_bytes: bytes
    stdout_truncated: bool
    timed_out: _containers.ScalarMap[str, str]
    def __init__(self, stdout: _Optional[str] = ..., stderr: _Optional[str] = ..., exit_code: _Optional[int] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stdout_bytes: _Optional[bytes] = ..., stderr_bytes: _Optional[bytes] = ..., stdout_truncated: bool = ..., stderr_truncated: bool = ..., signal: _Optional[int] = ..., oom_killed: bool = ..., denials: _Optional[_Iterable[_Union[_common_pb2.Denial, _Mapping]]] = ..., denials_omitted: _Optional[int] = ..., timed_out: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExecStarted(_message.Message):
    __slots__ = ["pid"]
    PID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    def __init__(self, pid: _Optional[int] = ...) -> None: ...

class ForkSandboxRequest(_message.Message):
    __slots__ = ["labels", "request_id", "sandbox_id", "start"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, str]
    request_id: str
    sandbox_id: str
    start: bool
    def __init__(self, sandbox_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ..., start: bool = ...) -> None: ...

class GetInfoRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class GetSandboxRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ["session_id"]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class Info(_message.Message):
    __slots__ = ["kernel", "losses", "max_output_rate", "sandboxes", "version"]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_RATE_FIELD_NUMBER: _ClassVar[int]
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kernel: str
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    max_output_rate: int
    sandboxes: int
    version: str
    def __init__(self, version: _Optional[str] = ..., kernel: _Optional[str] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., sandboxes: _Optional[int] = ..., max_output_rate: _Optional[int] = ...) -> None: ...

class ListSandboxFilesRequest(_message.Message):
    __slots__ = ["path", "recursive", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    recursive: bool
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ..., recursive: bool = ...) -> None: ...

class ListSandboxesRequest(_message.Message):
    __slots__ = ["codebase_id", "labels", "page_size", "page_token"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    labels: _containers.ScalarMap[str, str]
    page_size: int
    page_token: str
    def __init__(self, codebase_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListSandboxesResponse(_message.Message):
    __slots__ = ["next_page_token", "sandboxes"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    sandboxes: _containers.RepeatedCompositeFieldContainer[Sandbox]
    def __init__(self, sandboxes: _Optional[_Iterable[_Union[Sandbox, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ["sessions"]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ["consequence", "fix", "name"]
    CONSEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    consequence: str
    fix: str
    name: str
    def __init__(self, name: _Optional[str] = ..., consequence: _Optional[str] = ..., fix: _Optional[str] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ["path", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ...) -> None: ...

class Sandbox(_message.Message):
    __slots__ = ["accepted_losses", "codebase_id", "commit_mode", "created_at", "expires_at", "id", "idle_timeout", "image", "labels", "losses", "permissions", "resources", "runtime", "seccomp_groups", "snapshot", "started_at", "status", "status_reason", "stopped_at", "strict"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCEPTED_LOSSES_FIELD_NUMBER: _ClassVar[int]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_MODE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    SECCOMP_GROUPS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    STOPPED_AT_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    accepted_losses: _containers.RepeatedScalarFieldContainer[str]
    codebase_id: str
    commit_mode: CommitMode
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    id: str
    idle_timeout: _duration_pb2.Duration
    image: str
    labels: _containers.ScalarMap[str, str]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    permissions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PermissionRule]
    resources: _common_pb2.ResourceLimits
    runtime: RuntimeType
    seccomp_groups: _containers.RepeatedScalarFieldContainer[str]
    snapshot: str
    started_at: _timestamp_pb2.Timestamp
    status: SandboxStatus
    status_reason: str
    stopped_at: _timestamp_pb2.Timestamp
    strict: bool
    def __init__(self, id: _Optional[str] = ..., codebase_id: _Optional[str] = ..., permissions: _Optional[_Iterable[_Union[_common_pb2.PermissionRule, _Mapping]]] = ..., status: _Optional[_Union[SandboxStatus, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., stopped_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., runtime: _Optional[_Union[RuntimeType, str]] = ..., image: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.ResourceLimits, _Mapping]] = ..., commit_mode: _Optional[_Union[CommitMode, str]] = ..., snapshot: _Optional[str] = ..., status_reason: _Optional[str] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., seccomp_groups: _Optional[_Iterable[str]] = ..., accepted_losses: _Optional[_Iterable[str]] = ..., strict: bool = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ["close_reason", "closed_at", "created_at", "id", "idle_timeout", "pid", "sandbox_id", "shell", "status"]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    close_reason: str
    closed_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    id: str
    idle_timeout: _duration_pb2.Duration
    pid: int
    sandbox_id: str
    shell: str
    status: SessionStatus
    def __init__(self, id: _Optional[str] = ..., sandbox_id: _Optional[str] = ..., status: _Optional[_Union[SessionStatus, str]] = ..., shell: _Optional[str] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., closed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., pid: _Optional[int] = ..., close_reason: _Optional[str] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SessionExecRequest(_message.Message):
    __slots__ = ["answer_timeout", "command", "output_limit", "session_id", "timeout"]
    ANSWER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    answer_timeout: bool
    command: str
    output_limit: int
    session_id: str
    timeout: _duration_pb2.Duration
    def __init__(self, session_id: _Optional[str] = ..., command: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., output_limit: _Optional[int] = ..., answer_timeout: bool = ...) -> None: ...

class SnapshotSandboxRequest(_message.Message):
    __slots__ = ["name", "request_id", "sandbox_id"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StartSandboxRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class StopSandboxRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class WriteFileRequest(_message.Message):
    __slots__ = ["data", "start"]
    class Start(_message.Message):
        __slots__ = ["mode", "path", "sandbox_id"]
        MODE_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
        mode: int
        path: bytes
        sandbox_id: str
        def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ..., mode: _Optional[int] = ...) -> None: ...
    DATA_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    start: WriteFileRequest.Start
    def __init__(self, start: _Optional[_Union[WriteFileRequest.Start, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class SandboxStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class SessionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class RuntimeType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class CommitMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
