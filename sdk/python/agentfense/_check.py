"""Arguments of a wrong type: an error that names the argument and what it wants. Pure."""

import os
from typing import Dict, Iterable, List, Mapping, Optional, Union

from ._errors import InvalidConfigurationError, InvalidTypeError

Path = Union[str, "os.PathLike[str]"]
AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def wrong(value: object, name: str, wanted: str) -> InvalidTypeError:
    """The error for a value that is not what is wanted."""
    kind = type(value).__name__ if value is not None else "None"
    has_id = wanted == "a str" and isinstance(getattr(value, "id", None), str)
    hint = f": use its id, as in {name}=x.id" if has_id else ""
    return InvalidTypeError(f"{name} must be {wanted}, not {kind}{hint}")


def text(value: str, name: str) -> str:
    if not isinstance(value, str):
        raise wrong(value, name, "a str")
    return value


def maybe_text(value: Optional[str], name: str) -> Optional[str]:
    return None if value is None else text(value, name)


def data(value: Union[str, bytes, bytearray, memoryview], name: str) -> bytes:
    """Text or bytes, as bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wrong(value, name, "str or bytes")


def path(value: AnyPath, name: str = "path") -> bytes:
    """A path as the wire has it: bytes; one with a NUL is an error."""
    try:
        found = os.fsencode(value)
    except TypeError:
        raise wrong(value, name, "a path (str, bytes or os.PathLike)") from None
    if b"\0" in found:
        raise InvalidConfigurationError(f"{name} {value!r} has a NUL byte")
    return found


def maybe_path(value: Optional[Path], name: str) -> Optional[str]:
    return None if value is None else os.fsdecode(path(value, name))


def words(value: Optional[Mapping[str, str]], name: str) -> Optional[Dict[str, str]]:
    """A mapping from text to text, such as an environment."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong(value, name, "a dict of str to str")
    for key, word in value.items():
        text(key, f"a key of {name}")
        text(word, f"{name}[{key!r}]")
    return dict(value)


def several(values: Optional[Union[str, Iterable[str]]], name: str) -> List[str]:
    """A list of text; one string is a list of one, not of its characters."""
    if values is None:
        return []
    if isinstance(values, str):
        return [values]
    try:
        found = list(values)
    except TypeError:
        raise wrong(values, name, "a list of str") from None
    return [text(value, f"{name}[{i}]") for i, value in enumerate(found)]


def number(value: Optional[int], name: str) -> Optional[int]:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise wrong(value, name, "an int")
    return value
