"""What a sandbox changed comes to a local directory, if nothing is lost by it."""

import hashlib
import os
from dataclasses import replace
from typing import Dict, Iterable, List, Optional

from .. import _types as t
from .._errors import ConflictError, SandboxError
from .._local import Directory, Entry, leads_outside, parts
from . import _flavor
from ._files import AsyncFileStream
from ._undo import attempt
from .client import AsyncSandboxClient


class AsyncDeltaApply:
    """One call of apply_to: plan all of it, then do it."""

    def __init__(
        self, client: AsyncSandboxClient, sandbox: t.SandboxInfo, target: Directory, force: bool
    ) -> None:
        self._client = client
        self._sandbox = sandbox
        self._target = target
        self._force = force
        self._base = _Base(client, sandbox)
        # What each change found in the directory when it was planned.
        self._found: Dict[str, Optional[Entry]] = {}
        self._links: Dict[str, bytes] = {}
        self._refused: List[t.Change] = []
        self._unchanged: List[t.Change] = []

    async def run(self, paths: Iterable[bytes]) -> t.ApplyResult:
        """Applies the changes at and below the paths; no paths are all of them."""
        chosen = [os.fsdecode(path).strip("/") for path in paths]
        changes = [c for c in await self._client.diff(self._sandbox.id) if _below(c.path, chosen)]
        async with self._base:
            planned = await self._plan(changes, chosen)
        applied = []
        for change in _ordered(planned):
            if await self._apply(change):
                applied.append(change)
            else:
                self._unchanged.append(change)
        return t.ApplyResult(applied, self._refused, self._unchanged)

    # The plan.

    async def _plan(self, changes: List[t.Change], chosen: List[str]) -> List[t.Change]:
        planned: List[t.Change] = []
        conflicts: List[t.Change] = []
        come = (c for c in changes if c.operation is not t.Operation.DELETED)
        becoming = {parts(c.path) for c in come if c.kind is t.Kind.DIRECTORY}
        for change in changes:
            await _flavor.breathe()
            why = await self._refuses(change, chosen)
            if why:
                self._refused.append(replace(change, refused=True, why=why))
            elif self._target.blocked(change.path):
                # What stands there may be about to become a directory.
                names = parts(change.path)
                expected = any(names[:depth] in becoming for depth in range(1, len(names)))
                (planned if expected else conflicts).append(change)
            elif await self._is_done(change):
                self._unchanged.append(change)
            elif self._force or await self._is_free(change):
                planned.append(change)
            else:
                conflicts.append(change)
        if conflicts:
            raise _conflict(
                [c.path for c in conflicts],
                "changed in the directory as well; nothing was applied, but force=True replaces it",
            )
        return planned

    async def _refuses(self, change: t.Change, chosen: List[str]) -> str:
        """Why the change is not for the directory; empty if it is."""
        names = parts(change.path)
        if not names:
            return "the path leads outside"
        if change.refused or change.shadowed:
            return change.why
        # Git runs what stands in its directory: only who asks for it gets it.
        if b".git" in names and not any(".git" in path.split("/") for path in chosen):
            return "git runs what is in .git: to get it, name it in paths"
        if change.kind is not t.Kind.SYMLINK or change.operation is t.Operation.DELETED:
            return ""
        info = await self._client.stat_sandbox_file(self._sandbox.id, change.path)
        target = os.fsencode(info.symlink_target or "")
        self._links[change.path] = target
        return "the link leads outside" if leads_outside(change.path, target) else ""

    async def _is_done(self, change: t.Change) -> bool:
        """Whether the directory has it already."""
        found = self._target.look(change.path)
        self._found[change.path] = found
        if change.operation is t.Operation.DELETED or found is None:
            return found is None and change.operation is t.Operation.DELETED
        if found.kind is not change.kind:
            return False
        if change.kind is t.Kind.DIRECTORY:
            return True
        if change.kind is t.Kind.SYMLINK:
            return found.target == self._links[change.path]
        if found.size != change.size or (found.mode ^ change.mode) & 0o100:
            return False
        wanted = await _digest(self._client.stream_sandbox_file(self._sandbox.id, change.path))
        return wanted == self._target.digest(change.path)

    async def _is_free(self, change: t.Change) -> bool:
        """Whether the directory has there what the sandbox began with."""
        found = self._found[change.path]
        if change.operation is t.Operation.ADDED or found is None:
            return change.operation is t.Operation.ADDED and found is None
        base = await self._base.entry(change.path)
        if base is None or found.kind is not _kind(base):
            return False
        if found.kind is t.Kind.SYMLINK:
            return found.target == os.fsencode(base.symlink_target or "")
        if found.kind is t.Kind.DIRECTORY:
            return True
        if found.size != base.size:
            return False
        return await self._base.digest(change.path) == self._target.digest(change.path)

    # The work.

    async def _apply(self, change: t.Change) -> bool:
        """False for a directory that stays because it holds something."""
        found = self._target.look(change.path)
        before = self._found.get(change.path)
        moved = found != before
        if before is not None and before.kind is t.Kind.DIRECTORY:
            moved = found is not None and found.kind is not t.Kind.DIRECTORY
        if moved and not self._force:
            raise _conflict([change.path], "changed while the changes were applied")
        if found is not None and not self._make_room(change, found):
            if change.operation is t.Operation.DELETED:
                return False
            raise _conflict([change.path], "it is a directory that holds other files")
        if change.operation is not t.Operation.DELETED:
            await self._put(change)
        return True

    def _make_room(self, change: t.Change, found: Entry) -> bool:
        """False where a directory is in the way that holds something."""
        stays = change.operation is not t.Operation.DELETED
        kinds = (found.kind, change.kind)
        if stays and (kinds[0] is kinds[1] or t.Kind.DIRECTORY not in kinds):
            return True
        return self._target.remove(change.path, found.kind)

    async def _put(self, change: t.Change) -> None:
        if change.kind is t.Kind.DIRECTORY:
            self._target.make_directory(change.path, change.mode)
        elif change.kind is t.Kind.SYMLINK:
            self._target.make_link(change.path, self._links[change.path])
        else:
            pieces = self._client.stream_sandbox_file(self._sandbox.id, change.path)
            with self._target.replacing(change.path, change.mode) as file:
                async for piece in pieces:
                    file.write(piece)


