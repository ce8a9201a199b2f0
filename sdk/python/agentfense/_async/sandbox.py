"""A sandbox as an object: made from a directory or a codebase, gone after its with block."""

import contextlib
import os
from dataclasses import dataclass
from typing import Awaitable, Callable, Dict, Iterable, List, Optional, Type, TypeVar, Union

from .. import _presets, _wire
from .. import _types as t
from .._errors import (
    CodebaseNotFoundError,
    NotSupportedError,
    SandboxError,
    SandboxNotFoundError,
)
from .._reduce import name_of
from . import _flavor
from ._cleanup import attempt, closed_on_failure, log, remove_all
from ._codebases import Content, check_directory
from ._exec import AsyncExecStream, Callback
from .client import AsyncSandboxClient

S = TypeVar("S", bound="AsyncSandbox")
Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class _Wish:
    """What a sandbox shall be, apart from its codebase."""

    rules: List[t.PermissionRule]
    runtime: t.RuntimeType
    image: Optional[str]
    resources: Optional[t.ResourceLimits]
    labels: Optional[Dict[str, str]]
    start: bool

    def __post_init__(self) -> None:
        """What cannot be sent is an error here, before anything is created."""
        _wire.create_sandbox("", self.rules, runtime=self.runtime, resources=self.resources)


