"""The low-level client: one method a call of the wire contract."""

from typing import Optional

from .. import _check, _wire
from .. import _methods as methods
from .. import _types as t
from .._failure import About
from .._gen import sandbox_pb2 as sb
from .._handle import Handle
from ._codebases import AsyncCodebaseCalls
from ._connection import AsyncConnection
from ._delta import AsyncDeltaCalls
from ._files import AsyncFileCalls
from ._processes import AsyncProcessCalls
from ._sandboxes import AsyncSandboxCalls
from ._sessions import AsyncSessionCalls


class AsyncSandboxClient(
    Handle,
    AsyncCodebaseCalls,
    AsyncSandboxCalls,
    AsyncSessionCalls,
    AsyncProcessCalls,
    AsyncFileCalls,
    AsyncDeltaCalls,
):
    """A connection to one server.

    ``endpoint`` is ``unix:///path`` or ``host:port``; without one it is
    AGENTFENSE_ENDPOINT, else unix:///run/agentfense/api.sock. Nothing is opened
    before the first call.
    """

    _elsewhere = "make one there, with the same endpoint"

    def __init__(self, endpoint: Optional[_check.Path] = None, secure: bool = False) -> None:
        self._connection = AsyncConnection(endpoint, secure)

    @property
    def endpoint(self) -> str:
        return str(self._connection.endpoint)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.endpoint}>"

    def another(self) -> "AsyncSandboxClient":
        """A client of the same server, closed on its own."""
        return type(self)(self.endpoint, self._connection.secure)

    async def server_info(self) -> t.ServerInfo:
        """The server's version, its kernel, and the protection that the host cannot give."""
        answer = await self._connection.unary(
            methods.GET_INFO, sb.GetInfoRequest(), About(), again=True
        )
        return _wire.server_info(answer)

    async def close(self) -> None:
        """Closes the connection; closing twice is no error."""
        await self._connection.close()

    async def __aenter__(self) -> "AsyncSandboxClient":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
