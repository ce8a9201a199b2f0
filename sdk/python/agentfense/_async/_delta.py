"""The client's calls about what a sandbox changed."""

import uuid
from typing import Iterable, List, Mapping, Optional, Union

from .. import _check, _requests, _wire
from .. import _methods as methods
from .. import _types as t
from .._failure import About
from .._gen import sandbox_pb2 as sb
from . import _undo
from ._connection import AsyncConnection

# Seconds until all changes are read and stored.
_LONG = 120.0

Paths = Union[_check.Path, Iterable[_check.Path], None]


class AsyncDeltaCalls:
    """See, keep, drop and copy the changes of a sandbox."""

    _connection: AsyncConnection

    async def diff(self, sandbox_id: str) -> List[t.Change]:
        """What the sandbox changed, in the order of the paths."""
        answer = await self._connection.unary(
            methods.DIFF,
            sb.DiffRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            timeout=_LONG,
            again=True,
        )
        return [_wire.change(message) for message in answer.changes]

    async def commit(self, sandbox_id: str, paths: Paths = None) -> t.CommitResult:
        """Applies the permitted changes, or those at and below ``paths``, as one snapshot."""
        answer = await self._connection.unary(
            methods.COMMIT,
            sb.CommitRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                paths=_requests.chosen(paths, "commit"),
            ),
            About(sandbox_id=sandbox_id),
            timeout=_LONG,
        )
        return _wire.commit_result(answer)

    async def discard(self, sandbox_id: str, paths: Paths = None) -> List[t.Change]:
        """Drops the changes, or those at and below ``paths``; returns what was dropped."""
        answer = await self._connection.unary(
            methods.DISCARD,
            sb.DiscardRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                paths=_requests.chosen(paths, "discard"),
            ),
            About(sandbox_id=sandbox_id),
            timeout=_LONG,
        )
        return [_wire.change(message) for message in answer.discarded]

    async def snapshot_sandbox(self, sandbox_id: str, name: Optional[str] = None) -> t.Codebase:
        """Makes a codebase of its own out of what the sandbox sees and may commit."""
        answer = await _undo.create(
            self._connection,
            methods.SNAPSHOT_SANDBOX,
            sb.SnapshotSandboxRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                name=_check.maybe_text(name, "name"),
                request_id=uuid.uuid4().hex,
            ),
            About(sandbox_id=sandbox_id),
            timeout=_LONG,
        )
        return _wire.codebase(answer)

    async def fork_sandbox(
        self, sandbox_id: str, labels: Optional[Mapping[str, str]] = None, *, start: bool = False
    ) -> t.SandboxInfo:
        """Makes a sandbox with the same snapshot, policy and delta, and no process."""
        answer = await _undo.create(
            self._connection,
            methods.FORK_SANDBOX,
            sb.ForkSandboxRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                labels=_check.words(labels, "labels"),
                request_id=uuid.uuid4().hex,
                start=_check.flag(start, "start"),
            ),
            About(sandbox_id=sandbox_id),
            timeout=_LONG,
        )
        return _wire.sandbox_info(answer)
