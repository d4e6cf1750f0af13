"""Bridges between streams on real loopback sockets; the phones are bare sockets (far_side)."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from media import Bridge, BridgeMode, MediaPlane, MediaStream
from media.codecs import PCMA, PCMU, open_codec
from media.events import DtmfReceived, DtmfUndeliverable, StreamEvent
from tests.media.far_side import FarSide, Packet, sdp, until

NewFarSide = Callable[[], FarSide]

PCMU_101 = ("0 PCMU/8000", "101 telephone-event/8000")
PCMU_96 = ("0 PCMU/8000", "96 telephone-event/8000")
PCMA_101 = ("8 PCMA/8000", "101 telephone-event/8000")
L16_101 = ("97 L16/8000", "101 telephone-event/8000")


def leg(plane: MediaPlane, far: FarSide, codecs: tuple[str, ...] = PCMU_101) -> MediaStream:
    stream = plane.stream()
    stream.receive_offer(sdp(far.port, codecs=codecs))
    return stream


class Call:
    """Two far sides, a stream for each, and the bridge between."""

    def __init__(
        self,
        plane: MediaPlane,
        new: NewFarSide,
        a_codecs: tuple[str, ...] = PCMU_101,
        b_codecs: tuple[str, ...] = PCMU_101,
    ) -> None:
        self.alice, self.bob = new(), new()
        self.a, self.b = leg(plane, self.alice, a_codecs), leg(plane, self.bob, b_codecs)
        self.bridge = Bridge(self.a, self.b)
        self.events: list[StreamEvent] = []
        self.a.on_event(self.events.append)

    async def across(self, payload: bytes, *, payload_type: int = 0, marker: bool = False) -> Packet:
        """From alice to bob."""
        self.alice.send(self.a.port, payload, payload_type=payload_type, marker=marker)
        return await self.bob.receive()


async def test_same_payloads_are_relayed_untouched_in_both_directions(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    assert call.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY)
    heard = await call.across(bytes(range(160)))
    assert heard.payload == bytes(range(160))
    assert heard.payload_type == 0
    call.bob.send(call.b.port, b"\x55" * 160)
    assert (await call.alice.receive()).payload == b"\x55" * 160


async def test_the_far_side_sees_one_stream_of_our_own_ssrc(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    packets = [await call.across(bytes([n]) * 160) for n in range(5)]
    assert len({packet.ssrc for packet in packets}) == 1
    assert packets[0].ssrc != call.alice.ssrc
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)] == [1] * 4
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)]
    assert steps == [160] * 4


async def test_a_new_ssrc_behind_us_continues_the_stream_with_the_marker_set(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    before = await call.across(b"\x01" * 160)
    call.alice.ssrc, call.alice.sequence, call.alice.timestamp = 77, 60000, 5
    after = await call.across(b"\x02" * 160)
    assert after.ssrc == before.ssrc
    assert after.sequence == (before.sequence + 1) & 0xFFFF
    assert after.marker
    assert 160 <= (after.timestamp - before.timestamp) & 0xFFFFFFFF < 8000


async def test_losses_stay_visible_and_overtaken_packets_keep_their_numbers(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    first = await call.across(b"\x01" * 160)
    call.alice.sequence += 2
    call.alice.timestamp += 320
    fourth = await call.across(b"\x04" * 160)
    call.alice.sequence -= 2
    call.alice.timestamp -= 320
    third = await call.across(b"\x03" * 160)
    assert (fourth.sequence - first.sequence) & 0xFFFF == 3
    assert (third.sequence - first.sequence) & 0xFFFF == 2
    assert (third.timestamp - first.timestamp) & 0xFFFFFFFF == 320


async def test_extension_contributing_sources_and_padding_are_left_behind(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    odd = b"\x00\x00\x00\x07" + b"\xbe\xde\x00\x01" + b"\x10\x00\x00\x00"  # one CSRC, one word of extension
    call.alice.send(
        call.a.port, b"\x33" * 160 + b"\x00\x00\x00\x04", first=0x80 | 0x20 | 0x10 | 1, between=odd
    )
    assert (await call.bob.receive()).payload == b"\x33" * 160


async def test_a_law_becomes_mu_law_without_decoding(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    call = Call(plane, new_far_side, PCMA_101, PCMU_101)
    call.bridge.open()
    assert call.bridge.modes == (BridgeMode.TRANSLATE, BridgeMode.TRANSLATE)
    wave = (8000 * np.sin(np.arange(160) / 5)).astype(np.int16)
    alaw, ulaw = open_codec(PCMA), open_codec(PCMU)
    heard = await call.across(alaw.encode(wave), payload_type=8)
    assert heard.payload_type == 0
    assert np.max(np.abs(ulaw.decode(heard.payload).astype(int) - wave)) < 700
    call.bob.send(call.b.port, ulaw.encode(wave))
    back = await call.alice.receive()
    assert back.payload_type == 8
    assert np.max(np.abs(alaw.decode(back.payload).astype(int) - wave)) < 700


async def test_other_codecs_are_transcoded(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    from media.codecs import L16_8K
    from media.negotiate import AudioCapabilities

    alice, bob = new_far_side(), new_far_side()
    capable = AudioCapabilities(codecs=(L16_8K, PCMU))
    a, b = plane.stream(capable), plane.stream(capable)
    a.receive_offer(sdp(alice.port, codecs=L16_101))
    b.receive_offer(sdp(bob.port))
    bridge = Bridge(a, b)
    bridge.open()
    assert bridge.modes == (BridgeMode.TRANSCODE, BridgeMode.TRANSCODE)
    wave = (8000 * np.sin(np.arange(160) * 2 * np.pi * 5 / 160)).astype(">i2")  # 250 Hz, whole periods
    heard: list[Packet] = []
    for _ in range(10):
        alice.send(a.port, wave.tobytes(), payload_type=97)
    while len(heard) < 20 and (not heard or np.abs(open_codec(PCMU).decode(heard[-1].payload)).max() < 4000):
        heard.append(await bob.receive())
    assert np.abs(open_codec(PCMU).decode(heard[-1].payload)).max() > 7000
    assert heard[-1].payload_type == 0
    assert len(heard[-1].payload) == 160


async def test_a_digit_crosses_a_relay_as_event_with_the_number_of_the_other_side(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side, PCMU_101, PCMU_96)
    call.bridge.open()
    await call.across(b"\x01" * 160)
    timestamp = call.alice.timestamp
    crossed = []
    for is_end, duration in ((0, 160), (0, 320), (1, 480), (1, 480), (1, 480)):
        call.alice.timestamp = timestamp
        event = bytes((5, is_end << 7 | 10)) + duration.to_bytes(2, "big")
        crossed.append(await call.across(event, payload_type=101, marker=duration == 160))
    assert {packet.payload_type for packet in crossed} == {96}
    assert [packet.marker for packet in crossed] == [True, False, False, False, False]
    assert len({packet.timestamp for packet in crossed}) == 1
    assert crossed[-1].payload == bytes((5, 0x8A, 1, 0xE0))
    digits = [event for event in call.events if isinstance(event, DtmfReceived)]
    assert [(event.digit, event.duration_ms) for event in digits] == [("5", 60)]


async def test_a_digit_for_a_side_without_events_is_reported_for_info(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side, PCMU_101, ("0 PCMU/8000",))
    undeliverable: list[StreamEvent] = []
    call.b.on_event(undeliverable.append)
    call.bridge.open()
    await call.across(b"\x01" * 160)
    call.alice.send(call.a.port, bytes((11, 0x8A, 3, 0x20)), payload_type=101)
    heard = await call.across(b"\x02" * 160)
    assert heard.payload == b"\x02" * 160
    lost = [event for event in undeliverable if isinstance(event, DtmfUndeliverable)]
    assert [event.digit for event in lost] == ["#"]


async def test_a_digit_keyed_outside_rtp_is_said_on_the_other_side_as_an_event(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.a.pass_digit("7", 100)  # no bridge is open: nobody is there to hear it
    call.bridge.open()
    call.a.pass_digit("5", 100)
    event = await call.bob.receive()
    assert event.payload_type == 101
    assert event.payload[0] == 5


async def test_hold_by_one_side_stops_only_what_it_does_not_want_to_hear(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    call.b.receive_offer(sdp(call.bob.port, direction="sendonly"))
    assert call.b.is_held
    assert call.bridge.modes == (BridgeMode.CLOSED, BridgeMode.RELAY)
    call.b.receive_offer(sdp(call.bob.port))
    assert call.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY)
    assert (await call.across(b"\x05" * 160)).payload == b"\x05" * 160


async def test_a_bridge_waits_while_a_leg_hears_something_of_its_own(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    before = await call.across(b"\x01" * 160)
    call.b.send_dtmf("1", duration_ms=40)
    call.alice.send(call.a.port, b"\x02" * 160)
    digit = await call.bob.receive()
    assert digit.payload_type == 101
    assert digit.sequence == (before.sequence + 1) & 0xFFFF
    assert digit.ssrc == before.ssrc


async def test_a_closed_bridge_passes_nothing_and_can_be_opened_again(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    before = await call.across(b"\x01" * 160)
    call.bridge.close()
    call.bridge.close()
    assert call.bridge.modes == (BridgeMode.CLOSED, BridgeMode.CLOSED)
    call.alice.send(call.a.port, b"\x02" * 160)
    await until(lambda: call.a.statistics().packets_received == 2)
    call.bridge.open()
    after = await call.across(b"\x03" * 160)
    assert after.ssrc == before.ssrc
    assert call.bob.waiting() == []


async def test_a_stream_can_be_in_one_open_bridge_only(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    other = leg(plane, new_far_side())
    with pytest.raises(RuntimeError, match="another bridge"):
        Bridge(call.a, other).open()
    assert other.joint is None
    assert call.a.joint is call.bridge


async def test_closing_a_stream_closes_its_bridge(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    call.a.close()
    assert not call.bridge.is_open
    assert call.b.joint is None


async def test_taps_hear_a_relayed_call(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    call = Call(plane, new_far_side)
    call.bridge.open()
    pieces: list[int] = []
    call.a.add_tap(lambda pcm: pieces.append(int(np.abs(pcm).max())))
    wave = (8000 * np.sin(np.arange(160) * 2 * np.pi * 5 / 160)).astype(np.int16)
    payload = open_codec(PCMU).encode(wave)
    while not pieces or max(pieces) < 7000:
        assert (await call.across(payload)).payload == payload
        assert len(pieces) < 200
