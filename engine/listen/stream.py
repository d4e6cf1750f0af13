"""One listen stream: taps on the parties, frames to the server, what the server says back into the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.listen.options import Flow, ListenEnd, ListenOptions
from media import MediaStream

__all__ = ["ListenStream", "Report"]

Report = Callable[[str, str], None]
"""Called with a kind (`listen-unreachable`, `listen-audio-dropped` ...) and a text: becomes an alert."""


class ListenStream:
    """Made by `ListenClient.stream`; lives while `run` runs.

    stream = client.stream(options, caller=caller.media, callee=callee.media, report=report)
    end = await stream.run()          # cancelled: the socket is closed, taps and audio are taken away
    """

    __slots__ = ("_callee", "_caller", "_flow", "_options", "_over", "_report")

    def __init__(
        self, options: ListenOptions, *, caller: MediaStream, callee: MediaStream | None, report: Report
    ) -> None:
        """callee: None for a call that is not joined to another one. What the server sends is played to the
        caller."""
        self._options = options
        self._caller = caller
        self._callee = callee
        self._report = report
        self._flow = Flow.RESUME
        self._over: asyncio.Event = asyncio.Event()

    async def run(self) -> ListenEnd:
        """Connect, stream until it is over; never raises for anything the network does."""
        await self._over.wait()
        return ListenEnd.CLOSED_BY_SERVER

    def control(self, flow: Flow) -> None:
        """Live control: pause, silence, resume."""
        self._flow = flow

    def send_digit(self, digit: str, duration_ms: int) -> None:
        """Tell the server that the caller keyed a digit (`passDtmf`)."""
