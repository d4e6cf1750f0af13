"""What the caller hears, carried out: tone, music, early media, and in the end the callee.

The dial asks for sounds by name; where they come from and how two legs' packets are joined is told by the
composition root, which hands in the parts of `media`. At any moment the caller hears at most one thing, and
what it hears is held by one `Joint`: closing it is silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.dial.leg import Leg, LegMedia, ParentLeg

__all__ = ["Bridge", "CallerAudio", "Joint", "MediaAudio", "MusicPlayer", "RingbackPlayer", "SilentAudio"]


class Joint(Protocol):
    """Something the caller hears. `close` takes it away; more than once does nothing more."""

    def close(self) -> None: ...


class CallerAudio(Protocol):
    """The sounds a dial can ask for. None of the methods waits."""

    def join(self, caller: ParentLeg, callee: Leg) -> Joint:
        """Audio both ways between the two, until closed. Both have media."""

    def ringback(self, caller: ParentLeg) -> Joint: ...

    def music(self, caller: ParentLeg, url: str, failed: Callable[[str], None]) -> Joint:
        """Loop `url` (WAV or MP3). `failed(reason)` is called, from the loop, if it cannot be played."""


class Bridge(Protocol):
    """Two ends of audio, joined: `media.Bridge` has this shape."""

    def open(self) -> None: ...

    def close(self) -> None: ...


RingbackPlayer = Callable[[LegMedia], Joint]
"""Plays the ringback tone into one leg until closed."""

MusicPlayer = Callable[[LegMedia, str, Callable[[str], None]], Joint]
"""Loops a file or URL into one leg until closed; calls the third argument if that is impossible."""


class _Nothing:
    """Silence, which needs no closing."""

    __slots__ = ()

    def close(self) -> None: ...


_SILENCE = _Nothing()


class SilentAudio:
    """For a dial without sounds of its own: nobody hears anything, every join is in name only."""

    __slots__ = ()

    def join(self, caller: ParentLeg, callee: Leg) -> Joint:
        return _SILENCE

    def ringback(self, caller: ParentLeg) -> Joint:
        return _SILENCE

    def music(self, caller: ParentLeg, url: str, failed: Callable[[str], None]) -> Joint:
        return _SILENCE


class MediaAudio:
    """`CallerAudio` over the media of the legs.

    A leg whose media is not open yet is given silence rather than an error: a caller can be connected before
    a sound has become possible, and the next sound will be asked for when it is.
    """

    __slots__ = ("_bridge", "_music", "_ringback")

    def __init__(
        self,
        *,
        bridge: Callable[[LegMedia, LegMedia], Bridge],
        ringback: RingbackPlayer,
        music: MusicPlayer,
    ) -> None:
        self._bridge = bridge
        self._ringback = ringback
        self._music = music

    def join(self, caller: ParentLeg, callee: Leg) -> Joint:
        if caller.media is None or callee.media is None:
            return _SILENCE
        bridge = self._bridge(caller.media, callee.media)
        bridge.open()
        return bridge

    def ringback(self, caller: ParentLeg) -> Joint:
        return _SILENCE if caller.media is None else self._ringback(caller.media)

    def music(self, caller: ParentLeg, url: str, failed: Callable[[str], None]) -> Joint:
        return _SILENCE if caller.media is None else self._music(caller.media, url, failed)
