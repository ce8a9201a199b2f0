"""The client's calls about sandboxes."""

import contextlib
import uuid
from typing import Iterable, List, Mapping, Optional

from .. import _check, _presets, _requests, _wire
from .. import _methods as methods
from .. import _types as t
from .._errors import SandboxNotFoundError
from .._failure import About
from .._gen import sandbox_pb2 as sb
from . import _exec, _undo
from ._connection import AsyncConnection
from ._exec import AsyncExecStream, Callback

_PAGE = 500
# Seconds until a sandbox has started or ended.
_START = 120.0


class AsyncSandboxCalls:
    """Create, use and destroy sandboxes."""

    _connection: AsyncConnection

    async def create_sandbox(
        self,
        codebase_id: str,
        permissions: Optional[_presets.PermissionsLike] = None,
        runtime: t.RuntimeType = t.RuntimeType.BWRAP,
        image: Optional[str] = None,
        resources: Optional[t.ResourceLimits] = None,
        labels: Optional[Mapping[str, str]] = None,
        expires_in: _wire.Seconds = None,
        *,
        preset: Optional[str] = None,
        commit_mode: t.CommitMode = t.CommitMode.MANUAL,
        start: bool = False,
        idle_timeout: _wire.Seconds = None,
        accept_losses: Optional[Iterable[str]] = None,
        strict: bool = False,
        seccomp_groups: Optional[Iterable[str]] = None,
    ) -> t.SandboxInfo:
        """Creates a sandbox with exactly these rules, after those of the preset if one is given.

        ``...`` among the permissions stands for the rules of the default preset;
        no rules at all mean the same. The sandbox is destroyed after
        ``expires_in``, and after ``idle_timeout`` without a call and a command.
        It does not start where the host lacks a protection that it needs, or with
        ``strict`` any at all, unless ``accept_losses`` names that.
        """
        given = _presets.listed(permissions)
        if preset is not None or not given or any(rule is ... for rule in given):
            rules = _presets.compose(preset, given)
        else:
            rules = _presets.own(given)
        request = _requests.create_sandbox(
            codebase_id,
            rules,
            runtime=runtime,
            image=image,
            resources=resources,
            labels=labels,
            expires_in=expires_in,
            idle_timeout=idle_timeout,
            commit_mode=commit_mode,
            accept_losses=accept_losses,
            strict=strict,
            seccomp_groups=seccomp_groups,
            request_id=uuid.uuid4().hex,
            start=start,
        )
        about = About(codebase_id=codebase_id)
        answer = await _undo.create(
            self._connection,
            methods.CREATE_SANDBOX,
            request,
            about,
            timeout=_START,
        )
        return _wire.sandbox_info(answer)

    async def get_sandbox(self, sandbox_id: str) -> t.SandboxInfo:
        answer = await self._connection.unary(
            methods.GET_SANDBOX,
            sb.GetSandboxRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            again=True,
        )
        return _wire.sandbox_info(answer)

    async def list_sandboxes(
        self, codebase_id: Optional[str] = None, *, labels: Optional[Mapping[str, str]] = None
    ) -> List[t.SandboxInfo]:
        """All sandboxes of the caller, or those of this codebase and with all these labels."""
        found: List[t.SandboxInfo] = []
        request = sb.ListSandboxesRequest(
            codebase_id=_check.maybe_text(codebase_id, "codebase_id"),
            page_size=_PAGE,
            labels=_check.words(labels, "labels"),
        )
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
            sb.StartSandboxRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )
        return _wire.sandbox_info(answer)

    async def stop_sandbox(self, sandbox_id: str) -> t.SandboxInfo:
        """Ends every process; the delta stays until the sandbox is destroyed."""
        answer = await self._connection.unary(
            methods.STOP_SANDBOX,
            sb.StopSandboxRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
            About(sandbox_id=sandbox_id),
            timeout=_START,
        )
        return _wire.sandbox_info(answer)

    async def destroy_sandbox(self, sandbox_id: str) -> None:
        """Ends the sandbox and drops its delta; one that is gone is no error."""
        with contextlib.suppress(SandboxNotFoundError):
            await self._connection.unary(
                methods.DESTROY_SANDBOX,
                sb.DestroySandboxRequest(sandbox_id=_check.text(sandbox_id, "sandbox_id")),
                About(sandbox_id=sandbox_id),
                timeout=_START,
                again=True,
            )

    async def exec(
        self,
        sandbox_id: str,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
        *,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
    ) -> t.ExecResult:
        """Runs a command to its end: a string in a shell, a list as it is.

        Without a timeout it may run forever.
        """
        limit = _wire.seconds(timeout)
        request = _requests.exec_request(
            sandbox_id, command, stdin=stdin, env=env, workdir=workdir, timeout=limit
        )
        job = _exec.command_job(request, limit)
        return await _exec.run(self._connection, job, on_stdout, on_stderr)

    def exec_stream(
        self,
        sandbox_id: str,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[_check.Path] = None,
        timeout: _wire.Seconds = None,
    ) -> AsyncExecStream:
        """Runs a command and iterates over its output; it starts with the first iteration."""
        limit = _wire.seconds(timeout)
        request = _requests.exec_request(
            sandbox_id, command, stdin=stdin, env=env, workdir=workdir, timeout=limit
        )
        return _exec.stream(self._connection, _exec.command_job(request, limit))
