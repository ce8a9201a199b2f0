"""The words that the wire contract knows. Each enum's members are strings."""

from enum import Enum
from typing import Optional, Type, TypeVar

from ._check import wrong
from ._errors import InvalidConfigurationError

E = TypeVar("E", bound="_Word")


class _Word(str, Enum):
    """An enum whose members are words and print as such on every Python."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)

    @classmethod
    def of(cls: Type[E], value: object, name: str) -> E:
        """The member with this value; an error that names the argument if there is none."""
        if not isinstance(value, str):
            raise wrong(value, name, f"a {cls.__name__} or its value")
        try:
            return cls(value)
        except ValueError:
            known = ", ".join(repr(str(m)) for m in cls)
            raise InvalidConfigurationError(
                f"{name} {value!r} is unknown: use one of {known}"
            ) from None


class Permission(_Word):
    """The level of a rule; each includes the ones before it."""

    NONE = "none"
    VIEW = "view"
    READ = "read"
    WRITE = "write"


class PatternType(_Word):
    """How a rule's pattern matches."""

    GLOB = "glob"
    DIRECTORY = "directory"
    FILE = "file"


class SandboxStatus(_Word):
    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"


class SessionStatus(_Word):
    ACTIVE = "active"
    CLOSED = "closed"


class RuntimeType(_Word):
    """What runs a sandbox. BWRAP is the native Linux runtime; the name is historical."""

    BWRAP = "bwrap"
    DOCKER = "docker"
    NATIVE = "bwrap"

    @classmethod
    def _missing_(cls, value: object) -> "Optional[RuntimeType]":
        return cls.BWRAP if value == "native" else None


class CommitMode(_Word):
    """When a sandbox's changes reach its codebase."""

    MANUAL = "manual"
    ON_EXEC = "on_exec"


class Operation(_Word):
    """What happened to a path of a delta."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class Kind(_Word):
    """What a path is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class SkipReason(_Word):
    """Why an entry of a directory did not go into the codebase."""

    HIDDEN = "hidden"
    IGNORED = "ignored"
    SPECIAL = "special"
    HARD_LINK_TO_HIDDEN = "hard_link_to_hidden"
    NAME_TOO_LONG = "name_too_long"
    OTHER = "other"


class FileEventKind(_Word):
    """What happened to a file of a watched directory."""

    CREATED = "created"
    MODIFIED = "modified"
    REMOVED = "removed"
    # Permissions or times changed.
    ATTRIBUTES = "attributes"
    # Changes came faster than they were read: look at the directory again.
    OVERFLOW = "overflow"
