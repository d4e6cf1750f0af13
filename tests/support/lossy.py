"""A man in the middle who loses packets: between caller and engine, or between engine and callee.

He passes SIP over UDP on and rewrites the media address of every SDP body, so that both sides send audio to
him. Of the audio he drops a share drawn from a seeded generator, the same packets in each run; of the SIP
messages those whose places he is told. He may also hold each packet of audio for a while, in order (jitter)
or not (reordering). Requests inside the dialog go past him, to the Contact.

    caller ── SIP ──▶ LossyLink ── SIP ──▶ called
           ◀── RTP ──           ◀── RTP ──
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Collection
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

    __slots__ = (
        "_doomed",
        "_due",
        "_held",
        "_jitter_s",
        "_keeps_order",
        "_random",
        "loss",
        "lost",
        "overtaken",
        "passed",
    )

    def __init__(
        self,
        *,
        loss: float = 0.0,
        seed: int = 1,
        doomed: Collection[int] = (),
        jitter_s: float = 0.0,
        keeps_order: bool = True,
    ) -> None:
        """`loss`: share of all packets; `doomed`: places of packets that are lost, from 0.

        `jitter_s`: each packet is held for 0 to so many seconds; without `keeps_order` they overtake.
        """
        self.loss = loss
        self.lost = 0
        self.passed = 0
        self.overtaken = 0
        """Packets that left after one that came later."""
        self._doomed = doomed
        self._jitter_s = jitter_s
        self._keeps_order = keeps_order
        self._due = 0.0
        self._held: set[asyncio.TimerHandle] = set()
        self._random = random.Random(seed)

    def survives(self) -> bool:
        """Decide about the next packet."""
        if self.lost + self.passed in self._doomed or self._random.random() < self.loss:
            self.lost += 1
            return False
        self.passed += 1
        return True

    def hold(self, send: Callable[[], None]) -> None:
        """Call `send` when the packet may go on."""
        if not self._jitter_s:
            send()
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self._random.uniform(0.0, self._jitter_s)
        if due < self._due:
            if self._keeps_order:
                due = self._due + 1e-6  # timers of the same moment come in any order
            else:
                self.overtaken += 1
        self._due = max(self._due, due)

        def let_go() -> None:
            self._held.discard(handle)
            send()

        handle = loop.call_at(due, let_go)
        self._held.add(handle)

    def close(self) -> None:
        """Drop what is still held."""
        for handle in self._held:
            handle.cancel()


class LossyLink:
    """For one call at a time, which `called` receives."""

    def __init__(
        self,
        called: Address,
        rtp_loss: float,
        requests: Collection[int],
        responses: Collection[int],
        seed: int,
        jitter_s: float,
        keeps_order: bool,
    ) -> None:
        """Use `lossy_link`."""
        self.audio_to_called, self.audio_to_caller = (
            Direction(loss=rtp_loss, seed=each, jitter_s=jitter_s, keeps_order=keeps_order)
            for each in (seed, seed + 1)
        )
        self.sip_to_called = Direction(doomed=requests)
        self.sip_to_caller = Direction(doomed=responses)
        self._called = called
        self._caller: Address | None = None
        self._sip: _Socket
        self._towards_called: _Socket
        self._towards_caller: _Socket
        self._called_rtp: Address | None = None
        self._caller_rtp: Address | None = None

    async def open(self) -> None:
        self._sip = await _Socket.open(self._pass_sip)
        # Each side takes us for the other one: the called side sends its audio to the socket that faces it.
        self._towards_called = await _Socket.open(self._from_called)
        self._towards_caller = await _Socket.open(self._from_caller)

    def close(self) -> None:
        self.audio_to_called.close()
        self.audio_to_caller.close()
        for socket in (self._sip, self._towards_called, self._towards_caller):
            socket.close()

    def uri_for(self, user: str) -> str:
        """Call this instead of the other side."""
        return f"sip:{user}@{_HOST}:{self._sip.port}"

    def _pass_sip(self, data: bytes, source: Address) -> None:
        is_of_called = source == self._called
        if not is_of_called:
            self._caller = source
        message = self._readdress(data, is_of_called=is_of_called)
        if is_of_called:
            if self._caller is not None and self.sip_to_caller.survives():
                self._sip.send(message, self._caller)
        elif self.sip_to_called.survives():
            self._sip.send(message, self._called)

    def _readdress(self, message: bytes, *, is_of_called: bool) -> bytes:
        head, separator, body = message.partition(b"\r\n\r\n")
        media = _AUDIO_PORT.search(body)
        if media is None or media[2] == b"0":
            return message
        theirs = (_HOST, int(media[2]))
        if is_of_called:
            self._called_rtp, ours = theirs, self._towards_caller.port
        else:
            self._caller_rtp, ours = theirs, self._towards_called.port
        body = _AUDIO_PORT.sub(b"\\g<1>%d" % ours, body)
        return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + separator + body

    def _from_called(self, data: bytes, source: Address) -> None:
        to = self._caller_rtp
        if to is not None and self.audio_to_caller.survives():
            self.audio_to_caller.hold(lambda: self._towards_caller.send(data, to))

    def _from_caller(self, data: bytes, source: Address) -> None:
        to = self._called_rtp
        if to is not None and self.audio_to_called.survives():
            self.audio_to_called.hold(lambda: self._towards_called.send(data, to))


@asynccontextmanager
async def lossy_link(
    called: Address,
    *,
    rtp_loss: float = 0.0,
    lose_to_called: Collection[int] = (),
    lose_to_caller: Collection[int] = (),
    seed: int = 1,
    jitter_s: float = 0.0,
    keeps_order: bool = True,
) -> AsyncIterator[LossyLink]:
    """A link to a UDP address.

    `rtp_loss`: share (0-1) of audio packets lost, both ways; `lose_to_...`: places, from 0, of messages lost
    on this way; `jitter_s`: longest time an audio packet is held, `keeps_order`: none overtakes another.
    """
    link = LossyLink(called, rtp_loss, lose_to_called, lose_to_caller, seed, jitter_s, keeps_order)
    await link.open()
    try:
        yield link
    finally:
        link.close()
