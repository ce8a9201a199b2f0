"""What needs a process of its own: forks, imports, threads, generated code."""

import os
import pathlib
import subprocess
import sys

import grpc
import pytest

SDK = pathlib.Path(__file__).resolve().parent.parent
PATH = f"import sys; sys.path[:0] = [{str(SDK)!r}, {str(SDK / 'tests')!r}]\n"

SERVE = (
    PATH
    + """
from fake import Fake
server = Fake(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
server.close()
"""
)

FORK = (
    PATH
    + """
import os
from agentfense import SandboxClient
client = SandboxClient(sys.argv[1])
codebase = client.create_codebase("c").id
pid = os.fork()
if pid == 0:
    ok = client.get_codebase(codebase).id == codebase
    os._exit(0 if ok else 1)
status = os.waitpid(pid, 0)[1]
assert client.get_codebase(codebase).id == codebase
sys.exit(status != 0)
"""
)

FORK_ATTACHED = (
    PATH
    + """
import os
from agentfense import Sandbox, SandboxClient
client = SandboxClient(sys.argv[1])
made = client.create_sandbox(client.create_codebase("c").id, start=True)
sandbox = Sandbox.connect(made.id, sys.argv[1])
process, session = sandbox.spawn("cat"), sandbox.session()
process.send_stdin("parent")
assert process.read(10) == b"parent"
session.exec("x", timeout=10)
pid = os.fork()
if pid == 0:
    process.send_stdin("child")
    ok = process.read(10) == b"child" and session.exec("x", timeout=10).stdout == "x"
    os._exit(0 if ok else 1)
status = os.waitpid(pid, 0)[1]
assert session.exec("x", timeout=10).stdout == "x"
process.detach()
process.close_stdin()
process.wait(10)
sys.exit(status != 0)
"""
)

ASYNC_FORK = (
    PATH
    + """
import asyncio, os
from agentfense import AsyncSandboxClient, SandboxError
client = AsyncSandboxClient(sys.argv[1])
asyncio.run(client.server_info())
pid = os.fork()
if pid == 0:
    try:
        asyncio.run(client.server_info())
    except SandboxError as e:
        os._exit(0 if "forked" in str(e) else 1)
    os._exit(2)
# An older gRPC ends such a child by itself, with 64.
status = os.waitpid(pid, 0)[1]
asyncio.run(client.server_info())
sys.exit(status not in (0, 64 << 8))
"""
)

THREADS = (
    PATH
    + """
import threading
from agentfense import SandboxClient
client = SandboxClient(sys.argv[1])
sandbox = client.create_sandbox(client.create_codebase("c").id, start=True).id
client.exec(sandbox, "x", timeout=5)
list(client.exec_stream(sandbox, "x"))
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
"""
)

CLASH = (
    PATH
    + """
from google.protobuf import descriptor_pb2, descriptor_pool
for package, name in [("sandbox.v1", "Sandbox"), ("google.rpc", "Status")]:
    other = descriptor_pb2.FileDescriptorProto(
        name=package.replace(".", "/") + "/sandbox.proto", package=package)
    other.message_type.add(name=name)
    descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
import agentfense
"""
)


# gRPC 1.49 itself hangs now and then in a child that is forked beside a stream,
# as the documentation says: so often one of them may.
OLD_FORKS = 3 if grpc.__version__.startswith("1.49.") else 1

# As a user's process has it: without what conftest sets.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("GRPC_")}


def python(code, *args):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )


@pytest.fixture
def endpoint(tmp_path_factory):
    import shutil
    import tempfile

    directory = tempfile.mkdtemp(prefix="af")
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE, f"{directory}/s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout.readline() == b"ready\n"
    yield f"unix://{directory}/s"
    server.communicate(b"")
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    "code", [FORK, FORK_ATTACHED, THREADS], ids=["fork", "fork with a process", "threads"]
)
def test_in_a_process_of_its_own(endpoint, code):
    for left in reversed(range(OLD_FORKS if code == FORK_ATTACHED else 1)):
        try:
            done = python(code, endpoint)
        except subprocess.TimeoutExpired:
            if not left:
                raise
        else:
            break
    assert (done.returncode, done.stderr) == (0, "")


def test_an_async_client_refuses_a_forked_child(endpoint):
    done = python(ASYNC_FORK, endpoint)
    assert done.returncode == 0, done.stderr


def test_other_stubs_of_the_same_contract_do_not_clash():
    done = python(CLASH)
    assert done.returncode == 0, done.stderr


def test_the_sync_side_is_what_the_async_side_generates():
    tool = SDK / "tools" / "unasync.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
