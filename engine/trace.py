"""SIP messages as text: whole (`--trace`) or as the lines of a ladder (the demo)."""

from __future__ import annotations

from typing import TextIO

from engine.sip.types import Flow
from engine.transport.endpoint import Direction, Tracer

__all__ = ["first_line", "print_messages"]


def first_line(message: bytes) -> str:
    """Request line or status line without the protocol version: `INVITE sip:bob@192.0.2.7`, `180 Ringing`."""
    line = message.partition(b"\r\n")[0].decode("utf-8", "replace")
    return line.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0")


def print_messages(started_at: float, out: TextIO) -> Tracer:
    """A tracer that writes every message with time and direction. `started_at`: monotonic seconds."""

    def trace(at: float, direction: Direction, flow: Flow, message: bytes) -> None:
        arrow = "->" if direction is Direction.OUT else "<-"
        remote = f"{flow.transport} {flow.remote.host}:{flow.remote.port}"
        print(f"--- {at - started_at:.3f} {arrow} {remote}", file=out)
        print(message.decode("utf-8", "replace").replace("\r\n", "\n").rstrip(), file=out, flush=True)

    return trace
