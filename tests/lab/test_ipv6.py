"""IPv6, signalling and audio: one engine dials another on ::1 and hears its ringback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine import Config, DialRequest, Engine, Target
from engine.config import MediaConfig, RouteConfig, SipConfig, SourceConfig, TargetConfig
from engine.dial.outcome import DialStatus, TerminationReason
from engine.sip.types import Transport
from engine.talk import Talk
from tests.support.running_engine import running, sip_address
from tests.support.spectrum import hear, stretch

pytestmark = pytest.mark.lab


def config(*routes: RouteConfig) -> Config:
    return Config(
        sip=SipConfig(listen=("udp:[::1]:0", "tcp:[::1]:0"), t1_ms=100),
        media=MediaConfig(listen="::1", ports=""),
        source=(SourceConfig(name="lab", addresses=("::1",)),),
        route=routes,
    )


async def talked(engine: Engine, uri: str, recording: Path) -> DialStatus:
    """Dial, record for the time limit."""
    talk = await Talk.prepare(record=recording)
    dial = engine.start_dial(DialRequest(targets=(Target.sip(uri),), time_limit_s=1.0, timeout_s=5.0))
    talk.follow(dial)
    async with asyncio.timeout(10.0):
        result = await dial.wait()
    await talk.finish()
    assert result.termination_reason is TerminationReason.TIME_LIMIT
    return result.dial_status


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_a_dial_over_ipv6_is_answered_and_heard(tmp_path: Path, transport: Transport) -> None:
    silent = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("::1", 0)
    )
    port = silent[0].get_extra_info("sockname")[1]
    route = RouteConfig(
        number="5550100", targets=(TargetConfig(sip_uri=f"sip:bob@[::1]:{port}"),), timeout_s=5.0
    )
    recording = tmp_path / "heard.wav"
    try:
        async with running(config()) as calling, running(config(route)) as called:
            host, its_port = sip_address(called, transport)
            uri = f"sip:5550100@[{host}]:{its_port};transport={transport.lower()}"
            assert await talked(calling, uri, recording) is DialStatus.COMPLETED
    finally:
        silent[0].close()
    heard = hear(*stretch(recording, 0.3))
    assert min(abs(heard.hz - 440), abs(heard.hz - 480)) < 25.0, f"{heard}: no ringback"
