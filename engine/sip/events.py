"""What the SIP core tells its shell, in the order it happened. All frozen.

Each event of a call has `.call`, whose `owner` the shell chose; a call yields exactly one `Failed` (never
established) or one `Ended` (was established), and no event after it.

    outgoing: [InviteSent] → Provisional* → Answered → (OfferReceived | ...)* → Ended,  or → Failed
    incoming: IncomingCall → Confirmed (ACK came) → (OfferReceived | ...)* → Ended,  or → Failed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from engine.sip.types import Body, EndCause, Failure, Flow, Party, Transport

if TYPE_CHECKING:
    from engine.sip.message import Request, Response
    from engine.sip.refer import IncomingRefer
    from engine.sip.session import Call
    from engine.sip.stack import PendingRequest
    from engine.sip.uac import OutgoingInvite
    from engine.sip.uas import IncomingInvite

__all__ = [
    "AnswerReceived",
    "Answered",
    "CallEvent",
    "Confirmed",
    "Ended",
    "Failed",
    "IncomingCall",
    "InfoReceived",
    "InviteSent",
    "OfferReceived",
    "OfferRejected",
    "OfferWithdrawn",
    "Provisional",
    "ReferProgress",
    "ReferReceived",
    "Replied",
    "RequestReceived",
    "ResolveNeeded",
    "SipEvent",
    "TurnToOffer",
]


class IncomingCall(Struct, frozen=True):
    """A new INVITE; 100 has been sent. Set `call.owner`, then `ring`, `answer` or `reject` it."""

    call: IncomingInvite
    request: Request
    body: Body | None
    """The offer; None: we shall make it in our 2xx (delayed offer)."""
    flow: Flow
    at: float


class InviteSent(Struct, frozen=True):
    """The INVITE left, after the name of its next hop had to be looked up. An INVITE whose next hop is
    known leaves with `stack.invite` and is not reported (`call.is_resolving`)."""

    call: OutgoingInvite
    at: float


class Provisional(Struct, frozen=True):
    """A 1xx response, 100 included. Retransmissions of reliable ones are not reported again."""

    call: OutgoingInvite
    status: int
    reason: str
    body: Body | None
    """Early SDP, if any."""
    response: Response
    to_tag: str
    """Tells the early dialogs of a forked INVITE apart; empty if the response had none."""
    is_reliable: bool
    """PRACKed by the core (RFC 3262): its body is the answer, not a preview of it."""
    at: float


class Answered(Struct, frozen=True):
    """The first 2xx to our INVITE. The ACK is sent, unless an `OfferReceived` follows (delayed offer)."""

    call: OutgoingInvite
    response: Response
    body: Body | None
    """The answer to the offer in our INVITE: from the 2xx, else from a provisional of the same dialog."""
    to_tag: str
    was_early: bool
    """True if a reliable provisional of this dialog already delivered `body` as the answer."""
    at: float


class Confirmed(Struct, frozen=True):
    """The ACK for our 2xx arrived (incoming calls only; we send the ACK ourselves for outgoing ones)."""

    call: IncomingInvite
    at: float


class OfferReceived(Struct, frozen=True):
    """The peer wants to change the session: reply with `call.answer_offer` or `call.reject_offer`."""

    call: Call
    body: Body | None
    """The offer; None: the peer asks us to make one (re-INVITE without SDP): `answer_offer` carries it and
    the peer's answer follows as `AnswerReceived`."""
    method: str
    """INVITE, UPDATE, PRACK, or ACK when the offer came in the 2xx to our INVITE without one."""
    at: float


class AnswerReceived(Struct, frozen=True):
    """The answer to an offer made after the initial INVITE: `offer`, `update`, or our offer in a 2xx."""

    call: Call
    body: Body
    at: float


class OfferRejected(Struct, frozen=True):
    """The peer refused our re-INVITE or UPDATE; the session goes on unchanged (RFC 3261 §14.1)."""

    call: Call
    status: int
    reason: str
    retry_after_s: int | None
    at: float


class OfferWithdrawn(Struct, frozen=True):
    """The peer cancelled the re-INVITE of an `OfferReceived` before our answer: there is nothing to
    answer."""

    call: Call
    at: float


class TurnToOffer(Struct, frozen=True):
    """Our change of the session that was under way is over: `call.wants_turn` asked to be told."""

    call: Call
    at: float


class InfoReceived(Struct, frozen=True):
    """INFO in the dialog (DTMF relay and others); 200 has been sent."""

    call: Call
    body: Body | None
    request: Request
    at: float


class ReferReceived(Struct, frozen=True):
    """The peer asks us to contact somebody (RFC 3515): `refer.accept`, `refer.reject`, `refer.progress`."""

    call: Call
    refer: IncomingRefer
    request: Request
    at: float


class ReferProgress(Struct, frozen=True):
    """How the REFER we sent goes: its own response, then what NOTIFYs tell in message/sipfrag."""

    call: Call
    status: int
    reason: str
    is_final: bool
    """Nothing more will come: refused, finished, or without subscription (RFC 4488)."""
    at: float


class Replied(Struct, frozen=True):
    """The outcome of a request made with `call.send_request`."""

    call: Call
    serial: int
    """As returned by `send_request`."""
    status: int
    """Final response; 408 if none came, 503 if the request could not be sent."""
    reason: str
    response: Response | None
    at: float


class Failed(Struct, frozen=True):
    """The call was never established; the last event of this call."""

    call: Call
    failure: Failure
    at: float


class Ended(Struct, frozen=True):
    """The established call is over (we may still be saying goodbye); the last event of this call."""

    call: Call
    by: Party
    cause: EndCause
    reason_header: str
    """Reason header field of the peer's BYE (RFC 3326), verbatim; empty if none."""
    status: int | None
    """With DIALOG_LOST, the response that told; 408 for silence."""
    at: float
    request: Request | None = None
    """The peer's BYE."""


class ResolveNeeded(Struct, frozen=True):
    """The core needs addresses for a name: answer with `stack.resolved(ticket, hops, now)` (RFC 3263).

    `transport` and `port` are those written in the URI, None if absent.
    """

    ticket: int
    uri: str
    host: str
    port: int | None
    transport: Transport | None
    secure: bool
    """sips: only TLS or WSS will do."""


class RequestReceived(Struct, frozen=True):
    """A request outside any dialog of a method in `StackConfig.passed_up`; answer with `pending.respond`."""

    pending: PendingRequest
    request: Request
    flow: Flow
    at: float


CallEvent: TypeAlias = (
    IncomingCall
    | InviteSent
    | Provisional
    | Answered
    | Confirmed
    | OfferReceived
    | AnswerReceived
    | OfferRejected
    | OfferWithdrawn
    | TurnToOffer
    | InfoReceived
    | ReferReceived
    | ReferProgress
    | Replied
    | Failed
    | Ended
)
SipEvent: TypeAlias = CallEvent | ResolveNeeded | RequestReceived