class AsyncSandbox:
    """One sandbox. Make one with from_local, from_codebase or connect.

    In a ``with`` block it is destroyed at the end, and so is the codebase that
    from_local made. A sandbox that was connected to is left running.
    """

    def __init__(
        self,
        client: AsyncSandboxClient,
        info: t.SandboxInfo,
        codebase: Optional[t.Codebase] = None,
        *,
        owns_sandbox: bool = False,
        owns_codebase: bool = False,
    ) -> None:
        self._client = client
        self._info = info
        self._codebase = codebase
        self._owns_sandbox = owns_sandbox
        self._owns_codebase = owns_codebase
        self._destroyed = False

    @classmethod
    def from_local(
        cls: Type[S],
        path: Path,
        preset: Optional[str] = _presets.DEFAULT_PRESET,
        permissions: Optional[_presets.PermissionsLike] = None,
        runtime: t.RuntimeType = t.RuntimeType.BWRAP,
        image: Optional[str] = None,
        resources: Optional[t.ResourceLimits] = None,
        endpoint: Optional[str] = None,
        secure: bool = False,
        owner_id: Optional[str] = None,
        codebase_name: Optional[str] = None,
        ignore_patterns: Optional[Iterable[str]] = None,
        labels: Optional[Dict[str, str]] = None,
        auto_start: bool = True,
    ) -> "_flavor.Opening[S]":
        """A sandbox that sees a copy of the directory, as the rules allow.

        The preset's rules come first, ``permissions`` after them. What they hide
        never leaves the directory. A bad path is a ValueError before anything is
        created; a failure on the way removes what was created.
        """
        directory = check_directory(path)
        rules = _presets.compose(preset, permissions)
        wish = _Wish(rules, runtime, image, resources, labels, auto_start)
        client = AsyncSandboxClient(endpoint, secure)

        async def stored() -> t.Codebase:
            made = await client.create_codebase(codebase_name or name_of(directory), owner_id)
            try:
                return await client.upload_directory(
                    made.id, directory, permissions=rules, ignore_patterns=ignore_patterns
                )
            except BaseException:
                await attempt(client.delete_codebase, made.id)
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
        endpoint: Optional[str] = None,
        secure: bool = False,
        labels: Optional[Dict[str, str]] = None,
        auto_start: bool = True,
    ) -> "_flavor.Opening[S]":
        """A sandbox on a codebase that exists and that stays when the sandbox goes."""
        rules = _presets.compose(preset, permissions)
        wish = _Wish(rules, runtime, image, resources, labels, auto_start)
        client = AsyncSandboxClient(endpoint, secure)

        async def stored() -> t.Codebase:
            return await client.get_codebase(codebase_id)

        return _flavor.Opening(cls._make(client, stored, wish, owns_codebase=False))

    @classmethod
    def connect(
        cls: Type[S], sandbox_id: str, endpoint: Optional[str] = None, secure: bool = False
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
                info = await client.create_sandbox(
                    codebase.id,
                    wish.rules,
                    wish.runtime,
                    wish.image,
                    wish.resources,
                    wish.labels,
                    start=wish.start,
                )
            except BaseException:
                if owns_codebase:
                    await remove_all(client, codebase.id)
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

    # What it is.

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def codebase_id(self) -> str:
        return self._info.codebase_id

    @property
    def codebase(self) -> Optional[t.Codebase]:
        """The codebase as it was when this object was made; its ``ingest`` tells what was left
        out of the directory. None if it was deleted before."""
        return self._codebase

    @property
    def info(self) -> t.SandboxInfo:
        """What the server last said; refresh() asks again."""
        return self._info

    @property
    def status(self) -> t.SandboxStatus:
        """The status that the server last said; refresh() asks again."""
        return self._info.status

    @property
    def runtime(self) -> t.RuntimeType:
        return self._info.runtime

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

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
        says.
        """
        if self._destroyed:
            return
        with_codebase = self._owns_codebase if delete_codebase is None else delete_codebase
        with contextlib.suppress(SandboxNotFoundError):
            await self._client.destroy_sandbox(self.id)
        if with_codebase:
            with contextlib.suppress(CodebaseNotFoundError):
                await self._client.delete_codebase(self.codebase_id)
        self._destroyed = True
        await self._client.close()

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if not self._owns_sandbox:
            await self._client.close()
            return
        try:
            await self.destroy()
        except SandboxError as e:
            # The error of the block is the one that matters.
            if kind is None:
                raise
            log.warning("cannot destroy sandbox %s: %s", self.id, e)

    def _live(self) -> AsyncSandboxClient:
        if self._destroyed:
            raise SandboxNotFoundError(f"sandbox {self.id} is destroyed", sandbox_id=self.id)
        return self._client

    # Commands.

    async def run(
        self,
        command: t.Command,
        timeout: _wire.Seconds = 60,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        raise_on_error: bool = False,
        *,
        input: Optional[_wire.Bytes] = None,
        on_stdout: Callback = None,
        on_stderr: Callback = None,
        raise_on_denied: bool = False,
    ) -> t.ExecResult:
        """Runs a command to its end: a string in a shell, a list as it is.

        Each command starts a new shell in /workspace. After ``timeout`` seconds
        it and its children are killed, which is CommandTimeoutError; None is no
        limit. The callbacks get the output as text while the command runs. With
        ``raise_on_denied`` a command that ran into the policy is
        PermissionDeniedError; else its result lists the denials.
        """
        result = await self._live().exec(
            self.id,
            command,
            input,
            env,
            workdir,
            timeout,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
        )
        if raise_on_denied:
            result.raise_on_denied()
        return result.raise_on_error() if raise_on_error else result

    async def exec(
        self,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        timeout: _wire.Seconds = None,
    ) -> t.ExecResult:
        """Runs a command to its end; without a timeout it may run forever."""
        return await self._live().exec(self.id, command, stdin, env, workdir, timeout)

    def exec_stream(
        self,
        command: t.Command,
        stdin: Optional[_wire.Bytes] = None,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        timeout: _wire.Seconds = None,
    ) -> AsyncExecStream:
        """Runs a command and iterates over its output as it comes."""
        return self._live().exec_stream(self.id, command, stdin, env, workdir, timeout)

    def session(self, shell: Optional[str] = None, env: Optional[Dict[str, str]] = None) -> None:
        """A persistent shell. Not in this version: NotSupportedError."""
        raise NotSupportedError(
            "sessions are not in this version: use run(), with `cd dir && ...` in one command"
        )

    # Files, as the sandbox itself sees them: "x", "/x" and "/workspace/x" are the same.

    async def read_file(
        self, path: Path, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> str:
        return (await self.read_file_bytes(path)).decode(encoding, errors)

    async def read_file_bytes(self, path: Path) -> bytes:
        return await self._live().read_sandbox_file(self.id, os.fspath(path))

    async def write_file(self, path: Path, content: Content, *, mode: int = 0) -> t.FileInfo:
        """Writes text, bytes or an open binary file; missing directories are created.

        A mode of 0 keeps an existing file's and is 0644 for a new one.
        """
        return await self._live().write_sandbox_file(self.id, os.fspath(path), content, mode=mode)

    async def list_files(self, path: Path = "", recursive: bool = False) -> List[t.FileInfo]:
        return await self._live().list_sandbox_files(self.id, os.fspath(path), recursive)

    # The delta: what the sandbox changed.

    async def diff(self) -> List[t.Change]:
        """The changes in the order of their paths."""
        return await self._live().diff(self.id)

    async def commit(self, paths: Union[str, Iterable[str], None] = None) -> t.CommitResult:
        """Applies the permitted changes to the codebase as one new snapshot.

        With ``paths`` only those at or below them. Changes below write level are
        returned as refused, with the rule, and are no error.
        """
        return await self._live().commit(self.id, paths)
