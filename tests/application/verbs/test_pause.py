from __future__ import annotations

import asyncio

import pytest

from engine.application.session import MAX_IDLE_DOCUMENTS, EndingKind
from tests.application.verbs.sounding import on_stage
from tests.support.virtual_time import in_virtual_time


@pytest.mark.parametrize("length", [0, 0.25, 2, 3600])
def test_it_takes_exactly_as_long_as_it_says_and_answers_nobody(length: float) -> None:
    @in_virtual_time
    async def run() -> None:
        async with on_stage() as stage:
            assert await stage.run({"verb": "pause", "length": length}) == pytest.approx(length, abs=1e-6)
            assert not stage.party.has_answered

    run()


@in_virtual_time
async def test_hanging_up_ends_it() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "pause", "length": 3600})
        await asyncio.sleep(1.0)
        stage.hang_up()
        assert (await running).kind is EndingKind.GONE
        assert stage.now == 1.0


@in_virtual_time
async def test_documents_that_wait_between_hooks_are_no_loop_and_those_that_do_not_are() -> None:
    async with on_stage() as stage:
        again = [{"verb": "pause", "length": 1}, {"verb": "redirect", "actionHook": "/again"}]
        stage.hooks.answers["/again"] = list(again)
        running = stage.start(*again)
        await asyncio.sleep(MAX_IDLE_DOCUMENTS * 3)
        assert not running.done()
        stage.hang_up()
        await running
    async with on_stage() as stage:
        again = [{"verb": "pause", "length": 0}, {"verb": "redirect", "actionHook": "/again"}]
        stage.hooks.answers["/again"] = list(again)
        assert (await stage.start(*again)).kind is EndingKind.LOOPED
