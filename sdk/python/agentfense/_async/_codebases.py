"""The client's calls about codebases."""

import contextlib
import os
import uuid
from typing import AsyncIterator, Iterable, List, Optional

from .. import _check, _presets, _wire
from .. import _methods as methods
from .. import _types as t
from .._errors import CodebaseNotFoundError, InvalidConfigurationError
from .._failure import About
from .._gen import codebase_pb2 as cb
from . import _flavor, _undo, _upload
from ._connection import AsyncConnection
from ._files import AsyncFileStream, Content, OnProgress, checked, pieces, size_of

_PAGE = 500


def check_directory(path: _check.Path) -> str:
    """The path as text; a ValueError if it is not a directory that can be read."""
    directory = os.fsdecode(_check.path(path))
    if not os.path.exists(directory):
        raise InvalidConfigurationError(f"path {directory!r} does not exist")
    if not os.path.isdir(directory):
        raise InvalidConfigurationError(f"path {directory!r} is not a directory")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise InvalidConfigurationError(f"path {directory!r} may not be read")
    return directory


class AsyncCodebaseCalls:
    """Create, fill, read and delete codebases."""

    _connection: AsyncConnection

    async def create_codebase(
        self,
        name: str,
        owner_id: Optional[str] = None,
        *,
        idle_timeout: _wire.Seconds = None,
    ) -> t.Codebase:
        """Creates an empty codebase. It stays until it is deleted.

        With ``idle_timeout`` it is deleted after that time without a call that
        names it and without a sandbox of it.
        """
        request = cb.CreateCodebaseRequest(
            name=_check.text(name, "name"),
            owner_id=_check.maybe_text(owner_id, "owner_id"),
            request_id=uuid.uuid4().hex,
        )
        idle = _wire.seconds(idle_timeout, "idle_timeout")
        if idle is not None:
            _wire.set_duration(request.idle_timeout, idle)
        answer = await _undo.create(self._connection, methods.CREATE_CODEBASE, request, About())
        return _wire.codebase(answer)

    async def get_codebase(self, codebase_id: str) -> t.Codebase:
        answer = await self._connection.unary(
            methods.GET_CODEBASE,
            cb.GetCodebaseRequest(codebase_id=_check.text(codebase_id, "codebase_id")),
            About(codebase_id=codebase_id),
            again=True,
        )
        return _wire.codebase(answer)

    async def list_codebases(self, owner_id: Optional[str] = None) -> List[t.Codebase]:
        """All codebases of the caller, or those with this owner_id."""
        found: List[t.Codebase] = []
        request = cb.ListCodebasesRequest(
            owner_id=_check.maybe_text(owner_id, "owner_id"), page_size=_PAGE
        )
        while True:
            answer = await self._connection.unary(
                methods.LIST_CODEBASES, request, About(), again=True
            )
            found.extend(_wire.codebase(message) for message in answer.codebases)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def keep_codebase(self, codebase_id: str) -> t.Codebase:
        """Ends the codebase's ``idle_timeout``: it stays until it is deleted."""
        answer = await self._connection.unary(
            methods.KEEP_CODEBASE,
            cb.KeepCodebaseRequest(codebase_id=_check.text(codebase_id, "codebase_id")),
            About(codebase_id=codebase_id),
            again=True,
        )
        return _wire.codebase(answer)

    async def delete_codebase(self, codebase_id: str) -> None:
        """Deletes the codebase; one that is gone is no error.

        Sandboxes made from it keep their snapshot.
        """
        with contextlib.suppress(CodebaseNotFoundError):
            await self._connection.unary(
                methods.DELETE_CODEBASE,
                cb.DeleteCodebaseRequest(codebase_id=_check.text(codebase_id, "codebase_id")),
                About(codebase_id=codebase_id),
                again=True,
            )

    async def upload_directory(
        self,
        codebase_id: str,
        path: _check.Path,
        *,
        permissions: Optional[Iterable[t.RuleLike]] = None,
        ignore_patterns: Optional[Iterable[str]] = None,
        on_progress: OnProgress = None,
    ) -> t.Codebase:
        """Makes the directory the codebase's next snapshot.

        What the rules hide is left out; without rules nothing is hidden. The
        result's ``ingest`` tells what went in and what did not.
        """
        rules = _presets.own(permissions)
        directory = check_directory(path)
        return await _upload.upload_directory(
            self._connection, codebase_id, directory, rules, ignore_patterns, on_progress
        )

    async def upload_file(
        self,
        codebase_id: str,
        file_path: _check.Path,
        content: Content,
        *,
        mode: int = 0,
        on_progress: OnProgress = None,
    ) -> t.UploadResult:
        """Stores one file. A mode of 0 keeps an existing file's and is 0644 for a new one."""
        path = _check.path(file_path, "file_path")
        whole = checked(content)
        _flavor.callback(on_progress, "on_progress")
        metadata = cb.UploadChunk.Metadata(
            codebase_id=_check.text(codebase_id, "codebase_id"),
            file_path=path.decode("utf-8", "replace"),
            file_path_bytes=path,
            mode=_check.mode(mode),
            total_size=size_of(whole) or 0,
        )

        async def chunks() -> AsyncIterator[cb.UploadChunk]:
            yield cb.UploadChunk(metadata=metadata)
            async for piece in pieces(whole, on_progress):
                yield cb.UploadChunk(data=piece)

        about = About(codebase_id=codebase_id, path=os.fsdecode(path), operation="upload")
        answer = await self._connection.send(methods.UPLOAD_FILES, chunks(), about)
        return _wire.upload_result(answer)

    def stream_file(self, codebase_id: str, file_path: _check.Path) -> AsyncFileStream:
        """A file's content in pieces; a file of any size costs no memory."""
        path = _check.path(file_path, "file_path")
        request = cb.DownloadFileRequest(
            codebase_id=_check.text(codebase_id, "codebase_id"),
            file_path=path.decode("utf-8", "replace"),
            file_path_bytes=path,
        )
        about = About(codebase_id=codebase_id, path=os.fsdecode(path), operation="read")
        answers = self._connection.answers(methods.DOWNLOAD_FILE, request, about, again=True)
        return AsyncFileStream(answers)

    async def download_file(self, codebase_id: str, file_path: _check.Path) -> bytes:
        """The file's content in the codebase's newest snapshot."""
        data: List[bytes] = []
        async for piece in self.stream_file(codebase_id, file_path):
            data.append(piece)
        return b"".join(data)

    async def list_files(
        self, codebase_id: str, path: _check.Path = "", recursive: bool = False
    ) -> List[t.FileInfo]:
        """What lies in a directory of the codebase's newest snapshot."""
        raw = _check.path(path)
        request = cb.ListFilesRequest(
            codebase_id=_check.text(codebase_id, "codebase_id"),
            path=raw.decode("utf-8", "replace"),
            path_bytes=raw,
            recursive=_check.flag(recursive, "recursive"),
        )
        about = About(codebase_id=codebase_id, path=os.fsdecode(raw), operation="list")
        answer = await self._connection.unary(methods.LIST_FILES, request, about, again=True)
        return [_wire.file_info(message) for message in answer.files]
