"""A sandbox's files and its delta: what it sees, and what it changed."""

import os
from typing import List, Mapping, Optional, TypeVar

from .. import _check, _requests
from .. import _types as t
from .._failure import answered
from .._local import Directory
from . import _flavor
from ._apply import AsyncDeltaApply
from ._delta import Paths
from ._files import Content, OnProgress
from ._object import AsyncSandboxObject
from ._undo import attempt
from .files import AsyncSandboxFiles

S = TypeVar("S", bound="AsyncSandboxChanges")


class AsyncSandboxChanges(AsyncSandboxObject):
    """Reads and writes files; sees, keeps, drops and copies changes."""

    # Files, as the sandbox itself sees them: "x", "/x" and "/workspace/x" are the same.

    @property
    def files(self) -> AsyncSandboxFiles:
        """All that can be done with files; the methods below are its most used ones."""
        return AsyncSandboxFiles(self)

    async def read_file(
        self, path: _check.Path, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> str:
        return await self.files.read(path, encoding=encoding, errors=errors)

    async def read_file_bytes(self, path: _check.Path) -> bytes:
        return await self.files.read_bytes(path)

    async def write_file(
        self, path: _check.Path, content: Content, *, mode: int = 0, on_progress: OnProgress = None
    ) -> t.FileInfo:
        """Writes text, bytes or an open binary file; missing directories are created.

        A mode of 0 keeps an existing file's and is 0644 for a new one.
        """
        return await self.files.write(path, content, mode=mode, on_progress=on_progress)

    async def list_files(self, path: _check.Path = "", recursive: bool = False) -> List[t.FileInfo]:
        return await self.files.list(path, recursive)

    # The delta: what the sandbox changed.

    async def diff(self) -> List[t.Change]:
        """The changes in the order of their paths."""
        return await self._live().diff(self.id)

    async def commit(self, paths: Paths = None) -> t.CommitResult:
        """Applies the permitted changes to the codebase as one new snapshot.

        With ``paths`` only those at or below them. Changes below write level are
        returned as refused, with the rule, and are no error. Where the codebase
        moved at a changed path it is ConflictError, and nothing is applied.
        """
        return await self._live().commit(self.id, paths)

    async def discard(self, paths: Paths = None, *, restart: bool = False) -> List[t.Change]:
        """Drops the changes, or those at or below ``paths``; returns what was dropped.

        A running sandbox refuses, for its programs may hold what is dropped. With
        ``restart`` it is stopped before, which ends them, and started again,
        whatever happens meanwhile.
        """
        client = self._live()
        if not _check.flag(restart, "restart"):
            return await client.discard(self.id, paths)
        chosen = [os.fsdecode(path) for path in _requests.chosen(paths, "discard")]

        async def start() -> None:
            self._info = await client.start_sandbox(self.id)

        stopped = False
        try:
            self._info = await client.stop_sandbox(self.id)
            stopped = True
            dropped = await client.discard(self.id, chosen or None)
            await _flavor.shielded(start)
        except BaseException as e:
            if stopped or not answered(e):
                await attempt(start, f"start sandbox {self.id} again", e)
            raise
        return dropped

    async def snapshot(self, name: Optional[str] = None) -> t.Codebase:
        """A new codebase out of what the sandbox sees and may commit. It stays until deleted."""
        return await self._live().snapshot_sandbox(self.id, name)

    def fork(
        self: S, labels: Optional[Mapping[str, str]] = None, *, auto_start: bool = True
    ) -> "_flavor.Opening[S]":
        """A second sandbox with the same snapshot, policy and changes, and no process.

        From there on neither sees what the other does. It is destroyed on its
        own; the codebase is not its.
        """
        return _flavor.Opening(self._fork(labels, _check.flag(auto_start, "auto_start")))

    async def _fork(self: S, labels: Optional[Mapping[str, str]], auto_start: bool) -> S:
        info = await self._live().fork_sandbox(self.id, labels, start=auto_start)
        return type(self)(self._client.another(), info, self._codebase, owns_sandbox=True)

    async def apply_to(
        self, local_dir: _check.Path, paths: Paths = None, *, force: bool = False
    ) -> t.ApplyResult:
        """Applies the permitted changes to a local directory; the sandbox must run.

        It touches nothing outside the directory and follows no link in it. Where
        a changed file is not, or not any more, what the sandbox began with, it is
        ConflictError with the paths, before anything was changed; ``force``
        replaces those. Changes below write level, links that lead outside, and
        what is in a ``.git`` directory that ``paths`` does not name are refused.
        """
        chosen = _requests.chosen(paths, "apply")
        _check.path(local_dir, "local_dir")
        _check.flag(force, "force")
        client = self._live()
        info = await client.get_sandbox(self.id)
        with Directory(local_dir) as target:
            return await AsyncDeltaApply(client, info, target, force).run(chosen)
