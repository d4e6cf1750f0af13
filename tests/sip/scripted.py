"""A far side that is no stack: a test writes what it answers and asks, line by line."""

from __future__ import annotations

from itertools import count

from engine.sip import build
from engine.sip.message import Request, Response
from engine.sip.types import Address, Body, Transport
from tests.support.wire import Party, Wire

__all__ = ["Scripted"]

Fields = tuple[tuple[str, str], ...]


class Scripted:
    """Somebody at `host` whom one party talks to."""

    def __init__(self, wire: Wire, party: Party, host: str = "192.0.2.9") -> None:
        self.wire = wire
        self.party = party
        self.host = host
        self.address = Address(host, 5060)
        self._branches = count(1)

    def received(self, method: str) -> list[Request]:
        """Requests of one method that arrived here, retransmissions included."""
        return [
            sent.message
            for sent in self.wire.raw.get(self.host, [])
            if isinstance(sent.message, Request) and sent.message.method == method
        ]

    def last(self, method: str) -> Request:
        """The latest of them."""
        return self.received(method)[-1]

    def answered(self, method: str = "INVITE") -> list[Response]:
        """Responses that arrived here."""
        return [
            sent.message
            for sent in self.wire.raw.get(self.host, [])
            if isinstance(sent.message, Response) and sent.message.cseq.method == method
        ]

    def statuses(self, method: str = "INVITE") -> list[int]:
        """Their status codes."""
        return [response.status for response in self.answered(method)]

    def reply(
        self,
        status: int,
        request: Request | None = None,
        *,
        tag: str = "far",
        fields: Fields = (),
        body: Body | None = None,
        reason: str = "",
    ) -> None:
        """Answer the last INVITE, or `request`."""
        if request is None:
            request = self.last("INVITE")
        contact: Fields = ()
        if 100 < status < 300 and not any(name == "Contact" for name, _ in fields):
            contact = (("Contact", f"<sip:far@{self.host}>"),)
        response = build.response(
            request,
            status,
            reason,
            to_tag=tag,
            fields=(*contact, *fields),
            body=body.data if body else b"",
            content_type=body.content_type if body else "",
        )
        self.wire.deliver(self.party, response.to_bytes(), self.address)

    def request(
        self,
        method: str,
        *,
        to_tag: str = "",
        from_tag: str = "far",
        call_id: str = "call-1",
        cseq: int = 1,
        branch: str = "",
        uri: str = "",
        fields: Fields = (),
        body: Body | None = None,
        without: tuple[str, ...] = (),
        via: str = "",
        cseq_method: str = "",
    ) -> Request:
        """Send a request to the party."""
        request = self.compose(
            method,
            to_tag=to_tag,
            from_tag=from_tag,
            call_id=call_id,
            cseq=cseq,
            branch=branch,
            uri=uri,
            fields=fields,
            body=body,
            without=without,
            via=via,
            cseq_method=cseq_method,
        )
        self.wire.deliver(self.party, request.to_bytes(), self.address)
        return request

    def compose(
        self,
        method: str,
        *,
        to_tag: str = "",
        from_tag: str = "far",
        call_id: str = "call-1",
        cseq: int = 1,
        branch: str = "",
        uri: str = "",
        fields: Fields = (),
        body: Body | None = None,
        without: tuple[str, ...] = (),
        via: str = "",
        cseq_method: str = "",
    ) -> Request:
        """A request, not sent."""
        branch = branch or f"z9hG4bKfar{next(self._branches)}"
        base = [
            ("Via", via or f"SIP/2.0/UDP {self.host}:5060;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:far@example.com>;tag={from_tag}"),
            ("To", "<sip:near@example.com>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {cseq_method or method}"),
            ("Contact", f"<sip:far@{self.host}>"),
        ]
        overridden = {name for name, _ in fields} | set(without)
        kept = [field for field in base if field[0] not in overridden]
        return build.request(
            method,
            uri or f"sip:near@{self.party.host}",
            (*kept, *fields),
            body.data if body else b"",
            body.content_type if body else "",
        )

    def resend(self, request: Request) -> None:
        """The same bytes once more."""
        self.wire.deliver(self.party, request.to_bytes(), self.address, Transport.UDP)
