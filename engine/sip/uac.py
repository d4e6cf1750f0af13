"""OutgoingInvite: one INVITE we sent and every dialog it forked into, until nothing of it is left."""

from __future__ import annotations

from engine.sip.session import Call
from engine.sip.types import InviteParams

__all__ = ["OutgoingInvite"]


class OutgoingInvite(Call):
    """The caller's side of RFC 3261 §13.2, with redirects, digest, hop failover and reliable provisionals."""

    __slots__ = ("params",)

    params: InviteParams
