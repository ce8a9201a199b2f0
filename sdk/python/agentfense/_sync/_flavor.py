"""What differs between async and sync beyond a missing await; its twin is in _async."""

import os
import queue
from typing import Any, Callable, Generator, Generic, Optional, Tuple, TypeVar

import grpc

from .._channel import OPTIONS, SINGLE_THREADED

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


def notify(callback: Optional[Callable[[str], object]], text: str) -> None:
    """Calls a callback with some output."""
    if callback is not None and text:
        callback(text)


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


def Opening(made: T) -> T:
    """Nothing: a sandbox is made when the call returns."""
    return made
