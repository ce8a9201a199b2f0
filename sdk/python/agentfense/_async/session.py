"""A session as an object: one shell that lives on between commands."""

from dataclasses import replace
from typing import Optional, TypeVar

from .. import _check, _wire
from .. import _types as t
from .._enums import SessionStatus
from .._errors import SessionClosedError
from .._handle import Handle
from .._work import Session
from . import _flavor
from ._exec import AsyncExecStream, Callback
from ._undo import leave
from .client import AsyncSandboxClient

S = TypeVar("S", bound="AsyncSandboxSession")


class AsyncSandboxSession(Handle):
    """One shell. ``cd``, ``export``, ``source``, functions and background jobs last.

    Commands run one after the other, also those of concurrent callers. In a
    ``with`` block the shell is ended at the end; it ends with its sandbox too.
    """

    _elsewhere = "pass its id, and use SandboxClient.session_exec(id, ...) there"

    def __init__(self, client: AsyncSandboxClient, info: Session) -> None:
        self._client = client
        self._info = info
        self._turn = _flavor.Turn()
        self._closed = False

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def sandbox_id(self) -> str:
        return self._info.sandbox_id

    @property
    def info(self) -> Session:
        """What the server last said; refresh() asks again."""
        return self._info

    @property
    def status(self) -> SessionStatus:
        """The status that the server last said, or CLOSED after close()."""
        return SessionStatus.CLOSED if self._closed else self._info.status

    @property
    def shell(self) -> str:
        return self._info.shell

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    async def exec(
        self,
        command: str,
        timeout: _wire.Seconds = None,
        *,
        raise_on_error: bool = False,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
        raise_on_denied: bool = False,
    ) -> t.ExecResult:
        """Runs a command in the shell to its end.

        After ``timeout`` seconds it and its children are interrupted, which is
        CommandTimeoutError, and the session stays usable. ``exit 3`` is a result
        with exit code 3; the call after it is SessionClosedError.
        """
        _check.flag(raise_on_error, "raise_on_error")
        _check.flag(raise_on_denied, "raise_on_denied")
        self._live()
        try:
            async with self._turn:
                result = await self._client.session_exec(
                    self.id, command, timeout, on_stdout=on_stdout, on_stderr=on_stderr
                )
        except SessionClosedError:
            self._info = replace(self._info, status=SessionStatus.CLOSED)
            raise
        if raise_on_denied:
            result.raise_on_denied()
        return result.raise_on_error() if raise_on_error else result

    def exec_stream(self, command: str, timeout: _wire.Seconds = None) -> AsyncExecStream:
        """Runs a command in the shell and iterates over its output as it comes."""
        self._live()
        return self._client.session_exec_stream(self.id, command, timeout)

    async def refresh(self: S) -> S:
        self._info = await self._client.get_session(self.id)
        return self

    async def close(self) -> None:
        """Ends the shell and all that runs in it; what is gone already is no error."""
        if self._closed:
            return
        await self._client.destroy_session(self.id)
        self._closed = True

    def _live(self) -> None:
        if self._closed:
            raise SessionClosedError(f"session {self.id} is closed", session_id=self.id)

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if not self._forked:
            await leave(self.close, f"close session {self.id}", error)
