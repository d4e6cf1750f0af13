"""`exitMediaPath` of `dial`: the parties send their media to each other, and back to us when we need it.

Both legs are re-INVITEd with what the other party last said about its audio: first the callee, then the
caller with the callee's answer (after RFC 3725 §4; with offers that are known, because not every phone
understands an INVITE without offer in mid-call). If a party refuses, the other one comes back.

    anchored ──go──► direct ──come_back──► anchored
                       │  ▲
        hold, if we    ▼  │ resume
        play then    anchored for the hold

It comes back by itself while somebody taps a party or plays to it (listen, whisper, a recording), and a hold
or a feature that is there at the beginning keeps it here until it is over.

While the media is direct an offer of either party (hold, another codec, another address) is relayed to the
other (DV-83); with `anchors_on_hold` a hold is answered here, so that the other party can be played to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from engine.legs.call_leg import CallLeg
from engine.legs.exchange import PeerOffer
from media import NegotiationFailed
from media.audio import silence
from media.player import PcmPlayer
from media.sdp import SdpError, SessionDescription

__all__ = ["DirectMedia"]

log = structlog.get_logger(__name__)

_RATE_HZ = 8000
_GREETING_SAMPLES = 4 * _RATE_HZ // 10
"""0.4 s: longer than a phone needs to believe in another address (pjmedia: 10 packets)."""

_GLARE, _REFUSED = 491, 488

_ROUNDS = 2
"""How often a party may answer from another address than it had before."""


class DirectMedia:
    """The media of one bridged pair. Owned by the dial that joined them; `close` when it is over.

        direct = DirectMedia(caller, callee)
        await direct.go()
        ...
        await direct.come_back()
        direct.close()

    The bridge between the legs stays open meanwhile: nothing comes that it could carry.
    """

    __slots__ = (
        "_anchors_on_hold",
        "_callee",
        "_caller",
        "_is_following",
        "_is_wanted",
        "_returning",
        "_tasks",
        "_turn",
        "is_direct",
    )

    def __init__(self, caller: CallLeg, callee: CallLeg, *, anchors_on_hold: bool = False) -> None:
        """Takes over the answering of both parties' later offers, until `close`."""
        self._caller = caller
        self._callee = callee
        self._anchors_on_hold = anchors_on_hold
        self._is_wanted = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self.is_direct = False
        """Media does not pass us."""
        self._returning: set[asyncio.Task[bool]] = set()
        self._is_following = False
        """A task will look whether the media is where it should be."""
        caller.offer_handler = callee.offer_handler = self
        for leg in (caller, callee):
            if leg.media is not None:
                leg.media.usage_changed = self._on_usage

    async def go(self) -> bool:
        """Lead the media past us. False: everything is as it was, because somebody refused; or because a
        party holds or something here is in use, and then it goes by itself when that is over.
        """
        async with self._turn:
            self._is_wanted = True
            return self.is_direct or await self._go()

    async def come_back(self) -> bool:
        """Lead it through us again. False: a party that is still there refused, and hears nothing of us.

        Once begun it is finished, also if nobody waits for it any more: no party is left talking to nobody.
        """
        returning = asyncio.get_running_loop().create_task(self._return(), name="direct media comes back")
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)
        return await asyncio.shield(returning)

    async def _return(self) -> bool:
        async with self._turn:
            self._is_wanted = False
            return await self._come_back()

    def close(self) -> None:
        """Answer nobody's offers any more. Idempotent. Direct media stays so, unless it is coming back."""
        for leg in (self._caller, self._callee):
            if leg.offer_handler is self:
                leg.offer_handler = None
            if leg.media is not None and leg.media.usage_changed == self._on_usage:
                leg.media.usage_changed = None
        for task in self._tasks:
            task.cancel()

    # -- there and back -----------------------------------------------------------------------------

    async def _go(self) -> bool:
        caller, callee = self._caller, self._callee
        if caller.is_held or callee.is_held or caller.is_over or callee.is_over or self._is_in_use:
            return False
        said = caller.remote_sdp
        moved: list[CallLeg] = []
        for _ in range(_ROUNDS):
            answer = await _offer(callee, said)
            if answer is None:
                break
            moved.append(callee)
            _bypass(callee)
            answered = await _offer(caller, answer)
            if answered is None:
                break
            moved.append(caller)
            _bypass(caller)
            if _address_of(answered) == _address_of(said):
                self.is_direct = True
                return True
            said = answered
        log.info("media stays anchored", caller=caller.id, callee=callee.id)
        self._is_wanted = False  # who refuses once is not asked again by itself
        await self._reanchor(*dict.fromkeys(moved))
        return False

    async def _come_back(self) -> bool:
        if not self.is_direct:
            return True
        self.is_direct = False
        return await self._reanchor(self._callee, self._caller)

    async def _reanchor(self, *legs: CallLeg) -> bool:
        """One after the other; the last one is silent meanwhile.

        Phones send to where they hear from (symmetric RTP), whatever the description says: one that comes
        back must not hear the other one directly any more, or the two would go on like that for ever.
        """
        living = [leg for leg in legs if not leg.is_over]
        if len(living) > 1:
            await living[-1].reanchor(silent=True)
        return all([await _reanchor(leg) for leg in living])

    # -- features that need the media ---------------------------------------------------------------

    @property
    def _is_in_use(self) -> bool:
        legs = (self._caller, self._callee)
        return any(leg.media is not None and leg.media.is_in_use for leg in legs)

    def _on_usage(self) -> None:
        if self._is_wanted and not self._is_following and self._is_in_use is self.is_direct:
            self._is_following = True
            self._start(self._follow(), "use")

    async def _follow(self) -> None:
        async with self._turn:
            self._is_following = False
            if self.is_direct and self._is_in_use:
                await self._come_back()
            elif self._is_wanted and not self.is_direct and not self._is_in_use:
                await self._go()

    # -- OfferHandler -------------------------------------------------------------------------------

    def offered(self, leg: CallLeg, offer: PeerOffer) -> None:
        if leg.is_offering:
            # Ours waits to be tried again, and would wait for theirs, which waits for its turn behind ours.
            offer.reject(_GLARE)
        elif self.is_direct or self._turn.locked() or self._is_wanted:
            self._start(self._take_offer(leg, offer), "offer")
        else:
            offer.answer_here()

    def answered(self, leg: CallLeg, sdp: bytes) -> bool:
        if self.is_direct:
            self._start(self._pass_on(leg, sdp), "answer")
        return self.is_direct

    def _start(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"direct media {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_offer(self, leg: CallLeg, offer: PeerOffer) -> None:
        try:
            async with self._turn:
                if self.is_direct:
                    await self._take_direct_offer(leg, offer)
                    return
                offer.answer_here()
                if self._is_wanted:  # it went on hold here, and may have come back
                    await self._go()
        finally:
            if offer.is_pending:  # we were closed in the middle: whoever asked is still owed an answer
                offer.answer_here()

    async def _take_direct_offer(self, leg: CallLeg, offer: PeerOffer) -> None:
        other = self._other(leg)
        try:
            sdp = offer.sdp
            if self._anchors_on_hold and sdp is not None and not _listens(sdp):
                self.is_direct = False
                await other.reanchor(silent=True)  # so that the holder does not hear it directly
                offer.answer_here()
                _speak_to(leg)
                await _reanchor(other)
            elif sdp is None or sdp == leg.remote_sdp:
                # Asked for an offer, or nothing new (a session refresh): the other party is left in peace.
                offer.answer(_described(leg, other.remote_sdp, sdp))
            else:
                answer = await _offer(other, sdp)
                if answer is None:
                    # Both at once is glare, to be tried again soon (RFC 3261 §14.1).
                    offer.reject(_GLARE if other.has_offer_of_peer else _REFUSED)
                else:
                    offer.answer(_described(leg, answer, sdp))
        except NegotiationFailed as error:
            log.info("offer cannot be passed on", leg=leg.id, reason=error.reason)
            offer.reject(error.status)

    async def _pass_on(self, leg: CallLeg, sdp: bytes) -> None:
        async with self._turn:
            if self.is_direct:
                await _offer(self._other(leg), sdp)

    def _other(self, leg: CallLeg) -> CallLeg:
        return self._callee if leg is self._caller else self._caller


def _bypass(leg: CallLeg) -> None:
    if leg.media is not None:
        leg.media.is_bypassed = True


async def _reanchor(leg: CallLeg) -> bool:
    """False: the party is still there and refused."""
    if not leg.is_over and await leg.reanchor():
        _speak_to(leg)
        return True
    return leg.is_over


def _speak_to(leg: CallLeg) -> None:
    """Let a party that has come back hear where we are, should packets on their way have misled it."""
    if leg.media is None:
        return
    leg.media.is_bypassed = False
    if not leg.media.is_speaking:
        leg.media.play(PcmPlayer(silence(_GREETING_SAMPLES), _RATE_HZ))


def _described(leg: CallLeg, sdp: bytes | None, offer: bytes | None = None) -> bytes:
    """What another party said, in the terms of this leg's session. Raises NegotiationFailed."""
    if leg.media is None or sdp is None:
        raise NegotiationFailed("there is no session to describe")
    return leg.media.describe_other(sdp, offer)


async def _offer(leg: CallLeg, sdp: bytes | None) -> bytes | None:
    """The answer of a leg's party to what the other party said; None if it refused or cannot be asked."""
    try:
        return await leg.exchange(_described(leg, sdp))
    except NegotiationFailed as error:
        log.info("media cannot be led past us", leg=leg.id, reason=error.reason)
        return None


def _address_of(sdp: bytes | None) -> tuple[str, int] | None:
    """Where a party wants its audio; None if that cannot be read."""
    session = _parsed(sdp)
    for media in session.media if session is not None else ():
        connection = session.connection_of(media) if session is not None else None
        if media.kind == "audio" and not media.is_rejected and connection is not None:
            return connection.address, media.port
    return None


def _listens(sdp: bytes) -> bool:
    """Whether the writer wants to hear anything: False is hold."""
    session = _parsed(sdp)
    if session is None:
        return True
    for media in session.media:
        if media.kind == "audio" and not media.is_rejected:
            connection = session.connection_of(media)
            is_nowhere = connection is not None and connection.is_unspecified
            return session.direction_of(media).receives and not is_nowhere
    return False


def _parsed(sdp: bytes | None) -> SessionDescription | None:
    try:
        return SessionDescription.parse(sdp) if sdp is not None else None
    except SdpError:
        return None
