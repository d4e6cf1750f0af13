"""What types alone cannot say about a configuration; ConfigError names the key."""

from __future__ import annotations

import ipaddress
import math
import uuid
from typing import TYPE_CHECKING

from engine.config.application import HookConfig
from engine.config.table import ListenAddress, require_ip
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.config.file import Config

__all__ = ["check"]


def check(config: Config) -> None:
    """What types alone cannot say."""
    if not config.sip.listen:
        raise ConfigError("sip.listen", "needs at least one entry")
    _check_listeners(config.sip.listeners())
    config.sip.dns_servers()
    config.media.port_range()
    require_ip(config.media.listen, "media.listen")
    for key, address in (
        ("sip.advertise", config.sip.advertise),
        ("media.advertise", config.media.advertise),
    ):
        if address:
            require_ip(address, key)
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
    for code, instead in config.response.items():
        if not code.isdigit() or not 300 <= int(code) <= 699:
            raise ConfigError(f"response.{code}", "must be a final SIP status from 300 to 699")
        if not 300 <= instead <= 699:
            raise ConfigError(f"response.{code}", f"{instead} is not a final SIP status from 300 to 699")
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
    _check_applications(config)


def _check_listeners(listeners: tuple[ListenAddress, ...]) -> None:
    for i, listener in enumerate(listeners):
        if listener.port and listener in listeners[:i]:
            raise ConfigError(f"sip.listen[{i}]", "is there twice")


def _check_unique(config: Config) -> None:
    for table in ("source", "trunk", "user", "account", "application", "speech_vendor"):
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
        if route.application:
            if route.targets:
                raise ConfigError(f"{where}.application", "a route has either targets or an application")
            if config.application_named(route.application) is None:
                raise ConfigError(
                    f"{where}.application", f"no [[application]] is named {route.application!r}"
                )
        elif not route.targets:
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


def _check_applications(config: Config) -> None:
    config.http.address()
    if config.http.listen and not config.account:
        raise ConfigError("http.listen", "needs an [[account]] whose API keys may use it")
    for key, number in (
        ("http.max_body_bytes", config.http.max_body_bytes),
        ("http.requests_per_s", config.http.requests_per_s),
        ("hooks.timeout_s", config.hooks.timeout_s),
        ("hooks.max_connections", config.hooks.max_connections),
        ("sounds.max_bytes", config.sounds.max_bytes),
    ):
        if not 0 < number < math.inf:
            raise ConfigError(key, f"must be greater than 0, is {number}")
    if not 0 <= config.store.keep_days < math.inf:
        raise ConfigError("store.keep_days", f"must be 0 or more, is {config.store.keep_days}")
    if config.sounds.cache_bytes < 0:
        raise ConfigError("sounds.cache_bytes", f"must be 0 or more, is {config.sounds.cache_bytes}")
    if not config.store.url.startswith(("sqlite://", "postgresql://")):
        raise ConfigError("store.url", "must begin with sqlite:// or postgresql://")
    for i, account in enumerate(config.account):
        _require_uuid(account.sid, f"account[{i}].sid")
        for j, api_key in enumerate(account.api_keys):
            if len(api_key) < 16:
                raise ConfigError(f"account[{i}].api_keys[{j}]", "must have at least 16 characters")
    for i, application in enumerate(config.application):
        where = f"application[{i}]"
        _require_uuid(application.sid, f"{where}.sid")
        if config.account_named(application.account) is None:
            raise ConfigError(f"{where}.account", f"no [[account]] is named {application.account!r}")
        if bool(application.call_hook) == bool(application.document):
            raise ConfigError(f"{where}.call_hook", "either a call_hook or a document is needed")
        for key in ("call_hook", "call_status_hook"):
            _check_hook(getattr(application, key), f"{where}.{key}", ("http", "https", "ws", "wss"))
    for i, vendor in enumerate(config.speech_vendor):
        _check_hook(vendor.url, f"speech_vendor[{i}].url", ("ws", "wss"))


def _check_hook(hook: str | HookConfig, key: str, schemes: tuple[str, ...]) -> None:
    url = hook if isinstance(hook, str) else hook.url
    if url and url.partition("://")[0].lower() not in schemes:
        raise ConfigError(
            key, f"{url!r} must begin with one of {', '.join(f'{each}://' for each in schemes)}"
        )
    if isinstance(hook, HookConfig) and hook.method not in ("GET", "POST"):
        raise ConfigError(f"{key}.method", f"{hook.method!r} is not one of GET, POST")


def _require_uuid(text: str, key: str) -> None:
    try:
        uuid.UUID(text)
    except ValueError:
        raise ConfigError(key, f"{text!r} is not a UUID") from None
