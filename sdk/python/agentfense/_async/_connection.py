"""One server: calls with a deadline, failures as exceptions of this package."""

from typing import Any, AsyncIterator, Dict, List, Optional, TypeVar

import grpc

from .. import _endpoint
from .._errors import ConnectionError, SandboxError
from .._failure import About, never_sent, to_error
from .._methods import Method
from . import _flavor

Req = TypeVar("Req")
Res = TypeVar("Res")

# Seconds that a call which runs no command may take.
DEADLINE = 30.0
_TRAILER = "grpc-status-details-bin"

# Channels of a parent process: a child can neither use nor close them.
_inherited: List["_Channel"] = []


class _Channel:
    """A gRPC channel, its owner, and its calls by path."""

    def __init__(self, owner: object, channel: Any) -> None:
        self.owner = owner
        self.channel = channel
        self.calls: Dict[str, Any] = {}


class AsyncConnection:
    """Calls to one endpoint. Opens its channel at the first call, and again after a fork."""

    def __init__(self, endpoint: Optional[str] = None, secure: bool = False) -> None:
        self.endpoint = _endpoint.resolve(endpoint)
        self.secure = secure
        self._channel: Optional[_Channel] = None
        self._closed = False

    async def unary(
        self,
        method: Method[Req, Res],
        request: Req,
        about: About,
        *,
        timeout: float = DEADLINE,
        again: bool = False,
    ) -> Res:
        """One request, one answer. ``again``: safe to repeat if the server went away."""
        try:
            return await self._unary(method, request, about, timeout)
        except ConnectionError as e:
            # gRPC remembers for a while that a server was not there.
            if not (again or never_sent(e)) or not self.endpoint.accepts():
                raise
        return await self._unary(method, request, about, timeout, wait=True)

    async def _unary(
        self,
        method: Method[Req, Res],
        request: Req,
        about: About,
        timeout: float,
        wait: bool = False,
    ) -> Res:
        call = self._call("unary_unary", method)
        try:
            answer: Res = await call(request, timeout=timeout, wait_for_ready=wait)
        except grpc.RpcError as e:
            raise self.error(e, about) from None
        return answer

    async def answers(
        self,
        method: Method[Req, Res],
        request: Req,
        about: About,
        *,
        timeout: Optional[float] = None,
    ) -> _flavor.Stream[Res]:
        """One request, a stream of answers; leaving it early ends the call."""
        call = self._call("unary_stream", method)(request, timeout=timeout)
        async for answer in self._read(call, about):
            yield answer

    async def send(
        self,
        method: Method[Req, Res],
        requests: AsyncIterator[Req],
        about: About,
        *,
        timeout: Optional[float] = None,
    ) -> Res:
        """A stream of requests, one answer."""
        try:
            answer: Res = await self._call("stream_unary", method)(requests, timeout=timeout)
        except grpc.RpcError as e:
            raise self.error(e, about) from None
        return answer

    async def converse(
        self, method: Method[Req, Res], requests: AsyncIterator[Req], about: About
    ) -> _flavor.Stream[Res]:
        """A stream of requests and a stream of answers at the same time."""
        call = self._call("stream_stream", method)(requests)
        async for answer in self._read(call, about):
            yield answer

    def duplex(self, method: Method[Req, Res], about: About) -> _flavor.Duplex[Req, Res]:
        """A stream of requests and one of answers, each at its own pace."""
        call = self._call("stream_stream", method)
        return _flavor.Duplex(call, lambda failed: self.error(failed, about))

    async def _read(self, call: Any, about: About) -> _flavor.Stream[Any]:
        try:
            async for answer in call:
                yield answer
        except grpc.RpcError as e:
            raise self.error(e, about) from None
        finally:
            call.cancel()

    def _call(self, kind: str, method: Method[Any, Any]) -> Any:
        if self._closed:
            raise SandboxError("the client is closed")
        owner = _flavor.owner()
        current = self._channel
        if current is None or current.owner != owner:
            if current is not None:
                _inherited.append(current)
            current = _Channel(owner, _flavor.open_channel(self.endpoint.target, self.secure))
            self._channel = current
        call = current.calls.get(method.path)
        if call is None:
            call = getattr(current.channel, kind)(
                method.path,
                request_serializer=method.encode,
                response_deserializer=method.decode,
            )
            current.calls[method.path] = call
        return call

    def error(self, failed: Any, about: About) -> SandboxError:
        """The exception for a gRPC error."""
        trailer = None
        for key, value in failed.trailing_metadata() or ():
            if key == _TRAILER:
                trailer = value
        about = About(**{**about.__dict__, "endpoint": str(self.endpoint)})
        return to_error(failed.code().value[0], failed.details() or "", trailer, about)

    async def close(self) -> None:
        """Closes the channel; calls after that are errors. Closing twice is none."""
        self._closed = True
        current, self._channel = self._channel, None
        if current is not None and current.owner == _flavor.owner():
            await current.channel.close()
