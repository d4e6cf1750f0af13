"""Client transactions: the machines of RFC 3261 §17.1 with RFC 6026, their timers and retransmissions.

What travels inside is no business of this module, except for the ACK of a non-2xx response, which belongs
to the INVITE client transaction (§17.1.1.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engine.sip import build
from engine.sip.headers import Headers
from engine.sip.message import Request, Response
from engine.sip.tables import CLIENT_INVITE, CLIENT_NON_INVITE, Action, Input, State, Transitions
from engine.sip.timers import Timer
from engine.sip.types import Flow, Timers, Transport

if TYPE_CHECKING:
    from engine.sip.transactions import TransactionLayer

__all__ = ["ClientTransaction", "ClientUser"]

SPENT = Request("", "", Headers())
"""What a transaction keeps of its request when only retransmissions are left to absorb: nothing. Tens of
thousands of them wait for their last timer under load."""


class ClientUser(Protocol):
    """The TU of a client transaction: exactly one final outcome is reported (several 2xx to an INVITE may
    be)."""

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None: ...
    def on_timeout(self, transaction: ClientTransaction, now: float) -> None: ...
    def on_transport_error(self, transaction: ClientTransaction, error: OSError, now: float) -> None: ...
    def on_end(self, transaction: ClientTransaction, now: float) -> None: ...


class ClientTransaction:
    """One request of ours until nothing more can come of it."""

    __slots__ = (
        "_data",
        "_interval",
        "_layer",
        "_lifetime",
        "_patience",
        "_retransmission",
        "_table",
        "ack",
        "flow",
        "key",
        "request",
        "state",
        "timers",
        "user",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        request: Request,
        data: bytes,
        flow: Flow,
        timers: Timers,
        user: ClientUser,
        branch: str,
    ) -> None:
        self._layer = layer
        self.request = request
        self._data = data
        self.flow = flow
        self.timers = timers
        self.user: ClientUser | None = user
        self.key = (branch, request.method)
        self.ack: bytes | None = None
        self._interval = timers.t1
        self._lifetime: Timer | None = None
        self._patience: Timer | None = None
        """Of `give_up_at`: a first 1xx stops Timer B, but not this one."""
        self._retransmission: Timer | None = None
        self._table: _ClientTable
        if request.method == "INVITE":
            self._table, self.state = _CLIENT_INVITE, State.CALLING
        else:
            self._table, self.state = _CLIENT_NON_INVITE, State.TRYING

    def start(self, now: float) -> None:
        """Send the request and set the first timers."""
        queue, timers = self._layer.timers, self.timers
        if self.state is State.CALLING:
            self._lifetime = queue.at(now + timers.b, self._timer_b)
            if self.flow.transport is Transport.UDP:
                self._retransmission = queue.at(now + timers.t1, self._timer_a)
        else:
            self._lifetime = queue.at(now + timers.f, self._timer_f)
            if self.flow.transport is Transport.UDP:
                self._retransmission = queue.at(now + timers.t1, self._timer_e)
        self._layer.send(self._data, self.flow)

    def receive(self, response: Response, now: float) -> None:
        """A response with our branch and method."""
        status = response.status
        if status < 200:
            self._step(Input.RESPONSE_1XX, now, response)
        elif status < 300:
            self._step(Input.RESPONSE_2XX, now, response)
        else:
            self._step(Input.RESPONSE_3XX_TO_6XX, now, response)

    def transport_failed(self, error: OSError, now: float) -> None:
        """The request (or its ACK) could not be delivered."""
        self._step(Input.TRANSPORT_ERROR, now, error)

    def give_up_at(self, deadline: float) -> None:
        """End an INVITE without final response at `deadline` (RFC 3261 §9.1); nothing once there is one."""
        if self._patience is None and (self.state is State.CALLING or self.state is State.PROCEEDING):
            self._patience = self._layer.timers.at(deadline, self._give_up)

    @property
    def is_waiting(self) -> bool:
        """No final response yet."""
        return self.state in _WAITING

    def _step(self, stimulus: Input, now: float, what: Response | OSError | None = None) -> None:
        row = self._table.get((self.state, stimulus))
        if row is None:
            return
        self.state, actions = row
        for perform in actions:
            perform(self, now, what)
        if self.state is State.COMPLETED:
            self.user = None  # It has been told the outcome; what still comes is absorbed here.
        elif self.state is State.TERMINATED:
            self._terminate()

    def _terminate(self) -> None:
        self._stop_timers(0.0, None)
        self._stop_waiting()
        self._layer.forget_client(self)
        self.user = None

    def _timer_a(self, now: float) -> None:
        self._step(Input.TIMER_A, now)

    def _timer_b(self, now: float) -> None:
        self._step(Input.TIMER_B, now)

    def _timer_d(self, now: float) -> None:
        self._step(Input.TIMER_D, now)

    def _timer_e(self, now: float) -> None:
        self._step(Input.TIMER_E, now)

    def _timer_f(self, now: float) -> None:
        self._step(Input.TIMER_F, now)

    def _timer_k(self, now: float) -> None:
        self._step(Input.TIMER_K, now)

    def _timer_m(self, now: float) -> None:
        self._step(Input.TIMER_M, now)

    def _give_up(self, now: float) -> None:
        self._step(Input.GIVE_UP, now)

    # The actions of the tables.

    def _resend(self, now: float, what: object) -> None:
        self._layer.send(self._data, self.flow)

    def _send_ack(self, now: float, what: object) -> None:
        """§17.1.1.3: every copy of the final response is answered with the same ACK."""
        if self.ack is None:
            assert isinstance(what, Response)
            self.ack = build.ack(self.request, what).to_bytes()
        self._layer.send(self.ack, self.flow)

    def _report(self, now: float, what: object) -> None:
        assert isinstance(what, Response)
        if self.user is not None:
            self.user.on_response(self, what, now)

    def _report_timeout(self, now: float, what: object) -> None:
        self._terminate_and(lambda user: user.on_timeout(self, now))

    def _report_transport_error(self, now: float, what: object) -> None:
        assert isinstance(what, OSError)
        self._terminate_and(lambda user: user.on_transport_error(self, what, now))

    def _report_end(self, now: float, what: object) -> None:
        self._terminate_and(lambda user: user.on_end(self, now))

    def _terminate_and(self, inform: Callable[[ClientUser], None]) -> None:
        """Leave the tables before the TU hears of it, so that it finds them as they are."""
        user = self.user
        self._terminate()
        if user is not None:
            inform(user)

    def _stop_timers(self, now: float, what: object) -> None:
        if self._lifetime is not None:
            self._lifetime.cancel()
            self._lifetime = None
        if self._retransmission is not None:
            self._retransmission.cancel()
            self._retransmission = None

    def _back_off_a(self, now: float, what: object) -> None:
        self._interval *= 2
        self._retransmission = self._layer.timers.at(now + self._interval, self._timer_a)

    def _back_off_e(self, now: float, what: object) -> None:
        self._interval = min(self._interval * 2, self.timers.t2)
        self._retransmission = self._layer.timers.at(now + self._interval, self._timer_e)

    def _set_e_to_t2(self, now: float, what: object) -> None:
        if self._retransmission is not None:
            self._retransmission.cancel()
            self._interval = self.timers.t2
            self._retransmission = self._layer.timers.at(now + self._interval, self._timer_e)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _start_d(self, now: float, what: object) -> None:
        self._stop_waiting()
        wait = self.timers.timer_d if self.flow.transport is Transport.UDP else 0.0
        self._data = b""
        self.request = SPENT
        self._lifetime = self._layer.housekeeping.at(now + wait, self._timer_d)

    def _start_k(self, now: float, what: object) -> None:
        wait = self.timers.t4 if self.flow.transport is Transport.UDP else 0.0
        self._data = b""
        self.request = SPENT
        self._lifetime = self._layer.housekeeping.at(now + wait, self._timer_k)

    def _start_m(self, now: float, what: object) -> None:
        self._stop_waiting()
        self._data = b""
        self._lifetime = self._layer.housekeeping.at(now + self.timers.m, self._timer_m)

    def __repr__(self) -> str:
        return f"<client {self.key[1]} {self.key[0]} {self.state} to {self.flow.remote}>"


_ClientPerform: TypeAlias = Callable[[ClientTransaction, float, "Response | OSError | None"], None]
_ClientTable: TypeAlias = dict[tuple[State, Input], tuple[State, tuple[_ClientPerform, ...]]]
_WAITING = frozenset((State.CALLING, State.TRYING, State.PROCEEDING))


_CLIENT_ACTIONS: dict[Action, _ClientPerform] = {
    Action.RESEND: ClientTransaction._resend,
    Action.ACK: ClientTransaction._send_ack,
    Action.REPORT: ClientTransaction._report,
    Action.REPORT_TIMEOUT: ClientTransaction._report_timeout,
    Action.REPORT_TRANSPORT_ERROR: ClientTransaction._report_transport_error,
    Action.REPORT_END: ClientTransaction._report_end,
    Action.STOP_TIMERS: ClientTransaction._stop_timers,
    Action.BACK_OFF_A: ClientTransaction._back_off_a,
    Action.BACK_OFF_E: ClientTransaction._back_off_e,
    Action.SET_E_TO_T2: ClientTransaction._set_e_to_t2,
    Action.START_D: ClientTransaction._start_d,
    Action.START_K: ClientTransaction._start_k,
    Action.START_M: ClientTransaction._start_m,
}


def _compile_client(table: Transitions) -> _ClientTable:
    return {
        pair: (state, tuple([_CLIENT_ACTIONS[action] for action in actions]))
        for pair, (state, actions) in table.items()
    }


_CLIENT_INVITE = _compile_client(CLIENT_INVITE)
_CLIENT_NON_INVITE = _compile_client(CLIENT_NON_INVITE)
