"""Matrix 6 of the dial contract: who answered, as the application is told (section 8)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.audio import Pcm
from tests.support.application import Answer, HookRequest, WebApplication
from tests.support.callee import BEEP, GREETING, HELLO, pause, tone
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import SippBench
from tests.support.talking_sipp import callee_that_says, callee_that_says_before_the_answer

pytestmark = pytest.mark.lab

HUMAN = ("amd", "human", "amd_human_detected")
MACHINE = ("amd", "machine", "amd_machine_detected")
STOPPED_SPEAKING = ("silence", None, "amd_machine_stopped_speaking")
BEEPED = ("beep", None, "amd_tone_detected")
NO_SPEECH = ("silence", None, "amd_no_speech_detected")


def music(seconds: float) -> Pcm:
    """Chords that change, as no tone detector may take for a beep."""
    chords = [(262, 330, 392), (220, 262, 330), (349, 440, 523), (392, 494, 587)]
    beats = [tone(*chords[i % 4], seconds=0.4, level_dbov=-22.0) for i in range(round(seconds / 0.4))]
    return np.concatenate(beats)


SAID: dict[str, Pcm] = {
    "human": np.concatenate([pause(0.4), HELLO, pause(7.0)]),
    "voicemail": np.concatenate([pause(0.3), GREETING, pause(0.4), BEEP, pause(2.0)]),
    "silence": pause(8.0),
    "ringback": np.concatenate([pause(0.5), tone(440, 480, seconds=8.0, on_off_s=(2.0, 4.0))]),
    "fax": np.concatenate([pause(0.2), tone(2100, seconds=3.3), pause(4.0)]),
    "music": music(8.0),
}
EXPECTED: dict[str, set[tuple[str, str | None, str]]] = {
    "human": {HUMAN},
    "voicemail": {MACHINE, STOPPED_SPEAKING, BEEPED},
    "silence": {NO_SPEECH},
    "ringback": {NO_SPEECH},
    "fax": {NO_SPEECH},
}
"""What the application is told. Of music only that it is no beep (DV-74): synthetic chords may pass for a
voice, depending on where a packet begins."""
TALK_MS = 10_500


def event(told: dict[str, Any]) -> tuple[str, str | None, str]:
    return told["event"], told.get("amd_type"), told["type"]


@pytest.mark.parametrize("has_words", [False, True], ids=["by sound", "by words too"])
async def test_section_8_confusion_matrix(sipp: SippBench, tmp_path: Path, has_words: bool) -> None:
    """By words: a recogniser listens as well."""
    names = list(SAID)
    callees = [await callee_that_says(sipp, name, tmp_path, SAID[name]) for name in names]

    def document(request: HookRequest) -> Answer:
        callee = callees[int(request.payload["to"]) - 5550100]
        amd: dict[str, Any] = {"actionHook": f"/amd/{request.payload['to']}"}
        if has_words:
            amd["recognizer"] = {"vendor": "default", "language": "en-US"}
        return Answer(
            document=[{"verb": "dial", "target": [{"type": "sip", "sipUri": callee.uri}], "amd": amd}]
        )

    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document)
        app.on("/dial")
        for i in range(len(names)):
            app.on(f"/amd/{5550100 + i}")
        callers = [
            await sipp.caller(
                "caller_answers_basic", sip_address(engine), service=str(5550100 + i), hold_ms=TALK_MS
            )
            for i in range(len(names))
        ]
        for caller in callers:
            (await caller.finished()).assert_passed()
        for callee in callees:
            (await callee.finished()).assert_passed()
        await app.request("/dial", len(names))
    told = {name: app.payloads(f"/amd/{5550100 + i}") for i, name in enumerate(names)}
    heard = {name: [event(each) for each in events] for name, events in told.items()}
    assert {name: set(heard[name]) for name in EXPECTED} == EXPECTED
    assert all(len(set(events)) == len(events) for events in heard.values()), (
        f"DV-72: told once each: {heard}"
    )
    assert BEEPED not in heard["music"]
    assert heard["voicemail"][0] == MACHINE
    child = {each["call_sid"] for each in app.payloads("/status") if each["direction"] == "outbound"}
    for events in told.values():
        for each in events:
            assert each["call_sid"] in child
            assert ("amd_type" in each) is (each["event"] == "amd"), "DV-70"
    human, machine = told["human"][0], told["voicemail"][0]
    assert human["reason"]
    assert machine["reason"] in ("long greeting", "hint", "digit count")
    if has_words:
        assert human["language"] == machine["language"] == "en-US"
    else:
        assert (human["greeting"], machine["greeting"]) == ("", "")
    (beep,) = [each for each in told["voicemail"] if each["event"] == "beep"]
    assert beep["frequency"] == pytest.approx(1000, abs=8)
    assert isinstance(beep["variance"], int | float)


async def test_dv41_dv71_what_is_said_before_the_answer_is_not_listened_to(
    sipp: SippBench, tmp_path: Path
) -> None:
    announcement = np.concatenate([GREETING[: 2 * 8000], BEEP])
    callee = await callee_that_says_before_the_answer(
        sipp, "announcement", tmp_path, announcement, answers_after_s=3.0
    )
    amd = {"actionHook": "/amd", "timers": {"noSpeechTimeoutMs": 1000}}
    async with WebApplication() as app, application_engine(app) as engine:
        app.on(
            "/call",
            [
                {
                    "verb": "dial",
                    "answerOnBridge": True,
                    "target": [{"type": "sip", "sipUri": callee.uri}],
                    "amd": amd,
                }
            ],
        )
        app.on("/amd")
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=2000)
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        await app.request("/dial")
    answered = next(
        each.at
        for each in app.asked("/status")
        if each.payload["direction"] == "outbound" and each.payload["call_status"] == "in-progress"
    )
    assert all(each.at > answered for each in app.asked("/amd"))
    assert BEEPED not in [event(each) for each in app.payloads("/amd")]


async def test_section_8_a_document_returned_by_the_hook_replaces_the_application(
    sipp: SippBench, tmp_path: Path
) -> None:
    callee = await callee_that_says(sipp, "silence", tmp_path, pause(4.0))
    amd = {"actionHook": "/amd", "timers": {"noSpeechTimeoutMs": 700}}
    async with WebApplication() as app, application_engine(app) as engine:
        app.on(
            "/call",
            [
                {"verb": "dial", "target": [{"type": "sip", "sipUri": callee.uri}], "amd": amd},
                {"verb": "hangup", "headers": {"X-Document": "first"}},
            ],
        )
        app.on("/amd", [{"verb": "hangup", "headers": {"X-Document": "amd"}}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
        told = (await app.request("/dial")).payload
    calling.assert_passed()
    assert calling.received("BYE")[0].header("X-Document") == "amd"
    assert told["dial_termination_reason"] == "replaced"


@pytest.mark.parametrize("first", ["machine", "beep", "dial"], ids=lambda name: f"{name} is answered first")
async def test_case3_of_three_documents_asked_for_at_nearly_the_same_time_the_last_wins(
    sipp: SippBench, tmp_path: Path, first: str
) -> None:
    """Hooks contract, section 9: two AMD events and an actionHook, all unanswered until the dial is over."""
    said = np.concatenate([pause(0.3), GREETING, pause(0.2), BEEP, pause(0.5)])
    callee = await callee_that_says(sipp, "voicemail", tmp_path, said)
    gates = {"machine": asyncio.Event(), "beep": asyncio.Event(), "dial": asyncio.Event()}

    def wanted(name: str) -> Answer:
        document = [{"verb": "pause", "length": 0.3}, {"verb": "hangup", "headers": {"X-Document": name}}]
        return Answer(document=document, gate=gates[name])

    def amd_hook(request: HookRequest) -> Answer:
        kind = request.payload.get("amd_type") or request.payload["event"]
        return wanted(kind) if kind in gates else Answer()

    dial = {
        "verb": "dial",
        "target": [{"type": "sip", "sipUri": callee.uri}],
        "amd": {"actionHook": "/amd"},
        "timeLimit": 9,
    }
    async with WebApplication() as app, application_engine(app, hook_timeout_s=20) as engine:
        app.on("/call", [dial])
        app.on("/amd", amd_hook)
        app.on("/dial", wanted("dial"))
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        await app.request("/dial", timeout_s=25.0)
        for name in sorted(gates, key=lambda name: name != first):
            gates[name].set()
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
        await app.told("/status", direction="inbound", call_status="completed")
    calling.assert_passed()
    assert calling.received("BYE")[0].header("X-Document") == "dial", "asked for last"
    assert len(app.asked("/dial")) == 1
