"""Facts that cross the border of the SIP core: addresses, configuration, parameters and results of a call.

Everything here is frozen and compared by value. Addresses are numeric: the core never resolves a name (it
asks its shell by `ResolveNeeded`), IPv6 addresses have no brackets outside SIP text. SDP is opaque `bytes`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from engine.sip.message import Request, Response

__all__ = [
    "Address",
    "Body",
    "Credentials",
    "EndCause",
    "Failure",
    "FailureKind",
    "Flow",
    "Hop",
    "InviteParams",
    "InviteState",
    "Listener",
    "Party",
    "StackConfig",
    "Timers",
    "Transmit",
    "Transport",
    "WrongState",
]


class Transport(StrEnum):
    """How a message travels, spelled as in the Via header field."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    @property
    def is_reliable(self) -> bool:
        """True where the transport itself retransmits, so the transaction must not (RFC 3261 §17)."""
        return self is not Transport.UDP

    @property
    def is_secure(self) -> bool:
        """True where a sips: URI may be served (RFC 3261 §26.2.2)."""
        return self is Transport.TLS or self is Transport.WSS


class Address(NamedTuple):
    """A numeric address; IPv6 without brackets."""

    host: str
    port: int


class Flow(NamedTuple):
    """The way a message came or goes.

    `local` is the listener's bound address, for TCP connections too, so that a flow the core makes up before
    a connection exists equals the one the shell reports later.
    """

    transport: Transport
    local: Address
    remote: Address


class Hop(NamedTuple):
    """A resolved next hop (RFC 3263)."""

    transport: Transport
    remote: Address


class Transmit(NamedTuple):
    """One message to send now."""

    data: bytes
    flow: Flow


class Body(Struct, frozen=True):
    """A message body, not looked into."""

    content_type: str
    data: bytes


class Credentials(Struct, frozen=True):
    """A user name and password for 401/407 challenges (RFC 7616)."""

    username: str
    password: str
    realm: str | None = None
    """Only for this realm; None: for whoever asks."""


class Listener(Struct, frozen=True):
    """A local socket and what is written about it in Via and Contact."""

    transport: Transport
    bound: Address
    advertised: Address
    """What others should send to: differs from `bound` behind NAT or for a wildcard address."""


class Timers(Struct, frozen=True, kw_only=True):
    """The timers of RFC 3261 §17 (Table 4), RFC 6026 and RFC 3262, in seconds.

    Everything left None follows from T1 as the RFCs say. Configured per stack, replaceable per call.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    timer_b: float | None = None
    """INVITE without any response; default 64·T1."""
    timer_d: float = 32.0
    """Absorbs retransmitted non-2xx responses to an INVITE over UDP."""
    timer_f: float | None = None
    """Non-INVITE request without final response; default 64·T1."""
    timer_h: float | None = None
    """Wait for the ACK of a non-2xx response; default 64·T1. Also for the ACK of a 2xx, and PRACK."""
    timer_l: float | None = None
    """RFC 6026: server transaction kept after a 2xx; default 64·T1."""
    timer_m: float | None = None
    """RFC 6026: client transaction kept after a 2xx; default 64·T1."""
    cancel: float | None = None
    """After CANCEL, the INVITE is given up after this time without final response (RFC 3261 §9.1); 64·T1."""

    @property
    def b(self) -> float:
        return 64 * self.t1 if self.timer_b is None else self.timer_b

    @property
    def f(self) -> float:
        return 64 * self.t1 if self.timer_f is None else self.timer_f

    @property
    def h(self) -> float:
        return 64 * self.t1 if self.timer_h is None else self.timer_h

    @property
    def j(self) -> float:
        """Absorbs retransmitted non-INVITE requests over UDP."""
        return 64 * self.t1

    @property
    def l(self) -> float:  # noqa: E743 - the RFC's name
        return 64 * self.t1 if self.timer_l is None else self.timer_l

    @property
    def m(self) -> float:
        return 64 * self.t1 if self.timer_m is None else self.timer_m

    @property
    def after_cancel(self) -> float:
        return 64 * self.t1 if self.cancel is None else self.cancel


class StackConfig(Struct, frozen=True, kw_only=True):
    """What a stack is told once, at its birth."""

    listeners: tuple[Listener, ...]
    """Where we can be reached; for a hop, the first with its transport and address family is used."""
    user_agent: str = "dial-engine"
    """User-Agent in INVITE, Server in the 2xx to INVITE and OPTIONS; empty: neither."""
    timers: Timers = Timers()
    udp_limit_bytes: int = 1300
    """A longer request moves from UDP to TCP if there is a TCP listener (RFC 3261 §18.1.1); 0: never."""
    max_forwards: int = 70
    session_expires_s: int | None = None
    """Session timer we ask for (RFC 4028); None: we ask for none but follow the peer's wish."""
    min_se_s: int = 90
    """Shorter session timers are refused with 422 (RFC 4028 §5; never below 90)."""
    reliable_provisionals: bool = True
    """Whether 100rel is in Supported (RFC 3262)."""
    accept: tuple[str, ...] = (
        "application/sdp",
        "multipart/mixed",
        "multipart/alternative",
        "multipart/related",
    )
    """Body types an INVITE, re-INVITE or UPDATE may carry; others get 415."""
    demanded: tuple[str, ...] = ()
    """Option tags a caller must support, e.g. `("100rel",)`; others get 421 (RFC 3261 §21.4.15)."""
    passed_up: frozenset[str] = frozenset()
    """Methods outside a dialog given to the shell as `RequestReceived`; others get 405 (OPTIONS: 200)."""


