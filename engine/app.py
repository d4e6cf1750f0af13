"""The composition root: builds all parts from a `Config`, starts, drains and stops them.

    async with Engine() as engine:
        result = await engine.dial(DialRequest(targets=(Target.sip("sip:bob@192.0.2.7"),)))

Whatever can be wrong with a configuration is found by the constructor; only sockets wait for the start.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from engine.agenda import Agenda
from engine.config import Config, SipConfig
from engine.dial.dial import Dial, Observer
from engine.dial.manager import DialManager
from engine.dial.outcome import DialStatus, StatusMap
from engine.dial.request import DialRequest
from engine.dial.result import DialResult
from engine.errors import ConfigError, Overloaded
from engine.legs.caller_audio import (
    RINGBACK_TONES,
    LoadMusic,
    caller_audio,
    music_from,
    music_from_files,
)
from engine.legs.factory import SipLegFactory
from engine.legs.services import LegServices
from engine.logs import configure_logging
from engine.pbx import InboundCalls
from engine.routing.branches import Router
from engine.routing.directory import Directory
from engine.routing.inbound import InboundRoutes, Sources
from engine.routing.numbers import Numbering
from engine.routing.trunks import Trunks
from engine.sip.events import IncomingCall
from engine.sip.types import StackConfig, Timers, Transport
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.dns import DnsPython
from engine.transport.endpoint import SipEndpoint, Tracer
from engine.transport.listening import reachable_host
from engine.transport.resolver import Resolver
from media import AudioCapabilities, MediaConfig, MediaPlane
from media.codecs import CodecSpec, find_codec

if TYPE_CHECKING:
    from engine.appserver import ApplicationServer

__all__ = ["Engine", "check_config"]

_log = structlog.get_logger(__name__)

_GOODBYE_S = 2.0
"""How long `stop` lets CANCEL, BYE and their responses travel before the sockets close."""
_RETRY_AFTER_S = 5.0
"""When somebody else may answer instead of an engine that is being drained."""


def check_config(config: Config) -> None:
    """Everything an engine would refuse about a configuration; ConfigError names the key."""
    Engine(config)


class Engine:
    """One process's dial engine. Use it as `async with Engine(config) as engine:`."""

    def __init__(self, config: Config | None = None) -> None:
        """Raises ConfigError, naming the key."""
        if not structlog.is_configured():
            configure_logging(level="warning")  # an embedding program that says nothing hears of trouble only
        self.config = config = config or Config()
        self._capabilities: dict[tuple[str, ...], AudioCapabilities] = {}
        self._default_capabilities = self._make_capabilities(config.media.codecs, "media.codecs")
        for i, trunk in enumerate(config.trunk):
            if trunk.codecs:
                self._capabilities[trunk.codecs] = self._make_capabilities(trunk.codecs, f"trunk[{i}].codecs")
        self._router = Router(Trunks(config.trunk), Directory(config.user), self._own_host)
        self._sources = Sources(config.source)
        self._numbering = Numbering(is_strict=config.numbers.strict)
        self._routes = InboundRoutes(config.route, self._numbering.check)
        self._status_map = StatusMap({int(code): DialStatus(word) for code, word in config.status.items()})
        self._server = _application_server(config)
        self._exits = AsyncExitStack()
        self._endpoint: SipEndpoint | None = None
        self._media: MediaPlane | None = None
        self._dials: DialManager | None = None
        self._inbound: InboundCalls | None = None
        self._is_draining = False

    # -- life -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Engine:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the sockets. Raises ConfigError, naming key and address, with nothing left open."""
        async with AsyncExitStack() as exits:
            server = self._server
            if server is not None:
                await server.open(exits)
            try:
                media = MediaPlane(self._media_config())
            except (OSError, ValueError) as error:
                raise ConfigError("media.listen", f"{self.config.media.listen}: {error}") from error
            exits.push_async_callback(media.close)
            resolver = self._resolver()
            exits.push_async_callback(resolver.close)
            agenda = Agenda(asyncio.get_running_loop())
            endpoint = SipEndpoint(
                self._endpoint_config(), on_call=self._on_call, resolver=resolver, agenda=agenda
            )
            try:
                await endpoint.start()
            except OSError as error:
                raise ConfigError("sip.listen", str(error)) from error
            exits.push_async_callback(endpoint.stop, _GOODBYE_S)
            services = LegServices(endpoint, media)
            dials = DialManager(
                legs=SipLegFactory(services, self._router, self.capabilities_for),
                audio=caller_audio(RINGBACK_TONES[self.config.media.ringback], self._music()),
                status_map=self._status_map,
                max_dials=self.config.limits.max_dials,
                admit=self._numbering.check,
                agenda=agenda,
            )
            await exits.enter_async_context(dials)
            self._endpoint, self._media, self._dials = endpoint, media, dials
            calls = await server.begin(exits, self, self._status_map) if server is not None else None
            overrides = {int(code): instead for code, instead in self.config.response.items()}
            self._inbound = InboundCalls(services, dials, self._sources, self._routes, calls, overrides)
            if server is not None:
                await server.serve(exits, self)
            self._exits = exits.pop_all()
        listeners = [
            f"{each.transport.lower()}:{each.bound.host}:{each.bound.port}" for each in endpoint.listeners
        ]
        _log.info("engine started", listeners=listeners)

    def _music(self) -> LoadMusic:
        """Where applications name the music, it comes from the web or the folder for sounds."""
        if self._server is None:
            return music_from_files
        return music_from(self._server.sounds, {route.dial_music for route in self.config.route})

    async def stop(self) -> None:
        """Hang up what is left, let the goodbyes finish, close everything. Idempotent."""
        if self._inbound is not None:
            self._inbound.close()
        await self._exits.aclose()

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Refuse new calls (503) and wait for those in progress; False if some are left after `timeout_s`."""
        self._is_draining = True
        if self._inbound is not None:
            self._inbound.refuse_new()
        try:
            async with asyncio.timeout(timeout_s):
                if self._server is not None:
                    # First, because what they execute may still want to dial.
                    await self._server.calls.drain()
                return await self.dials.drain()
        except TimeoutError:
            return False

    # -- work -------------------------------------------------------------------------------------------

    def start_dial(self, request: DialRequest, *, observer: Observer | None = None) -> Dial:
        """Begin a dial without a caller's leg; `await dial.wait()` gives the result.

        Raises Overloaded, or InvalidRequest where the deployment's numbering is strict (DV-12).
        """
        if self._is_draining:
            raise Overloaded("the engine is being drained", retry_after_s=_RETRY_AFTER_S)
        return self.dials.start(request, observer=observer)

    async def dial(self, request: DialRequest, *, observer: Observer | None = None) -> DialResult:
        """Ring, talk, hang up: returns when the dial is over. Cancelling it hangs up."""
        dial = self.start_dial(request, observer=observer)
        try:
            return await dial.wait()
        except asyncio.CancelledError:
            dial.hang_up()
            raise

    # -- for commands, tests and APIs -------------------------------------------------------------------

    @property
    def dials(self) -> DialManager:
        """All dials of this engine. Raises RuntimeError before `start`."""
        if self._dials is None:
            raise RuntimeError("the engine has not been started")
        return self._dials

    @property
    def endpoint(self) -> SipEndpoint:
        """The SIP side. Raises RuntimeError before `start`."""
        if self._endpoint is None:
            raise RuntimeError("the engine has not been started")
        return self._endpoint

    @property
    def media(self) -> MediaPlane:
        """The audio side. Raises RuntimeError before `start`."""
        if self._media is None:
            raise RuntimeError("the engine has not been started")
        return self._media

    @property
    def server(self) -> ApplicationServer:
        """Applications, hooks, records and HTTP. Raises RuntimeError where the configuration has none."""
        if self._server is None:
            raise RuntimeError("the configuration has no application and no HTTP")
        return self._server

    @property
    def http_url(self) -> str:
        """Where the HTTP APIs are served; empty: nowhere."""
        http = self._server.http if self._server is not None else None
        return http.url if http is not None else ""

    @property
    def calls_in_progress(self) -> int:
        """Calls under applications, and dials that belong to none."""
        if self._server is None:
            return len(self.dials)
        return max(len(self.dials), len(self._server.calls))

    def add_tracer(self, tracer: Tracer) -> None:
        """Let `tracer` see every SIP message from now on."""
        self.endpoint.add_tracer(tracer)

    def describe(self) -> str:
        """Every live transaction, dialog, call and stream; empty when nothing is left."""
        parts = [self.endpoint.describe()]
        parts += [repr(stream) for stream in self.media.streams]
        return "\n".join(part for part in parts if part)

    def capabilities_for(self, codecs: tuple[str, ...]) -> AudioCapabilities:
        """What is offered for these codec names; () is the configured default. Raises ConfigError."""
        if not codecs:
            return self._default_capabilities
        known = self._capabilities.get(codecs)
        if known is None:
            known = self._capabilities[codecs] = self._make_capabilities(codecs, "codecs")
        return known

    # -- parts ------------------------------------------------------------------------------------------

    def _on_call(self, event: IncomingCall) -> None:
        if self._inbound is None:  # a call that came before everything is wired
            event.call.reject(event.at, 503, "Service Unavailable")
            self.endpoint.touch()
        else:
            self._inbound.take(event)

    def _own_host(self) -> str:
        return self.endpoint.listeners[0].advertised.host

    def _make_capabilities(self, codecs: tuple[str, ...], key: str) -> AudioCapabilities:
        specs: list[CodecSpec] = []
        for i, name in enumerate(codecs):
            spec = find_codec(name)
            if spec is None:
                raise ConfigError(f"{key}[{i}]", f"no such codec: {name!r}")
            specs.append(spec)
        if not specs:
            raise ConfigError(key, "needs at least one codec")
        return AudioCapabilities(codecs=tuple(specs), ptime_ms=self.config.media.ptime_ms)

    def _media_config(self) -> MediaConfig:
        media = self.config.media
        first, last = media.port_range()
        return MediaConfig(
            host=media.listen,
            advertised=media.advertise or reachable_host(media.listen),
            first_port=first,
            last_port=last,
            capabilities=self._default_capabilities,
            rtp_timeout_s=media.silence_timeout_s or None,
            in_band_dtmf=media.in_band_dtmf,
        )

    def _endpoint_config(self) -> EndpointConfig:
        sip = self.config.sip
        return EndpointConfig(
            listen=_listen_on(sip),
            stack=StackConfig(
                listeners=(),
                user_agent=sip.user_agent,
                timers=Timers(t1=sip.t1_ms / 1000, timer_b=sip.timer_b_s),
                session_expires_s=sip.session_expires_s or None,
            ),
        )

    def _resolver(self) -> Resolver:
        """Only for transports and families we have a socket for."""
        listeners = self.config.sip.listeners()
        families = dict.fromkeys("AAAA" if ":" in each.host else "A" for each in listeners)
        return Resolver(
            dns=DnsPython(self.config.sip.dns_servers()),
            transports=tuple(dict.fromkeys(Transport(each.transport) for each in listeners)),
            families=tuple(families),
        )


def _application_server(config: Config) -> ApplicationServer | None:
    """Loaded when it is needed: whoever only dials pays nothing for HTTP, a database and voices."""
    if not config.serves_applications:
        return None
    from engine.appserver import ApplicationServer

    return ApplicationServer(config)


def _listen_on(sip: SipConfig) -> tuple[ListenOn, ...]:
    """One entry per address and port: transports that share both are offered together."""
    transports: dict[tuple[str, int], list[Transport]] = {}
    for listener in sip.listeners():
        transports.setdefault((listener.host, listener.port), []).append(Transport(listener.transport))
    return tuple(
        ListenOn(host=host, port=port, transports=tuple(kinds), advertised_host=sip.advertise)
        for (host, port), kinds in transports.items()
    )
