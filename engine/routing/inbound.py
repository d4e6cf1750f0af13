"""Calls that come in: who may send them, and whom the dialled number rings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

from msgspec import Struct

from engine.config import RouteConfig, SourceConfig, TargetConfig
from engine.dial.request import Credentials, DialRequest, InvalidRequest, Target, TargetType
from engine.errors import ConfigError

__all__ = ["InboundRoutes", "RunApplication", "Sources"]

_REMEMBERED = 4096


class Sources:
    """The peers whose calls we take; everybody else is a stranger."""

    __slots__ = ("_known", "_networks")

    def __init__(self, configs: Iterable[SourceConfig]) -> None:
        self._networks = [
            (ipaddress.ip_network(address, strict=False), config.name)
            for config in configs
            for address in config.addresses
        ]
        self._known: dict[str, str | None] = {}

    def name_of(self, host: str) -> str | None:
        """The source an address belongs to, None for a stranger. `host`: numeric, without brackets."""
        if host not in self._known:
            if len(self._known) > _REMEMBERED:  # a flood from forged addresses must not fill the memory
                self._known.clear()
            self._known[host] = self._look_up(host)
        return self._known[host]

    def _look_up(self, host: str) -> str | None:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return next((name for network, name in self._networks if address in network), None)


class RunApplication(Struct, frozen=True):
    """The call is an application's business."""

    name: str
    """Name or sid of the `[[application]]`."""


class InboundRoutes:
    """Dialled number (and source) to the dial it starts, or to the application that decides."""

    __slots__ = ("_routes",)

    def __init__(
        self, configs: Iterable[RouteConfig], check: Callable[[DialRequest], None] | None = None
    ) -> None:
        """`check` raises InvalidRequest for what this engine refuses. ConfigError names the key of a route
        whose dial could never be started."""
        self._routes: list[tuple[re.Pattern[str], str, DialRequest | RunApplication]] = []
        for i, config in enumerate(configs):
            pattern = re.compile(".*".join(map(re.escape, config.number.split("*"))))
            target = (
                RunApplication(config.application)
                if config.application
                else _request(config, f"route[{i}]", check)
            )
            self._routes.append((pattern, config.source, target))

    def find(self, number: str, source: str) -> DialRequest | RunApplication | None:
        """What the first route that fits says; None: nobody lives there."""
        for pattern, wanted_source, target in self._routes:
            if (not wanted_source or wanted_source == source) and pattern.fullmatch(number):
                return target
        return None


def _request(config: RouteConfig, key: str, check: Callable[[DialRequest], None] | None) -> DialRequest:
    targets = tuple(_target(target, f"{key}.targets[{j}]") for j, target in enumerate(config.targets))
    try:
        request = DialRequest(
            targets=targets,
            caller_id=config.caller_id,
            headers=config.headers,
            timeout_s=config.timeout_s,
            time_limit_s=config.time_limit_s,
            answer_on_bridge=config.answer_on_bridge,
            dial_music=config.dial_music,
        )
        if check is not None:
            check(request)
    except InvalidRequest as error:
        raise ConfigError(f"{key}.{error.field}", error.problem) from error
    return request


def _target(config: TargetConfig, key: str) -> Target:
    address = {"phone": config.number, "sip": config.sip_uri, "user": config.name}[config.type]
    try:
        credentials = Credentials(config.username, config.password) if config.username else None
        return Target(
            TargetType(config.type),
            address,
            trunk=config.trunk,
            credentials=credentials,
            headers=config.headers,
            proxy=config.proxy,
        )
    except InvalidRequest as error:
        field = error.field.removeprefix("credentials.")
        raise ConfigError(f"{key}.{field}", error.problem) from error
