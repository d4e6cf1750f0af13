"""DNS servers on loopback: dnsmasq for honest answers, and one of our own for the bad days."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.message

from tests.support.ports import free_port
from tests.support.tools import missing

__all__ = ["Dnsmasq", "dnsmasq", "scripted_dns"]

_READY_S = 10.0


class Dnsmasq:
    """A running dnsmasq and what it logs."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.address = ("127.0.0.1", port)
        self._process = process
        self.log: list[str] = []

    def questions(self, kind: str) -> list[str]:
        """The names it was asked for, of one record type."""
        marker = f"query[{kind}] "
        return [line.partition(marker)[2].split()[0] for line in self.log if marker in line]

    async def read_log(self, *, until: str) -> None:
        assert self._process.stderr is not None
        while line := (await self._process.stderr.readline()).decode():
            self.log.append(line.rstrip())
            if until in line:
                return
        raise AssertionError(f"dnsmasq ended without saying {until!r}: {self.log}")


@asynccontextmanager
async def dnsmasq(*options: str) -> AsyncIterator[Dnsmasq]:
    """dnsmasq with these records. Skips the test where it is not installed, except under CI."""
    binary = shutil.which("dnsmasq", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if binary is None:
        missing("dnsmasq is not installed (Debian package dnsmasq-base)")
    port = free_port()  # free for UDP and for TCP: dnsmasq wants both
    process = await asyncio.create_subprocess_exec(
        binary,
        "--keep-in-foreground",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--local=/example.com/",
        "--user=",
        "--group=",
        "--pid-file=",
        "--log-facility=-",
        "--log-queries",
        *options,
        stderr=asyncio.subprocess.PIPE,
    )
    server = Dnsmasq(port, process)
    try:
        async with asyncio.timeout(_READY_S):
            await server.read_log(until="started, version")
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


class _Scripted(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[dns.message.Message], Sequence[dns.message.Message]]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for response in self._answer(dns.message.from_wire(data)):
            self._transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def scripted_dns(
    answer: Callable[[dns.message.Message], Sequence[dns.message.Message]],
) -> AsyncIterator[tuple[str, int]]:
    """A server that answers each query with whatever `answer` makes of it, also with nothing."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Scripted(answer), local_addr=("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")
        yield host, port
    finally:
        transport.close()
