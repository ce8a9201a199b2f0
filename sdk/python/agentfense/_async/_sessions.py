"""The client's calls about sessions."""

import contextlib
import uuid
from typing import List, Mapping, Optional

from .. import _check, _requests, _wire, _wire_work
from .. import _methods as methods
from .. import _types as t
from .._errors import SandboxNotFoundError, SessionClosedError, SessionNotFoundError
from .._failure import About
from .._gen import sandbox_pb2 as sb
from .._work import Session
from . import _exec, _undo
from ._connection import AsyncConnection
from ._exec import AsyncExecStream, Callback

# Seconds until a shell is there.
_START = 60.0


class AsyncSessionCalls:
    """Create, use and destroy persistent shells."""

    _connection: AsyncConnection

    async def create_session(
        self,
        sandbox_id: str,
        shell: Optional[_check.Path] = None,
        env: Optional[Mapping[str, str]] = None,
        *,
        workdir: Optional[_check.Path] = None,
        idle_timeout: _wire.Seconds = None,
    ) -> Session:
        """Starts a shell in a running sandbox: bash where it has that, else sh.

        After ``idle_timeout`` without a command it is closed.
        """
        request = _requests.create_session(
            sandbox_id, shell, env, workdir, idle_timeout, uuid.uuid4().hex
        )
        answer = await _undo.create(
            self._connection,
            methods.CREATE_SESSION,
            request,
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )
        return _wire_work.session(answer)

    async def get_session(self, session_id: str) -> Session:
        answer = await self._connection.unary(
            methods.GET_SESSION,
            sb.GetSessionRequest(session_id=_check.text(session_id, "session_id")),
            About(session_id=session_id),
            again=True,
        )
        return _wire_work.session(answer)

    async def list_sessions(self, sandbox_id: str) -> List[Session]:
        answer = await self._connection.unary(
            methods.LIST_SESSIONS,
            sb.ListSessionsRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            again=True,
        )
        return [_wire_work.session(message) for message in answer.sessions]

    async def destroy_session(self, session_id: str) -> None:
        """Ends the shell and all that runs in it; one that is gone is no error."""
        gone = (SessionNotFoundError, SessionClosedError, SandboxNotFoundError)
        with contextlib.suppress(*gone):
            await self._connection.unary(
                methods.DESTROY_SESSION,
                sb.DestroySessionRequest(session_id=_check.text(session_id, "session_id")),
                About(session_id=session_id),
                again=True,
            )

    async def session_exec(
        self,
        session_id: str,
        command: str,
        timeout: _wire.Seconds = None,
        *,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
    ) -> t.ExecResult:
        """Runs a command in the session's shell to its end.

        After ``timeout`` it and what it started are interrupted, which is
        CommandTimeoutError; the session stays. Without one it may run forever.
        """
        limit = _wire.seconds(timeout)
        job = _exec.session_job(_requests.session_exec(session_id, command, limit), limit)
        return await _exec.run(self._connection, job, on_stdout, on_stderr)

    def session_exec_stream(
        self, session_id: str, command: str, timeout: _wire.Seconds = None
    ) -> AsyncExecStream:
        """Runs a command in the session's shell and iterates over its output."""
        limit = _wire.seconds(timeout)
        request = _requests.session_exec(session_id, command, limit)
        return _exec.stream(self._connection, _exec.session_job(request, limit))
