"""engine.application.capture: sequences of digits of either leg (DV-80), passed on all the same (DV-81)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.application.capture import GAP_S, DigitCapture, SequenceMatcher
from engine.application.schema.dial import DtmfCapture
from engine.dial.events import LegAnswered
from engine.dial.leg import Cause
from engine.ids import CallSid, new_call_sid
from engine.legs.notes import DigitKeyed, DigitMethod, LegGone, LegNote, Watcher
from engine.legs.sip_leg import SipLeg
from engine.sip.events import Confirmed
from engine.sip.types import Body, InviteParams
from engine.sip.uas import IncomingInvite
from media import AudioCapabilities, Bridge, MediaConfig, MediaPlane, MediaStream
from media.audio import Pcm
from media.events import DtmfReceived
from media.tones import DTMF_TONES, ToneSource
from tests.legs.support import FarSide, Inbox, open_pair

_SDP = "application/sdp"
_BOTH = DtmfCapture(child_call=("*2", "*3"), parent_call=("*2", "*3"))


def _matches(patterns: Sequence[str], keyed: str, gap_s: float = 0.5) -> list[str]:
    """What is captured of digits keyed at this pace; a space is one more pause."""
    matcher, at, found = SequenceMatcher(patterns), 100.0, list[str]()
    for digit in keyed:
        at += gap_s
        if digit == " ":
            continue
        sequence = matcher.push(digit, at)
        if sequence is not None:
            found.append(sequence)
    return found


@pytest.mark.parametrize(
    ("patterns", "keyed", "captured"),
    [
        (("*2", "*3"), "*2", ["*2"]),
        (("*2", "*3"), "1*3", ["*3"]),
        (("*2",), "**2", ["*2"]),
        (("*2",), "2*", []),
        (("1", "21", "321"), "9321", ["321"]),
        (("21", "1"), "0211", ["21", "1"]),
        (("11",), "1111", ["11", "11"]),
        (("11",), "111", ["11"]),
        (("a#",), "A#", ["A#"]),
        (("D0B",), "D0B", ["D0B"]),
        ((), "123", []),
        (("",), "123", []),
        (("9", "9"), "9", ["9"]),
    ],
)
def test_dv80_the_longest_end_of_what_was_keyed_counts_and_begins_anew(
    patterns: Sequence[str], keyed: str, captured: list[str]
) -> None:
    assert _matches(patterns, keyed) == captured


@pytest.mark.parametrize(
    ("gap_s", "captured"), [(0.05, ["*2"]), (2.99, ["*2"]), (GAP_S, ["*2"]), (3.01, []), (30.0, [])]
)
def test_dv80_more_than_three_seconds_between_digits_begin_a_new_sequence(
    gap_s: float, captured: list[str]
) -> None:
    assert _matches(("*2",), "*2", gap_s) == captured


def test_dv80_the_gap_is_between_digits_not_over_the_sequence() -> None:
    assert _matches(("12345",), "12345", gap_s=2.9) == ["12345"]


def test_dv80_a_short_pattern_inside_a_longer_one_wins_while_the_longer_is_incomplete() -> None:
    assert _matches(("1", "123"), "123") == ["1"], "the match has cleared what was keyed"


@given(
    st.lists(st.text("0123456789*#ABCD", min_size=1, max_size=4), max_size=5),
    st.text("0123456789*#ABCD", max_size=40),
)
def test_dv80_every_match_is_the_longest_end_since_the_last_match(patterns: list[str], keyed: str) -> None:
    matcher, since = SequenceMatcher(patterns), ""
    for index, digit in enumerate(keyed):
        since += digit
        expected = max((each for each in patterns if since.endswith(each)), key=len, default=None)
        assert matcher.push(digit, float(index)) == expected
        if expected is not None:
            since = ""


# -- which leg -------------------------------------------------------------------------------------


class _Leg:
    """A leg whose notes the test tells."""

    def __init__(self, name: str) -> None:
        self.id = CallSid(name)
        self.watchers: list[Watcher] = []
        self.needs = 0

    def watch(self, watcher: Watcher) -> None:
        self.watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self.watchers.remove(watcher)

    def need_digits(self, *, wanted: bool = True) -> None:
        self.needs += 1 if wanted else -1

    def key(self, digits: str, at: float = 1.0) -> None:
        for digit in digits:
            for watcher in tuple(self.watchers):
                watcher(DigitKeyed(self.id, at, digit, 100, DigitMethod.EVENT))


def _capture(captures: DtmfCapture) -> tuple[DigitCapture, _Leg, _Leg, list[tuple[str, str]]]:
    found: list[tuple[str, str]] = []
    capture = DigitCapture(captures, lambda leg, digits: found.append((leg, digits)))
    caller, callee = _Leg("caller"), _Leg("callee")
    capture.watch_caller(caller)
    capture.watch_callee(callee)
    return capture, caller, callee, found


def test_dv80_the_array_form_watches_both_legs_each_for_itself() -> None:
    _, caller, callee, found = _capture(_BOTH)
    caller.key("*")
    callee.key("2")
    assert found == [], "the digits of two people are no sequence"
    caller.key("3")
    callee.key("*2")
    assert found == [("caller", "*3"), ("callee", "*2")]


def test_dv80_the_object_form_watches_each_side_for_its_own() -> None:
    _, caller, callee, found = _capture(DtmfCapture(child_call=("1",), parent_call=("2",)))
    caller.key("12")
    callee.key("12")
    assert found == [("caller", "2"), ("callee", "1")]


def test_a_leg_for_which_there_is_nothing_to_capture_is_not_watched() -> None:
    _, caller, callee, found = _capture(DtmfCapture(child_call=("1",)))
    assert (caller.watchers, len(callee.watchers)) == ([], 1)
    assert (caller.needs, callee.needs) == (0, 1)
    callee.key("1")
    assert found == [("callee", "1")]


def test_after_close_nobody_is_watched() -> None:
    capture, caller, callee, found = _capture(_BOTH)
    capture.close()
    capture.close()
    caller.key("*2")
    assert (caller.watchers, callee.watchers, found) == ([], [], [])
    assert (caller.needs, callee.needs) == (0, 0)


# -- every way a digit can come --------------------------------------------------------------------


class _Phone:
    """A far side with a voice of its own, answered by us calling it."""

    def __init__(self, leg: SipLeg, call: IncomingInvite, stream: MediaStream, far: FarSide) -> None:
        self.leg = leg
        self.call = call
        self.stream = stream
        self._far = far

    def send_info(self, body: Body) -> None:
        self.call.send_info(body, self._far.now)
        self._far.endpoint.touch()


@asynccontextmanager
async def _answered(*, events: bool = True) -> AsyncIterator[tuple[_Phone, MediaPlane]]:
    """Our call to a phone; `events`: it can do telephone-event; if not we listen for tones."""
    plane = MediaPlane(MediaConfig())
    async with open_pair(media=MediaConfig(in_band_dtmf=True)) as (services, far):
        leg, inbox = (
            SipLeg(new_call_sid(), services, InviteParams(target=far.uri, from_="<sip:a@x.test>")),
            Inbox(),
        )
        gone = Inbox()
        leg.watch(lambda note: gone.put(note))
        leg.start(inbox)
        call = await far.incoming()
        stream = plane.stream(AudioCapabilities(telephone_event=events))
        assert call.request.body
        call.answer(Body(_SDP, stream.receive_offer(call.request.body)), far.now)
        far.endpoint.touch()
        await inbox.until(LegAnswered)
        await far.until(Confirmed)
        yield _Phone(leg, call, stream, far), services.media
        leg.hang_up(Cause.NORMAL)
        await gone.until(LegGone)
        stream.close()
    await plane.close()


class _Captured(Inbox):
    def __call__(self, leg: CallSid, sequence: str) -> None:
        self.put(sequence)


@pytest.mark.parametrize("method", [DigitMethod.EVENT, DigitMethod.INFO, DigitMethod.IN_BAND])
async def test_dv80_digits_are_captured_whichever_way_they_come(method: DigitMethod) -> None:
    async with _answered(events=method is not DigitMethod.IN_BAND) as (phone, _):
        ways: list[DigitMethod] = []

        def note_way(note: LegNote) -> None:
            if isinstance(note, DigitKeyed):
                ways.append(note.method)

        phone.leg.watch(note_way)
        captured = _Captured()
        capture = DigitCapture(DtmfCapture(child_call=("A5",)), captured)
        capture.watch_callee(phone.leg)
        match method:
            case DigitMethod.EVENT:
                phone.stream.send_dtmf("A5", duration_ms=60, gap_ms=60)
            case DigitMethod.INFO:
                phone.send_info(Body("application/dtmf-relay", b"Signal=A\r\nDuration=100\r\n"))
                phone.send_info(Body("application/dtmf", b"5"))
            case DigitMethod.IN_BAND:
                phone.stream.play(_Tones("A5"))
        assert await captured.until(str) == "A5"
        assert ways == [method, method]
        capture.close()


class _Tones:
    """Digits as sound, one after the other: a `Source`."""

    sample_rate_hz = 8000

    def __init__(self, digits: str) -> None:
        self._waiting = [
            ToneSource(replace(DTMF_TONES[digit], cadence_s=(0.1, 0.1)), 8000) for digit in digits
        ]

    def read(self, samples: int) -> Pcm | None:
        while self._waiting:
            pcm = self._waiting[0].read(samples)
            if pcm is not None:
                return pcm
            self._waiting.pop(0)
        return None


@pytest.mark.parametrize("by_info", [True, False])
async def test_dv81_what_is_captured_is_passed_on_all_the_same(by_info: bool) -> None:
    async with _answered() as (phone, plane):
        ours, theirs = plane.stream(), plane.stream()
        ours.receive_answer(theirs.receive_offer(ours.create_offer()))
        heard = Inbox()
        theirs.on_event(heard.put)
        captured = _Captured()
        capture = DigitCapture(_BOTH, captured)
        capture.watch_callee(phone.leg)
        assert phone.leg.media is not None
        Bridge(phone.leg.media, ours).open()
        if by_info:
            for digit in (b"*", b"2"):
                phone.send_info(Body("application/dtmf", digit))
        else:
            phone.stream.send_dtmf("*2", duration_ms=60, gap_ms=60)
        assert await captured.until(str) == "*2"
        await heard.until(DtmfReceived, count=2)
        assert [each.digit for each in heard.events if isinstance(each, DtmfReceived)] == ["*", "2"]
        capture.close()
        ours.close()
        theirs.close()
