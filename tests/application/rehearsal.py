"""A call under an application in virtual time: everybody around it is played by the test.

The caller, the callees and the application's server do what they are told, in any order; the call, its
session, its dials and screenings are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engine.application.applications import Application
from engine.application.call import Call
from engine.application.document import parse_document
from engine.application.services import ApplicationServices
from engine.dial.leg import EndedBy
from engine.dial.manager import DialManager
from engine.hooks import Alerts, Hook, HookFailed, HookKind, HookReply
from engine.hooks.payloads import CallFacts
from engine.legs.call_leg import Reply
from engine.legs.notes import DigitKeyed, DigitMethod, LegConfirmed, LegGone, LegNote, Watcher
from engine.store.rows import AlertRow
from media import RtpStatistics
from tests.support.legs import FakeAudio, FakeLegs, FakeParent
from tests.support.virtual_time import settle

__all__ = ["FakeParty", "OpenHook", "Rehearsal", "ScriptedHooks", "rehearsal"]

SID = "e35d4edf-efd2-424c-8667-c6c5f53b1e1b"
URL = "http://app.example.com"


class _Caller(FakeParent):
    """The caller's leg, with what verbs want of it."""

    @property
    def is_gone(self) -> bool:
        return self._is_gone

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        self.log.append(f"dtmf {digits}")


