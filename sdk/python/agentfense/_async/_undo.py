"""Making things such that an interrupted maker leaves nothing behind."""

import contextlib
import logging
import signal
from typing import Any, Awaitable, Callable, Dict, Optional, Tuple, TypeVar

from .. import _methods as methods
from .. import _requests
from .._errors import SandboxError
from .._failure import About, answered
from .._gen import codebase_pb2 as cb
from .._gen import process_pb2 as pr
from .._gen import sandbox_pb2 as sb
from .._methods import Method
from .._patience import Patience
from . import _flavor
from ._connection import AsyncConnection

log = logging.getLogger("agentfense")

Req = TypeVar("Req")
Res = TypeVar("Res")

Removal = Tuple[Method[Any, Any], Callable[[str], Any]]

_CODEBASE: Removal = (methods.DELETE_CODEBASE, lambda i: cb.DeleteCodebaseRequest(codebase_id=i))
_SANDBOX: Removal = (methods.DESTROY_SANDBOX, lambda i: sb.DestroySandboxRequest(sandbox_id=i))
_REMOVAL: Dict[Method[Any, Any], Removal] = {
    methods.CREATE_CODEBASE: _CODEBASE,
    methods.SNAPSHOT_SANDBOX: _CODEBASE,
    methods.CREATE_SANDBOX: _SANDBOX,
    methods.FORK_SANDBOX: _SANDBOX,
    methods.CREATE_SESSION: (
        methods.DESTROY_SESSION,
        lambda i: sb.DestroySessionRequest(session_id=i),
    ),
    methods.SPAWN: (
        methods.SIGNAL_PROCESS,
        lambda i: pr.SignalProcessRequest(process_id=i, signal=signal.SIGKILL),
    ),
}


async def create(
    connection: AsyncConnection,
    method: Method[Req, Res],
    request: Req,
    about: About,
    *,
    timeout: Optional[float] = None,
) -> Res:
    """Asks for something new, which is removed again if the caller does not get it.

    That is so where it is interrupted, by whatever exception, and where the
    answer was lost. The request carries an id of its own. So it is sent again,
    to learn what it made, and that is removed.
    """

    async def undo() -> None:
        again = _requests.not_started(request)
        made: Any = await connection.unary(method, again, about)
        removal, named = _REMOVAL[method]
        try:
            await connection.unary(removal, named(made.id), about)
        except SandboxError as e:
            if not isinstance(e, LookupError) and e.reason != "COMMAND_ENDED":
                raise

    try:
        return await connection.unary(method, request, about, timeout=timeout, again=True)
    except BaseException as e:
        if not answered(e):
            await attempt(undo, "remove what an interrupted call made", e)
        raise


async def attempt(
    work: Callable[[], Awaitable[object]], what: str, because: Optional[BaseException] = None
) -> None:
    """Does what must be done on the way out, whatever interrupts it; a failure goes to the log.

    Where it is because of an interruption, that has one time for all such work.
    """
    limited = because is not None and not answered(because)
    limits = Patience.with_error(because).limits if because and limited else contextlib.nullcontext

    async def logged() -> None:
        try:
            with limits():
                await work()
        except SandboxError as e:
            log.warning("cannot %s: %s", what, e)

    await _flavor.shielded(logged)


async def leave(
    work: Callable[[], Awaitable[object]], what: str, error: Optional[BaseException]
) -> None:
    """Does what the end of a block must do; ``error`` is what the block ended with.

    That is the one that matters, so a failure goes to the log then. An
    interruption leaves limited time.
    """
    interrupted = error is not None and not isinstance(error, Exception)
    limits = Patience.with_error(error).limits if error and interrupted else contextlib.nullcontext
    done = False

    async def limited() -> None:
        nonlocal done
        with limits():
            await work()
        done = True

    try:
        await _flavor.shielded(limited)
    except SandboxError as e:
        if error is None:
            raise
        log.warning("cannot %s: %s", what, e)
    except BaseException:
        if not done:
            log.warning("cannot %s: interrupted", what)
        raise
