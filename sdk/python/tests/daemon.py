"""A real daemon of a test run's own, in a directory of its own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

NO_ENGINE = "unix:///nonexistent/docker.sock"
ROOT = pathlib.Path(__file__).resolve().parents[3]


class Daemon:
    """bin/sandboxd, or the one in $AGENTFENSE_BIN, with all that it keeps below one directory."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self.program = pathlib.Path(os.environ.get("AGENTFENSE_BIN", ROOT / "bin")) / "sandboxd"
        assert os.geteuid() == 0, "the e2e tests need root"
        assert self.program.exists(), f"{self.program} is missing: run make build"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="afe2e"))
        self._log = (self.directory / "log").open("ab")
        self.endpoint = f"unix://{self.directory}/api.sock"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                self.program,
                f"--state-dir={self.directory}/state",
                f"--run-dir={self.directory}/run",
                f"--listen={self.endpoint}",
                *self._flags,
            ],
            stderr=self._log,
            start_new_session=True,
            # Whatever engine the machine has is not meant.
            env={**os.environ, "DOCKER_HOST": os.environ.get("AGENTFENSE_TEST_DOCKER", NO_ENGINE)},
        )
        for _ in range(500):
            if self._process.poll() is not None or self._answers():
                break
            time.sleep(0.02)
        assert self._answers(), self.log()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(f"{self.directory}/api.sock") == 0

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it without a chance to say so."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert status == 0, self.log()

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                self.stop()
        finally:
            self._log.close()
            shutil.rmtree(self.directory)
