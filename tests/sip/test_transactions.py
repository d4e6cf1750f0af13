"""Transactions by themselves: what `test_uac.py` and `test_uas.py` do not show through a whole call."""

from __future__ import annotations

import pytest

from engine.sip import build
from engine.sip.message import Request, Response
from engine.sip.tables import State
from engine.sip.timers import TimerQueue
from engine.sip.transactions import ClientTransaction, TransactionLayer
from engine.sip.types import Address, Flow, Timers, Transport

LOCAL, REMOTE = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)


class Recorder:
    """A TU that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.told.append(str(response.status))

    def on_timeout(self, transaction: ClientTransaction, now: float) -> None:
        self.told.append(f"timeout at {now}")

    def on_transport_error(self, transaction: ClientTransaction, error: OSError, now: float) -> None:
        self.told.append(str(error))

    def on_end(self, transaction: ClientTransaction, now: float) -> None:
        self.told.append(f"end at {now}")


class Bench:
    def __init__(
        self, method: str, transport: Transport = Transport.UDP, timers: Timers | None = None
    ) -> None:
        self.queue = TimerQueue()
        self.sent: list[tuple[float, bytes]] = []
        self.now = 0.0
        self.layer = TransactionLayer(
            self.queue, self.queue, lambda data, flow: self.sent.append((self.now, data))
        )
        self.user = Recorder()
        self.flow = Flow(transport, LOCAL, REMOTE)
        self.request = make_request(method, transport)
        self.transaction = self.layer.request(
            self.request,
            self.request.to_bytes(),
            self.flow,
            timers or Timers(),
            self.user,
            0.0,
            self.request.branch,
        )

    def answer(self, status: int, tag: str = "t") -> None:
        response = build.response(self.request, status, to_tag=tag)
        found = self.layer.find_client(response)
        if found is not None:
            found.receive(response, self.now)

    def run(self, until: float = 1e9) -> None:
        while (at := self.queue.next_deadline()) is not None and at <= until:
            self.now = at
            self.queue.run(at)
        self.now = until

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


def make_request(method: str, transport: Transport = Transport.UDP) -> Request:
    return build.request(
        method,
        "sip:bob@192.0.2.2",
        [
            ("Via", f"SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bKx"),
            ("From", "<sip:alice@example.com>;tag=a"),
            ("To", "<sip:bob@example.com>"),
            ("Call-ID", "c"),
            ("CSeq", f"1 {method}"),
        ],
    )


def test_a_non_invite_is_repeated_at_t1_doubling_up_to_t2_until_timer_f() -> None:
    bench = Bench("OPTIONS")
    bench.run()
    assert bench.times == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.user.told == ["timeout at 32.0"]
    assert len(bench.layer) == 0


def test_after_a_provisional_a_non_invite_is_repeated_every_t2_and_timer_f_goes_on() -> None:
    bench = Bench("OPTIONS")
    bench.run(until=0.6)
    bench.answer(100)
    bench.run()
    assert bench.times == [0.0, 0.5, 4.6, 8.6, 12.6, 16.6, 20.6, 24.6, 28.6]
    assert bench.user.told == ["100", "timeout at 32.0"]


def test_timer_k_absorbs_copies_of_the_final_response() -> None:
    bench = Bench("OPTIONS")
    bench.answer(200)
    bench.answer(200)
    bench.run(until=4.9)
    assert bench.transaction.state is State.COMPLETED
    bench.run()
    assert bench.user.told == ["200"]
    assert len(bench.layer) == 0


def test_over_tcp_nothing_is_repeated_and_nothing_lingers() -> None:
    bench = Bench("OPTIONS", Transport.TCP)
    bench.answer(200)
    bench.run(until=0.0)
    assert len(bench.layer) == 0
    assert bench.times == [0.0]
    bench = Bench("INVITE", Transport.TCP)
    bench.answer(486)
    bench.run(until=0.0)
    assert len(bench.layer) == 0


def test_an_invite_stops_repeating_at_the_first_provisional_and_then_waits_for_ever() -> None:
    bench = Bench("INVITE")
    bench.run(until=0.6)
    bench.answer(100)
    bench.run()
    assert bench.times == [0.0, 0.5]
    assert bench.user.told == ["100"]
    assert bench.transaction.state is State.PROCEEDING


def test_timer_d_keeps_answering_copies_of_a_refusal_for_32_seconds() -> None:
    bench = Bench("INVITE")
    bench.answer(486)
    bench.run(until=31.9)
    bench.answer(486)
    assert len(bench.sent) == 3
    bench.run(until=32.1)
    bench.answer(486)
    assert len(bench.sent) == 3
    assert bench.user.told == ["486"]


def test_timer_m_ends_the_accepted_state() -> None:
    bench = Bench("INVITE")
    bench.answer(200, "one")
    bench.answer(200, "two")
    bench.run()
    assert bench.user.told == ["200", "200", "end at 32.0"]
    assert len(bench.layer) == 0


@pytest.mark.parametrize(("method", "told"), [("INVITE", ["refused"]), ("OPTIONS", ["refused"])])
def test_a_transport_error_is_reported_once_and_ends_it(method: str, told: list[str]) -> None:
    bench = Bench(method)
    bench.layer.transport_failed(bench.flow, ConnectionRefusedError("refused"), 0.0)
    bench.layer.transport_failed(bench.flow, ConnectionRefusedError("refused"), 0.0)
    assert bench.user.told == told
    assert len(bench.layer) == 0


def test_a_transport_error_does_not_disturb_an_invite_that_is_ringing() -> None:
    bench = Bench("INVITE")
    bench.answer(180)
    bench.layer.transport_failed(bench.flow, ConnectionRefusedError("refused"), 0.0)
    assert bench.user.told == ["180"]


def test_an_error_for_another_remote_concerns_nobody_here() -> None:
    bench = Bench("OPTIONS")
    other = Flow(Transport.UDP, LOCAL, Address("192.0.2.3", 5060))
    bench.layer.transport_failed(other, ConnectionRefusedError("refused"), 0.0)
    assert bench.user.told == []


def test_a_response_of_another_method_or_branch_finds_nothing() -> None:
    bench = Bench("INVITE")
    cancel = build.cancel(bench.request)
    assert bench.layer.find_client(build.response(cancel, 200)) is None


def test_timers_are_what_the_configuration_says() -> None:
    bench = Bench("INVITE", timers=Timers(t1=0.1))
    bench.run()
    assert bench.user.told == ["timeout at 6.4"]
    bench = Bench("OPTIONS", timers=Timers(timer_f=2.0, t2=1.0))
    bench.run()
    assert bench.times == [0.0, 0.5, 1.5]
    assert bench.user.told == ["timeout at 2.0"]


def test_a_live_transaction_describes_itself() -> None:
    bench = Bench("INVITE")
    (line,) = bench.layer.describe()
    assert "INVITE" in line
    assert "Calling" in line


def test_a_provisional_does_not_make_an_abandoned_invite_wait_for_ever() -> None:
    bench = Bench("INVITE")
    bench.transaction.give_up_at(10.0)
    bench.answer(100)
    bench.run()
    assert bench.user.told == ["100", "timeout at 10.0"]
    assert len(bench.layer) == 0


def test_giving_up_is_forgotten_once_there_is_a_final_response() -> None:
    bench = Bench("INVITE")
    bench.transaction.give_up_at(10.0)
    bench.answer(200)
    bench.run()
    assert bench.user.told == ["200", "end at 32.0"]
