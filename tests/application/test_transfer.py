"""engine.application.transfer: REFER under an application (DV-82, hooks contract, 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from engine.application.transfer import Transfer, refer_details, refusal_of
from engine.dial.events import LegAnswered
from engine.dial.leg import Cause
from engine.hooks.reply import HookFailed, HookFailure, HookReply, MalformedReply
from engine.ids import new_call_sid
from engine.legs.notes import LegGone, LegNote, Referred
from engine.legs.sip_leg import SipLeg
from engine.sip import build
from engine.sip.events import Confirmed, Ended, ReferProgress
from engine.sip.message import Request
from engine.sip.types import InviteParams
from engine.sip.uas import IncomingInvite
from tests.legs.support import FarSide, Inbox, open_pair, sdp

_VERBS = [{"verb": "say", "text": "hello"}]


# -- refer_details ---------------------------------------------------------------------------------


def _refer(*fields: tuple[str, str]) -> Request:
    return build.request("REFER", "sip:engine@192.0.2.1", fields, b"", "")


def test_dv82_the_details_are_those_of_the_contract() -> None:
    request = _refer(
        ("Refer-To", "<sip:+15551234567@example.com>"),
        ("Referred-By", "<sip:1001@sip.example.com>"),
        ("User-Agent", "Phone/1.0"),
        ("X-Custom", "value of X-Custom on the REFER"),
        ("X-Queue-Name", "first"),
        ("x-queue-name", "second"),
        ("X-", "no name"),
        ("Subject", "not told"),
    )
    assert refer_details(request, referring_call_sid="sid-1", referred_call_sid="sid-2") == {
        "sip_refer_to": "<sip:+15551234567@example.com>",
        "refer_to_user": "+15551234567",
        "sip_referred_by": "<sip:1001@sip.example.com>",
        "referred_by_user": "1001",
        "sip_user_agent": "Phone/1.0",
        "referring_call_sid": "sid-1",
        "referred_call_sid": "sid-2",
        "x_custom": "value of X-Custom on the REFER",
        "x_queue_name": "first, second",
    }


@pytest.mark.parametrize(
    ("refer_to", "user"),
    [
        ("<tel:+15551234567>", "+15551234567"),
        ("sip:carol@example.com", "carol"),
        ('"Carol" <sip:car%6fl@example.com?Replaces=a%40b%3Bto-tag%3D1>', "carol"),
        ("<sip:example.com>", ""),
        ("<http://example.com>", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_dv82_the_user_of_whatever_refer_to_says(refer_to: str, user: str) -> None:
    details = refer_details(_refer(("Refer-To", refer_to)), referring_call_sid="a", referred_call_sid="")
    assert details == {"sip_refer_to": refer_to, "refer_to_user": user, "referring_call_sid": "a"}


# -- the hook's answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, 400),
        (403, 403),
        (404, 404),
        (500, 500),
        (603, 603),
        (302, 500),
        (100, 500),
        (700, 500),
        (None, 500),
    ],
)
def test_dv82_a_refusal_has_the_status_of_the_hook(status: int | None, refusal: int) -> None:
    assert refusal_of(HookFailed("no", status)) == refusal


# -- over a real call ------------------------------------------------------------------------------


class _Call:
    """A call whose far side refers, and everything the engine said about it."""

    def __init__(self, far: FarSide, call: IncomingInvite, leg: SipLeg) -> None:
        self.far = far
        self.call = call
        self.leg = leg
        self.transfer: Transfer | None = None
        self._referred = asyncio.Event()
        leg.watch(self._on_note)

    def _on_note(self, note: LegNote) -> None:
        if isinstance(note, Referred):
            self.transfer = Transfer(note.referral)
            self._referred.set()

    async def refer(self, *headers: tuple[str, str]) -> Transfer:
        self.call.refer("<sip:carol@example.com>", self.far.now, headers=headers)
        self.far.endpoint.touch()
        async with asyncio.timeout(5.0):
            await self._referred.wait()
        assert self.transfer is not None
        return self.transfer

    async def told(self, count: int) -> list[tuple[int, bool]]:
        """The response to the REFER and its NOTIFYs, as (status, is the last)."""
        await self.far.until(ReferProgress, count=count)
        return [(each.status, each.is_final) for each in self.far.events if isinstance(each, ReferProgress)]


@asynccontextmanager
async def _call() -> AsyncIterator[_Call]:
    async with open_pair() as (services, far):
        params = InviteParams(target=far.uri, from_="<sip:alice@example.com>")
        leg, inbox, gone = SipLeg(new_call_sid(), services, params), Inbox(), Inbox()
        leg.watch(gone.put)
        leg.start(inbox)
        call = await far.incoming()
        call.answer(sdp(40000), far.now)
        far.endpoint.touch()
        await inbox.until(LegAnswered)
        await far.until(Confirmed)
        yield _Call(far, call, leg)
        leg.hang_up(Cause.NORMAL)
        await gone.until(LegGone)


def _says(status: int, verbs: list[object] | None = None) -> Callable[[], Awaitable[HookReply]]:
    async def ask() -> HookReply:
        return HookReply(status, verbs)

    return ask


def _fails(error: BaseException) -> Callable[[], Awaitable[HookReply]]:
    async def ask() -> HookReply:
        raise error

    return ask


class _Other:
    """The leg that did not refer."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.documents: list[Sequence[object]] = []

    async def __call__(self, verbs: Sequence[object]) -> int:
        self.documents.append(verbs)
        return self.status


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_dv82_a_success_is_202_and_the_notifies_end_with_200(status: int) -> None:
    async with _call() as call:
        other = _Other()
        assert await (await call.refer()).run(_says(status), other)
        assert await call.told(3) == [(202, False), (100, False), (200, True)]
        assert other.documents == []


