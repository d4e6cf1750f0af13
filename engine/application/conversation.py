"""What goes on beside two parties who hear each other: captures, transfers, hold music, streams.

Begins when a dial has joined caller and callee, ends when it parts them. Nothing here can end the call, and
nothing here fails it: what cannot be had is an alert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from engine.application.applications import Application
from engine.application.capture import DigitCapture
from engine.application.direct_media import DirectMedia
from engine.application.dub import DubTracks, tracks_for
from engine.application.hold import HOLD_VERBS, HeldLeg, HoldDocuments
from engine.application.schema.dial import Dub
from engine.application.transfer import Transfer, refer_details
from engine.application.verbs import listen, transcribe
from engine.application.whisper import whisper
from engine.dial.leg import Leg
from engine.hooks.payloads import CallFacts
from engine.hooks.reply import HookReply
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from engine.legs.notes import LegNote, Referred

if TYPE_CHECKING:
    from engine.application.dialling import Dialling

__all__ = ["Conversation"]

_NOT_FOUND = 500


class Conversation:
    """Of one dial. Legs that are no SIP calls (`CallLeg`) have none of this."""

    __slots__ = (
        "_callee",
        "_caller",
        "_capture",
        "_dialling",
        "_direct",
        "_dubs",
        "_holds",
        "_tasks",
        "winner",
    )

    def __init__(self, dialling: Dialling, winner: Leg) -> None:
        self._dialling = dialling
        self.winner = winner
        line = dialling.call.party.line
        self._caller = line if isinstance(line, CallLeg) else None
        self._callee = winner if isinstance(winner, CallLeg) else None
        self._capture: DigitCapture | None = None
        self._direct: DirectMedia | None = None
        self._holds: HoldDocuments | None = None
        self._dubs: DubTracks | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    def begin(self) -> None:
        """They hear each other now."""
        if self._caller is None or self._callee is None:
            return
        self._capture_digits(self._caller, self._callee)
        self._caller.watch(self._on_caller)
        self._callee.watch(self._on_callee)
        self._begin_streams(self._caller, self._callee)
        self._entertain_the_held(self._caller, self._callee)
        gain_db = self._dialling.verb.boost_audio_signal
        if gain_db is not None and self._callee.media is not None:
            self._callee.media.gain_db = gain_db
        if self._dialling.verb.dub:
            self._beside(self.dub(*self._dialling.verb.dub), "dub of a dial")
        if self._dialling.verb.is_direct:
            self._beside(self.media_path(is_direct=True), "direct media")

    def end(self) -> asyncio.Task[Any] | None:
        """They do not any more. The task, if there is one, ends when nothing of this is heard any more."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if self._capture is not None:
            self._capture.close()
            self._capture = None
        if self._caller is not None:
            self._caller.unwatch(self._on_caller)
        if self._callee is not None:
            self._callee.unwatch(self._on_callee)
        if self._dubs is not None:
            self._dubs.close()
            self._dubs = None
        direct, self._direct = self._direct, None
        if direct is not None and self._caller is not None and not self._caller.is_over:
            self._dialling.call.session.background(_come_back(direct), name="direct media ends")
        elif direct is not None:
            direct.close()
        holds, self._holds = self._holds, None
        return (
            None if holds is None else self._dialling.call.session.background(holds.close(), name="hold ends")
        )

    # --- digits

    def _capture_digits(self, caller: CallLeg, callee: CallLeg) -> None:
        verb = self._dialling.verb
        if verb.dtmf_hook is None:
            return
        capture = self._capture = DigitCapture(verb.captures, self._on_captured)
        capture.watch_caller(caller)
        capture.watch_callee(callee)

    def _on_captured(self, leg: CallSid, sequence: str) -> None:
        dialling = self._dialling
        dialling.call.session.notify(
            dialling.verb.dtmf_hook, {"dtmf": sequence}, verb_id=dialling.verb.id, facts=self._facts_of(leg)
        )

    def _facts_of(self, leg: CallSid) -> CallFacts:
        return self._dialling.facts_of(leg) if leg == self.winner.id else self._dialling.call.facts()

    # --- streams

    def _begin_streams(self, caller: CallLeg, callee: CallLeg) -> None:
        verb, session = self._dialling.verb, self._dialling.call.session
        if caller.media is None or callee.media is None:
            return
        if verb.listen is not None:
            work = listen.beside(
                verb.listen,
                session,
                caller=caller.media,
                callee=callee.media,
                facts=self._dialling.facts_of(callee.id),
            )
            self._beside(work, "listen of a dial")
        if verb.transcribe is not None:
            work = transcribe.beside(verb.transcribe, session, caller=caller.media, callee=callee.media)
            self._beside(work, "transcribe of a dial")

    def _beside(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._tasks.append(self._dialling.call.session.background(work, name=name))

    # --- tracks

    async def dub(self, *actions: Dub) -> None:
        """Tracks mixed into what both hear, one action after the other."""
        caller, callee = self._caller, self._callee
        if caller is None or callee is None or caller.media is None or callee.media is None:
            return
        if self._dubs is None:
            self._dubs = tracks_for(self._dialling.call.session, (caller.media, callee.media))
        for action in actions:
            await self._dubs.apply(action)

    # --- hold

    def _entertain_the_held(self, caller: CallLeg, callee: CallLeg) -> None:
        """Music for a party that the other one holds (DV-83)."""
        call, verb = self._dialling.call, self._dialling.verb
        if verb.on_hold_hook is None:
            return
        hook = call.session.absolute(verb.on_hold_hook)

        async def ask(holder: HeldLeg, detail: dict[str, str]) -> HookReply:
            payload = call.session.payload(
                {"hold_detail": detail}, verb_id=verb.id, facts=self._facts_of(holder.id)
            )
            return await call.hooks.ask(hook, payload)

        async def play(held: HeldLeg, verbs: Sequence[object]) -> None:
            document = call.session.parse(verbs, "onHoldHook", only=HOLD_VERBS)
            if document:
                leg = self.winner if held.id == self.winner.id else None
                await whisper(call, document, leg, base=hook)

        self._holds = HoldDocuments(caller, callee, ask=ask, play=play)

    # --- direct media

    async def media_path(self, *, is_direct: bool) -> bool:
        """Lead the media past us, or through us again; False: a party refused."""
        if self._caller is None or self._callee is None:
            return False
        if self._direct is None:
            if not is_direct:
                return True
            anchors = self._dialling.verb.on_hold_hook is not None
            self._direct = DirectMedia(self._caller, self._callee, anchors_on_hold=anchors)
        return await (self._direct.go() if is_direct else self._direct.come_back())

    # --- transfers

    def _on_caller(self, note: LegNote) -> None:
        if isinstance(note, Referred):
            self._transfer(note, is_caller=True)

    def _on_callee(self, note: LegNote) -> None:
        if isinstance(note, Referred):
            self._transfer(note, is_caller=False)

    def _transfer(self, note: Referred, *, is_caller: bool) -> None:
        """A REFER of one party: the other one gets what the `referHook` answers (DV-82)."""
        dialling = self._dialling
        call, verb = dialling.call, dialling.verb
        transfer = Transfer(note.referral)
        other = self.winner.id if is_caller else call.party.leg.id
        hook = verb.refer_hook

        async def ask() -> HookReply:
            assert hook is not None
            details = refer_details(
                note.referral.request,
                referring_call_sid=self._facts_of(note.leg).call_sid,
                referred_call_sid=self._facts_of(other).call_sid,
            )
            payload = call.session.payload(
                {"refer_details": details}, verb_id=verb.id, facts=self._facts_of(note.leg)
            )
            return await call.hooks.ask(call.session.absolute(hook), payload)

        async def on_other(verbs: Sequence[object]) -> int:
            document = call.session.parse(verbs, "referHook")
            if document is None or hook is None:
                return _NOT_FOUND
            base = call.session.absolute(hook)
            if is_caller:
                application = Application(call_hook=None, document=document)
                return 200 if await call.make_independent(dialling, application) else _NOT_FOUND
            ticket = call.session.ticket()
            # After the NOTIFY that says so: the referrer is hung up when the document takes over.
            asyncio.get_running_loop().call_soon(
                lambda: call.session.replace(document, ticket=ticket, base=base)
            )
            return 200

        call.session.background(transfer.run(ask if hook is not None else None, on_other), name="transfer")


async def _come_back(direct: DirectMedia) -> None:
    try:
        await direct.come_back()
    finally:
        direct.close()
