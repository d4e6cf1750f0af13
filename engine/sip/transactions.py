"""Client and server transactions: the machines of `tables.py` with timers, matching and retransmission.

RFC 3261 §17, RFC 6026. What travels inside is no business of this module, except for the ACK of a non-2xx
response, which belongs to the INVITE client transaction (§17.1.1.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from engine.sip import build
from engine.sip.message import Request, Response
from engine.sip.tables import (
    CLIENT_INVITE,
    CLIENT_NON_INVITE,
    SERVER_INVITE,
    SERVER_NON_INVITE,
    Action,
    Input,
    State,
    Transitions,
)
from engine.sip.timers import Timer, TimerQueue
from engine.sip.types import Address, Flow, Timers, Transport

__all__ = ["ClientTransaction", "ClientUser", "ServerTransaction", "ServerUser", "TransactionLayer"]

ServerKey: TypeAlias = tuple[str, ...]


class ClientUser(Protocol):
    """The TU of a client transaction: exactly one final outcome is reported (several 2xx to an INVITE may
    be)."""

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None: ...
    def on_timeout(self, transaction: ClientTransaction, now: float) -> None: ...
    def on_transport_error(self, transaction: ClientTransaction, error: OSError, now: float) -> None: ...
    def on_end(self, transaction: ClientTransaction, now: float) -> None: ...


class ServerUser(Protocol):
    """The TU of a server transaction."""

    def on_ack(self, transaction: ServerTransaction, ack: Request, now: float) -> None: ...
    def on_ack_timeout(self, transaction: ServerTransaction, now: float) -> None: ...
    def on_cancel(self, transaction: ServerTransaction, now: float) -> None: ...


class ClientTransaction:
    """One request of ours until nothing more can come of it."""

    __slots__ = (
        "_data",
        "_interval",
        "_layer",
        "_lifetime",
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
        if self.state is State.CALLING or self.state is State.PROCEEDING:
            if self._lifetime is not None:
                self._lifetime.cancel()
            self._lifetime = self._layer.timers.at(deadline, self._give_up)

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
        if self.state is State.TERMINATED:
            self._terminate()

    def _terminate(self) -> None:
        self._stop_timers(0.0, None)
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

    def _start_d(self, now: float, what: object) -> None:
        wait = self.timers.timer_d if self.flow.transport is Transport.UDP else 0.0
        self._data = b""
        self._lifetime = self._layer.timers.at(now + wait, self._timer_d)

    def _start_k(self, now: float, what: object) -> None:
        wait = self.timers.t4 if self.flow.transport is Transport.UDP else 0.0
        self._data = b""
        self._lifetime = self._layer.timers.at(now + wait, self._timer_k)

    def _start_m(self, now: float, what: object) -> None:
        self._data = b""
        self._lifetime = self._layer.timers.at(now + self.timers.m, self._timer_m)

    def __repr__(self) -> str:
        return f"<client {self.key[1]} {self.key[0]} {self.state} to {self.flow.remote}>"


_ClientPerform: TypeAlias = Callable[[ClientTransaction, float, "Response | OSError | None"], None]
_ClientTable: TypeAlias = dict[tuple[State, Input], tuple[State, tuple[_ClientPerform, ...]]]
_WAITING = frozenset((State.CALLING, State.TRYING, State.PROCEEDING))


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
        self._lifetime = self._layer.timers.at(now + wait, self._timer_i)

    def _start_j(self, now: float, what: object) -> None:
        wait = self.timers.j if self.reply_flow.transport is Transport.UDP else 0.0
        self._lifetime = self._layer.timers.at(now + wait, self._timer_j)

    def _start_l(self, now: float, what: object) -> None:
        self._lifetime = self._layer.timers.at(now + self.timers.l, self._timer_l)

    def __repr__(self) -> str:
        request = self.request
        return f"<server {request.method} {request.branch} {self.state} from {self.reply_flow.remote}>"


_ServerPerform: TypeAlias = Callable[[ServerTransaction, float, "bytes | Request | None"], None]
_ServerTable: TypeAlias = dict[tuple[State, Input], tuple[State, tuple[_ServerPerform, ...]]]

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


def _compile_client(table: Transitions) -> _ClientTable:
    return {
        pair: (state, tuple([_CLIENT_ACTIONS[action] for action in actions]))
        for pair, (state, actions) in table.items()
    }


def _compile_server(table: Transitions) -> _ServerTable:
    return {
        pair: (state, tuple([_SERVER_ACTIONS[action] for action in actions]))
        for pair, (state, actions) in table.items()
    }


_CLIENT_INVITE = _compile_client(CLIENT_INVITE)
_CLIENT_NON_INVITE = _compile_client(CLIENT_NON_INVITE)
_SERVER_INVITE = _compile_server(SERVER_INVITE)
_SERVER_NON_INVITE = _compile_server(SERVER_NON_INVITE)


class TransactionLayer:
    """Every live transaction, found by what RFC 3261 §17.1.3 and §17.2.3 match on."""

    __slots__ = ("_by_remote", "_clients", "_merged", "_servers", "send", "timers")

    def __init__(self, timers: TimerQueue, send: Callable[[bytes, Flow], None]) -> None:
        self.timers = timers
        self.send = send
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._merged: dict[tuple[str, str, int, str], ServerTransaction] = {}
        self._by_remote: dict[tuple[Transport, Address], dict[ClientTransaction, None]] = {}

    def request(
        self,
        request: Request,
        data: bytes,
        flow: Flow,
        timers: Timers,
        user: ClientUser,
        now: float,
        branch: str,
    ) -> ClientTransaction:
        """Begin a client transaction: the request, whose branch is given to save parsing it, is sent at
        once."""
        transaction = ClientTransaction(self, request, data, flow, timers, user, branch)
        self._clients[transaction.key] = transaction
        place = (flow.transport, flow.remote)
        neighbours = self._by_remote.get(place)
        if neighbours is None:
            self._by_remote[place] = {transaction: None}
        else:
            neighbours[transaction] = None
        transaction.start(now)
        return transaction

    def find_client(self, response: Response) -> ClientTransaction | None:
        """The transaction of a response (§17.1.3)."""
        return self._clients.get((response.branch, response.cseq.method))

    def find_server(self, request: Request) -> ServerTransaction | None:
        """The transaction that a request repeats, or that an ACK belongs to (§17.2.3)."""
        return self._servers.get(server_key(request, request.method))

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE a CANCEL is about (§9.2). Only INVITE: nothing else is worth cancelling (RFC 4320)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def serve(self, request: Request, flow: Flow, reply_flow: Flow, timers: Timers) -> ServerTransaction:
        """Begin a server transaction."""
        key = server_key(request, request.method)
        transaction = ServerTransaction(self, key, request, flow, reply_flow, timers)
        self._servers[transaction.key] = transaction
        if not request.to_tag:
            transaction.merge_key = _merge_key(request)
            self._merged.setdefault(transaction.merge_key, transaction)
        return transaction

    def is_merged(self, request: Request) -> bool:
        """Whether the same request already came by another path (§8.2.2.2)."""
        return not request.to_tag and _merge_key(request) in self._merged

    def transport_failed(self, flow: Flow, error: OSError, now: float) -> None:
        """Tell every client transaction that sends to `flow.remote`; the cost is theirs alone."""
        for transaction in list(self._by_remote.get((flow.transport, flow.remote), ())):
            transaction.transport_failed(error, now)

    def forget_client(self, transaction: ClientTransaction) -> None:
        """For the transaction itself, at its end."""
        if self._clients.pop(transaction.key, None) is None:
            return
        place = (transaction.flow.transport, transaction.flow.remote)
        neighbours = self._by_remote[place]
        del neighbours[transaction]
        if not neighbours:
            del self._by_remote[place]

    def forget_server(self, transaction: ServerTransaction) -> None:
        """For the transaction itself, at its end."""
        self._servers.pop(transaction.key, None)
        key = transaction.merge_key
        if key is not None and self._merged.get(key) is transaction:
            del self._merged[key]

    def describe(self) -> list[str]:
        """One line per live transaction."""
        return [repr(t) for t in self._clients.values()] + [repr(t) for t in self._servers.values()]

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)


def server_key(request: Request, method: str) -> ServerKey:
    """What makes a server transaction the same (§17.2.3); an ACK belongs to its INVITE."""
    if method == "ACK":
        method = "INVITE"
    via = request.top_via
    if via.has_magic_cookie:
        return (request.branch, via.host, str(via.port), method)
    # RFC 2543: Request-URI, From tag, Call-ID, CSeq number and the top Via as written. The To tag tells an
    # ACK of our response from another's; as we answer each such request once, it need not be part of the key.
    top = (request.headers.get("via") or "").partition(",")[0]
    return (request.uri, request.call_id, request.from_tag, str(request.cseq.number), top, method)


def _merge_key(request: Request) -> tuple[str, str, int, str]:
    return (request.call_id, request.from_tag, request.cseq.number, request.method)
