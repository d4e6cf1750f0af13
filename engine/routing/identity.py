"""Who calls: read from the caller's INVITE, and what a branch's From and identity headers become (DV-22).

restricted caller, no callerId  ->  From: "Anonymous" <sip:anonymous@anonymous.invalid>, Privacy: id,
                                    P-Asserted-Identity only to trusted trunks (RFC 3323, RFC 3325)
otherwise                       ->  From user = callerId, else the caller's number; P-Asserted-Identity
                                    and Privacy copied as they came, if the dial forwards them
"""

from __future__ import annotations

from msgspec import Struct

from engine.sip.errors import ParseError
from engine.sip.message import Request
from engine.sip.values import NameAddr, SipUri, TelUri, escape_user, parse_uri

__all__ = ["ANONYMOUS", "NOBODY", "CallerIdentity", "from_header", "identity_headers", "identity_of"]

ANONYMOUS = NameAddr("sip:anonymous@anonymous.invalid", "Anonymous")
"""RFC 3323 §4.1.1.3."""

_ASSERTED = "P-Asserted-Identity"
_PRIVACY = "Privacy"
_HIDES_IDENTITY = frozenset({"id", "user", "header", "full"})


class CallerIdentity(Struct, frozen=True):
    """The caller as its INVITE presents him."""

    number: str
    """User part of From, unescaped; empty if there is none or it is anonymous."""
    name: str = ""
    """Display name of From."""
    asserted: tuple[str, ...] = ()
    """P-Asserted-Identity lines, verbatim."""
    privacy: str = ""
    """Privacy value, verbatim."""
    is_restricted: bool = False
    """The caller asked not to be shown: `Privacy: id` or an anonymous From."""


NOBODY = CallerIdentity("")
"""A dial without a caller's leg."""


def identity_of(invite: Request) -> CallerIdentity:
    """The caller of an INVITE. Unreadable fields count as absent; the INVITE was accepted with them."""
    privacy = invite.headers.get(_PRIVACY) or ""
    asserted = tuple(invite.headers.get_all(_ASSERTED))
    words = {word.strip().lower() for word in privacy.replace(",", ";").split(";")}
    number = name = ""
    is_anonymous = False
    try:
        caller = invite.from_
        name = caller.display_name
        uri = parse_uri(caller.uri)
    except ParseError:
        pass
    else:
        number = uri.number if isinstance(uri, TelUri) else uri.decoded_user
        host = uri.host.lower() if isinstance(uri, SipUri) else ""
        is_anonymous = number.lower() == "anonymous" or host == "anonymous.invalid"
    is_restricted = is_anonymous or bool(words & _HIDES_IDENTITY)
    return CallerIdentity("" if is_anonymous else number, name, asserted, privacy, is_restricted)


def from_header(
    caller: CallerIdentity,
    *,
    caller_id: str,
    caller_name: str,
    host: str,
    user: str = "",
    from_host: str = "",
) -> str:
    """The From of a branch, without tag.

    `host` is ours (or the trunk's domain); `user` and `from_host` are the target's own override.
    """
    if caller.is_restricted and not caller_id and not user:
        return str(ANONYMOUS)
    shown = user or caller_id or caller.number
    name = caller_name or (caller.name if not caller_id and not user else "")
    at = f"{escape_user(shown)}@" if shown else ""
    where = from_host or host
    where = f"[{where}]" if ":" in where and not where.startswith("[") else where
    return str(NameAddr(f"sip:{at}{where}", name))


def identity_headers(
    caller: CallerIdentity, *, caller_id: str, forward: bool, is_trusted: bool
) -> tuple[tuple[str, str], ...]:
    """P-Asserted-Identity and Privacy of a branch; the application's own headers are laid over them."""
    hidden = caller.is_restricted and not caller_id
    headers: list[tuple[str, str]] = []
    if forward and (is_trusted or not hidden):
        headers += [(_ASSERTED, value) for value in caller.asserted]
    if hidden:
        headers.append((_PRIVACY, caller.privacy if "id" in caller.privacy.lower() else "id"))
    elif forward and caller.privacy and not caller_id:
        headers.append((_PRIVACY, caller.privacy))
    return tuple(headers)
