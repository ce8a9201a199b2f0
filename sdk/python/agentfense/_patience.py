"""How long an interrupted caller is held up by what it leaves to be removed."""

import contextlib
import time
from contextvars import ContextVar
from typing import Iterator, Optional

from ._errors import ConnectionError

# Seconds until an interrupted caller goes on, whether or not the server answers.
SECONDS = 10.0

_until: "ContextVar[Optional[float]]" = ContextVar("agentfense_until", default=None)


class Patience:
    """What is left of it for one interruption; all removals after that share it."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SECONDS
        self._lost = False

    @classmethod
    def with_error(cls, error: BaseException) -> "Patience":
        """The one that began with the error, on its way out through several callers."""
        found = error.__dict__.get("_agentfense_patience")
        # An old one is of an earlier raise of the same object.
        if not isinstance(found, cls) or time.monotonic() > found._until + SECONDS:
            found = error.__dict__["_agentfense_patience"] = cls()
        return found

    @contextlib.contextmanager
    def limits(self) -> Iterator[None]:
        """Calls in the block end in time; a server that was lost is not asked again."""
        if self._lost:
            raise ConnectionError("the server did not answer before")
        token = _until.set(self._until)
        try:
            yield
        except ConnectionError:
            self._lost = True
            raise
        finally:
            _until.reset(token)


def left(seconds: Optional[float]) -> Optional[float]:
    """The time that a call may take, which is less after an interruption."""
    until = _until.get()
    if until is None:
        return seconds
    rest = max(until - time.monotonic(), 0.001)
    return rest if seconds is None else min(seconds, rest)
