"""engine.application.direct_media: media past us and back, with phones that say and hear tones."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from engine.application.capture import DigitCapture
from engine.application.direct_media import DirectMedia
from engine.application.schema.dial import DtmfCapture
from engine.dial.leg import Cause
from engine.legs import exchange
from engine.legs.notes import LegGone, PeerHeld
from engine.sip.events import AnswerReceived, OfferRejected
from engine.sip.types import Body
from media import MediaConfig
from media.audio import Pcm
from media.player import PcmPlayer
from tests.legs.support import Inbox
from tests.legs.talking import Talk, TalkingPhone, talking
from tests.media.signals import tone


def _are_direct(talk: Talk) -> bool:
    return talk.alice.peer_port == talk.bob.rtp_port and talk.bob.peer_port == talk.alice.rtp_port


def _are_anchored(talk: Talk) -> bool:
    assert talk.caller.media is not None
    assert talk.callee.media is not None
    return talk.alice.peer_port == talk.caller.media.port and talk.bob.peer_port == talk.callee.media.port


def _is_held(phone: TalkingPhone) -> bool:
    return phone.stream.is_held


async def test_exit_media_path_leads_the_audio_past_us_and_back() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        assert _are_anchored(talk)
        assert await direct.go()
        assert direct.is_direct
        assert _are_direct(talk)
        assert await talk.quiet_here()
        await talk.both_hear()
        assert await direct.go(), "it is there already"
        assert len(talk.alice.offers) == len(talk.bob.offers) == 1
        assert await direct.come_back()
        assert _are_anchored(talk)
        assert not await talk.quiet_here()
        await talk.both_hear()
        assert await direct.come_back(), "it is here already"
        direct.close()


async def test_origins_are_ours_and_count_on_in_every_description() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        await direct.come_back()
        await direct.go()
        for phone in (talk.alice, talk.bob):
            origins = [offer.split(b"\r\n")[1].split() for offer in phone.offers]
            assert len({origin[1] for origin in origins}) == 1, "RFC 3264 §8: the session stays the same"
            versions = [int(origin[2]) for origin in origins]
            assert versions == list(range(versions[0], versions[0] + len(versions)))
        direct.close()


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_party_that_refuses_keeps_everything_as_it_was(who: str) -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        phone = talk.alice if who == "alice" else talk.bob
        phone.refuses = 488
        assert not await direct.go()
        assert not direct.is_direct
        assert _are_anchored(talk)
        await talk.both_hear()
        assert len(talk.bob.offers) == (2 if who == "alice" else 1), "asked back only if it had moved"
        direct.close()


async def test_silence_here_is_no_time_out_while_the_media_is_direct() -> None:
    async with talking(MediaConfig(rtp_timeout_s=0.4)) as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        assert await direct.go()
        await asyncio.sleep(1.2)
        assert not talk.caller.is_over
        assert not talk.callee.is_over
        assert await direct.come_back()
        await talk.both_hear()
        direct.close()


async def test_dv83_hold_and_resume_are_relayed_while_the_media_is_direct() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        await talk.alice.offer(holding=True)
        await talk.alice.until(AnswerReceived)
        assert b"a=sendonly" in talk.bob.offers[-1]
        assert _is_held(talk.bob)
        await talk.alice.hears_nothing_of(talk.bob.hz)
        assert await talk.quiet_here()
        await talk.alice.offer(holding=False)
        await talk.alice.until(AnswerReceived, count=2)
        assert not _is_held(talk.bob)
        await talk.both_hear()
        assert _are_direct(talk)
        assert direct.is_direct
        direct.close()


async def test_dv83_an_offer_the_other_party_refuses_is_refused() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        talk.alice.refuses = 488
        await talk.bob.offer(holding=True)
        assert (await talk.bob.until(OfferRejected)).status == 488
        talk.alice.refuses = 0
        await talk.both_hear()
        direct.close()


async def test_dv83_a_hold_that_needs_our_media_brings_it_back_and_resume_leads_it_past_us_again() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee, anchors_on_hold=True)
        held = Inbox()
        talk.caller.watch(held.put)
        await direct.go()
        await talk.alice.offer(holding=True)
        assert (await held.until(PeerHeld)).is_held
        await held.settled_elsewhere(lambda: _are_anchored(talk))
        await talk.alice.offer(holding=False)
        assert not (await held.until(PeerHeld, count=2)).is_held
        await held.settled_elsewhere(lambda: direct.is_direct)
        assert _are_direct(talk)
        await talk.both_hear()
        direct.close()


async def test_dv83_offers_of_both_at_the_same_moment_are_passed_on_one_after_the_other() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        await asyncio.gather(talk.alice.offer(holding=True), talk.bob.offer(holding=True))
        await talk.alice.until(AnswerReceived, within_s=10.0)
        await talk.bob.until(AnswerReceived, within_s=10.0)
        assert not [
            each for each in (*talk.alice.events, *talk.bob.events) if isinstance(each, OfferRejected)
        ]
        assert _is_held(talk.alice)
        assert direct.is_direct
        direct.close()


async def test_a_session_refresh_leaves_the_other_party_in_peace() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        before = len(talk.alice.offers)
        assert talk.bob.session is not None
        said = talk.callee.remote_sdp
        assert said is not None
        talk.bob.stream.create_offer()  # so that it expects an answer; what it says is what it said before
        talk.bob.session.offer(Body("application/sdp", said), talk.bob.now)
        talk.bob.endpoint.touch()
        answer = await talk.bob.until(AnswerReceived)
        assert f"m=audio {talk.alice.rtp_port} ".encode() in answer.body.data
        assert len(talk.alice.offers) == before
        direct.close()


async def test_media_that_is_held_stays_here() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await talk.alice.offer(holding=True)
        await talk.alice.until(AnswerReceived)
        assert not await direct.go()
        assert talk.bob.offers == []
        await talk.alice.offer(holding=False)  # and now it goes, as was wished
        await talk.alice.settled_elsewhere(lambda: direct.is_direct)
        assert _are_direct(talk)
        direct.close()


async def test_when_the_callee_has_hung_up_the_caller_comes_back_to_us() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        gone = Inbox()
        talk.callee.watch(gone.put)
        assert talk.bob.session is not None
        talk.bob.session.hang_up(talk.bob.now)
        talk.bob.endpoint.touch()
        await gone.until(LegGone)
        talk.bridge.close()
        assert await direct.come_back()
        direct.close()
        assert talk.caller.media is not None
        assert talk.alice.peer_port == talk.caller.media.port


async def test_a_callee_we_hang_up_meanwhile_does_not_hold_the_caller() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        talk.callee.hang_up(Cause.NORMAL)
        async with asyncio.timeout(2.0):
            assert await direct.come_back()
        assert talk.caller.media is not None
        assert talk.alice.peer_port == talk.caller.media.port
        direct.close()


async def test_closed_in_the_middle_of_an_offer_it_still_owes_the_answer() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        await talk.alice.offer(holding=True)
        await talk.bob.settled_elsewhere(lambda: len(talk.bob.offers) == 2)
        direct.close()
        direct.close()
        await talk.alice.until(AnswerReceived)
        assert talk.caller.offer_handler is None


async def test_a_way_back_that_nobody_waits_for_any_more_is_gone_to_its_end() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        waiting = asyncio.get_running_loop().create_task(direct.come_back())
        # In every turn of the loop: it does not last long, and no event tells of it.
        while not talk.caller.is_offering:  # noqa: ASYNC110
            await asyncio.sleep(0)
        waiting.cancel()
        assert len(talk.alice.offers) == 1, "it has only just begun"
        direct.close()
        await talk.alice.settled_elsewhere(lambda: _are_anchored(talk))
        await talk.both_hear()
        streams = (talk.caller.media, talk.callee.media)
        await talk.alice.settled_elsewhere(lambda: not any(each and each.is_bypassed for each in streams))


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_nobody_waits_for_ever_for_a_party_that_says_nothing_to_an_offer(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_PATIENCE_S", 0.3)
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        (talk.alice if who == "alice" else talk.bob).is_silent = True
        async with asyncio.timeout(3.0):
            assert not await direct.go()
            assert await direct.come_back(), "it is here"
        await talk.both_hear()
        direct.close()


async def test_digits_go_by_info_while_the_media_is_direct() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        sent = talk.callee.statistics()
        assert sent is not None
        talk.callee.send_dtmf("5")
        assert talk.alice.session is not None
        talk.alice.session.send_info(Body("application/dtmf", b"7"), talk.alice.now)
        talk.alice.endpoint.touch()
        await talk.bob.settled_elsewhere(lambda: talk.infos_of_bob() == ["5", "7"])
        after = talk.callee.statistics()
        assert after is not None
        assert after.packets_sent == sent.packets_sent
        direct.close()


async def test_a_tap_brings_the_media_back_for_as_long_as_it_listens() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        heard = Inbox()
        levels: list[int] = []

        def tap(pcm: Pcm) -> None:
            levels.append(int(np.abs(pcm).max()))

        assert talk.callee.media is not None
        talk.callee.media.add_tap(tap)
        await heard.settled_elsewhere(lambda: not direct.is_direct and _are_anchored(talk))
        await heard.settled_elsewhere(lambda: max(levels, default=0) > 1000)
        await talk.both_hear()
        talk.callee.media.remove_tap(tap)
        await heard.settled_elsewhere(lambda: direct.is_direct)
        assert _are_direct(talk)
        await talk.both_hear()
        direct.close()


async def test_what_is_played_to_one_party_is_heard_and_the_media_goes_again() -> None:
    async with talking() as talk:
        direct = DirectMedia(talk.caller, talk.callee)
        await direct.go()
        assert talk.caller.media is not None
        talk.caller.media.play(PcmPlayer(tone(1800.0, seconds=1.0), 8000))
        await talk.alice.hears(1800.0)
        await talk.alice.settled_elsewhere(lambda: direct.is_direct and _are_direct(talk))
        await talk.both_hear()
        direct.close()


async def test_media_that_something_here_needs_goes_when_it_is_not_needed_any_more() -> None:
    async with talking() as talk:
        assert talk.callee.media is not None
        talk.callee.boost(6.0)
        direct = DirectMedia(talk.caller, talk.callee)
        assert not await direct.go()
        assert talk.bob.offers == []
        talk.callee.boost(0.0)
        await talk.bob.settled_elsewhere(lambda: direct.is_direct)
        await talk.both_hear()
        assert await direct.come_back()
        talk.callee.boost(6.0)
        talk.callee.boost(0.0)
        await asyncio.sleep(0.7)
        assert _are_anchored(talk), "who wanted it back has it back"
        direct.close()


async def test_dv80_digits_that_are_captured_keep_the_media_here() -> None:
    async with talking() as talk:
        capture = DigitCapture(DtmfCapture(parent_call=("5",)), lambda leg, digits: None)
        capture.watch_caller(talk.caller)
        capture.watch_callee(talk.callee)
        direct = DirectMedia(talk.caller, talk.callee)
        assert not await direct.go()
        capture.close()
        await talk.bob.settled_elsewhere(lambda: direct.is_direct)
        direct.close()


async def test_a_party_that_refused_is_not_asked_again_and_again() -> None:
    async with talking() as talk:
        talk.alice.refuses = 488
        direct = DirectMedia(talk.caller, talk.callee)
        assert not await direct.go()
        asked = len(talk.alice.offers)
        await asyncio.sleep(0.7)
        assert len(talk.alice.offers) == asked
        direct.close()
        assert talk.caller.media is not None
        assert talk.caller.media.usage_changed is None
