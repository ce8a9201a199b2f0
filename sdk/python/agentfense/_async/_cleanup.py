"""Removing what was made, on the way out of a failure that the caller gets to see."""

import contextlib
import logging
from typing import AsyncIterator, Awaitable, Callable

from .._errors import SandboxError
from .client import AsyncSandboxClient

log = logging.getLogger("agentfense")


@contextlib.asynccontextmanager
async def closed_on_failure(client: AsyncSandboxClient) -> AsyncIterator[None]:
    """Closes the client if the block fails, for there is no sandbox then that would."""
    try:
        yield
    except BaseException:
        await client.close()
        raise


async def remove_all(client: AsyncSandboxClient, codebase_id: str) -> None:
    """Removes a codebase and its sandboxes, also one whose creation got no answer."""
    try:
        for info in await client.list_sandboxes(codebase_id):
            await attempt(client.destroy_sandbox, info.id)
    except SandboxError as e:
        log.warning("cannot list the sandboxes of %s: %s", codebase_id, e)
    await attempt(client.delete_codebase, codebase_id)


async def attempt(remove: Callable[[str], Awaitable[object]], what: str) -> None:
    """Removes something; if that fails, it says so in the log."""
    try:
        await remove(what)
    except SandboxError as e:
        log.warning("cannot remove %s: %s", what, e)
