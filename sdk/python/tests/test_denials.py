"""What a real daemon says that the policy refused."""

import re

import pytest

from agentfense import PermissionDeniedError, PermissionRule, Sandbox

pytestmark = pytest.mark.e2e


def test_a_result_lists_what_was_refused_and_how_to_allow_it(endpoint, project):
    with Sandbox.from_local(project, preset="agent-safe") as sandbox:
        result = sandbox.run("cat .env; echo x > new; cat main.py >/dev/null")
        assert [(d.operation, d.path, d.rule.pattern) for d in result.denials] == [
            ("open", "/.env", "**/.env*"),
            ("create", "/new", "**/*"),
        ]
        assert result.denials[0].hint == "a rule /.env=read@101 allows it"
        assert result.denials_omitted == 0
        assert sandbox.run("cat main.py").denials == []
        with pytest.raises(PermissionDeniedError) as e:
            sandbox.run("cat .env", raise_on_denied=True)
        assert (e.value.operation, e.value.path, e.value.rule) == ("open", "/.env", "**/.env*")


def test_under_view_only_the_hint_names_the_preset(endpoint, project):
    with Sandbox.from_local(project) as sandbox:
        (denial,) = sandbox.run("cat main.py").denials
        assert (denial.operation, denial.path) == ("open", "/main.py")
        assert "preset read-only" in denial.hint
        (denial,) = sandbox.run("echo x >> main.py").denials
        assert (denial.operation, denial.path) == ("create", "/main.py")
        assert "preset development" in denial.hint


def test_what_the_hint_says_allows_it(endpoint, project):
    with Sandbox.from_local(project, preset="agent-safe") as sandbox:
        (denial,) = sandbox.run("cat .env").denials
    pattern, level, priority = re.match(r"a rule (.*)=(.*)@(.*) allows it", denial.hint).groups()
    rule = PermissionRule(pattern, level, priority=int(priority))
    with Sandbox.from_local(project, preset="agent-safe", permissions=[rule]) as sandbox:
        assert sandbox.run("cat .env").stdout == "KEY=secret\n"


def test_what_was_refused_is_streamed_too(endpoint, project):
    with Sandbox.from_local(project, preset="agent-safe") as sandbox:
        stream = sandbox.exec_stream("cat .env")
        list(stream)
        assert [d.path for d in stream.result.denials] == ["/.env"]


def test_the_remedies_allow_what_was_refused(endpoint, project):
    command = "cat .env && echo x > new && echo y >> main.py && rm -r src"
    remedies = []
    for _ in range(5):
        with Sandbox.from_local(project, "agent-safe", permissions=remedies) as sandbox:
            result = sandbox.run(command)
        if result.success:
            break
        remedies += [denial.remedy for denial in result.denials]
    assert result.success and 0 < len(remedies) < 5, (result, remedies)
