"""The tables of the application server: HTTP, store, hooks, accounts, applications, speech."""

from __future__ import annotations

from engine.config.table import Table, require_ip
from engine.errors import ConfigError

__all__ = [
    "AccountConfig",
    "ApplicationConfig",
    "HookConfig",
    "HooksConfig",
    "HttpConfig",
    "RecordingsConfig",
    "SoundsConfig",
    "SpeechConfig",
    "SpeechVendorConfig",
    "StoreConfig",
]


class HttpConfig(Table, frozen=True):
    """`[http]`: where the APIs are served."""

    listen: str = ""
    """`127.0.0.1:8080`; port 0 lets the kernel choose. Empty: no HTTP."""
    url: str = ""
    """How others reach it (`https://dial.example.com`), told to applications; empty: the bound address."""
    max_body_bytes: int = 1_048_576
    requests_per_s: float = 500.0
    """Per API key, with a burst of as many; one more is answered with 429."""

    def address(self) -> tuple[str, int] | None:
        """`listen`, taken apart: host without brackets, port. None: no HTTP."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        require_ip(host, "http.listen")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ConfigError("http.listen", f"{self.listen!r} must end with a port from 0 to 65535")
        return host, int(port)


class StoreConfig(Table, frozen=True):
    """`[store]`: call records and hooks that must not be lost."""

    url: str = "sqlite:///dial-engine.sqlite"
    """`sqlite:///FILE` or `postgresql://user:password@host/database`."""
    node: str = ""
    """Name of this engine, where several share a database."""
    keep_days: float = 0.0
    """How long records of ended calls are kept; 0: for ever."""

    def __repr__(self) -> str:
        # The password of a database stands in its URL.
        scheme, _, rest = self.url.partition("://")
        url = f"{scheme}://{rest.rpartition('@')[2]}"
        return f"StoreConfig({url=}, node={self.node!r}, keep_days={self.keep_days})"


class HooksConfig(Table, frozen=True):
    """`[hooks]`: how patiently applications are asked."""

    timeout_s: float = 10.0
    """Per attempt."""
    max_connections: int = 100
    """Open at once, over all hosts."""
    tracing: bool = False
    """Send the trace id of a call in the header `b3`."""


class SoundsConfig(Table, frozen=True):
    """`[sounds]`: what `play` and `dialMusic` may fetch."""

    folder: str = ""
    """`file:` URLs and plain paths are taken from below here only; empty: none."""
    max_bytes: int = 20_000_000
    """A larger file is not played."""
    cache_bytes: int = 200_000_000
    """Decoded audio kept in memory."""


class RecordingsConfig(Table, frozen=True):
    """`[recordings]`"""

    folder: str = ""
    """Where recordings are kept, one WAV file per call; empty: nothing is recorded."""


class HookConfig(Table, frozen=True):
    """A hook with credentials or another method than POST."""

    url: str
    method: str = "POST"
    username: str = ""
    password: str = ""


class SpeechConfig(Table, frozen=True):
    """Which voice speaks, which recogniser listens; empty: what comes with the engine."""

    vendor: str = ""
    language: str = ""
    voice: str = ""


class SpeechVendorConfig(Table, frozen=True):
    """`[[speech_vendor]]`: a recogniser of somebody else, reached over WebSocket."""

    name: str
    url: str
    """`ws://` or `wss://`"""
    token: str = ""
    """Sent as a bearer token."""


class AccountConfig(Table, frozen=True):
    """`[[account]]`: a customer: keys, secrets, applications."""

    sid: str
    """UUID."""
    name: str
    api_keys: tuple[str, ...] = ()
    """Bearer tokens; `sha256:<hex>` keeps only the hash in the file."""
    webhook_secrets: tuple[str, ...] = ()
    """Sign the hooks; several while one is being replaced."""
    sip_realm: str = ""
    """Appended to users named without `@`."""
    active: bool = True


class ApplicationConfig(Table, frozen=True):
    """`[[application]]`: what a call runs."""

    sid: str
    """UUID."""
    name: str
    account: str
    """Name or sid of the account it belongs to."""
    call_hook: str | HookConfig = ""
    """Asked for the document when a call comes in. `ws://` or `wss://`: one socket per call for all hooks."""
    document: str = ""
    """JSON text of a document, in place of a call hook."""
    call_status_hook: str | HookConfig = ""
    """Told of every change of a call; the same `ws://` URL as the call hook's shares its socket."""
    synthesizer: SpeechConfig = SpeechConfig()
    recognizer: SpeechConfig = SpeechConfig()
    env: dict[str, str] = {}
    """Sent as `env_vars` with the first hook of a call."""
