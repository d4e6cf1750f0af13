"""CPU of the SIP core alone: `python -m tests.bench.bench_core`. Prints, asserts nothing about time.

One UAC call is INVITE, 100, 180, 200, ACK, BYE, 200: built, parsed, run through transactions, dialog and
usage, with the timers of the 32 s before it still in the tables, as under load. The calibration loop says
what this machine is.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
from collections.abc import Callable
from time import process_time

from engine.sip.events import Answered, Failed, IncomingCall
from engine.sip.message import Request, parse_message
from engine.sip.stack import SipStack
from engine.sip.types import Address, Body, Flow, InviteParams, Listener, StackConfig, Transport

HERE = Address("192.0.2.1", 5060)
THERE = Address("192.0.2.2", 5060)
FLOW = Flow(Transport.UDP, HERE, THERE)
SDP = Body(
    "application/sdp",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
)
RATE = 800
"""Calls per second of virtual time, so that timers expire as they would under that load."""


def calibrate() -> float:
    """Microseconds for a fixed piece of Python: divide by it to compare machines."""
    begun = process_time()
    for _ in range(200):
        sum([i * i for i in range(1000)])
    return (process_time() - begun) / 200 * 1e6


def new_stack() -> SipStack:
    listener = Listener(Transport.UDP, HERE, HERE)
    return SipStack(StackConfig(listeners=(listener,)), os.urandom)


def response(invite: Request, line: str, to_tag: str, body: bytes = b"") -> bytes:
    """What a far side would send, made without our own builders."""
    get = invite.headers.get
    tag = f";tag={to_tag}" if to_tag else ""
    extra = "Contact: <sip:bob@192.0.2.2:5060>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n" if tag else ""
    if body:
        extra += "Content-Type: application/sdp\r\n"
    head = (
        f"SIP/2.0 {line}\r\nVia: {get('via')}\r\nFrom: {get('from')}\r\nTo: {get('to')}{tag}\r\n"
        f"Call-ID: {get('call-id')}\r\nCSeq: {get('cseq')}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def uac_calls(count: int) -> float:
    """CPU seconds inside the core for `count` whole UAC calls."""
    stack = new_stack()
    params = InviteParams(target="sip:bob@192.0.2.2", from_="<sip:alice@example.com>", body=SDP)
    inside = 0.0
    for serial in range(count):
        now = serial / RATE
        begun = process_time()
        stack.handle_timeout(now)
        call = stack.invite(params, now)
        (sent,) = list(stack.transmits())
        inside += process_time() - begun
        invite = parse_message(sent.data)
        assert isinstance(invite, Request)
        replies = [
            response(invite, "100 Trying", ""),
            response(invite, "180 Ringing", "b"),
            response(invite, "200 OK", "b", SDP.data),
        ]
        begun = process_time()
        for reply in replies:
            stack.receive(reply, FLOW, now)
            list(stack.transmits())
            events = list(stack.events())
            stack.timeout()
        inside += process_time() - begun
        assert isinstance(events[-1], Answered)
        begun = process_time()
        call.hang_up(now)
        (bye,) = list(stack.transmits())
        inside += process_time() - begun
        request = parse_message(bye.data)
        assert isinstance(request, Request)
        done = response(request, "200 OK", "")
        begun = process_time()
        stack.receive(done, FLOW, now)
        list(stack.events())
        stack.timeout()
        inside += process_time() - begun
    return inside


def uas_calls(count: int) -> float:
    """CPU seconds inside the core for `count` whole UAS calls: INVITE 100 180 200 ACK BYE 200."""
    stack = new_stack()
    inside = 0.0
    for serial in range(count):
        now = serial / RATE
        common = f"From: <sip:bob@example.com>;tag=f{serial}\r\nCall-ID: c{serial}\r\nMax-Forwards: 70\r\n"
        via = f"Via: SIP/2.0/UDP 192.0.2.2:5060;rport;branch=z9hG4bK{serial}"
        invite = (
            f"INVITE sip:alice@192.0.2.1 SIP/2.0\r\n{via}i\r\n{common}To: <sip:alice@example.com>\r\n"
            "CSeq: 1 INVITE\r\nContact: <sip:bob@192.0.2.2:5060>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(SDP.data)}\r\n\r\n"
        ).encode() + SDP.data
        begun = process_time()
        stack.handle_timeout(now)
        stack.receive(invite, FLOW, now)
        (incoming,) = list(stack.events())
        assert isinstance(incoming, IncomingCall)
        incoming.call.ring(now)
        incoming.call.answer(SDP, now)
        *_, answer = list(stack.transmits())
        inside += process_time() - begun
        to = parse_message(answer.data).headers.get("to")
        rest = [
            f"{method} sip:192.0.2.1:5060 SIP/2.0\r\n{via}{method}\r\n{common}To: {to}\r\n"
            f"CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
            for method, cseq in (("ACK", 1), ("BYE", 2))
        ]
        begun = process_time()
        for text in rest:
            stack.receive(text.encode(), FLOW, now)
            list(stack.transmits())
            list(stack.events())
            stack.timeout()
        inside += process_time() - begun
    return inside


def cancelled_calls(count: int, waiting: int = 0) -> float:
    """CPU seconds inside the core for `count` losers of a simring: INVITE 100 180 CANCEL 200 487 ACK.

    `waiting`: so many other calls ring all the time.
    """
    stack = new_stack()
    params = InviteParams(target="sip:bob@192.0.2.2", from_="<sip:alice@example.com>", body=SDP)
    for _ in range(waiting):
        stack.invite(params, 0.0)
        (sent,) = list(stack.transmits())
        invite = parse_message(sent.data)
        assert isinstance(invite, Request)
        stack.receive(response(invite, "180 Ringing", "w"), FLOW, 0.0)
        list(stack.events())
    inside = 0.0
    for serial in range(count):
        now = serial / RATE
        begun = process_time()
        stack.handle_timeout(now)
        call = stack.invite(params, now)
        (sent,) = list(stack.transmits())
        inside += process_time() - begun
        invite = parse_message(sent.data)
        assert isinstance(invite, Request)
        ringing = [response(invite, "100 Trying", ""), response(invite, "180 Ringing", "b")]
        begun = process_time()
        for reply in ringing:
            stack.receive(reply, FLOW, now)
            list(stack.events())
            stack.timeout()
        call.hang_up(now, 'SIP;cause=200;text="Call completed elsewhere"')
        (sent,) = list(stack.transmits())
        inside += process_time() - begun
        cancel = parse_message(sent.data)
        assert isinstance(cancel, Request)
        ending = [response(cancel, "200 OK", ""), response(invite, "487 Request Terminated", "b")]
        begun = process_time()
        for reply in ending:
            stack.receive(reply, FLOW, now)
            list(stack.transmits())
            events = list(stack.events())
            stack.timeout()
        inside += process_time() - begun
        assert isinstance(events[-1], Failed)
    return inside


def report(name: str, run: Callable[[int], float], count: int, calibration: float) -> None:
    best = min(run(count) for _ in range(3)) / count * 1e6
    print(f"{name:<52} {best:8.1f} µs   {best / calibration:6.2f} × calibration")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    calibration = calibrate()
    print(f"{'calibration loop':<52} {calibration:8.1f} µs")
    report("UAC call: INVITE 100 180 200 ACK BYE 200", uac_calls, count, calibration)
    report("UAS call: INVITE 100 180 200 ACK BYE 200", uas_calls, count, calibration)
    report("simring loser: INVITE 100 180 CANCEL 200 487 ACK", cancelled_calls, count, calibration)
    for waiting in (10, 2000):
        name = f"the same while {waiting} other calls ring"
        report(name, lambda n, waiting=waiting: cancelled_calls(n, waiting), count, calibration)  # type: ignore[misc]
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(uac_calls, count)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
