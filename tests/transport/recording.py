"""A `LinkUser` that remembers what it hears and lets a test wait for it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from contextlib import suppress

from engine.sip.types import Address, Flow, Transport

__all__ = ["Recording", "dead_port", "eventually", "udp_flow"]


class Recording:
    """Everything a link said, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.failures: list[tuple[Flow, OSError]] = []
        self.batches = 0
        self._changed = asyncio.Event()

    def message_received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))
        self._changed.set()

    def batch_ended(self) -> None:
        self.batches += 1
        self._changed.set()

    def flow_failed(self, flow: Flow, error: OSError) -> None:
        self.failures.append((flow, error))
        self._changed.set()

    @property
    def texts(self) -> list[bytes]:
        return [data for data, _ in self.messages]

    async def until(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `condition` holds; it is looked at whenever the link has said something."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def udp_flow(local: Address, remote: Address) -> Flow:
    return Flow(Transport.UDP, local, remote)


async def eventually(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """For what the kernel or a peer brings about and nobody announces: look again until it holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


def dead_port(host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_DGRAM) -> Address:
    """An address where nobody listens; below the range from which the kernel serves port 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(range(11_000, 32_000), 100):
        with socket.socket(family, kind) as probe, suppress(OSError):
            probe.bind((host, port))
            return Address(host, port)
    raise AssertionError("no free port in a hundred")
