"""`play` in virtual time: what is heard, how long it takes, what the `actionHook` is told."""

from __future__ import annotations

import asyncio

import pytest

from engine.application.document import parse_document
from tests.application.verbs.sounding import FACTS, on_stage
from tests.support.virtual_time import in_virtual_time, settle


@in_virtual_time
async def test_a_file_is_heard_whole_and_the_action_hook_is_told_how_much() -> None:
    async with on_stage() as stage:
        took = await stage.run({"verb": "play", "id": "p1", "url": "440x1.5", "actionHook": "/played"})
        assert took == pytest.approx(1.5, abs=0.05)
        assert stage.heard_tones() == [(450, 1.5)]
        assert stage.party.has_answered
        [(url, told)] = stage.hooks.asked
        assert url == "/played"
        assert told["call_sid"] == FACTS.call_sid
        assert {
            name: told[name] for name in told if name.startswith("play") or name in ("reason", "status")
        } == {
            "reason": "playCompleted",
            "playback_seconds": 1,
            "playback_milliseconds": 1500,
            "playback_last_offset_pos": "12000",
        }
        assert told["verb_id"] == "p1"
        assert stage.alerts == []


@in_virtual_time
async def test_several_files_follow_each_other_and_all_of_them_are_repeated() -> None:
    async with on_stage() as stage:
        took = await stage.run(
            {"verb": "play", "url": ["400x0.5", "800x1"], "loop": 2, "actionHook": "/played"}
        )
        assert took == pytest.approx(3.0, abs=0.05)
        assert stage.heard_tones() == [(400, 0.5), (800, 1.0), (400, 0.5), (800, 1.0)]
        told = stage.hooks.asked[0][1]
        assert (told["playback_milliseconds"], told["playback_last_offset_pos"]) == (3000, "8000")


@in_virtual_time
async def test_for_ever_ends_with_the_document_and_is_told_without_waiting_for_instructions() -> None:
    async with on_stage() as stage:
        stage.hooks.answers["/played"] = [{"verb": "play", "url": "900x9"}]
        running = stage.start({"verb": "play", "url": "400x0.3", "loop": "forever", "actionHook": "/played"})
        await asyncio.sleep(2.0)
        stage.hang_up()
        await running
        assert stage.hooks.asked == []
        [(url, told)] = stage.hooks.told
        assert (url, told["reason"]) == ("/played", "playCompleted")
        assert told["playback_milliseconds"] == pytest.approx(2000, abs=40)
        [(hz, seconds)] = stage.heard_tones()
        assert hz == 400
        assert seconds == pytest.approx(1.9, abs=0.11)


@in_virtual_time
async def test_an_offset_leaves_out_the_beginning_once_and_comes_back_as_a_place_to_go_on() -> None:
    async with on_stage() as stage:
        play = {"verb": "play", "url": ["400x1", "800x1"], "seekOffset": 4000, "actionHook": "/played"}
        assert await stage.run(play) == pytest.approx(1.5, abs=0.05)
        assert stage.heard_tones() == [(400, 0.5), (800, 1.0)]
        assert stage.hooks.asked[0][1]["playback_milliseconds"] == 1500


@in_virtual_time
async def test_it_ends_after_timeout_secs_wherever_it_is() -> None:
    async with on_stage() as stage:
        play = {
            "verb": "play",
            "url": "400x30",
            "timeoutSecs": 2,
            "seekOffset": 8000,
            "actionHook": "/played",
        }
        assert await stage.run(play) == pytest.approx(2.0, abs=0.05)
        told = stage.hooks.asked[0][1]
        assert told["reason"] == "playCompleted"
        assert (told["playback_seconds"], told["playback_last_offset_pos"]) == (2, "24000")
        assert await stage.run() == 0


@in_virtual_time
async def test_a_file_that_cannot_be_had_is_an_alert_and_play_failed_and_the_document_goes_on() -> None:
    async with on_stage() as stage:
        document = (
            {"verb": "play", "url": "gone.wav", "actionHook": "/played"},
            {"verb": "play", "url": "440x1"},
        )
        assert await stage.run(*document) == pytest.approx(1.0, abs=0.1)
        told = stage.hooks.asked[0][1]
        assert (told["reason"], told["status"]) == ("playFailed", "fail")
        assert (told["playback_seconds"], told["playback_milliseconds"]) == (0, 0)
        assert stage.alerts == [("sound-failed", "cannot play gone.wav: it is not there")]
        assert stage.heard_tones()[-1] == (450, 1.0)


