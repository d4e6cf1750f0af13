"""Machines and people on real calls: SIPp and pjsua2 speak over RTP that is lost, late and out of order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from amd import ToneName, Verdict
from amd.hearing import hear
from engine.dial.outcome import DialStatus
from engine.softphone import Answer, CallState, EarlyMedia, Tone, Voicemail, Wav
from engine.softphone.spectrum import Found, find
from media.audio import Pcm
from tests.amd.sounds import corpus
from tests.softphone.test_spectrum import write
from tests.support.callee import BEEP, GREETING, HELLO, MESSAGE, RATE_HZ, pause, tone
from tests.support.engine_process import engine_process
from tests.support.live_amd import Listened, Network, listen_to
from tests.support.phones import PhoneRack
from tests.support.running_engine import running
from tests.support.sipp import Sipp, SippBench
from tests.support.spectrum import loudness_dbfs, read_wav, tone_seconds
from tests.support.talking_sipp import callee_that_says, callee_that_says_before_the_answer

pytestmark = pytest.mark.lab

NETWORKS = {
    "perfect": Network(),
    "5 % lost": Network(loss=0.05),
    "jitter": Network(jitter_s=0.06),
    "jitter and reordering": Network(jitter_s=0.06, keeps_order=False),
    "all of it": Network(loss=0.05, jitter_s=0.06, keeps_order=False),
}

SETTLE = pause(0.5)
"""What a jitter buffer learns of its network in the first moment it learns by cutting: not into the tone."""
SAID: dict[str, Pcm] = {
    "human": np.concatenate([pause(0.4), HELLO, pause(7.0)]),
    "voicemail": np.concatenate([pause(0.3), GREETING, pause(0.4), BEEP]),
    "silence": pause(8.0),
    "beep only": np.concatenate([pause(0.8), BEEP]),
    "ringback": np.concatenate([SETTLE, tone(440, 480, seconds=8.0, on_off_s=(2.0, 4.0))]),
    "fax": np.concatenate([pause(0.2), tone(2100, seconds=3.3), pause(4.0)]),
}
EXPECTED: dict[str, tuple[Verdict, int, list[ToneName]]] = {
    "human": (Verdict.HUMAN, 0, []),
    "voicemail": (Verdict.MACHINE, 1, []),
    "silence": (Verdict.SILENCE, 0, []),
    "beep only": (Verdict.MACHINE, 1, []),
    "ringback": (Verdict.SILENCE, 0, [ToneName.RINGBACK]),
    "fax": (Verdict.SILENCE, 0, [ToneName.FAX_CED]),
}
"""The verdict, how many beeps, which tones."""
LISTEN_S = 10.5


async def talking(sipp: SippBench, folder: Path, sounds: dict[str, Pcm]) -> dict[str, Sipp]:
    """A callee for each sound."""
    return {
        name: await callee_that_says(sipp, name.replace(" ", "-"), folder, pcm)
        for name, pcm in sounds.items()
    }


async def finished(callees: dict[str, Sipp]) -> None:
    """Every one went by its scenario to the end."""
    for callee in callees.values():
        (await callee.finished()).assert_passed()


@pytest.mark.parametrize("network", NETWORKS)
async def test_who_answered_is_recognised_over_every_network(
    sipp: SippBench, tmp_path: Path, network: str
) -> None:
    callees = await talking(sipp, tmp_path, SAID)
    async with running() as engine:
        calls = await asyncio.gather(
            *(
                listen_to(engine, callee.uri, listen_s=LISTEN_S, network=NETWORKS[network], seed=7 * i)
                for i, callee in enumerate(callees.values())
            )
        )
        await finished(callees)
    heard = dict(zip(callees, calls, strict=True))
    for name, call in heard.items():
        assert (call.verdict, len(call.beeps), call.tones) == EXPECTED[name], f"{name}:\n{call.describe()}"
        call.assert_beeps_in_time()
        assert_network_was(NETWORKS[network], call)
    beep = heard["voicemail"].beeps[0]
    assert beep.frequency_hz == pytest.approx(1000, abs=8)
    assert beep.duration_ms == pytest.approx(500, abs=60)


def assert_network_was(network: Network, call: Listened) -> None:
    """The network did what it is called for: otherwise nothing was shown."""
    if network.is_perfect:
        assert call.audio is None
        return
    assert call.audio is not None
    total = call.audio.lost + call.audio.passed
    assert total > 50
    if network.loss and total > 300:
        assert 0.02 < call.audio.lost / total < 0.09
    if not network.keeps_order:
        assert call.audio.overtaken > 10


async def test_live_gives_the_verdicts_of_the_same_file_heard_at_once(
    sipp: SippBench, tmp_path: Path
) -> None:
    folder = corpus()
    chosen = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    sounds: dict[str, Pcm] = {}
    for label in ("human", "machine"):
        items = [each for each in chosen if each["label"] == label and each["dur_s"] < 9.0]
        for item in items[:: max(1, len(items) // 4)][:4]:
            pcm, rate_hz = read_wav(folder / item["file"])
            assert rate_hz == RATE_HZ
            sounds[Path(item["file"]).stem] = pcm
    assert len(sounds) == 8
    callees = await talking(sipp, tmp_path, sounds)
    async with running() as engine:
        calls = await asyncio.gather(
            *(listen_to(engine, callee.uri, listen_s=16.0) for callee in callees.values())
        )
        await finished(callees)
    for (name, pcm), call in zip(sounds.items(), calls, strict=True):
        at_once = hear(np.concatenate([pcm, pause(6.0)]))
        said = (call.verdict, len(call.beeps), call.tones)
        assert at_once.decision is not None
        expected = (at_once.decision.verdict, len(at_once.beeps), [each.name for each in at_once.tones])
        assert said == expected, f"{name}:\n{call.describe()}"
        call.assert_beeps_in_time()


@pytest.mark.parametrize("network", ["perfect", "all of it"])
async def test_phones_of_another_family_are_heard_as_what_they_are(
    rack: PhoneRack, tmp_path: Path, network: str
) -> None:
    hello = write(tmp_path / "hello.wav", np.concatenate([pause(0.5), HELLO, pause(0.1)]))
    greeting = write(tmp_path / "greeting.wav", GREETING)
    bob = await rack.phone("bob", Answer(after_s=0.2, sound=Wav(str(hello))))
    carol = await rack.phone(
        "carol", Voicemail(greeting=str(greeting), greeting_s=len(GREETING) / RATE_HZ + 0.3, beep_hz=850)
    )
    async with running() as engine:
        person, machine = await asyncio.gather(
            *(
                listen_to(engine, phone.uri, listen_s=12.0, network=NETWORKS[network])
                for phone in (bob, carol)
            )
        )
    assert (person.verdicts, person.beeps) == ([Verdict.HUMAN], []), person.describe()
    assert machine.verdict is Verdict.MACHINE, machine.describe()
    assert [beep.frequency_hz for beep in machine.beeps] == [pytest.approx(850, abs=8)], machine.describe()
    machine.assert_beeps_in_time()


# -- before the answer -----------------------------------------------------------------------------------

SIT = np.concatenate([tone(913.8, seconds=0.276), tone(1370.6, seconds=0.276), tone(1776.7, seconds=0.38)])
EARLY: dict[str, tuple[Pcm, ToneName]] = {
    "ringback": (tone(440, 480, seconds=7.0, on_off_s=(2.0, 4.0)), ToneName.RINGBACK),
    "busy": (tone(480, 620, seconds=4.0, on_off_s=(0.5, 0.5)), ToneName.BUSY),
    "special-information": (np.concatenate([SIT, pause(0.6)] * 3), ToneName.SIT),
}


async def test_tones_of_the_network_are_named_before_the_answer(
    sipp: SippBench, rack: PhoneRack, tmp_path: Path
) -> None:
    callees = {
        name: await callee_that_says_before_the_answer(
            sipp, name, tmp_path, np.concatenate([SETTLE, pcm]), answers_after_s=5.0
        )
        for name, (pcm, _) in EARLY.items()
    }
    phone = await rack.phone("bob", EarlyMedia(Tone(425, on_ms=1000, off_ms=4000)))
    async with running() as engine:
        *calls, ringing = await asyncio.gather(
            *(
                listen_to(engine, uri, listen_s=6.5, early_media=True)
                for uri in (*(callee.uri for callee in callees.values()), phone.uri)
            )
        )
        await finished(callees)
    for call, (name, (_, expected)) in zip(calls, EARLY.items(), strict=True):
        assert set(call.tones) == {expected}, f"{name}:\n{call.describe()}"
        assert call.result.dial_status is DialStatus.COMPLETED
    assert ringing.tones == [ToneName.RINGBACK], ringing.describe()
    assert ringing.verdicts == []
    assert ringing.result.dial_status is DialStatus.NO_ANSWER


def assert_holds_whole_message(recorded: Path) -> None:
    """Every stretch of it stands where it belongs. One that a busy machine's jitter cut may be unlike."""
    recording, rate_hz = read_wav(recorded)
    assert rate_hz == RATE_HZ
    size = RATE_HZ // 2
    found: list[tuple[int, Found]] = []
    for start in range(0, len(MESSAGE) - size + 1, size // 2):
        piece = MESSAGE[start : start + size]
        if loudness_dbfs(piece) > -40.0:
            found.append((start, find(piece, recording, rate_hz)))
    good = [(start / RATE_HZ, each.start_s) for start, each in found if each.similarity > 0.8]
    assert len(found) - len(good) <= 2, found
    began_s = good[0][1] - good[0][0]
    for in_message_s, in_recording_s in good:
        assert in_recording_s - in_message_s == pytest.approx(began_s, abs=0.15), found
    assert len(recording) / RATE_HZ > began_s + len(MESSAGE) / RATE_HZ - 0.1, "to its end"


# -- as a user runs it -----------------------------------------------------------------------------------


async def test_after_beep_leaves_the_whole_message_and_prints_what_is_heard_as_it_comes(
    rack: PhoneRack, tmp_path: Path
) -> None:
    recorded = tmp_path / "recorded.wav"
    greeting, message = write(tmp_path / "greeting.wav", GREETING), write(tmp_path / "message.wav", MESSAGE)
    bob = await rack.phone(
        "bob",
        Voicemail(greeting=str(greeting), greeting_s=len(GREETING) / RATE_HZ + 0.3, record=str(recorded)),
    )
    async with engine_process("dial", bob.uri, "--after-beep", str(message)) as process:
        call = await bob.next_call()
        await process.read_until("connected")
        await process.read_until("machine (")
        assert call.state is CallState.CONFIRMED
        assert not recorded.exists(), "the verdict is printed while the greeting is still playing"
        await process.read_until("beep 1000 Hz")
        assert call.state is CallState.CONFIRMED
        finished = await process.finished(timeout_s=20.0)
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert finished.exit_code == 0, finished.err
    assert "hung up (engine)" in finished.out
    assert "dial_status=completed" in finished.out
    assert_holds_whole_message(recorded)


async def test_a_person_gets_the_file_for_people_and_not_the_message(rack: PhoneRack, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.wav"
    hello = write(tmp_path / "hello.wav", np.concatenate([pause(0.5), HELLO]))
    for_people = write(tmp_path / "people.wav", tone(800, seconds=1.5))
    message = write(tmp_path / "message.wav", tone(1500, seconds=1.5))
    bob = await rack.phone("bob", Answer(sound=Wav(str(hello)), record=str(recorded)))
    async with engine_process(
        "dial", bob.uri, "--amd", "--play", str(for_people), "--after-beep", str(message), "--json"
    ) as process:
        call = await bob.next_call()
        finished = await process.finished(timeout_s=20.0)
    await call.until(CallState.DISCONNECTED)
    assert finished.exit_code == 0, finished.err
    assert finished.result["dial_status"] == "completed"
    assert "human (" in finished.err, "live lines go to standard error when JSON is asked for"
    assert len(tone_seconds(recorded, 800)) >= 12
    assert tone_seconds(recorded, 1500) == []
