"""Section 5 through the verb: what the caller hears and when it is answered; what is promised meanwhile."""

from __future__ import annotations

import pytest

from engine.hooks import HookKind
from tests.application.rehearsal import Rehearsal, rehearsal
from tests.support.virtual_time import in_virtual_time, settle


def _dial(targets: int = 1, **more: object) -> dict[str, object]:
    names = ("bob", "carol")[:targets]
    return {
        "verb": "dial",
        "target": [{"type": "sip", "sipUri": f"sip:{n}@example.com"} for n in names],
        **more,
    }


async def _rings(stage: Rehearsal, how: str) -> None:
    leg = stage.legs[0]
    if how == "180":
        leg.ring()
    else:
        leg.early_media()
    await settle()


MUSIC = "https://app.example.com/music.mp3"


@pytest.mark.parametrize(
    ("verb", "sends", "told", "heard", "status"),
    [
        (_dial(), "180", ["200"], ["ringback"], "in-progress"),
        (_dial(), "183", ["200"], ["ringback"], "in-progress"),
        (_dial(dialMusic=MUSIC), "180", ["200"], [f"music {MUSIC}"], "in-progress"),
        (_dial(answerOnBridge=True), "180", ["180"], [], "ringing"),
        (_dial(answerOnBridge=True), "183", ["183"], ["leg a"], "early-media"),
        (_dial(2, answerOnBridge=True), "183", ["180"], [], "ringing"),
        (_dial(answerOnBridge=True, dialMusic=MUSIC), "183", ["183"], [f"music {MUSIC}"], "early-media"),
    ],
    ids=["plain-180", "plain-183", "music", "bridge-180", "bridge-183", "bridge-183-of-two", "bridge-music"],
)
@in_virtual_time
async def test_section5_each_row(
    verb: dict[str, object], sends: str, told: list[str], heard: list[str], status: str
) -> None:
    async with rehearsal([verb]) as stage:
        await _rings(stage, sends)
        assert stage.party.leg.log == told
        assert stage.audio.played == heard
        assert stage.statuses() == ["trying", status]
        stage.legs[0].answer()
        await settle()
        expected = told if told == ["200"] else [*told, "200"]
        assert stage.party.leg.log == expected, "DV-40, DV-42: one 200, when somebody was selected"
        assert stage.audio.now_playing == "leg a"
        assert stage.statuses()[-1] == "in-progress"
        stage.party.goes()
        await settle()
        assert stage.audio.now_playing == ""


@in_virtual_time
async def test_dv42_an_answered_caller_is_not_answered_again() -> None:
    async with rehearsal([{"verb": "answer"}, _dial(answerOnBridge=True)]) as stage:
        stage.legs[0].answer()
        await settle()
        assert stage.party.leg.log == ["200"]
        stage.party.goes()


@in_virtual_time
async def test_dv43_music_that_cannot_be_played_is_an_alert_and_ringback_takes_its_place() -> None:
    async with rehearsal([_dial(dialMusic=MUSIC)]) as stage:
        stage.legs[0].ring()
        await settle()
        assert stage.audio.music_failed is not None
        stage.audio.now_playing = ""
        stage.audio.music_failed("404")
        await settle()
        assert stage.audio.played[-1] == "ringback"
        [alert] = stage.alerts.rows
        assert (alert.kind, alert.text) == ("sound-failed", "dialMusic: 404")
        stage.party.goes()


@in_virtual_time
async def test_what_must_not_be_lost_is_promised_from_the_start_and_kept_in_the_end() -> None:
    async with rehearsal([_dial(2)]) as stage:
        assert stage.call.dialling is not None
        assert stage.hooks.promised == {
            (HookKind.CALL_STATUS, ""),
            (HookKind.CALL_STATUS, "a"),
            (HookKind.CALL_STATUS, "b"),
            (HookKind.DIAL_ACTION, stage.call.dialling.id),
        }
        stage.legs[0].refuse(486)
        stage.legs[1].refuse(404)
        await settle()
        assert stage.hooks.promised == {(HookKind.CALL_STATUS, "")}
        stage.asked("/dial").answer()
        await settle()
    assert stage.hooks.promised == set()


@in_virtual_time
async def test_a_leg_that_cannot_be_hung_up_does_not_keep_the_call() -> None:
    async with rehearsal([{"verb": "hangup"}]) as stage:
        stage.party.breaks = True
    assert stage.statuses()[-1] == "busy"
    assert stage.task.exception() is None
    stage.party.breaks = False


@in_virtual_time
async def test_the_task_of_a_call_is_cancelled_and_the_call_still_ends() -> None:
    async with rehearsal([_dial()]) as stage:
        stage.legs[0].answer()
        await settle()
        stage.task.cancel()
        await settle()
        assert stage.legs[0].has_ended
        assert stage.party.goodbyes == [200]
        [action] = stage.told("/dial")
        assert action["dial_status"] == "completed"
        assert stage.statuses()[-1] == "completed"
        assert stage.task.cancelled()


@in_virtual_time
async def test_a_bug_where_a_dial_begins_is_a_failed_dial_with_its_action_hook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with rehearsal() as stage:
        monkeypatch.setattr("engine.application.dialling.to_request", broken)
        stage.asked("/call").answer([_dial(answerOnBridge=True)])
        await settle()
        [told] = stage.told("/dial")
        assert (told["dial_status"], told["dial_sip_status"]) == ("failed", 500)
        stage.asked("/dial").answer()
        await settle()
        assert stage.party.goodbyes == [500]
    async with rehearsal() as stage:
        monkeypatch.undo()
        monkeypatch.setattr("engine.application.dialling.LiveDetector", broken)
        stage.asked("/call").answer([_dial(answerOnBridge=True, amd={"actionHook": "/amd"})])
        await settle()
        assert all(leg.has_ended or not leg.is_started for leg in stage.legs.made)
        assert len(stage.told("/dial")) == 1


@in_virtual_time
async def test_a_bug_where_a_dial_ends_does_not_keep_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with rehearsal([_dial(answerOnBridge=True)]) as stage:
        monkeypatch.setattr("engine.application.call.Call.dial_ended", broken)
        stage.legs[0].refuse(486)
        await settle()
        assert stage.party.leg.is_gone
        assert stage.task.done()
