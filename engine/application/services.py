"""What every call of this process shares: the application layer's own `LegServices`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from engine.dial.manager import DialManager

__all__ = ["ApplicationServices", "SessionDefaults"]


class ApplicationServices(Struct, frozen=True, kw_only=True):
    """Made once, by the composition root."""

    dials: DialManager
    make_hooks: Callable[..., Any]
    """`(account secrets) -> CallHooks`: the hooks of one call, in order."""
    alerts: Any = None
    """`engine.hooks.alerts.Alerts`."""
    sounds: Any = None
    """`engine.sounds.SoundLibrary`."""
    synthesisers: Any = None
    """`engine.speech.Synthesisers`."""
    recognisers: Any = None
    """`engine.speech.Recognisers`."""
    store: Any = None
    """Call records."""


class SessionDefaults(Struct, frozen=True):
    """What verbs fall back on; from the application, changed by `config`. Derive with
    `msgspec.structs.replace`."""

    synthesizer: Mapping[str, object] = {}
    """As the `synthesizer` object of `say`: vendor, language, voice."""
    recognizer: Mapping[str, object] = {}
    """As the `recognizer` object of `transcribe` and `gather`."""
    notify_events: bool = False
