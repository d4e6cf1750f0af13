"""Every parameter of the dial contract, sections 2 and 8: its form, its default, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.application.document import DialVerb, ListenVerb, TranscribeVerb
from engine.application.schema import Amd, AmdTimers, DtmfCapture, Dub
from engine.dial import DialRequest
from engine.hooks import Hook
from tests.application.documents import PHONE, SIP, USER, dial, one, refused


def faulty(property_name: str, value: object, below: str = "") -> str:
    """The problem with a dial's property, which must be said to be exactly there."""
    path, problem = refused({"verb": "dial", "target": [PHONE], property_name: value})
    assert path == f"$[0].{property_name}{below}"
    return problem


def test_the_example_of_the_contract_is_read() -> None:
    verb = one(
        DialVerb,
        {
            "verb": "dial",
            "actionHook": "dial",
            "callerId": "+491173331212",
            "answerOnBridge": True,
            "dtmfCapture": ["*2", "*3"],
            "dtmfHook": {"url": "/dtmf", "method": "GET"},
            "amd": {"actionHook": "amd", "recognizer": {"vendor": "microsoft", "language": "en-US"}},
            "target": [
                PHONE | {"trunk": "CarrierA"},
                SIP | {"auth": {"username": "u", "password": "p"}},
                USER,
            ],
        },
    )
    assert verb.caller_id == "+491173331212"
    assert verb.answer_on_bridge
    assert verb.dtmf_hook == Hook("/dtmf", "GET")
    assert verb.amd is not None
    assert verb.amd.recognizer is not None
    assert verb.amd.recognizer.language == "en-US"
    assert len(verb.target) == 3


def test_all_defaults_are_those_of_the_contract() -> None:
    verb = dial()
    assert verb.action_hook == Hook("dial", "POST")
    assert verb.timeout == 60
    assert verb.answer_on_bridge is False
    assert verb.forward_pai is True
    assert verb.headers == {}
    assert verb.captures == DtmfCapture()
    assert not verb.is_direct
    absent = (
        "amd confirm_hook dial_music dtmf_hook listen stream on_hold_hook refer_hook tag time_limit "
        "transcribe anchor_media boost_audio_signal srtp_encryption"
    )
    assert [getattr(verb, name) for name in absent.split()] == [None] * 14
    assert (verb.caller_id, verb.caller_name, verb.proxy, verb.codecs, verb.dub) == ("", "", "", (), ())


def test_dv10_an_empty_target_array_is_refused() -> None:
    assert refused({"verb": "dial", "target": []})[0] == "$[0].target"


def test_dv10_the_target_is_required() -> None:
    assert refused({"verb": "dial"}) == ("$[0]", "missing required property `target`")


def test_dv10_duplicates_and_more_than_ten_are_no_fault_and_the_dial_leaves_them_out() -> None:
    numbers = [f"+1555010{n:02}" for n in range(12)]
    verb = dial(target=[{"type": "phone", "number": number} for number in [*numbers, numbers[0]]])
    assert len(verb.target) == 13
    request = DialRequest([each.to_target() for each in verb.target if not hasattr(each, "vmail")])
    assert [each.address for each in request.effective_targets] == numbers[:10]
    assert len(request.warnings) == 3  # one about duplicates, two about what is not dialled


@pytest.mark.parametrize("name", ["timeout", "timeLimit"])
@pytest.mark.parametrize("value", [0, -1, -0.5, "30", True, [], {}, float("nan"), float("inf"), 10**400])
def test_dv11_timers_must_be_positive_numbers(name: str, value: object) -> None:
    faulty(name, value)


@pytest.mark.parametrize("value", [1, 0.5, 3600])
def test_dv11_positive_timers_are_taken_as_they_are(value: float) -> None:
    verb = dial(timeout=value, timeLimit=value)
    assert (verb.timeout, verb.time_limit) == (value, value)


