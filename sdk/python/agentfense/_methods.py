"""The calls of the wire contract: path, request type and response type of each."""

from dataclasses import dataclass
from typing import Any, Callable, Generic, Type, TypeVar

from ._gen import codebase_pb2 as cb
from ._gen import common_pb2 as common
from ._gen import sandbox_pb2 as sb

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True)
class Method(Generic[Req, Res]):
    path: str
    request: Type[Req]
    response: Type[Res]

    @property
    def encode(self) -> Callable[[Req], bytes]:
        request: Any = self.request
        encode: Callable[[Req], bytes] = request.SerializeToString
        return encode

    @property
    def decode(self) -> Callable[[bytes], Res]:
        response: Any = self.response
        decode: Callable[[bytes], Res] = response.FromString
        return decode


def _sandbox(name: str, request: Type[Req], response: Type[Res]) -> Method[Req, Res]:
    return Method(f"/sandbox.v1.SandboxService/{name}", request, response)


def _codebase(name: str, request: Type[Req], response: Type[Res]) -> Method[Req, Res]:
    return Method(f"/sandbox.v1.CodebaseService/{name}", request, response)


CREATE_SANDBOX = _sandbox("CreateSandbox", sb.CreateSandboxRequest, sb.Sandbox)
GET_SANDBOX = _sandbox("GetSandbox", sb.GetSandboxRequest, sb.Sandbox)
LIST_SANDBOXES = _sandbox("ListSandboxes", sb.ListSandboxesRequest, sb.ListSandboxesResponse)
START_SANDBOX = _sandbox("StartSandbox", sb.StartSandboxRequest, sb.Sandbox)
STOP_SANDBOX = _sandbox("StopSandbox", sb.StopSandboxRequest, sb.Sandbox)
DESTROY_SANDBOX = _sandbox("DestroySandbox", sb.DestroySandboxRequest, common.Empty)
EXEC = _sandbox("Exec", sb.ExecRequest, sb.ExecResult)
EXEC_STREAM = _sandbox("ExecStream", sb.ExecRequest, sb.ExecOutput)
READ_FILE = _sandbox("ReadFile", sb.ReadFileRequest, cb.FileChunk)
WRITE_FILE = _sandbox("WriteFile", sb.WriteFileRequest, cb.FileInfo)
LIST_SANDBOX_FILES = _sandbox("ListSandboxFiles", sb.ListSandboxFilesRequest, cb.ListFilesResponse)
DIFF = _sandbox("Diff", sb.DiffRequest, sb.DiffResponse)
COMMIT = _sandbox("Commit", sb.CommitRequest, sb.CommitResponse)
GET_INFO = _sandbox("GetInfo", sb.GetInfoRequest, sb.Info)

CREATE_CODEBASE = _codebase("CreateCodebase", cb.CreateCodebaseRequest, cb.Codebase)
GET_CODEBASE = _codebase("GetCodebase", cb.GetCodebaseRequest, cb.Codebase)
LIST_CODEBASES = _codebase("ListCodebases", cb.ListCodebasesRequest, cb.ListCodebasesResponse)
DELETE_CODEBASE = _codebase("DeleteCodebase", cb.DeleteCodebaseRequest, common.Empty)
UPLOAD_FILES = _codebase("UploadFiles", cb.UploadChunk, cb.UploadResult)
DOWNLOAD_FILE = _codebase("DownloadFile", cb.DownloadFileRequest, cb.FileChunk)
LIST_FILES = _codebase("ListFiles", cb.ListFilesRequest, cb.ListFilesResponse)
INGEST_DIRECTORY = _codebase("IngestDirectory", cb.IngestDirectoryRequest, cb.IngestProgress)
UPLOAD_TREE = _codebase("UploadTree", cb.UploadTreeRequest, cb.UploadTreeResponse)