@in_virtual_time
async def test_one_missing_file_of_several_is_told_and_the_others_are_played() -> None:
    async with on_stage() as stage:
        play = {"verb": "play", "url": ["400x0.5", "gone.wav", "800x0.5"], "actionHook": "/played"}
        await stage.run(play)
        assert stage.heard_tones() == [(400, 0.5), (800, 0.5)]
        told = stage.hooks.asked[0][1]
        assert (told["reason"], told["playback_milliseconds"]) == ("playFailed", 1000)
        assert len(stage.alerts) == 1


@in_virtual_time
async def test_nothing_to_play_for_ever_is_over_at_once() -> None:
    async with on_stage() as stage:
        assert await stage.run({"verb": "play", "url": "gone.wav", "loop": "forever"}) < 0.1
    async with on_stage(is_bare=True) as stage:
        assert await stage.run({"verb": "play", "url": "440x1", "loop": "forever"}) < 0.1
        assert stage.alerts == [("sound-failed", "this engine plays no files")]


@in_virtual_time
async def test_the_first_file_is_played_while_the_next_ones_come() -> None:
    async with on_stage() as stage:
        play = {"verb": "play", "url": ["400x1@0.5", "800x1@3"], "actionHook": "/played"}
        took = await stage.run(play)
        assert took == pytest.approx(4.0, abs=0.1)
        heard = stage.heard_tones()
        assert [hz for hz, _ in heard] == [0, 400, 0, 800]
        assert stage.hooks.asked[0][1]["playback_milliseconds"] == 2000  # the silence does not count


@in_virtual_time
async def test_hanging_up_while_a_file_is_fetched_stops_the_fetch() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "play", "url": ["400x1@60", "800x1@60"]})
        await asyncio.sleep(1.0)
        stage.hang_up()
        await running
        await settle()
        assert stage.files.cancelled == 2
        assert not [task for task in asyncio.all_tasks() if "sound" in task.get_name()]


@in_virtual_time
async def test_early_media_plays_to_a_caller_who_is_not_answered() -> None:
    async with on_stage() as stage:
        await stage.run({"verb": "play", "url": "440x1", "earlyMedia": True})
        assert stage.party.has_early_media
        assert not stage.party.has_answered
        assert stage.heard_tones() == [(450, 1.0)]


@in_virtual_time
async def test_the_answer_of_the_action_hook_replaces_the_document() -> None:
    async with on_stage() as stage:
        stage.hooks.answers["/played"] = [{"verb": "play", "url": "800x0.5"}]
        await stage.run(
            {"verb": "play", "url": "400x0.5", "actionHook": "/played"}, {"verb": "play", "url": "1200x9"}
        )
        assert [hz for hz, _ in stage.heard_tones()] == [400, 800]


@in_virtual_time
async def test_files_come_at_the_rate_of_the_call() -> None:
    async with on_stage(is_wide=True) as stage:
        await stage.run({"verb": "play", "url": "400x1", "actionHook": "/played", "seekOffset": 4000})
        assert stage.files.asked == [("400x1", 16000)]
        told = stage.hooks.asked[0][1]
        assert (told["playback_milliseconds"], told["playback_last_offset_pos"]) == (500, "8000")


@in_virtual_time
async def test_another_document_takes_over_within_a_packet_and_the_hook_is_told_of_the_end() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "play", "url": "400x60", "actionHook": "/played"})
        await asyncio.sleep(1.0)
        document = parse_document([{"verb": "play", "url": "800x1"}])
        assert stage.session.replace(document, ticket=stage.session.ticket())
        await running
        assert stage.heard_tones() == [(400, 1.0), (800, 1.0)]
        [(url, told)] = stage.hooks.told
        assert (url, told["playback_milliseconds"]) == ("/played", pytest.approx(1000, abs=40))
        assert stage.hooks.asked == []
