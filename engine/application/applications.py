"""What a call runs: the applications of the configuration, and those made for one call over REST."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

from msgspec import Struct

from engine.application.document import DocumentError, Verb, decode_document
from engine.application.schema.speech import Recognizer, Synthesizer
from engine.application.services import SessionDefaults
from engine.config import AccountConfig, ApplicationConfig, HookConfig
from engine.errors import ConfigError
from engine.hooks.hook import Hook

__all__ = ["Application", "Applications", "hook_of"]


class Application(Struct, frozen=True, kw_only=True):
    """Where the document of a call comes from, and who is told about the call."""

    sid: str = ""
    account_sid: str = ""
    name: str = ""
    call_hook: Hook | None = None
    """Asked for the document; None: `document` is it."""
    document: Sequence[Verb] = ()
    base: Hook | str = ""
    """What relative URLs in `document` are relative to."""
    call_status_hook: Hook | None = None
    defaults: SessionDefaults = SessionDefaults()
    env: Mapping[str, str] = {}
    """Sent as `env_vars` with the first hook."""
    realm: str = ""
    """Of users named without `@`."""
    is_active: bool = True
    """False: the account was switched off, its calls are refused."""


class Applications:
    """All applications of this engine. ConfigError names the key of one that cannot be run."""

    __slots__ = ("_accounts", "_by_account", "_by_name", "_by_sid")

    def __init__(self, configs: Iterable[ApplicationConfig], accounts: Iterable[AccountConfig] = ()) -> None:
        self._accounts: dict[str, AccountConfig] = {}
        for account in accounts:
            self._accounts[account.sid] = self._accounts[account.name] = account
        self._by_sid: dict[str, Application] = {}
        self._by_name: dict[str, Application] = {}
        self._by_account: dict[tuple[str, str], Application] = {}
        for i, config in enumerate(configs):
            application = self._make(config, f"application[{i}]")
            self._by_sid[application.sid] = self._by_name[application.name] = application
            self._by_account[application.account_sid, application.sid] = application

    def find(self, name_or_sid: str) -> Application | None:
        """By what a `[[route]]` calls it."""
        return self._by_name.get(name_or_sid) or self._by_sid.get(name_or_sid)

    def of_account(self, account_sid: str, sid: str) -> Application | None:
        """An account sees its own only."""
        return self._by_account.get((account_sid, sid))

    def _make(self, config: ApplicationConfig, key: str) -> Application:
        account = self._accounts.get(config.account)
        try:
            document = decode_document(config.document) if config.document else ()
        except DocumentError as error:
            raise ConfigError(f"{key}.document", str(error)) from error
        synthesizer, recognizer = config.synthesizer, config.recognizer
        call_hook = hook_of(config.call_hook) if config.call_hook else None
        status_hook = hook_of(config.call_status_hook) if config.call_status_hook else None
        return Application(
            sid=config.sid,
            account_sid=account.sid if account is not None else config.account,
            name=config.name,
            call_hook=call_hook,
            document=document,
            call_status_hook=status_hook,
            defaults=SessionDefaults(
                Synthesizer(
                    vendor=synthesizer.vendor, language=synthesizer.language, voice=synthesizer.voice
                ),
                Recognizer(vendor=recognizer.vendor, language=recognizer.language),
            ),
            env=config.env,
            realm=account.sip_realm if account is not None else "",
            is_active=account is None or account.active,
        )


def hook_of(config: str | HookConfig) -> Hook:
    """As the configuration and the REST API write hooks."""
    if isinstance(config, str):
        return Hook(config)
    method = cast('Literal["POST", "GET"]', config.method.upper())
    return Hook(config.url, method, config.username, config.password)
