"""One object in many threads, in several event loops, and after its end."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import agentfense
from agentfense import AsyncSandbox, AsyncSandboxClient, Sandbox, SandboxClient

THREADS = 16


@pytest.fixture
def pool():
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


@pytest.fixture
def prepared(fake):
    """A sandbox that runs."""
    with SandboxClient(fake.endpoint) as client:
        return client.create_sandbox(client.create_codebase("c").id, start=True).id


def test_threads_share_a_sandbox(fake, prepared, pool):
    start = threading.Barrier(THREADS)

    def work(number):
        start.wait(10)
        assert sandbox.run(f"echo {number}").stdout == f"echo {number}"
        sandbox.write_file(f"f{number}", str(number))
        assert sandbox.read_file(f"f{number}") == str(number)
        assert b"".join(sandbox.exec_stream("cat", str(number))).startswith(str(number).encode())
        with sandbox.spawn("cat") as process:
            process.send_stdin(str(number))
            assert process.read(10) == str(number).encode()
        return session.exec("wait", timeout=10).stdout

    with Sandbox.connect(prepared, fake.endpoint) as sandbox, sandbox.session() as session:
        # The first call of all is made by all at once.
        sandbox._client._connection._channels.clear()
        assert list(pool.map(work, range(THREADS))) == ["wait"] * THREADS


def test_a_thread_that_closes_the_client_gives_the_others_an_error(fake, prepared, pool):
    def work(client):
        try:
            while True:
                assert client.exec(prepared, "x", timeout=5).stdout == "x"
                assert list(client.exec_stream(prepared, "x"))
                client.write_sandbox_file(prepared, "f", b"x")
        except agentfense.SandboxError as e:
            return str(e)

    for _ in range(10):
        client = SandboxClient(fake.endpoint)
        others = [pool.submit(work, client) for _ in range(4)]
        client.exec(prepared, "x", timeout=5)
        client.close()
        for other in others:
            assert "closed" in other.result(20)


def test_a_second_loop_may_use_it(fake, prepared):
    client = AsyncSandboxClient(fake.endpoint)
    made = []

    async def first():
        sandbox = await AsyncSandbox.connect(prepared, fake.endpoint)
        session = await sandbox.session()
        process = await sandbox.spawn("cat")
        made.extend([sandbox, session, process])

    async def use():
        sandbox, session, process = made
        assert (await client.get_sandbox(prepared)).id == prepared
        assert (await sandbox.run("x")).stdout == "x"
        commands = [session.exec("wait", timeout=10) for _ in range(4)]
        assert [r.stdout for r in await asyncio.gather(*commands)] == ["wait"] * 4
        await process.send_stdin("y")
        assert await process.read(10) == b"y"

    asyncio.run(first())
    asyncio.run(use())
    asyncio.run(use())
    asyncio.run(client.close())


def test_a_stream_belongs_to_the_loop_that_began_it(fake, prepared):
    client = AsyncSandboxClient(fake.endpoint)
    stream = client.exec_stream(prepared, "abcdef")

    async def read():
        return await stream.__anext__()

    assert asyncio.run(read()) == b"abc"
    with pytest.raises(agentfense.SandboxError, match="another event loop"):
        asyncio.run(read())
    asyncio.run(stream.aclose())
    asyncio.run(client.close())


def test_loops_in_two_threads_do_not_disturb_each_other(fake, prepared, pool):
    client = AsyncSandboxClient(fake.endpoint)
    fake.hold["Exec"], fake.patience = "before", 0.5
    held = pool.submit(asyncio.run, client.exec(prepared, "long", timeout=5))
    assert fake.held.wait(10)

    async def use():
        for _ in range(5):
            assert (await client.exec(prepared, "x", timeout=5)).stdout == "x"

    for other in [pool.submit(asyncio.run, use()) for _ in range(4)]:
        other.result(20)
    assert held.result(20).stdout == "long"
    asyncio.run(client.close())


AFTER = {
    "run": lambda sandbox, client: sandbox.run("x"),
    "read": lambda sandbox, client: sandbox.read_file("x"),
    "write": lambda sandbox, client: sandbox.write_file("x", "x"),
    "stream": lambda sandbox, client: list(sandbox.exec_stream("x")),
    "watch": lambda sandbox, client: list(sandbox.files.watch()),
    "spawn": lambda sandbox, client: sandbox.spawn("x"),
    "session": lambda sandbox, client: sandbox.session(),
    "fork": lambda sandbox, client: sandbox.fork(),
    "client": lambda sandbox, client: client.get_sandbox(sandbox.id),
    "client's stream": lambda sandbox, client: list(client.exec_stream(sandbox.id, "x")),
    "client's file": lambda sandbox, client: list(client.stream_file("cb", "x")),
}


@pytest.mark.parametrize("how", AFTER)
def test_use_after_the_end_is_a_clear_error(api, fake, prepared, how):
    client = api.client(fake.endpoint)
    with api.Sandbox.connect(prepared, fake.endpoint) as sandbox, client:
        process = sandbox.spawn("cat")
        process.send_stdin("x")
        assert process.read(10) == b"x"
        session = sandbox.session()
    with pytest.raises(agentfense.SandboxError, match="client is closed"):
        AFTER[how](sandbox, client)
    for use in (lambda: process.read(1), lambda: process.send_stdin("x"), process.poll):
        with pytest.raises(agentfense.SandboxError, match="closed"):
            use()
    with pytest.raises(agentfense.SandboxError, match="client is closed"):
        session.exec("x")
