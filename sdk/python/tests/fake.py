"""A server in this process that speaks the wire contract and runs nothing.

It listens on a unix socket, in a thread with an event loop of its own, so that
the sync and the async client meet the same server.
"""

import asyncio
import hashlib
import itertools
import os
import threading
from typing import Any, Dict, List, Optional

import grpc
import grpc.aio
from fake_errors import Holds, fail
from fake_work import Deltas, Files, Processes, Sessions

from agentfense import _methods as methods
from agentfense._gen import codebase_pb2 as cb
from agentfense._gen import common_pb2 as common
from agentfense._gen import sandbox_pb2 as sb

KINDS = {
    "ExecStream": "unary_stream",
    "ReadFile": "unary_stream",
    "WriteFile": "stream_unary",
    "UploadFiles": "stream_unary",
    "DownloadFile": "unary_stream",
    "IngestDirectory": "unary_stream",
    "UploadTree": "stream_stream",
    "SessionExecStream": "unary_stream",
    "WatchFiles": "unary_stream",
    "Attach": "stream_stream",
}


def all_methods() -> List[Any]:
    return [m for m in vars(methods).values() if isinstance(m, methods.Method)]


class Fake(Sessions, Processes, Files, Deltas, Holds):
    def __init__(self, socket: str) -> None:
        for part in (Sessions, Processes, Files, Deltas, Holds):
            part.__init__(self)
        self.endpoint = f"unix://{socket}"
        self.codebases: Dict[str, cb.Codebase] = {}
        self.files: Dict[str, Dict[str, bytes]] = {}
        self.manifests: Dict[str, List[cb.TreeEntry]] = {}
        self.sandboxes: Dict[str, sb.Sandbox] = {}
        self.calls: List[Any] = []
        self.names: List[str] = []
        self.deadlines: List[Optional[float]] = []
        self.objects: Dict[bytes, bytes] = {}
        # name of a call: function(request) that returns an answer or arguments for fail
        self.rules: Dict[str, Any] = {}
        # The same, for calls that end before they have read their requests.
        self.early: Dict[str, Any] = {}
        self.mismatch = True
        # What was made for a request with an id.
        self.made: Dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = grpc.aio.server()
        services: Dict[str, Dict[str, Any]] = {}
        for method in all_methods():
            _, service, name = method.path.split("/")
            kind = KINDS.get(name, "unary_unary")
            handler = getattr(grpc, f"{kind}_rpc_method_handler")(
                self._wrap(name, kind),
                request_deserializer=method.request.FromString,
                response_serializer=method.response.SerializeToString,
            )
            services.setdefault(service, {})[name] = handler
        for service, handlers in services.items():
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        server.add_insecure_port(self.endpoint)
        await server.start()
        self._ready.set()
        await self._stop.wait()
        await server.stop(None)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _wrap(self, name: str, kind: str) -> Any:
        handle = getattr(self, name)

        async def refuse(context: Any, request: Any) -> Any:
            self.names.append(name)
            self.deadlines.append(context.time_remaining())
            self.calls.append(request)
            rule = self.rules.get(name)
            answer = rule(request) if rule else None
            if isinstance(answer, tuple):
                code, message, reason, about = answer
                await fail(context, code, message, reason, **about)
            return answer

        if kind == "unary_unary":

            async def unary(request: Any, context: Any) -> Any:
                self.note_deadline(name, request, context)
                await self.hold_up(name, "before")
                made = self.made.get(request_id := getattr(request, "request_id", ""))
                answer = await refuse(context, request) or made or await handle(request, context)
                if request_id:
                    self.made[request_id] = answer
                await self.hold_up(name, "after")
                return answer

            return unary
        if kind == "stream_unary":

            async def collect(requests: Any, context: Any) -> Any:
                if name in self.early:
                    code, message, reason, about = self.early[name]
                    await fail(context, code, message, reason, **about)
                got = [r async for r in requests]
                return await refuse(context, got) or await handle(got, context)

            return collect

        async def stream(request: Any, context: Any) -> Any:
            await self.hold_up(name, "before")
            for answer in await refuse(context, request) or ():
                yield answer
            if name not in self.rules:
                async for answer in handle(request, context):
                    yield answer
            await self.hold_up(name, "after")

        return stream

    # Codebases.

    def _codebase(self, name: str = "fake") -> cb.Codebase:
        made = cb.Codebase(id=f"cb_{next(self._numbers)}", name=name)
        made.created_at.FromSeconds(1_700_000_000)
        self.codebases[made.id] = made
        self.files[made.id] = {}
        return made

    async def _have(self, context: Any, codebase_id: str) -> cb.Codebase:
        if codebase_id not in self.codebases:
            await fail(
                context,
                grpc.StatusCode.NOT_FOUND,
                f"no codebase {codebase_id}",
                "CODEBASE_NOT_FOUND",
                codebase_id=codebase_id,
            )
        return self.codebases[codebase_id]

    async def CreateCodebase(self, request: Any, context: Any) -> Any:
        made = self._codebase(request.name)
        if request.HasField("idle_timeout"):
            made.idle_timeout.CopyFrom(request.idle_timeout)
        return made

    async def KeepCodebase(self, request: Any, context: Any) -> Any:
        found = await self._have(context, request.codebase_id)
        found.ClearField("idle_timeout")
        return found

    async def GetCodebase(self, request: Any, context: Any) -> Any:
        return await self._have(context, request.codebase_id)

    async def ListCodebases(self, request: Any, context: Any) -> Any:
        ids = sorted(self.codebases)
        first = int(request.page_token or 0)
        token = str(first + 2) if first + 2 < len(ids) else ""
        page = [self.codebases[i] for i in ids[first : first + 2]]
        return cb.ListCodebasesResponse(codebases=page, next_page_token=token)

    async def DeleteCodebase(self, request: Any, context: Any) -> Any:
        await self._have(context, request.codebase_id)
        del self.codebases[request.codebase_id]
        return common.Empty()

    async def UploadFiles(self, got: List[Any], context: Any) -> Any:
        m = got[0].metadata
        await self._have(context, m.codebase_id)
        data = b"".join(c.data for c in got[1:])
        self.files[m.codebase_id][m.file_path] = data
        return cb.UploadResult(
            codebase_id=m.codebase_id,
            file_path=m.file_path,
            size=len(data),
            checksum=hashlib.sha256(data).hexdigest(),
        )

    async def DownloadFile(self, request: Any, context: Any) -> Any:
        await self._have(context, request.codebase_id)
        files = self.files[request.codebase_id]
        if request.file_path not in files:
            await fail(
                context,
                grpc.StatusCode.NOT_FOUND,
                "no such file",
                "FILE_NOT_FOUND",
                path=request.file_path,
            )
        data = files[request.file_path]
        for first in range(0, len(data), 1000):
            yield cb.FileChunk(data=data[first : first + 1000])

    async def ListFiles(self, request: Any, context: Any) -> Any:
        await self._have(context, request.codebase_id)
        return cb.ListFilesResponse(files=self._infos(request.codebase_id))

    def _infos(self, codebase_id: str) -> List[cb.FileInfo]:
        files = self.files[codebase_id]
        infos = [cb.FileInfo(path=p, name=p, size=len(d)) for p, d in sorted(files.items())]
        for e in self.manifests.get(codebase_id, []):
            if e.kind != cb.TreeEntry.KIND_FILE:
                directory = e.kind == cb.TreeEntry.KIND_DIRECTORY
                info = cb.FileInfo(path_bytes=e.path, is_dir=directory)
                if not directory:
                    info.symlink_target = e.symlink_target
                infos.append(info)
        return infos

    async def IngestDirectory(self, request: Any, context: Any) -> Any:
        if self.mismatch:
            await fail(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                "another directory",
                "DIRECTORY_MISMATCH",
            )
        st = os.stat(request.directory)
        assert (st.st_dev, st.st_ino) == (request.device, request.inode)
        yield cb.IngestProgress(files=1)
        result = cb.IngestResult(codebase=self.codebases[request.codebase_id], files=1)
        result.skipped.add(reason=cb.SkippedEntries.REASON_HIDDEN, count=1, paths=[b".env"])
        yield cb.IngestProgress(result=result)

    async def UploadTree(self, requests: Any, context: Any) -> Any:
        first = await requests.__anext__()
        codebase = self.codebases[first.start.codebase_id]
        self.calls.append(first.start)
        entries: List[cb.TreeEntry] = []
        async for request in requests:
            entries.extend(request.manifest.entries)
            if request.manifest.last:
                break
        hidden = {p.pattern for p in first.start.options.permissions if p.permission == 1}
        wanted = [
            i
            for i, e in enumerate(entries)
            if e.kind == cb.TreeEntry.KIND_FILE and f"/{e.path.decode()}" not in hidden
        ]
        yield cb.UploadTreeResponse(wanted=cb.UploadTreeResponse.Wanted(entries=wanted[:1]))
        yield cb.UploadTreeResponse(
            wanted=cb.UploadTreeResponse.Wanted(entries=wanted[1:], last=True)
        )
        digests: List[bytes] = []
        async for request in requests:
            digests.extend(request.digests.sha256)
            if request.digests.last:
                break
        missing = [i for i, d in zip(wanted, digests) if d not in self.objects]
        yield cb.UploadTreeResponse(
            missing=cb.UploadTreeResponse.Missing(entries=missing, last=True)
        )
        by_index = dict(zip(wanted, digests))
        for index in missing:
            data = b""
            async for request in requests:
                data += request.content.data
                if request.content.end_of_file:
                    break
            if hashlib.sha256(data).digest() != by_index[index]:
                await fail(context, grpc.StatusCode.ABORTED, "torn")
            self.objects[by_index[index]] = data
        self.manifests[codebase.id] = entries
        for index, digest in by_index.items():
            self.files[codebase.id][entries[index].path.decode()] = self.objects[digest]
        result = cb.IngestResult(codebase=codebase, files=len(wanted))
        yield cb.UploadTreeResponse(result=result)

    # Sandboxes.

    async def _sandbox(self, context: Any, sandbox_id: str, running: bool = False) -> sb.Sandbox:
        found = self.sandboxes.get(sandbox_id)
        if found is None:
            await fail(
                context,
                grpc.StatusCode.NOT_FOUND,
                f"no sandbox {sandbox_id}",
                "SANDBOX_NOT_FOUND",
                sandbox_id=sandbox_id,
            )
        if running and found.status != sb.SANDBOX_STATUS_RUNNING:
            await fail(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                "not running",
                "SANDBOX_NOT_RUNNING",
                sandbox_id=sandbox_id,
                status="STOPPED",
            )
        return found

    async def CreateSandbox(self, request: Any, context: Any) -> Any:
        await self._have(context, request.codebase_id)
        made = sb.Sandbox(
            id=f"sb_{next(self._numbers)}",
            codebase_id=request.codebase_id,
            permissions=request.permissions,
            labels=request.labels,
            runtime=request.runtime,
            commit_mode=request.commit_mode,
            status=sb.SANDBOX_STATUS_RUNNING if request.start else sb.SANDBOX_STATUS_PENDING,
        )
        if request.HasField("idle_timeout"):
            made.idle_timeout.CopyFrom(request.idle_timeout)
        self.sandboxes[made.id] = made
        return made

    async def GetSandbox(self, request: Any, context: Any) -> Any:
        return await self._sandbox(context, request.sandbox_id)

    async def ListSandboxes(self, request: Any, context: Any) -> Any:
        found = [
            s
            for s in self.sandboxes.values()
            if request.codebase_id in ("", s.codebase_id)
            and dict(request.labels).items() <= dict(s.labels).items()
        ]
        return sb.ListSandboxesResponse(sandboxes=found)

    async def StartSandbox(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id)
        found.status = sb.SANDBOX_STATUS_RUNNING
        return found

    async def StopSandbox(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id, running=True)
        found.status = sb.SANDBOX_STATUS_STOPPED
        return found

    async def DestroySandbox(self, request: Any, context: Any) -> Any:
        await self._sandbox(context, request.sandbox_id)
        del self.sandboxes[request.sandbox_id]
        return common.Empty()

    async def Exec(self, request: Any, context: Any) -> Any:
        """Echoes the command, or standard input if there is some."""
        await self._sandbox(context, request.sandbox_id, running=True)
        text = request.stdin_bytes or b" ".join(request.argv) or request.command.encode()
        answer = sb.ExecResult(stdout=text.decode("utf-8", "replace"), stdout_bytes=text)
        answer.duration.FromMilliseconds(5)
        return answer

    async def ExecStream(self, request: Any, context: Any) -> Any:
        await self._sandbox(context, request.sandbox_id, running=True)
        text = request.stdin_bytes or request.command.encode()
        out = sb.ExecOutput
        for i in range(0, len(text), 3):
            yield out(type=out.OUTPUT_TYPE_STDOUT, data=text[i : i + 3])
        yield out(type=out.OUTPUT_TYPE_STDERR, data=b"warning")
        yield out(exit=sb.ExecExit(exit_code=7))

    async def ReadFile(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id, running=True)
        files = self.files[found.codebase_id]
        name = request.path.decode()
        if found.id not in self.discarded and name in self.view:
            yield cb.FileChunk(data=self.view[name])
            return
        name = name if name in files else name.lstrip("/")
        if name not in files:
            await fail(context, grpc.StatusCode.NOT_FOUND, f"no file {name}", "FILE_NOT_FOUND")
        yield cb.FileChunk(data=files[name])

    async def WriteFile(self, got: List[Any], context: Any) -> Any:
        start = got[0].start
        found = await self._sandbox(context, start.sandbox_id, running=True)
        data = b"".join(r.data for r in got[1:])
        self.files[found.codebase_id][os.fsdecode(start.path)] = data
        return cb.FileInfo(path_bytes=start.path, size=len(data), mode=start.mode or 0o644)

    async def ListSandboxFiles(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id, running=True)
        return cb.ListFilesResponse(files=self._infos(found.codebase_id))

    async def GetInfo(self, request: Any, context: Any) -> Any:
        return sb.Info(version="1.2", kernel="6.18")
