"""What a caller hears and says under a document: a real phone, a real web server, real audio both ways.

Tones are found by their spectrum, spoken words by recognising them in what the phone recorded.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from engine import Engine
from engine.softphone import Answer as Answers
from engine.softphone import CallState, DtmfMethod, PhoneCall, Softphone, Tone, Wav
from engine.speech.recognition import RecognitionOptions, RecognitionResult
from engine.speech.recognition_pocketsphinx import PocketsphinxRecogniser
from media.audio import Pcm
from media.resample import Resampler
from tests.sounds.server import mp3_bytes, tone, wav_bytes
from tests.speech.voice import spoken
from tests.support.application import Answer, WebApplication
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.spectrum import hear, loudness_dbfs, read_wav

pytestmark = pytest.mark.lab

LOW_HZ, HIGH_HZ, VOICE_HZ = 500, 900, 1300


async def calls(alice: Softphone, engine: Engine, record: Path, *, sound: Wav | None = None) -> PhoneCall:
    host, port = sip_address(engine)
    return await alice.call(f"sip:5550100@{host}:{port}", record=record, sound=sound)


async def alerts(engine: Engine) -> list[tuple[str, str]]:
    await engine.server.store.settled()
    return [(row.kind, row.text) for row in await engine.server.store.alerts()]


def heard_tones(path: Path) -> list[tuple[int, float]]:
    """What was heard, in order: Hz (to 100; 0 is silence) and seconds. Shorter than 0.3 s is not counted:
    beginnings, ends and the phone's jitter buffer."""
    pcm, rate_hz = read_wav(path)
    step, found = rate_hz // 20, list[tuple[int, float]]()
    for at in range(0, pcm.size - step + 1, step):
        piece = pcm[at : at + step]
        hz = round(hear(piece, rate_hz).hz / 100) * 100 if loudness_dbfs(piece) > -40.0 else 0
        if found and found[-1][0] == hz:
            found[-1] = (hz, found[-1][1] + 0.05)
        else:
            found.append((hz, 0.05))
    kept = list[tuple[int, float]]()
    for hz, seconds in found:
        if seconds >= 0.3:
            if kept and kept[-1][0] == hz:
                kept[-1] = (hz, kept[-1][1] + seconds)
            else:
                kept.append((hz, seconds))
    return kept


def sounding(path: Path) -> list[int]:
    """The tones alone."""
    return [hz for hz, _ in heard_tones(path) if hz]


def wide(path: Path) -> Pcm:
    """A recording at 16 kHz."""
    pcm, rate_hz = read_wav(path)
    return np.asarray(pcm) if rate_hz == 16000 else Resampler(rate_hz, 16000).push(pcm)


async def understood(pcm: Pcm, *hints: str) -> list[str]:
    """The utterances a recogniser hears."""
    recogniser = PocketsphinxRecogniser()
    try:
        session = await recogniser.open(RecognitionOptions(hints=hints))
        for at in range(0, len(pcm), 320):
            session.push(pcm[at : at + 320])
        session.push(np.zeros(16000, np.int16))
        session.finish()
        async with asyncio.timeout(60):
            return [
                event.transcript async for event in session.events() if isinstance(event, RecognitionResult)
            ]
    finally:
        await recogniser.close()


async def test_wav_and_mp3_over_http_are_heard_by_a_phone_and_the_action_hook_is_told(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 1.0, 44100), 44100, channels=2)))
        app.on("/high.mp3", Answer(text=mp3_bytes(tone(HIGH_HZ, 1.0, 44100), 44100)))
        files = [app.url("/low.wav"), app.url("/high.mp3")]
        app.on("/call", [{"verb": "play", "url": files, "loop": 2, "actionHook": "/played"}])
        app.on("/played")
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
        assert sounding(tmp_path / "alice.wav") == [LOW_HZ, HIGH_HZ, LOW_HZ, HIGH_HZ]
        for hz, seconds in heard_tones(tmp_path / "alice.wav"):
            if hz:
                assert seconds == pytest.approx(1.0, abs=0.25)
        [played] = app.payloads("/played")
        assert played["reason"] == "playCompleted"
        assert played["playback_milliseconds"] == pytest.approx(4100, abs=200)  # an MP3 is padded
        assert played["playback_seconds"] == 4
        assert int(played["playback_last_offset_pos"]) == pytest.approx(8000, abs=1000)
        assert len(app.asked("/low.wav")) == len(app.asked("/high.mp3")) == 1
        assert app.asked("/low.wav")[0].headers["user-agent"] == "dial-engine"


