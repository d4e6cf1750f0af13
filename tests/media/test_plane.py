"""What streams share, and two streams joined directly: reports, round trip, multiplexing, recordings."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from media import AudioCapabilities, Bridge, BridgeMode, MediaConfig, MediaPlane, MediaStarted, MediaStream
from media.codecs import L16_16K, PCMU
from media.events import DtmfReceived, RemoteGoodbye, StreamEvent
from media.tones import ToneSource, sine
from tests.media.far_side import FarSide, sdp, until

NewFarSide = Callable[[], FarSide]


def joined(
    plane: MediaPlane, capabilities: AudioCapabilities | None = None
) -> tuple[MediaStream, MediaStream, list[StreamEvent]]:
    """Two streams that talk to each other, and what the second one tells."""
    a, b = plane.stream(capabilities), plane.stream(capabilities)
    events: list[StreamEvent] = []
    b.on_event(events.append)
    a.receive_answer(b.receive_offer(a.create_offer()))
    return a, b, events


async def test_the_round_trip_is_measured_from_reports(plane: MediaPlane) -> None:
    a, b, events = joined(plane)
    a.play(ToneSource(sine(500.0), 8000))
    b.play(ToneSource(sine(500.0), 8000))
    await until(lambda: events != [] and a.statistics().packets_received > 0)
    a.rtp.report(time.monotonic())

    def answered() -> bool:
        b.rtp.report(time.monotonic())
        return a.statistics().rtt_ms is not None

    await until(answered)
    round_trip = a.statistics().rtt_ms
    assert round_trip is not None
    assert 0 <= round_trip < 1000


@pytest.mark.parametrize("mux", [False, True])
async def test_goodbye_arrives_with_and_without_multiplexing(plane: MediaPlane, mux: bool) -> None:
    a, b, events = joined(plane, AudioCapabilities(rtcp_mux=mux))
    assert b.negotiated is not None
    assert b.negotiated.rtcp_mux is mux
    a.play(ToneSource(sine(500.0), 8000))
    await until(lambda: any(isinstance(event, MediaStarted) for event in events))
    a.close()
    await until(lambda: any(isinstance(event, RemoteGoodbye) for event in events))
    assert b.statistics().malformed == 0


async def test_a_tone_crosses_two_legs_two_codecs_and_two_sample_rates(plane: MediaPlane) -> None:
    wide, narrow = AudioCapabilities(codecs=(L16_16K,)), AudioCapabilities(codecs=(PCMU,))
    phone_a, leg_a, _ = joined(plane, wide)
    leg_b, phone_b, _ = joined(plane, narrow)
    bridge = Bridge(leg_a, leg_b)
    bridge.open()
    assert bridge.modes == (BridgeMode.TRANSCODE, BridgeMode.TRANSCODE)
    phone_a.play(ToneSource(sine(1000.0), 16000))
    heard: list[float] = []
    phone_b.add_tap(lambda pcm: heard.extend(pcm.tolist()))
    await until(lambda: int(np.count_nonzero(heard)) > 8000, timeout_s=20)
    tail = np.array(heard[-4000:])
    spectrum = np.abs(np.fft.rfft(tail * np.hanning(len(tail))))
    assert abs(int(np.argmax(spectrum)) * 8000 / len(tail) - 1000) < 5
    assert np.sum(np.sort(spectrum)[-4:] ** 2) > 0.95 * np.sum(spectrum**2)


async def test_a_digit_crosses_a_transcoding_bridge(plane: MediaPlane) -> None:
    wide, narrow = AudioCapabilities(codecs=(L16_16K,)), AudioCapabilities(codecs=(PCMU,))
    phone_a, leg_a, _ = joined(plane, wide)
    leg_b, _, events = joined(plane, narrow)
    Bridge(leg_a, leg_b).open()
    phone_a.send_dtmf("4", duration_ms=100)
    await until(lambda: any(isinstance(event, DtmfReceived) for event in events))
    (digit,) = (event for event in events if isinstance(event, DtmfReceived))
    assert digit.digit == "4"
    assert 80 <= digit.duration_ms <= 140


async def test_a_bridge_is_recorded_with_each_side_on_its_channel(plane: MediaPlane, tmp_path: Path) -> None:
    phone_a, leg_a, _ = joined(plane)
    leg_b, phone_b, _ = joined(plane)
    bridge = Bridge(leg_a, leg_b)
    bridge.open()
    path = tmp_path / "call.wav"
    recording = bridge.record(path)
    phone_a.play(ToneSource(sine(500.0), 8000))
    phone_b.play(ToneSource(sine(1200.0), 8000))
    heard: list[int] = []
    leg_b.add_tap(lambda pcm: heard.append(int(np.abs(pcm).max())))
    await until(lambda: sum(level > 1000 for level in heard) > 40, timeout_s=20)
    await recording.stop()
    samples = np.frombuffer(path.read_bytes()[44:], "<i2").reshape(-1, 2)[-4000:]
    for channel, frequency in ((0, 500), (1, 1200)):
        spectrum = np.abs(np.fft.rfft(samples[:, channel] * np.hanning(len(samples))))
        assert abs(int(np.argmax(spectrum)) * 8000 / len(samples) - frequency) < 10


async def test_a_recording_is_finished_when_the_plane_closes(tmp_path: Path) -> None:
    plane = MediaPlane(MediaConfig())
    a, b, _ = joined(plane)
    path = tmp_path / "b.wav"
    b.record(path)
    a.play(ToneSource(sine(500.0), 8000))
    heard: list[int] = []
    b.add_tap(lambda pcm: heard.append(len(pcm)))
    await until(lambda: len(heard) > 10)
    await plane.close()
    data = path.read_bytes()
    assert int.from_bytes(data[40:44], "little") == len(data) - 44 > 0


async def test_nothing_ticks_when_no_stream_is_active(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    ringing = plane.stream()
    ringing.create_offer()
    assert not plane.is_keeping_house
    talking = plane.stream()
    talking.receive_offer(sdp(new_far_side().port))
    assert (plane.is_keeping_house, plane.clock.is_running) == (True, False)
    talking.close()
    assert (plane.is_keeping_house, plane.clock.is_running) == (False, False)


async def test_a_stream_shows_what_it_does(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    stream = plane.stream(label="alice")
    assert "alice" in repr(stream)
    assert "no agreement" in repr(stream)
    stream.receive_offer(sdp(new_far_side().port))
    assert "PCMU/8000" in repr(stream)
    assert "closed" in repr(Bridge(stream, plane.stream()))


async def test_all_addresses_need_one_to_advertise() -> None:
    with pytest.raises(ValueError, match="advertised"):
        MediaPlane(MediaConfig(host="0.0.0.0"))
    plane = MediaPlane(MediaConfig(host="0.0.0.0", advertised="192.0.2.10"))
    assert b"c=IN IP4 192.0.2.10" in plane.stream().create_offer()
    await plane.close()


async def test_packets_that_came_before_the_agreement_are_not_heard(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far, stream = new_far_side(), plane.stream()
    for _ in range(10):
        far.send(stream.port)
    stream.receive_offer(sdp(far.port))
    far.send(stream.port)
    await until(lambda: stream.statistics().packets_received > 0)
    assert stream.statistics().packets_received == 1
