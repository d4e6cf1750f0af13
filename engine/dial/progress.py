"""What the caller hears, and when the caller is answered (section 5), as a pure machine beside the plan.

    answer_on_bridge  dial_music  branch sends                  to the caller
    no                no          anything                      200 with the first INVITE, engine ringback
    no                yes         anything                      200 likewise, music
    yes               no          180 without SDP               180
    yes               no          18x with SDP, single branch   183 with SDP, the callee's early media
    yes               no          18x with SDP, several         180
    yes               yes         anything                      183 with SDP at once, music

The 200 of an answered callee is the plan's `Connect`. A caller who is answered already hears what the rows
without answer_on_bridge say, and gets no second answer (DV-42).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.dial.events import (
    AnswerCaller,
    Command,
    DialEvent,
    LegAnswered,
    LegEarlyMedia,
    LegRinging,
    LegTrying,
    MusicFailed,
    OpenCallerEarlyMedia,
    PlayMusic,
    PlayRingback,
    PresentEarlyMedia,
    RingCaller,
)

__all__ = ["CallerProgress"]

_NOTHING: tuple[Command, ...] = ()


class CallerProgress:
    """Fed with the same events as the plan until the caller is joined or the dial is decided."""

    __slots__ = (
        "_answers_on_bridge",
        "_has_started",
        "_is_answered",
        "_is_ringing",
        "_is_screened",
        "_is_single",
        "_music",
        "_presents_early_media",
    )

    def __init__(
        self,
        *,
        answer_on_bridge: bool,
        dial_music: str,
        branches: int,
        is_caller_answered: bool,
        is_screened: bool,
    ) -> None:
        self._answers_on_bridge = answer_on_bridge and not is_caller_answered
        self._is_answered = is_caller_answered
        self._music = dial_music
        self._is_single = branches == 1
        self._is_screened = is_screened
        self._has_started = False
        self._is_ringing = False
        self._presents_early_media = False

    def begin(self) -> Iterable[Command]:
        if self._answers_on_bridge and self._music:
            return OpenCallerEarlyMedia(), PlayMusic(self._music)
        return _NOTHING

    def handle(self, event: DialEvent) -> Iterable[Command]:
        match event:
            case LegTrying() | LegRinging() | LegEarlyMedia() | LegAnswered():
                return self._on_bridge(event) if self._answers_on_bridge else self._on_start()
            case MusicFailed():
                return (PlayRingback(),)  # music plays only where the caller's audio is open (DV-43)
            case _:
                return _NOTHING

    def _on_start(self) -> Iterable[Command]:
        if self._has_started:
            return _NOTHING
        self._has_started = True
        sound = PlayMusic(self._music) if self._music else PlayRingback()
        return (sound,) if self._is_answered else (AnswerCaller(), sound)

    def _on_bridge(self, event: LegTrying | LegRinging | LegEarlyMedia | LegAnswered) -> Iterable[Command]:
        if self._music:
            return _NOTHING
        match event:
            case LegEarlyMedia() if self._is_single:
                if self._presents_early_media:
                    return _NOTHING
                self._presents_early_media = True
                return OpenCallerEarlyMedia(), PresentEarlyMedia(event.leg)
            case LegRinging() | LegEarlyMedia():
                if self._is_ringing or self._presents_early_media:
                    return _NOTHING
                self._is_ringing = True
                return (RingCaller(),)
            case LegAnswered() if self._presents_early_media and self._is_screened:
                return (PlayRingback(),)  # the caller must not hear the screening
            case _:
                return _NOTHING
