"""Session descriptions as gateways write them: nearly the same bytes in every call.

What differs from call to call is the o= line and the port. `usual_form` takes both out, so that what a
description means can be remembered by the rest. Descriptions that are unusual in any way have no such form
and are read in full each time; nothing but time depends on it. Pure.
"""

from typing import NamedTuple

__all__ = ["ANY_PORT", "UsualForm", "usual_form"]

ANY_PORT = 16384
"""Stands in `UsualForm.sdp` for the port of the audio."""

_LONGEST = 2048
_HEAD = b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\n"


class UsualForm(NamedTuple):
    """A description without what is particular to one call."""

    sdp: bytes
    """Whole and readable, with a neutral origin and `ANY_PORT`."""
    port: int
    """The port it had, 1 to 65534."""


def usual_form(sdp: bytes) -> UsualForm | None:
    """The description in parts; None for one that is not of the usual kind."""
    if len(sdp) > _LONGEST or sdp[:7] != b"v=0\r\no=" or sdp.count(b"\nm=") != 1:
        return None
    if b"a=rtcp:" in sdp or b"\rm=" in sdp or b"\0" in sdp:
        return None  # an RTCP port of its own, lines that end in CR, junk
    origin, _, rest = sdp[7:].partition(b"\r\n")
    session, _, media = rest.partition(b"m=audio ")
    port, _, formats = media.partition(b" ")
    if not (session[-2:] == b"\r\n" and port.isdigit() and len(port) < 6 and 0 < int(port) < 65535):
        return None
    if len(origin.split(b" ")) != 6 or len(origin.split()) != 6:
        return None
    return UsualForm(b"%b%bm=audio %d %b" % (_HEAD, session, ANY_PORT, formats), int(port))
