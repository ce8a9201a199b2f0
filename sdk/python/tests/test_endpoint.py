import socket

import pytest

from agentfense import _endpoint


@pytest.mark.parametrize(
    "given, target, shown",
    [
        ("unix:///run/x.sock", "unix:/run/x.sock", "unix:///run/x.sock"),
        ("unix:/run/x.sock", "unix:/run/x.sock", "unix:///run/x.sock"),
        ("/run/x.sock", "unix:/run/x.sock", "unix:///run/x.sock"),
        ("localhost:9000", "localhost:9000", "localhost:9000"),
        ("tcp://[::1]:9000", "[::1]:9000", "[::1]:9000"),
    ],
)
def test_resolve(given, target, shown):
    endpoint = _endpoint.resolve(given)
    assert (endpoint.target, str(endpoint)) == (target, shown)


@pytest.mark.parametrize("given", ["unix:x.sock", "localhost", "localhost:", ":9", "http://h:1"])
def test_an_endpoint_that_is_none_is_a_value_error(given):
    with pytest.raises(ValueError, match="endpoint"):
        _endpoint.resolve(given)


def test_argument_then_environment_then_default(monkeypatch):
    monkeypatch.setenv("AGENTFENSE_ENDPOINT", "h:1")
    assert _endpoint.resolve("h:2").target == "h:2"
    assert _endpoint.resolve().target == "h:1"
    monkeypatch.delenv("AGENTFENSE_ENDPOINT")
    assert _endpoint.resolve().socket_path == "/run/agentfense/api.sock"


def test_an_environment_that_is_no_text_is_named(monkeypatch):
    monkeypatch.setenv("AGENTFENSE_ENDPOINT", "/run/\udcff")
    with pytest.raises(ValueError, match="AGENTFENSE_ENDPOINT .* is not valid UTF-8"):
        _endpoint.resolve()


def test_no_server_names_the_command_that_starts_one(tmp_path):
    endpoint = _endpoint.resolve(f"unix://{tmp_path}/s")
    cause = _endpoint.refusal(endpoint)
    message = _endpoint.diagnose(str(endpoint), "failed to connect", cause)
    assert "no such file or directory" in message
    assert "sudo sandboxd" in message and "AGENTFENSE_ENDPOINT" in message


def test_a_server_that_went_away_during_a_call_is_not_a_missing_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("s")
        s.listen(1)
        endpoint = _endpoint.resolve(f"unix://{tmp_path}/s")
        cause = _endpoint.refusal(endpoint)
        assert "went away" in _endpoint.diagnose(str(endpoint), "broken pipe", cause)
