"""A command in the background as an object, and one on a terminal."""

import signal as signals
import time
from typing import AsyncIterator, Optional, TypeVar, Union

from .. import _check, _requests, _wire
from .. import _types as t
from .._errors import CommandTimeoutError, ProcessNotFoundError, SandboxError
from .._gen import common_pb2 as common
from .._gen import process_pb2 as pr
from .._gen import sandbox_pb2 as sb
from .._handle import Handle
from .._reduce import ExecReducer
from .._work import ProcessInfo
from . import _flavor
from ._exec import Listeners, lines_of
from ._files import Content, checked, pieces
from ._processes import AsyncProcessStream
from ._undo import leave
from .client import AsyncSandboxClient

P = TypeVar("P", bound="AsyncProcess")


class AsyncProcess(Handle):
    """One command in the background. It lives until it ends, is killed, or its sandbox goes.

    Iterating gives its output as it comes; ``wait`` reads the rest. One client at
    a time is attached to a process, the last one that came; what nobody is
    attached to read is kept by the server up to a bound. While one is attached
    and does not read, the command waits, as it does with a pipe.

    At the end of a ``with`` block the process is killed.
    """

    _elsewhere = "pass its id, and use Sandbox.process(id) there"

    def __init__(
        self,
        client: AsyncSandboxClient,
        info: ProcessInfo,
        listeners: Optional[Listeners] = None,
    ) -> None:
        self._client = client
        self._info = info
        self._listeners = listeners or Listeners()
        self._reducer = ExecReducer(info.command, limit=_requests.OUTPUT_LIMIT)
        self._stream: Optional[AsyncProcessStream] = None
        # Who attaches.
        self._turn = _flavor.Turn()
        self._ended = False

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def pid(self) -> int:
        """The process id inside the sandbox."""
        return self._info.pid

    @property
    def sandbox_id(self) -> str:
        return self._info.sandbox_id

    @property
    def command(self) -> str:
        return self._info.command

    @property
    def info(self) -> ProcessInfo:
        """What the server last said; refresh() asks again."""
        return self._info

    @property
    def exit_code(self) -> Optional[int]:
        """None until the end of the process was read, or seen by refresh()."""
        code = self._reducer.exit_code
        return self._info.exit_code if code is None else code

    def __repr__(self) -> str:
        state = "running" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"<{type(self).__name__} {self.id} {state}>"

    async def refresh(self: P) -> P:
        self._info = await self._client.get_process(self.id)
        return self

    async def poll(self) -> Optional[int]:
        """Asks the server for the exit code; None while the process runs."""
        if self.exit_code is None:
            await self.refresh()
        return self.exit_code

    # Output.

    async def read(self, timeout: _wire.Seconds = None) -> Optional[t.ExecChunk]:
        """The next output, None after the last; CommandTimeoutError if none comes in time.

        A timeout does nothing to the process; one of 0 or less asks what there is now.
        """
        limit = _wire.patience(timeout)
        end = None if limit is None else time.monotonic() + limit
        while True:
            message = await self._receive(end, limit, "gave no output for")
            if message is None:
                return None
            chunk = self._reducer.feed(message, keep=False)
            if chunk is not None:
                await self._listeners.feed(chunk)
                return chunk

    def lines(self) -> AsyncIterator[t.ExecChunk]:
        """The output in lines, each with its line feed; one above 1 MiB comes in pieces."""
        return lines_of(self)

    async def wait(
        self, timeout: _wire.Seconds = None, raise_on_error: bool = False
    ) -> t.ExecResult:
        """Waits for the end. The result holds the output that was not read before.

        After ``timeout`` seconds it is CommandTimeoutError, which does nothing to
        the process; with 0 or less it is so at once if it runs. Output over 8 MiB is
        dropped with a flag: iterate to get all.
        """
        _check.flag(raise_on_error, "raise_on_error")
        limit = _wire.patience(timeout)
        end = None if limit is None else time.monotonic() + limit
        while True:
            message = await self._receive(end, limit, "still runs after")
            if message is None:
                result = self._reducer.result()
                return result.raise_on_error() if raise_on_error else result
            await self._listeners.feed(self._reducer.feed(message))

    def __aiter__(self: P) -> P:
        return self

    async def __anext__(self) -> t.ExecChunk:
        chunk = await self.read()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _receive(
        self, end: Optional[float], limit: Optional[float], what: str
    ) -> Optional[sb.ExecOutput]:
        """The next message, None after the last."""
        if self._ended:
            return None
        stream = await self._attached()
        try:
            if limit == 0:
                message = await self._there(stream)
            else:
                left = None if end is None else max(0.0, end - time.monotonic())
                message = await stream.receive(left)
        except _flavor.Waited:
            raise CommandTimeoutError(
                f"process {self.id} ({self.command!r}) {what} {limit:.3g} s",
                command=self.command,
                timeout_seconds=limit,
            ) from None
        except SandboxError as e:
            self._stream = None
            if isinstance(e, CommandTimeoutError):
                self._reducer.complete(e)
            raise
        if message is None:
            if stream.closed:
                self._client._connection.check_cut()
                raise SandboxError(f"process {self.id} was detached while it was read")
            await self.detach()
            # Another client took over if there was no exit.
            self._reducer.result()
            self._ended = True
            await self._listeners.end()
        return message

    async def _there(self, stream: AsyncProcessStream) -> Optional[sb.ExecOutput]:
        """The next message without waiting for the process; Waited if it has sent none."""
        try:
            return await stream.receive(0)
        except _flavor.Waited:
            # What it has sent may be on its way; after its end nothing waits for it.
            return await stream.receive(0 if await self.poll() is None else None)

    # Input and signals.

    async def send_stdin(self, data: Content) -> None:
        """Writes text, bytes or an open binary file to the standard input.

        It waits while the command does not read; as with any pipe, one that
        waits for its own output to be read needs somebody to read it.
        """
        async for piece in pieces(checked(data, "data")):
            await self._send(pr.AttachInput(stdin=piece))

    async def close_stdin(self) -> None:
        """Ends the standard input."""
        await self._send(pr.AttachInput(close_stdin=common.Empty()))

    async def kill(self, signal: Union[int, str] = signals.SIGKILL) -> None:
        """Signals the process; one that has ended is no error.

        SIGKILL ends all that descends from it, other signals go to its group. ``signal``
        is a number or a name: 15, ``signal.SIGTERM``, "SIGTERM" and "TERM".
        """
        try:
            await self._client.signal_process(self.id, signal)
        except ProcessNotFoundError:
            pass
        except SandboxError as e:
            if e.reason != "COMMAND_ENDED":
                raise

    async def _send(self, message: pr.AttachInput) -> None:
        if self._ended or not await (await self._attached()).send(message):
            raise SandboxError(
                f"process {self.id} takes no input any more", {"reason": "COMMAND_ENDED"}
            )

    async def _attached(self) -> AsyncProcessStream:
        async with self._turn:
            self._client._connection.check_open()
            stream = self._stream
            if stream is None or stream.closed or stream.owner != _flavor.owner():
                stream = self._stream = await self._client._attach(self.id)
            return stream

    async def detach(self) -> None:
        """Lets go of the process, which goes on; later calls attach again.

        Who reads it at that time gets an error.
        """
        stream, self._stream = self._stream, None
        if stream is not None and stream.owner == _flavor.owner():
            await stream.close()

    async def __aenter__(self: P) -> P:
        return self

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        try:
            if self.exit_code is None and not self._forked:
                await leave(self.kill, f"kill process {self.id}", error)
        finally:
            await self.detach()


class AsyncPty(AsyncProcess):
    """A command on a terminal: bytes go in and come out as they are, all as standard output."""

    async def send(self, data: Content) -> None:
        """Types something: text, or any bytes, such as ``b"\\x03"`` for control-C."""
        await self.send_stdin(data)

    async def resize(self, cols: int, rows: int) -> None:
        await self._send(pr.AttachInput(resize=_requests.window(cols, rows)))
