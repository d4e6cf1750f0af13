"""The tables about calls: SIP, media, who may call us, whom we ring."""

from __future__ import annotations

import re

from engine.config.table import ListenAddress, Table
from engine.errors import ConfigError

__all__ = [
    "LimitsConfig",
    "LogsConfig",
    "MediaConfig",
    "NumbersConfig",
    "RouteConfig",
    "SipConfig",
    "SourceConfig",
    "TargetConfig",
    "TrunkConfig",
    "UserConfig",
]


class SipConfig(Table, frozen=True):
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


class MediaConfig(Table, frozen=True):
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


class LimitsConfig(Table, frozen=True):
    """`[limits]`: when to say no."""

    max_dials: int = 5000
    """Dials in progress; one more is refused with 503 and Retry-After."""
    drain_s: float = 30.0
    """After SIGTERM: how long calls in progress may go on."""


class NumbersConfig(Table, frozen=True):
    """`[numbers]`: how strict phone numbers are taken."""

    strict: bool = False
    """Refuse numbers and caller ids that are not E.164; otherwise they only cause a warning."""


class LogsConfig(Table, frozen=True):
    """`[logs]`"""

    level: str = "info"
    json: bool = False
    mask: bool = True
    """Show only the last three characters of numbers and URIs."""


class SourceConfig(Table, frozen=True):
    """`[[source]]`: a PBX or carrier that may send us calls; everybody else is refused with 403."""

    name: str
    addresses: tuple[str, ...]
    """IP addresses or networks (`192.0.2.0/24`)."""


class TargetConfig(Table, frozen=True):
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


class RouteConfig(Table, frozen=True):
    """`[[route]]`: what an inbound call to a number rings."""

    number: str
    """The dialled user part; `*` stands for any characters. The first route that fits wins."""
    targets: tuple[TargetConfig, ...] = ()
    """Rung all at once; or else:"""
    application: str = ""
    """Name or sid of the `[[application]]` that decides what to do with the call."""
    source: str = ""
    """Only calls from the source of this name; empty: from any."""
    timeout_s: float = 60.0
    time_limit_s: float | None = None
    answer_on_bridge: bool = False
    dial_music: str = ""
    """WAV or MP3 file the caller hears instead of ringback."""
    caller_id: str = ""
    headers: dict[str, str] = {}


class TrunkConfig(Table, frozen=True):
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


class UserConfig(Table, frozen=True):
    """`[[user]]`: somebody `user` targets can name."""

    name: str
    """`1001@sip.example.com`"""
    contacts: tuple[str, ...] = ()
    """Fixed SIP URIs to ring; none: known but not registered (480)."""
