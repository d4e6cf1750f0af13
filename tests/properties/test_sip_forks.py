"""One INVITE, a proxy that forks it, branches that answer in any order, an owner who may hang up at any time.

At most one answer is ever reported; every 2xx is acknowledged as often as it comes; every dialog that is not
the reported one gets exactly one BYE; whatever happens, one `Failed` or `Ended`, and nothing stays behind.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sip.events import Answered, Ended, Failed
from engine.sip.message import Request
from engine.sip.types import InviteState
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, Wire

TAGS = ("one", "two", "three")
said = st.tuples(st.sampled_from([100, 180, 183, 200, 200, 486, 603]), st.sampled_from(TAGS))
actions = st.one_of(said, st.just("hang_up"), st.sampled_from([0.3, 5.0, 33.0]))


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=14))
def test_every_answer_is_the_one_or_is_acknowledged_and_ended(
    script: list[tuple[int, str] | str | float],
) -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    call = alice.invite("sip:bob@192.0.2.9")
    far = Scripted(wire, alice)
    invite = far.last("INVITE")
    seen: set[str] = set()
    answers: Counter[str] = Counter()
    has_final = False
    for action in script:
        if isinstance(action, float):
            wire.run(until=wire.now + action)
        elif isinstance(action, str):
            call.hang_up(wire.now)
            wire.pump()
        else:
            status, tag = action
            if status >= 300 and has_final:
                continue  # A proxy forwards no refusal after a 2xx, and only one at all (§16.7).
            has_final = has_final or status >= 300
            live = any(line.startswith("<client INVITE") for line in alice.stack.describe().splitlines())
            if status == 200 and live and not refused(wire):
                answers[tag] += 1
            far.reply(status, invite, tag=tag if status > 100 else "", body=ANSWER if status == 200 else None)
            has_final = has_final or status >= 200
        finish(far, seen)
    acks = Counter(ack.to_tag for ack in far.received("ACK"))
    byes = Counter(bye.to_tag for bye in distinct(far.received("BYE")))
    answered = [event.to_tag for event in alice.of(Answered)]
    assert len(answered) <= 1
    for tag, count in answers.items():
        assert acks[tag] == count
        expected = 0 if tag in answered and call.state is InviteState.ESTABLISHED else 1
        assert byes[tag] == expected, (tag, answered, byes)
    call.hang_up(wire.now)
    for _ in range(40):
        wire.run(until=wire.now + 2.0)
        finish(far, seen)
    wire.run()
    assert len(alice.of(Failed)) + len(alice.of(Ended)) == 1
    wire.assert_silent()


def refused(wire: Wire) -> bool:
    """A final refusal was acknowledged in the transaction: a 2xx after it cannot come through."""
    return any(sent.title == "ACK" and sent.message.branch == wire.log[0].message.branch for sent in wire.log)


def distinct(requests: list[Request]) -> list[Request]:
    """Without retransmissions."""
    return list({request.branch: request for request in requests}.values())


def finish(far: Scripted, seen: set[str]) -> None:
    """Answer what has to be answered: each BYE and CANCEL once."""
    for method in ("BYE", "CANCEL"):
        for request in far.received(method):
            if method + request.branch not in seen:
                seen.add(method + request.branch)
                far.reply(200, request)
