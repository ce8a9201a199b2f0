"""Failures as the server sends them, and calls that it leaves unanswered."""

import asyncio
import threading
from typing import Any, Dict, List

import grpc
from google.protobuf import any_pb2

from agentfense._gen import status_pb2


def detail(code: int, reason: str, metadata: Dict[str, str]) -> bytes:
    info = status_pb2.ErrorInfo(reason=reason, domain="agentfense", metadata=metadata)
    packed = any_pb2.Any(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString()
    )
    return status_pb2.Status(code=code, details=[packed]).SerializeToString()


async def fail(context: Any, code: grpc.StatusCode, message: str, reason: str = "", **about: str):
    if reason:
        trailer = detail(code.value[0], reason, about)
        context.set_trailing_metadata((("grpc-status-details-bin", trailer),))
    await context.abort(code, message)


class Holds:
    """Calls that get no answer for a while."""

    def __init__(self) -> None:
        # Names of calls whose next one is held, be it "before" or "after" it is done,
        # and of those that are "always" held.
        self.hold: Dict[str, str] = {}
        self.patience = 60.0
        self.held = threading.Event()
        # The caller ended a call that was held.
        self.let_go = threading.Event()
        # Unary calls that came without a deadline.
        self.timeless: List[str] = []

    def note_deadline(self, name: str, request: Any, context: Any) -> None:
        forever = name == "SessionExec" or (name == "Exec" and not request.HasField("timeout"))
        if context.time_remaining() is None and not forever:
            self.timeless.append(name)

    async def hold_up(self, name: str, when: str) -> None:
        how = self.hold.get(name)
        if how == when or (how, when) == ("always", "before"):
            if how == when:
                del self.hold[name]
            self.held.set()
            try:
                await asyncio.sleep(self.patience)
            except asyncio.CancelledError:
                self.let_go.set()
                raise
