"""Whom `dial` rings: the dial contract, section 3. The type of a target decides which properties it has."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import force_setattr

from engine.application.schema.fields import (
    Auth,
    Headers,
    HookField,
    PropertyError,
    Schema,
)
from engine.dial import InvalidRequest
from engine.dial import Target as DialTarget
from engine.dial.request import FromOverride

__all__ = ["From", "PhoneTarget", "SipTarget", "Target", "TeamsTarget", "UserTarget"]

_Text = Annotated[str, Meta(min_length=1)]


class From(Schema, frozen=True, kw_only=True):
    """Override of the From URI."""

    user: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        self.to_override()

    def to_override(self) -> FromOverride:
        """As the dial wants it."""
        try:
            return FromOverride(self.user, self.host)
        except InvalidRequest as refused:
            raise PropertyError(refused.problem, (refused.field.removeprefix("from."),)) from None


class _Target(Schema, frozen=True, kw_only=True, tag_field="type"):
    confirm_hook: HookField | None = None
    """Screening application of this branch; None: the verb's. `url` on the wire is the same."""
    url: HookField | None = None
    """None once decoded: see `confirm_hook`."""
    headers: Headers = field(default_factory=Headers)
    """Merged over the verb's."""
    from_: From | None = field(default=None, name="from")
    proxy: str = ""
    """SIP URI of the outbound proxy of this branch."""

    @property
    def from_override(self) -> FromOverride | None:
        """`from` as the dial wants it."""
        return self.from_.to_override() if self.from_ is not None else None

    def __post_init__(self) -> None:
        if self.url is not None:
            if self.confirm_hook is not None:
                raise PropertyError("is the same as `confirmHook`; give one of them", ("url",))
            force_setattr(self, "confirm_hook", self.url)
            force_setattr(self, "url", None)


class PhoneTarget(_Target, frozen=True, kw_only=True, tag="phone"):
    """A number over a carrier."""

    number: _Text
    """E.164; a `sip:` URI is taken for what it is."""
    trunk: str = ""
    """Name of a carrier; empty: any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    def to_target(self) -> DialTarget:
        """As the dial wants it; its `confirm_hook` is the URL alone."""
        return DialTarget.phone(
            self.number,
            trunk=self.trunk,
            headers=self.headers,
            from_=self.from_override,
            proxy=self.proxy,
            confirm_hook=_url(self),
        )


class SipTarget(_Target, frozen=True, kw_only=True, tag="sip"):
    """A SIP URI."""

    sip_uri: str = ""
    number: str = ""
    """Another place for `sipUri`; empty once decoded."""
    auth: Auth | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.number:
            if self.sip_uri:
                raise PropertyError("is the same as `sipUri`; give one of them", ("number",))
            if self.number[:4].lower() not in ("sip:", "sips"):
                raise PropertyError("must begin with sip: or sips: on a sip target", ("number",))
        elif not self.sip_uri:
            raise PropertyError("missing required property `sipUri`")
        _check(self)
        if self.number:
            force_setattr(self, "sip_uri", self.number)
            force_setattr(self, "number", "")

    def to_target(self) -> DialTarget:
        """As the dial wants it; its `confirm_hook` is the URL alone."""
        auth = self.auth
        return DialTarget.sip(
            self.sip_uri or self.number,
            username=auth.username if auth else "",
            password=auth.password if auth else "",
            headers=self.headers,
            from_=self.from_override,
            proxy=self.proxy,
            confirm_hook=_url(self),
        )


class UserTarget(_Target, frozen=True, kw_only=True, tag="user"):
    """Every place a user is registered from."""

    name: _Text
    """`user@realm`; without `@` the account's realm is appended."""
    override_to: str = ""
    """Request-URI in place of the registered contact's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    def to_target(self) -> DialTarget:
        """As the dial wants it; its `confirm_hook` is the URL alone."""
        return DialTarget.user(
            self.name,
            override_to=self.override_to,
            headers=self.headers,
            from_=self.from_override,
            proxy=self.proxy,
            confirm_hook=_url(self),
        )


class TeamsTarget(_Target, frozen=True, kw_only=True, tag="teams"):
    """A number of Microsoft Teams, over the trunk called `teams`."""

    number: _Text
    tenant: str = ""
    vmail: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    def to_target(self) -> DialTarget:
        """As the dial wants it; its `confirm_hook` is the URL alone."""
        return DialTarget.teams(
            self.number,
            headers=self.headers,
            from_=self.from_override,
            proxy=self.proxy,
            confirm_hook=_url(self),
        )


Target = PhoneTarget | SipTarget | UserTarget | TeamsTarget

_PROPERTIES = {
    "number": "number",
    "sip_uri": "sipUri",
    "name": "name",
    "proxy": "proxy",
    "override_to": "overrideTo",
}
"""The dial's names for what it refuses, and the document's."""


def _check(target: Target) -> None:
    """Whatever the dial would refuse is refused with the document, before anything is executed (DV-02)."""
    try:
        target.to_target()
    except InvalidRequest as refused:
        name = _PROPERTIES.get(refused.field, "")
        if name == "sipUri" and isinstance(target, SipTarget | PhoneTarget) and target.number:
            name = "number"  # a URI may stand there
        raise PropertyError(refused.problem, (name,) if name else ()) from None


def _url(target: _Target) -> str:
    return target.confirm_hook.url if target.confirm_hook is not None else ""