@pytest.mark.parametrize("bad", ["\r", "\n", "<", ">", '"', "@", " ", "\t", "\x00", "\u00a0"])
def test_dv12_what_could_break_a_uri_is_refused_in_caller_id_and_number(bad: str) -> None:
    assert "must not contain" in faulty("callerId", f"+1555{bad}0100")
    path, _ = refused({"verb": "dial", "target": [PHONE, {"type": "phone", "number": f"+1555{bad}0100"}]})
    assert path == "$[0].target[1].number"


@pytest.mark.parametrize("value", ["1001", "alice", "0044-7700", "*55"])
def test_dv12_safe_text_that_is_not_e164_is_accepted_and_warned_about(value: str) -> None:
    verb = dial(callerId=value, target=[{"type": "phone", "number": value}])
    assert verb.caller_id == value
    (phone,) = verb.target
    request = DialRequest([phone.to_target()], caller_id=value)
    assert len([text for text in request.warnings if "E.164" in text]) == 2


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("actionHook", "action_hook"),
        ("confirmHook", "confirm_hook"),
        ("dtmfHook", "dtmf_hook"),
        ("onHoldHook", "on_hold_hook"),
        ("referHook", "refer_hook"),
    ],
)
class TestHooks:
    def test_a_url_or_an_object(self, name: str, attribute: str) -> None:
        assert getattr(dial(**{name: "https://app.example.com/x?a=1#rc=2"}), attribute) == Hook(
            "https://app.example.com/x?a=1#rc=2"
        )
        full = {"url": "/x", "method": "GET", "username": "alice", "password": "secret"}
        assert getattr(dial(**{name: full}), attribute) == Hook("/x", "GET", "alice", "secret")
        assert getattr(dial(**{name: {"url": "/x"}}), attribute) == Hook("/x", "POST")

    def test_basic_auth_as_an_object_is_the_same(self, name: str, attribute: str) -> None:
        auth = {"username": "alice", "password": "secret"}
        hook = getattr(dial(**{name: {"url": "/x", "basicAuth": auth}}), attribute)
        assert hook == Hook("/x", "POST", "alice", "secret")
        faulty(name, {"url": "/x", "basicAuth": auth, "username": "bob"}, ".basicAuth")

    @pytest.mark.parametrize(
        ("value", "below"),
        [
            (3, ""),
            ([], ""),
            ("", ""),
            ("/a b", ""),
            ("/a\r\nX: y", ""),
            ({}, ""),
            ({"url": ""}, ".url"),
            ({"url": "/a\nb"}, ".url"),
            ({"url": 3}, ".url"),
            ({"url": "/x", "method": "PUT"}, ".method"),
            ({"url": "/x", "method": "get"}, ".method"),
            ({"url": "/x", "verb": "POST"}, ".verb"),
            ({"url": "/x", "password": "p"}, ".password"),
            ({"url": "/x", "username": "a:b", "password": "p"}, ".username"),
            ({"url": "/x", "username": "a", "password": "p\n"}, ".password"),
            ({"url": "/x", "basicAuth": {"username": "a"}}, ".basicAuth"),
        ],
    )
    def test_anything_else_is_refused_where_it_is(
        self, name: str, attribute: str, value: object, below: str
    ) -> None:
        assert faulty(name, value, below), attribute


def test_answer_on_bridge_and_forward_pai_are_booleans() -> None:
    verb = dial(answerOnBridge=True, forwardPAI=False)
    assert (verb.answer_on_bridge, verb.forward_pai) == (True, False)
    faulty("answerOnBridge", "true")
    faulty("forwardPAI", 0)


def test_caller_name_may_not_break_a_header() -> None:
    assert dial(callerName='Alice "A" Müller').caller_name == 'Alice "A" Müller'
    faulty("callerName", "Alice\r\nX-Evil: 1")
    faulty("callerName", 3)


def test_dial_music_is_one_url() -> None:
    assert dial(dialMusic="https://app.example.com/wait.mp3").dial_music == "https://app.example.com/wait.mp3"
    faulty("dialMusic", "")
    faulty("dialMusic", ["a.wav"])
    faulty("dialMusic", "a\r\nb")


