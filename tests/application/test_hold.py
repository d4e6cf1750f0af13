"""engine.application.hold: what a held party hears (DV-83), over phones that really hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from engine.application.document import DocumentError, parse_document
from engine.application.hold import HOLD_VERBS, HeldLeg, HoldDocuments, hold_detail
from engine.hooks.reply import HookFailed, HookReply
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from engine.legs.notes import LegGone, PeerHeld
from media.tones import Tone, ToneSource
from tests.legs.support import Inbox
from tests.legs.talking import Talk, talking

_PLAY = {"verb": "play", "url": "http://app.example.com/wait.wav"}
_MUSIC_HZ = 1800.0


class _Application:
    """Answers the onHoldHook, and plays a tone for every `play`."""

    def __init__(self, *replies: HookReply | HookFailed, lasts_s: float = 60.0) -> None:
        self._replies = list(replies)
        self._lasts_s = lasts_s
        self.asked: list[tuple[CallSid, dict[str, str]]] = []
        self.heard: list[tuple[CallSid, Sequence[object]]] = []
        self.stopped: list[CallSid] = []

    async def ask(self, holder: HeldLeg, detail: dict[str, str]) -> HookReply:
        self.asked.append((holder.id, detail))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, HookFailed):
            raise reply
        return reply

    async def play(self, held: HeldLeg, verbs: Sequence[object]) -> None:
        assert isinstance(held, CallLeg)
        stream = held.media
        assert stream is not None
        self.heard.append((held.id, verbs))
        stream.play(ToneSource(Tone((_MUSIC_HZ,)), 8000))
        try:
            await asyncio.sleep(self._lasts_s)
        finally:
            stream.stop_playing()
            self.stopped.append(held.id)


def _has_been_asked(app: _Application, times: int) -> bool:
    return len(app.asked) == times


@asynccontextmanager
async def _with(app: _Application) -> AsyncIterator[tuple[Talk, HoldDocuments]]:
    async with talking() as talk:
        holds = HoldDocuments(talk.caller, talk.callee, ask=app.ask, play=app.play)
        yield talk, holds
        await holds.close()


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_dv83_the_other_party_hears_the_document_until_the_hold_is_over(who: str) -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with _with(app) as (talk, _):
        holder, held = (talk.alice, talk.bob) if who == "alice" else (talk.bob, talk.alice)
        legs = (talk.caller, talk.callee) if who == "alice" else (talk.callee, talk.caller)
        await holder.offer(holding=True)
        await held.hears(_MUSIC_HZ)
        await held.hears_nothing_of(holder.hz)
        assert [leg for leg, _ in app.asked] == [legs[0].id]
        assert app.heard == [(legs[1].id, [_PLAY])]
        await holder.offer(holding=False)
        await talk.both_hear()
        await held.hears_nothing_of(_MUSIC_HZ)
        assert app.stopped == [legs[1].id]


async def test_dv83_each_hold_asks_anew() -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with _with(app) as (talk, _):
        for count in (1, 2):
            await talk.alice.offer(holding=True)
            await talk.bob.settled_elsewhere(partial(_has_been_asked, app, count))
            await talk.bob.hears(_MUSIC_HZ)
            await talk.alice.offer(holding=False)
            await talk.bob.hears_nothing_of(_MUSIC_HZ)


async def test_a_document_that_ends_is_asked_for_again_while_the_hold_goes_on() -> None:
    app = _Application(HookReply(200, [_PLAY]), HookReply(200, [_PLAY]), HookReply(204), lasts_s=1.05)
    async with _with(app) as (talk, _):
        await talk.alice.offer(holding=True)
        await talk.bob.settled_elsewhere(lambda: len(app.asked) == 3)
        await asyncio.sleep(0.1)
        assert len(app.heard) == 2, "no instructions: silence from here on"


async def test_a_document_that_takes_no_time_is_not_asked_for_again() -> None:
    app = _Application(HookReply(200, [_PLAY]), lasts_s=0.0)
    async with _with(app) as (talk, _):
        await talk.alice.offer(holding=True)
        await talk.bob.settled_elsewhere(lambda: len(app.stopped) == 1)
        await asyncio.sleep(0.2)
        assert (len(app.asked), len(app.heard)) == (1, 1)


@pytest.mark.parametrize("reply", [HookReply(204), HookReply(200, []), HookFailed("no answer", None)])
async def test_without_a_document_the_hold_is_an_ordinary_one(reply: HookReply | HookFailed) -> None:
    app = _Application(reply)
    async with _with(app) as (talk, _):
        await talk.alice.offer(holding=True)
        await talk.bob.settled_elsewhere(lambda: len(app.asked) == 1)
        await talk.alice.hears_nothing_of(talk.bob.hz)
        await talk.alice.offer(holding=False)
        await talk.both_hear()
        assert app.heard == []


async def test_two_who_hold_each_other_hear_nothing_of_us() -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with _with(app) as (talk, _):
        notes = Inbox()
        talk.caller.watch(notes.put)
        talk.callee.watch(notes.put)
        await talk.alice.offer(holding=True)
        await talk.bob.hears(_MUSIC_HZ)
        await talk.bob.offer(holding=True)
        await notes.until(PeerHeld, count=2)
        await talk.bob.settled_elsewhere(lambda: len(app.stopped) == 1)
        assert len(app.asked) == 1
        await talk.bob.offer(holding=False)
        await talk.bob.settled_elsewhere(lambda: len(app.asked) == 2)  # alice still holds, bob listens again
        await talk.bob.hears(_MUSIC_HZ)


async def test_the_end_of_either_party_ends_the_document() -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with _with(app) as (talk, _):
        gone = Inbox()
        talk.caller.watch(gone.put)
        await talk.alice.offer(holding=True)
        await talk.bob.hears(_MUSIC_HZ)
        assert talk.alice.session is not None
        talk.alice.session.hang_up(talk.alice.now)
        talk.alice.endpoint.touch()
        await gone.until(LegGone)
        await talk.bob.settled_elsewhere(lambda: app.stopped == [talk.callee.id])


async def test_after_close_nothing_is_played_and_nobody_is_watched() -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with _with(app) as (talk, holds):
        await talk.alice.offer(holding=True)
        await talk.bob.hears(_MUSIC_HZ)
        await holds.close()
        assert app.stopped == [talk.callee.id]
        await holds.close()
        await talk.alice.offer(holding=False)
        await talk.both_hear()
        assert len(app.asked) == 1


async def test_a_party_that_holds_already_when_they_are_joined_counts() -> None:
    app = _Application(HookReply(200, [_PLAY]))
    async with talking() as talk:
        notes = Inbox()
        talk.caller.watch(notes.put)
        await talk.alice.offer(holding=True)
        await notes.until(PeerHeld)
        holds = HoldDocuments(talk.caller, talk.callee, ask=app.ask, play=app.play)
        await talk.bob.hears(_MUSIC_HZ)
        await holds.close()


async def test_hold_detail_is_from_and_to_of_the_holders_request() -> None:
    async with talking() as talk:
        assert hold_detail(talk.caller) == {"from": "+15550111", "to": "5550100"}
        assert hold_detail(talk.callee) == {"from": "bob", "to": "a"}


def test_only_play_say_and_pause_may_be_heard() -> None:
    allowed: list[object] = [_PLAY, {"verb": "say", "text": "wait"}, {"verb": "pause", "length": 1}]
    assert len(parse_document(allowed, only=HOLD_VERBS)) == 3
    for verb in ({"verb": "hangup"}, {"verb": "gather"}, {"verb": "redirect", "actionHook": "/x"}):
        with pytest.raises(DocumentError):
            parse_document([_PLAY, verb], only=HOLD_VERBS)
