"""What differs between async and sync beyond a missing await; its twin is in _async."""

import contextlib
import os
import queue
import threading
from typing import Any, Callable, Generator, Generic, Optional, Tuple, TypeVar

import grpc

from .._channel import OPTIONS, SINGLE_THREADED

Q = TypeVar("Q")
T = TypeVar("T")

# Answers as they come; closing it ends the call.
Stream = Generator[T, None, None]


def owner() -> Tuple[int, object]:
    """Who may use a channel that is made now: this process."""
    return os.getpid(), None


def open_channel(target: str, secure: bool) -> Any:
    options = [*OPTIONS, SINGLE_THREADED]
    if secure:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(target, options=options)


def ready(channel: Any, patience: float) -> None:
    """Waits until the channel is connected, but not for ever."""
    with contextlib.suppress(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(patience)


def notify(callback: Optional[Callable[[T], object]], value: T) -> None:
    """Calls a callback with a value, unless that is empty text."""
    if callback is not None and value:
        callback(value)


def breathe() -> None:
    """Nothing: threads take turns by themselves."""


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


class Duplex(Generic[Q, T]):
    """A two-way stream: what is written waits until it is taken, what comes until it is read.

    A thread of its own reads, for gRPC's read cannot be told to give up after a
    while; it ends with the stream.
    """

    def __init__(self, method: Any, failed: Callable[[Any], Exception]) -> None:
        self.owner = owner()
        self._failed = failed
        self._ended = threading.Event()
        self._out: queue.Queue[Optional[Q]] = queue.Queue(2)
        self._in: queue.Queue[Any] = queue.Queue(8)
        self._last: Any = None
        self._call = method(iter(self._out.get, None))
        threading.Thread(target=self._read, name="agentfense-attach", daemon=True).start()

    def _read(self) -> None:
        last: Any = _END
        try:
            for message in self._call:
                if not self._keep(message):
                    return
        except Exception as e:
            last = e
        self._ended.set()
        with contextlib.suppress(queue.Full):
            self._out.put_nowait(None)
        self._keep(last)

    def _keep(self, item: Any) -> bool:
        while not self._call.cancelled() or item is _END:
            try:
                self._in.put(item, timeout=0.5)
                return True
            except queue.Full:
                continue
        return False

    def send(self, message: Q) -> bool:
        """False if the stream has ended."""
        while not self._ended.is_set():
            try:
                self._out.put(message, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def receive(self, timeout: Optional[float] = None) -> Optional[T]:
        """The next message, None at the end; Waited if none comes in time."""
        if self._last is None:
            try:
                item = self._in.get(timeout=timeout)
            except queue.Empty:
                raise Waited from None
            if item is not _END and not isinstance(item, Exception):
                message: T = item
                return message
            self._last = item
        if isinstance(self._last, grpc.RpcError):
            raise self._failed(self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return None

    def close(self) -> None:
        self._ended.set()
        self._call.cancel()
        with contextlib.suppress(queue.Full):
            self._out.put_nowait(None)


class Turn:
    """Lets one caller after the other in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


def Opening(made: T) -> T:
    """Nothing: what is opened is there when the call returns."""
    return made
