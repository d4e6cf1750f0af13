"""What the HTTP layer needs from the rest of the engine, as small protocols; `app` fills them in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from engine.api.accounts.port import CallControl
from engine.config import AccountConfig, HttpConfig
from engine.dial.dial import Dial, Observer
from engine.dial.manager import DialManager
from engine.dial.request import DialRequest
from engine.dial.result import DialResult
from media.audio import Pcm

__all__ = ["ApiLimits", "ApiServices", "Check", "DialArchive", "DialEngine", "SoundSource", "Unhealthy"]


class DialEngine(Protocol):
    """The engine as far as dials over HTTP are concerned."""

    @property
    def dials(self) -> DialManager: ...

    def start_dial(self, request: DialRequest, *, observer: Observer | None = None) -> Dial:
        """Raises Overloaded and InvalidRequest."""

    def capabilities_for(self, codecs: tuple[str, ...]) -> object:
        """Raises ConfigError for a codec that does not exist."""


SoundSource = Callable[[str], Awaitable[Pcm]]
"""Fetches and decodes what a request names in `play`: int16[n], mono, 8 kHz. Raises
`media.player.PlayerError`, whose text may be shown to the client."""


class DialArchive(Protocol):
    """Where finished dials go that memory no longer holds. Keys are the dial's id."""

    def keep(self, account_sid: str, dial_id: str, view: bytes, result: DialResult, caller_id: str) -> None:
        """`view`: JSON as `GET /v1/dials/{id}` answers it. Returns at once, never raises."""

    async def load(self, account_sid: str, dial_id: str) -> bytes | None:
        """The view, if it is there and belongs to the account. Raises StoreError."""


class Unhealthy(Struct, frozen=True):
    """Why one part should not get new work."""

    reason: str


Check = Callable[[], Unhealthy | None]
"""Called for every `GET /readyz`; returns at once."""


class ApiLimits(Struct, frozen=True, kw_only=True):
    """What keeps one client from harming the calls of others."""

    max_head_bytes: int = 32_768
    """Request line and headers."""
    head_timeout_s: float = 10.0
    """For request line and headers, from their first byte on."""
    body_timeout_s: float = 30.0
    """For the whole body, from its headers on."""
    keep_alive_s: float = 75.0
    """How long an idle connection is kept."""
    max_connections: int = 2000
    max_streams: int = 500
    """Event streams and waiting requests open at once, per account."""
    stream_ping_s: float = 15.0
    """An event stream says at least something so often."""
    send_timeout_s: float = 30.0
    """A client that reads nothing for so long has gone."""
    finished_dials: int = 2000
    """Kept in memory, the oldest leave first."""
    max_events: int = 1000
    """Kept per dial; of a dial with more, the oldest leave first."""
    grace_s: float = 5.0
    """How long open requests may take when the server stops."""


class ApiServices(Struct, frozen=True, kw_only=True):
    """Everything behind the API. Only `http` and `accounts` are needed for native dials."""

    http: HttpConfig
    accounts: Sequence[AccountConfig]
    calls: CallControl | None = None
    """None: `/v1/Accounts` is not served."""
    sounds: SoundSource | None = None
    """None: requests with `play` or `after_beep` are refused."""
    recordings: Path | None = None
    """Folder of recordings; None: requests with `record` are refused."""
    archive: DialArchive | None = None
    checks: Mapping[str, Check] = {}
    """Readiness of other parts by name, e.g. `store`. Admission and draining are checked anyway."""
    limits: ApiLimits = ApiLimits()
