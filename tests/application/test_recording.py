"""`record` of live control: a call as a file, both parties apart, with real RTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.application.control import Control
from engine.application.orders import CallUpdate, WrongCallState
from engine.dial.request import InvalidRequest
from media import MediaPlane
from media.audio import Pcm
from tests.application.rehearsal import SID, Rehearsal, rehearsal
from tests.support.callee import Callee, pause, tone
from tests.support.virtual_time import in_virtual_time, settle

START, STOP = {"action": "startCallRecording"}, {"action": "stopCallRecording"}
DIAL = {"verb": "dial", "target": [{"type": "sip", "sipUri": "sip:bob@example.com"}]}


async def _record(stage: Rehearsal, **record: object) -> None:
    control = Control(lambda sid: stage.call if sid == SID else None, lambda: [stage.call])
    await control.update("", stage.call.sid, CallUpdate(record=record))


def _channels(file: Path) -> tuple[Pcm, Pcm]:
    data = np.frombuffer(file.read_bytes()[44:], "<i2")
    return data[0::2], data[1::2]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _loud_s(pcm: Pcm) -> float:
    """Seconds of audio that are no silence."""
    frames = pcm[: len(pcm) // 160 * 160].reshape(-1, 160)
    return float(np.abs(frames).max(axis=1, initial=0).astype(bool).sum()) * 0.02


@in_virtual_time
async def test_the_call_is_left_and_its_callee_right_and_a_pause_is_silence_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A recording goes by the clock, and the clock of this test is the loop's.
    clock = SimpleNamespace(monotonic=asyncio.get_running_loop().time)
    monkeypatch.setattr("media.recording.time", clock)
    plane = MediaPlane()
    async with rehearsal([{"verb": "answer"}, DIAL], recordings=tmp_path) as stage:
        caller = Callee(plane.stream())
        stage.party.leg.media = caller.stream
        await _record(stage, **START, recordingID="first")
        with pytest.raises(WrongCallState):
            await _record(stage, **START)
        await caller.says(tone(440, seconds=1.0))
        callee = Callee(plane.stream())
        stage.legs[0].media = callee.stream
        stage.legs[0].answer()
        await settle()
        await callee.says(tone(880, seconds=0.5))
        await _record(stage, action="pauseCallRecording")
        await callee.says(tone(880, seconds=1.0))
        await _record(stage, action="resumeCallRecording")
        await callee.says(tone(880, seconds=0.5), pause(0.2))
        await _record(stage, **STOP)
        with pytest.raises(WrongCallState):
            await _record(stage, **STOP)
        left, right = _channels(tmp_path / f"{SID}-first.wav")
        assert len(right) / 8000 == pytest.approx(3.2, abs=0.2)
        assert _loud_s(left) == pytest.approx(1.0, abs=0.1)
        assert _loud_s(right) == pytest.approx(1.0, abs=0.1)
        stage.party.goes()
        for party in (caller, callee):
            party.far.close()
    await plane.close()


@in_virtual_time
async def test_a_recording_ends_with_its_call_and_another_one_does_not_overwrite_it(tmp_path: Path) -> None:
    plane = MediaPlane()
    async with rehearsal([{"verb": "answer"}, DIAL], recordings=tmp_path) as stage:
        caller = Callee(plane.stream())
        stage.party.leg.media = caller.stream
        await _record(stage, **START)
        await _record(stage, **STOP)
        await _record(stage, **START)
        assert stage.call.recorder.is_recording
        stage.party.goes()
        caller.far.close()
    assert _names(tmp_path) == [f"{SID}-2.wav", f"{SID}.wav"]
    await plane.close()


@pytest.mark.parametrize(
    "record",
    [
        {"action": "dance"},
        {},
        {**START, "siprecServerURL": "sip:recorder@example.com"},
        {**START, "recordingID": "../../etc/passwd"},
        {**START, "recordingID": ""},
        {**START, "recordingID": 7},
    ],
)
@in_virtual_time
async def test_what_cannot_be_recorded_is_refused_by_its_name(
    record: dict[str, object], tmp_path: Path
) -> None:
    async with rehearsal([DIAL], recordings=tmp_path) as stage:
        with pytest.raises(InvalidRequest):
            await _record(stage, **record)
        assert _names(tmp_path) == []


@in_virtual_time
async def test_without_a_folder_or_with_one_that_cannot_be_written_there_is_no_recording(
    tmp_path: Path,
) -> None:
    async with rehearsal([DIAL]) as stage:
        with pytest.raises(WrongCallState):
            await _record(stage, **START)
    async with rehearsal([DIAL], recordings=tmp_path / "nowhere") as stage:
        with pytest.raises(WrongCallState):
            await _record(stage, **START)
        assert [alert.kind for alert in stage.alerts.rows] == ["recording-failed"]