def test_dv80_dtmf_capture_has_two_forms() -> None:
    assert dial(dtmfCapture=["*2", "12#", "A"]).captures == DtmfCapture(
        child_call=("*2", "12#", "A"), parent_call=("*2", "12#", "A")
    )
    assert dial(dtmfCapture={"childCall": ["*9"]}).captures == DtmfCapture(child_call=("*9",))
    assert dial(dtmfCapture={"parentCall": ["#1"], "childCall": ["1"]}).captures.parent_call == ("#1",)
    assert isinstance(dial(dtmfCapture=["1"]).dtmf_capture, DtmfCapture)


@pytest.mark.parametrize(
    ("value", "below"),
    [
        ("*2", ""),
        (["*2", ""], "[1]"),
        (["*2", "x"], "[1]"),
        ([2], "[0]"),
        ({"childCall": "*2"}, ".childCall"),
        ({"childCall": ["1", "+"]}, ".childCall[1]"),
        ({"child": ["1"]}, ".child"),
    ],
)
def test_dv80_what_is_no_sequence_of_keys_is_refused(value: object, below: str) -> None:
    faulty("dtmfCapture", value, below)


def test_dv21_headers_are_strings_or_numbers_and_reserved_ones_are_no_fault() -> None:
    verb = dial(headers={"X-Account": "7", "X-Count": 3, "X-Share": 0.5, "Via": "dropped later"})
    assert verb.headers == {"X-Account": "7", "X-Count": "3", "X-Share": "0.5", "Via": "dropped later"}


@pytest.mark.parametrize(
    "value", ["a\r\nb", "a\nb", "a\rb", "\x00", None, True, ["a"], {"a": 1}, float("inf")]
)
def test_dv21_a_header_value_that_breaks_lines_or_is_no_text_is_refused(value: object) -> None:
    faulty("headers", {"X-Fine": "1", "X-A": value}, "['X-A']")


@pytest.mark.parametrize("name", ["X A", "X:A", "X\r\nA", "", "Ü"])
def test_dv21_what_is_no_header_name_is_refused(name: str) -> None:
    path, problem = refused({"verb": "dial", "target": [PHONE], "headers": {name: "1"}})
    assert path.startswith("$[0].headers[")
    assert problem == "is not a header name"


def test_headers_must_be_an_object() -> None:
    faulty("headers", ["X-A: 1"])
    faulty("headers", None)


def test_listen_and_its_alias_stream() -> None:
    raw = {"url": "wss://app.example.com/audio", "mixType": "stereo"}
    by_name, by_alias = dial(listen=raw), dial(stream=raw)
    assert by_name == by_alias
    assert isinstance(by_alias.listen, ListenVerb)
    assert by_alias.stream is None
    path, _ = refused({"verb": "dial", "target": [PHONE], "listen": raw, "stream": raw})
    assert path == "$[0].stream"
    faulty("listen", {"mixType": "mono"})
    faulty("stream", {"url": "wss://a.example.com", "mixtype": "mono"}, ".mixtype")


def test_transcribe_is_nested() -> None:
    verb = dial(
        transcribe={"transcriptionHook": "/text", "recognizer": {"vendor": "default", "language": "de-DE"}}
    )
    assert isinstance(verb.transcribe, TranscribeVerb)
    assert verb.transcribe.transcription_hook == Hook("/text")
    faulty("transcribe", {"recognizer": {"langauge": "de-DE"}}, ".recognizer.langauge")


@pytest.mark.parametrize(
    "proxy", ["example.com", "sip:", "sip:bob@", "sip:a b@example.com", "sip:h:99999", "<sip:h>"]
)
def test_a_proxy_is_a_sip_uri(proxy: str) -> None:
    assert dial(proxy="sip:proxy.example.com:5070;transport=tcp").proxy
    faulty("proxy", proxy)


def test_tag_is_an_object_of_anything() -> None:
    assert dial(tag={"order": [1, {"a": None}]}).tag == {"order": [1, {"a": None}]}
    faulty("tag", "order")


@pytest.mark.parametrize(
    ("anchor", "leave", "direct"),
    [(None, None, False), (None, True, True), (False, True, True), (True, True, False), (True, None, False)],
)
def test_anchor_media_wins_over_exit_media_path(
    anchor: bool | None, leave: bool | None, direct: bool
) -> None:
    wishes: dict[str, Any] = {}
    if anchor is not None:
        wishes["anchorMedia"] = anchor
    if leave is not None:
        wishes["exitMediaPath"] = leave
    assert dial(**wishes).is_direct is direct


