"""What all listen streams of a process share: one HTTP session, one clock, the goodbyes under way."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import structlog

from engine.listen.connection import Socket
from engine.listen.options import ListenOptions
from engine.listen.outbox import Outbox
from engine.listen.stream import ListenStream, Report
from media import MediaStream
from media.clock import MediaClock

__all__ = ["ListenClient"]

_log = structlog.get_logger(__name__)

_GOODBYE_S = 2.0


class ListenClient:
    """One per process. Make it inside the running loop; `close` it after all streams have ended."""

    __slots__ = ("_clock", "_closing", "_session", "_tls", "_user_agent")

    def __init__(self, *, user_agent: str = "dial-engine", tls: ssl.SSLContext | None = None) -> None:
        """tls: whom to trust behind `wss://`; None: whom the system trusts."""
        self._user_agent = user_agent
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._clock = MediaClock()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made when it is first needed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=True if self._tls is None else self._tls),
                headers={"User-Agent": self._user_agent},
            )
        return self._session

    def stream(
        self,
        options: ListenOptions,
        *,
        caller: MediaStream,
        callee: MediaStream | None = None,
        report: Report,
    ) -> ListenStream:
        """A stream that begins with its `run`."""
        return ListenStream(
            options,
            session=self.session,
            clock=self._clock,
            caller=caller,
            callee=callee,
            report=report,
            goodbye=self._goodbye,
        )

    async def close(self) -> None:
        """Wait for the goodbyes under way, then let go of the session."""
        if self._closing:
            await asyncio.wait(self._closing)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _goodbye(self, ws: Socket, outbox: Outbox | None) -> None:
        """Nobody waits for a server's last words: a verb that is over is over."""
        task = asyncio.create_task(_say_goodbye(ws, outbox), name="listen goodbye")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _say_goodbye(ws: Socket, outbox: Outbox | None) -> None:
    try:
        async with asyncio.timeout(_GOODBYE_S):
            while outbox is not None and not ws.closed and (item := outbox.take()) is not None:
                await (ws.send_str(item) if isinstance(item, str) else ws.send_bytes(item))
            await ws.close()
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one
        _log.debug("listen goodbye was not heard", error=str(error))
