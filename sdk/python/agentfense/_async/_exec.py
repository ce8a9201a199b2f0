"""Commands: one answer, or a stream."""

from dataclasses import dataclass
from typing import Any, AsyncIterator, Callable, Optional

from .. import _methods as methods
from .. import _requests, _wire
from .._errors import CommandTimeoutError, SandboxError
from .._failure import About, timed_out
from .._gen import sandbox_pb2 as sb
from .._methods import Method
from .._reduce import STDERR, STDOUT, ExecReducer, LineSplitter, TextSplitter
from .._requests import OUTPUT_LIMIT
from .._types import ExecChunk, ExecResult
from . import _flavor
from ._answers import AsyncAnswers, AsyncAnswerStream
from ._connection import NEVER, AsyncConnection

# Seconds beyond the command's own timeout until the call itself is given up.
_GRACE = 15.0

Callback = Optional[Callable[[str], object]]


class AsyncExecStream(AsyncAnswerStream):
    """Iterates over a command's output as it comes.

    After the last chunk ``exit_code`` and ``result`` tell how it ended; the
    output itself is not kept. Leaving early (``close``, or the end of a
    ``with`` block) ends the command.
    """

    def __init__(self, answers: AsyncAnswers[sb.ExecOutput], command: str) -> None:
        super().__init__(answers)
        self._command = command
        self._reducer = ExecReducer(command, limit=0)

    def __repr__(self) -> str:
        state = "not ended" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"<{type(self).__name__} of {self._command!r}: {state}>"

    @property
    def exit_code(self) -> Optional[int]:
        """None until the command has ended."""
        return self._reducer.exit_code

    @property
    def result(self) -> ExecResult:
        """How the command ended, with empty output; an error before that."""
        if self.exit_code is None and self._answers.closed:
            raise SandboxError("the stream was closed before the command ended")
        if self.exit_code is None:
            raise SandboxError("the command has not ended: read its output to the end before")
        return self._reducer.result()

    def lines(self) -> AsyncIterator[ExecChunk]:
        """The output in lines, each with its line feed; one above 1 MiB comes in pieces."""
        return lines_of(self)

    async def __anext__(self) -> ExecChunk:
        async for message in self._answers:
            chunk = self._reducer.feed(message)
            if chunk is not None:
                return chunk
        if not self._answers.closed:
            self._reducer.result()
        raise StopAsyncIteration


async def lines_of(chunks: AsyncIterator[ExecChunk]) -> AsyncIterator[ExecChunk]:
    """The lines of both streams; what an error cuts off comes before it."""
    splitter = LineSplitter()
    error: Optional[SandboxError] = None
    try:
        async for chunk in chunks:
            for line in splitter.feed(chunk):
                yield line
    except SandboxError as e:
        error = e
    for line in splitter.rest():
        yield line
    if error is not None:
        raise error


@dataclass(frozen=True)
class Job:
    """One command, and the two ways to ask for it: at once, or as a stream."""

    whole: Method[Any, sb.ExecResult]
    streamed: Method[Any, sb.ExecOutput]
    request: Any
    about: About
    # Seconds until the call itself is given up; None: never.
    deadline: Optional[float]


def command_job(request: sb.ExecRequest, timeout: Optional[float]) -> Job:
    text = _requests.command_text(request)
    about = About(sandbox_id=request.sandbox_id, command=text, timeout=timeout)
    deadline = None if timeout is None else timeout + _GRACE
    return Job(methods.EXEC, methods.EXEC_STREAM, request, about, deadline)


def session_job(request: sb.SessionExecRequest, timeout: Optional[float]) -> Job:
    about = About(session_id=request.session_id, command=request.command, timeout=timeout)
    whole, streamed = methods.SESSION_EXEC, methods.SESSION_EXEC_STREAM
    # The commands of a session wait for their turn: only the server knows when one begins.
    return Job(whole, streamed, request, about, None)


def stream(connection: AsyncConnection, job: Job) -> AsyncExecStream:
    return AsyncExecStream(_answers(connection, job), job.about.command)


async def run(
    connection: AsyncConnection, job: Job, on_stdout: Callback = None, on_stderr: Callback = None
) -> ExecResult:
    """Runs the command to its end: with one plain call, unless somebody listens."""
    if on_stdout is not None or on_stderr is not None:
        return await _collect(connection, job, on_stdout, on_stderr)
    deadline = NEVER if job.deadline is None else job.deadline
    job.request.answer_timeout = True
    answer = await connection.unary(job.whole, job.request, job.about, timeout=deadline)
    result = _wire.exec_result(answer, job.about.command)
    if answer.timed_out:
        error = timed_out(answer.timed_out, job.about)
        error.stdout, error.stderr = result.stdout, result.stderr
        raise error
    return result


async def _collect(
    connection: AsyncConnection, job: Job, on_stdout: Callback, on_stderr: Callback
) -> ExecResult:
    reducer = ExecReducer(job.about.command, limit=OUTPUT_LIMIT)
    listeners = Listeners(on_stdout, on_stderr)
    answers = _answers(connection, job)
    try:
        async for message in answers:
            await listeners.feed(reducer.feed(message))
    except CommandTimeoutError as e:
        reducer.complete(e)
        raise
    finally:
        await answers.aclose()
    await listeners.end()
    return reducer.result()


def _answers(connection: AsyncConnection, job: Job) -> AsyncAnswers[sb.ExecOutput]:
    return connection.answers(job.streamed, job.request, job.about, timeout=job.deadline)


class Listeners:
    """The callbacks of one command; each gets its stream as text."""

    def __init__(self, on_stdout: Callback = None, on_stderr: Callback = None) -> None:
        self._text = TextSplitter()
        self._listeners = {
            STDOUT: _flavor.callback(on_stdout, "on_stdout"),
            STDERR: _flavor.callback(on_stderr, "on_stderr"),
        }

    async def feed(self, chunk: Optional[ExecChunk]) -> None:
        if chunk is not None:
            await _flavor.notify(self._listeners[chunk.stream], self._text.feed(chunk))

    async def end(self) -> None:
        for name, listener in self._listeners.items():
            await _flavor.notify(listener, self._text.rest(name))
