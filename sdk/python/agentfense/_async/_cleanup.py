"""Removing what was made, on the way out of a failure that the caller gets to see."""

import contextlib
from typing import AsyncIterator

from .._errors import ConnectionError, SandboxError
from . import _flavor
from ._undo import attempt, log
from .client import AsyncSandboxClient


@contextlib.asynccontextmanager
async def closed_on_failure(client: AsyncSandboxClient) -> AsyncIterator[None]:
    """Closes the client if the block fails, for there is no sandbox then that would."""
    try:
        yield
    except BaseException:
        await _flavor.shielded(client.close)
        raise


async def remove_codebase(
    client: AsyncSandboxClient, codebase_id: str, because: BaseException
) -> None:
    await attempt(lambda: client.delete_codebase(codebase_id), f"remove {codebase_id}", because)


async def remove_all(client: AsyncSandboxClient, codebase_id: str, because: BaseException) -> None:
    """Removes a codebase and its sandboxes, also one whose creation got no answer."""

    async def remove() -> None:
        try:
            for info in await client.list_sandboxes(codebase_id):
                await client.destroy_sandbox(info.id)
        except ConnectionError:
            raise
        except SandboxError as e:
            log.warning("cannot remove the sandboxes of %s: %s", codebase_id, e)
        await client.delete_codebase(codebase_id)

    await attempt(remove, f"remove {codebase_id}", because)
