"""Named lists of rules, and how a user's own rules join them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple, Union

from . import _check
from ._check import text
from ._errors import InvalidConfigurationError
from ._types import Permission, PermissionRule, RuleLike

if TYPE_CHECKING:
    from builtins import ellipsis

DEFAULT_PRESET = "view-only"

# In a list of permissions, `...` stands for the rules of the preset.
PermissionsLike = Iterable[Union[RuleLike, "ellipsis"]]

_SECRETS = ("**/.env*", "**/secrets/**", "**/*.key", "**/*.pem")


def _rules(*levels: Tuple[Permission, int, Tuple[str, ...]]) -> List[PermissionRule]:
    return [
        PermissionRule(pattern, level, priority=priority)
        for level, priority, patterns in levels
        for pattern in patterns
    ]


_presets: Dict[str, List[PermissionRule]] = {
    "view-only": _rules((Permission.VIEW, 0, ("**/*",))),
    "read-only": _rules((Permission.READ, 0, ("**/*",))),
    "agent-safe": _rules(
        (Permission.READ, 0, ("**/*",)),
        (Permission.WRITE, 10, ("/output/**", "/tmp/**")),
        (Permission.NONE, 50, ("**/.git/**",)),
        (Permission.NONE, 100, (*_SECRETS, "**/credentials*")),
    ),
    "development": _rules((Permission.WRITE, 0, ("**/*",)), (Permission.NONE, 100, _SECRETS)),
    "full-access": _rules((Permission.WRITE, 0, ("**/*",))),
}


def get_preset(name: Optional[str]) -> List[PermissionRule]:
    """The preset's rules, each with the preset's name; None is the default preset."""
    name = DEFAULT_PRESET if name is None else text(name, "preset")
    try:
        rules = _presets[name]
    except KeyError:
        known = ", ".join(list_presets())
        raise InvalidConfigurationError(
            f"preset {name!r} is unknown: use one of {known}, or register_preset()"
        ) from None
    return [replace(rule, preset=name) for rule in rules]


def list_presets() -> List[str]:
    """The names of all presets, sorted."""
    return sorted(_presets)


def register_preset(name: str, rules: Iterable[RuleLike]) -> None:
    """Adds a preset for this process. A name that is taken is a ValueError."""
    if not text(name, "name"):
        raise InvalidConfigurationError("name is empty")
    if name in _presets:
        raise InvalidConfigurationError(f"preset {name!r} exists already")
    given = _check.listed(rules, "rules", "a list of rules")
    _presets[name] = [PermissionRule.of(rule) for rule in given]


def extend_preset(
    base: str,
    additions: Optional[Iterable[RuleLike]] = None,
    overrides: Optional[Iterable[RuleLike]] = None,
) -> List[PermissionRule]:
    """The preset's rules, then the additions as they are, then the overrides.

    An override whose priority is not above the highest of the preset gets that
    plus 100, so it wins against every rule of the preset.
    """
    rules = get_preset(base)
    highest = max((rule.priority for rule in rules), default=0)
    rules.extend(own(additions, "additions"))
    for rule in own(overrides, "overrides"):
        if rule.priority <= highest:
            rule = replace(rule, priority=highest + 100)
        rules.append(rule)
    return rules


def listed(rules: Optional[PermissionsLike], name: str = "permissions") -> List[Any]:
    return [] if rules is None else _check.listed(rules, name, "a list of rules")


def own(rules: Optional[PermissionsLike], name: str = "permissions") -> List[PermissionRule]:
    """The user's own rules."""
    return [PermissionRule.of(rule) for rule in listed(rules, name)]


def compose(preset: Optional[str], permissions: Optional[PermissionsLike]) -> List[PermissionRule]:
    """The rules to send: the preset's first, the user's after them.

    A later rule wins a tie, so the user's do.
    """
    return get_preset(preset) + own(rule for rule in listed(permissions) if rule is not ...)
