"""Prints, as JSON, how long the SDK's calls and their baselines take."""

import json
import shutil
import subprocess
import sys
import time

from agentfense import Sandbox

path, rounds = sys.argv[1], int(sys.argv[2])
seconds = {}


def clock(name, call):
    start = time.perf_counter()
    call()
    seconds.setdefault(name, []).append(time.perf_counter() - start)


def bare():
    subprocess.run(["bash", "-c", "true"], capture_output=True, check=True)


def whole():
    with Sandbox.from_local(path, preset="development") as sandbox:
        sandbox.run("true", raise_on_error=True)


def copy():
    shutil.copytree(path, path + "-copy")
    bare()
    shutil.rmtree(path + "-copy")


with Sandbox.from_local(path, preset="development") as sandbox:
    for _ in range(rounds):
        clock("run", lambda: sandbox.run("true", raise_on_error=True))
        clock("subprocess", bare)
for _ in range(max(2, rounds // 10)):
    clock("whole", whole)
    clock("copy", copy)
json.dump(seconds, sys.stdout)
