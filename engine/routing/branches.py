"""A target becomes the INVITEs that reach it: trunk or registration, identity, headers, credentials.

Every branch is made from scratch, so that nothing of one can appear on another (DV-20). Header precedence,
lowest first (DV-21): the trunk's own, identity copied from the caller, the dial's, the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from engine.dial.failure import LegFailure
from engine.dial.request import DialRequest, Target, TargetType
from engine.routing.directory import Directory
from engine.routing.identity import CallerIdentity, from_header, identity_headers
from engine.routing.trunks import Trunk, Trunks
from engine.sip.errors import ParseError
from engine.sip.types import Credentials, InviteParams
from engine.sip.uri import SipUri

__all__ = ["Branch", "Router"]


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
        self, target: Target, request: DialRequest, caller: CallerIdentity
    ) -> Sequence[Branch] | LegFailure:
        """All branches of one target, or why it cannot be reached (DV-25)."""
        match target.type:
            case TargetType.PHONE:
                trunk = self._trunks.choose(target.trunk)
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
        caller: CallerIdentity,
        uri: str,
        *,
        to: str | None = None,
        trunk: Trunk | None = None,
    ) -> Branch:
        own = target.from_
        host = trunk.config.from_domain if trunk and trunk.config.from_domain else self._own_host()
        is_trusted = trunk is not None and trunk.config.trusted
        proxy = target.proxy or request.proxy
        params = InviteParams(
            target=uri,
            from_=from_header(
                caller,
                caller_id=request.caller_id,
                caller_name=request.caller_name,
                host=host,
                user=own.user if own else "",
                from_host=own.host if own else "",
            ),
            to=to,
            headers=_merge(
                trunk.config.headers.items() if trunk else (),
                identity_headers(
                    caller,
                    caller_id=request.caller_id,
                    forward=request.forward_pai,
                    is_trusted=is_trusted,
                ),
                request.headers.items(),
                target.headers.items(),
            ),
            credentials=_credentials(target, trunk),
            route=(_loose(proxy),) if proxy else (),
            timers=trunk.timers if trunk else None,
        )
        return Branch(params, request.codecs or (trunk.config.codecs if trunk else ()))


def _credentials(target: Target, trunk: Trunk | None) -> tuple[Credentials, ...]:
    if target.credentials is not None:
        return (Credentials(target.credentials.username, target.credentials.password),)
    return trunk.credentials if trunk else ()


def _merge(*layers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Later layers replace a field of earlier ones, whatever its case; one layer may repeat a field."""
    merged: dict[str, list[tuple[str, str]]] = {}
    for layer in layers:
        fresh: dict[str, list[tuple[str, str]]] = {}
        for name, value in layer:
            fresh.setdefault(name.lower(), []).append((name, value))
        merged.update(fresh)
    return tuple(pair for pairs in merged.values() for pair in pairs)


def _loose(proxy: str) -> str:
    """An outbound proxy as a Route element; `;lr` is added, since nobody means a strict router today."""
    if proxy.startswith("<"):
        return proxy
    try:
        has_lr = SipUri.parse(proxy).is_loose_router
    except ParseError:
        has_lr = True  # left as it is; the core names it when the INVITE is built
    return f"<{proxy}>" if has_lr else f"<{proxy};lr>"
