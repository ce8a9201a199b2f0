"""What all objects that hold a connection share."""

from typing import Any


class Handle:
    """An object that lives in one process."""

    # What to do instead of passing it to another one.
    _elsewhere = "pass its id"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or copied, for it holds a connection: "
            f"{self._elsewhere}"
        )