async def test_dv82_the_verbs_run_on_the_other_leg_before_the_last_notify() -> None:
    async with _call() as call:
        transfer = await call.refer()
        seen: list[list[tuple[int, bool]]] = []

        async def other(verbs: Sequence[object]) -> int:
            assert verbs == _VERBS
            seen.append(await call.told(2))
            return 200

        assert await transfer.run(_says(200, list(_VERBS)), other)
        assert seen == [[(202, False), (100, False)]]
        assert (await call.told(3))[-1] == (200, True)


@pytest.mark.parametrize(("status", "told"), [(486, 486), (603, 603), (0, 500), (180, 500)])
async def test_dv82_what_became_of_the_verbs_is_the_last_notify(status: int, told: int) -> None:
    async with _call() as call:
        assert await (await call.refer()).run(_says(200, list(_VERBS)), _Other(status))
        assert (await call.told(3))[-1] == (told, True)


@pytest.mark.parametrize("status", [403, 404, 500, 603])
async def test_dv82_any_other_status_is_the_sip_status(status: int) -> None:
    async with _call() as call:
        other = _Other()
        failed = HookFailed("refused", status, HookFailure.STATUS)
        assert not await (await call.refer()).run(_fails(failed), other)
        assert await call.told(1) == [(status, True)]
        assert other.documents == []


@pytest.mark.parametrize("failure", [HookFailure.CONNECT, HookFailure.TIMEOUT, HookFailure.REDIRECT])
async def test_dv82_a_hook_that_cannot_be_reached_or_is_too_slow_is_500(failure: HookFailure) -> None:
    async with _call() as call:
        assert not await (await call.refer()).run(_fails(HookFailed("no answer", None, failure)), _Other())
        assert await call.told(1) == [(500, True)]


async def test_dv82_without_a_hook_it_is_501() -> None:
    async with _call() as call:
        assert not await (await call.refer()).run(None, _Other())
        assert await call.told(1) == [(501, True)]


async def test_wh04_a_malformed_document_is_an_acceptance_without_instructions() -> None:
    async with _call() as call:
        other = _Other()
        assert await (await call.refer()).run(_fails(MalformedReply("not JSON", 200)), other)
        assert (await call.told(3))[-1] == (200, True)
        assert other.documents == []


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ZeroDivisionError()])
async def test_a_refer_is_answered_whatever_happens_to_who_decides(error: BaseException) -> None:
    async with _call() as call:
        with pytest.raises(type(error)):
            await (await call.refer()).run(_fails(error), _Other())
        assert await call.told(1) == [(500, True)]


async def test_a_refer_whose_verbs_could_not_be_run_is_told_so() -> None:
    async with _call() as call:

        async def other(verbs: Sequence[object]) -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await (await call.refer()).run(_says(200, list(_VERBS)), other)
        assert (await call.told(3))[-1] == (500, True)


async def test_rfc4488_a_peer_that_wants_no_subscription_is_told_nothing_more() -> None:
    async with _call() as call:
        assert await (await call.refer(("Refer-Sub", "false"))).run(_says(202), _Other())
        assert await call.told(1) == [(202, True)]


async def test_a_referrer_who_hangs_up_while_the_hook_is_asked_changes_nothing_for_the_other_leg() -> None:
    async with _call() as call:
        transfer, other = await call.refer(), _Other()
        gone = Inbox()
        call.leg.watch(gone.put)

        async def ask() -> HookReply:
            call.call.hang_up(call.far.now)
            call.far.endpoint.touch()
            await gone.until(LegGone)
            return HookReply(200, list(_VERBS))

        assert await transfer.run(ask, other)
        assert other.documents == [_VERBS]
        await call.far.until(Ended)