class _Base:
    """The snapshot that a sandbox began with."""

    def __init__(self, client: AsyncSandboxClient, sandbox: t.SandboxInfo) -> None:
        self._client = client
        self._sandbox = sandbox
        self._entries: Optional[Dict[str, t.FileInfo]] = None
        # Where the codebase has moved on: a fork without any change shows it.
        self._fork = ""

    async def entry(self, path: str) -> Optional[t.FileInfo]:
        if self._entries is None:
            self._entries = {info.path: info for info in await self._list()}
        return self._entries.get(path.lstrip("/"))

    async def _list(self) -> List[t.FileInfo]:
        codebase_id = self._sandbox.codebase_id
        codebase = await self._client.get_codebase(codebase_id)
        if codebase.head == self._sandbox.snapshot:
            return await self._client.list_files(codebase_id, recursive=True)
        self._fork = (await self._client.fork_sandbox(self._sandbox.id)).id
        await self._client.discard(self._fork)
        await self._client.start_sandbox(self._fork)
        return await self._client.list_sandbox_files(self._fork, recursive=True)

    async def digest(self, path: str) -> bytes:
        if self._fork:
            return await _digest(self._client.stream_sandbox_file(self._fork, path))
        return await _digest(self._client.stream_file(self._sandbox.codebase_id, path.lstrip("/")))

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if self._fork:
            fork = self._fork
            await attempt(lambda: self._client.destroy_sandbox(fork), f"remove {fork}", error)


async def _digest(pieces: AsyncFileStream) -> bytes:
    found = hashlib.sha256()
    async for piece in pieces:
        found.update(piece)
    return found.digest()


def _kind(info: t.FileInfo) -> t.Kind:
    if info.symlink_target is not None:
        return t.Kind.SYMLINK
    return t.Kind.DIRECTORY if info.is_dir else t.Kind.FILE


def _below(path: str, chosen: List[str]) -> bool:
    path = path.strip("/")
    return not chosen or any(c in ("", path) or path.startswith(c + "/") for c in chosen)


def _ordered(changes: List[t.Change]) -> List[t.Change]:
    """What goes first: deletions, the deepest before; then directories before what is in them."""
    gone = [c for c in changes if c.operation is t.Operation.DELETED]
    come = [c for c in changes if c.operation is not t.Operation.DELETED]
    return sorted(gone, key=lambda c: parts(c.path), reverse=True) + sorted(
        come, key=lambda c: parts(c.path)
    )


def _conflict(paths: List[str], why: str) -> SandboxError:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ConflictError(f"{', '.join(paths[:3])}{more}: {why}", paths=paths)
