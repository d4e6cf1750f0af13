"""The leg's own voice: who speaks when, in which packets, with which numbers."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from msgspec.structs import replace

from media.audio import Pcm, silence
from media.codecs import L16_16K, PCMU
from media.negotiate import NegotiatedMedia
from media.player import PcmPlayer
from media.sdp import Direction
from media.sender import AudioSender
from tests.media.test_port import Network, agreement

LOUD: Pcm = np.full(160, 8000, np.int16)


class Voice:
    """A sender that is ticked every 20 ms of its own time."""

    def __init__(self, media: NegotiatedMedia | None = None) -> None:
        self.network = Network()
        self.ends: list[tuple[bool, float]] = []
        self.sender = AudioSender(
            self.network.rtp_port, lambda interrupted, at: self.ends.append((interrupted, at))
        )
        self.sender.configure(media or agreement())
        self.now = 0.0

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 0.02
            if self.sender.is_busy:
                self.sender.tick(self.now)

    def packets(self) -> list[tuple[int, bool, int, int, bytes]]:
        """(payload type, marker, sequence, timestamp, payload), the latter two counted from the first."""
        out = []
        _, _, sequence, timestamp, _ = struct.unpack_from(">BBHII", self.network.rtp[0][0])
        for data, _ in self.network.rtp:
            _, marked, number, at, _ = struct.unpack_from(">BBHII", data)
            numbers = (number - sequence) & 0xFFFF, (at - timestamp) & 0xFFFFFFFF
            out.append((marked & 0x7F, bool(marked & 0x80), *numbers, data[12:]))
        return out


def test_a_source_that_ends_says_so_once_and_falls_silent() -> None:
    voice = Voice()
    voice.sender.play(PcmPlayer(np.tile(LOUD, 3), 8000), 0.0)
    voice.tick(10)
    assert [packet[2:4] for packet in voice.packets()] == [(0, 0), (1, 160), (2, 320)]
    ((interrupted, at),) = voice.ends
    assert not interrupted
    assert at == pytest.approx(0.08)


def test_a_new_source_interrupts_the_old_one_without_a_jump() -> None:
    voice = Voice()
    voice.sender.play(PcmPlayer(np.tile(LOUD, 9), 8000), 0.0)
    voice.tick(2)
    voice.sender.play(PcmPlayer(LOUD, 8000), voice.now)
    voice.tick(1)
    assert [packet[1:4] for packet in voice.packets()] == [(True, 0, 0), (False, 1, 160), (False, 2, 320)]
    assert [interrupted for interrupted, _ in voice.ends] == [True]


def test_after_a_pause_the_marker_is_set_and_time_has_passed() -> None:
    voice = Voice()
    for _ in range(2):
        voice.sender.play(PcmPlayer(LOUD, 8000), voice.now)
        voice.tick(50)
    assert [packet[1:4] for packet in voice.packets()] == [(True, 0, 0), (True, 1, 8000)]


def test_digits_go_before_the_source_and_the_source_goes_on_afterwards() -> None:
    voice = Voice()
    voice.sender.play(PcmPlayer(np.tile(LOUD, 100), 8000), 0.0)
    voice.tick(1)
    voice.sender.send_digits("12", 60, 40)
    voice.tick(20)
    kinds = [packet[0] for packet in voice.packets()]
    assert kinds[0] == 0
    assert kinds[-1] == 0
    events = [packet for packet in voice.packets() if packet[0] == 101]
    assert [event[4][0] for event in events if event[1]] == [1, 2]
    assert len({event[3] for event in events}) == 2
    numbers = [packet[2] for packet in voice.packets()]
    assert numbers == list(range(len(numbers)))
    times = [packet[3] for packet in voice.packets()]
    assert times == sorted(times)


def test_audio_of_the_bridge_waits_while_the_leg_speaks_for_itself() -> None:
    voice = Voice()
    voice.sender.feed(LOUD, 8000, 0.0)
    voice.sender.send_digits("1", 60, 40)
    voice.sender.feed(LOUD, 8000, 0.02)
    assert len(voice.network.rtp) == 1


@pytest.mark.parametrize(
    ("ptime_ms", "packets", "size"), [(10, 12, 80), (20, 6, 160), (30, 4, 240), (60, 2, 480)]
)
def test_pieces_of_20_ms_become_packets_of_the_agreed_length(ptime_ms: int, packets: int, size: int) -> None:
    voice = Voice(replace(agreement(), ptime_ms=ptime_ms))
    voice.sender.play(PcmPlayer(np.tile(LOUD, 6), 8000), 0.0)
    voice.tick(6)
    assert [len(packet[4]) for packet in voice.packets()] == [size] * packets
    assert [packet[3] for packet in voice.packets()] == [size * number for number in range(packets)]


def test_a_held_peer_is_sent_nothing_and_the_source_runs_on() -> None:
    voice = Voice(replace(agreement(), direction=Direction.RECVONLY))
    voice.sender.play(PcmPlayer(np.tile(LOUD, 3), 8000), 0.0)
    voice.sender.send_digits("1", 60, 40)
    voice.tick(10)
    assert voice.network.rtp == []
    assert [interrupted for interrupted, _ in voice.ends] == [False]


def test_another_codec_in_the_middle_goes_on_in_the_same_stream() -> None:
    voice = Voice()
    voice.sender.play(PcmPlayer(np.tile(LOUD, 10), 8000), 0.0)
    voice.tick(2)
    voice.sender.configure(replace(agreement(), codec=L16_16K, send_payload_type=97))
    voice.tick(2)
    assert [packet[0] for packet in voice.packets()] == [0, 0, 97, 97]
    assert [packet[2] for packet in voice.packets()] == [0, 1, 2, 3]
    assert len(voice.packets()[-1][4]) == 640


def test_events_renegotiated_away_in_the_middle_of_a_digit_stop() -> None:
    voice = Voice()
    voice.sender.send_digits("1", 200, 40)
    voice.tick(2)
    voice.sender.configure(replace(agreement(), dtmf_send_payload_type=None))
    voice.tick(2)
    assert not voice.sender.is_busy


def test_after_close_nothing_is_said_any_more() -> None:
    voice = Voice()
    voice.sender.play(PcmPlayer(np.tile(LOUD, 9), 8000), 0.0)
    voice.tick(1)
    voice.sender.send_digits("1", 60, 40)
    voice.sender.close(voice.now)
    assert not voice.sender.is_busy
    assert voice.ends == [(True, voice.now)]


def test_silence_keeps_a_way_open_unless_something_is_said() -> None:
    voice = Voice()
    voice.sender.say_silence(0.0)
    voice.sender.play(PcmPlayer(silence(160), 8000), 0.0)
    voice.sender.say_silence(0.02)
    assert len(voice.network.rtp) == 1
    assert PCMU.static_payload_type == voice.packets()[0][0]
