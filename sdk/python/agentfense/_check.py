"""What a user gives, as the rest of this package takes it, or an error that names it. Pure.

A wrong type is InvalidTypeError, a wrong value of the right type is
InvalidConfigurationError. Both come before anything is sent.
"""

import codecs
import io
import operator
import os
import signal as signals
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    TypeVar,
    Union,
)

from ._errors import InvalidConfigurationError, InvalidTypeError

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
F = TypeVar("F", bound=Optional[Callable[..., object]])

# The wire's integers.
MAX_INT32, MAX_INT64 = 2**31 - 1, 2**63 - 1


def wrong(value: object, name: str, wanted: str) -> InvalidTypeError:
    """The error for a value that is not what is wanted."""
    kind = type(value).__name__ if value is not None else "None"
    has_id = wanted == "a str" and isinstance(getattr(value, "id", None), str)
    hint = f": use its id, as in {name}=x.id" if has_id else ""
    return InvalidTypeError(f"{name} must be {wanted}, not {kind}{hint}")


# Text and bytes.


def _plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and "\0" not in value


def _refuse_nul(value: object, name: str) -> NoReturn:
    raise InvalidConfigurationError(f"{name} {value!r} has a NUL byte")


def _refuse_text(value: str, name: str) -> NoReturn:
    raise InvalidConfigurationError(f"{name} {value!r} is not valid UTF-8 text") from None


def text(value: str, name: str) -> str:
    """Text that can be sent: UTF-8 without a NUL."""
    if _plain(value):
        return value
    if not isinstance(value, str):
        raise wrong(value, name, "a str")
    if "\0" in value:
        _refuse_nul(value, name)
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse_text(value, name)
    return value


def maybe_text(value: Optional[str], name: str) -> Optional[str]:
    return None if value is None else text(value, name)


def data(value: Union[str, bytes, bytearray, memoryview], name: str) -> bytes:
    """Text or bytes, as bytes; what os.fsdecode made of bytes becomes these again."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            _refuse_text(value, name)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wrong(value, name, "str or bytes")


def path(
    value: Path, name: str = "path", wanted: str = "a path (str, bytes or os.PathLike)"
) -> bytes:
    """A path as the wire has it: bytes without a NUL."""
    try:
        found = os.fsencode(value)
    except TypeError:
        raise wrong(value, name, wanted) from None
    except UnicodeEncodeError:
        _refuse_text(os.fspath(value), name)  # type: ignore[arg-type]
    if b"\0" in found:
        _refuse_nul(value, name)
    return found


def maybe_path(value: Optional[Path], name: str) -> Optional[str]:
    """A path that travels as text."""
    return None if value is None else text(os.fsdecode(path(value, name)), name)


def codec(encoding: str, errors: str) -> None:
    """How bytes become text."""
    _known(encoding, "encoding", "".encode)
    _known(errors, "errors", codecs.lookup_error)


def _known(value: str, name: str, lookup: Callable[[str], object]) -> None:
    try:
        lookup(text(value, name))
    except LookupError:
        raise InvalidConfigurationError(f"{name} {value!r} is unknown") from None


# Several of them.


def words(value: Optional[Mapping[str, str]], name: str) -> Optional[Dict[str, str]]:
    """A mapping from text to text, such as an environment."""
    if value is None:
        return None
    if not isinstance(value, (dict, Mapping)):
        raise wrong(value, name, "a dict of str to str")
    found = dict(value)
    for key, word in found.items():
        if not (_plain(key) and _plain(word)):
            text(key, f"a key of {name}")
            text(word, f"{name}[{key!r}]")
    return found


def listed(values: object, name: str, wanted: str) -> List[Any]:
    """The elements of an iterable that is no text, bytes or mapping, read once."""
    if isinstance(values, (list, tuple)):
        return list(values)
    whole = (str, bytes, bytearray, memoryview, Mapping)
    if isinstance(values, whole) or not isinstance(values, Iterable):
        raise wrong(values, name, wanted)
    return list(values)


def several(values: Optional[Union[str, Iterable[str]]], name: str) -> List[str]:
    """A list of text; one string is a list of one, not of its characters."""
    if values is None:
        return []
    if isinstance(values, str):
        return [text(values, name)]
    found = listed(values, name, "a list of str")
    return [text(value, f"{name}[{i}]") for i, value in enumerate(found)]


def argv(values: object, name: str) -> List[bytes]:
    """A program and its arguments, in an order that the user chose."""
    wanted = "a str for the shell, or a list of arguments"
    if isinstance(values, (set, frozenset)):
        raise wrong(values, name, wanted)
    return [
        value.encode() if _plain(value) else _argument(value, f"{name}[{i}]")
        for i, value in enumerate(listed(values, name, wanted))
    ]


def _argument(value: Path, name: str) -> bytes:
    return path(value, name, "a str, bytes or os.PathLike")


def paths(values: object, name: str) -> List[bytes]:
    """One path, or several."""
    if isinstance(values, (str, bytes, os.PathLike)):
        return [path(values, name)]
    found = listed(values, name, "a path or a list of paths")
    return [path(value, f"{name}[{i}]") for i, value in enumerate(found)]


# Numbers.


def number(value: int, name: str, low: int, high: int, wanted: str = "an int") -> int:
    """An integer in a range. Integers of others, such as numpy's, become ours."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise wrong(value, name, wanted) from None
    if not low <= found <= high:
        raise InvalidConfigurationError(f"{name} {found} is not in the range {low} to {high}")
    return found


def mode(value: int) -> int:
    """Permission bits."""
    found = number(value, "mode", -MAX_INT64, MAX_INT64)
    if not 0 <= found <= 0o777:
        raise InvalidConfigurationError(f"mode {oct(found)} is not in the range 0 to 0o777")
    return found


def signal(value: Union[int, str]) -> int:
    """The number of a signal; its name may come without SIG, in any case."""
    if not isinstance(value, str):
        return number(value, "signal", 1, 64, "an int or a name")
    name = value.upper()
    try:
        return int(signals.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except KeyError:
        raise InvalidConfigurationError(f"signal {value!r} is unknown") from None


def flag(value: bool, name: str) -> bool:
    """True or false, and nothing that merely counts as such: "false" would be true."""
    if value is True or value is False:
        return value
    try:
        return bool(number(value, name, 0, 1, "a bool"))
    except InvalidConfigurationError:
        raise wrong(value, name, "a bool") from None


# What is called or written to.


def callback(value: F, name: str) -> F:
    if value is not None and not callable(value):
        raise wrong(value, name, "callable")
    return value


def readable(value: object, name: str) -> None:
    """No file that gives text, or that cannot be read."""
    if isinstance(value, io.TextIOBase):
        raise wrong(value, name, "bytes: open a file in binary mode")
    if isinstance(value, io.IOBase) and not value.readable():
        raise InvalidConfigurationError(f"{name} is not open for reading")


def writable(value: object, name: str) -> None:
    """An open file that takes bytes."""
    if isinstance(value, io.TextIOBase) or not hasattr(value, "write"):
        raise wrong(value, name, "an open binary file")
    if isinstance(value, io.IOBase) and not value.writable():
        raise InvalidConfigurationError(f"{name} is not open for writing")
