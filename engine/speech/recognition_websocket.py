"""A recogniser of somebody else, attached over WebSocket: the shell around `recognition_messages`.

One connection per session. A connection that breaks is made again, up to three times in a row; the audio of
meanwhile is kept for five seconds. What is lost, and the end of all trying, are events of the session.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import structlog

from engine.speech.recognition import (
    NothingUnderstood,
    RecognitionEvent,
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionSession,
    SpeechBegan,
)
from engine.speech.recognition_messages import (
    Heard,
    MessageError,
    Trouble,
    parse_message,
    start_text,
    stop_text,
)
from media.audio import Pcm, to_bytes

__all__ = ["WebSocketRecogniser"]

_log = structlog.get_logger(__name__)

_CONNECT_S = 10.0
_HEARTBEAT_S = 30.0
_MOST_UNREAD_MS = 45_000
"""Who reads nothing for so long is gone; a socket that is closed waits for him no longer either."""
_LAST_WORDS_S = 10.0
"""From `stop` until the recogniser has closed the socket."""
_MOST_WAITING_S = 5.0
_RETRIES_S = (0.2, 1.0, 3.0)
_STEADY_S = 10.0
"""A connection that lived this long was a good one: the count of retries begins anew."""
_MOST_NONSENSE = 3
"""Frames that cannot be used, in one session, before it is given up."""

_Socket = aiohttp.ClientWebSocketResponse[bool]


class WebSocketRecogniser:
    """One vendor. A `Recogniser`."""

    __slots__ = ("_http", "_rate_hz", "_sessions", "_token", "_url", "vendor")

    def __init__(self, vendor: str, url: str, *, token: str = "", sample_rate_hz: int = 8000) -> None:
        """url: `ws://` or `wss://`. token: sent as a bearer token."""
        self.vendor = vendor
        self._url = url
        self._token = token
        self._rate_hz = sample_rate_hz
        self._http: aiohttp.ClientSession | None = None
        self._sessions: set[_Session] = set()

    async def open(self, options: RecognitionOptions) -> RecognitionSession:
        """A session; it connects by itself and takes audio meanwhile."""
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        session = _Session(options, self.vendor, self._rate_hz, self._connect, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        sessions = tuple(self._sessions)
        for session in sessions:
            session.close()
        await asyncio.gather(*(session.wait_closed() for session in sessions))
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _connect(self) -> _Socket:
        assert self._http is not None
        async with asyncio.timeout(_CONNECT_S):
            ws = await self._http.ws_connect(
                self._url,
                headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
                heartbeat=_HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
        raw = ws.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _MOST_UNREAD_MS)
        return ws


class _Session:
    """One party."""

    __slots__ = (
        "_connect",
        "_events",
        "_forget",
        "_is_finished",
        "_is_losing",
        "_is_over",
        "_is_speaking",
        "_nonsense",
        "_options",
        "_task",
        "_vendor",
        "_waiting",
        "_waiting_samples",
        "_wake",
        "sample_rate_hz",
    )

    def __init__(
        self,
        options: RecognitionOptions,
        vendor: str,
        sample_rate_hz: int,
        connect: Callable[[], Awaitable[_Socket]],
        forget: Callable[[_Session], None],
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._options = options
        self._vendor = vendor
        self._connect = connect
        self._forget = forget
        self._events: asyncio.Queue[RecognitionEvent | None] = asyncio.Queue()
        self._waiting: deque[Pcm] = deque()
        self._waiting_samples = 0
        self._wake = asyncio.Event()
        self._is_finished = False
        self._is_over = False
        self._is_losing = False
        self._is_speaking = False
        self._nonsense = 0
        self._task = asyncio.create_task(self._run(), name=f"recogniser {vendor}")

    def push(self, pcm: Pcm) -> None:
        if self._is_finished or self._is_over:
            return
        self._waiting.append(pcm)
        self._waiting_samples += len(pcm)
        if self._waiting_samples > _MOST_WAITING_S * self.sample_rate_hz:
            self._waiting_samples -= len(self._waiting.popleft())
            if not self._is_losing:
                self._is_losing = True
                self._events.put_nowait(RecognitionLost(f"{self._vendor} takes audio too slowly"))
        self._wake.set()

    def finish(self) -> None:
        self._is_finished = True
        self._wake.set()

    def close(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._task.cancel()
            self._events.put_nowait(None)

    async def wait_closed(self) -> None:
        """After `close`: until the socket is gone."""
        await asyncio.wait([self._task])

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        while (event := await self._events.get()) is not None and not self._is_over:
            yield event

    # -- the connection -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            reason = await self._keep_connected()
            if reason:
                self._events.put_nowait(RecognitionFailed(f"{self._vendor}: {reason}"))
        finally:
            self._events.put_nowait(None)
            self._forget(self)

    async def _keep_connected(self) -> str:
        """Until it is over; the reason if that is too early."""
        failures = 0
        while True:
            try:
                ws = await self._connect()
            except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is one
                reason = _plain(error)
                if isinstance(error, aiohttp.WSServerHandshakeError) and 400 <= error.status < 500:
                    return reason
            else:
                since = asyncio.get_running_loop().time()
                try:
                    outcome = await self._converse(ws)
                finally:
                    # Not waited for longer than the client's own limit of a second.
                    await ws.close()
                if outcome is not None:
                    return outcome
                reason = "the connection broke"
                if asyncio.get_running_loop().time() - since >= _STEADY_S:
                    failures = 0
            if self._is_finished or failures == len(_RETRIES_S):
                return reason
            if not failures:
                self._events.put_nowait(RecognitionLost(f"{self._vendor}: {reason}; connecting again"))
                self._nothing_understood()  # the next connection knows nothing of what was being said
            await asyncio.sleep(_RETRIES_S[failures])
            failures += 1

    async def _converse(self, ws: _Socket) -> str | None:
        """One connection. None: it broke; empty: all is said; else why there is no going on."""
        writer = asyncio.create_task(self._write(ws), name="recogniser's ear")
        try:
            while True:
                message = await ws.receive()
                match message.type:
                    case aiohttp.WSMsgType.TEXT:
                        reason = self._receive(message.data)
                        if reason is not None:
                            return reason
                    case aiohttp.WSMsgType.BINARY:
                        pass
                    case aiohttp.WSMsgType.CLOSE:
                        return "" if self._is_finished else "it closed the connection"
                    case _:
                        return "" if writer.done() else None
        finally:
            writer.cancel()

    async def _write(self, ws: _Socket) -> None:
        """Everything there is to send; returns some time after the last of it."""
        try:
            await ws.send_str(start_text(self._options, self.sample_rate_hz))
            while self._waiting or not self._is_finished:
                if not self._waiting:
                    self._is_losing = False
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                pcm = self._waiting.popleft()
                self._waiting_samples -= len(pcm)
                await ws.send_bytes(to_bytes(pcm))
            await ws.send_str(stop_text())
            await asyncio.sleep(_LAST_WORDS_S)
            await ws.close()
        except (aiohttp.ClientError, OSError) as error:
            # The reader sees the end of the connection too, and decides.
            _log.debug("recogniser's connection broke while sending", vendor=self._vendor, error=str(error))

    def _receive(self, text: str) -> str | None:
        try:
            message = parse_message(text)
        except MessageError as error:
            self._nonsense += 1
            _log.warning("recogniser sent what cannot be used", vendor=self._vendor, error=str(error))
            return f"unusable message: {error}" if self._nonsense >= _MOST_NONSENSE else None
        match message:
            case Trouble(error=error_text):
                return error_text
            case Heard():
                result = message.result(self._options, self._vendor)
                if result is None:
                    if message.is_final:
                        self._nothing_understood()
                else:
                    if not self._is_speaking:
                        self._events.put_nowait(SpeechBegan(self._options.channel_tag))
                    self._is_speaking = not result.is_final
                    if result.is_final or self._options.interim:
                        self._events.put_nowait(result)
        return None

    def _nothing_understood(self) -> None:
        if self._is_speaking:
            self._is_speaking = False
            self._events.put_nowait(NothingUnderstood(self._options.channel_tag))


def _plain(error: Exception) -> str:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it answered {error.status}"
    if isinstance(error, TimeoutError):
        return f"no connection within {_CONNECT_S:g} s"
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
