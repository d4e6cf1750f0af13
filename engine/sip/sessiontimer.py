"""Session timers (RFC 4028): one side refreshes at half the interval, the other says BYE when nobody does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.sip.message import Request, Response
from engine.sip.reading import min_se_of, session_expires_of
from engine.sip.sender import Fields
from engine.sip.timers import Timer
from engine.sip.transactions import ServerTransaction
from engine.sip.types import InviteState

if TYPE_CHECKING:
    from engine.sip.session import Call

__all__ = ["LOWEST_MIN_SE_S", "SessionTimer"]

LOWEST_MIN_SE_S = 90
"""RFC 4028 §4."""
_WAIT_FOR_OTHER_S = 5.0
_METHOD_UNKNOWN = (405, 501)
_SHORTEST_S = 30
"""A peer that agrees to less than 90 s breaks the RFC; we follow it this far and no further."""


class SessionTimer:
    """The session timer of one call; off until both sides have agreed on an interval."""

    __slots__ = (
        "_call",
        "_expiry",
        "_min_se_s",
        "_refresh",
        "_without_update",
        "interval_s",
        "is_refresher",
    )

    def __init__(self, call: Call) -> None:
        self._call = call
        self.interval_s: int | None = None
        """As agreed; None: off."""
        self.is_refresher = False
        self._min_se_s = max(call.stack.config.min_se_s, LOWEST_MIN_SE_S)
        self._without_update = False
        self._refresh: Timer | None = None
        self._expiry: Timer | None = None

    def request_fields(self) -> Fields:
        """What our INVITE or UPDATE says."""
        wanted = self._call.wanted_session_s
        interval_s = self.interval_s or wanted
        if interval_s is None:
            return ()
        interval_s = max(interval_s, self._min_se_s)
        value = str(interval_s)
        if self.interval_s is not None:
            # §7.4: the roles stay with the parties, although who is UAC changes from request to request.
            value += ";refresher=uac" if self.is_refresher else ";refresher=uas"
        if self._min_se_s > LOWEST_MIN_SE_S:
            return (("Session-Expires", value), ("Min-SE", str(self._min_se_s)))
        return (("Session-Expires", value),)

    def raise_to(self, min_se_s: int) -> bool:
        """A 422 wants a longer interval (§7.3); False if that is no news, so trying again makes no sense."""
        if min_se_s <= self._min_se_s:
            return False
        self._min_se_s = min_se_s
        if self.interval_s is not None:
            self.interval_s = max(self.interval_s, min_se_s)
        return True

    def on_success(self, response: Response, now: float) -> None:
        """A 2xx to our INVITE or UPDATE (§7.2): without Session-Expires there is no timer."""
        if self._call.state is not InviteState.ESTABLISHED:
            return  # An UPDATE in an early dialog: the 2xx to the INVITE decides.
        agreed = session_expires_of(response)
        if agreed is None:
            self.stop()
        else:
            self._run(agreed.delta_s, agreed.refresher != "uas", now)

    def refuses(self, request: Request, transaction: ServerTransaction, now: float) -> bool:
        """§9: answer 422 if the interval is too short. ParseError if Session-Expires cannot be read."""
        wanted = request.session_expires
        least = max(self._call.stack.config.min_se_s, LOWEST_MIN_SE_S)
        if wanted is None or wanted.delta_s >= least or "timer" not in request.supported:
            return False
        self._call.stack.respond(transaction, 422, now, fields=(("Min-SE", str(least)),))
        return True

    def accept(self, request: Request, now: float) -> Fields:
        """Agree with an INVITE or UPDATE of the peer (§9); the fields for our 2xx."""
        if self._call.state is not InviteState.ESTABLISHED:
            return ()
        asked = session_expires_of(request)
        ours = self._call.wanted_session_s
        peer_can_refresh = "timer" in request.supported
        if asked is None:
            if ours is None:
                self.stop()
                return ()
            interval_s = max(ours, min_se_of(request) or 0, LOWEST_MIN_SE_S)
            refresher = "uas"
        else:
            interval_s = asked.delta_s
            if ours is not None and ours < interval_s:
                # §9: shortened perhaps, never below Min-SE, and never made longer.
                interval_s = min(interval_s, max(ours, min_se_of(request) or 0, LOWEST_MIN_SE_S))
            refresher = asked.refresher or ("uac" if peer_can_refresh else "uas")
        self._run(interval_s, refresher == "uas", now)
        value = ("Session-Expires", f"{interval_s};refresher={refresher}")
        # §9: it must be required of a caller that has to refresh, and should be of any that knows of it.
        return (value, ("Require", "timer")) if refresher == "uac" or peer_can_refresh else (value,)

    def refresh_failed(self, status: int, now: float) -> None:
        """A refresh was refused without ending the dialog: once more in half of what is left (§10).

        A peer that allows UPDATE and then does not know it gets a re-INVITE at once.
        """
        if status in _METHOD_UNKNOWN and not self._without_update:
            self._without_update = True
            self._do_refresh(now)
        elif self._expiry is not None and self._expiry.is_pending:
            wait = max((self._expiry.deadline - now) / 2, 1.0)
            self._refresh = self._call.stack.timers.at(now + wait, self._do_refresh)

    def stop(self) -> None:
        """No session timer (any more)."""
        self.interval_s = None
        for timer in (self._refresh, self._expiry):
            if timer is not None:
                timer.cancel()
        self._refresh = self._expiry = None

    def _run(self, interval_s: int, is_refresher: bool, now: float) -> None:
        self.stop()
        interval_s = max(interval_s, _SHORTEST_S)
        self.interval_s, self.is_refresher = interval_s, is_refresher
        queue = self._call.stack.timers
        if is_refresher:
            self._refresh = queue.at(now + interval_s / 2, self._do_refresh)
            self._expiry = queue.at(now + interval_s, self._expire)
        else:
            # §10: "SHOULD send a BYE ... minimum of 32 seconds and one third of the session interval before".
            self._expiry = queue.at(now + interval_s - min(32.0, interval_s / 3), self._expire)

    def _do_refresh(self, now: float) -> None:
        call = self._call
        dialog = call.dialog
        if dialog is None or call.is_over:
            return
        if not call.can_offer:
            # A change under way refreshes the session as well; if it does not succeed, we do.
            self._refresh = call.stack.timers.at(now + _WAIT_FOR_OTHER_S, self._do_refresh)
        elif dialog.peer_allows("UPDATE") and not self._without_update:
            call.modify("UPDATE", None, now)
        elif dialog.negotiation.local is not None:
            call.modify("INVITE", dialog.negotiation.local, now)

    def _expire(self, now: float) -> None:
        self._call.session_expired(now)
