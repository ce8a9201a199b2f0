"""The fake server's sessions, processes, files and deltas."""

import asyncio
from typing import Any, Dict, List, Set

import grpc
from fake_errors import fail

from agentfense._gen import codebase_pb2 as cb
from agentfense._gen import common_pb2 as common
from agentfense._gen import file_pb2 as fl
from agentfense._gen import process_pb2 as pr
from agentfense._gen import sandbox_pb2 as sb

NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


class Sessions:
    """A session echoes; `exit N` ends it, `wait` takes a moment."""

    def __init__(self) -> None:
        self.sessions: Dict[str, sb.Session] = {}
        self.running = 0

    async def CreateSession(self, request: Any, context: Any) -> Any:
        await self._sandbox(context, request.sandbox_id, running=True)
        made = sb.Session(
            id=f"sess_{next(self._numbers)}",
            sandbox_id=request.sandbox_id,
            status=sb.SESSION_STATUS_ACTIVE,
            shell=request.shell or "/bin/bash",
            pid=7,
            idle_timeout=request.idle_timeout,
        )
        made.created_at.FromSeconds(1_700_000_000)
        self.sessions[made.id] = made
        return made

    async def _session(self, context: Any, session_id: str) -> sb.Session:
        found = self.sessions.get(session_id)
        if found is None:
            await fail(context, NOT_FOUND, "none", "SESSION_NOT_FOUND", session_id=session_id)
        return found

    async def GetSession(self, request: Any, context: Any) -> Any:
        return await self._session(context, request.session_id)

    async def ListSessions(self, request: Any, context: Any) -> Any:
        found = [s for s in self.sessions.values() if s.sandbox_id == request.sandbox_id]
        return sb.ListSessionsResponse(sessions=found)

    async def DestroySession(self, request: Any, context: Any) -> Any:
        await self._session(context, request.session_id)
        del self.sessions[request.session_id]
        return common.Empty()

    async def _work(self, request: Any, context: Any) -> int:
        found = await self._session(context, request.session_id)
        if found.status != sb.SESSION_STATUS_ACTIVE:
            about = {"session_id": found.id}
            await fail(context, PRECONDITION, "it is closed", "SESSION_CLOSED", **about)
        self.running += 1
        assert self.running == 1, "two commands at once"
        if request.command == "wait":
            await asyncio.sleep(0.05)
        self.running -= 1
        if request.command.startswith("exit "):
            found.status, found.close_reason = sb.SESSION_STATUS_CLOSED, "the shell ended"
            return int(request.command[5:])
        return 0

    async def SessionExec(self, request: Any, context: Any) -> Any:
        code = await self._work(request, context)
        return sb.ExecResult(stdout=request.command, exit_code=code)

    async def SessionExecStream(self, request: Any, context: Any) -> Any:
        code = await self._work(request, context)
        out = sb.ExecOutput.OUTPUT_TYPE_STDOUT
        yield sb.ExecOutput(type=out, data=request.command.encode())
        yield sb.ExecOutput(exit=sb.ExecExit(exit_code=code))


class FakeProcess:
    def __init__(self, info: pr.Process, request: pr.SpawnRequest) -> None:
        self.info = info
        self.output: List[sb.ExecOutput] = []
        self.reader: object = None
        self.changed = asyncio.Event()
        if request.exec.stdin_bytes:
            self.say(request.exec.stdin_bytes)
        if request.exec.command == "flood":
            for _ in range(40):
                self.say(bytes(1 << 20))
        if request.exec.command not in ("cat", "sleep", "") and not request.exec.HasField("pty"):
            self.say(request.exec.command.encode())
            self.end(0)

    def say(self, data: bytes, lost: int = 0) -> None:
        kind = sb.ExecOutput.OUTPUT_TYPE_STDOUT
        self.output.append(sb.ExecOutput(type=kind, data=data, lost=lost))
        self.changed.set()

    def end(self, code: int, signal: int = 0) -> None:
        if not self.info.HasField("exit"):
            self.info.exit.exit_code, self.info.exit.signal = code, signal
            self.info.exit.SetInParent()
            self.output.append(sb.ExecOutput(exit=self.info.exit))
            self.changed.set()

    def hear(self, message: pr.AttachInput) -> None:
        step = message.WhichOneof("step")
        if step == "stdin":
            self.say(message.stdin)
        elif step == "close_stdin":
            self.end(0)
        elif step == "resize":
            self.say(b"%dx%d" % (message.resize.cols, message.resize.rows))


