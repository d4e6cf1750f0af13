"""The TOML configuration file as typed, frozen values.

Every key is checked when the file is read, before a socket is opened: an unknown key, a wrong type or an
impossible value is a `ConfigError` that names the key as it is written in the file. What a key means is the
string under it; `dial-engine check-config FILE` prints the result.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ConfigError

__all__ = [
    "Config",
    "LimitsConfig",
    "ListenAddress",
    "LogsConfig",
    "MediaConfig",
    "NumbersConfig",
    "RouteConfig",
    "SipConfig",
    "SourceConfig",
    "TargetConfig",
    "TrunkConfig",
    "UserConfig",
    "load_config",
    "parse_config",
]

_TRANSPORTS = ("udp", "tcp")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file; a misspelled key must not be a silent default, so an unknown one is an error."""

    def __repr__(self) -> str:
        names = self.__struct_fields__
        shown = (f"{name}={'***' if name == 'password' else repr(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({', '.join(shown)})"


class ListenAddress(msgspec.Struct, frozen=True):
    """`udp:192.0.2.1:5060`, taken apart; IPv6 literals are written in brackets."""

    transport: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, key: str) -> ListenAddress:
        """Read one entry of `sip.listen`; ConfigError names `key`."""
        transport, _, rest = text.partition(":")
        host, _, port = rest.rpartition(":")
        if transport.lower() not in _TRANSPORTS:
            raise ConfigError(key, f"{text!r} must begin with one of udp:, tcp:")
        host = host.removeprefix("[").removesuffix("]")
        _require_ip(host, key)
        if not port.isdigit() or int(port) > 65535:
            raise ConfigError(key, f"{text!r} must end with a port from 0 to 65535")
        return cls(transport.upper(), host, int(port))


class SipConfig(_Table, frozen=True):
    """`[sip]`: where SIP is spoken and how patiently."""

    listen: tuple[str, ...] = ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060")
    """`transport:address:port`, one entry per socket; port 0 lets the kernel choose."""
    advertise: str = ""
    """The address others reach us at, written into Via and Contact, when a NAT stands between."""
    user_agent: str = "dial-engine"
    t1_ms: int = 500
    """RFC 3261 §17: estimate of the round trip; all retransmissions derive from it."""
    timer_b_s: float = 32.0
    """How long an INVITE may stay without any response."""
    session_expires_s: int = 1800
    """RFC 4028 session interval offered by us; 0 asks for none."""
    name_servers: tuple[str, ...] = ()
    """`address:port` of DNS servers; empty: those of the machine."""

    def dns_servers(self) -> tuple[tuple[str, int], ...]:
        """`name_servers`, taken apart."""
        servers = [
            ListenAddress.parse(f"udp:{text}", f"sip.name_servers[{i}]")
            for i, text in enumerate(self.name_servers)
        ]
        return tuple((server.host, server.port) for server in servers)

    def listeners(self) -> tuple[ListenAddress, ...]:
        return tuple(ListenAddress.parse(text, f"sip.listen[{i}]") for i, text in enumerate(self.listen))


class MediaConfig(_Table, frozen=True):
    """`[media]`: where RTP flows and what is offered."""

    listen: str = "127.0.0.1"
    """Local address of the RTP ports."""
    advertise: str = ""
    """The address written into SDP, when it differs from `listen`."""
    ports: str = "20000-29999"
    """First and last UDP port; a leg takes an even port for RTP and the next for RTCP. Empty: any port."""
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    """Offer order."""
    ptime_ms: int = 20
    silence_timeout_s: float = 0.0
    """A connected leg that sends no RTP for so long is hung up; 0 never does."""
    in_band_dtmf: bool = False
    """Hear and send digits as tones where no telephone-event was agreed (RFC 4733); otherwise by INFO."""
    ringback: str = "us"
    """What a caller hears while we ring: us, eu or uk."""

    def port_range(self) -> tuple[int, int]:
        """First and last port; (0, 0): the kernel chooses."""
        if not self.ports:
            return 0, 0
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", self.ports.replace(" ", ""))
        first, last = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1024 <= first < last <= 65535:
            raise ConfigError(
                "media.ports", f"{self.ports!r} must be FIRST-LAST with 1024 <= FIRST < LAST <= 65535"
            )
        return first, last


class LimitsConfig(_Table, frozen=True):
    """`[limits]`: when to say no."""

    max_dials: int = 5000
    """Dials in progress; one more is refused with 503 and Retry-After."""
    drain_s: float = 30.0
    """After SIGTERM: how long calls in progress may go on."""


class NumbersConfig(_Table, frozen=True):
    """`[numbers]`: how strict phone numbers are taken."""

    strict: bool = False
    """Refuse numbers and caller ids that are not E.164; otherwise they only cause a warning."""


