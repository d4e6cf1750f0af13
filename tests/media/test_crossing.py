"""What is done to audio that crosses a bridge: gain, mute, tracks mixed in. The phones are bare sockets."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest

from media import Bridge, BridgeMode, MediaPlane, MediaStream
from media.audio import Pcm, silence
from media.codecs import PCMU, open_codec
from media.overlay import Overlays
from media.player import PcmPlayer
from tests.media.far_side import FarSide, sdp, until
from tests.media.signals import amplitude_at, tone

NewFarSide = Callable[[], FarSide]

_CODECS = ("0 PCMU/8000", "101 telephone-event/8000")


class _Call:
    """Alice and bob, joined; alice says a tone."""

    def __init__(self, plane: MediaPlane, new: NewFarSide) -> None:
        self.alice, self.bob = new(), new()
        self.a, self.b = self._leg(plane, self.alice), self._leg(plane, self.bob)
        self.bridge = Bridge(self.a, self.b)
        self.bridge.open()
        self._codec = open_codec(PCMU)
        self.sent = 0

    @staticmethod
    def _leg(plane: MediaPlane, far: FarSide) -> MediaStream:
        stream = plane.stream()
        stream.receive_offer(sdp(far.port, codecs=_CODECS))
        return stream

    async def heard_of(self, pcm: Pcm, *, packets: int = 30) -> Pcm:
        """What bob hears while alice says this, at the pace of a phone, without the filling of the buffer."""
        codec = open_codec(PCMU)
        said = [codec.encode(pcm[start : start + 160]) for start in range(0, len(pcm), 160)]
        self.bob.waiting()
        for payload in said:
            self.alice.send(self.a.port, payload)
            await asyncio.sleep(0.02)
        heard = [
            self._codec.decode(packet.payload) for packet in self.bob.waiting() if len(packet.payload) == 160
        ]
        assert len(heard) >= packets // 2, "hardly anything came through"
        return np.concatenate(heard[5:])


@pytest.mark.parametrize(("gain_db", "factor"), [(6.0, 2.0), (-6.0, 0.5), (20.0, 10.0)])
async def test_boost_audio_signal_makes_a_peer_louder_for_the_other_one(
    plane: MediaPlane, new_far_side: NewFarSide, gain_db: float, factor: float
) -> None:
    call = _Call(plane, new_far_side)
    call.a.gain_db = gain_db
    assert call.bridge.modes == (BridgeMode.TRANSCODE, BridgeMode.RELAY), "only what has to be is decoded"
    heard = await call.heard_of(tone(500.0, seconds=0.6, amplitude=2000.0))
    assert amplitude_at(heard, 500.0) == pytest.approx(2000.0 * factor, rel=0.12)
    call.a.gain_db = 0.0
    assert call.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY)


async def test_what_would_be_too_loud_is_clipped_not_wrapped_around(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = _Call(plane, new_far_side)
    call.a.gain_db = 30.0
    heard = await call.heard_of(tone(500.0, seconds=0.6, amplitude=16000.0))
    assert heard.max() > 30000
    # A clipped sine is nearly a square wave, whose fundamental is 4/π of its height; wrapped it is noise.
    assert amplitude_at(heard, 500.0) == pytest.approx(32124 * 4 / math.pi, rel=0.1)


async def test_a_gain_set_before_the_bridge_is_opened_counts(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = _Call(plane, new_far_side)
    call.bridge.close()
    call.a.gain_db = 10.0
    call.bridge.open()
    assert call.bridge.modes == (BridgeMode.TRANSCODE, BridgeMode.RELAY)


async def test_a_tap_hears_a_peer_as_it_came(plane: MediaPlane, new_far_side: NewFarSide) -> None:
    call = _Call(plane, new_far_side)
    call.a.gain_db = 12.0
    tapped: list[Pcm] = []
    call.a.add_tap(tapped.append)
    await call.heard_of(tone(500.0, seconds=0.6, amplitude=2000.0))
    assert amplitude_at(np.concatenate(tapped[8:28]), 500.0) == pytest.approx(2000.0, rel=0.2)


async def test_a_muted_peer_is_not_heard_but_its_digits_are(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = _Call(plane, new_far_side)
    tapped: list[Pcm] = []
    call.a.add_tap(tapped.append)
    call.a.is_muted = True
    assert call.bridge.modes == (BridgeMode.MUTED, BridgeMode.RELAY)
    codec = open_codec(PCMU)
    for _ in range(10):
        call.alice.send(call.a.port, codec.encode(tone(500.0, seconds=0.02)))
        await asyncio.sleep(0.02)
    assert call.bob.waiting() == []
    await until(lambda: any(np.abs(pcm).max() > 1000 for pcm in tapped))
    call.bridge.keyed(call.a, "5", 100)
    event = await call.bob.receive()
    assert (event.payload_type, event.payload[0]) == (101, 5)
    call.a.is_muted = False
    assert call.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY)
    heard = await call.heard_of(tone(500.0, seconds=0.6))  # the first of it may fall into the digit
    assert amplitude_at(heard, 500.0) > 4000.0


async def test_a_track_is_heard_together_with_the_peer_and_ends_by_itself(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = _Call(plane, new_far_side)
    call.b.overlay("whisper", PcmPlayer(tone(1200.0, seconds=0.5, amplitude=4000.0), 8000))
    assert call.bridge.modes == (BridgeMode.TRANSCODE, BridgeMode.RELAY), "what alice hears is left alone"
    heard = await call.heard_of(tone(500.0, seconds=0.9, amplitude=4000.0))
    both = heard[:1600]
    assert amplitude_at(both, 500.0) == pytest.approx(4000.0, rel=0.2)
    assert amplitude_at(both, 1200.0) == pytest.approx(4000.0, rel=0.2)
    assert call.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY), "nothing is decoded for nothing"
    assert not call.b.has_overlays


async def test_a_track_is_heard_over_a_muted_peer_and_in_place_of_it(
    plane: MediaPlane, new_far_side: NewFarSide
) -> None:
    call = _Call(plane, new_far_side)
    call.a.is_muted = True
    call.b.overlay(
        "music", PcmPlayer(tone(1200.0, seconds=0.3, amplitude=4000.0), 8000, loop=True), gain_db=-6.0
    )
    heard = await call.heard_of(tone(500.0, seconds=0.6, amplitude=4000.0))
    assert amplitude_at(heard, 500.0) < 100.0
    assert amplitude_at(heard, 1200.0) == pytest.approx(2000.0, rel=0.2)
    call.b.remove_overlay("music")
    call.b.remove_overlay("music")
    assert call.bridge.modes == (BridgeMode.MUTED, BridgeMode.RELAY)


# -- Overlays alone --------------------------------------------------------------------------------


def _overlays() -> tuple[Overlays, list[str], list[Exception]]:
    changes: list[str] = []
    failures: list[Exception] = []
    return Overlays(lambda: changes.append("changed"), failures.append), changes, failures


def test_a_track_at_another_rate_keeps_its_pitch_and_its_time() -> None:
    overlays, _, _ = _overlays()
    overlays.add("a", PcmPlayer(tone(500.0, seconds=1.0, rate_hz=16000), 16000))
    heard = np.concatenate([overlays.mixed(silence(160), 8000) for _ in range(40)])
    assert len(heard) == 40 * 160
    assert amplitude_at(heard[800:], 500.0) == pytest.approx(8000.0, rel=0.05)


def test_tracks_are_silenced_replaced_and_end() -> None:
    overlays, changes, _ = _overlays()
    overlays.add("a", PcmPlayer(np.full(480, 100, np.int16), 8000))
    overlays.add("b", PcmPlayer(np.full(320, 7, np.int16), 8000))
    overlays.silence("a")
    assert set(overlays.mixed(silence(160), 8000)) == {7}
    overlays.silence("a", wanted=False)
    assert set(overlays.mixed(silence(160), 8000)) == {107}
    overlays.add("b", PcmPlayer(np.full(160, 1, np.int16), 8000))
    overlays.silence("unknown")
    assert set(overlays.mixed(silence(160), 8000)) == {101}
    assert (changes, bool(overlays)) == ([], True)
    assert set(overlays.mixed(silence(160), 8000)) == {0}
    assert (changes, bool(overlays)) == (["changed"], False)


def test_what_is_mixed_is_clipped() -> None:
    overlays, _, _ = _overlays()
    overlays.add("a", PcmPlayer(np.full(160, 30000, np.int16), 8000))
    assert set(overlays.mixed(np.full(160, 30000, np.int16), 8000)) == {32767}


def test_a_source_that_fails_costs_its_track_only() -> None:
    class Broken:
        sample_rate_hz = 8000

        def read(self, samples: int) -> Pcm | None:
            raise ZeroDivisionError

    overlays, changes, failures = _overlays()
    overlays.add("broken", Broken())
    overlays.add("a", PcmPlayer(np.full(160, 5, np.int16), 8000))
    assert set(overlays.mixed(silence(160), 8000)) == {5}
    assert [type(each) for each in failures] == [ZeroDivisionError]
    assert changes == ["changed"]
