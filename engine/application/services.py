"""What every call of this process shares: the application layer's own `LegServices`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from engine.application.schema.speech import Recognizer, Synthesizer
from engine.dial.outcome import StatusMap
from engine.hooks.call_hooks import CallHooks
from engine.hooks.hook import Hook

if TYPE_CHECKING:
    from engine.dial.manager import DialManager
    from engine.hooks.alerts import Alerts
    from engine.listen import ListenClient
    from engine.sounds import SoundLibrary
    from engine.speech.recognition import Recognisers
    from engine.speech.synthesis import Synthesisers
    from engine.store.rows import CallRow, LegRow

__all__ = [
    "ApplicationServices",
    "MakeHooks",
    "NoRecords",
    "Records",
    "SessionDefaults",
]


class MakeHooks(Protocol):
    """`HookService.for_call`."""

    def __call__(self, call_sid: str, *, account_sid: str = "", base: Hook | str = "") -> CallHooks: ...


class Records(Protocol):
    """`engine.store.Store` as calls see it. Writing returns at once and never raises."""

    def call_started(self, row: CallRow) -> None: ...

    def call_changed(self, row: CallRow) -> None: ...

    def call_ended(self, row: CallRow) -> None: ...

    def leg_changed(self, row: LegRow) -> None: ...

    def leg_ended(self, row: LegRow) -> None: ...


class NoRecords:
    """Keeps nothing."""

    def call_started(self, row: CallRow) -> None:
        """Forgotten."""

    def call_changed(self, row: CallRow) -> None:
        """Forgotten."""

    def call_ended(self, row: CallRow) -> None:
        """Forgotten."""

    def leg_changed(self, row: LegRow) -> None:
        """Forgotten."""

    def leg_ended(self, row: LegRow) -> None:
        """Forgotten."""


class ApplicationServices(Struct, frozen=True, kw_only=True):
    """Made once, by the composition root. What is None is not there."""

    dials: DialManager
    make_hooks: MakeHooks
    alerts: Alerts
    records: Records = NoRecords()
    status_map: StatusMap = StatusMap()
    response_overrides: dict[int, int] = {}
    """Final responses to unanswered callers: the code of section 9 to the code that is sent."""
    codecs: Callable[[tuple[str, ...]], object] | None = None
    """Raises ConfigError for codec names the engine does not have."""
    sounds: SoundLibrary | None = None
    synthesisers: Synthesisers | None = None
    recognisers: Recognisers | None = None
    listen: ListenClient | None = None
    recordings: Path | None = None
    """Folder of what `record` of live control asks for; None: nothing is recorded."""
    api_base_url: str = ""
    user_realm: str = ""
    """Appended to users named without `@` where the account has no realm."""


class SessionDefaults(Struct, frozen=True):
    """What verbs fall back on; from the application, changed by `config`. Derive with
    `msgspec.structs.replace`."""

    synthesizer: Synthesizer = Synthesizer()
    recognizer: Recognizer = Recognizer()
    notify_events: bool = False

    def to_dict(self) -> dict[str, object]:
        """The `defaults` of the first hook of a call: what is set."""
        defaults: dict[str, object] = {}
        if self.synthesizer != _NO_SYNTHESIZER:
            defaults["synthesizer"] = _what_is_set(self.synthesizer, _NO_SYNTHESIZER)
        if self.recognizer != _NO_RECOGNIZER:
            defaults["recognizer"] = _what_is_set(self.recognizer, _NO_RECOGNIZER)
        return defaults


_NO_SYNTHESIZER, _NO_RECOGNIZER = Synthesizer(), Recognizer()


def _what_is_set(struct: Struct, unset: Struct) -> dict[str, object]:
    nothing = msgspec.to_builtins(unset)
    return {name: value for name, value in msgspec.to_builtins(struct).items() if value != nothing[name]}
