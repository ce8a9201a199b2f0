"""What differs between async and sync beyond a missing await; its twin is in _sync."""

import asyncio
import contextlib
import inspect
import math
import os
import socket
import time
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    ContextManager,
    Coroutine,
    Generator,
    Generic,
    List,
    Optional,
    Tuple,
    TypeVar,
)

import grpc
import grpc.aio

from .. import _check, _patience
from .._channel import options
from .._endpoint import Endpoint, reason
from .._errors import SandboxError

Q = TypeVar("Q")
T = TypeVar("T")
F = TypeVar("F", bound=Optional[Callable[..., object]])

# What ends a generator from outside, and is no failure of its own.
LEAVING = (GeneratorExit, asyncio.CancelledError)


def owner() -> Tuple[int, Any]:
    """Who may use a channel that is made now: this process and this event loop."""
    return os.getpid(), asyncio.get_running_loop()


def alive(owner: Tuple[int, Any]) -> bool:
    """Whether what that owner may use can still be used, be it elsewhere."""
    return owner[0] == os.getpid() and not owner[1].is_closed()


# The process that gRPC's asyncio part was first used in: it works in no other.
_home: List[int] = []


def open_channel(target: str, secure: bool) -> Any:
    if os.getpid() not in (_home or [os.getpid()]):
        raise SandboxError(
            "the async client cannot be used in a process that was forked after its first use: "
            "use the sync client there, or start the process with spawn or forkserver"
        )
    _home[:] = [os.getpid()]
    if secure:
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options())
    return grpc.aio.insecure_channel(target, options=options())


def under_way(channel: Any) -> ContextManager[None]:
    """Nothing: a fork does not wait for an asyncio channel."""
    return contextlib.nullcontext()


CANCELLED = (asyncio.CancelledError,)


def told_to_end() -> bool:
    """Whether the task itself was cancelled. Before Python 3.11 that cannot be known."""
    cancelling: Any = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is None or cancelling() > 0


async def read(call: Any) -> Any:
    """The next answer of a call; StopAsyncIteration after the last."""
    answer = await call.read()
    if answer is grpc.aio.EOF:
        raise StopAsyncIteration
    return answer


def let_go(call: Any, owner: Tuple[int, Any]) -> None:
    """Ends a call of that owner that is not used any more, whichever thread finds that out."""
    loop = owner[1]
    if owner[0] != os.getpid():
        return
    if not loop.is_closed():
        loop.call_soon_threadsafe(call.cancel)
    else:
        # Whoever waited for it in the loop is gone.
        with contextlib.suppress(RuntimeError):
            call.cancel()


async def refusal(endpoint: Endpoint, channel: Any) -> str:
    """Why nobody at the endpoint accepts a connection; empty if somebody does."""
    if endpoint.socket_path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.setblocking(False)
            connecting = asyncio.get_running_loop().sock_connect(s, endpoint.socket_path)
            try:
                await asyncio.wait_for(connecting, 1)
            except asyncio.TimeoutError:
                return "timed out"
            except OSError as e:
                return reason(e)
        return ""
    # A name is resolved by gRPC: asyncio would start a thread for that.
    await ready(channel, 1)
    if channel.get_state() is grpc.ChannelConnectivity.READY:
        return ""
    return "cannot connect"


