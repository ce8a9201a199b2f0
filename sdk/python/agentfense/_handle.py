"""What all objects that hold a connection share."""

import os
from typing import Any, Type, TypeVar

H = TypeVar("H", bound="Handle")


class Handle:
    """An object that lives in one process."""

    # What to do instead of passing it to another one.
    _elsewhere = "pass its id"

    _pid: int

    def __new__(cls: Type[H], *_: Any, **__: Any) -> H:
        made = super().__new__(cls)
        made._pid = os.getpid()
        return made

    @property
    def _forked(self) -> bool:
        """Whether this is a child's copy: what it stands for is its parent's."""
        return self._pid != os.getpid()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or copied, for it holds a connection: "
            f"{self._elsewhere}"
        )
