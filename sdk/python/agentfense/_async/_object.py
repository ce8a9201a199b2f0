"""What a sandbox object is: an id at a server, and what it owns there."""

from typing import Optional

from .. import _types as t
from .._errors import SandboxNotFoundError
from .._handle import Handle
from .client import AsyncSandboxClient


class AsyncSandboxObject(Handle):
    """The part of a sandbox that all others build on."""

    _elsewhere = "pass its id, and use Sandbox.connect(id) there"

    def __init__(
        self,
        client: AsyncSandboxClient,
        info: t.SandboxInfo,
        codebase: Optional[t.Codebase] = None,
        *,
        owns_sandbox: bool = False,
        owns_codebase: bool = False,
    ) -> None:
        self._client = client
        self._info = info
        self._codebase = codebase
        self._owns_sandbox = owns_sandbox
        self._owns_codebase = owns_codebase
        self._destroyed = False

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def codebase_id(self) -> str:
        return self._info.codebase_id

    @property
    def codebase(self) -> Optional[t.Codebase]:
        """The codebase as it was when this object was made; its ``ingest`` tells what was left
        out of the directory. None if it was deleted before."""
        return self._codebase

    @property
    def info(self) -> t.SandboxInfo:
        """What the server last said; refresh() asks again."""
        return self._info

    @property
    def status(self) -> t.SandboxStatus:
        """The status that the server last said; refresh() asks again."""
        return self._info.status

    @property
    def runtime(self) -> t.RuntimeType:
        return self._info.runtime

    def __repr__(self) -> str:
        state = "destroyed" if self._destroyed else self.status
        return f"<{type(self).__name__} {self.id} {state}>"

    def _live(self) -> AsyncSandboxClient:
        if self._destroyed:
            raise SandboxNotFoundError(f"sandbox {self.id} is destroyed", sandbox_id=self.id)
        return self._client
