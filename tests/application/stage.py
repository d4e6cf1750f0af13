"""Calls under an application with real SIP over loopback, real HTTP, and phones the test commands.

async with on_stage() as stage:
    stage.app.on("/call", [{"verb": "dial", "target": [stage.target(0)]}])
    call = stage.call()
    callee = await stage.callees[0].incoming()
    ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from engine.application.applications import Applications
from engine.application.calls import Calls
from engine.application.services import ApplicationServices
from engine.config import AccountConfig, ApplicationConfig, RouteConfig, SourceConfig
from engine.dial.manager import DialManager
from engine.hooks import Alerts, HookClient, HookService
from engine.legs.caller_audio import RINGBACK_TONES, caller_audio
from engine.legs.factory import SipLegFactory
from engine.legs.services import LegServices
from engine.pbx import InboundCalls
from engine.routing.branches import Router
from engine.routing.directory import Directory
from engine.routing.inbound import InboundRoutes, Sources
from engine.routing.trunks import Trunks
from engine.sip.events import IncomingCall, Provisional
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from engine.speech.recognition import Recognisers
from engine.store.rows import AlertRow, CallRow, LegRow
from media import AudioCapabilities
from tests.legs.support import FarSide, open_pair, sdp
from tests.support.application import HookRequest, WebApplication

__all__ = ["ACCOUNT", "APPLICATION", "Stage", "on_stage"]

ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
APPLICATION = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
NUMBER = "5550100"


class Kept:
    """Records and alerts, in memory."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRow] = {}
        self.legs: dict[str, LegRow] = {}
        self.ended: list[str] = []
        self.alerts: list[AlertRow] = []

    def call_started(self, row: CallRow) -> None:
        self.calls[row.call_sid] = row

    def call_changed(self, row: CallRow) -> None:
        self.calls[row.call_sid] = row

    def call_ended(self, row: CallRow) -> None:
        self.calls[row.call_sid] = row
        self.ended.append(row.call_sid)

    def leg_changed(self, row: LegRow) -> None:
        self.legs[row.leg_sid] = row

    def leg_ended(self, row: LegRow) -> None:
        self.legs[row.leg_sid] = row
        self.ended.append(row.leg_sid)

    def alert(self, row: AlertRow) -> None:
        self.alerts.append(row)


class Stage:
    """Everything of one test."""

    app: WebApplication
    calls: Calls
    dials: DialManager
    hooks: HookService
    services: LegServices
    inbound: InboundCalls
    caller: FarSide
    callees: list[FarSide]

    def __init__(self) -> None:
        self.kept = Kept()

    def target(self, callee: int = 0, **more: object) -> dict[str, object]:
        """A phone as an element of `target`."""
        return {"type": "sip", "sipUri": self.callees[callee].uri, **more}

    def dial(self, *callees: int, **more: object) -> dict[str, object]:
        """A `dial` of these phones, the first one if none is named."""
        return {"verb": "dial", "target": [self.target(each) for each in callees or (0,)], **more}

    def call(self, port: int | None = 40000) -> OutgoingInvite:
        """The caller calls the application. `port` of its audio; None: it makes no offer."""
        bound = self.services.endpoint.listeners[0].bound
        body = None if port is None else sdp(port)
        return self.caller.call(f"sip:{NUMBER}@{bound.host}:{bound.port}", body)

    async def rings(self, callee: int = 0) -> IncomingInvite:
        """The INVITE a phone got, after its 180."""
        phone = self.callees[callee]
        leg = await phone.incoming()
        leg.ring(phone.now)
        phone.endpoint.touch()
        return leg

    async def answers(self, callee: int = 0) -> IncomingInvite:
        """A phone rings and is picked up."""
        leg = await self.rings(callee)
        await self.answers_now(callee, leg)
        return leg

    async def answers_now(self, callee: int, leg: IncomingInvite) -> None:
        """A phone that rings is picked up."""
        phone = self.callees[callee]
        leg.answer(sdp(41000 + 10 * callee), phone.now)
        phone.endpoint.touch()

    async def rings_and_refuses(self, callee: int, status: int) -> None:
        """A phone rings, and is told not to."""
        self.refuse(callee, await self.rings(callee), status)

    async def next_ring_refused(self, number: int, status: int) -> None:
        """The first phone rings for the `number`th time, and is told not to."""
        phone = self.callees[0]
        leg = (await phone.until(IncomingCall, count=number)).call
        leg.ring(phone.now)
        leg.reject(phone.now, status)
        phone.endpoint.touch()

    async def refuses(self, callee: int, status: int) -> None:
        """A phone refuses."""
        phone = self.callees[callee]
        (await phone.incoming()).reject(phone.now, status)
        phone.endpoint.touch()

    def hang_up(self, phone: FarSide, call: OutgoingInvite | IncomingInvite) -> None:
        call.hang_up(phone.now)
        phone.endpoint.touch()

    def refuse(self, callee: int, leg: IncomingInvite, status: int) -> None:
        phone = self.callees[callee]
        leg.reject(phone.now, status)
        phone.endpoint.touch()

    def statuses(self, call_sid: str) -> list[str]:
        """What the status hook was told about a leg, in order."""
        return [
            payload["call_status"]
            for payload in self.app.payloads("/status")
            if payload["call_sid"] == call_sid
        ]

    async def result(self, number: int = 1) -> HookRequest:
        """The `actionHook` of a dial."""
        return await self.app.request("/dial", number)

    def provisionals(self) -> list[int]:
        """What the caller was told while it waited."""
        return [event.status for event in self.caller.events if isinstance(event, Provisional)]

    async def quiet(self) -> None:
        """Wait until no call is left and every hook has gone out."""
        await self.caller.settled_elsewhere(lambda: not len(self.calls) and not self.hooks.backlog)

    def alerts(self) -> list[str]:
        return [row.kind for row in self.kept.alerts]


