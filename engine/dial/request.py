"""What is asked of a dial: targets, caller identity, headers, timers. Checked when it is made.

A request that cannot be carried out is refused with the name of the field; what can be carried out in a
lesser way (reserved headers, more than ten targets) is carried out, with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from engine.errors import Rejected

__all__ = ["Credentials", "DialRequest", "FromOverride", "InvalidRequest", "Target", "TargetType"]


class InvalidRequest(Rejected):
    """A request that cannot be carried out. `field` is its path, e.g. `targets[2].address`; status is 400."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(400, f"{field}: {problem}")
        self.field = field
        self.problem = problem


class TargetType(StrEnum):
    PHONE = "phone"
    SIP = "sip"
    USER = "user"


class Credentials(Struct, frozen=True):
    """For 401 and 407 (DV-23)."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ***)"


class FromOverride(Struct, frozen=True):
    """Replaces user or host of the From URI on one branch."""

    user: str = ""
    host: str = ""


class Target(Struct, frozen=True):
    """Whom to ring. Made by `Target.phone`, `Target.sip`, `Target.user` or `Target.parse`."""

    type: TargetType
    address: str
    """E.164 number, `sip:` URI or `user@realm`, as asked for."""
    trunk: str = ""
    """phone: name of a configured carrier; empty: any."""
    credentials: Credentials | None = None
    headers: Mapping[str, str] = {}
    from_: FromOverride | None = None
    proxy: str = ""
    """SIP URI of the outbound proxy for this branch; empty: the request's."""
    confirm_hook: str = ""
    """Screening application of this branch; empty: the request's (section 7)."""
    override_to: str = ""
    """user: Request-URI in place of the registered contact's."""

    @classmethod
    def phone(cls, number: str, *, trunk: str = "") -> Target:
        return cls(TargetType.PHONE, number, trunk=trunk)

    @classmethod
    def sip(cls, uri: str, *, username: str = "", password: str = "") -> Target:
        credentials = Credentials(username, password) if username or password else None
        return cls(TargetType.SIP, uri, credentials=credentials)

    @classmethod
    def user(cls, name: str) -> Target:
        return cls(TargetType.USER, name)


class DialRequest(Struct, frozen=True):
    """One dial. Field meanings and defaults as in section 2 of the contract."""

    targets: tuple[Target, ...]
    caller_id: str = ""
    """Presented number; empty: the caller's own."""
    caller_name: str = ""
    """Display name in From."""
    headers: Mapping[str, str] = {}
    """Extra SIP headers on every INVITE."""
    timeout_s: float = 60.0
    """Ring-no-answer time over all branches."""
    time_limit_s: float | None = None
    """Maximum connected time."""
    answer_on_bridge: bool = False
    """Do not answer the caller before a callee is selected (section 5)."""
    dial_music: str = ""
    """URL or file played to the caller while ringing."""
    confirm_hook: str = ""
    """Screening application of every answered callee; empty: none."""
    forward_pai: bool = True
    """Copy P-Asserted-Identity and Privacy from the caller's leg."""
    proxy: str = ""
    """SIP URI of the outbound proxy of all branches."""
    codecs: tuple[str, ...] = ()
    """Offer order; empty: the engine's."""
