"""Live detection: which audio is listened to, from when to when, and who is told. Real RTP, virtual time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from amd import AmdEvent, AmdParams, Beep, Decision, GreetingEnded, Rule, Tone, ToneName, Verdict
from engine.detection import LiveDetector
from engine.dial.events import Connected, DetectorFired
from engine.legs.caller_audio import caller_audio
from media import Bridge, BridgeMode, MediaConfig, MediaPlane
from media.audio import Pcm
from media.tones import RINGBACK_US
from tests.support.callee import (
    BEEP,
    GREETING,
    HELLO,
    RATE_HZ,
    Callee,
    as_heard,
    on_the_phone,
    pause,
    tone,
)
from tests.support.legs import FakeAudio, FakeParent
from tests.support.virtual_time import in_virtual_time, settle

LATEST_BEEP = 0.150 * RATE_HZ


def assert_in_time(beep: Beep) -> None:
    """Reported within 150 ms after its end, in time of audio."""
    assert beep.sample - beep.end_sample <= LATEST_BEEP, f"{(beep.sample - beep.end_sample) / 8:.0f} ms"


@in_virtual_time
async def test_a_person_is_told_to_the_dial_and_to_whoever_asked() -> None:
    heard: list[AmdEvent] = []
    async with on_the_phone(LiveDetector(on_event=heard.append).follow) as call:
        await call.says(pause(0.3), HELLO, pause(3.0))
        assert call.verdicts == [Verdict.HUMAN]
        assert [fired.leg for fired in call.fired] == [call.leg.id]
        assert call.events == heard
        decision = heard[0]
        assert isinstance(decision, Decision)
        # The dial hears of it when it is decided, within the jitter buffer's delay.
        told_s = call.fired[0].at
        assert decision.sample / RATE_HZ == pytest.approx(told_s, abs=0.06)


@in_virtual_time
async def test_dv72_after_machine_the_detector_goes_on_to_the_beep() -> None:
    async with on_the_phone(LiveDetector().follow) as call:
        await call.says(GREETING, pause(0.4), BEEP, pause(2.5))
        assert call.verdicts == [Verdict.MACHINE]
        kinds = [type(event) for event in call.events]
        assert kinds == [Decision, Beep, GreetingEnded]
        beep = call.beeps[0]
        assert_in_time(beep)
        assert beep.frequency_hz == pytest.approx(1000, abs=5)
        assert beep.end_sample / RATE_HZ == pytest.approx(len(GREETING) / RATE_HZ + 0.9, abs=0.06)


@in_virtual_time
async def test_a_machine_that_sends_nothing_after_its_beep_is_heard_like_one_that_sends_silence() -> None:
    async with on_the_phone(LiveDetector().follow) as call:
        await call.says(GREETING, pause(0.4), BEEP)
        await call.callee.sends_nothing(2.5)
        assert [type(event) for event in call.events] == [Decision, Beep, GreetingEnded]
        assert_in_time(call.beeps[0])


@in_virtual_time
async def test_a_person_whose_phone_sends_nothing_in_pauses_is_a_person() -> None:
    async with on_the_phone(LiveDetector().follow) as call:
        await call.callee.sends_nothing(0.4)
        await call.says(HELLO)
        await call.callee.sends_nothing(3.0)
        assert call.verdicts == [Verdict.HUMAN]


@in_virtual_time
async def test_a_line_that_never_sends_a_packet_is_silence_at_the_time_of_silence() -> None:
    async with on_the_phone(LiveDetector(AmdParams(no_speech_timeout_ms=3000)).follow) as call:
        await call.callee.sends_nothing(4.0)
        assert call.verdicts == [Verdict.SILENCE]
        assert call.events[0].sample == 3 * RATE_HZ


@pytest.mark.parametrize("burst", [1, 2, 3])
@in_virtual_time
async def test_packets_lost_in_the_middle_of_a_beep_do_not_make_two_of_it(burst: int) -> None:
    beep_at = (len(GREETING) + len(pause(0.4))) // 160
    async with on_the_phone(LiveDetector().follow) as call:
        gap = range(beep_at + 10, beep_at + 10 + burst)
        await call.says(GREETING, pause(0.4), BEEP, pause(2.5), loses=gap)
        assert call.callee.stream.statistics().lost == burst
        assert len(call.beeps) == 1
        assert call.beeps[0].duration_ms == pytest.approx(500, abs=40)
        assert_in_time(call.beeps[0])


@in_virtual_time
async def test_losses_before_it_do_not_count_against_a_beep() -> None:
    beep_at = (len(GREETING) + len(pause(0.4))) // 160
    lost = [*range(20, 300, 20), *range(beep_at + 10, beep_at + 13)]
    async with on_the_phone(LiveDetector().follow) as call:
        await call.says(GREETING, pause(0.4), BEEP, pause(2.5), loses=lost)
        assert call.callee.stream.statistics().lost == len(lost)
        assert [beep.duration_ms for beep in call.beeps] == [pytest.approx(500, abs=40)]


@in_virtual_time
async def test_losses_move_nothing_in_time() -> None:
    beeps: list[Beep] = []
    for lost in ((), (30, 31, 80, 200, 201, 202)):
        async with on_the_phone(LiveDetector().follow) as call:
            await call.says(GREETING, pause(0.4), BEEP, pause(2.5), loses=lost)
            beeps += call.beeps
    whole, lossy = beeps
    assert lossy.start_sample == pytest.approx(whole.start_sample, abs=160)
    assert lossy.end_sample == pytest.approx(whole.end_sample, abs=160)


@in_virtual_time
async def test_dv71_it_begins_with_the_connection_not_with_the_audio() -> None:
    async with on_the_phone(LiveDetector().follow, answers=False) as call:
        await call.says(GREETING, pause(1.0))
        assert call.events == []
        assert not call.callee.is_listened_to(), "nobody listens before the answer"
        await call.answers()
        await call.says(HELLO, pause(3.0))
        assert call.verdicts == [Verdict.HUMAN]
        connected = next(each for each in call.happenings if isinstance(each, Connected))
        assert call.events[0].sample / RATE_HZ == pytest.approx(call.fired[0].at - connected.at, abs=0.06)


@in_virtual_time
async def test_it_stops_listening_when_it_has_nothing_more_to_say() -> None:
    params = AmdParams(revision_window_ms=0)
    async with on_the_phone(LiveDetector(params).follow) as call:
        assert call.callee.is_listened_to()
        await call.says(HELLO, pause(3.0))
        assert call.verdicts == [Verdict.HUMAN]
        assert not call.callee.is_listened_to()
        await call.says(GREETING, BEEP, pause(1.0))
        assert len(call.events) == 1


@in_virtual_time
async def test_the_end_of_a_target_that_lost_ends_nothing() -> None:
    async with on_the_phone(LiveDetector().follow, others=2) as call:
        assert all(other.has_ended for other in call.others)
        assert call.events == []
        await call.says(HELLO, pause(3.0))
        assert call.verdicts == [Verdict.HUMAN]


@in_virtual_time
async def test_it_stops_listening_with_the_call() -> None:
    async with on_the_phone(LiveDetector().follow) as call:
        await call.says(HELLO)
        await call.result()
        assert not call.callee.is_listened_to()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [((HELLO,), Verdict.HUMAN), ((pause(1.0),), Verdict.SILENCE)],
    ids=["hello", "nothing"],
)
def test_a_callee_who_hangs_up_first_leaves_the_best_guess(
    said: Sequence[np.ndarray], verdict: Verdict
) -> None:
    @in_virtual_time
    async def call_and_hang_up() -> list[AmdEvent]:
        heard: list[AmdEvent] = []
        async with on_the_phone(LiveDetector(on_event=heard.append).follow) as call:
            await call.says(*said)
            await call.result()
        return heard

    (guess,) = call_and_hang_up()
    assert isinstance(guess, Decision)
    assert (guess.verdict, guess.rule) == (verdict, Rule.AUDIO_ENDED)


@in_virtual_time
async def test_our_own_hanging_up_gives_the_best_guess_to_the_observers_as_well() -> None:
    async with on_the_phone(LiveDetector().follow) as call:
        call.leg.is_deaf = True
        await call.says(HELLO)
        call.dial.hang_up()
        await settle()
        assert [event.rule for event in call.events if isinstance(event, Decision)] == [Rule.AUDIO_ENDED]


@in_virtual_time
async def test_a_dial_without_audio_is_listened_to_in_vain_and_nothing_breaks() -> None:
    parent = FakeParent()
    async with on_the_phone(LiveDetector().follow, parent=parent, audio=FakeAudio(), answers=False) as call:
        call.leg.media = None
        call.leg.answer()
        await settle()
        result = await call.result()
    assert result.is_answered
    assert call.events == []


class TapOnly:
    """The audio of a leg without the packets: ten minutes of it then take seconds."""

    def __init__(self) -> None:
        self.taps: list[Callable[[Pcm], None]] = []
        self.lost: list[Callable[[int], None]] = []

    def add_tap(
        self, tap: Callable[[Pcm], None], *, sample_rate_hz: int, lost: Callable[[int], None]
    ) -> None:
        assert sample_rate_hz == RATE_HZ
        self.taps.append(tap)
        self.lost.append(lost)

    def remove_tap(self, tap: Callable[[Pcm], None]) -> None:
        self.taps.remove(tap)

    def close(self) -> None: ...


@in_virtual_time
async def test_ten_minutes_of_a_call_leave_memory_flat() -> None:
    async with on_the_phone(LiveDetector().follow, answers=False) as call:
        audio = TapOnly()
        call.leg.answer()
        call.leg.media = audio
        await settle()
        minute = np.resize(np.concatenate([GREETING, pause(0.5)]), 60 * RATE_HZ)
        used: list[int] = []
        tracemalloc.start()
        try:
            for _ in range(10):
                for place in range(0, len(minute), 160):
                    if place % 8000:
                        audio.taps[0](minute[place : place + 160])
                    else:
                        audio.lost[0](160)
                await settle()
                gc.collect()
                used.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert call.verdicts == [Verdict.MACHINE]
        assert len(audio.taps) == 1, "it was listened to all the time"
        assert used[9] - used[1] < 32_000, used


# -- the bridge ------------------------------------------------------------------------------------------


@in_virtual_time
async def test_dv71_the_bridge_goes_on_relaying_while_the_callee_is_listened_to() -> None:
    plane = MediaPlane(MediaConfig())
    audio = caller_audio(RINGBACK_US)
    parent = FakeParent(is_answered=True)
    caller = Callee(plane.stream(label="caller"))
    parent.media = caller.stream
    async with on_the_phone(LiveDetector().follow, parent=parent, audio=audio) as call:
        joint = caller.stream.joint
        assert isinstance(joint, Bridge)
        assert joint.modes == (BridgeMode.RELAY, BridgeMode.RELAY)
        await asyncio.gather(call.says(HELLO, pause(3.0)), caller.says(GREETING[: 3 * RATE_HZ]))
        assert call.verdicts == [Verdict.HUMAN], "the caller's words are not the callee's"
        assert joint.modes == (BridgeMode.RELAY, BridgeMode.RELAY)
        assert not caller.is_listened_to(), "nobody listens to the caller"
        to_caller, to_callee = caller.heard, call.callee.heard
    # Packet for packet what was said: who is listened to is still relayed, and not made anew.
    assert np.array_equal(to_caller, as_heard(HELLO))
    assert np.array_equal(to_callee, as_heard(GREETING[: 3 * RATE_HZ]))
    caller.far.close()
    await plane.close()


# -- before the answer -----------------------------------------------------------------------------------

SIT = np.concatenate(
    [tone(hz, seconds=0.276 if i != 2 else 0.38) for i, hz in enumerate((913.8, 1370.6, 1776.7))]
)
EARLY = {
    "ringback": (tone(440, 480, seconds=7.0, on_off_s=(2.0, 4.0)), ToneName.RINGBACK),
    "ringback of one line": (tone(425, seconds=11.0, on_off_s=(1.0, 4.0)), ToneName.RINGBACK),
    "busy": (tone(480, 620, seconds=4.0, on_off_s=(0.5, 0.5)), ToneName.BUSY),
    "busy of one line": (tone(425, seconds=4.0, on_off_s=(0.5, 0.5)), ToneName.BUSY),
    "network busy": (tone(480, 620, seconds=4.0, on_off_s=(0.25, 0.25)), ToneName.REORDER),
    "special information": (np.concatenate([SIT, pause(1.0)]), ToneName.SIT),
}


@pytest.mark.parametrize("name", EARLY)
def test_what_the_network_says_before_the_answer_is_named(name: str) -> None:
    sound, expected = EARLY[name]

    @in_virtual_time
    async def ring() -> list[DetectorFired]:
        async with on_the_phone(LiveDetector(early_media=True).follow, answers=False) as call:
            await call.sends_early_media()
            await call.says(sound)
            return call.fired

    fired = ring()
    tones = [each.detail for each in fired]
    assert all(isinstance(each, Tone) for each in tones), tones
    assert [each.name for each in tones if isinstance(each, Tone)] == [expected]


@in_virtual_time
async def test_an_announcement_before_the_answer_decides_nothing_and_the_answer_begins_anew() -> None:
    async with on_the_phone(LiveDetector(early_media=True).follow, answers=False) as call:
        await call.sends_early_media()
        await call.says(GREETING, pause(0.5))
        assert call.events == []
        await call.answers()
        await call.says(HELLO, pause(3.0))
        assert call.verdicts == [Verdict.HUMAN]
        assert call.events[0].sample < 3 * RATE_HZ


@in_virtual_time
async def test_without_being_asked_nobody_listens_before_the_answer() -> None:
    async with on_the_phone(LiveDetector().follow, answers=False) as call:
        await call.sends_early_media()
        assert not call.callee.is_listened_to()
        await call.says(EARLY["busy"][0])
        assert call.events == []


@in_virtual_time
async def test_a_tone_after_a_long_announcement_is_still_named() -> None:
    async with on_the_phone(LiveDetector(early_media=True).follow, answers=False) as call:
        await call.sends_early_media()
        await call.says(GREETING, pause(24.0), EARLY["busy"][0])
        assert [event.name for event in call.events if isinstance(event, Tone)] == [ToneName.BUSY]
        assert len(call.events) == 1


@in_virtual_time
async def test_a_tone_after_the_answer_is_named_once() -> None:
    async with on_the_phone(LiveDetector(early_media=True).follow, answers=False) as call:
        await call.sends_early_media()
        await call.says(pause(0.5))
        await call.answers()
        await call.says(EARLY["busy"][0])
        assert [event.name for event in call.events if isinstance(event, Tone)] == [ToneName.BUSY]


@in_virtual_time
async def test_early_media_said_again_is_heard_once() -> None:
    async with on_the_phone(LiveDetector(early_media=True).follow, answers=False) as call:
        await call.sends_early_media()
        await call.sends_early_media()
        await call.says(EARLY["busy"][0])
        assert [event.name for event in call.events if isinstance(event, Tone)] == [ToneName.BUSY]


@in_virtual_time
async def test_a_target_that_refuses_after_its_early_media_is_not_listened_to_any_more() -> None:
    async with on_the_phone(LiveDetector(early_media=True).follow, answers=False, others=1) as call:
        await call.sends_early_media()
        assert call.callee.is_listened_to()
        call.leg.refuse(486)
        await settle()
        assert not call.is_over
        assert not call.callee.is_listened_to()