class LogsConfig(_Table, frozen=True):
    """`[logs]`"""

    level: str = "info"
    json: bool = False
    mask: bool = True
    """Show only the last three characters of numbers and URIs."""


class SourceConfig(_Table, frozen=True):
    """`[[source]]`: a PBX or carrier that may send us calls; everybody else is refused with 403."""

    name: str
    addresses: tuple[str, ...]
    """IP addresses or networks (`192.0.2.0/24`)."""


class TargetConfig(_Table, frozen=True):
    """One entry of `route.targets`, as in the `dial` verb's `target`."""

    type: str = "sip"
    number: str = ""
    trunk: str = ""
    sip_uri: str = ""
    name: str = ""
    username: str = ""
    password: str = ""
    headers: dict[str, str] = {}
    proxy: str = ""


class RouteConfig(_Table, frozen=True):
    """`[[route]]`: what an inbound call to a number rings."""

    number: str
    """The dialled user part; `*` stands for any characters. The first route that fits wins."""
    targets: tuple[TargetConfig, ...]
    source: str = ""
    """Only calls from the source of this name; empty: from any."""
    timeout_s: float = 60.0
    time_limit_s: float | None = None
    answer_on_bridge: bool = False
    dial_music: str = ""
    """WAV or MP3 file the caller hears instead of ringback."""
    caller_id: str = ""
    headers: dict[str, str] = {}


class TrunkConfig(_Table, frozen=True):
    """`[[trunk]]`: a carrier for `phone` targets."""

    name: str
    uri: str
    """`sip:carrier.example.com;transport=tcp`; the host is resolved by RFC 3263."""
    username: str = ""
    password: str = ""
    from_domain: str = ""
    """Host of our From; empty: our own address."""
    codecs: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    trusted: bool = False
    """Whether P-Asserted-Identity of a restricted caller may be sent there (RFC 3325)."""
    t1_ms: int | None = None
    timer_b_s: float | None = None


class UserConfig(_Table, frozen=True):
    """`[[user]]`: somebody `user` targets can name."""

    name: str
    """`1001@sip.example.com`"""
    contacts: tuple[str, ...] = ()
    """Fixed SIP URIs to ring; none: known but not registered (480)."""


class Config(_Table, frozen=True):
    """The whole file; every table is optional."""

    sip: SipConfig = SipConfig()
    media: MediaConfig = MediaConfig()
    limits: LimitsConfig = LimitsConfig()
    numbers: NumbersConfig = NumbersConfig()
    logs: LogsConfig = LogsConfig()
    status: dict[str, str] = {}
    """`[status]`: overrides of the outcome table, `603 = "failed"`."""
    source: tuple[SourceConfig, ...] = ()
    route: tuple[RouteConfig, ...] = ()
    trunk: tuple[TrunkConfig, ...] = ()
    user: tuple[UserConfig, ...] = ()


def load_config(path: str | Path) -> Config:
    """Read and check a file; ConfigError names the wrong key, or the file when it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", f"cannot read {path}: {error}") from error
    return parse_config(text)


def parse_config(text: str) -> Config:
    """Check the text of a configuration file; ConfigError names the wrong key."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("", f"not valid TOML: {error}") from error
    _refuse_unknown_keys(tree, Config, "")
    try:
        config = msgspec.convert(tree, Config, strict=True)
    except msgspec.ValidationError as error:
        raise _named(error) from error
    _check(config)
    return config


def _named(error: msgspec.ValidationError) -> ConfigError:
    problem, _, path = str(error).partition(" - at `")
    key = path.removesuffix("`").removeprefix("$").removeprefix(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        return ConfigError(f"{key}.{missing[1]}" if key else missing[1], "is required")
    return ConfigError(key, problem)


def _refuse_unknown_keys(value: object, table: type[_Table], where: str) -> None:
    """Our own walk, because msgspec names the key but cannot say which one was probably meant."""
    if not isinstance(value, dict):
        return
    hints: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(table)}
    for key, inner in value.items():
        path = f"{where}.{key}" if where else key
        if key not in hints:
            close = difflib.get_close_matches(key, hints, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(sorted(hints))}"
            raise ConfigError(path, f"unknown key{meant}")
        hint = hints[key]
        if isinstance(hint, type) and issubclass(hint, _Table):
            _refuse_unknown_keys(inner, hint, path)
        elif isinstance(inner, list) and (element := _table_element(hint)):
            for index, item in enumerate(inner):
                _refuse_unknown_keys(item, element, f"{path}[{index}]")


def _table_element(hint: object) -> type[_Table] | None:
    args = getattr(hint, "__args__", ())
    return args[0] if args and isinstance(args[0], type) and issubclass(args[0], _Table) else None


