"""One leg under a document: verbs run one after the other until replaced, finished, or the leg is gone.

Used by a `Call` for its own leg and by screening for a callee. The session knows nothing of SIP: who owns it
feeds it with digits and tells it when the leg is gone; it says in the end how the document ended.

A document is replaced by a hook's answer or by live control. Each source of instructions takes a ticket when
it is *asked*; what was asked for later wins, whatever the order in which the answers arrive, and an answer to
an older question than the one that gave the running document is discarded (webhooks.md section 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog
from msgspec import Struct

from engine.application.digits import DigitFeed
from engine.application.scope import CancelScope
from engine.application.services import ApplicationServices, SessionDefaults
from media import MediaStream

if TYPE_CHECKING:
    from engine.dial.leg import LegMedia
    from engine.ids import CallSid

__all__ = ["Ending", "EndingKind", "LegGone", "PartyLeg", "Session", "SessionDefaults", "SessionOwner"]

log = structlog.get_logger(__name__)

MAX_IDLE_DOCUMENTS = 20
"""Documents in a row without media activity; one more is a loop (webhooks.md section 9, case 7)."""


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

    def ring(self) -> None: ...

    def open_early_media(self) -> None: ...

    def answer(self) -> None: ...

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None: ...


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
    """A document that could not be had or run where that is final: screening."""
    LOOPED = "looped"
    """More documents in a row than there may be without media activity."""


class Ending(Struct, frozen=True):
    """How a session ended, and what the leg should be told."""

    kind: EndingKind
    status: int = 0
    """DECLINED: the final response."""
    reason: str = ""
    headers: Mapping[str, str] = {}
    """For the BYE or the final response."""


class SessionOwner(Protocol):
    """What a session wants of a `Call` or of a screening."""

    def facts(self) -> Any:
        """`CallFacts` of the session's leg, as they are now."""

    def check(self, document: Sequence[object]) -> None:
        """Refuse a document that may not run here: raises DocumentError."""

    def saw_early_media(self) -> None:
        """The session opened early media."""

    def saw_answer(self) -> None:
        """The session answered the leg and its media is known."""


class Session:
    """One leg under a document. All methods belong to the event loop's thread."""

    def __init__(
        self,
        leg: PartyLeg,
        services: ApplicationServices,
        owner: SessionOwner,
        hooks: Any,
        *,
        defaults: SessionDefaults | None = None,
        is_strict: bool = False,
    ) -> None:
        """`is_strict`: a hook that fails, or a document that may not run, ends the session as FAILED."""
        self.leg = leg
        self.services = services
        self.hooks = hooks
        self.defaults = defaults or SessionDefaults()
        """`config` puts another one here."""
        self.digits = DigitFeed()
        """Every digit this party keys."""
        self.base = ""
        """URL of the hook that delivered the running document (WH-02)."""
        self._owner = owner
        self._is_strict = is_strict
        self._ending: Ending | None = None
        self._scope: CancelScope | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._asking: set[asyncio.Task[bool]] = set()
        self._answered = asyncio.Event()

    # --- for verbs

    @property
    def facts(self) -> Any:
        """`CallFacts`: the common call properties, as they are now."""
        return self._owner.facts()

    async def ensure_media(self, *, early: bool = False) -> MediaStream:
        """The leg's audio: answers the caller, or opens early media if `early` and the leg is unanswered.

        Raises LegGone.
        """
        leg = self.leg
        if leg.is_gone:
            raise LegGone
        if not leg.has_answered:
            if early:
                leg.open_early_media()
                if leg.media is not None:
                    self._owner.saw_early_media()
            else:
                await self.answer()
        if leg.media is None:
            raise LegGone
        self.saw_media()
        return cast(MediaStream, leg.media)

    async def answer(self) -> None:
        """200 to an unanswered caller; returns when its media is known. Raises LegGone."""
        leg = self.leg
        if not leg.has_answered:
            leg.answer()
            if not leg.has_answered:
                await self._answered.wait()
        if leg.is_gone:
            raise LegGone
        self._owner.saw_answer()

    def saw_media(self) -> None:
        """The party hears, says or keys something: this is no loop of empty documents."""
        raise NotImplementedError

    async def ask(
        self,
        hook: Any | None,
        extra: Mapping[str, object],
        *,
        replaces: bool = True,
        verb_id: str | None = None,
    ) -> bool:
        """A hook whose answer counts: with `replaces`, verbs in it replace the rest of the document.

        `extra` is added to the common properties, and `verb_id` (None: the running verb's `id`, if it has
        one). `hook` None: nobody asked to be told. True if the document was replaced: the calling verb is
        being cancelled then. A hook that fails is an alert and False.
        """
        raise NotImplementedError

    def notify(self, hook: Any | None, extra: Mapping[str, object], *, verb_id: str | None = None) -> None:
        """A hook whose answer is ignored; returns at once, delivered in order with the others."""
        raise NotImplementedError

    def alert(self, kind: str, text: str, path: str = "") -> None:
        """One line in the log and in the records (DV-04): `kind` is a word, `path` a JSON path."""
        raise NotImplementedError

    def background(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Something that goes on beside the verbs and ends (is cancelled) with the session at the latest."""
        raise NotImplementedError

    def end(self, ending: Ending) -> None:
        """The document is over: nothing of it runs any more. The first call counts."""
        raise NotImplementedError

    # --- for the owner

    async def run(self, document: Sequence[object], *, base: str = "") -> Ending:
        """Run `document`, and whatever replaces it, to the end. Called once."""
        raise NotImplementedError

    def ticket(self) -> int:
        """Taken when instructions are asked for; shown when they are put in force."""
        raise NotImplementedError

    def replace(self, document: Sequence[object], *, ticket: int, base: str = "") -> bool:
        """Put a document in the place of the running one. False: newer instructions are in force."""
        raise NotImplementedError

    def leg_gone(self) -> None:
        """The party has left."""
        self._answered.set()
        self.end(Ending(EndingKind.GONE))

    def leg_answered(self) -> None:
        """The answer we gave has brought media (`CallerAnswered`)."""
        self._answered.set()

    async def close(self) -> None:
        """End what is in the background. Hooks that are being asked are still delivered."""
        raise NotImplementedError


VerbRunner = Callable[[Any, Session], Coroutine[Any, Any, None]]
"""`async def run(verb, session)`: cancelled when the document is replaced or the leg is gone."""
