"""Applications out of the configuration, dial requests out of documents, defaults of a session."""

from __future__ import annotations

import pytest

from engine.application.applications import Applications
from engine.application.dialling import to_request
from engine.application.document import VERBS as DOCUMENT_VERBS
from engine.application.document import DialVerb, parse_document
from engine.application.verbs import VERBS, runner_of
from engine.config import AccountConfig, ApplicationConfig, HookConfig, SpeechConfig
from engine.dial.request import TargetType
from engine.errors import ConfigError
from engine.hooks import Hook

SID = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
ACME = AccountConfig(sid="de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11", name="acme", sip_realm="sip.example.com")


def _config(**more: object) -> ApplicationConfig:
    return ApplicationConfig(**{"sid": SID, "name": "ivr", "account": "acme", **more})  # type: ignore[arg-type]


def _dial(**more: object) -> DialVerb:
    [verb] = parse_document([{"verb": "dial", **more}])
    assert isinstance(verb, DialVerb)
    return verb


def test_an_application_is_found_by_name_and_sid_and_by_its_own_account_only() -> None:
    applications = Applications([_config(call_hook="https://app.example.com/call")], [ACME])
    found = applications.find("ivr")
    assert found is applications.find(SID) is applications.of_account(ACME.sid, SID)
    assert found is not None
    assert (found.account_sid, found.realm) == (ACME.sid, "sip.example.com")
    assert found.call_hook == Hook("https://app.example.com/call")
    assert applications.of_account("another", SID) is None
    assert applications.find("nobody") is None


def test_hooks_documents_voices_and_the_state_of_the_account_are_taken_over() -> None:
    hook = HookConfig("https://app.example.com/status", "GET", "user", "secret")
    config = _config(
        document='[{"verb": "hangup"}]',
        call_status_hook=hook,
        synthesizer=SpeechConfig("espeak", "de-DE", "anna"),
        recognizer=SpeechConfig("pocketsphinx", "en-US"),
    )
    gone = AccountConfig(sid=ACME.sid, name="acme", active=False)
    found = Applications([config], [gone]).find("ivr")
    assert found is not None
    assert not found.is_active
    assert [verb.name() for verb in found.document] == ["hangup"]
    assert found.call_status_hook == Hook("https://app.example.com/status", "GET", "user", "secret")
    assert found.defaults.to_dict() == {
        "synthesizer": {"vendor": "espeak", "language": "de-DE", "voice": "anna"},
        "recognizer": {"vendor": "pocketsphinx", "language": "en-US"},
    }


def test_a_document_that_cannot_be_run_is_named_by_its_key() -> None:
    with pytest.raises(ConfigError) as error:
        Applications([_config(document='[{"verb": "fly"}]')], [ACME])
    assert error.value.key == "application[0].document"


def test_every_verb_of_documents_can_be_run() -> None:
    assert {kind.__name__ for kind in DOCUMENT_VERBS.values()} == set(VERBS)
    needed: dict[str, dict[str, object]] = {
        "dial": {"target": [{"type": "phone", "number": "+15550123"}]},
        "dtmf": {"dtmf": "1"},
        "listen": {"url": "wss://app.example.com"},
        "pause": {"length": 1},
        "play": {"url": "https://app.example.com/a.wav"},
        "redirect": {"actionHook": "/more"},
        "say": {"text": "hello"},
        "sip:decline": {"status": 486},
        "tag": {"data": {}},
    }
    for name in DOCUMENT_VERBS:
        [verb] = parse_document([{name: needed.get(name, {})}])
        assert runner_of(verb).__name__ == "run"


def test_a_dial_verb_becomes_a_request_and_screening_hooks_by_their_place() -> None:
    verb = _dial(
        target=[
            {"type": "user", "name": "1001"},
            {"type": "user", "name": "1002@other.example.com", "confirmHook": "/own"},
            {"type": "phone", "number": "+15550123", "trunk": "CarrierA", "headers": {"X-A": "1"}},
        ],
        confirmHook={"url": "/all", "method": "GET"},
        callerId="+15550100",
        callerName="Alice",
        timeout=20,
        timeLimit=600,
        answerOnBridge=True,
        dialMusic="https://app.example.com/m.mp3",
        forwardPAI=False,
        proxy="sip:192.0.2.1",
        codecs=["PCMA"],
        headers={"X-V": "2"},
    )
    request, hooks = to_request(verb, "sip.example.com")
    assert [target.address for target in request.targets] == [
        "1001@sip.example.com",
        "1002@other.example.com",
        "+15550123",
    ]
    assert [target.confirm_hook for target in request.targets] == ["", "target[1].confirmHook", ""]
    assert hooks == {"confirmHook": Hook("/all", "GET"), "target[1].confirmHook": Hook("/own")}
    assert request.confirm_hook == "confirmHook"
    assert (request.caller_id, request.caller_name) == ("+15550100", "Alice")
    assert (request.timeout_s, request.time_limit_s) == (20, 600)
    assert request.answer_on_bridge
    assert not request.forward_pai
    assert request.dial_music == "https://app.example.com/m.mp3"
    assert request.proxy == "sip:192.0.2.1"
    assert request.codecs == ("PCMA",)
    assert dict(request.headers) == {"X-V": "2"}
    assert dict(request.targets[2].headers) == {"X-A": "1"}


def test_a_teams_target_goes_over_the_trunk_of_that_name() -> None:
    numbers = [{"type": kind, "number": "+15550123"} for kind in ("teams", "phone")]
    request, _ = to_request(_dial(target=numbers))
    assert [(target.type, target.address) for target in request.effective_targets] == [
        (TargetType.TEAMS, "+15550123"),
        (TargetType.PHONE, "+15550123"),
    ], "one number, two targets"
