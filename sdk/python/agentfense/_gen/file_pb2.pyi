from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileEvent(_message.Message):
    __slots__ = ["is_dir", "kind", "path"]
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    IS_DIR_FIELD_NUMBER: _ClassVar[int]
    KIND_ATTRIBUTES: FileEvent.Kind
    KIND_CREATED: FileEvent.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    KIND_MODIFIED: FileEvent.Kind
    KIND_OVERFLOW: FileEvent.Kind
    KIND_REMOVED: FileEvent.Kind
    KIND_UNSPECIFIED: FileEvent.Kind
    PATH_FIELD_NUMBER: _ClassVar[int]
    is_dir: bool
    kind: FileEvent.Kind
    path: bytes
    def __init__(self, kind: _Optional[_Union[FileEvent.Kind, str]] = ..., path: _Optional[bytes] = ..., is_dir: bool = ...) -> None: ...

class MakeDirectoryRequest(_message.Message):
    __slots__ = ["path", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ...) -> None: ...

class RemoveFileRequest(_message.Message):
    __slots__ = ["path", "recursive", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    recursive: bool
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ..., recursive: bool = ...) -> None: ...

class RenameFileRequest(_message.Message):
    __slots__ = ["sandbox_id", "to"]
    FROM_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    to: bytes
    def __init__(self, sandbox_id: _Optional[str] = ..., to: _Optional[bytes] = ..., **kwargs) -> None: ...

class StatFileRequest(_message.Message):
    __slots__ = ["path", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ...) -> None: ...

class WatchFilesRequest(_message.Message):
    __slots__ = ["path", "recursive", "sandbox_id"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    recursive: bool
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ..., path: _Optional[bytes] = ..., recursive: bool = ...) -> None: ...
