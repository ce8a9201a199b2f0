"""What a sandbox can be asked for when it is made, against a real daemon."""

import time
from datetime import datetime, timedelta, timezone

import pytest

import agentfense
from agentfense import ResourceLimits, SandboxClient

pytestmark = pytest.mark.e2e


@pytest.fixture
def local(api, endpoint, project):
    made = []

    def make(preset="full-access", **kwargs):
        made.append(api.Sandbox.from_local(project, preset=preset, **kwargs))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.destroy()


def is_gone(sandbox):
    for _ in range(100):
        try:
            # Not a call about it, which would count as use.
            with SandboxClient() as client:
                if sandbox.id not in [s.id for s in client.list_sandboxes()]:
                    return True
        except agentfense.SandboxNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_expires_in(local):
    sandbox = local(expires_in=1)
    left = sandbox.info.expires_at - datetime.now(timezone.utc)
    assert timedelta(seconds=-2) < left <= timedelta(seconds=1)
    assert is_gone(sandbox)
    with pytest.raises(agentfense.SandboxNotFoundError):
        sandbox.run("true")
    sandbox.destroy()


def test_idle_timeout(local):
    sandbox = local(idle_timeout=timedelta(seconds=1))
    assert sandbox.info.idle_timeout == timedelta(seconds=1)
    # A command that runs is use.
    sandbox.run("sleep 2", raise_on_error=True)
    assert is_gone(sandbox)


def test_labels_and_filters(api, local):
    first = local(labels={"team": "a", "run": "1"})
    second = local(labels={"team": "a", "run": "2"})
    with api.client() as client:
        assert {s.id for s in client.list_sandboxes(labels={"team": "a"})} == {first.id, second.id}
        assert [s.id for s in client.list_sandboxes(labels={"run": "2"})] == [second.id]
        assert client.list_sandboxes(labels={"team": "a", "run": "3"}) == []
        (found,) = client.list_sandboxes(first.codebase_id, labels={"team": "a"})
        assert found.labels == {"team": "a", "run": "1"}


def test_disk_bytes(local):
    sandbox = local(resources=ResourceLimits(disk_bytes=8 << 20))
    assert sandbox.info.resources.disk_bytes == 8 << 20
    result = sandbox.run("head -c 50000000 /dev/zero > big")
    assert result.exit_code != 0 and ("space" in result.stderr or "quota" in result.stderr)
    assert sandbox.run("rm -f big; echo x > small && cat small").stdout == "x\n"


def test_output_rate(api, local):
    rate = 1 << 20
    sandbox = local(resources=ResourceLimits(output_rate=rate))
    assert sandbox.info.resources.output_rate == rate
    began = time.monotonic()
    result = sandbox.run("head -c 2097152 /dev/zero")
    # One MiB passes at once; what is in the pipe at the end waits for nothing.
    assert time.monotonic() - began >= (2097152 - (1 << 20) - (128 << 10)) / rate
    assert len(result.stdout_bytes) == 2097152
    fork = sandbox.fork()
    try:
        assert fork.info.resources.output_rate == rate
    finally:
        fork.destroy()
    with api.client() as client:
        most = client.server_info().max_output_rate
    for impossible in (-1, 65_535, most + 1):
        with pytest.raises(agentfense.InvalidConfigurationError, match="output_rate"):
            local(resources=ResourceLimits(output_rate=impossible))


def test_losses_are_named_and_accepted(api, local):
    with api.client() as client:
        losses = [loss.name for loss in client.server_info().losses]
    if not losses:
        assert local(strict=True).info.strict
        return
    with pytest.raises(agentfense.SandboxError, match=losses[0]) as e:
        local(strict=True)
    assert e.value.reason == "LOSS_NOT_ACCEPTED"
    info = local(strict=True, accept_losses=losses).info
    assert info.strict and set(info.accepted_losses) == set(losses)
    assert local().run("true").success


def test_on_exec_commits_by_itself(api, local):
    sandbox = local(commit_mode="on_exec")
    sandbox.run("echo x > new", raise_on_error=True)
    with api.client() as client:
        assert client.download_file(sandbox.codebase_id, "new") == b"x\n"


FILL = """
import subprocess
while True:
    try:
        subprocess.Popen(["sleep", "100"])
    except OSError:
        pass
"""


def test_limits_of_a_sandbox_are_named(api, endpoint, project):
    def refused(call):
        with pytest.raises(agentfense.ResourceLimitExceededError) as e:
            for _ in range(300):
                call()
        assert e.value.reason == "LIMIT_EXCEEDED"
        return e.value.resource_type, e.value.limit

    def watch():
        watches.append(sandbox.files.watch())
        watches[-1].__enter__()

    with api.Sandbox.from_local(project, resources=ResourceLimits(pids_limit=10)) as sandbox:
        # A shell would wait for seconds with the place that a run leaves.
        sandbox.spawn(["python3", "-c", FILL])
        assert refused(lambda: sandbox.run(["true"])) == ("pids", "10")
        assert refused(sandbox.session) == ("pids", "10")
    with api.Sandbox.from_local(project) as sandbox:
        watches = []
        assert refused(watch) == ("file-calls-per-sandbox", "32")
        for begun in watches[:-1]:
            begun.__exit__(None, None, None)
        assert refused(sandbox.session) == ("sessions-per-sandbox", "64")