async def test_a_pause_is_silence_and_a_missing_file_is_play_failed_an_alert_and_no_end(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 1.0))))
        app.on("/gone.wav", Answer(status=404))
        app.on("/played", [{"verb": "pause", "length": 1.5}, {"verb": "play", "url": app.url("/low.wav")}])
        document = [
            {"verb": "play", "url": app.url("/low.wav")},
            {"verb": "play", "url": app.url("/gone.wav"), "actionHook": "/played"},
            {"verb": "hangup"},
        ]
        app.on("/call", document)
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
            told = await alerts(engine)
        [(hz1, _), (silence, pause_s), (hz2, _)] = [
            each for each in heard_tones(tmp_path / "alice.wav") if each[1] > 0.6
        ][:3]
        assert (hz1, silence, hz2) == (LOW_HZ, 0, LOW_HZ)
        assert pause_s == pytest.approx(1.6, abs=0.3)
        assert app.payloads("/played")[0]["reason"] == "playFailed"
        assert app.payloads("/played")[0]["status"] == "fail"
        url = app.url("/gone.wav")
        assert told == [("sound-failed", f"cannot play {url}: the server answered 404")]


async def test_early_media_is_heard_by_a_caller_who_is_declined_afterwards(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 1.5))))
        play = {"verb": "play", "url": app.url("/low.wav"), "earlyMedia": True}
        app.on("/call", [play, {"verb": "sip:decline", "status": 486}])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            ended = await call.until(CallState.DISCONNECTED)
        assert ended.status == 486
        assert next(step.status for step in call.history if step.state is CallState.EARLY) == 183
        assert not [step for step in call.history if step.state is CallState.CONFIRMED]
        assert sounding(tmp_path / "alice.wav") == [LOW_HZ]


async def test_what_is_said_is_understood_by_a_recogniser_at_the_phone(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    said = ["one two three four five", "six seven eight nine"]
    voice = {"vendor": "espeak", "language": "en-US", "options": {"rate": 0.85}}
    pause = {"verb": "pause", "length": 1}
    one, two = ({"verb": "say", "text": text, "synthesizer": voice} for text in said)
    async with WebApplication() as app:
        app.on("/call", [pause, one, pause, two, pause])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED, timeout_s=20)
            assert await alerts(engine) == []
    others = ["seven nine six eight", "five four three two one", "my name is susan", "technical support"]
    assert await understood(wide(tmp_path / "alice.wav"), *said, *others) == said


async def test_an_unknown_vendor_is_an_alert_and_the_default_voice_is_heard(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    say = {"verb": "say", "text": "one two three", "synthesizer": {"vendor": "google", "voice": "Wavenet-A"}}
    async with WebApplication() as app:
        app.on("/call", [say])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
            told = await alerts(engine)
    assert told == [("speech-failed", "no synthesiser is called 'google'; there are: espeak")]
    pcm, rate_hz = read_wav(tmp_path / "alice.wav")
    loud = sum(
        loudness_dbfs(pcm[at : at + rate_hz // 50]) > -40.0 for at in range(0, pcm.size, rate_hz // 50)
    )
    assert loud / 50 > 0.5


@pytest.mark.parametrize("method", [DtmfMethod.RFC4733, DtmfMethod.INFO])
async def test_keys_stop_the_prompt_and_are_told(rack: PhoneRack, tmp_path: Path, method: DtmfMethod) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 20.0))))
        app.on("/high.wav", Answer(text=wav_bytes(tone(HIGH_HZ, 1.0))))
        prompt = {"url": app.url("/low.wav")}
        app.on("/call", [{"verb": "gather", "numDigits": 4, "play": prompt, "actionHook": "/keyed"}])
        app.on("/keyed", [{"verb": "play", "url": app.url("/high.wav")}])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.CONFIRMED)
            await asyncio.sleep(1.0)  # hear some of the prompt
            await call.send_dtmf("407#", method)
            await call.until(CallState.DISCONNECTED)
        [keyed] = app.payloads("/keyed")
        assert (keyed["reason"], keyed["digits"]) == ("dtmfDetected", "407#")
        tones = heard_tones(tmp_path / "alice.wav")
        assert [hz for hz, _ in tones if hz] == [LOW_HZ, HIGH_HZ]
        assert next(seconds for hz, seconds in tones if hz == LOW_HZ) < 2.5


