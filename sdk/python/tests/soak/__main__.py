"""Many sandboxes for a long time, then clients that die in the middle of everything.

The first part samples a client and its daemon while 500 sandboxes with a session
each are used, and compares an early part of that time with the last. The second
kills clients and looks for what stays of them.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from typing import Callable, Dict, List

from daemon import Daemon

import agentfense

from . import victim, watch

HERE = pathlib.Path(__file__).resolve().parent
# How many parts of a run are compared: the second with the last.
PARTS = 10
# What may be more in the last part than in the second.
GROWTH = 0.1
SLACK = watch.Sample(rss=8 << 10, threads=8, fds=64, children=100, mounts=16)


class Soak:
    def __init__(self, daemon: Daemon, directory: pathlib.Path) -> None:
        self.daemon = daemon
        self.project = directory / "project"
        self.big = directory / "big"
        self.project.mkdir()
        (self.project / "main.py").write_text("print('hi')\n")
        for i in range(2000):
            place = self.big / str(i // 100)
            place.mkdir(parents=True, exist_ok=True)
            (place / str(i)).write_bytes(os.urandom(4096))

    def _start(self, module: str, *args: object) -> "subprocess.Popen[str]":
        env = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
        return subprocess.Popen(
            [sys.executable, "-W", "error", HERE / f"{module}.py", self.daemon.endpoint]
            + [str(a) for a in args],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )

    def crowd(self, sandboxes: int, seconds: float) -> List[str]:
        """The first part; returns what grew."""
        client = self._start("crowd", self.project, sandboxes, seconds)
        assert client.stdout is not None
        lines: List[str] = []

        def read() -> None:
            lines.extend(client.stdout or ())

        try:
            begun = time.monotonic()
            assert client.stdout.readline() == "ready\n", "the client failed"
            print(f"{sandboxes} sandboxes with a session: {time.monotonic() - begun:.1f} s")
            reader = threading.Thread(target=read)
            reader.start()
            samples: Dict[str, List[watch.Sample]] = {"client": [], "daemon": []}
            while not lines and client.poll() is None:
                samples["client"].append(watch.look(client.pid))
                samples["daemon"].append(watch.look(self.daemon.pid))
                time.sleep(min(1.0, seconds / 100))
            reader.join()
            assert client.wait() == 0 and lines[0] == "over\n", lines
        finally:
            client.kill()
            client.wait()
            client.stdout.close()
        print("steps:", lines[-1].strip())
        return [grown for who, them in samples.items() for grown in self._compare(who, them)]

    def _compare(self, who: str, samples: List[watch.Sample]) -> List[str]:
        size = len(samples) // PARTS
        early, late = watch.middle(samples[size : 2 * size]), watch.middle(samples[-size:])
        print(f"{who}, second of {PARTS} parts: {early}")
        print(f"{who}, last: {late}, most memory {max(s.rss for s in samples)}")
        grown = []
        for field in watch.Sample.__dataclass_fields__:
            before, after = getattr(early, field), getattr(late, field)
            if after > before * (1 + GROWTH) + getattr(SLACK, field):
                grown.append(f"{who}: {field} grew from {before} to {after}")
        return grown

    def deaths(self, count: int) -> None:
        """The second part."""
        self._await("an idle daemon", lambda: self._left() == [])
        before = watch.look(self.daemon.pid)
        for number in range(count):
            self._death()
            self._await("the daemon to close what it opened", lambda: self._settled(before))
            print(f"death {number + 1}: nothing is left, {watch.look(self.daemon.pid)}")

    def _settled(self, before: watch.Sample) -> bool:
        now = watch.look(self.daemon.pid)
        return now.fds <= before.fds and now.mounts <= before.mounts

    def _death(self) -> None:
        client = self._start("victim", self.project, self.big)
        assert client.stdout is not None
        try:
            word, _, sandbox = client.stdout.readline().strip().partition(" ")
            assert word == "busy", "the client failed"
            time.sleep(random.uniform(0, 1))
        finally:
            client.kill()
            client.wait()
            client.stdout.close()
        self._await("the client's commands to end", lambda: self._running(victim.ENDS) == [])
        assert self._running("yes") == []
        self._reattach(sandbox)
        self._await("all sandboxes and codebases to expire", lambda: self._left() == [])

    def _reattach(self, sandbox_id: str) -> None:
        """What is meant to outlive a client is there, until somebody ends it."""
        with agentfense.Sandbox.connect(sandbox_id, endpoint=self.daemon.endpoint) as sandbox:
            processes = [p for p in sandbox.processes() if p.poll() is None]
            assert len(processes) == 2, processes
            assert len(sandbox.sessions()) == 2
            assert self._running(victim.STAYS)
            for process in processes:
                process.kill()
                assert process.wait(60).signal == 9

    def _running(self, word: str) -> List[str]:
        return [c for c in watch.commands(watch.descendants(self.daemon.pid)) if word in c.split()]

    def _left(self) -> List[str]:
        """What is there of clients."""
        with agentfense.SandboxClient(self.daemon.endpoint) as client:
            left = [s.id for s in client.list_sandboxes()]
            left += [c.id for c in client.list_codebases()]
        left += watch.commands(watch.descendants(self.daemon.pid))
        state = self.daemon.directory / "state"
        return left + [str(p) for d in ("sandboxes", "trash") for p in (state / d).iterdir()]

    def _await(self, what: str, done: Callable[[], bool]) -> None:
        until = time.monotonic() + 120
        while not done():
            assert time.monotonic() < until, f"waited for {what}: {self._left()}"
            time.sleep(0.1)


def soak(sandboxes: int, seconds: float, deaths: int) -> List[str]:
    daemon = Daemon("--view-idle=1s")
    try:
        with tempfile.TemporaryDirectory(prefix="afsoak") as directory:
            os.chmod(directory, 0o755)
            parts = Soak(daemon, pathlib.Path(directory))
            grown = parts.crowd(sandboxes, seconds)
            parts.deaths(deaths)
        return grown
    finally:
        daemon.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("-minutes", type=float, default=10)
    parser.add_argument("-sandboxes", type=int, default=500)
    parser.add_argument("-deaths", type=int, default=5)
    args = parser.parse_args()
    grown = soak(args.sandboxes, args.minutes * 60, args.deaths)
    for line in grown:
        print(line, file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
