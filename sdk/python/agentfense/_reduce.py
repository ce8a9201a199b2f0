"""From streams to results. Pure: feed it messages, ask it for the outcome."""

import codecs
import os
import re
from typing import Dict, Iterator, List, Optional

from . import _wire
from ._errors import CommandTimeoutError, SandboxError
from ._gen import codebase_pb2 as cb
from ._gen import sandbox_pb2 as sb
from ._types import Codebase, ExecChunk, ExecResult

STDOUT, STDERR = "stdout", "stderr"
# Bytes that a codebase's name may have.
_NAME = 256


class ExecReducer:
    """The messages of ExecStream become chunks and, at the end, a result.

    ``limit`` is how many bytes of each stream it keeps for the result; 0 forgets
    the output as it goes, so a stream of any length costs no memory.
    """

    def __init__(self, command: str, limit: Optional[int] = None) -> None:
        self._command = command
        self._limit = limit
        self._output: Dict[str, List[bytes]] = {STDOUT: [], STDERR: []}
        self._size = {STDOUT: 0, STDERR: 0}
        self._truncated = False
        self._exit: Optional[sb.ExecExit] = None

    def feed(self, message: sb.ExecOutput, keep: bool = True) -> Optional[ExecChunk]:
        """Takes one message in; returns its output, None if it carries none."""
        if message.HasField("exit"):
            self._exit = message.exit
        self._truncated = self._truncated or message.lost > 0
        if not message.data:
            return None
        stream = STDERR if message.type == sb.ExecOutput.OUTPUT_TYPE_STDERR else STDOUT
        if keep:
            self._keep(stream, message.data)
        return ExecChunk(message.data, stream)

    def _keep(self, stream: str, data: bytes) -> None:
        if self._limit is not None:
            room = self._limit - self._size[stream]
            self._truncated = self._truncated or (self._limit > 0 and len(data) > room)
            data = data[:room]
        if data:
            self._output[stream].append(data)
            self._size[stream] += len(data)

    @property
    def exit_code(self) -> Optional[int]:
        """None until the command has ended."""
        return self._exit.exit_code if self._exit is not None else None

    def result(self) -> ExecResult:
        if self._exit is None:
            raise SandboxError("the server ended the stream without an exit code")
        return _wire.exec_exit(
            self._exit, self._command, self._kept(STDOUT), self._kept(STDERR), self._truncated
        )

    def complete(self, error: CommandTimeoutError) -> None:
        """Gives a command's own timeout the output that was kept."""
        if error.reason == "COMMAND_TIMEOUT":
            error.stdout = self._kept(STDOUT).decode("utf-8", "replace")
            error.stderr = self._kept(STDERR).decode("utf-8", "replace")

    def _kept(self, stream: str) -> bytes:
        return b"".join(self._output[stream])


class LineSplitter:
    """Chunks become lines, each stream's on its own. A line of more bytes comes in pieces."""

    def __init__(self, longest: int = 1 << 20) -> None:
        self._longest = longest
        self._begun = {s: bytearray() for s in (STDOUT, STDERR)}

    def feed(self, chunk: ExecChunk) -> Iterator[ExecChunk]:
        begun = self._begun[chunk.stream]
        for part in _PART.findall(chunk):
            begun += part
            if part.endswith(b"\n") or len(begun) >= self._longest:
                yield ExecChunk(bytes(begun), chunk.stream)
                begun.clear()

    def rest(self) -> Iterator[ExecChunk]:
        """What came last and has no line feed."""
        for stream, begun in self._begun.items():
            if begun:
                yield ExecChunk(bytes(begun), stream)


# A line, or its begin.
_PART = re.compile(rb"[^\n]*\n|[^\n]+")


class TextSplitter:
    """Chunks become text for callbacks; a character is never cut in two."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {s: decoder("replace") for s in (STDOUT, STDERR)}

    def feed(self, chunk: ExecChunk) -> str:
        return self._decoders[chunk.stream].decode(chunk)

    def rest(self, stream: str) -> str:
        return self._decoders[stream].decode(b"", final=True)


class IngestReducer:
    """The messages of IngestDirectory become the codebase that it made."""

    def __init__(self) -> None:
        self._result: Optional[cb.IngestResult] = None

    def feed(self, message: cb.IngestProgress) -> None:
        if message.HasField("result"):
            self._result = message.result

    def codebase(self) -> Codebase:
        if self._result is None:
            raise SandboxError("the server ended the stream without a result")
        return ingested(self._result)


def ingested(result: cb.IngestResult) -> Codebase:
    return _wire.codebase(result.codebase, _wire.ingest_summary(result))


class TreeReducer:
    """The answers of UploadTree: two lists that come in parts, then the result."""

    def __init__(self) -> None:
        self._wanted: List[int] = []
        self._missing: List[int] = []
        self.result: Optional[cb.IngestResult] = None

    def feed(self, message: cb.UploadTreeResponse) -> Optional[List[int]]:
        """Takes one message in; returns a list once it is complete."""
        step = message.WhichOneof("step")
        if step == "wanted":
            self._wanted.extend(message.wanted.entries)
            return self._wanted if message.wanted.last else None
        if step == "missing":
            self._missing.extend(message.missing.entries)
            return self._missing if message.missing.last else None
        if step == "result":
            self.result = message.result
        return None


def name_of(path: str) -> str:
    """The name that a codebase gets from its directory."""
    found = os.fsencode(os.path.basename(os.path.realpath(path))).decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else "\ufffd" for c in found)
    return shown.encode()[:_NAME].decode("utf-8", "ignore") or "root"
