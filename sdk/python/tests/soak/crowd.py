"""A client with many sandboxes, each with a session, in one event loop.

Prints "ready" when all are there, and a line of JSON about what it did.
"""

import asyncio
import json
import pathlib
import random
import sys
import time
from typing import Any, Awaitable, Callable, Dict, List, Optional

from agentfense import AsyncSandbox, AsyncSandboxClient, CommandTimeoutError

# How many steps a second all sandboxes take together.
PACE = 40.0
# Seconds that no single step may take, on a machine that does other things too.
PATIENCE = 120.0


class Member:
    """One sandbox of the crowd, and what its session must know."""

    def __init__(self, sandbox: AsyncSandbox, session: Any) -> None:
        self.sandbox = sandbox
        self.session = session
        self.count = 0

    async def tell(self) -> None:
        self.count += 1
        result = await self.session.exec(f"n={self.count}; echo $n; pwd >&2", timeout=PATIENCE)
        said = (result.exit_code, result.stdout, result.stderr)
        assert said == (0, f"{self.count}\n", "/workspace\n"), said

    async def remember(self) -> None:
        result = await self.session.exec("echo ${n:-0}", timeout=PATIENCE)
        assert result.stdout == f"{self.count}\n", result

    async def run(self) -> None:
        result = await self.sandbox.run("cat main.py; exit 3", timeout=PATIENCE)
        assert (result.exit_code, result.stdout) == (3, "print('hi')\n"), result

    async def files(self) -> None:
        text = f"{self.count} " * 1000
        await self.sandbox.write_file("made", text)
        assert await self.sandbox.read_file("made") == text
        assert "made" in [f.path for f in await self.sandbox.list_files()]

    async def stream(self) -> None:
        stream = self.session.exec_stream("seq 1000", timeout=PATIENCE)
        assert len([chunk async for chunk in stream]) > 0 and stream.exit_code == 0

    async def time_out(self) -> None:
        try:
            await self.session.exec("sleep 1000", timeout=0.2)
        except CommandTimeoutError:
            return await self.remember()
        raise AssertionError("no timeout")

    async def again(self) -> None:
        await self.session.close()
        self.session = await self.sandbox.session()
        self.count = 0

    async def spawn(self) -> None:
        async with self.sandbox.spawn("read x; echo $x") as process:
            await process.send_stdin("word\n")
            assert (await process.wait(PATIENCE)).stdout == "word\n"

    async def leave(self) -> None:
        task = asyncio.ensure_future(self.session.exec("sleep 1000"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
        await self.remember()

    def steps(self) -> List[Callable[[], Awaitable[None]]]:
        rare = [self.time_out, self.again, self.spawn, self.leave]
        return (
            [self.tell] * 30 + [self.remember] * 10 + [self.run, self.files, self.stream] * 4 + rare
        )


async def live(member: Member, until: float, pause: float, done: Dict[str, int]) -> None:
    steps = member.steps()
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0, 2 * pause))
        step = random.choice(steps)
        await step()
        done[step.__name__] = done.get(step.__name__, 0) + 1


async def crowd(endpoint: str, project: pathlib.Path, count: int, seconds: float) -> Dict[str, int]:
    done: Dict[str, int] = {}
    gate = asyncio.Semaphore(16)

    async def join() -> Member:
        async with gate:
            sandbox = await AsyncSandbox.from_local(project, "development", endpoint=endpoint)
            return Member(sandbox, await sandbox.session())

    members = await asyncio.gather(*(join() for _ in range(count)))
    print("ready", flush=True)
    until = time.monotonic() + seconds
    await asyncio.gather(*(live(m, until, count / PACE, done) for m in members))
    print("over", flush=True)

    async def part(member: Member) -> None:
        async with gate:
            await member.session.close()
            await member.sandbox.destroy()

    await asyncio.gather(*(part(m) for m in members))
    async with AsyncSandboxClient(endpoint) as client:
        assert await client.list_sandboxes() == [] and await client.list_codebases() == []
    return done


def main(argv: Optional[List[str]] = None) -> None:
    endpoint, project, count, seconds = argv or sys.argv[1:]
    done = asyncio.run(crowd(endpoint, pathlib.Path(project), int(count), float(seconds)))
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
