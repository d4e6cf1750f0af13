"""What is asked of a dial: targets, caller identity, headers, timers. Checked when it is made.

A request that cannot be carried out is refused with the name of the field; what can be carried out in a
lesser way (reserved headers, more than ten targets, a number that is not E.164) is, with a warning.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from engine.dial.safety import (
    RESERVED_HEADERS,
    is_e164,
    is_header_name,
    merge_headers,
    unsafe_in_user,
    unsafe_in_value,
)
from engine.errors import Rejected

__all__ = [
    "MAX_TARGETS",
    "Credentials",
    "DialRequest",
    "FromOverride",
    "InvalidRequest",
    "Target",
    "TargetType",
]

MAX_TARGETS = 10
"""What is rung at once; more are left out with a warning (DV-10)."""


class InvalidRequest(Rejected):
    """A request that cannot be carried out. `field` is its path, e.g. `headers.X-Account`; status is 400."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(400, f"{field}: {problem}")
        self.field = field
        self.problem = problem


class TargetType(StrEnum):
    PHONE = "phone"
    SIP = "sip"
    USER = "user"
    TEAMS = "teams"


class Credentials(Struct, frozen=True):
    """For 401 and 407 (DV-23)."""

    username: str
    password: str

    def __post_init__(self) -> None:
        for field, value in (("username", self.username), ("password", self.password)):
            if not value:
                raise InvalidRequest(f"credentials.{field}", "username and password are needed, or neither")
        if unsafe_in_value(self.username) is not None:
            raise InvalidRequest("credentials.username", "contains a control character")

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ***)"


class FromOverride(Struct, frozen=True):
    """Replaces user or host of the From URI on one branch."""

    user: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        _check_user("from.user", self.user)
        if any(c in '<>"@;?' or c.isspace() or not c.isprintable() for c in self.host):
            raise InvalidRequest("from.host", f"not a host: {self.host!r}")


_ADDRESS_FIELD = {
    TargetType.PHONE: "number",
    TargetType.SIP: "sip_uri",
    TargetType.USER: "name",
    TargetType.TEAMS: "number",
}


class Target(Struct, frozen=True):
    """Whom to ring. Made by `Target.phone`, `Target.sip`, `Target.user`, `Target.teams` or `Target.parse`."""

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

    def __post_init__(self) -> None:
        field = _ADDRESS_FIELD[self.type]
        if not self.address:
            raise InvalidRequest(field, "is missing")
        match self.type:
            case TargetType.PHONE | TargetType.TEAMS:
                _check_user(field, self.address)
            case TargetType.SIP:
                _check_uri(field, self.address)
            case TargetType.USER:
                user, _, realm = self.address.partition("@")
                if not user:
                    raise InvalidRequest(field, f"has no user part: {self.address!r}")
                _check_user(field, user)
                _check_user(field, realm)
        if self.proxy:
            _check_uri("proxy", self.proxy)
        if self.override_to:
            _check_uri("override_to", self.override_to)
        _check_headers(self.headers)

    @classmethod
    def phone(
        cls,
        number: str,
        *,
        trunk: str = "",
        headers: Mapping[str, str] | None = None,
        from_: FromOverride | None = None,
        proxy: str = "",
        confirm_hook: str = "",
    ) -> Target:
        """A number, over `trunk` or any trunk. A `sip:` URI is taken for what it is."""
        kind = TargetType.SIP if _is_uri(number) else TargetType.PHONE
        return cls(kind, number, trunk, None, headers or {}, from_, proxy, confirm_hook)

    @classmethod
    def sip(
        cls,
        uri: str,
        *,
        username: str = "",
        password: str = "",
        headers: Mapping[str, str] | None = None,
        from_: FromOverride | None = None,
        proxy: str = "",
        confirm_hook: str = "",
    ) -> Target:
        """A `sip:` or `sips:` URI, with digest credentials for 401 and 407 if needed."""
        credentials = Credentials(username, password) if username or password else None
        return cls(TargetType.SIP, uri, "", credentials, headers or {}, from_, proxy, confirm_hook)

    @classmethod
    def user(
        cls,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        from_: FromOverride | None = None,
        proxy: str = "",
        confirm_hook: str = "",
        override_to: str = "",
    ) -> Target:
        """All current registrations of `user@realm`; without `@` the engine's own realm."""
        return cls(TargetType.USER, name, "", None, headers or {}, from_, proxy, confirm_hook, override_to)

    @classmethod
    def teams(
        cls,
        number: str,
        *,
        headers: Mapping[str, str] | None = None,
        from_: FromOverride | None = None,
        proxy: str = "",
        confirm_hook: str = "",
    ) -> Target:
        """A number of Microsoft Teams, over the trunk called `teams`; without one it has no route."""
        return cls(TargetType.TEAMS, number, "", None, headers or {}, from_, proxy, confirm_hook)

    @property
    def is_number(self) -> bool:
        """`address` is a telephone number, which should be E.164."""
        return self.type is TargetType.PHONE or self.type is TargetType.TEAMS

    @classmethod
    def parse(cls, text: str, *, trunk: str = "") -> Target:
        """As typed on a command line: a `sip:` URI, `user@realm` or `user:name`, else a number."""
        if _is_uri(text):
            return cls.sip(text)
        if text.startswith("user:"):
            return cls.user(text.removeprefix("user:"))
        return cls.user(text) if "@" in text else cls.phone(text, trunk=trunk)


