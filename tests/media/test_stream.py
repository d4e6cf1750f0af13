"""One leg's audio against a bare socket: negotiation, playing, hearing, latching, reports, the end."""

from __future__ import annotations

import gc
import os
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from media import Bridge, MediaConfig, MediaPlane, NegotiationFailed, PortsExhausted
from media.audio import Pcm
from media.codecs import PCMU, open_codec
from media.events import (
    DtmfMethod,
    DtmfReceived,
    DtmfUndeliverable,
    MediaResumed,
    MediaStarted,
    MediaTimeout,
    PlaybackEnded,
    RemoteGoodbye,
    StreamEvent,
)
from media.player import PcmPlayer
from media.rtcp import ReportBlock, build_report, parse_compound
from media.tones import ToneSource, sine
from tests.media.far_side import FarSide, Packet, sdp, until
from tests.support.ports import free_port

NewFarSide = Callable[[], FarSide]


class Leg:
    """A stream that answered a far side's offer, and what it told."""

    def __init__(self, plane: MediaPlane, far: FarSide, **offer: str) -> None:
        self.far = far
        self.stream = plane.stream(label="alice")
        self.events: list[StreamEvent] = []
        self.stream.on_event(self.events.append)
        self.stream.receive_offer(sdp(far.port, host=far.host, **offer))  # type: ignore[arg-type]

    def of(self, kind: type[StreamEvent]) -> list[StreamEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    async def packets(self, count: int) -> list[Packet]:
        return [await self.far.receive() for _ in range(count)]


@pytest.fixture
def leg(plane: MediaPlane, new_far_side: NewFarSide) -> Leg:
    return Leg(plane, new_far_side())


@pytest_asyncio.fixture
async def quick_plane() -> AsyncIterator[MediaPlane]:
    """One that loses patience soon."""
    made = MediaPlane(MediaConfig(rtp_timeout_s=0.2, relatch_after_s=0.1))
    yield made
    await made.close()


# -- offer and answer ---------------------------------------------------------------------------------------


async def test_two_streams_agree_by_offer_and_answer(plane: MediaPlane) -> None:
    caller, callee = plane.stream(), plane.stream()
    offer = caller.create_offer()
    agreed = caller.receive_answer(callee.receive_offer(offer))
    assert agreed.codec == PCMU
    assert agreed.remote == ("127.0.0.1", callee.port)
    assert callee.negotiated is not None
    assert callee.negotiated.remote == ("127.0.0.1", caller.port)


async def test_an_unusable_answer_leaves_everything_as_it_was(plane: MediaPlane) -> None:
    stream = plane.stream()
    stream.create_offer()
    with pytest.raises(NegotiationFailed):
        stream.receive_answer(b"nonsense")
    assert stream.negotiated is None


async def test_hold_and_resume_are_offers_with_a_direction(leg: Leg) -> None:
    assert b"a=sendonly" in leg.stream.hold()
    assert leg.stream.is_holding
    agreed = leg.stream.receive_answer(sdp(leg.far.port, direction="recvonly"))
    assert agreed.can_send
    assert not agreed.can_receive
    assert b"a=sendrecv" in leg.stream.resume()
    assert not leg.stream.is_holding


async def test_a_refused_hold_leaves_the_direction_as_it_was(leg: Leg) -> None:
    leg.stream.hold()
    leg.stream.withdraw_offer()
    assert not leg.stream.is_holding
    assert b"a=sendrecv" in leg.stream.create_offer()


async def test_a_session_refresh_changes_nothing_that_can_be_heard(leg: Leg) -> None:
    leg.stream.play(ToneSource(sine(500.0), 8000))
    before = await leg.packets(2)
    leg.stream.receive_offer(sdp(leg.far.port))
    after = await leg.packets(2)
    assert not after[0].marker
    assert (after[0].timestamp - before[1].timestamp) & 0xFFFFFFFF == 160


async def test_the_peers_hold_is_seen(leg: Leg) -> None:
    assert not leg.stream.is_held
    leg.stream.receive_offer(sdp(leg.far.port, direction="inactive"))
    assert leg.stream.is_held


# -- saying -------------------------------------------------------------------------------------------------


async def test_a_player_is_heard_in_order_with_a_marker_first_and_its_end_is_told(leg: Leg) -> None:
    wave = (8000 * np.sin(np.arange(800) * 2 * np.pi / 16)).astype(np.int16)
    leg.stream.play(PcmPlayer(wave, 8000))
    packets = await leg.packets(5)
    assert [packet.marker for packet in packets] == [True, False, False, False, False]
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
    assert all((b.timestamp - a.timestamp) & 0xFFFFFFFF == 160 for a, b in pairwise(packets))
    heard = np.concatenate([open_codec(PCMU).decode(packet.payload) for packet in packets])
    assert np.abs(heard.astype(int) - wave).max() < 300
    await until(lambda: leg.of(PlaybackEnded) != [])
    assert [event.interrupted for event in leg.events if isinstance(event, PlaybackEnded)] == [False]


async def test_a_source_of_another_rate_is_resampled(leg: Leg) -> None:
    leg.stream.play(ToneSource(sine(1000.0), 16000))
    packets = await leg.packets(10)
    heard = np.concatenate([open_codec(PCMU).decode(packet.payload) for packet in packets[2:]])
    spectrum = np.abs(np.fft.rfft(heard.astype(float) * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * 8000 / len(heard) - 1000) < 10


async def test_stopping_ends_playback_at_once(leg: Leg) -> None:
    leg.stream.play(ToneSource(sine(1000.0), 8000))
    await leg.packets(2)
    leg.stream.stop_playing()
    leg.stream.stop_playing()
    assert [event.interrupted for event in leg.events if isinstance(event, PlaybackEnded)] == [True]


async def test_playing_may_begin_before_there_is_an_agreement(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.play(ToneSource(sine(500.0), 8000))
    stream.receive_offer(sdp(far.port))
    assert (await far.receive()).payload_type == 0


async def test_packets_have_the_length_the_peer_asked_for(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port, extra=("a=ptime:30",)))
    stream.play(ToneSource(sine(500.0), 8000))
    first, second = await far.receive(), await far.receive()
    assert len(first.payload) == len(second.payload) == 240
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 240


async def test_digits_are_events_that_share_a_timestamp_and_end_three_times(leg: Leg) -> None:
    leg.stream.send_dtmf("5", duration_ms=60)
    packets = [await leg.far.receive()]
    while len([p for p in packets if p.payload[1] & 0x80]) < 3:
        packets.append(await leg.far.receive())
    assert {packet.payload_type for packet in packets} == {101}
    assert {packet.payload[0] for packet in packets} == {5}
    assert len({packet.timestamp for packet in packets}) == 1
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
    assert packets[-1].payload[2:] == (480).to_bytes(2, "big")


async def test_audio_goes_on_after_a_digit_by_the_time_that_passed(leg: Leg) -> None:
    leg.stream.play(ToneSource(sine(500.0), 8000))
    before = (await leg.packets(1))[0]
    leg.stream.send_dtmf("1", duration_ms=60)
    packets = [await leg.far.receive()]
    while packets[-1].payload_type != 0 or len({p.payload_type for p in packets}) < 2:
        packets.append(await leg.far.receive())
    event = next(packet for packet in packets if packet.payload_type == 101)
    after = packets[-1]
    assert (event.timestamp - before.timestamp) & 0xFFFFFFFF >= 160
    assert 480 <= (after.timestamp - event.timestamp) & 0xFFFFFFFF < 4000
    assert after.marker


async def test_what_is_no_digit_is_refused_and_without_events_digits_are_reported(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port, codecs=("0 PCMU/8000",)))
    events: list[StreamEvent] = []
    stream.on_event(events.append)
    with pytest.raises(ValueError, match="not DTMF"):
        stream.send_dtmf("5x")
    stream.send_dtmf("1a")
    assert [event.digit for event in events if isinstance(event, DtmfUndeliverable)] == ["1", "A"]


async def test_in_band_a_digit_is_sent_as_tones_and_heard_as_one(new_far_side: NewFarSide) -> None:
    plane = MediaPlane(MediaConfig(in_band_dtmf=True))
    far, stream = new_far_side(), plane.stream()
    events: list[StreamEvent] = []
    stream.on_event(events.append)
    stream.receive_offer(sdp(far.port, codecs=("0 PCMU/8000",)))
    stream.send_dtmf("7#")
    while not [event for event in events if isinstance(event, DtmfReceived)]:
        packet = await far.receive()
        assert packet.payload_type == 0
        far.send(stream.port, packet.payload)  # an echo
    (heard, *_) = (event for event in events if isinstance(event, DtmfReceived))
    assert (heard.digit, heard.method) == ("7", DtmfMethod.IN_BAND)
    await plane.close()


# -- hearing ------------------------------------------------------------------------------------------------


async def test_a_tap_hears_what_the_peer_says(leg: Leg) -> None:
    wave = (8000 * np.sin(np.arange(160) * 2 * np.pi * 5 / 160)).astype(np.int16)
    heard: list[Pcm] = []
    leg.stream.add_tap(heard.append)
    for _ in range(5):
        leg.far.send(leg.stream.port, open_codec(PCMU).encode(wave))
    await until(lambda: any(np.abs(pcm).max() > 7000 for pcm in heard))
    assert {len(pcm) for pcm in heard} == {160}
    leg.stream.remove_tap(heard.append)


async def test_a_tap_may_ask_for_another_rate(leg: Leg) -> None:
    heard: list[Pcm] = []
    leg.stream.add_tap(heard.append, sample_rate_hz=16000)
    await until(lambda: len(heard) >= 2)
    assert {len(pcm) for pcm in heard[1:]} == {320}


@pytest.mark.parametrize("rate_hz", [8000, 16000])
async def test_a_tap_that_asks_is_told_what_was_lost_and_hears_only_what_came(leg: Leg, rate_hz: int) -> None:
    wave = (8000 * np.sin(np.arange(160) * 2 * np.pi * 5 / 160)).astype(np.int16)
    payload = open_codec(PCMU).encode(wave)
    heard: list[Pcm] = []
    concealed: list[Pcm] = []
    missing: list[int] = []
    leg.stream.add_tap(heard.append, sample_rate_hz=rate_hz, lost=missing.append)
    leg.stream.add_tap(concealed.append, sample_rate_hz=rate_hz)
    for number in range(12):
        if number == 6:
            leg.far.sequence += 1
            leg.far.timestamp += 160
        leg.far.send(leg.stream.port, payload)
    await until(lambda: len(concealed) >= 16)
    assert sum(missing) > 0
    told = sum(len(pcm) for pcm in heard) + sum(missing)
    assert told == sum(len(pcm) for pcm in concealed)


async def test_a_tap_may_remove_itself(leg: Leg) -> None:
    heard: list[Pcm] = []

    def once(pcm: Pcm) -> None:
        heard.append(pcm)
        leg.stream.remove_tap(once)

    leg.stream.add_tap(once)
    await until(lambda: heard != [])
    assert len(heard) == 1


async def test_a_digit_is_told_once_however_often_its_end_is_repeated(leg: Leg) -> None:
    timestamp = leg.far.timestamp
    for end, duration in ((0, 160), (0, 320), (1, 400), (1, 400), (1, 400)):
        leg.far.timestamp = timestamp
        leg.far.send(leg.stream.port, struct.pack(">BBH", 9, end << 7 | 10, duration), payload_type=101)
    await until(lambda: leg.stream.statistics().packets_received == 5)
    digits = [event for event in leg.events if isinstance(event, DtmfReceived)]
    assert [(digit.digit, digit.duration_ms) for digit in digits] == [("9", 50)]


async def test_a_digit_whose_end_was_lost_is_told_when_audio_comes(leg: Leg) -> None:
    timestamp = leg.far.timestamp
    leg.far.send(leg.stream.port, struct.pack(">BBH", 1, 10, 160), payload_type=101)
    leg.far.timestamp = timestamp
    leg.far.send(leg.stream.port, struct.pack(">BBH", 1, 10, 320), payload_type=101)
    leg.far.timestamp = timestamp + 8000
    leg.far.send(leg.stream.port)
    await until(lambda: leg.of(DtmfReceived) != [])


async def test_a_recording_holds_what_was_heard(leg: Leg, tmp_path: Path) -> None:
    path = tmp_path / "alice.wav"
    recording = leg.stream.record(path)
    heard: list[Pcm] = []
    leg.stream.add_tap(heard.append)
    wave = (8000 * np.sin(np.arange(160) * 2 * np.pi * 5 / 160)).astype(np.int16)
    for _ in range(10):
        leg.far.send(leg.stream.port, open_codec(PCMU).encode(wave))
    await until(lambda: len(heard) > 8)
    await recording.stop()
    await recording.stop()
    samples = np.frombuffer(path.read_bytes()[44:], "<i2")
    assert len(samples) > 160 * 7
    assert np.abs(samples).max() > 7000


# -- who is believed ----------------------------------------------------------------------------------------


async def test_the_first_valid_packet_is_told_with_its_sender(leg: Leg) -> None:
    leg.far.send(leg.stream.port)
    await until(lambda: leg.of(MediaStarted) != [])
    (started,) = (event for event in leg.events if isinstance(event, MediaStarted))
    assert started.remote == ("127.0.0.1", leg.far.port)


async def test_a_peer_behind_nat_is_answered_where_it_sends_from(leg: Leg, new_far_side: NewFarSide) -> None:
    mapped = new_far_side()
    mapped.send(leg.stream.port)
    mapped.send(leg.stream.port)
    await until(lambda: leg.of(MediaStarted) != [])
    leg.stream.play(ToneSource(sine(500.0), 8000))
    assert (await mapped.receive()).payload_type == 0
    assert leg.far.waiting() == []


async def test_a_stranger_is_not_heard_and_counted(leg: Leg, new_far_side: NewFarSide) -> None:
    stranger = new_far_side()
    leg.far.send(leg.stream.port)
    await until(lambda: leg.stream.statistics().packets_received == 1)
    for _ in range(5):
        stranger.send(leg.stream.port)
    await until(lambda: leg.stream.statistics().strangers == 5)
    assert leg.stream.statistics().packets_received == 1


async def test_malformed_and_unknown_packets_are_dropped_and_counted(leg: Leg) -> None:
    leg.far.send_raw(leg.stream.port, b"")
    leg.far.send_raw(leg.stream.port, b"GET / HTTP/1.1\r\n\r\n")
    leg.far.send(leg.stream.port, payload_type=77)
    leg.far.send(leg.stream.port)
    await until(lambda: leg.stream.statistics().packets_received == 1)
    assert leg.stream.statistics().malformed == 3


async def test_a_renegotiated_address_is_where_packets_go(leg: Leg, new_far_side: NewFarSide) -> None:
    leg.far.send(leg.stream.port)
    await until(lambda: leg.of(MediaStarted) != [])
    moved = new_far_side()
    leg.stream.receive_offer(sdp(moved.port))
    leg.stream.play(ToneSource(sine(500.0), 8000))
    assert (await moved.receive()).payload_type == 0


async def test_hold_at_the_address_zero_sends_nothing_and_resumes_where_it_was(leg: Leg) -> None:
    leg.stream.receive_offer(sdp(leg.far.port, host="0.0.0.0"))
    leg.stream.play(ToneSource(sine(500.0), 8000))
    assert leg.stream.is_held
    leg.stream.receive_offer(sdp(leg.far.port))
    assert (await leg.far.receive()).payload_type == 0


async def test_ipv6_carries_audio_both_ways() -> None:
    plane = MediaPlane(MediaConfig(host="::1"))
    far = FarSide("::1")
    leg = Leg(plane, far)
    far.send(leg.stream.port)
    await until(lambda: leg.of(MediaStarted) != [])
    leg.stream.play(ToneSource(sine(500.0), 8000))
    assert (await far.receive()).payload_type == 0
    await plane.close()
    far.close()


# -- silence and reports ------------------------------------------------------------------------------------


async def test_silence_is_reported_once_and_so_is_its_end(
    quick_plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    leg = Leg(quick_plane, new_far_side())
    await until(lambda: leg.of(MediaTimeout) != [])

    def speak(at: float) -> None:
        leg.far.send(leg.stream.port)

    quick_plane.clock.add(speak)
    await until(lambda: leg.of(MediaResumed) != [])
    quick_plane.clock.remove(speak)
    assert len(leg.of(MediaTimeout)) == 1


async def test_a_held_leg_is_not_silent(quick_plane: MediaPlane, new_far_side: NewFarSide) -> None:
    leg, other = Leg(quick_plane, new_far_side(), direction="recvonly"), Leg(quick_plane, new_far_side())
    await until(lambda: other.of(MediaTimeout) != [])
    assert leg.of(MediaTimeout) == []


async def test_a_leg_with_nothing_to_say_opens_the_way_with_one_packet_of_silence(leg: Leg) -> None:
    packet = await leg.far.receive()
    assert packet.payload == b"\xff" * 160


async def test_reports_go_out_with_what_was_received_and_goodbye_is_said(leg: Leg) -> None:
    leg.far.send(leg.stream.port)
    leg.far.sequence += 1
    leg.far.send(leg.stream.port)
    await until(lambda: leg.stream.statistics().packets_received == 2)
    leg.stream.close()
    received = parse_compound(await leg.far.receive_rtcp())
    assert received is not None
    assert received.is_goodbye
    assert received.cname
    (block,) = received.blocks
    assert (block.ssrc, block.lost) == (leg.far.ssrc, 1)


async def test_the_peers_reports_show_in_the_statistics(leg: Leg) -> None:
    leg.stream.play(ToneSource(sine(500.0), 8000))
    ours = (await leg.far.receive()).ssrc
    leg.far.send(leg.stream.port)
    await until(lambda: leg.of(MediaStarted) != [])
    block = ReportBlock(ours, 10, 7, 0, 80)
    report = build_report(leg.far.ssrc, "x", block=block, is_goodbye=True)
    leg.far.rtcp.sendto(report, ("127.0.0.1", leg.stream.port + 1))
    await until(lambda: leg.of(RemoteGoodbye) != [])
    assert leg.stream.statistics().remote_lost == 7
    assert leg.stream.statistics().remote_jitter_ms == 10.0


# -- the end ------------------------------------------------------------------------------------------------


async def test_close_gives_everything_back_and_may_be_repeated(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    leg = Leg(plane, FarSide())
    leg.stream.add_tap(lambda pcm: None)
    leg.stream.play(ToneSource(sine(500.0), 8000))
    await leg.far.receive()
    leg.far.close()
    leg.stream.close()
    leg.stream.close()
    assert plane.ports.in_use == 0
    assert not plane.clock.is_running
    assert not plane.streams
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert leg.stream.statistics().packets_sent >= 1


async def test_a_whole_call_is_freed_without_the_garbage_collector(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far = new_far_side()
    gc.collect()
    gc.disable()
    try:
        a, b = plane.stream(), plane.stream()
        a.create_offer()
        a.receive_answer(sdp(far.port))
        b.receive_offer(sdp(far.port))
        bridge = Bridge(a, b)
        bridge.open()
        heard: list[int] = []
        a.add_tap(lambda pcm: heard.append(len(pcm)))
        b.play(ToneSource(sine(500.0), 8000))
        far.send(a.port)
        await until(lambda: len(heard) > 2)
        ghosts = [weakref.ref(a), weakref.ref(b)]
        a.close()
        b.close()
        del a, b, bridge
        assert [ghost() for ghost in ghosts] == [None, None]
    finally:
        gc.enable()


async def test_streams_end_when_the_ports_are_exhausted() -> None:
    first = free_port(consecutive=2)
    plane = MediaPlane(MediaConfig(first_port=first, last_port=first + 1))
    plane.stream()
    with pytest.raises(PortsExhausted):
        plane.stream()
    await plane.close()
