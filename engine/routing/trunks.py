"""Carriers: which trunk takes a phone number, and what a call through it looks like."""

from __future__ import annotations

from collections.abc import Iterable

from engine.config import TrunkConfig
from engine.dial.failure import LegFailure, no_route
from engine.dial.safety import is_header_name, unsafe_in_value
from engine.errors import ConfigError
from engine.sip.errors import ParseError
from engine.sip.types import Credentials, Timers
from engine.sip.uri import SipUri
from engine.sip.values import escape_user

__all__ = ["Trunk", "Trunks"]


class Trunk:
    """One configured carrier, checked once."""

    __slots__ = ("config", "credentials", "timers", "uri")

    def __init__(self, config: TrunkConfig, key: str) -> None:
        """`key` is the trunk's place in the configuration. Raises ConfigError."""
        try:
            self.uri = SipUri.parse(config.uri)
        except ParseError as error:
            raise ConfigError(f"{key}.uri", str(error)) from error
        _check(config, key)
        self.config = config
        self.credentials = (
            (Credentials(config.username, config.password),) if config.username or config.password else ()
        )
        self.timers: Timers | None = None
        if config.t1_ms is not None or config.timer_b_s is not None:
            t1 = Timers().t1 if config.t1_ms is None else config.t1_ms / 1000
            self.timers = Timers(t1=t1, timer_b=config.timer_b_s)

    @property
    def name(self) -> str:
        return self.config.name

    def request_uri(self, number: str) -> str:
        """The number at this carrier, e.g. `sip:+15550100@carrier.example.com;transport=tcp`."""
        user = escape_user(number)
        scheme, _, rest = self.config.uri.partition(":")
        return f"{scheme}:{user}@{rest.rpartition('@')[2]}"


class Trunks:
    """All carriers of the configuration, in its order."""

    __slots__ = ("_by_name",)

    def __init__(self, configs: Iterable[TrunkConfig]) -> None:
        self._by_name = {c.name: Trunk(c, f"trunk[{i}]") for i, c in enumerate(configs)}

    def choose(self, name: str) -> Trunk | LegFailure:
        """The trunk of this name; empty: the first configured. An unknown one is 503 `no-route` (DV-25)."""
        if name:
            return self._by_name.get(name) or no_route()
        return next(iter(self._by_name.values()), None) or no_route()


def _check(config: TrunkConfig, key: str) -> None:
    """What would make every call through this trunk fail."""
    if bool(config.username) != bool(config.password):
        raise ConfigError(f"{key}.username", "username and password go together")
    if unsafe_in_value(config.username) is not None:
        raise ConfigError(f"{key}.username", "contains a control character")
    domain = config.from_domain
    if any(c in '<>"@;?' or c.isspace() or not c.isprintable() for c in domain):
        raise ConfigError(f"{key}.from_domain", f"not a host: {domain!r}")
    for name, value in config.headers.items():
        if not is_header_name(name):
            raise ConfigError(f"{key}.headers", f"{name!r} is not a header name")
        if unsafe_in_value(value) is not None:
            raise ConfigError(f"{key}.headers.{name}", "contains a control character")
    for field, number in (("t1_ms", config.t1_ms), ("timer_b_s", config.timer_b_s)):
        if number is not None and not 0 < number < 86400:
            raise ConfigError(f"{key}.{field}", f"must be greater than 0, is {number}")
