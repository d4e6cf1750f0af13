"""A man in the middle who loses RTP: between a phone and the engine, on one side of a call.

He passes SIP over UDP on and rewrites the media address of every SDP body, so that both sides send audio to
him; of the audio he drops a share, drawn from a seeded generator: the same packets in each run.

    phone ── SIP ──▶ LossyLink ── SIP ──▶ engine
          ◀── RTP ──           ◀── RTP ──
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

__all__ = ["Direction", "LossyLink", "lossy_link"]

_HOST = "127.0.0.1"
_AUDIO_PORT = re.compile(rb"(?m)^(m=audio )(\d+)")
_LENGTH = re.compile(rb"(?im)^(content-length|l)\s*:\s*\d+")

Address = tuple[str, int]


class _Socket(asyncio.DatagramProtocol):
    """One UDP socket that hands over whatever arrives."""

    def __init__(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self._on_datagram = on_datagram
        self._transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, on_datagram: Callable[[bytes, Address], None]) -> _Socket:
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_datagram_endpoint(lambda: cls(on_datagram), local_addr=(_HOST, 0))
        return socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._on_datagram(data, addr)

    def send(self, data: bytes, to: Address) -> None:
        self._transport.sendto(data, to)

    def close(self) -> None:
        self._transport.close()

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])


class Direction:
    """One way through the link, and what became of the packets."""

    __slots__ = ("_random", "loss", "lost", "passed")

    def __init__(self, loss: float, seed: int) -> None:
        self.loss = loss
        self.lost = 0
        self.passed = 0
        self._random = random.Random(seed)

    def survives(self) -> bool:
        """Draw for one packet."""
        if self._random.random() < self.loss:
            self.lost += 1
            return False
        self.passed += 1
        return True


class LossyLink:
    """For one caller at a time."""

    def __init__(self, engine: Address, loss: float, seed: int) -> None:
        """Use `lossy_link`."""
        self.to_engine = Direction(loss, seed)
        self.to_phone = Direction(loss, seed + 1)
        self._engine = engine
        self._phone: Address | None = None
        self._sip: _Socket
        self._towards_engine: _Socket
        self._towards_phone: _Socket
        self._engine_rtp: Address | None = None
        self._phone_rtp: Address | None = None

    async def open(self) -> None:
        self._sip = await _Socket.open(self._pass_sip)
        # The engine sees us as the phone and sends its audio here; the phone sends its own to the other one.
        self._towards_engine = await _Socket.open(self._from_engine)
        self._towards_phone = await _Socket.open(self._from_phone)

    def close(self) -> None:
        for socket in (self._sip, self._towards_engine, self._towards_phone):
            socket.close()

    def uri_for(self, user: str) -> str:
        """Call this instead of the engine."""
        return f"sip:{user}@{_HOST}:{self._sip.port}"

    def _pass_sip(self, data: bytes, source: Address) -> None:
        if source == self._engine:
            if self._phone is not None:
                self._sip.send(self._readdress(data, is_of_engine=True), self._phone)
        else:
            self._phone = source
            self._sip.send(self._readdress(data, is_of_engine=False), self._engine)

    def _readdress(self, message: bytes, *, is_of_engine: bool) -> bytes:
        head, separator, body = message.partition(b"\r\n\r\n")
        media = _AUDIO_PORT.search(body)
        if media is None or media[2] == b"0":
            return message
        theirs = (_HOST, int(media[2]))
        if is_of_engine:
            self._engine_rtp, ours = theirs, self._towards_phone.port
        else:
            self._phone_rtp, ours = theirs, self._towards_engine.port
        body = _AUDIO_PORT.sub(b"\\g<1>%d" % ours, body)
        return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + separator + body

    def _from_engine(self, data: bytes, source: Address) -> None:
        if self._phone_rtp is not None and self.to_phone.survives():
            self._towards_phone.send(data, self._phone_rtp)

    def _from_phone(self, data: bytes, source: Address) -> None:
        if self._engine_rtp is not None and self.to_engine.survives():
            self._towards_engine.send(data, self._engine_rtp)


@asynccontextmanager
async def lossy_link(engine: Address, loss: float, *, seed: int = 1) -> AsyncIterator[LossyLink]:
    """A link to the engine's UDP address that drops `loss` (0-1) of all audio packets."""
    link = LossyLink(engine, loss, seed)
    await link.open()
    try:
        yield link
    finally:
        link.close()