class DialRequest(Struct, frozen=True):
    """One dial. Field meanings and defaults as in section 2 of the contract."""

    targets: Sequence[Target]
    """At least one; what is rung is `effective_targets`."""
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

    def __post_init__(self) -> None:
        if not isinstance(self.targets, tuple):
            force_setattr(self, "targets", tuple(self.targets))
        if not self.targets:
            raise InvalidRequest("targets", "at least one is needed")
        _check_user("caller_id", self.caller_id)
        if unsafe_in_value(self.caller_name) is not None:
            raise InvalidRequest("caller_name", "contains a control character")
        _check_headers(self.headers)
        _check_seconds("timeout_s", self.timeout_s)
        if self.time_limit_s is not None:
            _check_seconds("time_limit_s", self.time_limit_s)
        if self.proxy:
            _check_uri("proxy", self.proxy)

    @property
    def effective_targets(self) -> tuple[Target, ...]:
        """Without duplicates (same type and address), and the first ten of them (DV-10)."""
        if len(self.targets) == 1:
            return (self.targets[0],)
        return self._distinct()[:MAX_TARGETS]

    @property
    def needs_screening(self) -> bool:
        """A callee has to pass a screening application before it is connected."""
        return bool(self.confirm_hook) or any(target.confirm_hook for target in self.effective_targets)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the request but does not stop it."""
        found: list[str] = []
        if self.caller_id and not is_e164(self.caller_id):
            found.append(f"caller_id: {self.caller_id!r} is not E.164")
        if self.headers:
            found += _reserved_in("headers", self.headers)
        targets = self.effective_targets
        for index, target in enumerate(targets):
            if target.is_number and not is_e164(target.address):
                found.append(f"targets[{index}].number: {target.address!r} is not E.164")
            if target.headers:
                found += _reserved_in(f"targets[{index}].headers", target.headers)
        if len(targets) < len(self.targets):
            distinct = self._distinct()
            if len(distinct) < len(self.targets):
                found.append(f"targets: {len(self.targets) - len(distinct)} duplicates are dialled once")
            found += [
                f"targets: more than {MAX_TARGETS}, not dialled: {each.address}" for each in distinct[10:]
            ]
        return tuple(found)

    def headers_for(self, target: Target, *lower: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """All headers of one branch by the precedence of DV-21.

        `lower`: the layers below the request's own, lowest first: engine defaults, then identity headers.
        """
        return merge_headers(*lower, self.headers, target.headers)

    def _distinct(self) -> tuple[Target, ...]:
        first: dict[tuple[TargetType, str], Target] = {}
        for target in self.targets:
            first.setdefault((target.type, target.address), target)
        return tuple(first.values())


def _is_uri(text: str) -> bool:
    return text[:5].lower().startswith(("sip:", "sips:"))


def _check_user(field: str, text: str) -> None:
    bad = unsafe_in_user(text)
    if bad is not None:
        raise InvalidRequest(field, f"{bad!r} must not be in {text!r}")


def _check_uri(field: str, text: str) -> None:
    """Enough to keep harm out; the grammar is the SIP core's business."""
    if not _is_uri(text):
        raise InvalidRequest(field, f"must begin with sip: or sips:, not {text!r}")
    bad = next((c for c in text if c in '<>"' or c.isspace() or not c.isprintable()), None)
    if bad is not None:
        raise InvalidRequest(field, f"{bad!r} must not be in {text!r}")
    where = text.partition(":")[2].rpartition("@")[2].partition(";")[0].partition("?")[0]
    if where.startswith("["):
        host, bracket, rest = where[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and rest[0] != ":"):
            raise InvalidRequest(field, f"not an IPv6 address in brackets: {text!r}")
        port = rest[1:] if rest else None
    else:
        host, colon, rest = where.partition(":")
        port = rest if colon else None
    if not host:
        raise InvalidRequest(field, f"has no host: {text!r}")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
        raise InvalidRequest(field, f"{port!r} is not a port: {text!r}")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not is_header_name(name):
            raise InvalidRequest("headers", f"{name!r} is not a header name")
        if not isinstance(value, str):
            raise InvalidRequest(f"headers.{name}", "must be a string")
        if unsafe_in_value(value) is not None:
            raise InvalidRequest(f"headers.{name}", "contains a control character (CR, LF, NUL, ...)")


def _check_seconds(field: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest(field, "must be a number of seconds")
    if not value > 0 or math.isinf(value):
        raise InvalidRequest(field, f"must be more than 0 seconds, not {value:g}")


def _reserved_in(field: str, headers: Mapping[str, str]) -> list[str]:
    return [f"{field}.{name}: reserved, dropped" for name in headers if name.lower() in RESERVED_HEADERS]
