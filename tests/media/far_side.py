"""The other end of a leg, made of a bare UDP socket and bytes: shares no code with what it tests."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["FarSide", "Packet", "sdp", "until"]


class Packet(NamedTuple):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def sdp(
    port: int,
    *,
    codecs: tuple[str, ...] = ("0 PCMU/8000", "101 telephone-event/8000"),
    host: str = "127.0.0.1",
    direction: str = "sendrecv",
    extra: tuple[str, ...] = (),
) -> bytes:
    numbers = " ".join(codec.split()[0] for codec in codecs)
    family = "IP6" if ":" in host else "IP4"
    lines = [
        "v=0",
        f"o=- 1 1 IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {numbers}",
        *(f"a=rtpmap:{codec}" for codec in codecs),
        f"a={direction}",
        *extra,
    ]
    return "".join(line + "\r\n" for line in lines).encode()


class FarSide:
    """A phone's RTP socket pair. `send` and `receive` do exactly what they say, nothing else happens."""

    def __init__(self, host: str = "127.0.0.1", ssrc: int = 0x11223344) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        while True:
            self.rtp = socket.socket(family, socket.SOCK_DGRAM)
            self.rtcp = socket.socket(family, socket.SOCK_DGRAM)
            self.rtp.bind((host, 0))
            self.port: int = self.rtp.getsockname()[1]
            try:
                self.rtcp.bind((host, self.port + 1))
            except (OSError, OverflowError):
                self.close()
                continue
            break
        self.rtp.setblocking(False)
        self.rtcp.setblocking(False)
        self.ssrc = ssrc
        self.sequence = 1000
        self.timestamp = 160000

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()

    def send(
        self,
        port: int,
        payload: bytes = b"\xff" * 160,
        *,
        payload_type: int = 0,
        marker: bool = False,
        step: int = 160,
        first: int = 0x80,
        between: bytes = b"",
    ) -> None:
        """One packet; `first` and `between` make odd ones (extension, contributing sources)."""
        header = struct.pack(
            ">BBHII", first, payload_type | marker << 7, self.sequence, self.timestamp, self.ssrc
        )
        self.rtp.sendto(header + between + payload, (self.host, port))
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp = self.timestamp + step & 0xFFFFFFFF

    def send_raw(self, port: int, data: bytes) -> None:
        self.rtp.sendto(data, (self.host, port))

    async def receive(self, timeout_s: float = 5.0) -> Packet:
        """The next RTP packet, whoever sent it."""
        async with asyncio.timeout(timeout_s):
            data = await asyncio.get_running_loop().sock_recv(self.rtp, 4096)
        return self._parsed(data)

    def waiting(self) -> list[Packet]:
        """All packets that are there already."""
        packets = []
        while True:
            try:
                packets.append(self._parsed(self.rtp.recv(4096)))
            except BlockingIOError:
                return packets

    async def receive_rtcp(self, timeout_s: float = 8.0) -> bytes:
        async with asyncio.timeout(timeout_s):
            return await asyncio.get_running_loop().sock_recv(self.rtcp, 4096)

    @staticmethod
    def _parsed(data: bytes) -> Packet:
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
        assert first == 0x80
        return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[12:])


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Let the loop run until something has come true; TimeoutError if it does not."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - counters have no event to wait for
            await asyncio.sleep(0)