async def ready(channel: Any, patience: Optional[float]) -> None:
    """Waits until the channel is connected, but not for ever."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(channel.channel_ready(), patience)


class _Core:
    """The inner part of a call, which waits for the server's own status.

    When a write comes after the server has ended the call, grpc.aio puts a
    status of its own, INTERNAL, in the place of the one that is on its way.
    """

    def __init__(self, core: Any) -> None:
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def set_internal_error(self, error: str) -> None:
        pass


def lasting(call: Any) -> Any:
    """The call, such that a write which comes too late does not hide its status."""
    core = getattr(call, "_cython_call", None)
    if hasattr(core, "set_internal_error"):
        call._cython_call = _Core(core)
    return call


async def send_all(method: Any, requests: AsyncIterator[Q], timeout: Optional[float]) -> Any:
    """Sends all requests and returns the answer; what fails in making one comes out."""
    call = lasting(method(timeout=timeout))
    try:
        async for request in requests:
            try:
                await call.write(request)
            except (grpc.RpcError, asyncio.InvalidStateError):
                # Its status says why.
                break
        else:
            await call.done_writing()
        return await call
    except BaseException:
        call.cancel()
        raise


def callback(value: F, name: str) -> F:
    """A function, or a coroutine function."""
    return _check.callback(value, name)


async def notify(callback: Optional[Callable[[T], object]], value: T) -> None:
    """Calls a callback with a value that is not empty text; awaits what can be awaited."""
    if callback is not None and value:
        outcome = callback(value)
        if inspect.isawaitable(outcome):
            await outcome


async def shielded(work: Callable[[], Awaitable[T]]) -> T:
    """Does the work to its end, and only then lets a cancellation through, whatever came of it.

    From a cancellation on the work has limited time. It must bear to be begun
    anew: that happens where it was cancelled itself, as asyncio.run does with all
    tasks that are left.
    """
    cancelled: Optional[asyncio.CancelledError] = None
    end = math.inf
    while True:
        task = asyncio.ensure_future(work())
        while not task.done():
            left = end - time.monotonic()
            if left <= 0:
                task.cancel()
            try:
                await asyncio.wait({task}, timeout=left if 0 < left < math.inf else None)
            except asyncio.CancelledError as e:
                cancelled = e
                end = min(end, time.monotonic() + _patience.SECONDS)
        if not task.cancelled() or time.monotonic() >= end:
            break
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()


async def breathe() -> None:
    """Lets others run in the middle of a long computation."""
    await asyncio.sleep(0)


async def paced(steps: Generator[None, None, T]) -> T:
    """Does what consists of many steps, and lets others run after each."""
    while True:
        try:
            next(steps)
        except StopIteration as e:
            outcome: T = e.value
            return outcome
        await breathe()


class Mailbox(Generic[T]):
    """Hands lists from the reader of a two-way stream to its writer."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue()

    async def put(self, item: T) -> None:
        await self._queue.put(item)

    async def get(self) -> T:
        return await self._queue.get()


class Waited(Exception):
    """Nothing came in time."""


class Duplex(Generic[Q, T]):
    """A two-way stream: what is written waits until it is taken, what comes until it is read."""

    def __init__(self, method: Any, failed: Callable[[Any], Awaitable[Exception]]) -> None:
        self.owner = owner()
        self.closed = False
        self._call = lasting(method())
        self._failed = failed
        # A read that outlived its caller's patience goes on for the next one.
        self._reading: Optional[asyncio.Future[Any]] = None

    async def send(self, message: Q) -> bool:
        """False if the stream has ended."""
        try:
            await self._call.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError):
            return False
        except asyncio.CancelledError:
            if self.closed and not told_to_end():
                return False
            # gRPC has ended the call with the write.
            self.closed = True
            raise
        return True

    async def receive(self, timeout: Optional[float] = None) -> Optional[T]:
        """The next message, None at the end or once it is closed; Waited if none comes in time."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.closed:
            if self._reading is None:
                self._reading = asyncio.ensure_future(read(self._call))
            reading = self._reading
            await asyncio.wait({reading}, timeout=None if end is None else end - time.monotonic())
            if not reading.done():
                raise Waited
            if reading.cancelled():
                # gRPC has ended the call with it.
                self.closed = True
            elif reading is self._reading:
                self._reading = None
                return await self._taken(reading)
        return None

    async def _taken(self, reading: "asyncio.Future[Any]") -> Optional[T]:
        try:
            message: T = reading.result()
        except StopAsyncIteration:
            return None
        except grpc.RpcError as e:
            raise await self._failed(e) from None
        return message

    async def close(self) -> None:
        self.closed = True
        self._call.cancel()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()

    def __del__(self) -> None:
        if hasattr(self, "_call"):
            let_go(self._call, self.owner)


class Turn:
    """Lets one caller after the other in, in the order in which they came."""

    def __init__(self) -> None:
        self._owner: object = None
        self._lock: Any = None

    async def __aenter__(self) -> None:
        # A lock belongs to the loop that it was first waited for in.
        if self._owner != owner():
            self._owner, self._lock = owner(), asyncio.Lock()
        await self._lock.acquire()

    async def __aexit__(self, *exc: object) -> None:
        self._lock.release()


class Opening(Coroutine[Any, Any, T]):
    """A sandbox or a session in the making: await it, or enter it with ``async with``."""

    def __init__(self, making: "Coroutine[Any, Any, T]") -> None:
        self._making = making
        self._made: List[Any] = []

    def __await__(self) -> Generator[Any, Any, T]:
        return self._making.__await__()

    def send(self, value: Any) -> Any:
        return self._making.send(value)

    def throw(self, *error: Any) -> Any:
        return self._making.throw(*error)

    def close(self) -> None:
        self._making.close()

    async def __aenter__(self) -> T:
        sandbox: Any = await self._making
        self._made.append(sandbox)
        entered: T = await sandbox.__aenter__()
        return entered

    async def __aexit__(self, *exc: Any) -> None:
        await self._made.pop().__aexit__(*exc)
