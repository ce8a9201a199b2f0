"""A call's stream of answers: read by one, closed by anybody."""

import contextlib
import os
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

import grpc

from .. import _fork
from .._errors import ConnectionError, SandboxError
from .._failure import About
from .._handle import Handle
from . import _flavor

if TYPE_CHECKING:
    from ._connection import AsyncConnection

Res = TypeVar("Res")
A = TypeVar("A", bound="AsyncAnswerStream")


class AsyncAnswers(Generic[Res]):
    """The answers of one call as they come; it begins when the first is asked for.

    Whoever closes it ends the call, also while another waits for an answer: that
    one sees the end. So does who lets go of it.
    """

    def __init__(
        self,
        connection: "AsyncConnection",
        begin: Callable[[], Any],
        about: About,
        repeats: Callable[[ConnectionError], bool],
    ) -> None:
        self.closed = False
        self._connection = connection
        self._begin = begin
        self._about = about
        # Whether to begin again after a failure before the first answer.
        self._repeats = repeats
        self._pid = os.getpid()
        self._turn = _flavor.Turn()
        self._call: Any = None
        self._owner: Any = None
        self._under_way = contextlib.ExitStack()
        self._ended = False

    def __aiter__(self) -> "AsyncAnswers[Res]":
        return self

    async def __anext__(self) -> Res:
        _fork.check(self._pid)
        if self._owner not in (None, _flavor.owner()):
            raise SandboxError("this stream was begun in another event loop")
        async with self._turn:
            try:
                return await (self._first() if self._call is None else self._next())
            except BaseException:
                self._end()
                raise

    async def _first(self) -> Res:
        try:
            return await self._start()
        except ConnectionError as e:
            if not self._repeats(e) or self._connection.refused:
                raise
        return await self._start()

    async def _start(self) -> Res:
        if self.closed or self._ended:
            raise StopAsyncIteration
        await self._connection.settle()
        self._under_way.enter_context(self._connection.under_way())
        self._call, self._owner = self._begin(), _flavor.owner()
        return await self._next()

    async def _next(self) -> Res:
        if self._ended:
            raise StopAsyncIteration
        if self.closed:
            self._call.cancel()
        else:
            self._connection.check_cut()
        try:
            answer: Res = await _flavor.read(self._call)
            return answer
        except grpc.RpcError as e:
            if self.closed:
                raise StopAsyncIteration from None
            raise await self._connection.error(e, self._about) from None
        except _flavor.CANCELLED:
            if self.closed and not _flavor.told_to_end():
                raise StopAsyncIteration from None
            self._connection.check_cut()
            raise

    def _end(self) -> None:
        self._ended = True
        self._under_way.close()
        if self._call is not None:
            self._call.cancel()

    async def aclose(self) -> None:
        self.closed = True
        if self._owner == _flavor.owner():
            self._call.cancel()
        elif self._owner is not None:
            _flavor.let_go(self._call, self._owner)

    def __del__(self) -> None:
        if self._call is not None:
            _flavor.let_go(self._call, self._owner)


class AsyncAnswerStream(Handle):
    """What users iterate over. Leaving it early ends the call."""

    _elsewhere = "read it here"

    def __init__(self, answers: AsyncAnswers[Any]) -> None:
        self._answers = answers

    def __aiter__(self: A) -> A:
        return self

    async def aclose(self) -> None:
        """Ends it, from any thread or task; who reads it at that time sees the end."""
        await self._answers.aclose()

    async def __aenter__(self: A) -> A:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
