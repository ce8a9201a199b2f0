"""A sandbox as an object: made from a directory or a codebase, gone after its with block."""

import contextlib
from dataclasses import replace
from typing import Any, Awaitable, Callable, Iterable, List, Mapping, Optional, Type, TypeVar

from .. import _check, _presets, _requests, _wire
from .. import _types as t
from .._enums import SandboxStatus
from .._errors import CodebaseNotFoundError
from .._reduce import name_of
from . import _flavor
from ._changes import AsyncSandboxChanges
from ._cleanup import closed_on_failure, remove_all, remove_codebase
from ._codebases import check_directory
from ._commands import AsyncSandboxCommands
from ._files import OnProgress
from ._undo import leave
from .client import AsyncSandboxClient

S = TypeVar("S", bound="AsyncSandbox")


class _Wish:
    """What a sandbox shall be, apart from its codebase.

    What cannot be sent is an error here, before anything is created.
    """

    def __init__(self, rules: List[t.PermissionRule], **options: Any) -> None:
        _requests.create_sandbox("", rules, **options)
        self.rules = rules
        self.options = options


class AsyncSandbox(AsyncSandboxCommands, AsyncSandboxChanges):
    """One sandbox. Make one with from_local, from_codebase or connect.

    In a ``with`` block it is destroyed at the end, and so is the codebase that
    from_local made. A sandbox that was connected to is left running.
    """

    @classmethod
    def from_local(
        cls: Type[S],
        path: _check.Path,
        preset: Optional[str] = _presets.DEFAULT_PRESET,
        permissions: Optional[_presets.PermissionsLike] = None,
        runtime: t.RuntimeType = t.RuntimeType.BWRAP,
        image: Optional[str] = None,
        resources: Optional[t.ResourceLimits] = None,
        endpoint: Optional[_check.Path] = None,
        secure: bool = False,
        owner_id: Optional[str] = None,
        codebase_name: Optional[str] = None,
        ignore_patterns: Optional[Iterable[str]] = None,
        labels: Optional[Mapping[str, str]] = None,
        auto_start: bool = True,
        *,
        on_progress: OnProgress = None,
        expires_in: _wire.Seconds = None,
        idle_timeout: _wire.Seconds = _requests.DEFAULT_IDLE,
        commit_mode: t.CommitMode = t.CommitMode.MANUAL,
        accept_losses: Optional[Iterable[str]] = None,
        strict: bool = False,
        seccomp_groups: Optional[Iterable[str]] = None,
    ) -> "_flavor.Opening[S]":
        """A sandbox that sees a copy of the directory, as the rules allow.

        The preset's rules come first, ``permissions`` after them. What they hide
        never leaves the directory. A bad path is a ValueError before anything is
        created; a failure on the way removes what was created.

        The other arguments are those of SandboxClient.create_sandbox. If this
        program is killed, the sandbox goes after ``idle_timeout`` without a call
        and a command, None is never; and the codebase as long after its last
        sandbox.
        """
        directory = check_directory(path)
        rules = _presets.compose(preset, permissions)
        wish = _Wish(
            rules,
            runtime=runtime,
            image=image,
            resources=resources,
            labels=_check.words(labels, "labels"),
            start=_check.flag(auto_start, "auto_start"),
            expires_in=expires_in,
            idle_timeout=idle_timeout,
            commit_mode=commit_mode,
            accept_losses=_check.several(accept_losses, "accept_losses"),
            strict=strict,
            seccomp_groups=_check.several(seccomp_groups, "seccomp_groups"),
        )
        name = _check.maybe_text(codebase_name, "codebase_name") or name_of(directory)
        _check.maybe_text(owner_id, "owner_id")
        ignored = _check.several(ignore_patterns, "ignore_patterns")
        _flavor.callback(on_progress, "on_progress")
        client = AsyncSandboxClient(endpoint, secure)

        async def stored() -> t.Codebase:
            made = await client.create_codebase(
                name,
                owner_id,
                idle_timeout=_requests.DEFAULT_IDLE if idle_timeout is None else idle_timeout,
            )
            try:
                return await client.upload_directory(
                    made.id,
                    directory,
                    permissions=rules,
                    ignore_patterns=ignored,
                    on_progress=on_progress,
                )
            except BaseException as e:
                await remove_codebase(client, made.id, e)
                raise

        return _flavor.Opening(cls._make(client, stored, wish, owns_codebase=True))

    @classmethod
    def from_codebase(
        cls: Type[S],
        codebase_id: str,
        preset: Optional[str] = _presets.DEFAULT_PRESET,
        permissions: Optional[_presets.PermissionsLike] = None,
        runtime: t.RuntimeType = t.RuntimeType.BWRAP,
        image: Optional[str] = None,
        resources: Optional[t.ResourceLimits] = None,
        endpoint: Optional[_check.Path] = None,
        secure: bool = False,
        labels: Optional[Mapping[str, str]] = None,
        auto_start: bool = True,
        *,
        expires_in: _wire.Seconds = None,
        idle_timeout: _wire.Seconds = _requests.DEFAULT_IDLE,
        commit_mode: t.CommitMode = t.CommitMode.MANUAL,
        accept_losses: Optional[Iterable[str]] = None,
        strict: bool = False,
        seccomp_groups: Optional[Iterable[str]] = None,
    ) -> "_flavor.Opening[S]":
        """A sandbox on a codebase that exists and that stays when the sandbox goes.

        It stays also if it had an ``idle_timeout``.
        """
        rules = _presets.compose(preset, permissions)
        wish = _Wish(
            rules,
            runtime=runtime,
            image=image,
            resources=resources,
            labels=_check.words(labels, "labels"),
            start=_check.flag(auto_start, "auto_start"),
            expires_in=expires_in,
            idle_timeout=idle_timeout,
            commit_mode=commit_mode,
            accept_losses=_check.several(accept_losses, "accept_losses"),
            strict=strict,
            seccomp_groups=_check.several(seccomp_groups, "seccomp_groups"),
        )
        client = AsyncSandboxClient(endpoint, secure)

        async def stored() -> t.Codebase:
            codebase = await client.get_codebase(codebase_id)
            return await client.keep_codebase(codebase.id) if codebase.idle_timeout else codebase

        return _flavor.Opening(cls._make(client, stored, wish, owns_codebase=False))

    @classmethod
    def connect(
        cls: Type[S], sandbox_id: str, endpoint: Optional[_check.Path] = None, secure: bool = False
    ) -> "_flavor.Opening[S]":
        """A sandbox that exists. It owns nothing: the end of a ``with`` block leaves it running."""
        return _flavor.Opening(cls._find(AsyncSandboxClient(endpoint, secure), sandbox_id))

    @classmethod
    async def _make(
        cls: Type[S],
        client: AsyncSandboxClient,
        stored: Callable[[], Awaitable[t.Codebase]],
        wish: _Wish,
        *,
        owns_codebase: bool,
    ) -> S:
        async with closed_on_failure(client):
            codebase = await stored()
            try:
                info = await client.create_sandbox(codebase.id, wish.rules, **wish.options)
            except BaseException as e:
                if owns_codebase:
                    await remove_all(client, codebase.id, e)
                raise
        return cls(client, info, codebase, owns_sandbox=True, owns_codebase=owns_codebase)

    @classmethod
    async def _find(cls: Type[S], client: AsyncSandboxClient, sandbox_id: str) -> S:
        async with closed_on_failure(client):
            info = await client.get_sandbox(sandbox_id)
            codebase: Optional[t.Codebase] = None
            with contextlib.suppress(CodebaseNotFoundError):
                codebase = await client.get_codebase(info.codebase_id)
        return cls(client, info, codebase)

    # Its life.

    async def start(self: S) -> S:
        self._info = await self._live().start_sandbox(self.id)
        return self

    async def stop(self: S) -> S:
        """Ends every process; the delta stays, and start() goes on from it."""
        self._info = await self._live().stop_sandbox(self.id)
        return self

    async def refresh(self: S) -> S:
        self._info = await self._live().get_sandbox(self.id)
        return self

    async def destroy(self, delete_codebase: Optional[bool] = None) -> None:
        """Ends the sandbox and drops its delta; what is gone already is no error.

        The codebase goes with it if from_local made it, or as ``delete_codebase``
        says; with False it stays until somebody deletes it.
        """
        if delete_codebase is not None:
            _check.flag(delete_codebase, "delete_codebase")
        if self._destroyed:
            return
        with_codebase = self._owns_codebase if delete_codebase is None else delete_codebase
        if delete_codebase is False and self._codebase and self._codebase.idle_timeout:
            with contextlib.suppress(CodebaseNotFoundError):
                await self._client.keep_codebase(self.codebase_id)
        await self._client.destroy_sandbox(self.id)
        if with_codebase:
            await self._client.delete_codebase(self.codebase_id)
        self._destroyed = True
        self._info = replace(self._info, status=SandboxStatus.STOPPED)
        await self._client.close()

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if not self._owns_sandbox or self._forked:
            await self._client.close()
            return
        codebase = f" and codebase {self.codebase_id}" if self._owns_codebase else ""
        await leave(self.destroy, f"destroy sandbox {self.id}{codebase}", error)
