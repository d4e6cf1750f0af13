"""What a fault in somebody else's code, or a peer's odd turn, costs a stream: nothing but itself."""

from __future__ import annotations

import asyncio
import random
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio

from media import AudioCapabilities, Bridge, MediaPlane, MediaStream
from media.audio import Pcm
from media.codecs import L16_16K, PCMA, PCMU, open_codec
from media.events import DtmfReceived, MediaStarted, PlaybackEnded, StreamEvent
from media.recording import Recording
from media.tones import ToneSource, sine
from tests.media.far_side import FarSide, sdp, until

NewFarSide = Callable[[], FarSide]


class Faults:
    """What was reported to the loop's exception handler."""

    def __init__(self) -> None:
        self.contexts: list[dict[str, Any]] = []

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.contexts.append(context)

    @property
    def messages(self) -> list[str]:
        return [context["message"] for context in self.contexts]


@pytest_asyncio.fixture
async def faults() -> Faults:
    """Of the loop that runs the test."""
    found = Faults()
    asyncio.get_running_loop().set_exception_handler(found)
    return found


class BrokenSource:
    """Fails after a few packets, as a file on a disk that is pulled out would."""

    sample_rate_hz = 8000

    def __init__(self) -> None:
        self.reads = 0

    def read(self, samples: int) -> Pcm | None:
        self.reads += 1
        if self.reads > 2:
            raise OSError("the disk is gone")
        return np.zeros(samples, np.int16)


class BrokenHousekeeping:
    """As much of a stream as the plane's housekeeping sees."""

    def __init__(self) -> None:
        self.turns = 0

    def housekeeping(self, now: float, rtp_timeout_s: float | None, *, rtcp: bool) -> None:
        self.turns += 1
        raise RuntimeError("a bug")


async def test_a_tap_that_raises_is_removed_and_reported_once_and_the_audio_goes_on(
    plane: MediaPlane, new_far_side: NewFarSide, faults: Faults
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port))
    heard: list[Pcm] = []

    def broken(pcm: Pcm) -> None:
        raise RuntimeError("a detector's bug")

    stream.add_tap(broken)
    stream.add_tap(heard.append)
    stream.play(ToneSource(sine(400.0), 8000))
    far.send(stream.port)
    await until(lambda: len(heard) > 4)
    assert faults.messages == ["a tap failed and was removed"]
    assert str(faults.contexts[0]["exception"]) == "a detector's bug"
    assert [(await far.receive()).payload_type for _ in range(3)] == [0, 0, 0]


async def test_when_the_only_tap_raises_nothing_is_decoded_any_more(
    plane: MediaPlane, new_far_side: NewFarSide, faults: Faults
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port))

    def broken(pcm: Pcm) -> None:
        raise RuntimeError("a detector's bug")

    stream.add_tap(broken)
    assert stream.rtp.is_watched
    await until(lambda: not plane.clock.is_running)
    assert faults.messages == ["a tap failed and was removed"]
    assert not stream.rtp.is_watched


async def test_a_handler_that_raises_does_not_keep_the_news_from_the_others(
    plane: MediaPlane, new_far_side: NewFarSide, faults: Faults
) -> None:
    far, stream = new_far_side(), plane.stream()
    events: list[StreamEvent] = []

    def broken(event: StreamEvent) -> None:
        raise RuntimeError("an owner's bug")

    stream.on_event(broken)
    stream.on_event(events.append)
    stream.receive_offer(sdp(far.port))
    far.send(stream.port, b"\x05\x80\x01\x40", payload_type=101)
    await until(lambda: any(isinstance(event, DtmfReceived) for event in events))
    assert [type(event) for event in events] == [MediaStarted, DtmfReceived]
    assert faults.messages == ["the handler of a media event failed"] * 2
    assert stream.statistics().packets_received == 1


async def test_a_source_that_raises_is_over_and_its_end_is_told(
    plane: MediaPlane, new_far_side: NewFarSide, faults: Faults
) -> None:
    far, stream = new_far_side(), plane.stream()
    events: list[StreamEvent] = []
    stream.on_event(events.append)
    stream.receive_offer(sdp(far.port))
    stream.play(BrokenSource())
    await until(lambda: events != [])
    assert isinstance(events[0], PlaybackEnded)
    assert events[0].interrupted
    assert faults.messages == ["a source failed and is not played any further"]
    assert not plane.clock.is_running
    stream.play(ToneSource(sine(400.0), 8000))
    sequences = [(await far.receive()).sequence for _ in range(4)]
    assert [number - sequences[0] for number in sequences] == [0, 1, 2, 3]


async def test_a_failure_of_one_streams_housekeeping_does_not_reach_the_others(
    plane: MediaPlane, faults: Faults
) -> None:
    streams = [BrokenHousekeeping(), BrokenHousekeeping()]
    for stream in streams:
        plane.watch(cast(MediaStream, stream))
    await until(lambda: len(faults.messages) == 2)
    assert [stream.turns for stream in streams] == [1, 1]
    assert faults.messages == ["the housekeeping of a media stream failed"] * 2
    for stream in streams:
        plane.forget(cast(MediaStream, stream))


