"""The calls of the wire contract: path, request type and response type of each."""

from dataclasses import dataclass
from typing import Any, Callable, Generic, Type, TypeVar

from ._gen import codebase_pb2 as cb
from ._gen import common_pb2 as common
from ._gen import file_pb2 as fl
from ._gen import process_pb2 as pr
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


def _process(name: str, request: Type[Req], response: Type[Res]) -> Method[Req, Res]:
    return Method(f"/sandbox.v1.ProcessService/{name}", request, response)


CREATE_SANDBOX = _sandbox("CreateSandbox", sb.CreateSandboxRequest, sb.Sandbox)
GET_SANDBOX = _sandbox("GetSandbox", sb.GetSandboxRequest, sb.Sandbox)
LIST_SANDBOXES = _sandbox("ListSandboxes", sb.ListSandboxesRequest, sb.ListSandboxesResponse)
START_SANDBOX = _sandbox("StartSandbox", sb.StartSandboxRequest, sb.Sandbox)
STOP_SANDBOX = _sandbox("StopSandbox", sb.StopSandboxRequest, sb.Sandbox)
DESTROY_SANDBOX = _sandbox("DestroySandbox", sb.DestroySandboxRequest, common.Empty)
EXEC = _sandbox("Exec", sb.ExecRequest, sb.ExecResult)
EXEC_STREAM = _sandbox("ExecStream", sb.ExecRequest, sb.ExecOutput)
CREATE_SESSION = _sandbox("CreateSession", sb.CreateSessionRequest, sb.Session)
GET_SESSION = _sandbox("GetSession", sb.GetSessionRequest, sb.Session)
LIST_SESSIONS = _sandbox("ListSessions", sb.ListSessionsRequest, sb.ListSessionsResponse)
DESTROY_SESSION = _sandbox("DestroySession", sb.DestroySessionRequest, common.Empty)
SESSION_EXEC = _sandbox("SessionExec", sb.SessionExecRequest, sb.ExecResult)
SESSION_EXEC_STREAM = _sandbox("SessionExecStream", sb.SessionExecRequest, sb.ExecOutput)
READ_FILE = _sandbox("ReadFile", sb.ReadFileRequest, cb.FileChunk)
WRITE_FILE = _sandbox("WriteFile", sb.WriteFileRequest, cb.FileInfo)
LIST_SANDBOX_FILES = _sandbox("ListSandboxFiles", sb.ListSandboxFilesRequest, cb.ListFilesResponse)
STAT_FILE = _sandbox("StatFile", fl.StatFileRequest, cb.FileInfo)
REMOVE_FILE = _sandbox("RemoveFile", fl.RemoveFileRequest, common.Empty)
RENAME_FILE = _sandbox("RenameFile", fl.RenameFileRequest, common.Empty)
MAKE_DIRECTORY = _sandbox("MakeDirectory", fl.MakeDirectoryRequest, cb.FileInfo)
WATCH_FILES = _sandbox("WatchFiles", fl.WatchFilesRequest, fl.FileEvent)
DIFF = _sandbox("Diff", sb.DiffRequest, sb.DiffResponse)
COMMIT = _sandbox("Commit", sb.CommitRequest, sb.CommitResponse)
DISCARD = _sandbox("Discard", sb.DiscardRequest, sb.DiscardResponse)
SNAPSHOT_SANDBOX = _sandbox("SnapshotSandbox", sb.SnapshotSandboxRequest, cb.Codebase)
FORK_SANDBOX = _sandbox("ForkSandbox", sb.ForkSandboxRequest, sb.Sandbox)
GET_INFO = _sandbox("GetInfo", sb.GetInfoRequest, sb.Info)

CREATE_CODEBASE = _codebase("CreateCodebase", cb.CreateCodebaseRequest, cb.Codebase)
GET_CODEBASE = _codebase("GetCodebase", cb.GetCodebaseRequest, cb.Codebase)
LIST_CODEBASES = _codebase("ListCodebases", cb.ListCodebasesRequest, cb.ListCodebasesResponse)
KEEP_CODEBASE = _codebase("KeepCodebase", cb.KeepCodebaseRequest, cb.Codebase)
DELETE_CODEBASE = _codebase("DeleteCodebase", cb.DeleteCodebaseRequest, common.Empty)
UPLOAD_FILES = _codebase("UploadFiles", cb.UploadChunk, cb.UploadResult)
DOWNLOAD_FILE = _codebase("DownloadFile", cb.DownloadFileRequest, cb.FileChunk)
LIST_FILES = _codebase("ListFiles", cb.ListFilesRequest, cb.ListFilesResponse)
INGEST_DIRECTORY = _codebase("IngestDirectory", cb.IngestDirectoryRequest, cb.IngestProgress)
UPLOAD_TREE = _codebase("UploadTree", cb.UploadTreeRequest, cb.UploadTreeResponse)

SPAWN = _process("Spawn", pr.SpawnRequest, pr.Process)
GET_PROCESS = _process("GetProcess", pr.GetProcessRequest, pr.Process)
LIST_PROCESSES = _process("ListProcesses", pr.ListProcessesRequest, pr.ListProcessesResponse)
SIGNAL_PROCESS = _process("SignalProcess", pr.SignalProcessRequest, common.Empty)
ATTACH = _process("Attach", pr.AttachInput, sb.ExecOutput)