@asynccontextmanager
async def on_stage(
    *,
    callees: int = 3,
    application: Mapping[str, object] | None = None,
    hook_timeout_s: float = 5.0,
    recognisers: Recognisers | None = None,
) -> AsyncIterator[Stage]:
    """`application`: fields of its configuration in place of the usual ones. Fails if anything is left."""
    stage = Stage()

    def take(event: IncomingCall) -> None:
        stage.inbound.take(event)

    async with AsyncExitStack() as exits:
        app = stage.app = await exits.enter_async_context(WebApplication())
        app.on("/status")
        app.on("/dial")
        services, caller = await exits.enter_async_context(open_pair(take))
        stage.services, stage.caller, stage.callees = services, caller, []
        for _ in range(callees):
            phone = FarSide()
            await phone.endpoint.start()
            exits.push_async_callback(phone.endpoint.stop, 1.0)
            stage.callees.append(phone)
        alerts = Alerts(stage.kept)
        client = HookClient(timeout_s=hook_timeout_s)
        stage.hooks = await exits.enter_async_context(HookService(client, alerts=alerts))
        router = Router(Trunks(()), Directory(()), lambda: "127.0.0.1")
        stage.dials = await exits.enter_async_context(
            DialManager(
                legs=SipLegFactory(services, router, lambda _: AudioCapabilities()),
                audio=caller_audio(RINGBACK_TONES["us"]),
            )
        )
        fields: dict[str, object] = {
            "sid": APPLICATION,
            "name": "ivr",
            "account": "acme",
            "call_hook": app.url("/call"),
            "call_status_hook": app.url("/status"),
        }
        applications = Applications(
            [ApplicationConfig(**{**fields, **(application or {})})],  # type: ignore[arg-type]
            [AccountConfig(sid=ACCOUNT, name="acme", sip_realm="sip.example.com")],
        )
        stage.calls = await exits.enter_async_context(
            Calls(
                ApplicationServices(
                    dials=stage.dials,
                    make_hooks=stage.hooks.for_call,
                    alerts=alerts,
                    records=stage.kept,
                    recognisers=recognisers,
                ),
                applications,
            )
        )
        stage.inbound = InboundCalls(
            services,
            stage.dials,
            Sources([SourceConfig(name="pbx", addresses=("127.0.0.1",))]),
            InboundRoutes([RouteConfig(number=NUMBER, application="ivr")]),
            stage.calls,
        )
        yield stage
        await stage.calls.stop()
        await stage.caller.settled_elsewhere(lambda: not services.media.streams)
        assert len(stage.dials) == 0
        assert len(stage.calls) == 0
