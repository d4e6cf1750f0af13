"""The real engine in the test's own loop, on ports the kernel chooses; each test ends with an idle engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from engine import Config, DialRequest, DialResult, Engine, Target
from engine.config import MediaConfig, RouteConfig, SipConfig, SourceConfig, TargetConfig, TrunkConfig
from engine.dial.dial import Dial, Happening
from engine.sip.types import Transport

__all__ = ["happened", "inbound", "lab_config", "ring", "running", "sip_address", "start"]

LOOPBACK = SourceConfig(name="lab", addresses=("127.0.0.1",))

_DRAIN_S = 4.0
"""A result takes at most 3 s from the decision (DV-30)."""

T = TypeVar("T")


def lab_config(
    *,
    routes: Sequence[RouteConfig] = (),
    sources: Sequence[SourceConfig] = (LOOPBACK,),
    trunks: Sequence[TrunkConfig] = (),
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    name_servers: tuple[str, ...] = (),
    timer_b_s: float = 32.0,
    t1_ms: int = 500,
) -> Config:
    """Listens on loopback, UDP and TCP, ports chosen by the kernel; calls from loopback are welcome."""
    listen = ("udp:127.0.0.1:0", "tcp:127.0.0.1:0")
    return Config(
        sip=SipConfig(listen=listen, name_servers=name_servers, timer_b_s=timer_b_s, t1_ms=t1_ms),
        media=MediaConfig(ports="", codecs=codecs),
        source=tuple(sources),
        route=tuple(routes),
        trunk=tuple(trunks),
    )


@asynccontextmanager
async def running(config: Config | None = None) -> AsyncIterator[Engine]:
    """An engine; at the end no dial, caller or audio may be left, even if a far side ignores CANCEL."""
    async with Engine(config or lab_config()) as engine:
        yield engine
        assert await engine.drain(_DRAIN_S), f"{len(engine.dials)} dials are left"
        assert not engine.media.streams, f"streams are left:\n{engine.describe()}"


@asynccontextmanager
async def inbound(
    *targets: str, number: str = "*", t1_ms: int = 500, **route: object
) -> AsyncIterator[Engine]:
    """An engine that rings `targets` for every call from loopback. More: fields of `RouteConfig`."""
    entries = tuple(TargetConfig(sip_uri=uri) for uri in targets)
    entry = RouteConfig(number=number, targets=entries, **route)  # type: ignore[arg-type]
    async with running(lab_config(routes=[entry], t1_ms=t1_ms)) as engine:
        yield engine


def sip_address(engine: Engine, transport: Transport = Transport.UDP) -> tuple[str, int]:
    """Where it listens."""
    bound = next(each.bound for each in engine.endpoint.listeners if each.transport is transport)
    return bound.host, bound.port


def start(engine: Engine, *targets: Target | str, **options: object) -> tuple[Dial, list[Happening]]:
    """Begin a dial without a caller; all that happens to it is in the list."""
    each = tuple(Target.parse(target) if isinstance(target, str) else target for target in targets)
    happenings: list[Happening] = []
    request = DialRequest(targets=each, **options)  # type: ignore[arg-type]
    return engine.start_dial(request, observer=happenings.append), happenings


async def ring(
    engine: Engine, *targets: Target | str, within_s: float = 30.0, **options: object
) -> DialResult:
    """The result of a dial without a caller. More: fields of `DialRequest`."""
    dial, _ = start(engine, *targets, **options)
    async with asyncio.timeout(within_s):
        return await dial.wait()


def happened(happenings: Sequence[Happening], kind: type[T]) -> list[T]:
    """Those of one type, in order."""
    return [each for each in happenings if isinstance(each, kind)]
