"""The whole file: read, checked, frozen."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from engine.config.application import (
    AccountConfig,
    ApplicationConfig,
    HooksConfig,
    HttpConfig,
    RecordingsConfig,
    SoundsConfig,
    SpeechVendorConfig,
    StoreConfig,
)
from engine.config.checks import check
from engine.config.table import Table
from engine.config.telephony import (
    LimitsConfig,
    LogsConfig,
    MediaConfig,
    NumbersConfig,
    RouteConfig,
    SipConfig,
    SourceConfig,
    TrunkConfig,
    UserConfig,
)
from engine.errors import ConfigError

__all__ = ["Config", "load_config", "parse_config"]


class Config(Table, frozen=True):
    """The whole file; every table is optional."""

    sip: SipConfig = SipConfig()
    media: MediaConfig = MediaConfig()
    limits: LimitsConfig = LimitsConfig()
    numbers: NumbersConfig = NumbersConfig()
    logs: LogsConfig = LogsConfig()
    status: dict[str, str] = {}
    """`[status]`: overrides of the outcome table, `603 = "failed"`."""
    response: dict[str, int] = {}
    """`[response]`: what an unanswered caller is told instead, `603 = 486`."""
    source: tuple[SourceConfig, ...] = ()
    route: tuple[RouteConfig, ...] = ()
    trunk: tuple[TrunkConfig, ...] = ()
    user: tuple[UserConfig, ...] = ()
    http: HttpConfig = HttpConfig()
    store: StoreConfig = StoreConfig()
    hooks: HooksConfig = HooksConfig()
    sounds: SoundsConfig = SoundsConfig()
    recordings: RecordingsConfig = RecordingsConfig()
    account: tuple[AccountConfig, ...] = ()
    application: tuple[ApplicationConfig, ...] = ()
    speech_vendor: tuple[SpeechVendorConfig, ...] = ()

    @property
    def serves_applications(self) -> bool:
        """Whether anything needs the application server: the HTTP API, or calls that run a document."""
        return bool(self.http.listen or self.application)

    def account_named(self, name: str) -> AccountConfig | None:
        """By name or sid."""
        return next((each for each in self.account if name in (each.name, each.sid)), None)

    def application_named(self, name: str) -> ApplicationConfig | None:
        """By name or sid."""
        return next((each for each in self.application if name in (each.name, each.sid)), None)


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
    check(config)
    return config


def _named(error: msgspec.ValidationError) -> ConfigError:
    problem, _, path = str(error).partition(" - at `")
    key = path.removesuffix("`").removeprefix("$").removeprefix(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        return ConfigError(f"{key}.{missing[1]}" if key else missing[1], "is required")
    return ConfigError(key, problem)


def _refuse_unknown_keys(value: object, table: type[Table], where: str) -> None:
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
        if isinstance(hint, type) and issubclass(hint, Table):
            _refuse_unknown_keys(inner, hint, path)
        elif isinstance(inner, list) and (element := _table_element(hint)):
            for index, item in enumerate(inner):
                _refuse_unknown_keys(item, element, f"{path}[{index}]")


def _table_element(hint: object) -> type[Table] | None:
    args = getattr(hint, "__args__", ())
    return args[0] if args and isinstance(args[0], type) and issubclass(args[0], Table) else None
