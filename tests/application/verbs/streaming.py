"""A session on a real stream, with real hooks and listen client; a recogniser that says what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from engine.application.digits import Digit
from engine.application.document import parse_document
from engine.application.services import ApplicationServices, SessionDefaults
from engine.application.session import Ending, EndingKind, Session
from engine.dial.manager import DialManager
from engine.hooks import Hook, HookClient
from engine.hooks.alerts import Alerts
from engine.hooks.payloads import CallFacts
from engine.hooks.service import HookService
from engine.ids import CallSid
from engine.listen import ListenClient
from engine.speech.recognition import (
    Recogniser,
    Recognisers,
    RecognitionEvent,
    RecognitionOptions,
)
from engine.store import AlertRow
from media import MediaConfig, MediaPlane, MediaStream
from media.audio import Pcm
from tests.support.application import WebApplication

__all__ = ["FACTS", "Party", "ScriptedRecogniser", "Stage", "stage"]

SID = CallSid("e35d4edf-efd2-424c-8667-c6c5f53b1e1b")
FACTS = CallFacts(
    call_sid=SID, direction="inbound", from_="+15550100", to="+15550199", account_sid="acc", call_id="id"
)


class Party:
    """A leg that is answered when asked to."""

    def __init__(self, media: MediaStream) -> None:
        self.id = SID
        self._media = media
        self.has_answered = False
        self.has_early_media = False
        self.is_gone = False

    @property
    def media(self) -> MediaStream | None:
        return self._media if self.has_answered or self.has_early_media else None

    def open_early_media(self) -> None:
        self.has_early_media = True

    def answer(self) -> None:
        self.has_answered = True

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        raise AssertionError("nobody asked for digits")


class _Owner:
    def facts(self) -> CallFacts:
        return FACTS

    def saw_early_media(self) -> None: ...

    def saw_answer(self) -> None: ...

    def tag(self, data: Mapping[str, object]) -> None: ...

    def use_status_hook(self, hook: Hook) -> None: ...


class _AlertList:
    def __init__(self) -> None:
        self.rows: list[AlertRow] = []

    def alert(self, row: AlertRow) -> None:
        self.rows.append(row)


class ScriptedSession:
    """Keeps what it hears and tells what the test says."""

    sample_rate_hz = 16000

    def __init__(self, options: RecognitionOptions) -> None:
        self.options = options
        self.heard: list[Pcm] = []
        self.is_closed = False
        self._events: asyncio.Queue[RecognitionEvent | None] = asyncio.Queue()

    def say(self, event: RecognitionEvent | None) -> None:
        self._events.put_nowait(event)

    def push(self, pcm: Pcm) -> None:
        self.heard.append(pcm)

    def finish(self) -> None:
        self.say(None)

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def close(self) -> None:
        self.is_closed = True


class ScriptedRecogniser:
    """A `Recogniser` whose sessions a test speaks for."""

    def __init__(self, vendor: str = "scripted") -> None:
        self.vendor = vendor
        self.sessions: list[ScriptedSession] = []
        self._opened = asyncio.Condition()

    async def open(self, options: RecognitionOptions) -> ScriptedSession:
        made = ScriptedSession(options)
        async with self._opened:
            self.sessions.append(made)
            self._opened.notify_all()
        return made

    async def session(self, number: int = 1) -> ScriptedSession:
        """The `number`th that is opened; waits for it."""
        async with asyncio.timeout(10), self._opened:
            await self._opened.wait_for(lambda: len(self.sessions) >= number)
        return self.sessions[number - 1]

    async def close(self) -> None: ...


class Stage:
    """One call under a document."""

    def __init__(self, session: Session, party: Party, alerts: _AlertList, app: WebApplication) -> None:
        self.session = session
        self.party = party
        self.app = app
        self._alerts = alerts
        self._running: asyncio.Task[Ending] | None = None

    @property
    def alerts(self) -> list[str]:
        """The texts of all alerts so far."""
        return [row.text for row in self._alerts.rows]

    def start(self, *document: dict[str, object]) -> None:
        """Run a document."""
        verbs = parse_document(list(document))
        self._running = asyncio.create_task(
            self.session.run(verbs, base=Hook(self.app.url("/"))), name="document"
        )

    async def ended(self) -> Ending:
        """The document is over."""
        assert self._running is not None
        async with asyncio.timeout(20):
            return await self._running

    @property
    def is_over(self) -> bool:
        return self._running is not None and self._running.done()

    def key(self, digit: str, duration_ms: int = 160) -> None:
        """The party presses a key."""
        self.session.digits.push(Digit(digit, asyncio.get_running_loop().time(), duration_ms))

    def hang_up(self) -> None:
        """The party leaves."""
        self.party.is_gone = True
        self.session.leg_gone()

    async def close(self) -> None:
        self.session.end(Ending(EndingKind.STOPPED))
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        await self.session.close()


@asynccontextmanager
async def stage(
    media: MediaStream,
    *,
    recognisers: Mapping[str, Recogniser] | None = None,
    defaults: SessionDefaults | None = None,
    has_listen: bool = True,
) -> AsyncIterator[Stage]:
    """`recognisers`: the first is the default; None: there are none."""
    alerts = _AlertList()
    listen = ListenClient() if has_listen else None
    async with WebApplication() as app, HookService(HookClient(), alerts=Alerts(alerts)) as hooks:
        services = ApplicationServices(
            dials=cast(DialManager, None),
            make_hooks=hooks.for_call,
            alerts=hooks.alerts,
            recognisers=Recognisers(recognisers, default=next(iter(recognisers))) if recognisers else None,
            listen=listen,
        )
        party = Party(media)
        call_hooks = hooks.for_call(SID, account_sid="acc", base=app.url("/"))
        session = Session(party, services, _Owner(), call_hooks, base=app.url("/"), defaults=defaults)
        made = Stage(session, party, alerts, app)
        try:
            yield made
        finally:
            await made.close()
            if listen is not None:
                await listen.close()


@asynccontextmanager
async def plane() -> AsyncIterator[MediaPlane]:
    made = MediaPlane(MediaConfig())
    try:
        yield made
    finally:
        await made.close()
