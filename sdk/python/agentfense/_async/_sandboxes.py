"""The client's calls about sandboxes."""

import os
import uuid
from typing import AsyncIterator, Dict, Iterable, List, Optional, Union

from .. import _methods as methods
from .. import _presets, _wire
from .. import _types as t
from .._errors import InvalidConfigurationError
from .._failure import About
from .._gen import sandbox_pb2 as sb
from . import _exec
from ._codebases import Content, pieces
from ._connection import AsyncConnection
from ._exec import AsyncExecStream, Callback

_PAGE = 500
# Seconds until a sandbox has started or ended.
_START = 120.0


class AsyncSandboxCalls:
    """Create, run and destroy sandboxes; their files and their delta."""

    _connection: AsyncConnection

    async def create_sandbox(
        self,
        codebase_id: str,
        permissions: Optional[_presets.PermissionsLike] = None,
        runtime: t.RuntimeType = t.RuntimeType.BWRAP,
        image: Optional[str] = None,
        resources: Optional[t.ResourceLimits] = None,
        labels: Optional[Dict[str, str]] = None,
        expires_in: _wire.Seconds = None,
        *,
        preset: Optional[str] = None,
        commit_mode: t.CommitMode = t.CommitMode.MANUAL,
        start: bool = False,
    ) -> t.SandboxInfo:
        """Creates a sandbox with exactly these rules, after those of the preset if one is given.

        ``...`` among the permissions stands for the rules of the default preset;
        no rules at all mean the same.
        """
        given = list(permissions or ())
        if preset is not None or not given or any(rule is ... for rule in given):
            rules = _presets.compose(preset, given)
        else:
            rules = [t.PermissionRule.of(rule) for rule in given if rule is not ...]
        request = _wire.create_sandbox(
            codebase_id,
            rules,
            runtime=runtime,
            image=image,
            resources=resources,
            labels=labels,
            expires_in=expires_in,
            commit_mode=commit_mode,
            request_id=uuid.uuid4().hex,
            start=start,
        )
        answer = await self._connection.unary(
            methods.CREATE_SANDBOX,
            request,
            About(codebase_id=codebase_id),
            timeout=_START,
            again=True,
        )
        return _wire.sandbox_info(answer)

    async def get_sandbox(self, sandbox_id: str) -> t.SandboxInfo:
        answer = await self._connection.unary(
            methods.GET_SANDBOX,
            sb.GetSandboxRequest(sandbox_id=sandbox_id),
            About(sandbox_id=sandbox_id),
            again=True,
        )
        return _wire.sandbox_info(answer)

    async def list_sandboxes(
        self, codebase_id: Optional[str] = None, *, labels: Optional[Dict[str, str]] = None
    ) -> List[t.SandboxInfo]:
        """All sandboxes of the caller, or those of this codebase and with all these labels."""
        found: List[t.SandboxInfo] = []
        request = sb.ListSandboxesRequest(codebase_id=codebase_id, page_size=_PAGE, labels=labels)
        while True:
            answer = await self._connection.unary(
                methods.LIST_SANDBOXES, request, About(), again=True
            )
            found.extend(_wire.sandbox_info(message) for message in answer.sandboxes)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def start_sandbox(self, sandbox_id: str) -> t.SandboxInfo:
        answer = await self._connection.unary(
            methods.START_SANDBOX,
            sb.StartSandboxRequest(sandbox_id=sandbox_id),
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )
        return _wire.sandbox_info(answer)

    async def stop_sandbox(self, sandbox_id: str) -> t.SandboxInfo:
        """Ends every process; the delta stays until the sandbox is destroyed."""
        answer = await self._connection.unary(
            methods.STOP_SANDBOX,
            sb.StopSandboxRequest(sandbox_id=sandbox_id),
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )
        return _wire.sandbox_info(answer)

    async def destroy_sandbox(self, sandbox_id: str) -> None:
        """Ends the sandbox and drops its delta. One that is gone is SandboxNotFoundError."""
        await self._connection.unary(
            methods.DESTROY_SANDBOX,
            sb.DestroySandboxRequest(sandbox_id=sandbox_id),
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )

    async def exec(
        self,
        sandbox_id: str,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        timeout: _wire.Seconds = None,
        *,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
    ) -> t.ExecResult:
        """Runs a command to its end: a string in a shell, a list as it is.

        Without a timeout it may run forever.
        """
        limit = _wire.seconds(timeout)
        request = _wire.exec_request(
            sandbox_id, command, stdin=stdin, env=env, workdir=workdir, timeout=limit
        )
        return await _exec.run(self._connection, request, command, limit, on_stdout, on_stderr)

    def exec_stream(
        self,
        sandbox_id: str,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        timeout: _wire.Seconds = None,
    ) -> AsyncExecStream:
        """Runs a command and iterates over its output; it starts with the first iteration."""
        limit = _wire.seconds(timeout)
        request = _wire.exec_request(
            sandbox_id, command, stdin=stdin, env=env, workdir=workdir, timeout=limit
        )
        return _exec.stream(self._connection, request, command, limit)

    async def read_sandbox_file(self, sandbox_id: str, path: str) -> bytes:
        """A file as the running sandbox sees it."""
        raw = _wire.path_bytes(path)
        request = sb.ReadFileRequest(sandbox_id=sandbox_id, path=raw)
        data: List[bytes] = []
        about = About(sandbox_id=sandbox_id, path=os.fsdecode(raw), operation="read")
        async for chunk in self._connection.answers(methods.READ_FILE, request, about):
            data.append(chunk.data)
        return b"".join(data)

    async def write_sandbox_file(
        self, sandbox_id: str, path: str, content: Content, *, mode: int = 0
    ) -> t.FileInfo:
        """Writes a file into the running sandbox's delta; missing directories are created."""
        raw = _wire.path_bytes(path)

        async def steps() -> AsyncIterator[sb.WriteFileRequest]:
            start = sb.WriteFileRequest.Start(sandbox_id=sandbox_id, path=raw, mode=mode)
            yield sb.WriteFileRequest(start=start)
            async for piece in pieces(content):
                yield sb.WriteFileRequest(data=piece)

        about = About(sandbox_id=sandbox_id, path=os.fsdecode(raw), operation="write")
        return _wire.file_info(await self._connection.send(methods.WRITE_FILE, steps(), about))

    async def list_sandbox_files(
        self, sandbox_id: str, path: str = "", recursive: bool = False
    ) -> List[t.FileInfo]:
        """What lies in a directory as the running sandbox sees it."""
        raw = _wire.path_bytes(path)
        answer = await self._connection.unary(
            methods.LIST_SANDBOX_FILES,
            sb.ListSandboxFilesRequest(sandbox_id=sandbox_id, path=raw, recursive=recursive),
            About(sandbox_id=sandbox_id, path=os.fsdecode(raw), operation="list"),
        )
        return [_wire.file_info(message) for message in answer.files]

    async def diff(self, sandbox_id: str) -> List[t.Change]:
        """What the sandbox changed, in the order of the paths."""
        answer = await self._connection.unary(
            methods.DIFF, sb.DiffRequest(sandbox_id=sandbox_id), About(sandbox_id=sandbox_id)
        )
        return [_wire.change(message) for message in answer.changes]

    async def commit(
        self, sandbox_id: str, paths: Union[str, Iterable[str], None] = None
    ) -> t.CommitResult:
        """Applies the permitted changes, or those at and below ``paths``, as one snapshot."""
        request = sb.CommitRequest(sandbox_id=sandbox_id)
        if paths is not None:
            request.paths.extend(_wire.path_bytes(path) for path in _wire.several(paths))
            if not request.paths:
                raise InvalidConfigurationError("paths is empty: leave it out to commit all")
        answer = await self._connection.unary(
            methods.COMMIT, request, About(sandbox_id=sandbox_id), timeout=_START
        )
        return _wire.commit_result(answer)
