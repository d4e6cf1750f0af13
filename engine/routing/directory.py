"""Users and where they can be reached. Here: the fixed contacts of the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from engine.config import UserConfig
from engine.dial.failure import LegFailure, no_route
from engine.dial.safety import unsafe_in_user
from engine.errors import ConfigError
from engine.sip.errors import ParseError
from engine.sip.uri import SipUri

__all__ = ["Directory"]


class Directory:
    """`user@realm` to contacts. Names are compared without case in the realm, with case in the user."""

    __slots__ = ("_realm", "_users")

    def __init__(self, users: Iterable[UserConfig], *, realm: str = "") -> None:
        """`realm` is added to names without `@`. ConfigError names the key of what could never be rung."""
        self._realm = realm
        self._users: dict[str, UserConfig] = {}
        for i, user in enumerate(users):
            _check(user, f"user[{i}]")
            self._users[self._key(user.name)] = user

    def _key(self, name: str) -> str:
        user, at, realm = name.partition("@")
        realm = realm if at else self._realm
        return f"{user}@{realm.lower()}" if realm else user

    def contacts(self, name: str) -> tuple[str, ...] | LegFailure:
        """SIP URIs of all contacts, or why there is none: unknown user 404, not registered 480 (DV-25)."""
        user = self._users.get(self._key(name))
        if user is None:
            return no_route(404, "no such user")
        if not user.contacts:
            return no_route(480, "not registered")
        return user.contacts


def _check(user: UserConfig, key: str) -> None:
    name, _, realm = user.name.partition("@")
    if not name or unsafe_in_user(name) is not None or unsafe_in_user(realm) is not None:
        raise ConfigError(f"{key}.name", f"{user.name!r} is not user@realm")
    for j, contact in enumerate(user.contacts):
        try:
            SipUri.parse(contact)
        except ParseError as error:
            raise ConfigError(f"{key}.contacts[{j}]", str(error)) from error
