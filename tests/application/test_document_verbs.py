"""Every verb beside `dial` and every property of it: the hooks contract, sections 5 and 6."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.application.document import (
    VERBS,
    AnswerVerb,
    ConfigVerb,
    DeclineVerb,
    DtmfVerb,
    GatherVerb,
    HangupVerb,
    ListenVerb,
    PauseVerb,
    PlayVerb,
    RedirectVerb,
    SayVerb,
    TagVerb,
    TranscribeVerb,
)
from engine.application.schema import Auth, BidirectionalAudio, Recognizer, Synthesizer
from engine.hooks import Hook
from tests.application.documents import one, refused

URL = "wss://app.example.com/audio"


def faulty(verb: str, properties: dict[str, Any], below: str = "") -> str:
    """The problem with a verb, which must be said to be exactly there, in both forms."""
    path, problem = refused({"verb": "answer"}, {"verb": verb, **properties})
    assert path == f"$[1]{below}"
    short, same = refused({verb: properties})
    named = f".{verb}" if verb.isalpha() else f"['{verb}']"
    assert (short, same) == (f"$[0]{named}{below}", problem)
    return problem


REQUIRED: dict[str, dict[str, Any]] = {
    "say": {"text": "a"},
    "play": {"url": "a.wav"},
    "pause": {"length": 1},
    "redirect": {"actionHook": "/next"},
    "sip:decline": {"status": 486},
    "dtmf": {"dtmf": "1"},
    "tag": {"data": {}},
    "listen": {"url": URL},
}


@pytest.mark.parametrize(("verb", "properties"), REQUIRED.items())
def test_dv02_what_section_5_marks_as_required_is_required(verb: str, properties: dict[str, Any]) -> None:
    ((name, _),) = properties.items()
    assert faulty(verb, {}) == f"missing required property `{name}`"
    assert one(VERBS[verb], {verb: properties})


@pytest.mark.parametrize("verb", ["answer", "hangup", "gather", "transcribe", "config"])
def test_the_other_verbs_need_nothing(verb: str) -> None:
    assert one(VERBS[verb], {verb: {}}) == one(VERBS[verb], {"verb": verb})


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "dial"])
def test_dv02_an_unknown_property_of_any_verb_is_refused(verb: str) -> None:
    faulty(verb, {**REQUIRED.get(verb, {}), "volume": 3}, ".volume")


class TestSay:
    def test_text_is_one_string_or_several(self) -> None:
        assert one(SayVerb, {"verb": "say", "text": "Welcome"}).text == ("Welcome",)
        assert one(SayVerb, {"verb": "say", "text": ["Welcome", "back"]}).text == ("Welcome", "back")
        assert one(SayVerb, {"verb": "say", "text": ""}).text == ("",)

    @pytest.mark.parametrize(("value", "below"), [(3, ""), (None, ""), ([], ""), ({}, ""), (["a", 3], "[1]")])
    def test_anything_else_is_refused(self, value: object, below: str) -> None:
        faulty("say", {"text": value}, f".text{below}")

    def test_defaults(self) -> None:
        say = one(SayVerb, {"verb": "say", "text": "a"})
        assert (say.loop, say.times, say.synthesizer, say.early_media) == (1, 1, None, False)

    def test_everything_can_be_said(self) -> None:
        voice = {
            "vendor": "google",
            "language": "de-DE",
            "voice": {"name": "x"},
            "gender": "FEMALE",
            "engine": "neural",
        }
        say = one(
            SayVerb,
            {
                "verb": "say",
                "text": "a",
                "loop": 3,
                "earlyMedia": True,
                "synthesizer": {**voice, "options": {}},
            },
        )
        assert (say.times, say.early_media) == (3, True)
        assert say.synthesizer == Synthesizer(
            vendor="google", language="de-DE", voice={"name": "x"}, gender="FEMALE", engine="neural"
        )

    @pytest.mark.parametrize(
        ("synthesizer", "below"),
        [
            ("google", ""),
            ({"vendor": 3}, ".vendor"),
            ({"vendor": "a", "gender": "female"}, ".gender"),
            ({"vendor": "a", "engine": "fast"}, ".engine"),
            ({"vendor": "a", "voise": "x"}, ".voise"),
        ],
    )
    def test_a_synthesizer_is_checked(self, synthesizer: object, below: str) -> None:
        faulty("say", {"text": "a", "synthesizer": synthesizer}, f".synthesizer{below}")


@pytest.mark.parametrize(("verb", "properties"), [("say", {"text": "a"}), ("play", {"url": "a.wav"})])
class TestLoop:
    def test_a_number_or_for_ever(self, verb: str, properties: dict[str, Any]) -> None:
        kind: Any = VERBS[verb]
        assert one(kind, {"verb": verb, **properties, "loop": 2}).times == 2
        assert one(kind, {"verb": verb, **properties, "loop": "forever"}).times == math.inf

    @pytest.mark.parametrize("loop", [0, -1, "2", "ever", 1.5, True, [], None])
    def test_anything_else_is_refused(self, verb: str, properties: dict[str, Any], loop: object) -> None:
        faulty(verb, {**properties, "loop": loop}, ".loop")


class TestPlay:
    def test_url_is_one_or_several(self) -> None:
        assert one(PlayVerb, {"verb": "play", "url": "https://h.example.com/a.mp3"}).url == (
            "https://h.example.com/a.mp3",
        )
        assert one(PlayVerb, {"verb": "play", "url": ["a.wav", "b.wav"]}).url == ("a.wav", "b.wav")

    @pytest.mark.parametrize(
        ("value", "below"),
        [("", ""), ([], ""), (3, ""), ("a b", ""), ("a\n", ""), (["a", ""], "[1]"), (["a", {}], "[1]")],
    )
    def test_anything_else_is_refused(self, value: object, below: str) -> None:
        faulty("play", {"url": value}, f".url{below}")

    def test_defaults(self) -> None:
        play = one(PlayVerb, {"verb": "play", "url": "a"})
        assert (play.times, play.seek_offset, play.timeout_secs, play.early_media) == (1, 0.0, None, False)
        assert play.action_hook is None

    @pytest.mark.parametrize(
        ("value", "number"), [(8000, 8000), ("8000", 8000), (2.5, 2.5), ("2.5", 2.5), (0, 0)]
    )
    def test_offset_and_timeout_are_numbers_also_as_strings(self, value: object, number: float) -> None:
        play = one(PlayVerb, {"verb": "play", "url": "a", "seekOffset": value, "timeoutSecs": value})
        assert (play.seek_offset, play.timeout_secs) == (number, number)

    @pytest.mark.parametrize("name", ["seekOffset", "timeoutSecs"])
    @pytest.mark.parametrize("value", [-1, "-1", "soon", "", True, [], "inf", 1e308, 10**400])
    def test_offset_and_timeout_are_not_anything_else(self, name: str, value: object) -> None:
        faulty("play", {"url": "a", name: value}, f".{name}")

    def test_early_media_and_action_hook(self) -> None:
        play = one(PlayVerb, {"play": {"url": "a", "earlyMedia": True, "actionHook": "/played"}})
        assert (play.early_media, play.action_hook) == (True, Hook("/played"))
        faulty("play", {"url": "a", "earlyMedia": "yes"}, ".earlyMedia")
        faulty("play", {"url": "a", "actionHook": {"uri": "/x"}}, ".actionHook.uri")


class TestPause:
    @pytest.mark.parametrize("length", [0, 1, 0.5, 3600])
    def test_seconds(self, length: float) -> None:
        assert one(PauseVerb, {"verb": "pause", "length": length}).length == length

    @pytest.mark.parametrize("length", [-1, "1", None, True, float("nan"), float("inf")])
    def test_anything_else_is_refused(self, length: object) -> None:
        faulty("pause", {"length": length}, ".length")


class TestGather:
    def test_defaults(self) -> None:
        gather = one(GatherVerb, {"verb": "gather"})
        assert gather.input == ("digits",)
        assert (gather.num_digits, gather.min_digits, gather.max_digits) == (None, None, None)
        assert (gather.finish_on_key, gather.inter_digit_timeout, gather.timeout) == ("", None, 5)
        assert (gather.dtmf_bargein, gather.say, gather.play, gather.action_hook) == (True, None, None, None)

    def test_everything_can_be_said(self) -> None:
        gather = one(
            GatherVerb,
            {
                "verb": "gather",
                "input": ["digits", "speech"],
                "numDigits": 4,
                "minDigits": 1,
                "maxDigits": 8,
                "finishOnKey": "#*",
                "interDigitTimeout": 2,
                "timeout": 0,
                "dtmfBargein": False,
                "say": {"text": "Your pin"},
                "play": {"url": "pin.wav", "loop": 2},
                "actionHook": "/pin",
                "recognizer": {"vendor": "default", "hints": ["one", {"phrase": "two", "boost": 5}]},
                "bargein": True,
                "minBargeinWordCount": 2,
                "speechTimeout": 1,
                "listenDuringPrompt": False,
                "partialResultHook": "/partial",
            },
        )
        assert gather.input == ("digits", "speech")
        assert (gather.num_digits, gather.min_digits, gather.max_digits) == (4, 1, 8)
        assert (gather.finish_on_key, gather.inter_digit_timeout, gather.timeout) == ("#*", 2, 0)
        assert gather.dtmf_bargein is False
        assert gather.say == SayVerb(text=gather.say.text) if gather.say else False
        assert gather.play is not None
        assert gather.play.times == 2
        assert gather.action_hook == Hook("/pin")

    @pytest.mark.parametrize(
        ("properties", "below"),
        [
            ({"input": []}, ".input"),
            ({"input": "digits"}, ".input"),
            ({"input": ["digits", "dtmf"]}, ".input[1]"),
            ({"numDigits": 0}, ".numDigits"),
            ({"numDigits": "4"}, ".numDigits"),
            ({"minDigits": -1}, ".minDigits"),
            ({"maxDigits": 0}, ".maxDigits"),
            ({"minDigits": 5, "maxDigits": 4}, ".maxDigits"),
            ({"finishOnKey": "x"}, ".finishOnKey"),
            ({"finishOnKey": 1}, ".finishOnKey"),
            ({"interDigitTimeout": -1}, ".interDigitTimeout"),
            ({"timeout": -1}, ".timeout"),
            ({"dtmfBargein": 1}, ".dtmfBargein"),
            ({"say": "Your pin"}, ".say"),
            ({"say": {}}, ".say"),
            ({"say": {"text": ["a", 1]}}, ".say.text[1]"),
            ({"play": {"url": "a b"}}, ".play.url"),
            ({"play": {"url": "a", "lop": 1}}, ".play.lop"),
            ({"actionHook": 1}, ".actionHook"),
        ],
    )
    def test_what_is_wrong_is_refused_where_it_is(self, properties: dict[str, Any], below: str) -> None:
        faulty("gather", properties, below)


class TestCallVerbs:
    def test_answer_has_nothing(self) -> None:
        assert one(AnswerVerb, {"answer": {}}) == AnswerVerb()

    def test_hangup_may_carry_headers(self) -> None:
        assert one(HangupVerb, {"verb": "hangup"}).headers == {}
        assert one(HangupVerb, {"verb": "hangup", "headers": {"X-Why": "done"}}).headers == {"X-Why": "done"}
        faulty("hangup", {"headers": {"X-Why": "a\r\nb"}}, ".headers['X-Why']")

    def test_redirect_names_the_next_hook(self) -> None:
        redirect = one(
            RedirectVerb, {"redirect": {"actionHook": "/next", "statusHook": {"url": "/s", "method": "GET"}}}
        )
        assert (redirect.action_hook, redirect.status_hook) == (Hook("/next"), Hook("/s", "GET"))
        assert one(RedirectVerb, {"redirect": {"actionHook": "/next"}}).status_hook is None
        faulty("redirect", {"actionHook": ""}, ".actionHook")

    @pytest.mark.parametrize("status", [300, 486, 603, 699])
    def test_sip_decline_has_a_final_status(self, status: int) -> None:
        decline = one(DeclineVerb, {"sip:decline": {"status": status}})
        assert (decline.status, decline.reason, decline.headers) == (status, "", {})

    @pytest.mark.parametrize("status", [0, 180, 200, 299, 700, "486", 486.5, True, None])
    def test_sip_decline_has_no_other_status(self, status: object) -> None:
        faulty("sip:decline", {"status": status}, ".status")

    def test_sip_decline_may_say_why(self) -> None:
        decline = one(
            DeclineVerb,
            {"verb": "sip:decline", "status": 486, "reason": "At lunch", "headers": {"Retry-After": 60}},
        )
        assert (decline.reason, decline.headers) == ("At lunch", {"Retry-After": "60"})
        faulty("sip:decline", {"status": 486, "reason": "a\r\nb"}, ".reason")
        faulty("sip:decline", {"status": 486, "headers": {"X": None}}, ".headers.X")

    def test_tag_carries_data(self) -> None:
        assert one(TagVerb, {"tag": {"data": {"a": [1, {"b": None}]}}}).data == {"a": [1, {"b": None}]}
        faulty("tag", {"data": []}, ".data")
        faulty("tag", {"data": "a"}, ".data")


class TestDtmf:
    def test_digits_and_their_duration(self) -> None:
        dtmf = one(DtmfVerb, {"dtmf": {"dtmf": "0123456789*#ABCD"}})
        assert (dtmf.dtmf, dtmf.duration) == ("0123456789*#ABCD", 500)
        assert one(DtmfVerb, {"dtmf": {"dtmf": "1", "duration": 120}}).duration == 120

    @pytest.mark.parametrize("digits", ["", "1 2", "x", "1,2", 12, None])
    def test_what_is_no_key_is_refused(self, digits: object) -> None:
        faulty("dtmf", {"dtmf": digits}, ".dtmf")

    @pytest.mark.parametrize("duration", [0, -1, "500", True])
    def test_a_duration_is_milliseconds(self, duration: object) -> None:
        faulty("dtmf", {"dtmf": "1", "duration": duration}, ".duration")


class TestListen:
    def test_defaults_are_those_of_section_6(self) -> None:
        listen = one(ListenVerb, {"verb": "listen", "url": URL})
        assert (listen.mix_type, listen.sample_rate, listen.metadata) == ("mono", 8000, {})
        assert (listen.action_hook, listen.auth, listen.max_length, listen.timeout) == (None,) * 4
        assert (listen.finish_on_key, listen.channel, listen.transcribe) == ("", None, None)
        assert (listen.pass_dtmf, listen.play_beep, listen.early_media) == (False, False, False)
        assert listen.bidirectional_audio == BidirectionalAudio(
            enabled=True, streaming=False, sample_rate=None
        )
        assert listen.is_bidirectional

    def test_everything_can_be_said(self) -> None:
        listen = one(
            ListenVerb,
            {
                "verb": "listen",
                "url": URL,
                "actionHook": "/listened",
                "mixType": "stereo",
                "sampleRate": 16000,
                "metadata": {"order": 7},
                "finishOnKey": "#",
                "maxLength": 30,
                "timeout": 5,
                "passDtmf": True,
                "playBeep": True,
                "earlyMedia": True,
                "channel": 2,
                "transcribe": {"transcriptionHook": "/text"},
                "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": 24000},
            },
        )
        assert (listen.mix_type, listen.sample_rate, listen.metadata) == ("stereo", 16000, {"order": 7})
        assert (listen.finish_on_key, listen.max_length, listen.timeout, listen.channel) == ("#", 30, 5, 2)
        assert (listen.pass_dtmf, listen.play_beep, listen.early_media) == (True, True, True)
        assert listen.transcribe == TranscribeVerb(transcription_hook=Hook("/text"))
        assert listen.bidirectional_audio == BidirectionalAudio(
            enabled=True, streaming=True, sample_rate=24000
        )

    @pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000, 64000])
    def test_sample_rates(self, rate: int) -> None:
        listen = {"url": URL, "sampleRate": rate, "bidirectionalAudio": {"sampleRate": rate}}
        assert one(ListenVerb, {"listen": listen}).sample_rate == rate

    @pytest.mark.parametrize("rate", [0, 11025, 44100, "8000", 8000.5, True])
    def test_no_other_sample_rate(self, rate: object) -> None:
        faulty("listen", {"url": URL, "sampleRate": rate}, ".sampleRate")
        faulty(
            "listen",
            {"url": URL, "bidirectionalAudio": {"sampleRate": rate}},
            ".bidirectionalAudio.sampleRate",
        )

    @pytest.mark.parametrize("mix", ["mono", "stereo", "mixed"])
    def test_mix_types(self, mix: str) -> None:
        assert one(ListenVerb, {"listen": {"url": URL, "mixType": mix}}).mix_type == mix

    def test_wh35_auth_and_ws_auth_are_the_same(self) -> None:
        auth = {"username": "alice", "password": "secret"}
        by_name = one(ListenVerb, {"listen": {"url": URL, "auth": auth}})
        assert by_name == one(ListenVerb, {"listen": {"url": URL, "wsAuth": auth}})
        assert by_name.auth == Auth(username="alice", password="secret")
        faulty("listen", {"url": URL, "auth": auth, "wsAuth": auth}, ".wsAuth")
        faulty("listen", {"url": URL, "wsAuth": {"username": "alice"}}, ".wsAuth")

    @pytest.mark.parametrize(
        "url", ["ws://h.example.com", "wss://u:p@h.example.com/a?b=c", "/audio", "https://h.example.com"]
    )
    def test_wh35_urls(self, url: str) -> None:
        assert one(ListenVerb, {"listen": {"url": url}}).url == url

    @pytest.mark.parametrize(
        "url", ["", "ftp://h.example.com", "wss://h.example.com/a b", "wss://h\r\n", 3, None]
    )
    def test_what_is_no_websocket_url_is_refused(self, url: object) -> None:
        faulty("listen", {"url": url}, ".url")

    def test_the_deprecated_way_to_hear_nothing_back(self) -> None:
        assert not one(
            ListenVerb, {"listen": {"url": URL, "disableBidirectionalAudio": True}}
        ).is_bidirectional
        off = {"url": URL, "bidirectionalAudio": {"enabled": False}}
        assert not one(ListenVerb, {"listen": off}).is_bidirectional

    @pytest.mark.parametrize(
        ("properties", "below"),
        [
            ({"mixType": "both"}, ".mixType"),
            ({"metadata": "a"}, ".metadata"),
            ({"finishOnKey": "x"}, ".finishOnKey"),
            ({"maxLength": 0}, ".maxLength"),
            ({"timeout": -1}, ".timeout"),
            ({"passDtmf": "yes"}, ".passDtmf"),
            ({"channel": 3}, ".channel"),
            ({"channel": 1.5}, ".channel"),
            ({"transcribe": {"hook": "/text"}}, ".transcribe.hook"),
            ({"bidirectionalAudio": True}, ".bidirectionalAudio"),
            ({"bidirectionalAudio": {"stream": True}}, ".bidirectionalAudio.stream"),
        ],
    )
    def test_what_is_wrong_is_refused_where_it_is(self, properties: dict[str, Any], below: str) -> None:
        faulty("listen", {"url": URL, **properties}, below)


class TestTranscribe:
    def test_everything_can_be_said(self) -> None:
        transcribe = one(
            TranscribeVerb,
            {
                "verb": "transcribe",
                "transcriptionHook": "/text",
                "translationHook": {"url": "/translation"},
                "recognizer": {"vendor": "deepgram", "deepgramOptions": {"apiKey": "k"}, "interim": True},
                "earlyMedia": True,
                "channel": 1,
            },
        )
        assert (transcribe.transcription_hook, transcribe.translation_hook) == (
            Hook("/text"),
            Hook("/translation"),
        )
        assert transcribe.recognizer == Recognizer(
            vendor="deepgram", deepgram_options={"apiKey": "k"}, interim=True
        )
        assert (transcribe.early_media, transcribe.channel) == (True, 1)

    @pytest.mark.parametrize(
        ("recognizer", "below"),
        [
            ("google", ""),
            ({"vender": "google"}, ".vender"),
            ({"hints": "a"}, ".hints"),
            ({"hints": ["a", 1]}, ".hints[1]"),
            ({"interactionType": "chat"}, ".interactionType"),
            ({"vad": {"mode": 4}}, ".vad.mode"),
            ({"minConfidence": 2}, ".minConfidence"),
        ],
    )
    def test_a_recognizer_is_checked(self, recognizer: object, below: str) -> None:
        faulty("transcribe", {"recognizer": recognizer}, f".recognizer{below}")

    def test_the_rest_is_checked_too(self) -> None:
        faulty("transcribe", {"transcriptionHook": 3}, ".transcriptionHook")
        faulty("transcribe", {"channel": "1"}, ".channel")


class TestConfig:
    def test_nothing_said_changes_nothing(self) -> None:
        config = one(ConfigVerb, {"config": {}})
        assert (config.synthesizer, config.recognizer, config.notify_events) == (None, None, None)
        assert (config.listen, config.transcribe) == (None, None)

    def test_session_defaults(self) -> None:
        config = one(
            ConfigVerb,
            {
                "config": {
                    "synthesizer": {"voice": "en-gb"},
                    "recognizer": {"language": "en-GB"},
                    "notifyEvents": True,
                }
            },
        )
        assert config.synthesizer == Synthesizer(voice="en-gb")
        assert config.recognizer == Recognizer(language="en-GB")
        assert config.notify_events is True

    def test_a_background_stream_goes_on_until_it_is_switched_off(self) -> None:
        on = one(ConfigVerb, {"config": {"listen": {"enable": True, "url": URL, "mixType": "stereo"}}})
        assert on.listen is not None
        assert on.listen.to_verb() == one(ListenVerb, {"listen": {"url": URL, "mixType": "stereo"}})
        off = one(ConfigVerb, {"config": {"stream": {"enable": False}}})
        assert off.listen is not None
        assert off.listen.enable is False
        with pytest.raises(ValueError, match="switched off"):
            off.listen.to_verb()
        assert faulty("config", {"listen": {"enable": True}}, ".listen") == "missing required property `url`"
        faulty("config", {"listen": {"url": URL}, "stream": {"url": URL}}, ".stream")

    def test_a_background_transcription_goes_on_until_it_is_switched_off(self) -> None:
        config = one(ConfigVerb, {"config": {"transcribe": {"enable": True, "transcriptionHook": "/text"}}})
        assert config.transcribe is not None
        assert config.transcribe.to_verb() == TranscribeVerb(transcription_hook=Hook("/text"))
        faulty("config", {"transcribe": {"enable": "yes"}}, ".transcribe.enable")

    def test_a_background_stream_has_every_property_of_listen(self) -> None:
        config = one(ConfigVerb, {"config": {"listen": {"enable": True, "url": URL}}})
        assert config.listen is not None
        own = set(type(config.listen).__struct_encode_fields__)
        assert own - {"enable"} == set(ListenVerb.__struct_encode_fields__) - {"id", "_"}
