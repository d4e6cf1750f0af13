"""Documents we accept are accepted by the family's own validators, and the other way round.

Every property of every verb, ours and theirs, gets one value after the other. Where the verdicts differ, the
property is in one of the two tables below with the reason; an entry without a difference is an error too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.application.document import VERBS, DocumentError, parse_document
from engine.application.schema import (
    Amd,
    AmdTimers,
    Auth,
    BidirectionalAudio,
    From,
    PhoneTarget,
    Recognizer,
    SipTarget,
    Synthesizer,
    TeamsTarget,
    UserTarget,
    Vad,
)
from engine.application.schema.fields import Schema
from tests.judge_npm.node import judge

Document = list[dict[str, Any]]

SPECS = Path(__file__).parent / "node_modules/@jambonz/verb-specifications/specs.json"

TARGETS = ("phone", "sip", "user", "teams")


def each(reason: str, names: str) -> dict[str, str]:
    """The same reason for several properties; `*` is every type of target."""
    return {
        name.replace("*", kind): reason
        for name in names.split()
        for kind in (TARGETS if "*" in name else ("",))
    }


STRICTER = {
    **each(
        "this engine does not have it; refused, so that no wish is dropped in silence",
        """
        config.actionHookDelayAction config.amd config.autoStreamTts config.bargeIn config.boostAudioSignal
        config.disableTtsCache config.earlyMedia config.fillerNoise config.noiseIsolation
        config.notifySttLatency config.onHoldMusic config.referHook config.reset
        config.sipRequestWithinDialogHook
        config.trackTtsPlayout config.ttsStream config.turnTaking config.vad
        gather.actionHookDelayAction gather.fillerNoise
        say.closeStreamOnEmpty say.disableTtsCache say.instructions say.stream *.method
        """,
    ),
    **each(
        "a property of another type of target",
        """
        phone.auth phone.name phone.overrideTo phone.sipUri phone.tenant phone.vmail
        sip.name sip.overrideTo sip.tenant sip.trunk sip.vmail
        user.auth user.number user.sipUri user.tenant user.trunk user.vmail
        teams.auth teams.name teams.overrideTo teams.sipUri teams.trunk
        """,
    ),
    **each(
        "a URL is not empty and has no blanks",
        """
        amd.actionHook dial.actionHook dial.confirmHook dial.dialMusic dial.dtmfHook dial.onHoldHook
        dial.referHook gather.actionHook gather.partialResultHook listen.actionHook listen.url play.actionHook
        play.url redirect.actionHook redirect.statusHook transcribe.transcriptionHook
        transcribe.translationHook
        """,
    ),
    **each("not a SIP URI", "dial.proxy *.proxy sip.sipUri sip.number user.overrideTo"),
    **each(
        "could break a SIP URI (DV-12)",
        "dial.callerId phone.number user.name teams.number from.user from.host",
    ),
    **each("keys of a telephone, at least one", "dtmf.dtmf gather.finishOnKey listen.finishOnKey"),
    **each("`childCall` and `parentCall`, each a list of sequences of keys", "dial.dtmfCapture"),
    **each(
        "no such duration, count, channel, rate or final status",
        """
        amd.digitCount amd.thresholdWordCount bidirectionalAudio.sampleRate dial.timeLimit dial.timeout
        dtmf.duration gather.interDigitTimeout gather.maxDigits gather.minBargeinWordCount gather.minDigits
        gather.numDigits gather.speechTimeout gather.timeout listen.channel listen.maxLength listen.sampleRate
        listen.timeout pause.length recognizer.asrTimeout recognizer.diarizationMaxSpeakers
        recognizer.diarizationMinSpeakers recognizer.fastRecognitionTimeout recognizer.initialSpeechTimeoutMs
        recognizer.naicsCode sip:decline.status timers.decisionTimeoutMs timers.greetingCompletionTimeoutMs
        timers.noSpeechTimeoutMs timers.toneTimeoutMs vad.mode vad.silenceMs vad.speechPadMs vad.voiceMs
        """,
    ),
    **each(
        "a number, `forever` or dB; not any string",
        "dial.boostAudioSignal play.loop play.seekOffset play.timeoutSecs say.loop",
    ),
    **each("required by the contract", "config.listen config.stream gather.say"),
    **each("nothing asked for, or nobody named", "auth.password auth.username gather.input say.text"),
    **each(
        "an object; they look only at its members, which a number has none of",
        "recognizer.cobaltOptions recognizer.nuanceOptions recognizer.verbioOptions",
    ),
}
"""What they accept and we refuse, and why."""

LOOSER = {
    **each("in the contract, not in their older validator", "dial.codecs"),
    **each("in the contract: another name of confirmHook", "*.url"),
    **each("their newer schema matches a string twice, which counts as not at all", "*.confirmHook"),
    **each("numbers as header values, as they have it in `dial` itself", "*.headers"),
    **each(
        "a hook is a URL or an object, here too", "transcribe.transcriptionHook transcribe.translationHook"
    ),
    **each("`enable` is true unless it is said", "config.listen config.stream config.transcribe"),
    **each(
        "no vendor: the session's",
        """
        amd.recognizer config.recognizer config.synthesizer gather.recognizer say.synthesizer
        transcribe.recognizer
        """,
    ),
    **each("objects with a boost, as in their documentation", "recognizer.hints"),
    **each(
        "a vendor's own settings are the vendor's business",
        """
        recognizer.assemblyAiOptions recognizer.awsOptions recognizer.azureOptions recognizer.cobaltOptions
        recognizer.customOptions recognizer.deepgramOptions recognizer.elevenlabsOptions
        recognizer.gladiaOptions
        recognizer.googleOptions recognizer.houndifyOptions recognizer.ibmOptions recognizer.modulateOptions
        recognizer.nuanceOptions recognizer.nvidiaOptions recognizer.openaiOptions recognizer.sonioxOptions
        recognizer.speechmaticsOptions recognizer.verbioOptions recognizer.xaiOptions
        """,
    ),
}
"""What we accept and they refuse, and why."""


def places() -> dict[str, tuple[type[Schema], Callable[[dict[str, Any]], Document], str]]:
    """Where properties are: our struct, a document with these properties there, the name in their table."""
    required: dict[str, dict[str, Any]] = {
        "dial": {"target": [{"type": "phone", "number": "+15550100"}]},
        "say": {"text": "a"},
        "play": {"url": "a.wav"},
        "pause": {"length": 1},
        "redirect": {"actionHook": "/n"},
        "sip:decline": {"status": 486},
        "dtmf": {"dtmf": "1"},
        "tag": {"data": {}},
        "listen": {"url": "wss://app.example.com"},
    }

    def verb(name: str) -> Callable[[dict[str, Any]], Document]:
        return lambda properties: [{"verb": name, **required.get(name, {}), **properties}]

    def dialled(key: str, **sound: Any) -> Callable[[dict[str, Any]], Document]:
        return lambda properties: verb("dial")({key: {**sound, **properties}})

    def rung(**sound: Any) -> Callable[[dict[str, Any]], Document]:
        return lambda properties: verb("dial")({"target": [{**sound, **properties}]})

    return {
        **{name: (kind, verb(name), name) for name, kind in VERBS.items()},
        "phone": (PhoneTarget, rung(type="phone", number="+15550100"), "target"),
        "sip": (SipTarget, rung(type="sip", sipUri="sip:bob@example.com"), "target"),
        "user": (UserTarget, rung(type="user", name="carol@example.com"), "target"),
        "teams": (TeamsTarget, rung(type="teams", number="+15550100"), "target"),
        "from": (From, lambda p: rung(type="phone", number="+15550100")({"from": p}), "dialFrom"),
        "auth": (
            Auth,
            lambda p: verb("listen")({"auth": {"username": "u", "password": "p", **p}}),
            "auth",
        ),
        "amd": (Amd, dialled("amd", actionHook="/amd"), "amd"),
        "timers": (AmdTimers, lambda p: dialled("amd", actionHook="/amd")({"timers": p}), "amdTimers"),
        "bidirectionalAudio": (
            BidirectionalAudio,
            lambda p: verb("listen")({"bidirectionalAudio": p}),
            "bidirectionalAudio",
        ),
        "synthesizer": (
            Synthesizer,
            lambda p: verb("say")({"synthesizer": {"vendor": "google", **p}}),
            "synthesizer",
        ),
        "recognizer": (
            Recognizer,
            lambda p: verb("gather")({"recognizer": {"vendor": "google", **p}}),
            "recognizer",
        ),
        "vad": (
            Vad,
            lambda p: verb("gather")({"recognizer": {"vendor": "google", "vad": p}}),
            "vad",
        ),
    }


SAMPLES: list[Any] = [
    *(
        "a",
        "/x",
        "sip:bob@example.com",
        "wss://app.example.com",
        "12",
        "",
        "forever",
        "stereo",
        "sdes",
        "10 dB",
    ),
    *("phone", "default", "+15550100", "webrtc", "neural", "FEMALE", "simple", "masked", "remove", "GET"),
    *(5, 0, -1, 2.5, 1, 8000, 486, True, False, None),
    *({}, {"url": "/x"}, {"url": "/x", "method": "GET"}, {"vendor": "google"}, {"a": "b"}, {"a": 1}),
    *(
        {"username": "u", "password": "p"},
        {"enable": True},
        {"enabled": True},
        {"text": "a"},
        {"actionHook": "/a"},
    ),
    *({"childCall": ["1"]}, {"user": "a"}, {"toneTimeoutMs": 5}, {"sampleRate": 8000}),
    *([], ["a"], ["12"], [{"type": "phone", "number": "1"}], [{"action": "addTrack", "track": "a"}]),
    *(["digits"], ["speech"]),
]


def cases() -> Iterator[tuple[str, object, Document]]:
    """Property, value, document."""
    their_tables = json.loads(SPECS.read_text())
    for place, (kind, document, their_name) in places().items():
        ours = set(kind.__struct_encode_fields__)
        for name in sorted(ours | set(their_tables[their_name]["properties"])):
            if place in TARGETS and name == "type":
                continue  # another type is another place
            for value in SAMPLES:
                yield f"{place}.{name}", value, document({name: value})


def is_accepted(document: Document) -> bool:
    try:
        parse_document(document)
    except DocumentError:
        return False
    return True


async def differences() -> tuple[dict[str, list[object]], dict[str, list[object]]]:
    """Property -> values that only they accept, and values that only we accept."""
    async with judge() as family:
        every = list(cases())
        verdicts = await family.documents([document for _, _, document in every])
    stricter: dict[str, list[object]] = {}
    looser: dict[str, list[object]] = {}
    for (name, value, document), verdict in zip(every, verdicts, strict=True):
        if verdict.is_accepted != is_accepted(document):
            (stricter if verdict.is_accepted else looser).setdefault(name, []).append(value)
    return stricter, looser


async def test_the_verdicts_differ_where_the_tables_say_and_nowhere_else() -> None:
    stricter, looser = await differences()
    assert {name: values for name, values in stricter.items() if name not in STRICTER} == {}
    assert {name: values for name, values in looser.items() if name not in LOOSER} == {}
    assert STRICTER.keys() - stricter.keys() == set(), "no difference any more"
    assert LOOSER.keys() - looser.keys() == set(), "no difference any more"


async def test_what_differs_in_one_way_is_otherwise_judged_alike() -> None:
    async with judge() as family:
        every = [case for case in cases() if case[0] not in STRICTER and case[0] not in LOOSER]
        assert len(every) > 3000
        verdicts = await family.documents([document for _, _, document in every])
    ours = [is_accepted(document) for _, _, document in every]
    assert ours == [verdict.is_accepted for verdict in verdicts]
    assert {True, False} == set(ours)


USUAL: list[Document] = [
    [],
    [{"verb": "hangup"}],
    [{"hangup": {"headers": {"X-Reason": "done"}}}],
    [
        {"verb": "answer"},
        {"verb": "say", "text": ["Welcome", "back"], "loop": 2},
        {"verb": "pause", "length": 1.5},
    ],
    [{"verb": "play", "url": "https://app.example.com/a.mp3", "loop": "forever", "earlyMedia": True}],
    [
        {
            "verb": "gather",
            "input": ["digits"],
            "numDigits": 1,
            "actionHook": "/pin",
            "say": {"text": "Press 1"},
        }
    ],
    [{"verb": "sip:decline", "status": 486, "reason": "Busy", "headers": {"Retry-After": 30}}],
    [{"verb": "redirect", "actionHook": {"url": "/next", "method": "GET"}}],
    [{"verb": "tag", "data": {"order": 7}}, {"verb": "dtmf", "dtmf": "1#", "duration": 250}],
    [
        {
            "verb": "stream",
            "url": "wss://app.example.com",
            "mixType": "stereo",
            "wsAuth": {"username": "u", "password": "p"},
        }
    ],
    [
        {
            "verb": "transcribe",
            "transcriptionHook": "/text",
            "recognizer": {"vendor": "google", "language": "en-US"},
        }
    ],
    [{"verb": "config", "synthesizer": {"vendor": "google", "voice": "a"}, "notifyEvents": True}],
    [
        {
            "verb": "dial",
            "actionHook": "dial",
            "callerId": "+491173331212",
            "answerOnBridge": True,
            "dtmfCapture": {"childCall": ["*2"], "parentCall": ["*3"]},
            "dtmfHook": {"url": "/dtmf", "method": "GET"},
            "amd": {"actionHook": "amd", "recognizer": {"vendor": "microsoft", "language": "en-US"}},
            "listen": {"url": "wss://app.example.com", "mixType": "mixed"},
            "headers": {"X-Account": "7"},
            "timeLimit": 3600,
            "boostAudioSignal": "3 dB",
            "target": [
                {"type": "phone", "number": "+491712345678", "trunk": "CarrierA"},
                {
                    "type": "sip",
                    "sipUri": "sip:491712345678@sip.trunk.example.com",
                    "auth": {"username": "user", "password": "secret"},
                },
                {"type": "user", "name": "1001@sip.example.com", "confirmHook": {"url": "/screen"}},
            ],
        }
    ],
]
"""What applications send."""

BROKEN: list[Any] = [
    {"verb": "hangup"},
    [3],
    [{}],
    [{"say": {"text": "a"}, "pause": {"length": 1}}],
    [{"verb": "dail"}],
    [{"verb": "pause"}],
    [{"verb": "pause", "length": "1"}],
    [{"verb": "pause", "length": 1, "lenght": 1}],
    [{"verb": "say", "text": "a"}, {"verb": "play"}],
    [{"verb": "dial", "target": [{"number": "+15550100"}]}],
    [{"verb": "dial", "target": [{"type": "pstn", "number": "+15550100"}]}],
    [
        {
            "verb": "dial",
            "target": [{"type": "sip", "sipUri": "sip:a@h.example.com", "auth": {"username": "u"}}],
        }
    ],
    [{"verb": "dial"}],
    [{"verb": "listen", "url": "wss://app.example.com", "mixType": "both"}],
    [{"verb": "dial", "target": [{"type": "phone", "number": "1"}], "amd": {"digitCount": 1}}],
]
"""What nobody should."""


async def test_usual_documents_please_all_and_broken_ones_nobody() -> None:
    async with judge() as family:
        usual, broken = await family.documents(USUAL), await family.documents(BROKEN)
    assert [verdict for verdict in usual if not verdict.is_accepted] == []
    assert all(map(is_accepted, USUAL))
    assert [raw for raw, verdict in zip(BROKEN, broken, strict=True) if verdict.is_accepted] == []
    assert not any(map(is_accepted, BROKEN))
