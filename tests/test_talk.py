"""What is said to whom, and when the call ends. Real RTP, virtual time; recordings are made in real time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amd import Beep, Decision, Evidence, GreetingEnded, Rule, Verdict
from engine.detection import LiveDetector
from engine.dial.dial import Dial
from engine.dial.leg import EndedBy
from engine.dial.result import DialResult
from engine.talk import Talk
from media.audio import Pcm
from media.player import PlayerError
from tests.softphone.test_spectrum import write
from tests.support.callee import (
    BEEP,
    GREETING,
    HELLO,
    MESSAGE,
    RATE_HZ,
    PhoneCall,
    as_heard,
    on_the_phone,
    pause,
    tone,
)
from tests.support.spectrum import assert_hears
from tests.support.virtual_time import in_virtual_time

WELCOME = tone(700, seconds=6.0)
"""Said to people."""
VOICEMAIL = np.concatenate([GREETING, pause(0.4), BEEP])


def talks(*, play: Pcm | None = None, after_beep: Pcm | None = MESSAGE) -> list[Callable[[Dial], None]]:
    """A talk, and the detector it needs."""
    return [LiveDetector().follow, Talk(play=play, after_beep=after_beep).follow]


def decided(verdict: Verdict) -> Decision:
    return Decision(verdict, Rule.LONG_GREETING, 0.9, "words", Evidence(), 8000)


def assert_we_hung_up(result: DialResult) -> None:
    assert result.is_answered
    assert result.ended_by is EndedBy.ENGINE


def assert_heard_twice(call: PhoneCall, pcm: Pcm) -> None:
    """From beginning to end, two times."""
    heard, once = call.callee.heard, as_heard(pcm)
    assert 2 * len(once) <= len(heard) < 2.2 * len(once)
    assert np.array_equal(heard[: len(once)], once)
    assert np.array_equal(heard[-len(once) :], once)


def time_of(call: PhoneCall, kind: type[Beep] | type[GreetingEnded]) -> float:
    """When the dial heard of the first event of this kind."""
    return next(fired.at for fired in call.fired if isinstance(fired.detail, kind))


# -- for whoever answers ---------------------------------------------------------------------------------


@in_virtual_time
async def test_a_file_is_played_to_whoever_answers_and_then_we_hang_up() -> None:
    async with on_the_phone(Talk(play=MESSAGE).follow) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(HELLO))
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))
        assert call.callee.first_heard_at == pytest.approx(0.0, abs=0.041)


@in_virtual_time
async def test_the_goodbye_leaves_time_for_the_far_sides_jitter_buffer() -> None:
    async with on_the_phone(Talk(play=MESSAGE).follow) as call:
        result = await call.says_until_we_hang_up(HELLO)
        assert result.talk_s == pytest.approx(len(MESSAGE) / RATE_HZ + 0.3, abs=0.05)


@in_virtual_time
async def test_without_anything_to_say_the_call_goes_on_until_the_callee_hangs_up() -> None:
    async with on_the_phone(Talk().follow) as call:
        await call.says(HELLO, pause(30.0))
        assert not call.is_over
        assert len(call.callee.heard) == 0
        result = await call.result()
        assert result.ended_by is EndedBy.CALLEE


# -- for machines ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_message_is_left_whole_right_after_the_beep() -> None:
    async with on_the_phone(*talks(play=WELCOME)) as call:
        result = await call.says_until_we_hang_up(VOICEMAIL)
        assert_we_hung_up(result)
        assert result.talk_s == pytest.approx((len(VOICEMAIL) + len(MESSAGE)) / RATE_HZ + 0.5, abs=0.2)
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE)), "the message and nothing else"
        beep_is_over_s = len(VOICEMAIL) / RATE_HZ
        assert beep_is_over_s < call.callee.first_heard_at < beep_is_over_s + 0.25


@in_virtual_time
async def test_after_a_short_message_we_hang_up_as_soon_as_the_machine_is_known_to_be_silent() -> None:
    short = tone(700, seconds=0.4)
    async with on_the_phone(*talks(after_beep=short)) as call:
        result = await call.says_until_we_hang_up(VOICEMAIL)
        assert_we_hung_up(result)
        assert result.talk_s == pytest.approx(time_of(call, GreetingEnded) + 0.3, abs=0.05)
        assert np.array_equal(call.callee.heard, as_heard(short))


@in_virtual_time
async def test_a_long_message_said_over_the_greeting_stops_and_is_left_after_it() -> None:
    long = np.concatenate([MESSAGE, MESSAGE, MESSAGE])
    async with on_the_phone(*talks(after_beep=long)) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(BEEP, pause(0.4), GREETING))
        heard, message = call.callee.heard, as_heard(long)
        stopped_s = time_of(call, GreetingEnded) - call.callee.first_heard_at
        assert len(heard) - len(message) == pytest.approx(stopped_s * RATE_HZ, abs=800)
        assert np.array_equal(heard[-len(message) :], message)


@in_virtual_time
async def test_the_message_is_left_after_a_greeting_without_beep() -> None:
    async with on_the_phone(*talks()) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(GREETING))
        assert call.beeps == []
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))
        patience_s = call.callee.first_heard_at - time_of(call, GreetingEnded)
        assert patience_s == pytest.approx(3.0, abs=0.05)


@in_virtual_time
async def test_a_beep_that_comes_late_but_not_too_late_is_waited_for() -> None:
    async with on_the_phone(*talks()) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(GREETING, pause(3.5), BEEP))
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))
        assert time_of(call, GreetingEnded) < time_of(call, Beep) < call.callee.first_heard_at


@in_virtual_time
async def test_after_a_beep_before_the_greeting_the_message_begins_anew_at_the_record_beep() -> None:
    async with on_the_phone(*talks()) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(BEEP, pause(0.4), VOICEMAIL))
        assert len(call.beeps) == 2
        assert_heard_twice(call, MESSAGE)


@in_virtual_time
async def test_a_message_that_was_said_over_the_greeting_is_left_again_when_no_further_beep_comes() -> None:
    async with on_the_phone(*talks()) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(BEEP, pause(0.4), GREETING))
        assert len(call.beeps) == 1
        assert_heard_twice(call, MESSAGE)


@in_virtual_time
async def test_a_machine_that_beeps_for_ever_does_not_keep_us_for_ever() -> None:
    announcement = np.concatenate([GREETING[: 3 * RATE_HZ], pause(0.4), BEEP, pause(0.4)])
    async with on_the_phone(*talks(after_beep=np.concatenate([MESSAGE, MESSAGE]))) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(*[announcement] * 20))
        assert len(call.beeps) > 3
        message = as_heard(np.concatenate([MESSAGE, MESSAGE]))
        assert len(call.callee.heard) < 3 * len(message)
        assert np.array_equal(call.callee.heard[-len(message) :], message)


@in_virtual_time
async def test_a_machine_that_speaks_on_after_its_beep_does_not_keep_us_for_ever() -> None:
    async with on_the_phone(*talks()) as call:
        result = await call.says_until_we_hang_up(VOICEMAIL, pause(0.3), *[GREETING] * 6)
        assert_we_hung_up(result)
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))
        message_is_over_s = (len(VOICEMAIL) + len(MESSAGE)) / RATE_HZ
        assert result.talk_s == pytest.approx(message_is_over_s + 10.0, abs=0.3)


@in_virtual_time
async def test_where_nobody_can_be_heard_the_message_is_left_all_the_same() -> None:
    async with on_the_phone(*talks(play=WELCOME)) as call:
        result = await call.says_until_we_hang_up(pause(1.0))
        assert_we_hung_up(result)
        assert call.verdicts == [Verdict.SILENCE]
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))
        assert call.callee.first_heard_at == pytest.approx(5.0 + 3.0, abs=0.1)
        assert result.talk_s == pytest.approx(5.0 + 3.0 + len(MESSAGE) / RATE_HZ + 0.3, abs=0.2)


@in_virtual_time
async def test_a_machine_that_speaks_late_interrupts_the_message_and_gets_it_whole_after_its_beep() -> None:
    async with on_the_phone(*talks(after_beep=np.concatenate([MESSAGE, MESSAGE, MESSAGE]))) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(pause(8.5), VOICEMAIL))
        assert call.verdicts == [Verdict.SILENCE, Verdict.MACHINE]
        message = as_heard(np.concatenate([MESSAGE, MESSAGE, MESSAGE]))
        heard = call.callee.heard
        assert len(message) < len(heard) < 2 * len(message)
        assert np.array_equal(heard[-len(message) :], message)


@in_virtual_time
async def test_a_machine_that_hangs_up_while_we_wait_for_its_beep_hears_nothing() -> None:
    async with on_the_phone(*talks()) as call:
        await call.says(GREETING, pause(3.5))
        assert isinstance(call.events[-1], GreetingEnded)
        result = await call.result()
        assert result.ended_by is EndedBy.CALLEE
        await asyncio.sleep(5.0)
        assert len(call.callee.heard) == 0


# -- for people ------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_person_hears_the_file_for_people_and_never_the_message() -> None:
    async with on_the_phone(*talks(play=WELCOME)) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(pause(0.3), HELLO))
        assert call.verdicts == [Verdict.HUMAN]
        assert np.array_equal(call.callee.heard, as_heard(WELCOME))
        assert call.callee.first_heard_at > len(HELLO) / RATE_HZ + 0.3


@in_virtual_time
async def test_a_person_for_whom_there_is_no_file_hears_nothing_and_decides_when_to_hang_up() -> None:
    async with on_the_phone(*talks()) as call:
        await call.says(HELLO, pause(20.0))
        assert call.verdicts == [Verdict.HUMAN]
        assert len(call.callee.heard) == 0
        assert not call.is_over


@in_virtual_time
async def test_who_was_taken_for_a_person_and_beeps_gets_the_message_and_the_interruption_ends_nothing() -> (
    None
):
    async with on_the_phone(*talks(play=WELCOME)) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(HELLO, pause(2.0), BEEP))
        assert call.verdicts == [Verdict.HUMAN, Verdict.MACHINE]
        heard, message = call.callee.heard, as_heard(MESSAGE)
        assert np.array_equal(heard[-len(message) :], message)
        begun = heard[: -len(message)]
        assert 0 < len(begun) < len(WELCOME)
        assert np.array_equal(begun, as_heard(WELCOME)[: len(begun)])


@in_virtual_time
async def test_who_speaks_late_but_is_a_person_is_spared_the_message() -> None:
    async with on_the_phone(*talks(play=WELCOME)) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(pause(5.5), HELLO))
        assert call.verdicts == [Verdict.SILENCE, Verdict.HUMAN]
        assert np.array_equal(call.callee.heard, as_heard(WELCOME))


@in_virtual_time
async def test_a_person_who_speaks_during_the_message_hears_it_to_its_end() -> None:
    async with on_the_phone(*talks(play=WELCOME)) as call:
        assert_we_hung_up(await call.says_until_we_hang_up(pause(8.5), HELLO))
        assert call.verdicts == [Verdict.SILENCE, Verdict.HUMAN]
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))


@in_virtual_time
async def test_a_machine_hears_no_more_of_what_was_for_people() -> None:
    async with on_the_phone(Talk(play=WELCOME, after_beep=MESSAGE).follow) as call:
        await call.is_told(decided(Verdict.HUMAN))
        await call.says(pause(1.0))
        await call.is_told(decided(Verdict.MACHINE))
        await call.says(pause(4.0))
        assert len(call.callee.heard) == pytest.approx(RATE_HZ, abs=400)
        assert not call.is_over


@in_virtual_time
async def test_a_machine_recognised_while_we_wait_is_waited_for_anew() -> None:
    async with on_the_phone(Talk(after_beep=MESSAGE).follow) as call:
        await call.is_told(decided(Verdict.SILENCE))
        await call.says(pause(2.0))
        await call.is_told(decided(Verdict.MACHINE))
        await call.says(pause(4.0))
        assert len(call.callee.heard) == 0
        await call.is_told(GreetingEnded(8000, 24000))
        assert_we_hung_up(await call.says_until_we_hang_up(pause(1.0)))
        assert np.array_equal(call.callee.heard, as_heard(MESSAGE))


@in_virtual_time
async def test_a_machine_recognised_in_the_last_moment_stops_the_goodbye() -> None:
    async with on_the_phone(Talk(play=tone(700, seconds=0.5), after_beep=MESSAGE).follow) as call:
        await call.is_told(decided(Verdict.HUMAN))
        await call.says(pause(0.7))
        await call.is_told(decided(Verdict.MACHINE))
        await call.says(pause(5.0))
        assert not call.is_over


@in_virtual_time
async def test_a_beep_in_the_last_moment_stops_the_goodbye() -> None:
    short = tone(700, seconds=0.6)
    async with on_the_phone(*talks(play=short)) as call:
        # Decided at about 1.2 s, said until 1.8 s; the goodbye would follow at 2.1 s.
        assert_we_hung_up(await call.says_until_we_hang_up(HELLO, pause(0.72), BEEP))
        assert call.verdicts == [Verdict.HUMAN, Verdict.MACHINE]
        assert 1.85 < time_of(call, Beep) < 2.05
        message = as_heard(MESSAGE)
        assert np.array_equal(call.callee.heard[-len(message) :], message)


# -- files -----------------------------------------------------------------------------------------------


async def test_the_callee_is_recorded_from_the_connection_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "answer.wav"
    talk = Talk(record=path)
    async with on_the_phone(talk.follow) as call:
        await call.says(tone(500, seconds=0.8))
        await call.result()
        await talk.finish()
    assert not talk.problem
    assert_hears(path, 500, start_s=0.1, end_s=0.7)


async def test_a_recording_that_cannot_be_made_is_a_problem_and_not_the_end_of_the_call(
    tmp_path: Path,
) -> None:
    talk = Talk(record=tmp_path / "missing" / "answer.wav")
    async with on_the_phone(talk.follow) as call:
        await call.says(HELLO)
        assert not call.is_over
        await call.result()
        await talk.finish()
    assert "cannot record to" in talk.problem
    assert "missing" in talk.problem


async def test_files_are_read_before_anybody_is_rung(tmp_path: Path) -> None:
    message = write(tmp_path / "message.wav", MESSAGE)
    talk = await Talk.prepare(after_beep=message, record=tmp_path / "answer.wav")
    message.unlink()
    assert not (tmp_path / "answer.wav").exists()
    assert not talk.problem


@pytest.mark.parametrize("which", ["play", "after_beep"])
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, which: str) -> None:
    with pytest.raises(PlayerError, match=r"nothing\.wav"):
        await Talk.prepare(**{which: tmp_path / "nothing.wav"})
