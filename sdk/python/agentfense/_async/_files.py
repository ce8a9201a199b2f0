"""The client's calls about the files of a running sandbox, and content on its way."""

import io
import os
import stat
from typing import IO, Any, AsyncIterator, Callable, Iterable, List, Optional, Union

from .. import _check, _wire, _wire_work
from .. import _methods as methods
from .. import _types as t
from .._failure import About
from .._gen import file_pb2 as fl
from .._gen import sandbox_pb2 as sb
from .._work import FileEvent, Progress
from . import _flavor
from ._answers import AsyncAnswers, AsyncAnswerStream
from ._connection import AsyncConnection

_CHUNK = 256 << 10

Whole = Union[bytes, bytearray, memoryview, IO[bytes], Iterable[bytes]]
Content = Union[str, Whole]
_CONTENT = "str, bytes, an open binary file or an iterable of bytes"
OnProgress = Optional[Callable[[Progress], object]]


async def pieces(content: Whole, on_progress: OnProgress = None) -> AsyncIterator[bytes]:
    """Bytes, an open binary file or an iterable of bytes, in pieces of bounded size."""
    done, total = 0, size_of(content)
    if total is None and on_progress is not None:
        total = _left_in(content)
    for piece in _cut(content):
        yield piece
        done += len(piece)
        await _flavor.notify(on_progress, Progress(done, total))


def size_of(content: Whole) -> Optional[int]:
    """How many bytes there are, where that is known before they are read."""
    if isinstance(content, (bytes, bytearray)):
        return len(content)
    return content.nbytes if isinstance(content, memoryview) else None


def _left_in(content: Any) -> Optional[int]:
    """How much of an open file is still to be read; what decompresses is not asked."""
    if isinstance(content, io.BytesIO):
        return max(0, content.getbuffer().nbytes - content.tell())
    raw = getattr(content, "raw", content)
    if not isinstance(raw, io.FileIO):
        return None
    status = os.fstat(raw.fileno())
    return max(0, status.st_size - content.tell()) if stat.S_ISREG(status.st_mode) else None


def checked(content: Content, name: str = "content") -> Whole:
    """The content itself, text as bytes; an error for what is none."""
    if isinstance(content, str):
        return _check.data(content, name)
    unordered = isinstance(content, (dict, set, frozenset))
    if unordered or not (hasattr(content, "read") or isinstance(content, (memoryview, Iterable))):
        raise _check.wrong(content, name, _CONTENT)
    _check.readable(content, name)
    return content


def _bytes(part: Any) -> Any:
    if not isinstance(part, (bytes, bytearray, memoryview)):
        raise _check.wrong(part, "a piece of the content", "bytes: open a file in binary mode")
    return part


def _cut(content: Whole) -> Iterable[bytes]:
    read: Any = getattr(content, "read", None)
    if read is not None:
        yield from iter(lambda: bytes(_bytes(read(_CHUNK))), b"")
        return
    whole: Any = content
    if isinstance(whole, (bytes, bytearray, memoryview)):
        whole = [whole]
    for part in whole:
        view = memoryview(_bytes(part))
        view = view.cast("B") if view.c_contiguous else memoryview(bytes(view))
        for first in range(0, len(view), _CHUNK):
            yield bytes(view[first : first + _CHUNK])


class AsyncFileStream(AsyncAnswerStream):
    """Iterates over a file's content in pieces; a file of any size costs no memory."""

    async def __anext__(self) -> bytes:
        async for chunk in self._answers:
            data: bytes = chunk.data
            return data
        raise StopAsyncIteration


class AsyncFileWatch(AsyncAnswerStream):
    """Iterates over the changes below a directory as the sandbox makes them.

    From the begin of its ``with`` block, or else from the first iteration on,
    nothing is missed. Leaving the block ends it.
    """

    def __init__(self, answers: AsyncAnswers[fl.FileEvent], about: About) -> None:
        super().__init__(answers)
        self._about = about

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._about.path!r} in {self._about.sandbox_id}>"

    async def __anext__(self) -> FileEvent:
        async for message in self._answers:
            event = _wire_work.file_event(message)
            if event is not None:
                return event
        raise StopAsyncIteration

    async def __aenter__(self) -> "AsyncFileWatch":
        await self._answers.__anext__()
        return self


