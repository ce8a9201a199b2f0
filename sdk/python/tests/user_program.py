"""A user's program: type checkers read it, strictly, against the built package."""

import asyncio
import os
import pathlib
from types import MappingProxyType
from typing import List

from agentfense import (
    AsyncSandbox,
    CommandTimeoutError,
    Denial,
    ExecChunk,
    ExecResult,
    FileInfo,
    Permission,
    PermissionRule,
    Process,
    ResourceLimits,
    Sandbox,
    SandboxClient,
    SandboxSession,
    Session,
)


def main() -> int:
    limits = ResourceLimits(memory_bytes=1 << 29, timeout=30.0)
    with Sandbox.from_local(
        ".",
        preset="agent-safe",
        permissions=[
            PermissionRule("/x/**", Permission.WRITE),
            {"pattern": "/y", "permission": "read"},
            ...,
        ],
        resources=limits,
    ) as sandbox:
        result: ExecResult = sandbox.run("true", on_stdout=print, raise_on_error=True)
        denials: List[Denial] = result.denials
        files: List[FileInfo] = sandbox.list_files()
        here = pathlib.Path("src")
        sandbox.run(["ls", here], workdir=here, input=bytearray(b"x"))
        sandbox.run(("ls", b"x"), env=os.environ)
        sandbox.spawn(map(str, ["echo", 1]), env=MappingProxyType({"A": "b"})).kill("TERM")
        sandbox.fork(labels=MappingProxyType({"a": "b"})).destroy()
        sandbox.write_file(here / "x", sandbox.read_file(here / "y"))
        sandbox.commit([here, b"x"])
        sandbox.files.rename(b"x", here)
        session: SandboxSession
        with sandbox.session(env=os.environ) as session:
            code: int = session.exec("true", timeout=5).exit_code
        process: Process = sandbox.spawn(["cat"])
        process.send_stdin("x")
        for chunk in process:
            piece: ExecChunk = chunk
            text: str = piece.text
            print(text)
        with sandbox.pty() as pty:
            pty.resize(1, 1)
        with sandbox.files.watch() as events:
            for event in events:
                print(event.kind, event.path)
        for data in sandbox.files.stream("x"):
            print(len(data))
        with sandbox.fork() as other:
            other.apply_to(".", force=True)
        print(len(denials), len(files), code)
    with SandboxClient() as client:
        info: Session = client.create_session("sb_1")
        print(info.pid)
    return 0


async def amain() -> str:
    try:
        async with AsyncSandbox.from_local(".") as sandbox:
            async with sandbox.session() as session:
                out: str = (await session.exec("true")).stdout
            async for chunk in sandbox.exec_stream("true"):
                out += chunk.text
            process = await sandbox.spawn("cat")
            await process.close_stdin()
            async for data in sandbox.files.stream("x"):
                print(data)
            task = asyncio.create_task(AsyncSandbox.connect(sandbox.id))
            async with await task as again:
                await again.run("true")
            return out
    except CommandTimeoutError as e:
        seconds: float | None = e.timeout_seconds
        return str(seconds)


if __name__ == "__main__":
    asyncio.run(amain())
    main()
