"""Prints, as JSON, how long the SDK's calls and their baselines take."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

from agentfense import Sandbox

path, rounds = sys.argv[1], int(sys.argv[2])
few = max(2, rounds // 10)
seconds = {}


def clock(name, call):
    start = time.perf_counter()
    made = call()
    seconds.setdefault(name, []).append(time.perf_counter() - start)
    return made


def bare():
    subprocess.run(["bash", "-c", "true"], capture_output=True, check=True)


class PlainShell:
    """A bash that is told commands through a pipe, and answers through another."""

    def __init__(self):
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.exec("true")

    def exec(self, command):
        self._process.stdin.write(b"%s; echo $?\n" % command.encode())
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"0\n"

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def whole():
    with Sandbox.from_local(path, preset="development") as sandbox:
        sandbox.run("true", raise_on_error=True)


def copy():
    shutil.copytree(path, path + "-copy")
    bare()
    shutil.rmtree(path + "-copy")


def sessions(sandbox):
    for _ in range(few):
        for name, make in ("create", sandbox.session), ("plain create", PlainShell):
            clock(name, make).close()
    ours, plain = sandbox.session(), PlainShell()
    for _ in range(rounds):
        clock("exec", lambda: ours.exec("true", raise_on_error=True))
        clock("plain exec", lambda: plain.exec("true"))
    plain.close()
    ours.close()


def files(sandbox):
    content = b"0123456789abcde\n" * (1 << 16)
    beside = pathlib.Path(path + "-plain")
    for _ in range(few):
        clock("up", lambda: sandbox.write_file("big", content))
        clock("plain up", lambda: beside.write_bytes(content))
        assert clock("down", lambda: sandbox.read_file_bytes("big")) == content
        clock("plain down", beside.read_bytes)
    beside.unlink()


with Sandbox.from_local(path, preset="development") as sandbox:
    sandbox.run("true", raise_on_error=True)
    for _ in range(rounds):
        clock("run", lambda: sandbox.run("true", raise_on_error=True))
        clock("subprocess", bare)
    sessions(sandbox)
    files(sandbox)
for _ in range(few):
    clock("whole", whole)
    clock("copy", copy)
json.dump(seconds, sys.stdout)
