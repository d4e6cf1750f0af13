"""Server transactions: the machines of RFC 3261 §17.2 with RFC 6026, their timers and retransmissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engine.sip.client_transaction import SPENT
from engine.sip.message import Request
from engine.sip.tables import SERVER_INVITE, SERVER_NON_INVITE, Action, Input, State, Transitions
from engine.sip.timers import Timer
from engine.sip.types import Flow, Timers, Transport

if TYPE_CHECKING:
    from engine.sip.transactions import TransactionLayer

__all__ = ["ServerKey", "ServerTransaction", "ServerUser"]

ServerKey: TypeAlias = tuple[str, ...]


class ServerUser(Protocol):
    """The TU of a server transaction."""

    def on_ack(self, transaction: ServerTransaction, ack: Request, now: float) -> None: ...
    def on_ack_timeout(self, transaction: ServerTransaction, now: float) -> None: ...
    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None: ...


class ServerTransaction:
    """One request of a peer and our responses to it."""

    __slots__ = (
        "_interval",
        "_last",
        "_layer",
        "_lifetime",
        "_retransmission",
        "_table",
        "flow",
        "key",
        "merge_key",
        "reply_flow",
        "request",
        "source",
        "state",
        "timers",
        "to_tag",
        "user",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        key: ServerKey,
        request: Request,
        flow: Flow,
        reply_flow: Flow,
        timers: Timers,
    ) -> None:
        self._layer = layer
        self.key = key
        self.merge_key: tuple[str, str, int, str] | None = None
        self.request = request
        self.flow = flow
        self.source = (flow.remote.host, flow.remote.port)
        self.reply_flow = reply_flow
        self.timers = timers
        self.to_tag = ""
        """The tag we put into To of our responses, if the request had none."""
        self.user: ServerUser | None = None
        self._last = b""
        self._interval = timers.t1
        self._lifetime: Timer | None = None
        self._retransmission: Timer | None = None
        self._table: _ServerTable
        if request.method == "INVITE":
            self._table, self.state = _SERVER_INVITE, State.PROCEEDING
        else:
            self._table, self.state = _SERVER_NON_INVITE, State.TRYING

    def send(self, status: int, data: bytes, now: float) -> None:
        """A response of the TU; ignored where the figure has no arrow for it (a second final response)."""
        if status < 200:
            self._step(Input.SEND_1XX, now, data)
        elif status < 300:
            self._step(Input.SEND_2XX, now, data)
        else:
            self._step(Input.SEND_3XX_TO_6XX, now, data)

    def retransmitted(self, now: float) -> None:
        """The request came again."""
        self._step(Input.REQUEST, now, None)

    def ack(self, ack: Request, now: float) -> None:
        """An ACK that matches this INVITE: of a non-2xx, or of a 2xx from a peer without magic cookie."""
        self._step(Input.ACK, now, ack)

    @property
    def is_answered(self) -> bool:
        """A final response was sent."""
        return self.state is not State.PROCEEDING and self.state is not State.TRYING

    def release(self) -> None:
        """The TU has no more to say: keep only what absorbs retransmissions."""
        self.user = None
        self.request = SPENT

    def _step(self, stimulus: Input, now: float, what: bytes | Request | None) -> None:
        row = self._table.get((self.state, stimulus))
        if row is None:
            return
        self.state, actions = row
        for perform in actions:
            perform(self, now, what)
        if self.state is State.TERMINATED:
            self._terminate()

    def _terminate(self) -> None:
        self._stop_timers(0.0, None)
        self._layer.forget_server(self)
        self.user = None

    def _timer_g(self, now: float) -> None:
        self._step(Input.TIMER_G, now, None)

    def _timer_h(self, now: float) -> None:
        self._step(Input.TIMER_H, now, None)

    def _timer_i(self, now: float) -> None:
        self._step(Input.TIMER_I, now, None)

    def _timer_j(self, now: float) -> None:
        self._step(Input.TIMER_J, now, None)

    def _timer_l(self, now: float) -> None:
        self._step(Input.TIMER_L, now, None)

    # The actions of the tables.

    def _send(self, now: float, what: object) -> None:
        assert isinstance(what, bytes)
        self._last = what
        self._layer.send(what, self.reply_flow)

    def _resend(self, now: float, what: object) -> None:
        if self._last:
            self._layer.send(self._last, self.reply_flow)

    def _report(self, now: float, what: object) -> None:
        assert isinstance(what, Request)
        if self.user is not None:
            self.user.on_ack(self, what, now)

    def _report_timeout(self, now: float, what: object) -> None:
        user = self.user
        self._terminate()
        if user is not None:
            user.on_ack_timeout(self, now)

    def _report_end(self, now: float, what: object) -> None:
        """Timer L: the TU has its own timer for the ACK of its 2xx (§13.3.1.4)."""

    def _stop_timers(self, now: float, what: object) -> None:
        if self._lifetime is not None:
            self._lifetime.cancel()
            self._lifetime = None
        if self._retransmission is not None:
            self._retransmission.cancel()
            self._retransmission = None

    def _start_g(self, now: float, what: object) -> None:
        if self.reply_flow.transport is Transport.UDP:
            self._retransmission = self._layer.timers.at(now + self._interval, self._timer_g)

    def _back_off_g(self, now: float, what: object) -> None:
        self._interval = min(self._interval * 2, self.timers.t2)
        self._retransmission = self._layer.timers.at(now + self._interval, self._timer_g)

    def _start_h(self, now: float, what: object) -> None:
        self._lifetime = self._layer.timers.at(now + self.timers.h, self._timer_h)

    def _start_i(self, now: float, what: object) -> None:
        wait = self.timers.t4 if self.reply_flow.transport is Transport.UDP else 0.0
        self._lifetime = self._layer.housekeeping.at(now + wait, self._timer_i)

    def _start_j(self, now: float, what: object) -> None:
        self.release()
        wait = self.timers.j if self.reply_flow.transport is Transport.UDP else 0.0
        self._lifetime = self._layer.housekeeping.at(now + wait, self._timer_j)

    def _start_l(self, now: float, what: object) -> None:
        self._lifetime = self._layer.housekeeping.at(now + self.timers.l, self._timer_l)

    def __repr__(self) -> str:
        return f"<server {self.key[-1]} {self.key[0]} {self.state} from {self.reply_flow.remote}>"


_ServerPerform: TypeAlias = Callable[[ServerTransaction, float, "bytes | Request | None"], None]
_ServerTable: TypeAlias = dict[tuple[State, Input], tuple[State, tuple[_ServerPerform, ...]]]

_SERVER_ACTIONS: dict[Action, _ServerPerform] = {
    Action.SEND: ServerTransaction._send,
    Action.RESEND: ServerTransaction._resend,
    Action.REPORT: ServerTransaction._report,
    Action.REPORT_TIMEOUT: ServerTransaction._report_timeout,
    Action.REPORT_END: ServerTransaction._report_end,
    Action.STOP_TIMERS: ServerTransaction._stop_timers,
    Action.BACK_OFF_G: ServerTransaction._back_off_g,
    Action.START_G: ServerTransaction._start_g,
    Action.START_H: ServerTransaction._start_h,
    Action.START_I: ServerTransaction._start_i,
    Action.START_J: ServerTransaction._start_j,
    Action.START_L: ServerTransaction._start_l,
}


def _compile_server(table: Transitions) -> _ServerTable:
    return {
        pair: (state, tuple([_SERVER_ACTIONS[action] for action in actions]))
        for pair, (state, actions) in table.items()
    }


_SERVER_INVITE = _compile_server(SERVER_INVITE)
_SERVER_NON_INVITE = _compile_server(SERVER_NON_INVITE)