class AsyncFileCalls:
    """Files as the running sandbox sees them: "x", "/x" and "/workspace/x" are the same."""

    _connection: AsyncConnection

    def stream_sandbox_file(self, sandbox_id: str, path: _check.Path) -> AsyncFileStream:
        """A file's content in pieces; a file of any size costs no memory."""
        raw = _check.path(path)
        request = sb.ReadFileRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id"), path=raw)
        about = _about(sandbox_id, raw, "read")
        answers = self._connection.answers(methods.READ_FILE, request, about, again=True)
        return AsyncFileStream(answers)

    async def read_sandbox_file(self, sandbox_id: str, path: _check.Path) -> bytes:
        """A file as the running sandbox sees it."""
        data: List[bytes] = []
        async for piece in self.stream_sandbox_file(sandbox_id, path):
            data.append(piece)
        return b"".join(data)

    async def write_sandbox_file(
        self,
        sandbox_id: str,
        path: _check.Path,
        content: Content,
        *,
        mode: int = 0,
        on_progress: OnProgress = None,
    ) -> t.FileInfo:
        """Writes a file into the running sandbox's delta; missing directories are created."""
        raw = _check.path(path)
        whole = checked(content)
        _flavor.callback(on_progress, "on_progress")
        start = sb.WriteFileRequest.Start(
            sandbox_id=_check.text(sandbox_id, "sandbox_id"),
            path=raw,
            mode=_check.mode(mode),
        )

        async def steps() -> AsyncIterator[sb.WriteFileRequest]:
            yield sb.WriteFileRequest(start=start)
            async for piece in pieces(whole, on_progress):
                yield sb.WriteFileRequest(data=piece)

        about = _about(sandbox_id, raw, "write")
        return _wire.file_info(await self._connection.send(methods.WRITE_FILE, steps(), about))

    async def list_sandbox_files(
        self, sandbox_id: str, path: _check.Path = "", recursive: bool = False
    ) -> List[t.FileInfo]:
        """What lies in a directory as the running sandbox sees it."""
        raw = _check.path(path)
        answer = await self._connection.unary(
            methods.LIST_SANDBOX_FILES,
            sb.ListSandboxFilesRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                path=raw,
                recursive=_check.flag(recursive, "recursive"),
            ),
            _about(sandbox_id, raw, "list"),
            again=True,
        )
        return [_wire.file_info(message) for message in answer.files]

    async def stat_sandbox_file(self, sandbox_id: str, path: _check.Path) -> t.FileInfo:
        raw = _check.path(path)
        answer = await self._connection.unary(
            methods.STAT_FILE,
            fl.StatFileRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id"), path=raw),
            _about(sandbox_id, raw, "stat"),
            again=True,
        )
        return _wire.file_info(answer)

    async def remove_sandbox_file(
        self, sandbox_id: str, path: _check.Path, recursive: bool = False
    ) -> None:
        """Removes a file or a directory, with ``recursive`` one that is not empty as well."""
        raw = _check.path(path)
        await self._connection.unary(
            methods.REMOVE_FILE,
            fl.RemoveFileRequest(
                sandbox_id=_check.text(sandbox_id, "sandbox_id"),
                path=raw,
                recursive=_check.flag(recursive, "recursive"),
            ),
            _about(sandbox_id, raw, "remove"),
        )

    async def rename_sandbox_file(
        self, sandbox_id: str, path: _check.Path, to: _check.Path
    ) -> None:
        """Renames a file or a directory; a file at ``to`` is replaced."""
        raw = _check.path(path)
        request = fl.RenameFileRequest(
            sandbox_id=_check.text(sandbox_id, "sandbox_id"), to=_check.path(to, "to")
        )
        setattr(request, "from", raw)
        about = _about(sandbox_id, raw, "rename")
        await self._connection.unary(methods.RENAME_FILE, request, about)

    async def make_sandbox_directory(self, sandbox_id: str, path: _check.Path) -> t.FileInfo:
        """Makes a directory and its missing parents; one that is there is no error."""
        raw = _check.path(path)
        answer = await self._connection.unary(
            methods.MAKE_DIRECTORY,
            fl.MakeDirectoryRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id"), path=raw),
            _about(sandbox_id, raw, "create"),
            again=True,
        )
        return _wire.file_info(answer)

    def watch_sandbox_files(
        self, sandbox_id: str, path: _check.Path = "", recursive: bool = False
    ) -> AsyncFileWatch:
        """The changes below a directory as the sandbox makes them."""
        raw = _check.path(path)
        request = fl.WatchFilesRequest(
            sandbox_id=_check.text(sandbox_id, "sandbox_id"),
            path=raw,
            recursive=_check.flag(recursive, "recursive"),
        )
        about = _about(sandbox_id, raw, "watch")
        return AsyncFileWatch(self._connection.answers(methods.WATCH_FILES, request, about), about)


def _about(sandbox_id: str, path: bytes, operation: str) -> About:
    return About(sandbox_id=sandbox_id, path=os.fsdecode(path), operation=operation)
