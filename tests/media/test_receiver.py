"""From packets to the audio of each 20 ms: losses, pauses, other packet times, comfort noise."""

from __future__ import annotations

import numpy as np
import pytest

from media.audio import level_dbov
from media.cn import encode_noise
from media.codecs import L16_16K, PCMA, PCMU, CodecSpec, open_codec
from media.negotiate import Address, NegotiatedMedia
from media.receiver import AudioReceiver
from media.sdp import Direction


def agreement(codec: CodecSpec = PCMU, others: tuple[tuple[int, CodecSpec], ...] = ()) -> NegotiatedMedia:
    return NegotiatedMedia(
        remote=Address("192.0.2.1", 5000),
        remote_rtcp=None,
        codec=codec,
        send_payload_type=0,
        receive_payload_type=0,
        receive_codecs=((0, codec), *others),
        direction=Direction.SENDRECV,
        remote_direction=Direction.SENDRECV,
        ptime_ms=20,
        cn_receive_payload_type=13,
    )


class Ear:
    """A receiver fed by a phone that says a sine, packet by packet."""

    def __init__(self, codec: CodecSpec = PCMU, ptime_ms: int = 20) -> None:
        self.receiver = AudioReceiver(agreement(codec, ((8, PCMA), (97, L16_16K))))
        self.codec = open_codec(codec)
        self.step = ptime_ms * codec.clock_rate_hz // 1000
        self.samples = ptime_ms * codec.sample_rate_hz // 1000
        self.sample_rate_hz = codec.sample_rate_hz

    def say(self, number: int) -> None:
        at = (number * self.samples + np.arange(self.samples)) / self.sample_rate_hz
        pcm = (8000 * np.sin(2 * np.pi * 400 * at)).astype(np.int16)
        payload = self.codec.encode(pcm)
        self.receiver.push(
            0, number, number * self.step, payload, number * self.step / self.codec.clock_rate_hz
        )


def test_before_the_first_packet_there_is_silence_of_the_right_length() -> None:
    pcm = Ear().receiver.pull()
    assert len(pcm) == 160
    assert not pcm.any()


@pytest.mark.parametrize(("codec", "samples"), [(PCMU, 160), (PCMA, 160), (L16_16K, 320)])
def test_what_is_said_is_heard(codec: CodecSpec, samples: int) -> None:
    ear = Ear(codec)
    heard = []
    for number in range(50):
        ear.say(number)
        heard.append(ear.receiver.pull())
    assert {len(pcm) for pcm in heard} == {samples}
    assert level_dbov(np.concatenate(heard[5:])) == pytest.approx(-15.3, abs=0.3)


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
def test_other_packet_times_come_out_in_pieces_of_20_ms_without_a_gap(ptime_ms: int) -> None:
    ear = Ear(ptime_ms=ptime_ms)
    heard = []
    said = 0
    for tick in range(200):
        while said * ptime_ms <= tick * 20 + ptime_ms:
            ear.say(said)
            said += 1
        heard.append(ear.receiver.pull())
    assert {len(pcm) for pcm in heard} == {160}
    tail = np.concatenate(heard[30:])
    pieces = np.abs(tail[: len(tail) // 80 * 80].reshape(-1, 80)).max(axis=1)
    assert pieces.min() > 5000


def test_a_lost_packet_is_concealed_and_not_silent() -> None:
    ear = Ear()
    heard = []
    for number in range(20):
        if number != 10:
            ear.say(number)
        if number >= 2:
            heard.append(ear.receiver.pull())
    assert ear.receiver.jitter.lost == 1
    assert min(np.abs(pcm).max() for pcm in heard) > 3000


def test_comfort_noise_is_heard_at_its_level_until_speech_comes_back() -> None:
    ear = Ear()
    ear.say(0)
    ear.receiver.pull()
    ear.receiver.push(13, 1, 160, encode_noise(-50.0), 0.02)
    noise = np.concatenate([ear.receiver.pull() for _ in range(50)])
    assert level_dbov(noise[320:]) == pytest.approx(-50, abs=3)
    for number in range(60, 70):
        ear.say(number)
    assert any(np.abs(ear.receiver.pull()).max() > 7000 for _ in range(12))


def test_types_that_nobody_can_decode_are_left_out() -> None:
    ear = Ear()
    ear.receiver.push(97, 0, 0, b"\0" * 640, 0.0)  # another clock
    ear.receiver.push(55, 1, 160, b"\0" * 160, 0.02)
    assert ear.receiver.jitter.depth == 0
    ear.receiver.push(8, 2, 320, open_codec(PCMA).encode(np.full(160, 5000, np.int16)), 0.04)
    assert any(np.abs(ear.receiver.pull()).max() > 4500 for _ in range(3))


def test_an_empty_payload_does_no_harm() -> None:
    ear = Ear()
    for number in range(5):
        ear.receiver.push(0, number, number * 160, b"", number * 0.02)
        assert len(ear.receiver.pull()) == 160


@pytest.mark.parametrize("ptime_ms", [20, 30])
def test_lost_audio_is_marked_where_it_was_concealed(ptime_ms: int) -> None:
    ear = Ear(ptime_ms=ptime_ms)
    lost = {30, 31, 50}
    pulled = 0
    marked = np.zeros(0, bool)
    for number in range(100):
        if number not in lost:
            ear.say(number)
        while pulled < (number + 1) * ear.samples // 160:
            pcm = ear.receiver.pull()
            mask = np.zeros(len(pcm), bool)
            for start, end in ear.receiver.gaps:
                assert 0 <= start < end <= len(pcm)
                mask[start:end] = True
            marked = np.concatenate((marked, mask))
            pulled += 1
    edges = np.flatnonzero(np.diff(marked.astype(np.int8)))
    steady = edges[edges > 20 * ear.samples]  # before that the jitter buffer settles
    lengths = steady[1::2] - steady[::2]
    assert list(lengths) == [2 * ear.samples, ear.samples]
    assert steady[2] - steady[0] == 20 * ear.samples
