from google.protobuf import timestamp_pb2 as _timestamp_pb2
from agentfense._gen import common_pb2 as _common_pb2
from agentfense._gen import sandbox_pb2 as _sandbox_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachInput(_message.Message):
    __slots__ = ["attach", "close_stdin", "resize", "signal", "stdin"]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    CLOSE_STDIN_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    attach: AttachRequest
    close_stdin: _common_pb2.Empty
    resize: _common_pb2.WindowSize
    signal: int
    stdin: bytes
    def __init__(self, attach: _Optional[_Union[AttachRequest, _Mapping]] = ..., stdin: _Optional[bytes] = ..., close_stdin: _Optional[_Union[_common_pb2.Empty, _Mapping]] = ..., signal: _Optional[int] = ..., resize: _Optional[_Union[_common_pb2.WindowSize, _Mapping]] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ["process_id"]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    process_id: str
    def __init__(self, process_id: _Optional[str] = ...) -> None: ...

class GetProcessRequest(_message.Message):
    __slots__ = ["process_id"]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    process_id: str
    def __init__(self, process_id: _Optional[str] = ...) -> None: ...

class ListProcessesRequest(_message.Message):
    __slots__ = ["sandbox_id"]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class ListProcessesResponse(_message.Message):
    __slots__ = ["processes"]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    processes: _containers.RepeatedCompositeFieldContainer[Process]
    def __init__(self, processes: _Optional[_Iterable[_Union[Process, _Mapping]]] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ["command", "exit", "id", "open_stdin", "pid", "pty", "sandbox_id", "started_at"]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_STDIN_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PTY_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    command: str
    exit: _sandbox_pb2.ExecExit
    id: str
    open_stdin: bool
    pid: int
    pty: bool
    sandbox_id: str
    started_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., sandbox_id: _Optional[str] = ..., pid: _Optional[int] = ..., command: _Optional[str] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., exit: _Optional[_Union[_sandbox_pb2.ExecExit, _Mapping]] = ..., pty: bool = ..., open_stdin: bool = ...) -> None: ...

class SignalProcessRequest(_message.Message):
    __slots__ = ["process_id", "signal"]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    process_id: str
    signal: int
    def __init__(self, process_id: _Optional[str] = ..., signal: _Optional[int] = ...) -> None: ...

class SpawnRequest(_message.Message):
    __slots__ = ["exec", "open_stdin", "request_id"]
    EXEC_FIELD_NUMBER: _ClassVar[int]
    OPEN_STDIN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    exec: _sandbox_pb2.ExecRequest
    open_stdin: bool
    request_id: str
    def __init__(self, exec: _Optional[_Union[_sandbox_pb2.ExecRequest, _Mapping]] = ..., open_stdin: bool = ..., request_id: _Optional[str] = ...) -> None: ...
