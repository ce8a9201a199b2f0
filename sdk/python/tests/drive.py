"""Both surfaces under one set of tests: the async one driven from sync code."""

import asyncio
import inspect
from typing import Any

import agentfense


class Driver:
    """Makes an async object look like its sync twin."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.__dict__.update(_target=target, _loop=loop)

    def _settle(self, value: Any) -> Any:
        if inspect.isawaitable(value):

            async def wait() -> Any:
                return await value

            value = self._loop.run_until_complete(wait())
        if inspect.isasyncgen(value) or type(value).__module__.startswith("agentfense._async"):
            return Driver(value, self._loop)
        return value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, "aclose" if name == "close_stream" else name)
        if not callable(value):
            return self._settle(value)
        return lambda *args, **kwargs: self._settle(value(*args, **kwargs))

    def __repr__(self) -> str:
        return repr(self._target)

    def __iter__(self) -> "Driver":
        return self

    def __next__(self) -> Any:
        try:
            return self._settle(self._target.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> "Driver":
        return self._settle(self._target.__aenter__())

    def __exit__(self, *exc: Any) -> Any:
        return self._settle(self._target.__aexit__(*exc))


class Surface:
    """Sandbox and SandboxClient, or their async twins behind a Driver."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loop = asyncio.new_event_loop() if name == "async" else None

    @property
    def Sandbox(self) -> Any:
        if self._loop is None:
            return agentfense.Sandbox
        return Driver(agentfense.AsyncSandbox, self._loop)

    def client(self, *args: Any, **kwargs: Any) -> Any:
        if self._loop is None:
            return agentfense.SandboxClient(*args, **kwargs)

        return Driver(agentfense.AsyncSandboxClient(*args, **kwargs), self._loop)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
