"""The client's calls about commands in the background."""

import signal as signals
import uuid
from typing import List, Mapping, Optional, Union

from .. import _check, _requests, _wire, _wire_work
from .. import _methods as methods
from .. import _types as t
from .._failure import About
from .._gen import process_pb2 as pr
from .._gen import sandbox_pb2 as sb
from .._work import ProcessInfo
from . import _flavor, _undo
from ._connection import AsyncConnection

AsyncProcessStream = _flavor.Duplex[pr.AttachInput, sb.ExecOutput]


class AsyncProcessCalls:
    """Start, find and signal commands that outlive the call and the client."""

    _connection: AsyncConnection

    async def spawn(
        self,
        sandbox_id: str,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
        *,
        open_stdin: bool = True,
    ) -> ProcessInfo:
        """Starts a command in the background: a string in a shell, a list as it is.

        ``stdin`` comes first; with ``open_stdin`` more can follow, else it ends
        there. After ``timeout`` the command and its children are killed.
        """
        limit = _wire.seconds(timeout)
        request = _requests.exec_request(
            sandbox_id, command, stdin=stdin, env=env, workdir=workdir, timeout=limit
        )
        return await self._spawn(_requests.spawn(request, open_stdin, uuid.uuid4().hex))

    async def spawn_pty(
        self,
        sandbox_id: str,
        cols: int = 80,
        rows: int = 24,
        command: Optional[t.Command] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
    ) -> ProcessInfo:
        """Starts a command, or else a shell, on a terminal of its own."""
        size, limit = _requests.window(cols, rows), _wire.seconds(timeout)
        request = _requests.terminal(
            sandbox_id, size, command, env, workdir, limit, uuid.uuid4().hex
        )
        return await self._spawn(request)

    async def _spawn(self, request: pr.SpawnRequest) -> ProcessInfo:
        command = _requests.command_text(request.exec)
        about = About(sandbox_id=request.exec.sandbox_id, command=command)
        answer = await _undo.create(self._connection, methods.SPAWN, request, about)
        return _wire_work.process(answer)

    async def get_process(self, process_id: str) -> ProcessInfo:
        answer = await self._connection.unary(
            methods.GET_PROCESS,
            pr.GetProcessRequest(process_id=_check.text(process_id, "process_id")),
            About(process_id=process_id),
            again=True,
        )
        return _wire_work.process(answer)

    async def list_processes(self, sandbox_id: str) -> List[ProcessInfo]:
        """Processes that run, and the last ones that ended."""
        answer = await self._connection.unary(
            methods.LIST_PROCESSES,
            pr.ListProcessesRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            again=True,
        )
        return [_wire_work.process(message) for message in answer.processes]

    async def signal_process(
        self, process_id: str, signal: Union[int, str] = signals.SIGTERM
    ) -> None:
        """Signals the process group; SIGKILL ends all that descends from the process.

        ``signal`` is a number or a name: 15, ``signal.SIGTERM``, "SIGTERM" and "TERM".
        """
        await self._connection.unary(
            methods.SIGNAL_PROCESS,
            pr.SignalProcessRequest(
                process_id=_check.text(process_id, "process_id"),
                signal=_check.signal(signal),
            ),
            About(process_id=process_id),
        )

    async def _attach(self, process_id: str) -> AsyncProcessStream:
        stream = await self._connection.duplex(methods.ATTACH, About(process_id=process_id))
        await stream.send(
            pr.AttachInput(
                attach=pr.AttachRequest(process_id=_check.text(process_id, "process_id"))
            )
        )
        return stream
