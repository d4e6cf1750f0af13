"""What the caller hears: the rows of section 5."""

from __future__ import annotations

from engine.dial.events import (
    AnswerCaller,
    Command,
    DialEvent,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegRinging,
    LegTrying,
    MusicFailed,
    OpenCallerEarlyMedia,
    PlayMusic,
    PlayRingback,
    PresentEarlyMedia,
    RingCaller,
)
from engine.dial.progress import CallerProgress
from engine.ids import CallSid

A, B = CallSid("a"), CallSid("b")


def heard(
    *events: DialEvent,
    answer_on_bridge: bool = False,
    dial_music: str = "",
    branches: int = 1,
    is_caller_answered: bool = False,
    is_screened: bool = False,
) -> list[Command]:
    progress = CallerProgress(
        answer_on_bridge=answer_on_bridge,
        dial_music=dial_music,
        branches=branches,
        is_caller_answered=is_caller_answered,
        is_screened=is_screened,
    )
    return [*progress.begin(), *(command for event in events for command in progress.handle(event))]


def test_the_caller_is_answered_with_the_first_invite_and_hears_ringback() -> None:
    assert heard(LegTrying(A, 0.0), LegTrying(B, 0.0), LegRinging(A, 1.0), branches=2) == [
        AnswerCaller(),
        PlayRingback(),
    ]


def test_the_caller_is_not_answered_before_an_invite_was_sent() -> None:
    assert heard(LegEnded(A, 0.0)) == []


def test_with_music_the_caller_is_answered_with_the_first_invite_and_hears_it() -> None:
    assert heard(LegTrying(A, 0.0), LegEarlyMedia(A, 1.0), dial_music="moh.wav") == [
        AnswerCaller(),
        PlayMusic("moh.wav"),
    ]


def test_on_bridge_a_180_is_passed_on_once() -> None:
    events = (LegTrying(A, 0.0), LegRinging(A, 1.0), LegRinging(A, 2.0))
    assert heard(*events, answer_on_bridge=True) == [RingCaller()]


def test_on_bridge_early_media_of_a_single_target_goes_through() -> None:
    events = (LegRinging(A, 1.0), LegEarlyMedia(A, 2.0), LegEarlyMedia(A, 3.0), LegRinging(A, 4.0))
    assert heard(*events, answer_on_bridge=True) == [
        RingCaller(),
        OpenCallerEarlyMedia(),
        PresentEarlyMedia(A),
    ]


def test_on_bridge_early_media_of_one_of_many_is_only_ringing() -> None:
    events = (LegEarlyMedia(A, 1.0), LegEarlyMedia(B, 1.0))
    assert heard(*events, answer_on_bridge=True, branches=2) == [RingCaller()]


def test_on_bridge_music_is_early_media_at_once_and_nothing_else_is_presented() -> None:
    events = (LegTrying(A, 0.0), LegRinging(A, 1.0), LegEarlyMedia(A, 2.0), LegAnswered(A, 3.0))
    assert heard(*events, answer_on_bridge=True, dial_music="moh.wav") == [
        OpenCallerEarlyMedia(),
        PlayMusic("moh.wav"),
    ]


def test_dv40_on_bridge_nothing_but_the_winner_answers_the_caller() -> None:
    events = (LegTrying(A, 0.0), LegRinging(A, 1.0), LegAnswered(A, 2.0), LegEnded(A, 3.0))
    assert AnswerCaller() not in heard(*events, answer_on_bridge=True)


def test_dv42_a_caller_who_is_answered_already_is_not_answered_again() -> None:
    assert heard(LegTrying(A, 0.0), answer_on_bridge=True, is_caller_answered=True) == [PlayRingback()]
    assert heard(LegTrying(A, 0.0), is_caller_answered=True, dial_music="moh.wav") == [PlayMusic("moh.wav")]


def test_dv43_ringback_takes_the_place_of_music_that_cannot_be_played() -> None:
    assert heard(LegTrying(A, 0.0), MusicFailed(0.5, "404"), dial_music="moh.wav")[-1] == PlayRingback()


def test_a_callee_in_screening_is_not_heard_through_its_early_media() -> None:
    events = (LegEarlyMedia(A, 1.0), LegAnswered(A, 2.0))
    assert heard(*events, answer_on_bridge=True, is_screened=True)[-1] == PlayRingback()
    assert heard(*events, answer_on_bridge=True)[-1] == PresentEarlyMedia(A)
