"""engine.application.session: a leg under a document, with the verbs that are about the call itself."""

from __future__ import annotations

import asyncio

import pytest

from engine.application import verbs
from engine.application.digits import Digit, DigitFeed
from engine.application.document import TagVerb
from engine.application.session import Session
from engine.hooks import Hook, HookKind
from tests.application.rehearsal import rehearsal
from tests.support.virtual_time import in_virtual_time, settle

PAUSE = {"verb": "pause", "length": 10}


@in_virtual_time
async def test_a_verb_with_a_bug_costs_itself_and_is_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(verb: TagVerb, session: Session) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(verbs._runners, "TagVerb", broken)
    async with rehearsal([{"verb": "tag", "data": {}}, {"verb": "sip:decline", "status": 410}]) as stage:
        await settle()
        assert stage.party.goodbyes == [410]
    [alert] = stage.alerts.rows
    assert (alert.kind, alert.text) == ("engine-error", "tag failed: ZeroDivisionError")


@in_virtual_time
async def test_a_document_of_thousands_of_verbs_lets_others_have_their_turn() -> None:
    async with rehearsal() as stage:
        stage.asked("/call").answer([{"verb": "tag", "data": {"n": n}} for n in range(5000)])
        turns = 0
        while not stage.task.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 100


@in_virtual_time
async def test_dv02_the_id_of_a_verb_comes_back_in_its_hook() -> None:
    async with rehearsal([{"verb": "redirect", "actionHook": "/a", "id": "r7"}]) as stage:
        assert stage.asked("/a").payload["verb_id"] == "r7"
    async with rehearsal([{"verb": "redirect", "actionHook": "/a"}]) as stage:
        assert "verb_id" not in stage.asked("/a").payload


@in_virtual_time
async def test_decline_on_an_answered_call_is_an_alert_and_the_document_goes_on() -> None:
    decline = {"verb": "sip:decline", "status": 486}
    document: list[object] = [{"verb": "answer"}, decline, {"verb": "redirect", "actionHook": "/a"}]
    async with rehearsal(document) as stage:
        assert stage.asked("/a").payload["call_status"] == "in-progress"
        assert [alert.kind for alert in stage.alerts.rows] == ["decline-ignored"]
        assert stage.party.goodbyes == []


@in_virtual_time
async def test_an_answer_waits_for_an_ack_that_brings_the_audio_and_ends_with_the_caller() -> None:
    async with rehearsal() as stage:
        stage.party.leg._is_slow = True
        stage.asked("/call").answer([{"verb": "answer"}, {"verb": "redirect", "actionHook": "/a"}])
        await settle()
        assert stage.party.leg.log == ["200"]
        assert stage.told("/a") == []
        stage.party.leg._is_answered = True
        stage.party.acks()
        await settle()
        assert len(stage.told("/a")) == 1
        assert stage.statuses() == ["trying", "in-progress"]
    async with rehearsal() as stage:
        stage.party.leg._is_slow = True
        stage.asked("/call").answer([{"verb": "answer"}, {"verb": "redirect", "actionHook": "/a"}])
        await settle()
        stage.party.goes()
        await settle()
        assert stage.task.done()
        assert stage.told("/a") == []


@in_virtual_time
async def test_config_changes_what_it_names_and_leaves_the_rest() -> None:
    document: list[object] = [
        {"verb": "config", "synthesizer": {"vendor": "a", "voice": "v"}, "recognizer": {"vendor": "b"}},
        {"verb": "config", "synthesizer": {"vendor": "c"}, "notifyEvents": True},
        PAUSE,
    ]
    async with rehearsal(document) as stage:
        defaults = stage.call.session.defaults
        assert (defaults.synthesizer.vendor, defaults.synthesizer.voice) == ("c", "")
        assert defaults.recognizer.vendor == "b"
        assert defaults.notify_events
        stage.party.goes()


@in_virtual_time
async def test_what_config_keeps_running_goes_on_beside_the_verbs_until_it_is_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    async def listening(verb: object, session: Session) -> None:
        log.append("on")
        try:
            await asyncio.sleep(1000)
        finally:
            log.append("off")

    monkeypatch.setitem(verbs._runners, "ListenVerb", listening)
    on = {"verb": "config", "listen": {"url": "wss://app.example.com"}}
    off = {"verb": "config", "listen": {"enable": False}}
    async with rehearsal([on, PAUSE, off, PAUSE, on, PAUSE]) as stage:
        await asyncio.sleep(5)
        assert log == ["on"]
        await asyncio.sleep(10)
        assert log == ["on", "off"]
        await asyncio.sleep(10)
        assert log == ["on", "off", "on"]
        stage.party.goes()
        await settle()
        assert log == ["on", "off", "on", "off"]


@in_virtual_time
async def test_wh11_a_hook_asked_after_the_end_is_delivered_and_its_verbs_are_ignored() -> None:
    async with rehearsal([PAUSE]) as stage:
        stage.party.goes()
        await settle()
        assert stage.task.done()
        session = stage.call.session
        asked = session.start_asking(Hook("/late"), {"x": 1})
        assert asked.done()
        assert asked.result() is False
        assert stage.told("/late")[0]["x"] == 1


@in_virtual_time
async def test_a_status_hook_named_by_redirect_is_told_the_rest() -> None:
    document: list[object] = [{"verb": "redirect", "actionHook": "/a", "statusHook": "/status2"}]
    async with rehearsal(document) as stage:
        stage.asked("/a").answer([{"verb": "answer"}])
        await settle()
    assert [each["call_status"] for each in stage.told("/status")] == ["trying"]
    assert [each["call_status"] for each in stage.told("/status2")] == ["in-progress", "completed"]
    assert len(stage.kinds(HookKind.CALL_STATUS)) == 3


@in_virtual_time
async def test_digits_reach_whoever_listens_and_a_listener_with_a_bug_costs_itself() -> None:
    feed, heard = DigitFeed(), []

    def broken(digit: Digit) -> None:
        raise ZeroDivisionError

    def hear(digit: Digit) -> None:
        heard.append(digit.digit)
        feed.forget(hear)

    feed.listen(broken)
    feed.listen(hear)
    feed.push(Digit("1", 0.0))
    feed.push(Digit("2", 0.1))
    feed.forget(hear)
    assert heard == ["1"]
