"""Runs each test module of a project in a sandbox of its own, all at once.

python3 many_at_once.py DIRECTORY
"""

import asyncio
import os
import sys

from agentfense import AsyncSandbox, AsyncSandboxClient, get_preset


async def test(codebase_id, module):
    async with AsyncSandbox.from_codebase(codebase_id, preset="agent-safe") as sandbox:
        return module, await sandbox.run(["python3", "-B", "-m", "unittest", f"tests.{module}"])


async def main(directory):
    names = sorted(os.listdir(os.path.join(directory, "tests")))
    modules = [name[:-3] for name in names if name.startswith("test_")]
    async with AsyncSandboxClient() as client:
        codebase = await client.create_codebase("many-at-once")
        try:
            await client.upload_directory(
                codebase.id, directory, permissions=get_preset("agent-safe")
            )
            tests = (test(codebase.id, module) for module in modules)
            for module, result in await asyncio.gather(*tests):
                print(module, "passed" if result.success else result.stderr)
        finally:
            await client.delete_codebase(codebase.id)


asyncio.run(main(sys.argv[1]))
# prints: test_pricing passed
