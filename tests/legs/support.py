"""A leg and its far side on loopback: both with real sockets, the far side commanded by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from engine.dial.events import DialEvent
from engine.legs.services import LegServices
from engine.sip.events import CallEvent, IncomingCall
from engine.sip.types import Body, InviteParams, StackConfig, Timers
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.endpoint import SipEndpoint
from media import MediaConfig, MediaPlane

__all__ = ["SDP", "FarSide", "Inbox", "open_pair", "sdp"]

T = TypeVar("T")

SDP = "application/sdp"


def sdp(port: int, *, codec: str = "0 PCMU", direction: str = "sendrecv", event: bool = True) -> Body:
    """An audio session at 127.0.0.1:`port`."""
    number, _, name = codec.partition(" ")
    events = "a=rtpmap:101 telephone-event/8000\r\n" if event else ""
    text = (
        "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {number}{' 101' if event else ''}\r\n"
        f"a=rtpmap:{number} {name}/8000\r\n{events}a={direction}\r\n"
    )
    return Body(SDP, text.encode())


class _Waiting:
    """Remembers events in order and lets a test wait for the first of a kind."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self._changed = asyncio.Event()

    def put(self, event: object) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[T], *, count: int = 1, within_s: float = 5.0) -> T:
        """The `count`-th event of this kind, when it is there."""
        async with asyncio.timeout(within_s):
            while len(found := [each for each in self.events if isinstance(each, kind)]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    async def settled_elsewhere(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `condition` holds, though none of our events tells of it."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.001)

    async def settled(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `condition` holds; looked at after every event."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Inbox(_Waiting):
    """The dial's end of a leg."""

    def post(self, event: DialEvent) -> None:
        self.put(event)


class FarSide(_Waiting):
    """The other party: an endpoint whose calls the test rings, answers, changes and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoint = SipEndpoint(_endpoint_config(), on_call=self._on_call)

    def _on_call(self, event: IncomingCall) -> None:
        event.call.owner = self
        self.put(event)

    def on_sip_event(self, event: CallEvent) -> None:
        self.put(event)

    @property
    def uri(self) -> str:
        bound = self.endpoint.listeners[0].bound
        return f"sip:bob@{bound.host}:{bound.port}"

    async def incoming(self) -> IncomingInvite:
        return (await self.until(IncomingCall)).call

    def call(self, uri: str, body: Body | None) -> OutgoingInvite:
        params = InviteParams(target=uri, from_="<sip:+15550111@127.0.0.1>", body=body)
        return self.endpoint.invite(params, self)

    @property
    def now(self) -> float:
        return self.endpoint.now()


def _endpoint_config() -> EndpointConfig:
    return EndpointConfig(
        listen=(ListenOn(host="127.0.0.1"),), stack=StackConfig(listeners=(), timers=Timers(t1=0.1))
    )


@asynccontextmanager
async def open_pair(
    on_call: Callable[[IncomingCall], None] | None = None, media: MediaConfig | None = None
) -> AsyncIterator[tuple[LegServices, FarSide]]:
    """Services for legs and a far side. `on_call` receives calls to our endpoint."""
    ours = SipEndpoint(_endpoint_config(), on_call=on_call)
    far = FarSide()
    plane = MediaPlane(media or MediaConfig())
    await ours.start()
    await far.endpoint.start()
    try:
        yield LegServices(ours, plane), far
    finally:
        await ours.stop(1.0)
        await far.endpoint.stop(1.0)
        await plane.close()
        assert not plane.streams
