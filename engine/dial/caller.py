"""The caller's side of a dial: its leg, and the one thing it hears at a time. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from engine.dial.bridge import CallerAudio, Joint
from engine.dial.leg import Inbox, ParentLeg

__all__ = ["CallerSide", "Sound"]

Sound: TypeAlias = Callable[[CallerAudio, ParentLeg], Joint]
"""Begins something the caller hears."""


class CallerSide:
    """Keeps a sound that was asked for too early until the caller's media is open."""

    __slots__ = (
        "_audio",
        "_has_early_media",
        "_is_being_answered",
        "_is_released",
        "_joint",
        "_parent",
        "_waiting",
    )

    def __init__(self, parent: ParentLeg, audio: CallerAudio) -> None:
        self._parent = parent
        self._audio = audio
        self._has_early_media = False
        self._is_being_answered = parent.has_answered
        self._is_released = False
        self._joint: Joint | None = None
        """What the caller hears."""
        self._waiting: Sound | None = None
        """What the caller shall hear as soon as it can."""

    @property
    def has_answered(self) -> bool:
        return self._parent.has_answered

    def attach(self, inbox: Inbox) -> None:
        self._parent.attach(inbox)

    def release(self) -> None:
        """Silence, and hand the leg back. Once: it may be in another dial's hands when this is said again."""
        if self._is_released:
            return
        self._is_released = True
        try:
            self.silence()
        finally:
            self._parent.detach()

    def ring(self) -> None:
        self._parent.ring()

    def open_early_media(self) -> None:
        self._parent.open_early_media()
        self._has_early_media = True

    def answer(self) -> None:
        """Once: a caller whose ACK is still to come is not answered a second time (DV-42)."""
        if not self._is_being_answered:
            self._is_being_answered = True
            self._parent.answer()

    def hear(self, sound: Sound) -> None:
        """This, in place of what is heard now."""
        self.silence()
        if self._parent.has_answered or self._has_early_media:
            self._joint = sound(self._audio, self._parent)
        else:
            self._waiting = sound

    def hear_what_waits(self) -> None:
        """The caller's media has opened."""
        if self._waiting is not None:
            self.hear(self._waiting)

    def silence(self) -> None:
        self._waiting = None
        joint, self._joint = self._joint, None
        if joint is not None:
            joint.close()
