"""Commands: one answer, or a stream."""

from typing import Callable, Optional

from .. import _methods as methods
from .. import _wire
from .._failure import About
from .._gen import sandbox_pb2 as sb
from .._reduce import STDERR, STDOUT, ExecReducer, TextSplitter
from .._types import Command, ExecChunk, ExecResult, command_text
from . import _flavor
from ._connection import AsyncConnection

# Seconds beyond the command's own timeout until the call itself is given up.
_GRACE = 15.0

Callback = Optional[Callable[[str], object]]


class AsyncExecStream:
    """Iterates over a command's output as it comes.

    After the last chunk ``exit_code`` and ``result`` tell how it ended; the
    output itself is not kept. Leaving early (``close``, or the end of a
    ``with`` block) ends the command.
    """

    def __init__(self, answers: _flavor.Stream[sb.ExecOutput], command: Command) -> None:
        self._answers = answers
        self._reducer = ExecReducer(command, keep=False)

    @property
    def exit_code(self) -> Optional[int]:
        """None until the command has ended."""
        return self._reducer.exit_code

    @property
    def result(self) -> ExecResult:
        """How the command ended, with empty output; an error before that."""
        return self._reducer.result()

    def __aiter__(self) -> "AsyncExecStream":
        return self

    async def __anext__(self) -> ExecChunk:
        async for message in self._answers:
            chunk = self._reducer.feed(message)
            if chunk is not None:
                return chunk
        self._reducer.result()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._answers.aclose()

    async def __aenter__(self) -> "AsyncExecStream":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def deadline(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None else timeout + _GRACE


def stream(
    connection: AsyncConnection, request: sb.ExecRequest, command: Command, timeout: Optional[float]
) -> AsyncExecStream:
    about = _about(request, command, timeout)
    answers = connection.answers(methods.EXEC_STREAM, request, about, timeout=deadline(timeout))
    return AsyncExecStream(answers, command)


async def run(
    connection: AsyncConnection,
    request: sb.ExecRequest,
    command: Command,
    timeout: Optional[float],
    on_stdout: Callback = None,
    on_stderr: Callback = None,
) -> ExecResult:
    """Runs the command to its end.

    One plain call where that does: nobody listens to the output, and there is a
    timeout to give the call its deadline.
    """
    about = _about(request, command, timeout)
    if timeout is None or on_stdout is not None or on_stderr is not None:
        return await _collect(connection, request, command, timeout, on_stdout, on_stderr)
    answer = await connection.unary(methods.EXEC, request, about, timeout=timeout + _GRACE)
    return _wire.exec_result(answer, command)


async def _collect(
    connection: AsyncConnection,
    request: sb.ExecRequest,
    command: Command,
    timeout: Optional[float],
    on_stdout: Callback,
    on_stderr: Callback,
) -> ExecResult:
    reducer, text = ExecReducer(command), TextSplitter()
    listeners = {STDOUT: on_stdout, STDERR: on_stderr}
    about = _about(request, command, timeout)
    answers = connection.answers(methods.EXEC_STREAM, request, about, timeout=deadline(timeout))
    try:
        async for message in answers:
            chunk = reducer.feed(message)
            if chunk is not None:
                await _flavor.notify(listeners[chunk.stream], text.feed(chunk))
    finally:
        await answers.aclose()
    for name, listener in listeners.items():
        await _flavor.notify(listener, text.rest(name))
    return reducer.result()


def _about(request: sb.ExecRequest, command: Command, timeout: Optional[float]) -> About:
    return About(sandbox_id=request.sandbox_id, command=command_text(command), timeout=timeout)
