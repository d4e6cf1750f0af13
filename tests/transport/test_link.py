from __future__ import annotations

from engine.sip.types import Address, Flow, Transport
from engine.transport.link import Counters, describe_flow


def test_a_flow_is_described_with_brackets_around_ipv6() -> None:
    v4 = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.9", 5070))
    v6 = Flow(Transport.TCP, Address("2001:db8::1", 5060), Address("2001:db8::9", 40000))
    assert describe_flow(v4) == "UDP 192.0.2.1:5060 - 192.0.2.9:5070"
    assert describe_flow(v6) == "TCP [2001:db8::1]:5060 - [2001:db8::9]:40000"


def test_counters_begin_at_zero_and_have_names() -> None:
    counters = Counters()
    counters.messages_in += 2
    assert counters.as_dict() == dict.fromkeys(Counters.__slots__, 0) | {"messages_in": 2}
