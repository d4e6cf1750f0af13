"""Server-sent events of one dial: everything from the beginning or from `Last-Event-ID` on, the result last.

Nothing is queued per client: a stream is a position in the dial's own list of events, so a slow client costs
its socket and nothing more, and one that goes away leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from litestar.types import Receive, Scope, Send

from engine.api.dials.book import DialEntry, DialEvent
from engine.api.services import ApiLimits
from engine.api.visitors import Place
from engine.json_text import encode_json

__all__ = ["EventStream", "disconnected"]

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # proxies that buffer would keep the events to themselves
]
_PING = b": still here\n\n"


class EventStream:
    """An ASGI response."""

    __slots__ = ("_entry", "_last", "_limits", "_place")

    def __init__(self, entry: DialEntry, last: int, limits: ApiLimits, place: Place) -> None:
        """`last`: number of the last event the client has seen, 0: none."""
        self._entry = entry
        self._last = last
        self._limits = limits
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Returns after the result, when the client has gone, reads nothing, or when the server stops."""
        with self._place:
            gone = asyncio.create_task(disconnected(receive), name=f"client of {self._entry.id}")
            try:
                async with asyncio.timeout(None) as patience:
                    await self._stream(send, gone, patience)
            except TimeoutError:
                pass  # the client reads nothing: its connection is closed below
            finally:
                gone.cancel()
                await asyncio.wait((gone,))

    async def _stream(self, send: Send, gone: asyncio.Task[None], patience: asyncio.Timeout) -> None:
        loop, limits, entry, closing = (
            asyncio.get_running_loop(),
            self._limits,
            self._entry,
            self._place.closing,
        )

        async def say(data: bytes, *, more_body: bool = True) -> None:
            patience.reschedule(loop.time() + limits.send_timeout_s)
            await send({"type": "http.response.body", "body": data, "more_body": more_body})
            patience.reschedule(None)

        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        last = self._last
        while True:
            changed = entry.changed()
            events = entry.events_after(last)
            if events:
                last = events[-1].number
                await say(_encode(events))
            if entry.has_ended or closing.done():
                break
            if not events:
                done, _ = await asyncio.wait(
                    (changed, gone, closing),
                    timeout=limits.stream_ping_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone in done:
                    return
                if not done:
                    await say(_PING)
        await say(b"", more_body=False)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(events: Sequence[DialEvent]) -> bytes:
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n" % (each.number, each.name.encode(), encode_json(each.data))
        for each in events
    )