async def test_words_of_the_caller_are_understood_after_a_spoken_prompt(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    voice = tmp_path / "voice.wav"
    words = spoken("sales department", 16000)
    voice.write_bytes(
        wav_bytes(np.concatenate([np.zeros(16000, np.int16), words, np.zeros(64000, np.int16)]), 16000)
    )
    gather = {
        "verb": "gather",
        "input": ["speech", "digits"],
        "timeout": 15,
        "say": {"text": "Whom do you want?"},
        "recognizer": {"vendor": "pocketsphinx", "hints": ["sales department", "technical support"]},
        "actionHook": "/said",
    }
    async with WebApplication() as app:
        app.on("/call", [gather])
        app.on("/said", [{"verb": "hangup"}])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav", sound=Wav(str(voice), loop=True))
            await call.until(CallState.DISCONNECTED, timeout_s=30)
        [said] = app.payloads("/said")
        assert said["reason"] == "speechDetected"
        assert said["speech"]["alternatives"][0]["transcript"] == "sales department"
        assert said["speech"]["is_final"] is True
        assert said["speech"]["vendor"]["name"] == "pocketsphinx"


async def test_words_spoken_over_the_prompt_stop_it(rack: PhoneRack, tmp_path: Path) -> None:
    alice = await rack.phone("alice")
    voice = tmp_path / "voice.wav"
    quiet, words = np.zeros(24000, np.int16), spoken("technical support", 16000)
    voice.write_bytes(wav_bytes(np.concatenate([quiet, words, quiet]), 16000))
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 30.0))))
        app.on("/high.wav", Answer(text=wav_bytes(tone(HIGH_HZ, 1.0))))
        gather = {
            "verb": "gather",
            "input": ["speech"],
            "bargein": True,
            "play": {"url": app.url("/low.wav")},
            "recognizer": {"hints": ["sales department", "technical support"]},
            "actionHook": "/said",
        }
        app.on("/call", [gather])
        app.on("/said", [{"verb": "play", "url": app.url("/high.wav")}])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav", sound=Wav(str(voice), loop=True))
            await call.until(CallState.DISCONNECTED, timeout_s=40)
        [said] = app.payloads("/said")
        assert said["reason"] == "speechDetected"
        assert said["speech"]["alternatives"][0]["transcript"] == "technical support"
        tones = heard_tones(tmp_path / "alice.wav")
        assert [hz for hz, _ in tones if hz] == [LOW_HZ, HIGH_HZ]
        assert next(seconds for hz, seconds in tones if hz == LOW_HZ) < 20


async def test_digits_are_keyed_to_the_phone(rack: PhoneRack, tmp_path: Path) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on(
            "/call", [{"verb": "dtmf", "dtmf": "159*0#", "duration": 200}, {"verb": "pause", "length": 0.5}]
        )
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
        assert call.keyed == "159*0#"


async def test_music_over_http_is_heard_while_the_callee_rings_and_ends_with_the_answer(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", Answers(after_s=2.5, sound=Tone(VOICE_HZ)))
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/high.mp3", Answer(text=mp3_bytes(tone(HIGH_HZ, 0.7, 44100), 44100)))
        dial = {
            "verb": "dial",
            "answerOnBridge": True,
            "dialMusic": app.url("/high.mp3"),
            "target": [{"type": "sip", "sipUri": bob.uri}],
            "timeLimit": 1,
        }
        app.on("/call", [dial])
        app.on("/dial")
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
            assert await alerts(engine) == []
        assert sounding(tmp_path / "alice.wav") == [HIGH_HZ, VOICE_HZ]
        music_s = sum(seconds for hz, seconds in heard_tones(tmp_path / "alice.wav") if hz == HIGH_HZ)
        assert music_s > 1.5, "it is repeated"


@pytest.mark.parametrize("where", ["web", "outside"])
async def test_dv43_music_that_cannot_be_had_is_ringback_and_an_alert(
    rack: PhoneRack, tmp_path: Path, where: str
) -> None:
    bob = await rack.phone("bob", Answers(after_s=2.0, sound=Tone(VOICE_HZ)))
    alice = await rack.phone("alice")
    outside = tmp_path / "high.wav"  # exists, but not in the folder for sounds
    outside.write_bytes(wav_bytes(tone(HIGH_HZ, 1.0)))
    async with WebApplication() as app:
        app.on("/gone.mp3", Answer(status=500))
        music, problem = {
            "web": (app.url("/gone.mp3"), "the server answered 500"),
            "outside": (str(outside), "outside of the folder for sounds"),
        }[where]
        dial = {
            "verb": "dial",
            "answerOnBridge": True,
            "dialMusic": music,
            "target": [{"type": "sip", "sipUri": bob.uri}],
            "timeLimit": 1,
        }
        app.on("/call", [dial])
        app.on("/dial")
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.DISCONNECTED)
            told = await alerts(engine)
        assert told == [("sound-failed", f"dialMusic: cannot play {music}: {problem}")]
        tones = sounding(tmp_path / "alice.wav")
        assert tones[-1] == VOICE_HZ
        assert tones[:-1], "ringback is heard"
        assert set(tones[:-1]) <= {400, 500}


async def test_hanging_up_in_the_middle_is_told_with_what_was_heard(rack: PhoneRack, tmp_path: Path) -> None:
    alice = await rack.phone("alice")
    async with WebApplication() as app:
        app.on("/low.wav", Answer(text=wav_bytes(tone(LOW_HZ, 1.0))))
        play = {"verb": "play", "url": app.url("/low.wav"), "loop": "forever", "actionHook": "/played"}
        app.on("/call", [play])
        app.on("/played", [{"verb": "play", "url": app.url("/low.wav")}])
        async with application_engine(app) as engine:
            call = await calls(alice, engine, tmp_path / "alice.wav")
            await call.until(CallState.CONFIRMED)
            await asyncio.sleep(2.0)  # of listening
            await call.hang_up()
            await call.until(CallState.DISCONNECTED)
            played = await app.request("/played")
            assert played.payload["reason"] == "playCompleted"
            assert 1000 < played.payload["playback_milliseconds"] < 3500
        assert sounding(tmp_path / "alice.wav") == [LOW_HZ]
