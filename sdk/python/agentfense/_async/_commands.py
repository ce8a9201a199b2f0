"""A sandbox's commands: at once, as a stream, in a session, in the background."""

from typing import List, Mapping, Optional

from .. import _check, _wire
from .. import _types as t
from .._errors import ProcessNotFoundError
from .._work import ProcessInfo
from . import _flavor
from ._exec import AsyncExecStream, Callback, Listeners
from ._object import AsyncSandboxObject
from .process import AsyncProcess, AsyncPty
from .session import AsyncSandboxSession


class AsyncSandboxCommands(AsyncSandboxObject):
    """Runs commands."""

    async def run(
        self,
        command: t.Command,
        timeout: _wire.Seconds = 60,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        raise_on_error: bool = False,
        *,
        input: Optional[_wire.Bytes] = None,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
        raise_on_denied: bool = False,
    ) -> t.ExecResult:
        """Runs a command to its end: a string in a shell, a list as it is.

        Each command starts a new shell in /workspace. After ``timeout`` seconds
        it and its children are killed, which is CommandTimeoutError; None is no
        limit. The callbacks get the output as text while the command runs. With
        ``raise_on_denied`` a command that ran into the policy is
        PermissionDeniedError; else its result lists the denials.
        """
        _check.flag(raise_on_error, "raise_on_error")
        _check.flag(raise_on_denied, "raise_on_denied")
        result = await self._live().exec(
            self.id,
            command,
            None if input is None else _check.data(input, "input"),
            env,
            workdir,
            timeout,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
        )
        if raise_on_denied:
            result.raise_on_denied()
        return result.raise_on_error() if raise_on_error else result

    async def exec(
        self,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
    ) -> t.ExecResult:
        """Runs a command to its end; without a timeout it may run forever."""
        return await self._live().exec(self.id, command, stdin, env, workdir, timeout)

    def exec_stream(
        self,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
    ) -> AsyncExecStream:
        """Runs a command and iterates over its output as it comes."""
        return self._live().exec_stream(self.id, command, stdin, env, workdir, timeout)

    def session(
        self,
        shell: Optional[_check.Path] = None,
        env: Optional[Mapping[str, str]] = None,
        *,
        workdir: Optional[_check.Path] = None,
        idle_timeout: _wire.Seconds = None,
    ) -> "_flavor.Opening[AsyncSandboxSession]":
        """A persistent shell, where ``cd``, ``export`` and ``source`` last.

        It is bash where the sandbox has that, else sh. After ``idle_timeout``
        without a command it is closed.
        """
        return _flavor.Opening(self._open_session(shell, env, workdir, idle_timeout))

    async def _open_session(
        self,
        shell: Optional[_check.Path],
        env: Optional[Mapping[str, str]],
        workdir: Optional[_check.Path],
        idle_timeout: _wire.Seconds,
    ) -> AsyncSandboxSession:
        client = self._live()
        info = await client.create_session(
            self.id, shell, env, workdir=workdir, idle_timeout=idle_timeout
        )
        return AsyncSandboxSession(client, info)

    async def sessions(self) -> List[AsyncSandboxSession]:
        """The sessions of this sandbox, also those that other clients opened."""
        client = self._live()
        return [AsyncSandboxSession(client, info) for info in await client.list_sessions(self.id)]

    def spawn(
        self,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
        *,
        open_stdin: bool = True,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
    ) -> "_flavor.Opening[AsyncProcess]":
        """Starts a command in the background: a string in a shell, a list as it is.

        ``stdin`` comes first; more can follow by ``send_stdin`` unless
        ``open_stdin`` is false. After ``timeout`` it and its children are killed.
        The callbacks get the output while ``wait`` or an iteration reads it.
        """
        client = self._live()
        listeners = Listeners(on_stdout, on_stderr)

        async def start() -> AsyncProcess:
            info = await client.spawn(
                self.id, command, stdin, env, workdir, timeout, open_stdin=open_stdin
            )
            return AsyncProcess(client, info, listeners)

        return _flavor.Opening(start())

    def pty(
        self,
        cols: int = 80,
        rows: int = 24,
        command: Optional[t.Command] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
    ) -> "_flavor.Opening[AsyncPty]":
        """Starts a shell, or the command, on a terminal."""
        client = self._live()

        async def start() -> AsyncPty:
            info = await client.spawn_pty(self.id, cols, rows, command, env, workdir, timeout)
            return AsyncPty(client, info)

        return _flavor.Opening(start())

    async def process(self, process_id: str) -> AsyncProcess:
        """A process of this sandbox by its id, also one that another client started."""
        info = await self._live().get_process(process_id)
        if info.sandbox_id != self.id:
            raise ProcessNotFoundError(
                f"process {process_id} is none of sandbox {self.id}", process_id=process_id
            )
        return self._handle(info)

    async def processes(self) -> List[AsyncProcess]:
        """The processes that run, and the last ones that ended."""
        return [self._handle(info) for info in await self._live().list_processes(self.id)]

    def _handle(self, info: ProcessInfo) -> AsyncProcess:
        return (AsyncPty if info.pty else AsyncProcess)(self._client, info)