async def test_a_sender_that_begins_anew_just_below_its_old_numbers_is_heard_at_once(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port))
    loudest = 0

    def tap(pcm: Pcm) -> None:
        nonlocal loudest
        loudest = max(loudest, int(np.abs(pcm).max(initial=0)))

    stream.add_tap(tap)
    quiet = open_codec(PCMU).encode(np.zeros(160, np.int16))
    loud = open_codec(PCMU).encode(np.full(160, 8000, np.int16))
    for _ in range(8):
        far.send(stream.port, quiet)
    await until(lambda: stream.statistics().packets_received == 8)
    far.ssrc += 77
    far.sequence -= 300
    for _ in range(4):
        far.send(stream.port, loud)
    await until(lambda: loudest > 7000, timeout_s=2.0)
    assert stream.statistics().ssrc_changes == 1


async def test_a_recording_given_to_a_stream_that_is_closed_is_finished(
    plane: MediaPlane, tmp_path: Path
) -> None:
    stream = plane.stream()
    stream.close()
    recording = stream.record(tmp_path / "late.wav")
    await plane.close()
    with wave.open(str(tmp_path / "late.wav"), "rb") as file:
        assert file.getnframes() == 0
    assert isinstance(recording, Recording)


async def test_closing_the_plane_finishes_recordings_nobody_stopped_to_their_last_sample(
    plane: MediaPlane, new_far_side: NewFarSide, tmp_path: Path
) -> None:
    far, stream = new_far_side(), plane.stream()
    stream.receive_offer(sdp(far.port))
    stream.record(tmp_path / "open.wav")
    heard = 0

    def count(pcm: Pcm) -> None:
        nonlocal heard
        heard += len(pcm)

    stream.add_tap(count)
    far.send(stream.port)
    await until(lambda: heard >= 800)
    await plane.close()
    with wave.open(str(tmp_path / "open.wav"), "rb") as file:
        assert file.getnframes() >= 800


def odd_packet(rng: random.Random, far: FarSide) -> bytes:
    """Mostly RTP of a type that was agreed, with numbers, times, flags and sizes nobody would send."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(60))
    far.sequence = far.sequence + rng.choice((1,) * 40 + (-1, 0, 2, 7, 900, 4000, 30000)) & 0xFFFF
    far.timestamp = far.timestamp + rng.choice((160, 160, 160, 160, 0, -160, 1, 8000, 1 << 31)) & 0xFFFFFFFF
    first = 0x80 if rng.random() < 0.8 else rng.randrange(256)
    payload_type = rng.choice((0, 0, 0, 8, 13, 101, 101, 72, rng.randrange(128)))
    ssrc = far.ssrc + (rng.random() < 0.05)
    head = struct.pack(
        ">BBHII", first, payload_type | rng.choice((0, 0x80)), far.sequence, far.timestamp, ssrc
    )
    return head + rng.randbytes(rng.choice((0, 1, 3, 4, 80, 159, 160, 160, 160, 161, 320, 1400)))


@pytest.mark.parametrize("codecs", [("0 PCMU/8000", "13 CN/8000"), ("98 L16/16000", "13 CN/8000")])
async def test_whatever_arrives_a_bridged_recorded_and_watched_leg_lives(
    plane: MediaPlane, new_far_side: NewFarSide, faults: Faults, tmp_path: Path, codecs: tuple[str, ...]
) -> None:
    rng = random.Random(4711)
    near, far = new_far_side(), new_far_side()
    capabilities = AudioCapabilities(codecs=(PCMU, PCMA, L16_16K))
    a, b = plane.stream(capabilities), plane.stream(capabilities)
    events = ("101 telephone-event/8000",)
    a.receive_offer(sdp(near.port, codecs=("0 PCMU/8000", "8 PCMA/8000", "13 CN/8000", *events)))
    b.receive_offer(sdp(far.port, codecs=codecs + events))
    bridge = Bridge(a, b)
    bridge.open()
    bridge.record(tmp_path / "both.wav")
    heard = missed = 0

    def tap(pcm: Pcm) -> None:
        nonlocal heard
        heard += len(pcm)

    def lost(samples: int) -> None:
        nonlocal missed
        missed += samples

    a.add_tap(tap, lost=lost)
    for burst in range(60):
        for _ in range(25):
            near.send_raw(a.port, odd_packet(rng, near))
            near.send_raw(a.port + 1, b"\x81" + bytes([rng.randrange(200, 206)]) + rng.randbytes(30))
        ticks = heard + missed
        await until(lambda before=ticks: heard + missed > before)  # type: ignore[misc]
        if burst % 10 == 9:
            a.receive_offer(sdp(near.port, codecs=("8 PCMA/8000", "0 PCMU/8000", *events)))
            a.receive_offer(sdp(near.port, codecs=("0 PCMU/8000", "8 PCMA/8000", "13 CN/8000", *events)))
    statistics = a.statistics()
    assert faults.messages == []
    assert statistics.packets_received > 200
    assert statistics.malformed > 50
    assert b.statistics().packets_sent > 20
    assert heard > 0
    assert missed > 0
    assert heard + missed >= 40 * 160