class Processes:
    """`cat` echoes its input until that ends, `sleep` waits, all else prints itself and ends."""

    def __init__(self) -> None:
        self.processes: Dict[str, FakeProcess] = {}

    async def Spawn(self, request: Any, context: Any) -> Any:
        await self._sandbox(context, request.exec.sandbox_id, running=True)
        info = pr.Process(
            id=f"proc_{next(self._numbers)}",
            sandbox_id=request.exec.sandbox_id,
            pid=11,
            command=request.exec.command or b" ".join(request.exec.argv).decode(errors="replace"),
            pty=request.exec.HasField("pty"),
        )
        self.processes[info.id] = FakeProcess(info, request)
        return info

    async def _process(self, context: Any, process_id: str) -> FakeProcess:
        found = self.processes.get(process_id)
        if found is None:
            await fail(context, NOT_FOUND, "none", "PROCESS_NOT_FOUND", process_id=process_id)
        return found

    async def GetProcess(self, request: Any, context: Any) -> Any:
        return (await self._process(context, request.process_id)).info

    async def ListProcesses(self, request: Any, context: Any) -> Any:
        found = [p.info for p in self.processes.values() if p.info.sandbox_id == request.sandbox_id]
        return pr.ListProcessesResponse(processes=found)

    async def SignalProcess(self, request: Any, context: Any) -> Any:
        process = await self._process(context, request.process_id)
        if process.info.HasField("exit"):
            await fail(context, PRECONDITION, "it has ended", "COMMAND_ENDED")
        process.end(128 + request.signal, request.signal)
        return common.Empty()

    async def Attach(self, requests: Any, context: Any) -> Any:
        first = await requests.__anext__()
        process = await self._process(context, first.attach.process_id)

        async def listen() -> None:
            async for message in requests:
                process.hear(message)

        listening = asyncio.ensure_future(listen())
        process.reader = listening
        process.changed.set()
        try:
            while True:
                if process.reader is not listening:
                    await fail(context, grpc.StatusCode.ABORTED, "another reads", "TAKEN_OVER")
                while process.output:
                    message = process.output.pop(0)
                    yield message
                    if message.HasField("exit"):
                        process.output.append(message)
                        return
                process.changed.clear()
                await process.changed.wait()
        finally:
            listening.cancel()


class Files:
    """Files of a sandbox are those of its codebase."""

    def __init__(self) -> None:
        self.events: List[fl.FileEvent] = [
            fl.FileEvent(),
            fl.FileEvent(kind=fl.FileEvent.KIND_CREATED, path=b"output/x"),
            fl.FileEvent(kind=fl.FileEvent.KIND_OVERFLOW, path=b"output", is_dir=True),
        ]

    async def _files(self, context: Any, sandbox_id: str, path: bytes) -> Dict[str, bytes]:
        found = await self._sandbox(context, sandbox_id, running=True)
        files = self.files[found.codebase_id]
        if path.decode() not in files:
            await fail(context, NOT_FOUND, "no file", "FILE_NOT_FOUND", path=path.decode())
        return files

    async def StatFile(self, request: Any, context: Any) -> Any:
        target = self.view.get(request.path.decode())
        if isinstance(target, str):
            return cb.FileInfo(path_bytes=request.path, symlink_target=target.encode())
        files = await self._files(context, request.sandbox_id, request.path)
        return cb.FileInfo(path_bytes=request.path, size=len(files[request.path.decode()]))

    async def RemoveFile(self, request: Any, context: Any) -> Any:
        files = await self._files(context, request.sandbox_id, request.path)
        del files[request.path.decode()]
        return common.Empty()

    async def RenameFile(self, request: Any, context: Any) -> Any:
        path = getattr(request, "from")
        files = await self._files(context, request.sandbox_id, path)
        files[request.to.decode()] = files.pop(path.decode())
        return common.Empty()

    async def MakeDirectory(self, request: Any, context: Any) -> Any:
        await self._sandbox(context, request.sandbox_id, running=True)
        return cb.FileInfo(path_bytes=request.path, is_dir=True)

    async def WatchFiles(self, request: Any, context: Any) -> Any:
        for event in self.events:
            yield event


class Deltas:
    """What a sandbox changed: at first it added /output/x."""

    def __init__(self) -> None:
        added = sb.Change(path=b"/output/x", operation=sb.Change.OPERATION_ADDED, size=3)
        added.kind = cb.TreeEntry.KIND_FILE
        self.changes: List[sb.Change] = [added]
        # What sandboxes see instead of the codebase's files; a str is a link.
        self.view: Dict[str, Any] = {}
        self.discarded: Set[str] = set()

    async def Diff(self, request: Any, context: Any) -> Any:
        return sb.DiffResponse(changes=self.changes)

    async def Commit(self, request: Any, context: Any) -> Any:
        return sb.CommitResponse(head="ab" * 32, applied=[sb.Change(path=b"/output/x")])

    async def Discard(self, request: Any, context: Any) -> Any:
        self.discarded.add(request.sandbox_id)
        return sb.DiscardResponse(discarded=[sb.Change(path=b"/output/x")])

    async def SnapshotSandbox(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id)
        made = self._codebase(request.name or self.codebases[found.codebase_id].name)
        self.files[made.id] = dict(self.files[found.codebase_id])
        return made

    async def ForkSandbox(self, request: Any, context: Any) -> Any:
        found = await self._sandbox(context, request.sandbox_id)
        made = sb.Sandbox()
        made.CopyFrom(found)
        made.id = f"sb_{next(self._numbers)}"
        made.labels.clear()
        made.labels.update(request.labels)
        made.status = sb.SANDBOX_STATUS_RUNNING if request.start else sb.SANDBOX_STATUS_PENDING
        self.sandboxes[made.id] = made
        return made
