"""No parameter of any public call takes what is nothing: it is refused by its name."""

import inspect
import io

import pytest

import agentfense

VALID = {
    "codebase_id": "cb_1",
    "cols": 80,
    "command": "x",
    "content": b"x",
    "data": b"x",
    "file": io.BytesIO(),
    "file_path": "x",
    "local_dir": "/",
    "name": "x",
    "path": "/",
    "process_id": "proc_1",
    "rows": 24,
    "sandbox_id": "sb_1",
    "session_id": "sess_1",
    "to": "y",
}


def calls_of(thing):
    """The public calls of a class, by name."""
    return {
        name: call
        for name, call in inspect.getmembers(thing, callable)
        if not name.startswith("_") and inspect.signature(call).parameters
    }


CLASSES = ["Sandbox", "SandboxClient", "SandboxFiles", "SandboxSession", "Process", "Pty"]


@pytest.fixture
def things(api, fake):
    client = api.client(fake.endpoint)
    sandbox = api.Sandbox.from_codebase(client.create_codebase("c").id, endpoint=fake.endpoint)
    yield {
        "Sandbox": sandbox,
        "SandboxClient": client,
        "SandboxFiles": sandbox.files,
        "SandboxSession": sandbox.session(),
        "Process": sandbox.spawn("cat"),
        "Pty": sandbox.pty(),
    }
    sandbox.destroy()
    client.close()


@pytest.mark.parametrize("kind", CLASSES)
def test_every_parameter_is_checked(fake, things, kind):
    failures, calls = [], calls_of(getattr(agentfense, kind))
    assert calls
    for name, call in calls.items():
        parameters = [p for p in inspect.signature(call).parameters.values() if p.name != "self"]
        needed = {p.name: VALID[p.name] for p in parameters if p.default is p.empty}
        for parameter in parameters:
            before = len(fake.names)
            try:
                getattr(things[kind], name)(**{**needed, parameter.name: object()})
            except agentfense.InvalidTypeError as e:
                named = str(e).startswith(parameter.name)
                if not named or len(fake.names) > before:
                    failures.append(f"{name}({parameter.name}): {e} {fake.names[before:]}")
            except Exception as e:
                failures.append(f"{name}({parameter.name}): {e!r}")
            else:
                failures.append(f"{name}({parameter.name}) is taken")
    assert not failures, "\n".join(failures)