class InviteParams(Struct, frozen=True, kw_only=True):
    """One outgoing INVITE. Text is as it goes on the wire; CR, LF and NUL are refused."""

    target: str
    """Request-URI, e.g. `sip:bob@example.com`."""
    from_: str
    """From as name-addr without tag, e.g. `"Alice" <sip:alice@example.com>`."""
    to: str | None = None
    """To as name-addr without tag; None: the target, without port and parameters about the way there."""
    body: Body | None = None
    """The offer; None: the callee makes it (delayed offer)."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further header fields in order (P-Asserted-Identity, Privacy, X-...), reserved ones filtered out."""
    credentials: tuple[Credentials, ...] = ()
    route: tuple[str, ...] = ()
    """Preloaded route set, e.g. `("<sip:proxy.example.com;lr>",)` for an outbound proxy."""
    hops: tuple[Hop, ...] = ()
    """Where to send, when the caller knows better than RFC 3263 (a trunk's addresses); tried in order."""
    flow: Flow | None = None
    """An existing flow to use instead of any resolution (RFC 5626, WebSocket)."""
    local: Address | None = None
    """Bound address of the listener to use; None: the first that fits the hop."""
    contact_user: str = ""
    """User part of our Contact."""
    call_id: str | None = None
    """None: a random one."""
    timers: Timers | None = None
    """None: the stack's."""
    max_forwards: int | None = None
    max_redirects: int = 5
    """3xx contacts are followed this many times (DV-24); 0: not at all."""
    session_expires_s: int | None = None
    """Session timer for this call; None: the stack's."""
    require_100rel: bool = False
    privacy: bool = False
    """Leave User-Agent out."""


class InviteState(StrEnum):
    """Life of an INVITE usage, as its owner sees it."""

    CALLING = "calling"
    """Outgoing: INVITE sent or waiting for an address, no provisional response yet."""
    PROCEEDING = "proceeding"
    """Outgoing: a provisional response came. Incoming: 100 sent, no final response yet."""
    ESTABLISHED = "established"
    """2xx received or sent."""
    ENDING = "ending"
    """A wish to end is being carried out (CANCEL, BYE, ACK of a late answer)."""
    ENDED = "ended"
    """Nothing is left to do but to absorb retransmissions."""


class FailureKind(StrEnum):
    """Why a call was never established."""

    REFUSED = "refused"
    """The far side sent a final response of 300-699."""
    NO_RESPONSE = "no-response"
    """No response at all within Timer B on any hop (reported as 408)."""
    TRANSPORT = "transport"
    """No hop could be reached: refused, unreachable, connection broken (reported as 503)."""
    UNRESOLVED = "unresolved"
    """The name of the next hop has no usable address (reported as 503)."""
    CANCELLED = "cancelled"
    """We hung up before an answer, or the answer came too late (reported as 487)."""
    CALLER_GONE = "caller-gone"
    """Incoming: CANCEL or BYE from the caller before we answered, or its INVITE has expired."""
    REJECTED = "rejected"
    """Incoming: we refused it."""


class Failure(Struct, frozen=True, kw_only=True):
    """How a call that was never established came to its end."""

    kind: FailureKind
    status: int
    """Status received, or the one that stands for what happened: 408, 487, 503."""
    reason: str
    """The peer's phrase as received, or ours."""
    response: Response | None = None
    had_provisional: bool = False
    """At least one 1xx had been received (a 408 then means "no answer" rather than "nobody there")."""
    after_hang_up: bool = False
    """We had already asked to end the call when this came."""
    answered_late: bool = False
    """A 2xx crossed our CANCEL; it was acknowledged and the dialog ended with BYE."""
    retry_after_s: int | None = None
    request: Request | None = None
    """The caller's CANCEL, or its BYE in an early dialog."""


class Party(StrEnum):
    """Who ended an established call."""

    LOCAL = "local"
    REMOTE = "remote"
    NOBODY = "nobody"


class EndCause(StrEnum):
    """Why an established call ended."""

    HANG_UP = "hang-up"
    """BYE, from us or from them."""
    NO_ACK = "no-ack"
    """Our 2xx was never acknowledged (RFC 3261 §13.3.1.4); BYE was sent."""
    SESSION_EXPIRED = "session-expired"
    """The peer did not refresh the session (RFC 4028 §10); BYE was sent."""
    DIALOG_LOST = "dialog-lost"
    """A request within the dialog met 481, 408, silence or another response that ends it (RFC 5057)."""


class WrongState(RuntimeError):
    """A method was called on a call whose state does not allow it: a mistake in our own code."""
