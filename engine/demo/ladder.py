"""SIP messages as they come and go, drawn as a ladder."""

from __future__ import annotations

from typing import TextIO

from engine.sip.types import Flow
from engine.trace import first_line
from engine.transport.endpoint import Direction

__all__ = ["Ladder"]

_WIDTH = 32


class Ladder:
    """SIP messages as a ladder with the engine in the middle: callers to its left, callees to its right."""

    def __init__(self, out: TextIO, names: dict[int, str]) -> None:
        """`names` by SIP port."""
        self._out = out
        self._names = names
        self._started_at = 0.0

    def begin(self, at: float) -> None:
        """Count seconds from `at`."""
        self._started_at = at
        print(
            f"{'seconds':>8}  {'caller':<8}{'':<{_WIDTH}}{'engine':^8}{'':<{_WIDTH}}callees", file=self._out
        )

    def draw(self, at: float, direction: Direction, flow: Flow, message: bytes) -> None:
        """A tracer for the endpoint."""
        name = self._names.get(flow.remote.port, f":{flow.remote.port}")
        words = first_line(message)
        method, _, rest = words.partition(" ")
        label = method if rest.startswith("sip") else words
        outward = direction is Direction.OUT
        if name == "alice":
            rung = _arrow(label, points_right=not outward)
            line = f"{name:<8}{rung}engine"
        else:
            rung = _arrow(label, points_right=outward)
            line = f"{'':<8}{'':<{_WIDTH}}engine  {rung}{name}"
        print(f"{at - self._started_at:8.3f}  {line}", file=self._out, flush=True)


def _arrow(label: str, *, points_right: bool) -> str:
    body = f" {label} ".center(_WIDTH - 3, "─")
    return f"{body}▶ ".ljust(_WIDTH) if points_right else f"◀{body} ".ljust(_WIDTH)
