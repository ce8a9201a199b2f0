from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from agentfense._gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Codebase(_message.Message):
    __slots__ = ["created_at", "file_count", "head", "id", "idle_timeout", "name", "owner_id", "size", "updated_at"]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    created_at: _timestamp_pb2.Timestamp
    file_count: int
    head: str
    id: str
    idle_timeout: _duration_pb2.Duration
    name: str
    owner_id: str
    size: int
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., owner_id: _Optional[str] = ..., size: _Optional[int] = ..., file_count: _Optional[int] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., head: _Optional[str] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateCodebaseRequest(_message.Message):
    __slots__ = ["idle_timeout", "name", "owner_id", "request_id"]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    idle_timeout: _duration_pb2.Duration
    name: str
    owner_id: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., owner_id: _Optional[str] = ..., request_id: _Optional[str] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeleteCodebaseRequest(_message.Message):
    __slots__ = ["codebase_id"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    def __init__(self, codebase_id: _Optional[str] = ...) -> None: ...

class DownloadFileRequest(_message.Message):
    __slots__ = ["codebase_id", "file_path", "file_path_bytes"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_PATH_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_PATH_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    file_path: str
    file_path_bytes: bytes
    def __init__(self, codebase_id: _Optional[str] = ..., file_path: _Optional[str] = ..., file_path_bytes: _Optional[bytes] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ["data"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class FileInfo(_message.Message):
    __slots__ = ["is_dir", "mode", "modified_at", "name", "path", "path_bytes", "size", "symlink_target"]
    IS_DIR_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_BYTES_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SYMLINK_TARGET_FIELD_NUMBER: _ClassVar[int]
    is_dir: bool
    mode: int
    modified_at: _timestamp_pb2.Timestamp
    name: str
    path: str
    path_bytes: bytes
    size: int
    symlink_target: bytes
    def __init__(self, path: _Optional[str] = ..., name: _Optional[str] = ..., is_dir: bool = ..., size: _Optional[int] = ..., modified_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., path_bytes: _Optional[bytes] = ..., mode: _Optional[int] = ..., symlink_target: _Optional[bytes] = ...) -> None: ...

class GetCodebaseRequest(_message.Message):
    __slots__ = ["codebase_id"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    def __init__(self, codebase_id: _Optional[str] = ...) -> None: ...

class IngestDirectoryRequest(_message.Message):
    __slots__ = ["codebase_id", "device", "directory", "inode", "options"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    device: int
    directory: bytes
    inode: int
    options: IngestOptions
    def __init__(self, codebase_id: _Optional[str] = ..., directory: _Optional[bytes] = ..., device: _Optional[int] = ..., inode: _Optional[int] = ..., options: _Optional[_Union[IngestOptions, _Mapping]] = ...) -> None: ...

class IngestOptions(_message.Message):
    __slots__ = ["ignore_patterns", "permissions"]
    IGNORE_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    ignore_patterns: _containers.RepeatedScalarFieldContainer[str]
    permissions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PermissionRule]
    def __init__(self, permissions: _Optional[_Iterable[_Union[_common_pb2.PermissionRule, _Mapping]]] = ..., ignore_patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class IngestProgress(_message.Message):
    __slots__ = ["bytes_read", "files", "result"]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    bytes_read: int
    files: int
    result: IngestResult
    def __init__(self, files: _Optional[int] = ..., bytes_read: _Optional[int] = ..., result: _Optional[_Union[IngestResult, _Mapping]] = ...) -> None: ...

class IngestResult(_message.Message):
    __slots__ = ["bytes", "codebase", "directories", "files", "new_bytes", "skipped", "symlinks"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CODEBASE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORIES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEW_BYTES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SYMLINKS_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    codebase: Codebase
    directories: int
    files: int
    new_bytes: int
    skipped: _containers.RepeatedCompositeFieldContainer[SkippedEntries]
    symlinks: int
    def __init__(self, codebase: _Optional[_Union[Codebase, _Mapping]] = ..., files: _Optional[int] = ..., directories: _Optional[int] = ..., symlinks: _Optional[int] = ..., bytes: _Optional[int] = ..., new_bytes: _Optional[int] = ..., skipped: _Optional[_Iterable[_Union[SkippedEntries, _Mapping]]] = ...) -> None: ...

class KeepCodebaseRequest(_message.Message):
    __slots__ = ["codebase_id"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    def __init__(self, codebase_id: _Optional[str] = ...) -> None: ...

class ListCodebasesRequest(_message.Message):
    __slots__ = ["owner_id", "page_size", "page_token"]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    owner_id: str
    page_size: int
    page_token: str
    def __init__(self, owner_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCodebasesResponse(_message.Message):
    __slots__ = ["codebases", "next_page_token"]
    CODEBASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    codebases: _containers.RepeatedCompositeFieldContainer[Codebase]
    next_page_token: str
    def __init__(self, codebases: _Optional[_Iterable[_Union[Codebase, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListFilesRequest(_message.Message):
    __slots__ = ["codebase_id", "path", "path_bytes", "recursive"]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_BYTES_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    codebase_id: str
    path: str
    path_bytes: bytes
    recursive: bool
    def __init__(self, codebase_id: _Optional[str] = ..., path: _Optional[str] = ..., recursive: bool = ..., path_bytes: _Optional[bytes] = ...) -> None: ...

class ListFilesResponse(_message.Message):
    __slots__ = ["files"]
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[FileInfo]
    def __init__(self, files: _Optional[_Iterable[_Union[FileInfo, _Mapping]]] = ...) -> None: ...

class SkippedEntries(_message.Message):
    __slots__ = ["count", "paths", "reason"]
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REASON_HARD_LINK_TO_HIDDEN: SkippedEntries.Reason
    REASON_HIDDEN: SkippedEntries.Reason
    REASON_IGNORED: SkippedEntries.Reason
    REASON_NAME_TOO_LONG: SkippedEntries.Reason
    REASON_SPECIAL: SkippedEntries.Reason
    REASON_UNSPECIFIED: SkippedEntries.Reason
    count: int
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    reason: SkippedEntries.Reason
    def __init__(self, reason: _Optional[_Union[SkippedEntries.Reason, str]] = ..., count: _Optional[int] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TreeEntry(_message.Message):
    __slots__ = ["kind", "link", "links", "mode", "mtime_ns", "path", "patterns", "size", "symlink_target", "unreadable"]
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    KIND_DIRECTORY: TreeEntry.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    KIND_FILE: TreeEntry.Kind
    KIND_SPECIAL: TreeEntry.Kind
    KIND_SYMLINK: TreeEntry.Kind
    KIND_UNSPECIFIED: TreeEntry.Kind
    LINKS_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SYMLINK_TARGET_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    kind: TreeEntry.Kind
    link: int
    links: int
    mode: int
    mtime_ns: int
    path: bytes
    patterns: bytes
    size: int
    symlink_target: bytes
    unreadable: bool
    def __init__(self, path: _Optional[bytes] = ..., kind: _Optional[_Union[TreeEntry.Kind, str]] = ..., mode: _Optional[int] = ..., size: _Optional[int] = ..., mtime_ns: _Optional[int] = ..., symlink_target: _Optional[bytes] = ..., patterns: _Optional[bytes] = ..., unreadable: bool = ..., link: _Optional[int] = ..., links: _Optional[int] = ...) -> None: ...

class UploadChunk(_message.Message):
    __slots__ = ["data", "metadata"]
    class Metadata(_message.Message):
        __slots__ = ["codebase_id", "file_path", "file_path_bytes", "mode", "total_size"]
        CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
        FILE_PATH_BYTES_FIELD_NUMBER: _ClassVar[int]
        FILE_PATH_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
        codebase_id: str
        file_path: str
        file_path_bytes: bytes
        mode: int
        total_size: int
        def __init__(self, codebase_id: _Optional[str] = ..., file_path: _Optional[str] = ..., total_size: _Optional[int] = ..., file_path_bytes: _Optional[bytes] = ..., mode: _Optional[int] = ...) -> None: ...
    DATA_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    metadata: UploadChunk.Metadata
    def __init__(self, metadata: _Optional[_Union[UploadChunk.Metadata, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadResult(_message.Message):
    __slots__ = ["checksum", "codebase_id", "file_path", "size"]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    checksum: str
    codebase_id: str
    file_path: str
    size: int
    def __init__(self, codebase_id: _Optional[str] = ..., file_path: _Optional[str] = ..., size: _Optional[int] = ..., checksum: _Optional[str] = ...) -> None: ...

class UploadTreeRequest(_message.Message):
    __slots__ = ["content", "digests", "manifest", "start"]
    class Content(_message.Message):
        __slots__ = ["data", "end_of_file"]
        DATA_FIELD_NUMBER: _ClassVar[int]
        END_OF_FILE_FIELD_NUMBER: _ClassVar[int]
        data: bytes
        end_of_file: bool
        def __init__(self, data: _Optional[bytes] = ..., end_of_file: bool = ...) -> None: ...
    class Digests(_message.Message):
        __slots__ = ["last", "sha256"]
        LAST_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        last: bool
        sha256: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, sha256: _Optional[_Iterable[bytes]] = ..., last: bool = ...) -> None: ...
    class Manifest(_message.Message):
        __slots__ = ["entries", "last"]
        ENTRIES_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        entries: _containers.RepeatedCompositeFieldContainer[TreeEntry]
        last: bool
        def __init__(self, entries: _Optional[_Iterable[_Union[TreeEntry, _Mapping]]] = ..., last: bool = ...) -> None: ...
    class Start(_message.Message):
        __slots__ = ["codebase_id", "options"]
        CODEBASE_ID_FIELD_NUMBER: _ClassVar[int]
        OPTIONS_FIELD_NUMBER: _ClassVar[int]
        codebase_id: str
        options: IngestOptions
        def __init__(self, codebase_id: _Optional[str] = ..., options: _Optional[_Union[IngestOptions, _Mapping]] = ...) -> None: ...
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    content: UploadTreeRequest.Content
    digests: UploadTreeRequest.Digests
    manifest: UploadTreeRequest.Manifest
    start: UploadTreeRequest.Start
    def __init__(self, start: _Optional[_Union[UploadTreeRequest.Start, _Mapping]] = ..., manifest: _Optional[_Union[UploadTreeRequest.Manifest, _Mapping]] = ..., digests: _Optional[_Union[UploadTreeRequest.Digests, _Mapping]] = ..., content: _Optional[_Union[UploadTreeRequest.Content, _Mapping]] = ...) -> None: ...

class UploadTreeResponse(_message.Message):
    __slots__ = ["missing", "result", "wanted"]
    class Missing(_message.Message):
        __slots__ = ["entries", "last"]
        ENTRIES_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        entries: _containers.RepeatedScalarFieldContainer[int]
        last: bool
        def __init__(self, entries: _Optional[_Iterable[int]] = ..., last: bool = ...) -> None: ...
    class Wanted(_message.Message):
        __slots__ = ["entries", "last"]
        ENTRIES_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        entries: _containers.RepeatedScalarFieldContainer[int]
        last: bool
        def __init__(self, entries: _Optional[_Iterable[int]] = ..., last: bool = ...) -> None: ...
    MISSING_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    missing: UploadTreeResponse.Missing
    result: IngestResult
    wanted: UploadTreeResponse.Wanted
    def __init__(self, wanted: _Optional[_Union[UploadTreeResponse.Wanted, _Mapping]] = ..., missing: _Optional[_Union[UploadTreeResponse.Missing, _Mapping]] = ..., result: _Optional[_Union[IngestResult, _Mapping]] = ...) -> None: ...