@pytest.mark.parametrize(("value", "gain"), [(10, 10), (-3.5, -3.5), ("10 dB", 10), ("+6dB", 6), ("-2", -2)])
def test_boost_audio_signal_is_a_number_or_a_string_of_db(value: object, gain: float) -> None:
    assert dial(boostAudioSignal=value).boost_audio_signal == gain


@pytest.mark.parametrize("value", ["loud", "", "10 dBm", True, [], 61, float("nan"), "1e999", 10**400])
def test_a_boost_that_is_no_gain_is_refused(value: object) -> None:
    faulty("boostAudioSignal", value)


def test_codecs_keep_their_order() -> None:
    assert dial(codecs=["opus", "PCMA"]).codecs == ("opus", "PCMA")
    faulty("codecs", "PCMA")
    faulty("codecs", ["PCMA", 8], "[1]")


def test_dub_and_srtp_encryption_are_carried() -> None:
    verb = dial(dub=[{"action": "addTrack", "track": "music", "gain": "-6 dB"}], srtpEncryption="sdes")
    assert verb.dub == (Dub(action="addTrack", track="music", gain=verb.dub[0].gain),)
    assert verb.dub[0].gain == -6.0
    assert verb.srtp_encryption == "sdes"
    assert dial(srtpEncryption="dtls").srtp_encryption == "dtls"
    faulty("srtpEncryption", "zrtp")
    faulty("dub", [{"action": "mix", "track": "a"}], "[0].action")


class TestAmd:
    def test_defaults_are_those_of_section_8(self) -> None:
        amd = dial(amd={"actionHook": "/amd"}).amd
        assert amd == Amd(action_hook=Hook("/amd"))
        assert amd is not None
        assert (amd.threshold_word_count, amd.digit_count, amd.recognizer) == (9, 0, None)
        assert amd.timers == AmdTimers(
            no_speech_timeout_ms=5000, decision_timeout_ms=15000, tone_timeout_ms=20000
        )
        assert amd.timers.greeting_completion_timeout_ms is None  # 2000, or 1000 after a beep

    def test_everything_can_be_said(self) -> None:
        amd = dial(
            amd={
                "actionHook": {"url": "/amd", "method": "GET"},
                "thresholdWordCount": 5,
                "digitCount": 4,
                "timers": {
                    "noSpeechTimeoutMs": 1,
                    "decisionTimeoutMs": 2.5,
                    "toneTimeoutMs": 3,
                    "greetingCompletionTimeoutMs": 4,
                },
                "recognizer": {"vendor": "google", "hints": ["call has been forwarded"]},
            }
        ).amd
        assert amd is not None
        assert amd.timers == AmdTimers(
            no_speech_timeout_ms=1,
            decision_timeout_ms=2.5,
            tone_timeout_ms=3,
            greeting_completion_timeout_ms=4,
        )
        assert (amd.threshold_word_count, amd.digit_count, amd.action_hook.method) == (5, 4, "GET")

    def test_the_action_hook_is_required(self) -> None:
        assert faulty("amd", {"digitCount": 1}) == "missing required property `actionHook`"

    @pytest.mark.parametrize(
        ("value", "below"),
        [
            ({"thresholdWordCount": 0}, ".thresholdWordCount"),
            ({"thresholdWordCount": 2.5}, ".thresholdWordCount"),
            ({"digitCount": -1}, ".digitCount"),
            ({"timers": {"toneTimeoutMs": 0}}, ".timers.toneTimeoutMs"),
            ({"timers": {"toneTimeout": 1}}, ".timers.toneTimeout"),
            ({"recognizer": "google"}, ".recognizer"),
            ({"mode": "fast"}, ".mode"),
        ],
    )
    def test_what_is_wrong_is_refused_where_it_is(self, value: dict[str, object], below: str) -> None:
        faulty("amd", {"actionHook": "/amd", **value}, below)
