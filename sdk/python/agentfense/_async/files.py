"""A sandbox's files as an object: sandbox.files."""

from typing import IO, List

from .. import _check
from .. import _types as t
from .._errors import FileNotFoundError
from .._handle import Handle
from .._work import Progress
from . import _flavor
from ._files import AsyncFileStream, AsyncFileWatch, Content, OnProgress
from ._object import AsyncSandboxObject


class AsyncSandboxFiles(Handle):
    """The files as the running sandbox sees them.

    "x", "/x" and "/workspace/x" are the same. What is blocked is
    PermissionDeniedError, what is hidden FileNotFoundError.
    """

    _elsewhere = "pass the sandbox's id, and use Sandbox.connect(id) there"

    def __init__(self, sandbox: AsyncSandboxObject) -> None:
        self._sandbox = sandbox

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._sandbox.id}>"

    async def read(
        self, path: _check.Path, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> str:
        _check.codec(encoding, errors)
        return (await self.read_bytes(path)).decode(encoding, errors)

    async def read_bytes(self, path: _check.Path) -> bytes:
        return await self._sandbox._live().read_sandbox_file(self._sandbox.id, path)

    def stream(self, path: _check.Path) -> AsyncFileStream:
        """The content in pieces, for files of any size."""
        return self._sandbox._live().stream_sandbox_file(self._sandbox.id, path)

    async def read_into(
        self, path: _check.Path, file: IO[bytes], *, on_progress: OnProgress = None
    ) -> int:
        """Copies the content into an open binary file; returns how many bytes there were."""
        _check.writable(file, "file")
        _flavor.callback(on_progress, "on_progress")
        done, total = 0, None
        if on_progress is not None:
            found = await self.stat(path)
            total = found.size if found.symlink_target is None else None
        pieces = self.stream(path)
        try:
            async for piece in pieces:
                file.write(piece)
                done += len(piece)
                await _flavor.notify(on_progress, Progress(done, total))
        finally:
            await pieces.aclose()
        return done

    async def write(
        self, path: _check.Path, content: Content, *, mode: int = 0, on_progress: OnProgress = None
    ) -> t.FileInfo:
        """Writes text, bytes, an open binary file or an iterable of bytes.

        Missing directories are created. A mode of 0 keeps an existing file's and
        is 0644 for a new one.
        """
        return await self._sandbox._live().write_sandbox_file(
            self._sandbox.id, path, content, mode=mode, on_progress=on_progress
        )

    async def list(self, path: _check.Path = "", recursive: bool = False) -> List[t.FileInfo]:
        return await self._sandbox._live().list_sandbox_files(self._sandbox.id, path, recursive)

    async def stat(self, path: _check.Path) -> t.FileInfo:
        """What is at the path; a symbolic link is not followed."""
        return await self._sandbox._live().stat_sandbox_file(self._sandbox.id, path)

    async def exists(self, path: _check.Path) -> bool:
        """Whether the sandbox sees something there, be it a link that leads nowhere."""
        try:
            await self.stat(path)
        except FileNotFoundError:
            return False
        return True

    async def remove(self, path: _check.Path, recursive: bool = False) -> None:
        """Removes a file or a directory, with ``recursive`` one that is not empty as well."""
        await self._sandbox._live().remove_sandbox_file(self._sandbox.id, path, recursive)

    async def rename(self, path: _check.Path, to: _check.Path) -> None:
        """Renames a file or a directory; a file at ``to`` is replaced."""
        await self._sandbox._live().rename_sandbox_file(self._sandbox.id, path, to)

    async def make_dir(self, path: _check.Path) -> t.FileInfo:
        """Makes a directory and its missing parents; one that is there is no error."""
        return await self._sandbox._live().make_sandbox_directory(self._sandbox.id, path)

    def watch(self, path: _check.Path = "", recursive: bool = False) -> AsyncFileWatch:
        """Iterates over the changes below a directory as the sandbox makes them."""
        return self._sandbox._live().watch_sandbox_files(self._sandbox.id, path, recursive)
