import pytest

import agentfense
from agentfense import Permission, PermissionRule, _presets

# The table of the policy contract.
TABLE = {
    "view-only": [("**/*", "view", 0)],
    "read-only": [("**/*", "read", 0)],
    "agent-safe": [
        ("**/*", "read", 0),
        ("/output/**", "write", 10),
        ("/tmp/**", "write", 10),
        ("**/.git/**", "none", 50),
        ("**/.env*", "none", 100),
        ("**/secrets/**", "none", 100),
        ("**/*.key", "none", 100),
        ("**/*.pem", "none", 100),
        ("**/credentials*", "none", 100),
    ],
    "development": [
        ("**/*", "write", 0),
        ("**/.env*", "none", 100),
        ("**/secrets/**", "none", 100),
        ("**/*.key", "none", 100),
        ("**/*.pem", "none", 100),
    ],
    "full-access": [("**/*", "write", 0)],
}


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(_presets, "_presets", dict(_presets._presets))


@pytest.mark.parametrize("name", TABLE)
def test_preset_has_the_rules_of_the_contract(name):
    rules = agentfense.get_preset(name)
    assert [(r.pattern, r.permission, r.priority) for r in rules] == TABLE[name]
    assert {r.preset for r in rules} == {name}


def test_list_is_sorted():
    assert agentfense.list_presets() == sorted(TABLE)


def test_none_is_the_default_preset():
    assert agentfense.get_preset(None) == agentfense.get_preset("view-only")


def test_unknown_preset_is_a_value_error_that_names_the_known():
    with pytest.raises(ValueError, match="agent-safe.*view-only"):
        agentfense.get_preset("agent_safe")


def test_what_get_preset_returns_may_be_changed():
    agentfense.get_preset("view-only").clear()
    assert agentfense.get_preset("view-only")


def test_registered_preset_is_found(registry):
    agentfense.register_preset("mine", [{"pattern": "/a", "permission": "write", "type": "file"}])
    (rule,) = agentfense.get_preset("mine")
    assert (rule.permission, rule.preset) == (Permission.WRITE, "mine")
    assert "mine" in agentfense.list_presets()


def test_registering_a_name_twice_is_a_value_error(registry):
    with pytest.raises(ValueError, match="exists already"):
        agentfense.register_preset("read-only", [])


def test_additions_stay_as_they_are_and_overrides_win():
    rules = agentfense.extend_preset(
        "agent-safe",
        additions=[{"pattern": "/logs/**", "permission": "write"}],
        overrides=[
            {"pattern": "**/.env*", "permission": "read"},
            PermissionRule("/k", priority=100),
            PermissionRule("/l", priority=101),
        ],
    )
    assert rules[:9] == agentfense.get_preset("agent-safe")
    assert [(r.pattern, r.priority, r.preset) for r in rules[9:]] == [
        ("/logs/**", 0, ""),
        ("**/.env*", 200, ""),
        ("/k", 200, ""),
        ("/l", 101, ""),
    ]


def test_the_users_rules_come_after_the_presets():
    rules = _presets.compose("read-only", [{"pattern": "/x"}])
    assert [(r.pattern, r.preset) for r in rules] == [("**/*", "read-only"), ("/x", "")]


def test_an_extended_preset_keeps_its_name_behind_the_default_one():
    rules = _presets.compose(None, agentfense.extend_preset("full-access"))
    assert [r.preset for r in rules] == ["view-only", "full-access"]


def test_an_ellipsis_stands_for_the_preset():
    assert _presets.compose(None, [...]) == agentfense.get_preset("view-only")


@pytest.mark.parametrize(
    "rule, why",
    [
        ({"pattern": "/x", "level": "read"}, "use the keys"),
        ({"pattern": "/x", "permission": "reed"}, "'reed' is unknown"),
        ({"pattern": "/x", "type": "regex"}, "'regex' is unknown"),
        ({"pattern": ""}, "pattern is empty"),
        ({"pattern": "/x", "priority": 2**31}, "priority 2147483648 is not in the range"),
        ("/x", "is not 'PATTERN=LEVEL'"),
        ("=read", "is not 'PATTERN=LEVEL'"),
        ("/x=read@", "is not 'PATTERN=LEVEL'"),
        ("/x=read@1.5", "is not 'PATTERN=LEVEL'"),
        ("/x=read@" + "9" * 5000, "is not 'PATTERN=LEVEL'"),
        ("/x=read@9999999999", "priority 9999999999 is not in the range"),
        ("/x=reed@1", "'reed' is unknown"),
        (("/x", "read"), "no PermissionRule, dict"),
    ],
)
def test_a_bad_rule_is_a_value_error_that_says_why(rule, why):
    with pytest.raises(ValueError, match=why):
        PermissionRule.of(rule)


@pytest.mark.parametrize(
    "text, rule",
    [
        ("/x=write@1", PermissionRule("/x", Permission.WRITE, priority=1)),
        ("**/a=b=none@-5", PermissionRule("**/a=b", Permission.NONE, priority=-5)),
        ("/x@y=read", PermissionRule("/x@y", Permission.READ)),
    ],
)
def test_a_rule_may_be_the_text_of_the_command_line(text, rule):
    assert PermissionRule.of(text) == rule == PermissionRule.of(str(rule))
    assert _presets.compose("view-only", [text])[-1] == rule


def test_the_text_of_a_rule_tells_its_type():
    assert str(PermissionRule("/x", type=agentfense.PatternType.FILE)) == "file /x=read@0"
