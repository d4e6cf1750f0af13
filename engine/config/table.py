"""What all tables of the configuration file have in common."""

from __future__ import annotations

import ipaddress

import msgspec

from engine.errors import ConfigError

__all__ = ["ListenAddress", "Table", "require_ip"]

_TRANSPORTS = ("udp", "tcp")
_SECRETS = frozenset({"api_keys", "password", "token", "webhook_secrets"})


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file; a misspelled key must not be a silent default, so an unknown one is an error."""

    def __repr__(self) -> str:
        names = self.__struct_fields__
        shown = (f"{name}={'***' if name in _SECRETS else repr(getattr(self, name))}" for name in names)
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
        require_ip(host, key)
        if not port.isdigit() or int(port) > 65535:
            raise ConfigError(key, f"{text!r} must end with a port from 0 to 65535")
        return cls(transport.upper(), host, int(port))


def require_ip(host: str, key: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(key, f"{host!r} is not an IP address") from None
