"""Sandboxes in containers, of the image that scripts/test-docker makes."""

import pytest

import agentfense
from agentfense import RuntimeType, SandboxClient

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

IMAGE = "python:3.11-slim"


@pytest.fixture
def sandbox(api, endpoint, project):
    with api.Sandbox.from_local(
        project, preset="agent-safe", runtime=RuntimeType.DOCKER, image=IMAGE
    ) as made:
        yield made


def test_what_is_known_of_it(sandbox):
    assert (sandbox.info.runtime, sandbox.info.image) == (RuntimeType.DOCKER, IMAGE)


def test_secrets_are_not_there_and_writes_are_refused(sandbox):
    assert sandbox.run("cat .env").stderr.endswith("No such file or directory\n")
    refused = sandbox.run("echo x >> main.py")
    assert refused.exit_code != 0 and "Read-only" in refused.stderr
    assert [d.path for d in sandbox.run("cat .env").denials] == ["/.env"]


def test_a_session_files_and_changes(sandbox):
    with sandbox.session() as session:
        session.exec("cd output && export X=1")
        assert session.exec("echo $X > a; pwd").stdout == "/workspace/output\n"
    assert sandbox.read_file("/output/a") == "1\n"
    sandbox.write_file("/output/b", "2")
    assert sandbox.run("cat output/b").stdout == "2"
    assert {c.path for c in sandbox.diff()} >= {"/output/a", "/output/b"}


def test_an_image_that_nobody_has(api, endpoint, project):
    with pytest.raises(agentfense.InvalidConfigurationError, match="127.0.0.1:1/no/such") as e:
        api.Sandbox.from_local(project, runtime=RuntimeType.DOCKER, image="127.0.0.1:1/no/such:1")
    assert e.value.reason == "IMAGE_UNAVAILABLE"
    with pytest.raises(agentfense.InvalidConfigurationError, match="needs an image"):
        api.Sandbox.from_local(project, runtime=RuntimeType.DOCKER)
    with SandboxClient(endpoint) as client:
        assert client.list_codebases() == []


def test_it_stops_and_starts_again_with_its_changes(sandbox, endpoint):
    sandbox.run("echo kept > output/x")
    with SandboxClient(endpoint) as client:
        client.stop_sandbox(sandbox.id)
        client.start_sandbox(sandbox.id)
        assert client.exec(sandbox.id, "cat output/x").stdout == "kept\n"
