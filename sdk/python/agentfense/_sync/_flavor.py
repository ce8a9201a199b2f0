"""What differs between async and sync beyond a missing await; its twin is in _async."""

import contextlib
import inspect
import os
import queue
import threading
from typing import (
    Any,
    Callable,
    ContextManager,
    Generator,
    Generic,
    Iterator,
    List,
    Optional,
    Tuple,
    Type,
    TypeVar,
)

import grpc

from .. import _check, _endpoint, _fork
from .._channel import SINGLE_THREADED, options
from .._endpoint import Endpoint
from .._errors import InvalidTypeError

Q = TypeVar("Q")
T = TypeVar("T")
F = TypeVar("F", bound=Optional[Callable[..., object]])

# What ends a generator from outside, and is no failure of its own.
LEAVING = (GeneratorExit,)


def owner() -> Tuple[int, Any]:
    """Who may use a channel that is made now: this process."""
    return os.getpid(), None


def alive(owner: Tuple[int, Any]) -> bool:
    """Whether what that owner may use can still be used."""
    return owner[0] == os.getpid()


def open_channel(target: str, secure: bool) -> Any:
    chosen = [*options(), SINGLE_THREADED]
    if secure:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=chosen)
    return grpc.insecure_channel(target, options=chosen)


def under_way(channel: Any) -> ContextManager[None]:
    """Says that a call of the channel is under way."""
    return _fork.call(channel)


# What a call may end with that is neither an answer nor a status.
CANCELLED: Tuple[Type[BaseException], ...] = ()


def told_to_end() -> bool:
    """Nobody tells a thread to end."""
    return False


def read(call: Any) -> Any:
    """The next answer of a call; StopIteration after the last."""
    return next(call)


def let_go(call: Any, owner: Tuple[int, Any]) -> None:
    """Ends a call of that owner that is not used any more."""
    if owner[0] == os.getpid():
        call.cancel()


def refusal(endpoint: Endpoint, channel: Any) -> str:
    """Why nobody at the endpoint accepts a connection; empty if somebody does."""
    return _endpoint.refusal(endpoint)


def ready(channel: Any, patience: Optional[float]) -> None:
    """Waits until the channel is connected, but not for ever."""
    future = grpc.channel_ready_future(channel)
    try:
        with contextlib.suppress(grpc.FutureTimeoutError):
            future.result(patience)
    finally:
        # Else it watches the channel for ever.
        future.cancel()


def lasting(call: Any) -> Any:
    """Nothing: a write which comes too late does not hide the status of a call."""
    return call


def send_all(method: Any, requests: Iterator[Q], timeout: Optional[float]) -> Any:
    """Sends all requests and returns the answer; what fails in making one comes out."""
    calls: queue.Queue[Any] = queue.Queue(1)
    failures: List[BaseException] = []

    def guarded() -> Iterator[Q]:
        # In a thread of gRPC's: the end of this would be the end of the requests.
        try:
            yield from requests
        except LEAVING:
            raise
        except BaseException as e:
            failures.append(e)
            calls.get().cancel()

    call = method.future(guarded(), timeout=timeout)
    calls.put(call)
    try:
        return call.result()
    except BaseException:
        call.cancel()
        if failures:
            raise failures[0] from None
        raise


def callback(value: F, name: str) -> F:
    """A function; nobody would await a coroutine."""
    if inspect.iscoroutinefunction(value):
        raise InvalidTypeError(f"{name} is a coroutine function: AsyncSandbox would await it")
    return _check.callback(value, name)


def notify(callback: Optional[Callable[[T], object]], value: T) -> None:
    """Calls a callback with a value, unless that is empty text."""
    if callback is not None and value:
        callback(value)


def shielded(work: Callable[[], T]) -> T:
    """Does the work; who interrupts that means it."""
    return work()


def breathe() -> None:
    """Nothing: threads take turns by themselves."""


def paced(steps: Generator[None, None, T]) -> T:
    """Does what consists of many steps."""
    while True:
        try:
            next(steps)
        except StopIteration as e:
            outcome: T = e.value
            return outcome


class Mailbox(Generic[T]):
    """Hands lists from the reader of a two-way stream to its writer."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()

    def put(self, item: T) -> None:
        self._queue.put(item)

    def get(self) -> T:
        return self._queue.get()


class Waited(Exception):
    """Nothing came in time."""


_END = object()


# Streams of a parent process: to let go of a call would be to end it, and a
# forked child can end none of its parent's.
_inherited: List["_Pipe"] = []


class _Pipe:
    """What a two-way stream and its thread share; the thread does not hold the stream."""

    def __init__(self, method: Any) -> None:
        self.out: queue.Queue[Any] = queue.Queue(2)
        self.into: queue.Queue[Any] = queue.Queue(8)
        # No more is written, no more is read.
        self.ended, self.closed = threading.Event(), threading.Event()
        self.call = method(iter(self.out.get, None))

    def pump(self) -> None:
        last: Any = _END
        try:
            for message in self.call:
                self._keep(message)
        except Exception as e:
            last = e
        self.end()
        self._keep(last)

    def _keep(self, item: Any) -> None:
        while not self.closed.is_set():
            try:
                self.into.put(item, timeout=0.5)
                return
            except queue.Full:
                continue

    def wake(self) -> None:
        """Lets a reader that waits for a message see the end."""
        with contextlib.suppress(queue.Full):
            self.into.put_nowait(_END)

    def end(self) -> None:
        self.ended.set()
        with contextlib.suppress(queue.Full):
            self.out.put_nowait(None)


class Duplex(Generic[Q, T]):
    """A two-way stream: what is written waits until it is taken, what comes until it is read.

    A thread of its own reads, for gRPC's read cannot be told to give up after a
    while; it ends with the stream, and with this object.
    """

    def __init__(self, method: Any, failed: Callable[[Any], Exception]) -> None:
        self.owner = owner()
        self._failed = failed
        self._last: Any = None
        self._pipe = _Pipe(method)
        thread = threading.Thread(target=self._pipe.pump, name="agentfense-attach", daemon=True)
        thread.start()

    def send(self, message: Q) -> bool:
        """False if the stream has ended."""
        while not self._pipe.ended.is_set():
            try:
                self._pipe.out.put(message, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    @property
    def closed(self) -> bool:
        return self._pipe.closed.is_set()

    def receive(self, timeout: Optional[float] = None) -> Optional[T]:
        """The next message, None at the end or once it is closed; Waited if none comes in time."""
        if self._last is None and not self.closed:
            try:
                item = self._pipe.into.get(timeout=timeout)
            except queue.Empty:
                raise Waited from None
            if item is not _END and not isinstance(item, Exception):
                message: T = item
                return message
            self._last = item
            self._pipe.wake()
        if isinstance(self._last, grpc.RpcError):
            raise self._failed(self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return None

    def close(self) -> None:
        self._pipe.closed.set()
        self._pipe.wake()
        self._pipe.end()
        self._pipe.call.cancel()

    def __del__(self) -> None:
        pipe = getattr(self, "_pipe", None)
        if pipe is None:
            return
        if self.owner == owner():
            self.close()
        else:
            _inherited.append(pipe)


class Turn:
    """Lets one caller after the other in."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        # Nobody would let go in a child of what another thread held at the fork.
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        if self._pid == os.getpid():
            self._lock.release()


def Opening(made: T) -> T:
    """Nothing: what is opened is there when the call returns."""
    return made
