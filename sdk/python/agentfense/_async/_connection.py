"""One server: calls with a deadline, failures as exceptions of this package."""

import contextlib
import os
from dataclasses import replace
from typing import (
    Any,
    AsyncIterator,
    ContextManager,
    Dict,
    Generator,
    List,
    Optional,
    Tuple,
    TypeVar,
)

import grpc

from .. import _check, _endpoint, _fork, _patience
from .._errors import ConnectionError, SandboxError
from .._failure import About, never_sent, to_error
from .._methods import Method
from . import _flavor
from ._answers import AsyncAnswers

Req = TypeVar("Req")
Res = TypeVar("Res")

# Seconds that a call which runs no command may take.
DEADLINE = 30.0
# Seconds of a call that may take for ever. Keepalive tells of a server that is gone.
NEVER = float("inf")
# Seconds until a server that accepts connections is taken for one that does not.
_PATIENCE = 10.0
# What a call ends with that may not have met a server.
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_TRAILER = "grpc-status-details-bin"

# Channels of a parent process: a child can neither use nor close them.
_inherited: List["_Channel"] = []


class _Channel:
    """A gRPC channel, and its calls by path."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.calls: Dict[str, Any] = {}


def _cut() -> SandboxError:
    code: int = grpc.StatusCode.CANCELLED.value[0]
    return SandboxError("the client was closed during the call", grpc_code=code)


class AsyncConnection:
    """Calls to one endpoint. Opens its channel at the first call, and again after a fork."""

    def __init__(self, endpoint: Optional[_check.Path] = None, secure: bool = False) -> None:
        self.endpoint = _endpoint.resolve(endpoint)
        self.secure = _check.flag(secure, "secure")
        # Channels by their owners: event loops in several threads have one each.
        self._channels: Dict[Tuple[int, Any], _Channel] = {}
        self._closed = False
        # Why nobody at the endpoint accepted a connection after the last failure,
        # if that was so.
        self.refused = ""
        # The last that was heard of the server is that it was not there.
        self._shaken = False

    async def unary(
        self,
        method: Method[Req, Res],
        request: Req,
        about: About,
        *,
        timeout: Optional[float] = None,
        again: bool = False,
    ) -> Res:
        """One request, one answer. ``again``: safe to repeat if the server went away."""
        await self.settle()
        try:
            return await self._unary(method, request, about, timeout)
        except ConnectionError as e:
            if not (again or never_sent(e)) or self.refused:
                raise
        await self.settle()
        return await self._unary(method, request, about, timeout)

    async def _unary(
        self, method: Method[Req, Res], request: Req, about: About, timeout: Optional[float]
    ) -> Res:
        call = self._call("unary_unary", method)
        limit = _patience.left(None if timeout == NEVER else timeout or DEADLINE)
        try:
            with self.under_way(), self._calling():
                answer: Res = await call(request, timeout=limit)
        except grpc.RpcError as e:
            raise await self.error(e, about) from None
        except _flavor.CANCELLED:
            self.check_cut()
            raise
        return answer

    async def settle(self) -> None:
        """Uses a server that is there again at once, although gRPC would still hold back."""
        if self._shaken and not await self._refusal():
            await _flavor.ready(self._open().channel, _patience.left(_PATIENCE))
            self._shaken = False

    async def _refusal(self) -> str:
        return await _flavor.refusal(self.endpoint, self._open().channel)

    def answers(
        self,
        method: Method[Any, Res],
        request: Any,
        about: About,
        *,
        timeout: Optional[float] = None,
        again: bool = False,
    ) -> AsyncAnswers[Res]:
        """One request, a stream of answers.

        ``again``: safe to repeat if the server went away before the first answer.
        """

        def begin() -> Any:
            with self._calling():
                return self._call("unary_stream", method)(request, timeout=timeout)

        return AsyncAnswers(self, begin, about, lambda e: again or never_sent(e))

    async def send(
        self,
        method: Method[Req, Res],
        requests: AsyncIterator[Req],
        about: About,
        *,
        timeout: Optional[float] = None,
    ) -> Res:
        """A stream of requests, one answer."""
        await self.settle()
        try:
            call = self._call("stream_unary", method)
            with self._calling():
                answer: Res = await _flavor.send_all(call, requests, timeout)
        except grpc.RpcError as e:
            raise await self.error(e, about) from None
        except _flavor.CANCELLED:
            self.check_cut()
            raise
        return answer

    def converse(
        self, method: Method[Req, Res], requests: AsyncIterator[Req], about: About
    ) -> AsyncAnswers[Res]:
        """A stream of requests and a stream of answers at the same time."""

        def begin() -> Any:
            with self._calling():
                return _flavor.lasting(self._call("stream_stream", method)(requests))

        return AsyncAnswers(self, begin, about, lambda e: False)

    async def duplex(self, method: Method[Req, Res], about: About) -> _flavor.Duplex[Req, Res]:
        """A stream of requests and one of answers, each at its own pace."""
        await self.settle()
        call = self._call("stream_stream", method)
        with self._calling():
            return _flavor.Duplex(call, lambda failed: self.error(failed, about))

    def under_way(self) -> ContextManager[None]:
        """Says that a call is under way."""
        return _flavor.under_way(self._open().channel)

    def _open(self) -> _Channel:
        self.check_open()
        owner = _flavor.owner()
        current = self._channels.get(owner)
        if current is None:
            _fork.check_usable()
            self._let_go()
            made = _Channel(_flavor.open_channel(self.endpoint.target, self.secure))
            # Another thread may have been faster.
            current = self._channels.setdefault(owner, made)
        return current

    def _let_go(self) -> None:
        """Forgets channels that cannot be used any more."""
        for owner in list(self._channels):
            if not _flavor.alive(owner):
                channel = self._channels.pop(owner, None)
                if channel is not None and owner[0] != os.getpid():
                    _inherited.append(channel)

    def check_open(self) -> None:
        """An error once it is closed. An old gRPC would wait for ever then."""
        if self._closed:
            raise SandboxError(
                "the client is closed, by close() or at the end of a with block:"
                " its own, or that of its sandbox"
            )

    @contextlib.contextmanager
    def _calling(self) -> Generator[None, None, None]:
        """Makes a call that close() was faster than, in another thread, the error of that."""
        try:
            yield
        except ValueError:
            self.check_open()
            raise

    def _call(self, kind: str, method: Method[Any, Any]) -> Any:
        current = self._open()
        call = current.calls.get(method.path)
        if call is None:
            call = getattr(current.channel, kind)(
                method.path,
                request_serializer=method.encode,
                response_deserializer=method.decode,
            )
            current.calls[method.path] = call
        return call

    def check_cut(self) -> None:
        """An error if a call was cancelled by close(), and not by who waits for it."""
        if self._closed and not _flavor.told_to_end():
            raise _cut() from None

    async def error(self, failed: Any, about: About) -> SandboxError:
        """The exception for a gRPC error."""
        if self._closed and failed.code() == grpc.StatusCode.CANCELLED:
            return _cut()
        trailer = None
        for key, value in failed.trailing_metadata() or ():
            if key == _TRAILER:
                trailer = value
        if failed.code() in _LOST and not self._closed:
            self.refused = await self._refusal()
        about = replace(about, endpoint=str(self.endpoint), refusal=self.refused)
        error = to_error(failed.code().value[0], failed.details() or "", trailer, about)
        self._shaken = self._shaken or isinstance(error, ConnectionError)
        return error

    async def close(self) -> None:
        """Closes the channel; calls after that are errors. Closing twice is none."""
        self._closed = True
        current = self._channels.pop(_flavor.owner(), None)
        self._let_go()
        # What is left is of other loops, and closes when nobody holds it.
        self._channels = {}
        if current is not None:
            await current.channel.close()
