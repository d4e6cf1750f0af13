"""Whose packets a leg believes: symmetric RTP (RFC 4961) that finds the peer behind NAT and cannot be stolen.

Pure.

    signalled --- a valid packet from the address in the SDP: always believed, at once
    nobody yet -- two packets in sequence, of one SSRC, from one other address: believed (the peer is
                  behind NAT)
    somebody ---- anybody else is a stranger, until the believed one has been silent for `relatch_after_s`
    replaced ---- the one who was replaced for his silence (a hold, a talker's pause) is believed at once
                  when his stream goes on
    signalled anew (re-INVITE) -- as nobody yet; the former address may come back after `relatch_after_s`
"""

from __future__ import annotations

__all__ = ["Endpoint", "Latch"]

Endpoint = tuple[str, int] | tuple[str, int, int, int]
"""(host, port), for IPv6 with flow information and scope."""


class Latch:
    """The choice of one leg's sender."""

    __slots__ = (
        "_candidate",
        "_displaced",
        "_former",
        "_former_until",
        "_last_ssrc",
        "last_at",
        "relatch_after_s",
        "signalled",
        "source",
    )

    def __init__(self, relatch_after_s: float = 5.0) -> None:
        self.relatch_after_s = relatch_after_s
        self.signalled: Endpoint | None = None
        """The address the SDP gave."""
        self.source: Endpoint | None = None
        """The sender believed now."""
        self.last_at = float("-inf")
        """When it was last heard; kept by the owner of the latch."""
        self._last_ssrc = -1
        self._candidate: tuple[Endpoint, int, int] | None = None
        self._displaced: tuple[Endpoint, int] | None = None
        self._former: Endpoint | None = None
        self._former_until = 0.0

    def signal(self, address: Endpoint, now: float) -> bool:
        """The SDP says `address`; True if that is news, and the choice is open again."""
        if address == self.signalled:
            return False
        self._former, self._former_until = self.source, now + self.relatch_after_s
        self.signalled = address
        self.source = None
        self._candidate = self._displaced = None
        return True

    def admit(self, source: Endpoint, ssrc: int, sequence: int, now: float) -> bool:
        """A valid packet from somebody who is not `self.source`: True makes him the one."""
        if source == self.signalled or (source, ssrc) == self._displaced:
            return self._take(source, ssrc)
        if self.source is not None and now - self.last_at < self.relatch_after_s:
            return False
        if source == self._former and now < self._former_until:
            return False
        if self.source is not None and ssrc == self._last_ssrc:
            return self._take(source, ssrc)  # the same stream from a new mapping: a NAT that rebooted
        follows = self._candidate == (source, ssrc, sequence)
        self._candidate = (source, ssrc, (sequence + 1) & 0xFFFF)
        return self._take(source, ssrc) if follows else False

    def _take(self, source: Endpoint, ssrc: int) -> bool:
        is_his_own = source == self.signalled or (source, ssrc) == self._displaced
        self._displaced = None if is_his_own or self.source is None else (self.source, self._last_ssrc)
        self.source = source
        self._last_ssrc = ssrc
        self._candidate = None
        return True
