"""What an INVITE tells about its call: the common properties, and the `sip` object of the first hook."""

from __future__ import annotations

from engine.application.applications import Application
from engine.hooks.payloads import CallFacts
from engine.legs.inbound_leg import InboundLeg
from engine.routing.identity import without_parameters
from engine.sip.errors import ParseError
from engine.sip.message import Request
from engine.sip.uri import SipUri, TelUri, parse_uri

__all__ = ["facts_of", "sip_of"]


def facts_of(leg: InboundLeg, application: Application, *, source: str = "", base_url: str = "") -> CallFacts:
    """Of a call that has just come in. `source`: name of the peer that sent it."""
    invite = leg.invite
    address = leg.originating_address
    caller = invite.from_
    number = _user_of(caller.uri)
    return CallFacts(
        call_sid=leg.id,
        direction="inbound",
        from_=number,
        to=_user_of(invite.uri),
        call_id=leg.sip_call_id,
        sbc_callid=leg.sip_call_id,
        caller_id=number,
        caller_name=caller.display_name,
        account_sid=application.account_sid,
        application_sid=application.sid,
        trace_id=leg.id.replace("-", ""),
        originating_sip_ip=address.host,
        originating_sip_trunk_name=source,
        api_base_url=base_url,
    )


def sip_of(invite: Request) -> dict[str, object]:
    """`sip` of the first hook: names in lower case, a field that occurs more than once joined by commas."""
    headers: dict[str, str] = {}
    for name, value in invite.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return {
        "headers": headers,
        "body": invite.body.decode("utf-8", "replace"),
        "method": invite.method,
        "uri": invite.uri,
    }


def _user_of(uri: str) -> str:
    """Number or user; the URI itself where there is none."""
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return uri
    if isinstance(parsed, TelUri):
        return parsed.number
    if isinstance(parsed, SipUri) and parsed.user:
        return without_parameters(parsed.decoded_user)
    return uri