class FakeParty:
    """A caller, the signalling of its call, and what it was told in the end."""

    def __init__(self) -> None:
        self._caller = _Caller()
        self._watchers: list[Watcher] = []
        self.goodbyes: list[int] = []
        """Final response, or 200 for a BYE."""
        self.breaks = False
        """Hanging up has a bug."""

    @property
    def leg(self) -> _Caller:
        return self._caller

    @property
    def line(self) -> FakeParty:
        return self

    @property
    def sip_call_id(self) -> str:
        return "caller@192.0.2.9"

    @property
    def codec(self) -> str:
        return "PCMU/8000"

    def statistics(self) -> RtpStatistics | None:
        return None

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        self._caller.send_dtmf(digits)

    async def send_request(
        self,
        method: str,
        *,
        content_type: str = "",
        content: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        return Reply(200, "OK")

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers = [each for each in self._watchers if each != watcher]

    def hang_up(self, status: int, reason: str = "", headers: Mapping[str, str] | None = None) -> None:
        if self.breaks:
            raise RuntimeError("the leg is broken")
        if not self._caller.is_gone:
            self.goodbyes.append(200 if self._caller.has_answered else status)
            self._caller.go()

    # What the test does.

    def goes(self) -> None:
        """The caller hangs up or gives up."""
        if self._caller.is_gone:
            return
        self._caller.go()
        status = 200 if self._caller.has_answered else 487
        self._tell(LegGone(self._caller.id, 0.0, EndedBy.CALLER, status, "Bye"))

    def presses(self, digit: str) -> None:
        self._tell(DigitKeyed(self._caller.id, 0.0, digit, 100, DigitMethod.EVENT))

    def acks(self) -> None:
        self._tell(LegConfirmed(self._caller.id, 0.0))

    def _tell(self, note: LegNote) -> None:
        for watcher in tuple(self._watchers):
            watcher(note)


class OpenHook:
    """A hook that waits for its answer."""

    def __init__(self, hook: Hook, payload: Mapping[str, object], kind: HookKind) -> None:
        self.url = hook.url
        self.payload = payload
        self.kind = kind
        self._answer: asyncio.Future[HookReply] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return not self._answer.done()

    def answer(self, verbs: list[object] | None = None) -> None:
        """With a document; None: no instructions."""
        if self.is_open:
            self._answer.set_result(HookReply(200, verbs))

    def fail(self, status: int = 500) -> None:
        if self.is_open:
            self._answer.set_exception(HookFailed(f"HTTP {status}", status))

    def break_(self) -> None:
        """A bug in the hooks themselves."""
        if self.is_open:
            self._answer.set_exception(RuntimeError("a bug"))

    async def wait(self) -> HookReply:
        return await asyncio.shield(self._answer)


class ScriptedHooks:
    """`CallHooks` whose server is the test."""

    def __init__(self, log: list[tuple[HookKind, str, Mapping[str, object]]], open_: list[OpenHook]) -> None:
        self.base: Hook | str = ""
        self._log = log
        self._open = open_
        self.promised: set[tuple[HookKind, str]] = set()
        """What would be said by the next process."""

    def notify(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind = HookKind.CALL_STATUS
    ) -> None:
        self._log.append((kind, hook.url, payload))

    async def ask(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind = HookKind.VERB_HOOK
    ) -> HookReply:
        self._log.append((kind, hook.url, payload))
        asked = OpenHook(hook, payload, kind)
        self._open.append(asked)
        return await asked.wait()

    def promise(self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = "") -> None:
        self.promised.add((kind, subject))

    def deliver(self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = "") -> None:
        self.promised.discard((kind, subject))
        self._log.append((kind, hook.url, payload))

    async def ask_durably(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = ""
    ) -> HookReply:
        self.promised.discard((kind, subject))
        return await self.ask(hook, payload, kind)

    def withdraw(self, kind: HookKind, subject: str = "") -> None:
        self.promised.discard((kind, subject))

    async def close(self) -> None:
        """All is sent at once here."""


class _Alerts:
    def __init__(self) -> None:
        self.rows: list[AlertRow] = []

    def alert(self, row: AlertRow) -> None:
        self.rows.append(row)


class Rehearsal:
    """Everything of one test."""

    def __init__(
        self,
        application: Application,
        dials: DialManager,
        legs: FakeLegs,
        audio: FakeAudio,
        recordings: Path | None = None,
    ) -> None:
        self.log: list[tuple[HookKind, str, Mapping[str, object]]] = []
        """Every hook, in the order in which it was handed over."""
        self.open: list[OpenHook] = []
        """Every hook that was asked, answered or not."""
        self.hooks = ScriptedHooks(self.log, self.open)
        self.alerts = _Alerts()
        self.dials = dials
        self.legs = legs
        self.audio = audio
        self.party = FakeParty()
        facts = CallFacts(call_sid=SID, direction="inbound", from_="+15550111", to="5550100")
        services = ApplicationServices(
            dials=dials,
            make_hooks=lambda *_, **__: self.hooks,
            alerts=Alerts(self.alerts),
            recordings=recordings,
        )
        self.call = Call(self.party, application, services, facts)
        self.task = asyncio.get_running_loop().create_task(self.call.run(), name="call")

    def kinds(self, kind: HookKind) -> list[Mapping[str, object]]:
        """Payloads of one kind of hook."""
        return [payload for each, _, payload in self.log if each is kind]

    def told(self, url: str) -> list[Mapping[str, object]]:
        """What a URL was told."""
        return [payload for _, each, payload in self.log if each == URL + url]

    def asked(self, url: str) -> OpenHook:
        """The latest question to a URL."""
        return next(each for each in reversed(self.open) if each.url == URL + url)

    def statuses(self, sid: str = SID) -> list[object]:
        """Call status notifications of a leg."""
        return [each["call_status"] for each in self.kinds(HookKind.CALL_STATUS) if each["call_sid"] == sid]

    async def end(self) -> None:
        """Answer whatever is asked until the call is over."""
        while not self.task.done():
            for asked in self.open:
                asked.answer()
            done, _ = await asyncio.wait((self.task,), timeout=1.0)
            if not done:
                self.call.stop()


@asynccontextmanager
async def rehearsal(
    document: list[object] | None = None, *, is_deaf: bool = False, recordings: Path | None = None
) -> AsyncIterator[Rehearsal]:
    """`document` None: the call hook has to be answered by the test."""
    application = Application(
        account_sid="acme",
        call_hook=Hook(f"{URL}/call") if document is None else None,
        document=() if document is None else parse_document(document),
        base=f"{URL}/call",
        call_status_hook=Hook(f"{URL}/status"),
    )
    legs, audio = FakeLegs(is_deaf=is_deaf), FakeAudio()
    async with DialManager(legs=legs, audio=audio) as dials:
        stage = Rehearsal(application, dials, legs, audio, recordings)
        await settle()
        try:
            yield stage
        finally:
            await stage.end()
