"""Who the callee sees calling (DV-21, DV-22): From, display name, P-Asserted-Identity, Privacy. Pure."""

from __future__ import annotations

from msgspec import Struct

from engine.dial.request import DialRequest, Target

__all__ = ["ANONYMOUS_HOST", "CallerIdentity", "PresentedIdentity", "present"]

ANONYMOUS_HOST = "anonymous.invalid"
"""RFC 3323 §4.1.1.3, with the host that RFC 2606 keeps unreachable."""


class CallerIdentity(Struct, frozen=True):
    """What the caller's leg said about the caller."""

    number: str = ""
    """User part of the caller's From."""
    is_restricted: bool = False
    """`Privacy: id` (or user, full) or an anonymous From."""
    asserted: tuple[str, ...] = ()
    """P-Asserted-Identity values, verbatim."""
    privacy: str = ""
    """Privacy value, verbatim; empty: there was none."""


class PresentedIdentity(Struct, frozen=True):
    """What one branch's INVITE says."""

    from_user: str
    from_host: str
    """Empty: the engine's own."""
    display_name: str
    headers: tuple[tuple[str, str], ...]
    """The identity layer of DV-21, below the headers of verb and target."""


_NO_CALLER = CallerIdentity()


def present(
    request: DialRequest,
    target: Target,
    caller: CallerIdentity | None,
    *,
    is_trusted: bool,
    default_user: str = "",
) -> PresentedIdentity:
    """The identity for one branch.

    `caller` None: there is no caller's leg. `is_trusted`: the trunk may see who a restricted caller is
    (RFC 3325 §7). `default_user`: From user if nobody gave one.
    """
    caller = caller or _NO_CALLER
    is_hidden = caller.is_restricted and not request.caller_id
    if is_hidden:
        user, host, name = "anonymous", ANONYMOUS_HOST, "Anonymous"
    else:
        user, host, name = request.caller_id or caller.number or default_user, "", request.caller_name
    if target.from_ is not None:
        user, host = target.from_.user or user, target.from_.host or host
    headers: list[tuple[str, str]] = []
    if request.forward_pai and (is_trusted or not caller.is_restricted):
        headers += [("P-Asserted-Identity", value) for value in caller.asserted]
    if request.forward_pai and caller.privacy and caller.privacy.lower() != "none":
        headers.append(("Privacy", _with_id(caller.privacy) if is_hidden else caller.privacy))
    elif is_hidden:
        headers.append(("Privacy", "id"))
    return PresentedIdentity(user, host, name, tuple(headers))


def _with_id(privacy: str) -> str:
    """`id` is added to the caller's own wishes (RFC 3323 §4.2: values are separated by semicolons)."""
    values = [value.strip() for value in privacy.split(";")]
    return privacy if "id" in (value.lower() for value in values) else "; ".join([*values, "id"])
