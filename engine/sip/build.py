"""Build what we send: requests, responses, the ACK for a non-2xx, CANCEL. Dialog rules are not here.

Fields of a received message are echoed byte for byte; fields of ours pass the check of `Headers.add`, so
nothing a caller puts into a name, value, URI, method or phrase can begin a line of its own (ValueError names
the header). Each message gets its Content-Length last, computed.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.sip.errors import ParseError
from engine.sip.headers import to_lines
from engine.sip.message import Request, Response, WrittenRequest, WrittenResponse
from engine.sip.syntax import format_host, is_token, split_outside

__all__ = ["REASON_PHRASES", "ack", "cancel", "error_response", "request", "response", "stamp_via"]

Fields = Iterable[tuple[str, str]]

_ECHOED = frozenset(("via", "from", "to", "call-id", "cseq"))
_ECHOED_IN_100 = _ECHOED | {"timestamp"}
_ECHOED_IN_DIALOG = _ECHOED | {"record-route"}
_ACK_FROM_INVITE = frozenset(("route", "from", "call-id"))
_CANCEL_FROM_INVITE = frozenset(("route", "from", "to", "call-id"))

REASON_PHRASES = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}
"""The IANA registry of response codes."""


def request(method: str, uri: str, fields: Fields, body: bytes = b"", content_type: str = "") -> Request:
    """A request with these fields in this order, then Content-Type (if there is a body) and Content-Length.

    ValueError if any text holds a control character, the method is no token or the URI has white space.
    """
    if not is_token(method):
        raise ValueError(f"method {method!r} is not a token")
    if not uri or " " in uri or not uri.isprintable():
        _refuse_uri(uri)
    lines = to_lines(fields)
    if body and content_type:
        lines += to_lines((("Content-Type", content_type),))
    text = f"{method} {uri} SIP/2.0\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    return WrittenRequest(method, uri, text.encode("utf-8", "surrogateescape") + body, body)


def response(
    request: Request,
    status: int,
    reason: str = "",
    *,
    to_tag: str = "",
    fields: Fields = (),
    body: bytes = b"",
    content_type: str = "",
    source: tuple[str, int] | None = None,
) -> Response:
    """A response to a received request (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq echoed in their
    order, Record-Route too in 101 to 299, Timestamp in 100.

    `reason` "" means the usual phrase. `to_tag` is added unless the request's To has one or `status` is 100.
    `source`: (host, port) the request came from, to complete the first Via (§18.2.1, RFC 3581 §4).
    """
    if not 100 <= status <= 699:
        raise ValueError(f"status {status} is not between 100 and 699")
    if not reason:
        reason = REASON_PHRASES.get(status, "Unknown")
    elif not reason.isprintable() and any(c < " " or c == "\x7f" for c in reason):
        raise ValueError(f"control character in the reason phrase {reason!r}")
    if status == 100:
        echoed = _ECHOED_IN_100
    else:
        echoed = _ECHOED_IN_DIALOG if status < 300 else _ECHOED
    headers = request.headers
    completed: dict[str, str] = {}
    if source is not None and (via := _completed_via(request, source)) is not None:
        completed["via"] = via
    if to_tag and status != 100 and not request.to_tag:
        completed["to"] = f"{headers.get('to')}{_tag_of_ours(to_tag)}"
    lines = headers.lines(echoed, completed)
    lines += to_lines(fields)
    if body and content_type:
        lines += to_lines((("Content-Type", content_type),))
    text = f"SIP/2.0 {status} {reason}\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    return WrittenResponse(status, reason, text.encode("utf-8", "surrogateescape") + body, body)


def ack(invite: Request, final: Response, fields: Fields = ()) -> Request:
    """The ACK for a non-2xx final response (RFC 3261 §17.1.1.3): same Request-URI, top Via, Route, From,
    Call-ID and CSeq number as the INVITE; To of the response, whose tag it needs."""
    to = final.headers.get("to") or invite.headers.get("to") or ""
    if "\r" in to or "\n" in to:
        raise ValueError("header To: line end in the value")
    return _like_invite("ACK", invite, [*invite.headers.lines(_ACK_FROM_INVITE), f"To: {to}\r\n"], fields)


def cancel(invite: Request, fields: Fields = ()) -> Request:
    """The CANCEL for an INVITE as sent (RFC 3261 §9.1): same Request-URI, top Via with its branch, Route,
    From, To, Call-ID and CSeq number. `fields` for a Reason (RFC 3326); there is never a Require."""
    return _like_invite("CANCEL", invite, invite.headers.lines(_CANCEL_FROM_INVITE), fields)


def error_response(
    error: ParseError, source: tuple[str, int] | None = None, to_tag: str = ""
) -> Response | None:
    """The answer to a request that could not be parsed, from what could be read of it; None if it gets none:
    it was no request, was an ACK (§17: never answered), or has no Via. What else is missing stays missing."""
    broken = error.request
    if broken is None or broken.method == "ACK" or "via" not in broken.headers:
        return None
    phrase = REASON_PHRASES.get(error.status, "Bad Request")
    detail = "".join(c if c.isascii() and c.isprintable() else "?" for c in str(error))[:120]
    headers = broken.headers.select(_ECHOED)
    try:
        if source is not None:
            via = _completed_via(broken, source)
            if via is not None:
                headers.echo_first("Via", via)
        has_tag = bool(broken.to_tag)
    except ParseError:
        # The Via or To is what cannot be read. Echoed as it came, the peer can still match the response.
        has_tag = ";tag=" in (headers.get("to") or "").lower()
    if to_tag and not has_tag and "to" in headers:
        headers.extend_first("To", f";tag={to_tag}")
    headers.add("Content-Length", "0")
    return Response(error.status, f"{phrase} ({detail})" if error.status == 400 else phrase, headers)


def stamp_via(value: str, *, received: str | None, rport: int | None) -> str:
    """A received Via field line whose first element gets `;received=` at its end and its empty `;rport`
    filled.

    Everything else stays as it came. `received` None: do not add it.
    """
    first, comma, others = value, "", ""
    if "," in value:
        first = split_outside(value, ",")[0]
        comma, others = ",", value[len(first) + 1 :]
    if rport is not None:
        pieces = split_outside(first, ";")
        at = next((i for i, piece in enumerate(pieces) if piece.strip().lower() == "rport"), None)
        if at is not None:
            pieces[at] = f"rport={rport}"
            first = ";".join(pieces)
    if received is not None:
        first = f"{first.rstrip()};received={format_host(received)}"
    return first + comma + others


def _tag_of_ours(tag: str) -> str:
    if not is_token(tag):
        raise ValueError(f"tag {tag!r} is not a token")
    return f";tag={tag}"


def _completed_via(request: Request, source: tuple[str, int]) -> str | None:
    """The first Via line as the response has to carry it; None: as it is."""
    via = request.top_via
    host, port = source
    wants_rport = via.wants_rport
    add_received = (wants_rport or via.host != host) and "received" not in via.params
    if not (wants_rport or add_received):
        return None
    raw = request.headers.get("via") or ""
    return stamp_via(raw, received=host if add_received else None, rport=port if wants_rport else None)


def _top_via_text(invite: Request) -> str:
    value = invite.headers.get("via") or ""
    return split_outside(value, ",")[0].strip() if "," in value else value


def _like_invite(method: str, invite: Request, ids: list[str], fields: Fields) -> WrittenRequest:
    lines = [f"{method} {invite.uri} SIP/2.0\r\nVia: {_top_via_text(invite)}\r\nMax-Forwards: 70\r\n"]
    lines += ids
    lines.append(f"CSeq: {invite.cseq.number} {method}\r\n")
    lines += to_lines(fields)
    lines.append("Content-Length: 0\r\n\r\n")
    return WrittenRequest(method, invite.uri, "".join(lines).encode("utf-8", "surrogateescape"), b"")


def _refuse_uri(uri: str) -> None:
    """ValueError if a Request-URI would break the start line apart; other Unicode text passes."""
    if not uri or any(character <= " " or character == "\x7f" for character in uri):
        raise ValueError(f"Request-URI {uri!r} is empty or has white space or control characters")
