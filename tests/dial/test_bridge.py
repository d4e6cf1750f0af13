"""What the caller hears, over parts of media handed in."""

from __future__ import annotations

from collections.abc import Callable

from engine.dial.bridge import CallerAudio, Joint, MediaAudio, SilentAudio
from engine.dial.leg import LegMedia
from tests.support.legs import FakeLeg, FakeMedia, FakeParent


class Recording:
    """Parts of media that write down what was asked of them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def bridge(self, caller: LegMedia, callee: LegMedia) -> Part:
        assert isinstance(caller, FakeMedia)
        assert isinstance(callee, FakeMedia)
        return Part(self.log, f"{caller.name}-{callee.name}")

    def ringback(self, caller: LegMedia) -> Joint:
        self.log.append("ringback")
        return Part(self.log, "ringback")

    def music(self, caller: LegMedia, url: str, failed: Callable[[str], None]) -> Joint:
        self.log.append(url)
        failed("cannot be decoded")
        return Part(self.log, url)


class Part:
    def __init__(self, log: list[str], name: str) -> None:
        self._log = log
        self._name = name

    def open(self) -> None:
        self._log.append(f"open {self._name}")

    def close(self) -> None:
        self._log.append(f"close {self._name}")


def clock() -> float:
    return 0.0


def test_two_legs_with_media_are_bridged_until_closed() -> None:
    parts = Recording()
    audio: CallerAudio = MediaAudio(bridge=parts.bridge, ringback=parts.ringback, music=parts.music)
    callee = FakeLeg("a", clock)
    callee.media = FakeMedia("a")
    audio.join(FakeParent(clock), callee).close()
    assert parts.log == ["open caller-a", "close caller-a"]


def test_sounds_are_played_into_the_callers_media() -> None:
    parts, failures = Recording(), list[str]()
    audio = MediaAudio(bridge=parts.bridge, ringback=parts.ringback, music=parts.music)
    audio.ringback(FakeParent(clock)).close()
    audio.music(FakeParent(clock), "moh.wav", failures.append).close()
    assert parts.log == ["ringback", "close ringback", "moh.wav", "close moh.wav"]
    assert failures == ["cannot be decoded"]


def test_a_leg_without_media_hears_silence_and_nothing_breaks() -> None:
    parts = Recording()
    audio = MediaAudio(bridge=parts.bridge, ringback=parts.ringback, music=parts.music)
    parent = FakeParent(clock)
    audio.join(parent, FakeLeg("a", clock)).close()
    parent.media = None
    audio.ringback(parent).close()
    audio.music(parent, "moh.wav", parts.log.append).close()
    assert parts.log == []


def test_silent_audio_joins_in_name_only() -> None:
    audio: CallerAudio = SilentAudio()
    parent, failures = FakeParent(clock), list[str]()
    audio.join(parent, FakeLeg("a", clock)).close()
    audio.ringback(parent).close()
    audio.music(parent, "moh.wav", failures.append).close()
    assert failures == []