def _require_ip(host: str, key: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(key, f"{host!r} is not an IP address") from None


def _check(config: Config) -> None:
    """What types alone cannot say."""
    if not config.sip.listen:
        raise ConfigError("sip.listen", "needs at least one entry")
    _check_listeners(config.sip.listeners())
    config.sip.dns_servers()
    config.media.port_range()
    _require_ip(config.media.listen, "media.listen")
    for key, address in (
        ("sip.advertise", config.sip.advertise),
        ("media.advertise", config.media.advertise),
    ):
        if address:
            _require_ip(address, key)
    for key, number in (
        ("sip.t1_ms", config.sip.t1_ms),
        ("sip.timer_b_s", config.sip.timer_b_s),
        ("media.ptime_ms", config.media.ptime_ms),
        ("limits.max_dials", config.limits.max_dials),
    ):
        if not 0 < number < math.inf:
            raise ConfigError(key, f"must be greater than 0, is {number}")
    for key, seconds in (
        ("limits.drain_s", config.limits.drain_s),
        ("media.silence_timeout_s", config.media.silence_timeout_s),
    ):
        if not 0 <= seconds < math.inf:
            raise ConfigError(key, f"must be 0 or more seconds, is {seconds}")
    if config.media.ptime_ms % 10 or config.media.ptime_ms > 100:
        raise ConfigError("media.ptime_ms", f"{config.media.ptime_ms} is not 10, 20, 30, ... or 100")
    if not config.sip.user_agent.isprintable():
        raise ConfigError("sip.user_agent", "contains a control character")
    if 0 < config.sip.session_expires_s < 90:
        raise ConfigError("sip.session_expires_s", "must be 0 or at least 90 (RFC 4028 §5)")
    if config.media.ringback not in ("us", "eu", "uk"):
        raise ConfigError("media.ringback", f"{config.media.ringback!r} is not one of us, eu, uk")
    if config.logs.level not in ("debug", "info", "warning", "error"):
        raise ConfigError("logs.level", f"{config.logs.level!r} is not one of debug, info, warning, error")
    for code, status in config.status.items():
        if not code.isdigit() or not 300 <= int(code) <= 699:
            raise ConfigError(f"status.{code}", "must be a final SIP status from 300 to 699")
        if status not in ("failed", "busy", "no-answer"):
            raise ConfigError(f"status.{code}", f"{status!r} is not one of failed, busy, no-answer")
    for i, source in enumerate(config.source):
        if not source.addresses:
            raise ConfigError(f"source[{i}].addresses", "needs at least one entry")
        for j, network in enumerate(source.addresses):
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError as error:
                raise ConfigError(f"source[{i}].addresses[{j}]", str(error)) from error
    _check_unique(config)
    _check_routes(config)


def _check_listeners(listeners: tuple[ListenAddress, ...]) -> None:
    for i, listener in enumerate(listeners):
        if listener.port and listener in listeners[:i]:
            raise ConfigError(f"sip.listen[{i}]", "is there twice")


def _check_unique(config: Config) -> None:
    for table in ("source", "trunk", "user"):
        seen: set[str] = set()
        for i, entry in enumerate(getattr(config, table)):
            if entry.name in seen:
                raise ConfigError(f"{table}[{i}].name", f"{entry.name!r} is used twice")
            seen.add(entry.name)


_NEEDED = {"phone": "number", "sip": "sip_uri", "user": "name"}


def _check_routes(config: Config) -> None:
    sources = {source.name for source in config.source}
    trunks = {trunk.name for trunk in config.trunk}
    users = {user.name.lower() for user in config.user}
    for i, route in enumerate(config.route):
        where = f"route[{i}]"
        if route.source and route.source not in sources:
            raise ConfigError(f"{where}.source", f"no [[source]] is named {route.source!r}")
        if not route.targets:
            raise ConfigError(f"{where}.targets", "needs at least one target")
        if not route.timeout_s > 0:
            raise ConfigError(f"{where}.timeout_s", "must be greater than 0")
        if route.time_limit_s is not None and not route.time_limit_s > 0:
            raise ConfigError(f"{where}.time_limit_s", "must be greater than 0")
        for j, target in enumerate(route.targets):
            here = f"{where}.targets[{j}]"
            needed = _NEEDED.get(target.type)
            if needed is None:
                raise ConfigError(f"{here}.type", f"{target.type!r} is not one of phone, sip, user")
            if not getattr(target, needed):
                raise ConfigError(f"{here}.{needed}", f"is required for a target of type {target.type!r}")
            if bool(target.username) != bool(target.password):
                raise ConfigError(f"{here}.username", "username and password go together")
            if target.trunk and target.trunk not in trunks:
                raise ConfigError(f"{here}.trunk", f"no [[trunk]] is named {target.trunk!r}")
            if target.type == "user" and target.name.lower() not in users:
                raise ConfigError(f"{here}.name", f"no [[user]] is named {target.name!r}")
