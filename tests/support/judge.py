"""Judges every message a SIPp received: by an independent parser (sipmessage) and by RFC 3261's tables."""

from __future__ import annotations

import sipmessage

__all__ = ["assert_well_formed"]

_ONCE = ("call-id", "content-length", "content-type", "cseq", "from", "max-forwards", "to")
_DIALOG_BUILDING = ("INVITE", "UPDATE")
_SDP_ORDER = "vosiuepcbtrzka"
"""RFC 8866 §5: the order of the session part's lines."""
_MEDIA_ORDER = "micbka"
"""And of a media part's."""


def assert_well_formed(text: str) -> None:
    """`text`: the message as it arrived. AssertionError names what is wrong with it."""
    data = text.encode(errors="surrogateescape")
    try:
        message = sipmessage.Message.parse(data)
        fields = (message.via, message.from_address, message.to_address, message.cseq, message.call_id)
    except (KeyError, ValueError) as error:  # KeyError: a mandatory header is not there
        raise AssertionError(f"sipmessage cannot read this: {error!r}\n{text}") from error
    assert all(fields), f"Via, From, To, CSeq and Call-ID are mandatory (§8.1.1)\n{text}"
    _assert_head(data, text)
    assert all(via.parameters.get("branch", "").startswith("z9hG4bK") for via in message.via), text
    assert message.from_address.parameters.get("tag"), f"From has no tag (§8.1.1.3)\n{text}"
    if isinstance(message, sipmessage.Request):
        _assert_request(message, text)
    elif isinstance(message, sipmessage.Response):
        _assert_response(message, text)
    if message.content_type is not None and str(message.content_type) == "application/sdp":
        _assert_sdp(data.partition(b"\r\n\r\n")[2].decode(), text)


def _assert_head(data: bytes, text: str) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines), f"a bare CR or LF (§7)\n{text}"
    names = [line.partition(b":")[0].strip().lower().decode() for line in lines[1:]]
    twice = [name for name in _ONCE if names.count(name) > 1]
    assert not twice, f"{twice} may be there only once\n{text}"
    length = next(line for line in lines if line.lower().startswith(b"content-length"))
    assert int(length.partition(b":")[2]) == len(body), f"Content-Length is not {len(body)}\n{text}"


def _assert_request(message: sipmessage.Request, text: str) -> None:
    assert message.cseq.method == message.method, text
    assert message.max_forwards is not None, f"Max-Forwards is mandatory (§8.1.1.6)\n{text}"
    assert 0 < message.max_forwards <= 70, text
    if message.method in _DIALOG_BUILDING:
        assert len(message.contact) == 1, f"exactly one Contact (§8.1.1.8)\n{text}"
    if message.method == "CANCEL":
        assert len(message.via) == 1, f"one Via (§9.1)\n{text}"
        assert not message.require, f"no Require (§9.1)\n{text}"
    if message.method in ("ACK", "BYE", "PRACK"):
        assert message.to_address.parameters.get("tag"), f"no To tag inside a dialog (§12.2.1.1)\n{text}"


def _assert_response(message: sipmessage.Response, text: str) -> None:
    if message.code > 100:
        assert message.to_address.parameters.get("tag"), f"no To tag (§8.2.6.2)\n{text}"
    if message.cseq.method == "INVITE" and 101 <= message.code <= 299:
        assert len(message.contact) == 1, f"a dialog needs a Contact (§12.1.1)\n{text}"


def _assert_sdp(body: str, text: str) -> None:
    assert body.endswith("\r\n"), f"SDP lines end with CRLF (RFC 8866 §5)\n{text}"
    session, *media = body.removesuffix("\r\n").replace("\r\nm=", "\r\n\0m=").split("\r\n\0")
    kinds = [line[0] for line in session.split("\r\n")]
    assert [kinds.count(kind) for kind in "vos"] == [1, 1, 1], text
    places = [_SDP_ORDER.index(kind) for kind in kinds]
    assert places == sorted(places), f"lines out of order (RFC 8866 §5)\n{text}"
    for part in media:
        order = [_MEDIA_ORDER.index(line[0]) for line in part.split("\r\n")]
        assert order == sorted(order), f"media lines out of order (RFC 8866 §5)\n{text}"
        assert "\r\nc=" in part or "c" in kinds, f"no c= line anywhere (RFC 8866 §5.7)\n{text}"
