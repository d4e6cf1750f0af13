"""The TOML configuration file as typed, frozen values.

Every key is checked when the file is read, before a socket is opened: an unknown key, a wrong type or an
impossible value is a `ConfigError` that names the key as it is written in the file. What a key means is the
string under it; `dial-engine check-config FILE` prints the result.
"""

from engine.config.application import (
    AccountConfig,
    ApplicationConfig,
    HookConfig,
    HooksConfig,
    HttpConfig,
    RecordingsConfig,
    SoundsConfig,
    SpeechConfig,
    SpeechVendorConfig,
    StoreConfig,
)
from engine.config.file import Config, load_config, parse_config
from engine.config.table import ListenAddress
from engine.config.telephony import (
    LimitsConfig,
    LogsConfig,
    MediaConfig,
    NumbersConfig,
    RouteConfig,
    SipConfig,
    SourceConfig,
    TargetConfig,
    TrunkConfig,
    UserConfig,
)

__all__ = [
    "AccountConfig",
    "ApplicationConfig",
    "Config",
    "HookConfig",
    "HooksConfig",
    "HttpConfig",
    "LimitsConfig",
    "ListenAddress",
    "LogsConfig",
    "MediaConfig",
    "NumbersConfig",
    "RecordingsConfig",
    "RouteConfig",
    "SipConfig",
    "SoundsConfig",
    "SourceConfig",
    "SpeechConfig",
    "SpeechVendorConfig",
    "StoreConfig",
    "TargetConfig",
    "TrunkConfig",
    "UserConfig",
    "load_config",
    "parse_config",
]
