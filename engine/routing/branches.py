"""A target becomes the INVITEs that reach it: trunk or registration, identity, headers, credentials.

Every branch is made from scratch, so that nothing of one can appear on another (DV-20). Header precedence,
lowest first (DV-21): the trunk's own, identity copied from the caller, the dial's, the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from engine.dial.failure import LegFailure
from engine.dial.identity import CallerIdentity, present
from engine.dial.request import DialRequest, Target, TargetType
from engine.routing.directory import Directory
from engine.routing.identity import from_header
from engine.routing.trunks import Trunk, Trunks
from engine.sip.errors import ParseError
from engine.sip.types import Credentials, InviteParams
from engine.sip.uri import SipUri

__all__ = ["Branch", "Router"]

_NOBODY = "dial-engine"
"""From user of a dial that nobody gave a number to."""
_TEAMS = "teams"
"""Name of the trunk that leads to Microsoft Teams."""


class Branch(Struct, frozen=True):
    """One INVITE to send; the offer is made when it goes out."""

    params: InviteParams
    codecs: tuple[str, ...] = ()
    """Offer order; empty: the engine's."""


class Router:
    """Knows the trunks and the users; decides nothing about time or order."""

    __slots__ = ("_directory", "_own_host", "_trunks")

    def __init__(self, trunks: Trunks, directory: Directory, own_host: Callable[[], str]) -> None:
        """`own_host` is what others call us, for From: asked late, because a wildcard is bound late."""
        self._trunks = trunks
        self._directory = directory
        self._own_host = own_host

    def route(
        self,
        target: Target,
        request: DialRequest,
        caller: CallerIdentity | None,
        max_forwards: int | None = None,
    ) -> Sequence[Branch] | LegFailure:
        """All branches of one target, or why it cannot be reached (DV-25).

        `max_forwards`: what the caller's INVITE leaves for ours; a loop through a PBX ends (RFC 7332).
        """
        routed = self._route(target, request, caller)
        if max_forwards is None or isinstance(routed, LegFailure):
            return routed
        return [
            structs.replace(branch, params=structs.replace(branch.params, max_forwards=max_forwards))
            for branch in routed
        ]

    def _route(
        self, target: Target, request: DialRequest, caller: CallerIdentity | None
    ) -> Sequence[Branch] | LegFailure:
        match target.type:
            case TargetType.PHONE | TargetType.TEAMS:
                trunk = self._trunks.choose(_TEAMS if target.type is TargetType.TEAMS else target.trunk)
                if isinstance(trunk, LegFailure):
                    return trunk
                return (
                    self._branch(target, request, caller, trunk.request_uri(target.address), trunk=trunk),
                )
            case TargetType.SIP:
                return (self._branch(target, request, caller, target.address),)
            case TargetType.USER:
                contacts = self._directory.contacts(target.address)
                if isinstance(contacts, LegFailure):
                    return contacts
                to = f"<sip:{target.address}>"
                return [
                    self._branch(target, request, caller, target.override_to or contact, to=to)
                    for contact in contacts
                ]

    def _branch(
        self,
        target: Target,
        request: DialRequest,
        caller: CallerIdentity | None,
        uri: str,
        *,
        to: str | None = None,
        trunk: Trunk | None = None,
    ) -> Branch:
        settings = trunk.config if trunk else None
        identity = present(
            request,
            target,
            caller,
            is_trusted=settings is not None and settings.trusted,
            default_user=_NOBODY,
        )
        proxy = target.proxy or request.proxy
        params = InviteParams(
            target=uri,
            from_=from_header(identity, (settings and settings.from_domain) or self._own_host()),
            to=to,
            headers=request.headers_for(
                target, settings.headers.items() if settings else (), identity.headers
            ),
            credentials=_credentials(target, trunk),
            route=(_loose(proxy),) if proxy else (),
            timers=trunk.timers if trunk else None,
        )
        return Branch(params, request.codecs or (settings.codecs if settings else ()))


def _credentials(target: Target, trunk: Trunk | None) -> tuple[Credentials, ...]:
    if target.credentials is not None:
        return (Credentials(target.credentials.username, target.credentials.password),)
    return trunk.credentials if trunk else ()


def _loose(proxy: str) -> str:
    """An outbound proxy as a Route element; `;lr` is added, since nobody means a strict router today."""
    if proxy.startswith("<"):
        return proxy
    try:
        has_lr = SipUri.parse(proxy).is_loose_router
    except ParseError:
        has_lr = True  # left as it is; the core names it when the INVITE is built
    return f"<{proxy}>" if has_lr else f"<{proxy};lr>"
