"""Whatever arrives, the endpoint lives: nothing raises, and the next honest call is served."""

from __future__ import annotations

import asyncio
import random
import socket

from engine.sip.events import Answered, Ended
from engine.sip.types import Address, Transport
from tests.transport.parties import Owner, Phone, invitation, phone
from tests.transport.recording import eventually

UDP, TCP = Transport.UDP, Transport.TCP
SEED = 20_250_101


async def recorded_call(transport: Transport) -> list[bytes]:
    """Every message one phone hears in an ordinary call, to be spoilt."""
    async with phone() as alice, phone() as bob:
        owner = Owner()
        call = alice.endpoint.invite(invitation(bob.hop(transport)), owner)
        await owner.hears(Answered)
        alice.hang_up(call)
        await owner.hears(Ended)
        return [data for _, _, data in alice.trace]


def spoil(data: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(spoilt) or 1)
        match rng.randrange(6):
            case 0:
                spoilt[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del spoilt[at : at + rng.randrange(1, 60)]
            case 2:
                spoilt[at:at] = rng.choice((b"\r\n", b"\0", b"\xff\xfe", b";", b'"', b"<", b",", b" " * 300))
            case 3:
                spoilt[at:at] = spoilt[max(0, at - 50) : at]
            case 4:
                del spoilt[at:]
            case _:
                lines = bytes(spoilt).split(b"\r\n")
                rng.shuffle(lines)
                spoilt = bytearray(b"\r\n".join(lines))
    return bytes(spoilt)


async def is_served(victim: Phone, transport: Transport) -> None:
    async with phone() as alice:
        owner = Owner()
        call = alice.endpoint.invite(invitation(victim.hop(transport)), owner)
        await owner.hears(Answered)
        alice.hang_up(call)
        await owner.hears(Ended)


async def test_spoilt_datagrams_do_no_harm() -> None:
    rng = random.Random(SEED)
    recorded = await recorded_call(UDP)
    async with phone() as victim:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.bind(("127.0.0.1", 0))
            for count in range(1, 2001):
                attacker.sendto(spoilt_or_noise(recorded, rng), victim.address())
                if count % 50 == 0:
                    await asyncio.sleep(0)
            attacker.sendto(b"\r\n\r\n", victim.address())
            await eventually(lambda: victim.endpoint.counters.keep_alives >= 1)
            await is_served(victim, UDP)
        assert victim.endpoint.counters.bugs == 0
        assert victim.endpoint.counters.messages_in > 1500
        assert 100 < victim.endpoint.counters.unreadable < victim.endpoint.counters.messages_in


def spoilt_or_noise(recorded: list[bytes], rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(5, 200)) if rng.random() < 0.1 else spoil(rng.choice(recorded), rng)


async def test_spoilt_streams_do_no_harm() -> None:
    rng = random.Random(SEED)
    recorded = await recorded_call(TCP)
    async with phone() as victim:
        for _ in range(150):
            reader, writer = await asyncio.open_connection(*victim.address(TCP))
            stream = b"".join(spoilt_or_noise(recorded, rng) for _ in range(5))
            for start in range(0, len(stream), 700):
                writer.write(stream[start : start + 700])
            writer.transport.abort() if rng.random() < 0.3 else writer.close()
            del reader
        await is_served(victim, TCP)
        assert victim.endpoint.counters.bugs == 0
        assert victim.endpoint.counters.connections_accepted > 100


class LossyRelay(asyncio.DatagramProtocol):
    """Between a caller and a callee: loses and repeats datagrams by a seeded dice."""

    def __init__(self, callee: Address, rng: random.Random) -> None:
        self.callee, self.rng = callee, rng
        self.caller: tuple[str, int] | None = None
        self.lost = 0
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr != self.callee:
            self.caller = addr
        target = self.caller if addr == self.callee else self.callee
        dice = self.rng.random()
        if dice < 0.25:
            self.lost += 1
            return
        for _ in range(2 if dice > 0.9 else 1):
            self.transport.sendto(data, target)


async def test_calls_survive_a_network_that_loses_a_quarter_of_the_datagrams() -> None:
    """Request and response pass the relay; ACK and BYE go to the Contact and lose nothing."""
    async with phone(transports=(UDP,)) as alice, phone(transports=(UDP,)) as bob:
        loop = asyncio.get_running_loop()
        transport, relay = await loop.create_datagram_endpoint(
            lambda: LossyRelay(bob.address(), random.Random(SEED)), local_addr=("127.0.0.1", 0)
        )
        through = bob.hop()._replace(remote=Address(*transport.get_extra_info("sockname")))
        owners = [Owner() for _ in range(30)]
        calls = [alice.endpoint.invite(invitation(through), owner) for owner in owners]
        for owner in owners:
            await owner.hears(Answered, within_s=15)
        assert relay.lost > 5
        assert len(bob.calls) == 30, "a repeated INVITE is one call"
        for call in calls:
            alice.hang_up(call)
        for owner in owners:
            await owner.hears(Ended)
        transport.close()
