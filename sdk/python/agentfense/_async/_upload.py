"""A local directory becomes a codebase's next snapshot, read by the server or sent to it."""

import os
from typing import AsyncIterator, Iterable, List, Optional, Sequence

from .. import _check, _requests, _walk
from .. import _errors as errors
from .. import _methods as methods
from .._errors import UploadError
from .._failure import About
from .._gen import codebase_pb2 as cb
from .._reduce import IngestReducer, TreeReducer, ingested
from .._types import Codebase, PermissionRule
from .._work import Progress
from . import _flavor
from ._connection import AsyncConnection
from ._files import OnProgress

_ATTEMPTS = 5
_DIGEST_BATCH = 4096


async def upload_directory(
    connection: AsyncConnection,
    codebase_id: str,
    path: str,
    rules: Sequence[PermissionRule],
    ignore_patterns: Optional[Iterable[str]],
    on_progress: OnProgress = None,
) -> Codebase:
    """Stores the directory; what the rules hide never leaves it.

    Over a unix socket the server reads the directory itself, as the caller.
    Where it cannot see the same directory, the content that it lacks is sent.
    """
    _flavor.callback(on_progress, "on_progress")
    options = cb.IngestOptions(
        permissions=_requests.rules_out(rules),
        ignore_patterns=_check.several(ignore_patterns, "ignore_patterns"),
    )
    about = About(codebase_id=codebase_id, path=path, operation="upload")
    if connection.endpoint.socket_path:
        try:
            return await _ingest(connection, codebase_id, path, options, about, on_progress)
        except errors.NotSupportedError:
            pass
        except errors.SandboxError as e:
            if e.reason not in ("DIRECTORY_MISMATCH", "LOCAL_ONLY"):
                raise
    return await _upload(connection, codebase_id, path, options, about, on_progress)


async def _ingest(
    connection: AsyncConnection,
    codebase_id: str,
    path: str,
    options: cb.IngestOptions,
    about: About,
    on_progress: OnProgress,
) -> Codebase:
    directory = os.path.realpath(path)
    st = os.stat(directory)
    request = cb.IngestDirectoryRequest(
        codebase_id=_check.text(codebase_id, "codebase_id"),
        directory=os.fsencode(directory),
        device=st.st_dev,
        inode=st.st_ino,
        options=options,
    )
    reducer = IngestReducer()
    async for progress in connection.answers(methods.INGEST_DIRECTORY, request, about):
        reducer.feed(progress)
        done = progress.result.bytes or progress.bytes_read
        files = progress.result.files or progress.files
        await _flavor.notify(on_progress, Progress(done, files=files))
    return reducer.codebase()


async def _upload(
    connection: AsyncConnection,
    codebase_id: str,
    path: str,
    options: cb.IngestOptions,
    about: About,
    on_progress: OnProgress,
) -> Codebase:
    root = os.fsencode(os.path.realpath(path))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            walk = await _flavor.paced(_walk.walk(root))
            return await _Upload(connection, codebase_id, walk, options, about, on_progress).run()
        except _walk.Changed as e:
            if attempt == _ATTEMPTS:
                name = os.fsdecode(e.path)
                message = f"cannot read {name}: it keeps changing"
                raise UploadError(message, codebase_id=codebase_id, file_path=name) from None
        except UploadError as e:
            e.codebase_id = codebase_id
            raise
    raise AssertionError("not reached")


class _Upload:
    """One attempt at UploadTree: manifest, wanted, digests, missing, contents."""

    def __init__(
        self,
        connection: AsyncConnection,
        codebase_id: str,
        walk: _walk.Walk,
        options: cb.IngestOptions,
        about: About,
        on_progress: OnProgress,
    ) -> None:
        self._connection = connection
        self._codebase_id = codebase_id
        self._options = options
        self._about = about
        self._on_progress = on_progress
        self._walk = walk
        # Lists that the server sent; None means that it will send no more.
        self._lists: _flavor.Mailbox[Optional[List[int]]] = _flavor.Mailbox()
        self._failure: Optional[BaseException] = None

    async def run(self) -> Codebase:
        reducer = TreeReducer()
        answers = self._connection.converse(methods.UPLOAD_TREE, self._requests(), self._about)
        try:
            async for answer in answers:
                complete = reducer.feed(answer)
                if complete is not None:
                    await self._lists.put(complete)
        except errors.SandboxError:
            # What went wrong while reading files is the cause, not the call's end.
            if self._failure is None:
                raise
        finally:
            await answers.aclose()
            await self._lists.put(None)
        if self._failure is not None:
            raise self._failure
        if reducer.result is None:
            raise UploadError("the server ended the upload without a result")
        return ingested(reducer.result)

    async def _requests(self) -> AsyncIterator[cb.UploadTreeRequest]:
        """The requests; a failure to read ends them and is kept for run."""
        try:
            async for request in self._steps():
                yield request
        except _flavor.LEAVING:
            raise
        except BaseException as e:
            self._failure = e

    async def _steps(self) -> AsyncIterator[cb.UploadTreeRequest]:
        walk = self._walk
        start = cb.UploadTreeRequest.Start(codebase_id=self._codebase_id, options=self._options)
        yield cb.UploadTreeRequest(start=start)
        for message in _walk.manifest(walk.entries):
            yield message
        wanted = await self._lists.get()
        if wanted is None:
            return
        known = {}
        for first in range(0, max(len(wanted), 1), _DIGEST_BATCH):
            batch = wanted[first : first + _DIGEST_BATCH]
            for index in batch:
                known[index] = await _flavor.paced(_walk.digest(walk.root, walk.entries[index]))
            last = first + _DIGEST_BATCH >= len(wanted)
            yield _walk.digests([known[index] for index in batch], last)
        missing = await self._lists.get() or []
        done, total = 0, sum(walk.entries[index].size for index in missing)
        for files, index in enumerate(missing, 1):
            for message in _walk.contents(walk.root, walk.entries[index], known[index]):
                yield message
                done += len(message.content.data)
                await _flavor.notify(self._on_progress, Progress(done, total, files))
