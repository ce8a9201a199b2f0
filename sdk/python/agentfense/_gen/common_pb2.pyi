from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
PATTERN_TYPE_DIRECTORY: PatternType
PATTERN_TYPE_FILE: PatternType
PATTERN_TYPE_GLOB: PatternType
PATTERN_TYPE_UNSPECIFIED: PatternType
PERMISSION_NONE: Permission
PERMISSION_READ: Permission
PERMISSION_UNSPECIFIED: Permission
PERMISSION_VIEW: Permission
PERMISSION_WRITE: Permission

class Denial(_message.Message):
    __slots__ = ["hint", "operation", "path", "remedy", "rule"]
    HINT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    hint: str
    operation: str
    path: bytes
    remedy: PermissionRule
    rule: RuleRef
    def __init__(self, operation: _Optional[str] = ..., path: _Optional[bytes] = ..., rule: _Optional[_Union[RuleRef, _Mapping]] = ..., hint: _Optional[str] = ..., remedy: _Optional[_Union[PermissionRule, _Mapping]] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class PermissionRule(_message.Message):
    __slots__ = ["pattern", "permission", "preset", "priority", "type"]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    permission: Permission
    preset: str
    priority: int
    type: PatternType
    def __init__(self, pattern: _Optional[str] = ..., type: _Optional[_Union[PatternType, str]] = ..., permission: _Optional[_Union[Permission, str]] = ..., priority: _Optional[int] = ..., preset: _Optional[str] = ...) -> None: ...

class ResourceLimits(_message.Message):
    __slots__ = ["cpu_quota", "cpu_shares", "disk_bytes", "memory_bytes", "output_rate", "pids_limit", "timeout"]
    CPU_QUOTA_FIELD_NUMBER: _ClassVar[int]
    CPU_SHARES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_RATE_FIELD_NUMBER: _ClassVar[int]
    PIDS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    cpu_quota: int
    cpu_shares: int
    disk_bytes: int
    memory_bytes: int
    output_rate: int
    pids_limit: int
    timeout: _duration_pb2.Duration
    def __init__(self, memory_bytes: _Optional[int] = ..., cpu_quota: _Optional[int] = ..., cpu_shares: _Optional[int] = ..., pids_limit: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., output_rate: _Optional[int] = ...) -> None: ...

class RuleRef(_message.Message):
    __slots__ = ["index", "pattern", "permission", "preset", "priority"]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    index: int
    pattern: str
    permission: Permission
    preset: str
    priority: int
    def __init__(self, index: _Optional[int] = ..., pattern: _Optional[str] = ..., permission: _Optional[_Union[Permission, str]] = ..., priority: _Optional[int] = ..., preset: _Optional[str] = ...) -> None: ...

class WindowSize(_message.Message):
    __slots__ = ["cols", "rows"]
    COLS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    cols: int
    rows: int
    def __init__(self, cols: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class PatternType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
