"""A client in the middle of everything, for somebody to kill.

Prints "busy" once each of its activities has begun.
"""

import asyncio
import pathlib
import sys
from typing import AsyncIterator, List

from agentfense import AsyncSandbox, AsyncSandboxClient

# Seconds that what the client leaves may stay once nothing uses it.
IDLE = 4.0
# What commands that must end with the client sleep, and those that outlive it.
ENDS = "86399"
STAYS = "86398"


class Victim:
    def __init__(self, endpoint: str, project: pathlib.Path, big: pathlib.Path) -> None:
        self.endpoint = endpoint
        self.project = project
        self.big = big
        self.begun: List[str] = []

    def make(self, path: pathlib.Path) -> AsyncSandbox:
        return AsyncSandbox.from_local(
            path, "development", endpoint=self.endpoint, idle_timeout=IDLE
        )

    async def lives(self) -> None:
        while True:
            async with self.make(self.project) as sandbox:
                await sandbox.run("true")
            self.begun.append("lives")

    async def ingests(self) -> None:
        async with AsyncSandboxClient(self.endpoint) as client:
            while True:
                codebase = await client.create_codebase("ingest", idle_timeout=IDLE)
                self.begun.append("ingest")
                await client.upload_directory(codebase.id, self.big)
                await client.delete_codebase(codebase.id)

    async def uploads(self, sandbox: AsyncSandbox) -> None:
        def endless() -> AsyncIterator[bytes]:
            self.begun.append("upload")
            while len(self.begun) < 1_000_000:
                yield bytes(1 << 10)

        while True:
            await sandbox.write_file("upload", endless())

    async def downloads(self, sandbox: AsyncSandbox) -> None:
        await sandbox.run("head -c 100M /dev/zero >large")
        async for _ in sandbox.files.stream("large"):
            self.begun.append("download")
            await asyncio.sleep(3600)

    async def watches(self, sandbox: AsyncSandbox) -> None:
        async with sandbox.files.watch(recursive=True) as watch:
            await sandbox.write_file("watched", "x")
            async for _ in watch:
                self.begun.append("watch")

    async def commands(self, sandbox: AsyncSandbox) -> None:
        self.begun.append("run")
        await sandbox.run(f"setsid sleep {ENDS} & sleep {ENDS}", timeout=None)

    async def streams(self, sandbox: AsyncSandbox) -> None:
        async for _ in sandbox.exec_stream(f"sleep {ENDS} & yes", timeout=None):
            self.begun.append("stream")
            await asyncio.sleep(3600)

    async def sessions(self, sandbox: AsyncSandbox) -> None:
        idle = await sandbox.session()
        await idle.exec(f"sleep {STAYS} & n=1")
        busy = await sandbox.session()
        self.begun.append("session")
        await asyncio.gather(*(busy.exec(f"setsid sleep {ENDS}") for _ in range(3)))

    async def processes(self, sandbox: AsyncSandbox) -> None:
        process = await sandbox.spawn(f"echo ready; setsid sleep {STAYS} & sleep {STAYS}")
        await process.read()
        pty = await sandbox.pty()
        await pty.send(f"sleep {STAYS}\n")
        await pty.read()
        self.begun.append("process")

    async def everything(self) -> None:
        sandbox = await self.make(self.project)
        idle = await self.make(self.project)
        await idle.session()
        tasks = [
            asyncio.ensure_future(activity)
            for activity in (
                self.lives(),
                self.ingests(),
                self.uploads(sandbox),
                self.downloads(sandbox),
                self.watches(sandbox),
                self.commands(sandbox),
                self.streams(sandbox),
                self.sessions(sandbox),
                self.processes(sandbox),
            )
        ]
        while len(set(self.begun)) < len(tasks):
            done, _ = await asyncio.wait(tasks, timeout=0.05)
            for task in done:
                task.result()
        print("busy", sandbox.id, flush=True)
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    where, small, large = sys.argv[1:]
    asyncio.run(Victim(where, pathlib.Path(small), pathlib.Path(large)).everything())
