"""What a session is made of beside itself: the leg as verbs see it, who owns it, and how it can end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts

if TYPE_CHECKING:
    from engine.dial.leg import LegMedia
    from engine.ids import CallSid

__all__ = ["Ending", "EndingKind", "LegGone", "PartyLeg", "SessionOwner", "StreamControl"]


class LegGone(Exception):
    """The party has hung up, or the call broke. Verbs let it pass."""


class PartyLeg(Protocol):
    """The leg as verbs see it: `engine.legs.InboundLeg`, `engine.legs.CallerLeg`, a callee being screened."""

    @property
    def id(self) -> CallSid: ...

    @property
    def media(self) -> LegMedia | None: ...

    @property
    def has_answered(self) -> bool:
        """Answered, and its media is known."""

    @property
    def is_gone(self) -> bool: ...

    def open_early_media(self) -> None: ...

    def answer(self) -> None: ...

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None: ...


StreamControl = Callable[[str], None]
"""Takes `pause`, `silence` or `resume`."""


class EndingKind(Enum):
    """How a session ended."""

    FINISHED = "finished"
    """All verbs ran, nothing follows."""
    HUNG_UP = "hung-up"
    """The `hangup` verb."""
    DECLINED = "declined"
    """The `sip:decline` verb."""
    GONE = "gone"
    """The party hung up."""
    STOPPED = "stopped"
    """Somebody outside the document: live control, another callee won, shutdown."""
    FAILED = "failed"
    """A document that could not be had or run where that is final."""
    LOOPED = "looped"
    """More documents in a row than there may be without media activity."""


class Ending(Struct, frozen=True):
    """How a session ended, and what the leg should be told."""

    kind: EndingKind
    status: int = 0
    """The final response to an unanswered caller; 0: what section 9 says."""
    reason: str = ""
    headers: Mapping[str, str] = {}
    """For the BYE or the final response."""


class SessionOwner(Protocol):
    """What a session wants of a `Call` or of a screening."""

    def facts(self) -> CallFacts:
        """Of the session's leg, as they are now."""

    def saw_early_media(self) -> None:
        """The session opened early media."""

    def saw_answer(self) -> None:
        """The session answered the leg and its media is known."""

    def tag(self, data: Mapping[str, object]) -> None:
        """`customerData` from now on."""

    def use_status_hook(self, hook: Hook) -> None:
        """The call status hook from now on."""
