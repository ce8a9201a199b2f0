"""Rules of a policy, and what one refused."""

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Union

from . import _check
from ._enums import PatternType, Permission
from ._errors import InvalidConfigurationError, InvalidTypeError

_NUMBER = re.compile(r"[+-]?[0-9]{1,10}\Z")


@dataclass(frozen=True)
class PermissionRule:
    """A pattern and the level that it gives."""

    pattern: str
    permission: Permission = Permission.READ
    type: PatternType = PatternType.GLOB
    # The higher one wins; then file, directory, glob; then the more specific
    # pattern; then the later rule.
    priority: int = 0
    # The preset that the rule came from; empty for a rule of one's own. It is
    # named in reports and decides nothing.
    preset: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not _check.text(self.pattern, "pattern"):
            raise InvalidConfigurationError("pattern is empty")
        _check.text(self.preset, "preset")
        low, high = -_check.MAX_INT32 - 1, _check.MAX_INT32
        priority = _check.number(self.priority, "priority", low, high)
        object.__setattr__(self, "priority", priority)
        object.__setattr__(self, "permission", Permission.of(self.permission, "permission"))
        object.__setattr__(self, "type", PatternType.of(self.type, "type"))

    def __str__(self) -> str:
        kind = "" if self.type is PatternType.GLOB else f"{self.type} "
        return f"{kind}{self.pattern}={self.permission}@{self.priority}"

    @classmethod
    def of(cls, rule: "RuleLike") -> "PermissionRule":
        """The rule itself, or the one that a dict with its fields or a text describes.

        The text is the command line's and that of a denial's hint:
        ``PATTERN=LEVEL`` or ``PATTERN=LEVEL@PRIORITY``.
        """
        if isinstance(rule, PermissionRule):
            return rule
        if isinstance(rule, str):
            return cls._read(rule)
        if not isinstance(rule, Mapping):
            raise InvalidTypeError(
                f"rule {rule!r} is no PermissionRule, dict with its fields, or"
                " 'PATTERN=LEVEL@PRIORITY'"
            )
        given: Dict[Any, Any] = dict(rule)
        unknown = [key for key in given if key not in _KEYS]
        if unknown or "pattern" not in given:
            why = f"unknown key {unknown[0]!r}" if unknown else "no pattern"
            raise InvalidConfigurationError(
                f"rule {given!r} has {why}: use the keys pattern, permission, type and priority"
            )
        return cls(**given)

    @classmethod
    def _read(cls, text: str) -> "PermissionRule":
        pattern, _, decided = text.rpartition("=")
        level, ranked, priority = decided.partition("@")
        if not pattern or (ranked and not _NUMBER.match(priority)):
            raise InvalidConfigurationError(
                f"rule {text!r} is not 'PATTERN=LEVEL' or 'PATTERN=LEVEL@PRIORITY'"
            )
        return cls(pattern, Permission.of(level, "permission"), priority=int(priority or 0))


RuleLike = Union[PermissionRule, Mapping[str, object], str]
_KEYS = ("pattern", "permission", "type", "priority", "preset")


def shown(path: str) -> str:
    """The path for a message or a log: what could fool a reader is escaped."""
    return path if path.isprintable() and " " not in path else repr(path)


@dataclass(frozen=True)
class RuleRef:
    """The rule of a sandbox's policy that decided something."""

    # Position in SandboxInfo.permissions.
    index: int
    pattern: str
    permission: Permission
    priority: int = 0
    # Empty for a rule of the user's own.
    preset: str = ""

    @property
    def text(self) -> str:
        """The rule as the command line writes it: ``PATTERN=LEVEL@PRIORITY``."""
        return f"{self.pattern}={self.permission}@{self.priority}"

    def __str__(self) -> str:
        return self.pattern


@dataclass(frozen=True)
class Denial:
    """One refusal by the policy."""

    # What was tried: "open", "create", "commit", ...
    operation: str
    # Relative to the codebase, with a leading slash.
    path: str
    # None where no rule matched.
    rule: Optional[RuleRef] = None
    # What would allow it, for a person or an agent to read.
    hint: str = ""
    # A rule that would, to be looked at before it is used; None where there is none.
    remedy: Optional[PermissionRule] = None

    def __str__(self) -> str:
        why = f" ({self.rule.text})" if self.rule else ""
        what = f"{self.operation} {shown(self.path)}{why}"
        return f"{what}: {self.hint}" if self.hint else what
