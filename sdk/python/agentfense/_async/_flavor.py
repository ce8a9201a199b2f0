"""What differs between async and sync beyond a missing await; its twin is in _sync."""

import asyncio
import inspect
import os
from typing import (
    Any,
    AsyncGenerator,
    Callable,
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

from .._channel import OPTIONS
from .._errors import SandboxError

T = TypeVar("T")

# Answers as they come; closing it ends the call.
Stream = AsyncGenerator[T, None]


def owner() -> Tuple[int, object]:
    """Who may use a channel that is made now: this process and this event loop."""
    return os.getpid(), asyncio.get_running_loop()


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
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=OPTIONS)
    return grpc.aio.insecure_channel(target, options=OPTIONS)


async def notify(callback: Optional[Callable[[str], object]], text: str) -> None:
    """Calls a callback with some output, and awaits what it returns if that can be."""
    if callback is not None and text:
        outcome = callback(text)
        if inspect.isawaitable(outcome):
            await outcome


async def breathe() -> None:
    """Lets others run in the middle of a long computation."""
    await asyncio.sleep(0)


class Mailbox(Generic[T]):
    """Hands lists from the reader of a two-way stream to its writer."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue()

    async def put(self, item: T) -> None:
        await self._queue.put(item)

    async def get(self) -> T:
        return await self._queue.get()


class Opening(Generic[T]):
    """A sandbox in the making: await it, or enter it with ``async with``."""

    def __init__(self, making: "Coroutine[Any, Any, T]") -> None:
        self._making = making
        self._made: List[Any] = []

    def __await__(self) -> Generator[Any, Any, T]:
        return self._making.__await__()

    async def __aenter__(self) -> T:
        sandbox: Any = await self._making
        self._made.append(sandbox)
        entered: T = await sandbox.__aenter__()
        return entered

    async def __aexit__(self, *exc: Any) -> None:
        await self._made.pop().__aexit__(*exc)
