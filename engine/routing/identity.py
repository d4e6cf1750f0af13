"""Who calls, read from the caller's INVITE; and a branch's From, written for the wire.

What becomes of it (DV-22: anonymity, P-Asserted-Identity, Privacy) is decided by `engine.dial.identity`,
which knows no SIP; here are the two translations at its edges.
"""

from __future__ import annotations

from functools import lru_cache

from engine.dial.identity import CallerIdentity, PresentedIdentity
from engine.sip.errors import ParseError
from engine.sip.message import Request
from engine.sip.uri import SipUri, TelUri, escape_user, parse_uri
from engine.sip.values import NameAddr

__all__ = ["from_header", "identity_of", "identity_of_address", "user_of", "without_parameters"]

_HIDES_IDENTITY = frozenset({"id", "user", "header", "full"})


def identity_of(invite: Request) -> CallerIdentity:
    """The caller of an INVITE. Unreadable fields count as absent; the INVITE was accepted with them."""
    privacy = invite.headers.get("Privacy") or ""
    asserted = tuple(invite.headers.get_all("P-Asserted-Identity"))
    words = {word.strip().lower() for word in privacy.replace(",", ";").split(";")}
    number, is_anonymous = _number_of(invite)
    is_restricted = is_anonymous or not words.isdisjoint(_HIDES_IDENTITY)
    return CallerIdentity("" if is_anonymous else number, is_restricted, asserted, privacy)


def identity_of_address(from_: str) -> CallerIdentity:
    """The caller of a call of ours, by the From (name-addr) it was made with."""
    try:
        number, is_anonymous = _number_in(NameAddr.parse(from_).uri)
    except ParseError:
        number, is_anonymous = "", False
    return CallerIdentity("" if is_anonymous else number, is_anonymous)


def user_of(address: str) -> str:
    """User part or number of the URI in a name-addr, as in From or Refer-To; empty if there is none."""
    try:
        uri = parse_uri(NameAddr.parse(address).uri)
    except ParseError:
        return ""
    if isinstance(uri, TelUri):
        return uri.number
    return uri.decoded_user if isinstance(uri, SipUri) else ""


def _number_of(invite: Request) -> tuple[str, bool]:
    """User part of From, and whether it says nobody."""
    return _number_in(invite.from_.uri)


def _number_in(address: str) -> tuple[str, bool]:
    try:
        uri = parse_uri(address)
    except ParseError:
        return "", False
    if isinstance(uri, TelUri):
        return uri.number, False
    user = without_parameters(uri.decoded_user)
    return user, user.lower() == "anonymous" or uri.host.lower() == "anonymous.invalid"


def without_parameters(user: str) -> str:
    """A telephone number in a SIP user part without its own parameters (RFC 3261 §19.1.6), e.g. `;npdi` or
    `;isub=1`; any other user is left as it is."""
    number, semicolon, _ = user.partition(";")
    return number if semicolon and number.removeprefix("+").isdigit() else user


def from_header(identity: PresentedIdentity, own_host: str) -> str:
    """The From of a branch as name-addr, without tag. `own_host`: ours or the trunk's domain."""
    return _name_addr(identity.from_user, identity.from_host or own_host, identity.display_name)


@lru_cache(maxsize=1024)  # one number, one trunk: many calls
def _name_addr(user: str, host: str, display_name: str) -> str:
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    at = f"{escape_user(user)}@" if user else ""
    return str(NameAddr(f"sip:{at}{host}", display_name))
