"""What the server wants to be heard, read 20 ms at a time; no socket, no clock."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine.listen.clip import Clip
from engine.listen.playback import MOST_QUEUED, Playback
from media.audio import Pcm, to_bytes
from tests.media.signals import amplitude_at, tone


class Ear:
    """Plays a `Playback` and keeps what was heard and told."""

    def __init__(self, *, rate_hz: int = 8000, stream_rate_hz: int = 8000) -> None:
        self.told: list[Any] = []
        self.playback = Playback(
            lambda text: self.told.append(json.loads(text)),
            sample_rate_hz=rate_hz,
            stream_rate_hz=stream_rate_hz,
        )
        self._samples = rate_hz // 50

    def hear(self, reads: int = 10_000) -> Pcm:
        """Until there is nothing, or so many times."""
        heard = []
        for _ in range(reads):
            pcm = self.playback.read(self._samples)
            if pcm is None:
                break
            assert len(pcm) == self._samples
            heard.append(pcm)
        return np.concatenate(heard) if heard else np.zeros(0, np.int16)


def _done(clip_id: str) -> dict[str, Any]:
    return {"type": "playDone", "data": {"id": clip_id}}


def _mark(name: str, event: str) -> dict[str, Any]:
    return {"type": "mark", "data": {"name": name, "event": event}}


def test_clips_follow_each_other_without_a_gap_sample_by_sample() -> None:
    ear = Ear()
    first, second = tone(700, seconds=0.311), tone(900, seconds=0.107)
    ear.playback.play(Clip(first, 8000, "a"))
    assert ear.playback.enqueue(Clip(second, 8000, "b"))
    heard = ear.hear()
    whole = np.concatenate((first, second))
    assert np.array_equal(heard[: len(whole)], whole)
    assert not heard[len(whole) :].any()
    assert ear.told == [_done("a"), _done("b")]


def test_wh34_done_is_told_when_the_last_samples_have_been_played_not_when_they_are_read() -> None:
    ear = Ear()
    ear.playback.play(Clip(tone(700, seconds=0.04), 8000, "a"))
    ear.hear(reads=2)
    assert ear.told == []
    assert ear.playback.read(160) is None
    assert ear.told == [_done("a")]


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("leg_hz", [8000, 16000])
def test_any_rate_is_heard_at_the_right_pitch_and_length(rate_hz: int, leg_hz: int) -> None:
    ear = Ear(rate_hz=leg_hz)
    ear.playback.play(Clip(tone(1000, seconds=1.0, rate_hz=rate_hz), rate_hz, "a"))
    heard = ear.hear()
    assert len(heard) / leg_hz == pytest.approx(1.0, abs=0.045)
    assert amplitude_at(heard[leg_hz // 10 : -leg_hz // 10], 1000, leg_hz) == pytest.approx(8000, rel=0.03)


def test_wh34_a_clip_without_queue_interrupts_and_empties_the_queue() -> None:
    ear = Ear()
    ear.playback.play(Clip(tone(700, seconds=5), 8000, "a"))
    ear.playback.enqueue(Clip(tone(800, seconds=5), 8000, "b"))
    ear.playback.mark("behind b")
    ear.hear(reads=3)
    ear.playback.play(Clip(tone(1500, seconds=0.2), 8000, "c"))
    heard = ear.hear()
    assert len(heard) == 1600
    assert amplitude_at(heard, 1500) > 7000
    assert ear.told == [_done("a"), _mark("behind b", "cleared"), _done("c")]


def test_wh34_ten_wait_behind_the_one_that_is_played_and_the_next_is_refused() -> None:
    ear = Ear()
    taken = [ear.playback.enqueue(Clip(tone(700, seconds=0.1), 8000, n)) for n in range(MOST_QUEUED + 2)]
    assert taken == [True] * (MOST_QUEUED + 1) + [False]
    ear.hear(reads=6)  # the first is over
    assert ear.playback.enqueue(Clip(tone(700, seconds=0.1), 8000, 11))
    ear.hear()
    assert [told["data"]["id"] for told in ear.told] == [*range(MOST_QUEUED + 1), 11]


def test_what_waits_is_bounded_in_memory_too() -> None:
    ear = Ear()
    long = np.zeros(7 * 1024 * 1024, np.int16)
    taken = [ear.playback.enqueue(Clip(long, 48000, n)) for n in range(3)]
    assert taken == [True, True, False]


def test_wh34_kill_tells_the_end_of_what_was_heard_only() -> None:
    ear = Ear()
    ear.playback.play(Clip(tone(700, seconds=1), 8000, "heard"))
    ear.playback.enqueue(Clip(tone(700, seconds=1), 8000, "never begun"))
    ear.hear(reads=1)
    ear.playback.kill()
    assert ear.playback.read(160) is None
    assert ear.told == [_done("heard")]
    assert ear.playback.is_empty


def test_wh34_marks_come_where_they_were_set() -> None:
    ear = Ear()
    ear.playback.mark("at once")
    assert ear.told == [_mark("at once", "playout")]
    ear.playback.play(Clip(tone(700, seconds=0.1), 8000, "a"))
    ear.playback.mark("after a")
    ear.playback.enqueue(Clip(tone(700, seconds=0.1), 8000, "b"))
    ear.playback.mark("after b")
    ear.playback.mark("after b too")
    ear.hear(reads=6)
    assert ear.told[1:] == [_done("a"), _mark("after a", "playout")]
    ear.hear()
    assert ear.told[3:] == [_done("b"), _mark("after b", "playout"), _mark("after b too", "playout")]


def test_wh34_cleared_marks_come_back_once_and_the_audio_goes_on() -> None:
    ear = Ear()
    ear.playback.play(Clip(tone(700, seconds=0.2), 8000, "a"))
    ear.playback.mark("m")
    ear.playback.clear_marks()
    ear.playback.clear_marks()
    assert ear.told == [_mark("m", "cleared")]
    assert len(ear.hear()) == 1600
    assert ear.told == [_mark("m", "cleared"), _done("a")]


def test_wh34_streamed_audio_of_any_cut_is_played_as_it_was() -> None:
    ear = Ear()
    audio = tone(700, seconds=0.5)
    data = to_bytes(audio)
    for at in range(0, len(data), 333):
        assert ear.playback.feed(data[at : at + 333])
    heard = ear.hear()
    assert np.array_equal(heard[: len(audio)], audio)
    assert not heard[len(audio) :].any()


def test_wh34_marks_in_streamed_audio_come_when_the_bytes_before_them_are_played() -> None:
    ear = Ear()
    ear.playback.feed(to_bytes(tone(700, seconds=0.1)))
    ear.playback.mark("after 100 ms")
    ear.playback.feed(to_bytes(tone(700, seconds=0.1)))
    ear.hear(reads=5)
    assert ear.told == []
    ear.hear(reads=1)
    assert ear.told == [_mark("after 100 ms", "playout")]


def test_streamed_audio_may_run_dry_for_a_moment_before_playing_ends() -> None:
    ear = Ear()
    ear.playback.feed(to_bytes(tone(700, seconds=0.1)))
    assert len(ear.hear(reads=5)) == 800
    assert not ear.hear(reads=4).any()
    ear.playback.feed(to_bytes(tone(700, seconds=0.1)))
    assert len(ear.hear()) == 800 + 8 * 160


def test_one_frame_of_a_minute_is_resampled_little_by_little() -> None:
    ear = Ear(rate_hz=8000, stream_rate_hz=48000)
    ear.playback.feed(to_bytes(tone(1000, seconds=60, rate_hz=48000)))
    assert ear.playback._streamed_samples == 60 * 48000
    heard = ear.hear(reads=50)
    assert ear.playback._streamed_samples >= 58.9 * 48000
    assert amplitude_at(heard[800:], 1000) > 7000


def test_streamed_audio_that_waits_is_bounded() -> None:
    ear = Ear()
    minute = bytes(60 * 8000 * 2)
    assert ear.playback.feed(minute)
    assert ear.playback.feed(minute)
    assert not ear.playback.feed(bytes(320))
    ear.playback.kill()
    assert ear.playback.feed(bytes(320))


def test_empty_audio_is_over_at_once() -> None:
    ear = Ear()
    ear.playback.play(Clip(np.zeros(0, np.int16), 16000, "nothing"))
    ear.playback.feed(b"")
    assert not len(ear.hear())
    assert ear.told == [_done("nothing")]
