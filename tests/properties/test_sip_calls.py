"""Two cores over a bad network, with users who do anything at any time.

Whatever is lost, delayed, doubled or overtaken for a while, and whatever the two owners do: both ends
agree in the end whether the call is up, each call is reported as over exactly once and nothing is reported
afterwards, and when all timers have run every table is empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.sip.events import (
    Answered,
    CallEvent,
    Confirmed,
    Ended,
    Failed,
    IncomingCall,
    OfferReceived,
    ReferReceived,
    SipEvent,
)
from engine.sip.session import Call
from engine.sip.types import InviteState, WrongState
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from tests.support.wire import ANSWER, OFFER, Party, Sent, Wire, sdp

BAD_UNTIL_S = 15.0
SETTLED_AT_S = 250.0

CALLER_ACTIONS = ("hang_up", "offer", "update", "info", "refer", "options")
CALLEE_ACTIONS = ("ring", "ring_reliably", "answer", "reject", *CALLER_ACTIONS)
Step = tuple[float, bool, str]

steps = st.lists(
    st.tuples(
        st.floats(0.0, 12.0, allow_nan=False),
        st.booleans(),
        st.sampled_from(CALLEE_ACTIONS),
    ),
    max_size=12,
)
networks = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "loss": st.sampled_from([0.0, 0.1, 0.3, 0.6]),
        "doubled": st.sampled_from([0.0, 0.2]),
        "jitter_s": st.sampled_from([0.0, 0.02, 0.8]),
    }
)
habits = st.fixed_dictionaries(
    {
        "is_delayed_offer": st.booleans(),
        "wants_reliable": st.booleans(),
        "answers_offers_after_s": st.sampled_from([0.0, 0.0, 1.5, None]),
        "answer_at_s": st.sampled_from([None, 0.0, 0.5, 3.0]),
        "session_expires_s": st.sampled_from([None, 90]),
    }
)


def bad_network(wire: Wire, network: dict[str, Any]) -> Callable[[Sent], list[float]]:
    dice = random.Random(network["seed"])

    def fate(sent: Sent) -> list[float]:
        if wire.now >= BAD_UNTIL_S:
            return [0.001]
        copies = 2 if dice.random() < network["doubled"] else 1
        return [
            0.001 + dice.random() * network["jitter_s"]
            for _ in range(copies)
            if dice.random() >= network["loss"]
        ]

    return fate


class Owner:
    """Does what it is told if that makes sense, and answers offers by its habit."""

    def __init__(self, wire: Wire, party: Party, habit: dict[str, Any]) -> None:
        self.wire = wire
        self.party = party
        self.habit = habit
        self.calls: list[Call] = []
        self.over: dict[int, int] = {}
        self.agenda: list[tuple[float, Callable[[], None]]] = []
        party.on_event = self.on_event

    def on_event(self, event: SipEvent) -> None:
        assert not isinstance(event, CallEvent) or not self.over.get(id(event.call)), f"{event} after the end"
        match event:
            case IncomingCall(call=call):
                self.calls.append(call)
                at = self.habit["answer_at_s"]
                if at is not None:
                    self.later(at, lambda: self.do("answer", call))
            case OfferReceived(call=session):
                after = self.habit["answers_offers_after_s"]
                self.later(after or 0.0, lambda: self.reply(session, is_refusal=after is None))
            case ReferReceived(refer=refer):
                refer.accept(self.wire.now)
                self.later(1.0, lambda: refer.progress(self.wire.now, 200))
            case Failed(call=ended) | Ended(call=ended):
                self.over[id(ended)] = self.over.get(id(ended), 0) + 1

    def later(self, after_s: float, action: Callable[[], None]) -> None:
        self.agenda.append((self.wire.now + after_s, action))

    def reply(self, session: Call, *, is_refusal: bool) -> None:
        if not session.has_pending_offer:
            return  # Withdrawn, or the call is over.
        if is_refusal:
            session.reject_offer(self.wire.now)
        else:
            session.answer_offer(sdp("reply"), self.wire.now)

    def do(self, action: str, call: Call) -> None:
        now = self.wire.now
        waiting = call.state is InviteState.PROCEEDING and isinstance(call, IncomingInvite)
        try:
            match action:
                case "hang_up":
                    call.hang_up(now)
                case "offer" if call.can_offer:
                    call.offer(sdp("new"), now)
                case "update":
                    call.update(sdp("updated"), now)
                case "info":
                    call.send_info(sdp("digits"), now)
                case "options":
                    call.send_options(now)
                case "refer":
                    call.refer("<sip:carol@example.com>", now)
                case "ring" | "ring_reliably" if waiting and isinstance(call, IncomingInvite):
                    body = ANSWER if now * 1000 % 2 < 1 else None
                    call.ring(now, 183 if body else 180, body, reliable=action == "ring_reliably")
                case "answer" if waiting and isinstance(call, IncomingInvite):
                    call.answer(ANSWER, now)
                case "reject" if waiting and isinstance(call, IncomingInvite):
                    call.reject(now, 486)
        except WrongState:
            # The state is not one in which an owner may ask for this: nothing must have changed.
            pass


def play(steps: list[Step], network: dict[str, Any], habit: dict[str, Any]) -> tuple[Wire, Owner, Owner]:
    wire = Wire(seed=network["seed"])
    expires = habit["session_expires_s"]
    alice = Owner(wire, wire.add("192.0.2.1", session_expires_s=expires), habit)
    bob = Owner(wire, wire.add("192.0.2.2"), habit)
    wire.fate = bad_network(wire, network)
    call = alice.party.invite(
        "sip:bob@192.0.2.2",
        body=None if habit["is_delayed_offer"] else OFFER,
        require_100rel=habit["wants_reliable"],
    )
    alice.calls.append(call)
    plan = sorted(steps)
    while True:
        pending = [at for at, _, _ in plan[:1]] + [at for owner in (alice, bob) for at, _ in owner.agenda]
        if not pending:
            break
        wire.run(until=max(min(pending), wire.now))
        for owner in (alice, bob):
            due = [item for item in owner.agenda if item[0] <= wire.now]
            owner.agenda = [item for item in owner.agenda if item[0] > wire.now]
            for _, action in due:
                action()
        while plan and plan[0][0] <= wire.now:
            _, is_alice, what = plan.pop(0)
            owner = alice if is_alice else bob
            for each in owner.calls:
                owner.do(what, each)
        wire.pump()
        if wire.now > 100.0:
            break
    return wire, alice, bob


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, networks, habits)
def test_both_ends_agree_and_nothing_is_left(
    steps: list[Step], network: dict[str, Any], habit: dict[str, Any]
) -> None:
    wire, alice, bob = play(steps, network, habit)
    wire.run(until=SETTLED_AT_S)
    for owner in (alice, bob):
        owner.agenda.clear()
    (call,) = alice.calls
    assert isinstance(call, OutgoingInvite)
    up_at_alice = call.state is InviteState.ESTABLISHED and not call.is_over
    up_at_bob = [c for c in bob.calls if c.state is InviteState.ESTABLISHED and not c.is_over]
    assert up_at_alice == (len(up_at_bob) == 1), wire.parties["192.0.2.2"].happened
    # Nor does one side wait, ring or cancel for ever while the other has forgotten the call.
    assert call.is_over != any(not c.is_over for c in bob.calls), (call, bob.calls)
    if up_at_alice:
        assert alice.party.of(Answered)
        assert bob.party.of(Confirmed)
    for owner in (alice, bob):
        for each in owner.calls:
            each.hang_up(wire.now)
    wire.run()
    for owner in (alice, bob):
        assert all(owner.over.get(id(each)) == 1 for each in owner.calls), owner.party.happened
    wire.assert_silent()
