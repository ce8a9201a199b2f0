"""What must not hold up an event loop."""

import asyncio
import os
import socket
import threading

import pytest

from agentfense import AsyncSandboxClient, ConnectionError, _walk
from agentfense._async import _flavor
from agentfense._gen import codebase_pb2 as cb


def blocks(*_, **__):
    raise AssertionError("this blocks")


@pytest.mark.parametrize("endpoint", ["localhost:1", "nobody.invalid:1", "unix:///nowhere/s"])
def test_nothing_is_resolved_or_connected_in_the_loop(monkeypatch, endpoint):
    monkeypatch.setattr(socket, "getaddrinfo", blocks)
    monkeypatch.setattr(socket, "create_connection", blocks)
    monkeypatch.setattr("agentfense._endpoint.refusal", blocks)

    async def main():
        before = threading.active_count()
        async with AsyncSandboxClient(endpoint) as client:
            for _ in range(2):
                with pytest.raises(ConnectionError, match="cannot connect|no such file") as e:
                    await client.server_info()
                assert "sudo sandboxd" in str(e.value)
        assert threading.active_count() <= before + 1  # gRPC's own poller

    asyncio.run(main())


async def turns(work):
    """How often the loop went round while it did the work."""
    count = 0
    task = asyncio.ensure_future(work)
    while not task.done():
        count += 1
        await asyncio.sleep(0)
    await task
    return count


def test_others_run_while_a_large_directory_is_walked(tmp_path):
    for number in range(1000):
        (tmp_path / str(number)).touch()
    assert asyncio.run(turns(_flavor.paced(_walk.walk(os.fsencode(tmp_path))))) > 10


def test_others_run_while_a_large_file_is_read(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(bytes(8 << 20))
    st = path.stat()
    entry = cb.TreeEntry(path=b"big", size=st.st_size, mtime_ns=st.st_mtime_ns)
    digest = _walk.digest(os.fsencode(tmp_path), entry)
    assert asyncio.run(turns(_flavor.paced(digest))) > 20
