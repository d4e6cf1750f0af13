"""CPU time of the message layer: `python -m tests.bench.bench_message`. Prints, asserts nothing.

The calibration loop of the same run tells how fast the machine is at the moment: compare ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.sip import build
from engine.sip.framing import StreamFramer
from engine.sip.message import Request, parse_message

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
)
FIELDS = [
    ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport"),
    ("Max-Forwards", "70"),
    ("From", '"Alice" <sip:alice@example.com>;tag=1928301774'),
    ("To", "<sip:bob@example.com>"),
    ("Call-ID", "a84b4c76e66710@192.0.2.1"),
    ("CSeq", "314159 INVITE"),
    ("Contact", "<sip:alice@192.0.2.1:5060>"),
    ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY"),
    ("Supported", "100rel, timer, replaces"),
    ("User-Agent", "bench"),
]
INVITE = build.request("INVITE", "sip:bob@192.0.2.4:5060", FIELDS, SDP, "application/sdp").to_bytes()


def cpu_us(action: Callable[[], object], repeat: int = 5000, rounds: int = 5) -> float:
    """Microseconds of CPU per call, the best of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            action()
        best = min(best, (time.process_time() - start) / repeat * 1e6)
    return best


def main() -> None:
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    ringing = build.response(request, 180, to_tag="b1")
    ringing_bytes = ringing.to_bytes()
    framer = StreamFramer()

    def with_dialog_values() -> None:
        message = parse_message(INVITE)
        _ = message.from_, message.to, message.contacts, message.record_routes, message.sdp

    rows: list[tuple[str, Callable[[], object]]] = [
        ("calibration: sum(range(1000))", lambda: sum(range(1000))),
        ("parse an INVITE with its routing keys", lambda: parse_message(INVITE)),
        ("the same and From, To, Contact, Record-Route, SDP", with_dialog_values),
        ("parse a 180 with its routing keys", lambda: parse_message(ringing_bytes)),
        ("180 from the INVITE, as bytes", lambda: build.response(request, 180, to_tag="b1").to_bytes()),
        ("new INVITE, as bytes", lambda: build.request("INVITE", request.uri, FIELDS, SDP, "a/b").to_bytes()),
        ("ACK of a failure, as bytes", lambda: build.ack(request, ringing).to_bytes()),
        ("CANCEL, as bytes", lambda: build.cancel(request).to_bytes()),
        ("cut one INVITE out of a stream", lambda: list(framer.feed(INVITE))),
    ]
    for name, action in rows:
        print(f"{name:<52}{cpu_us(action):8.2f} µs")


if __name__ == "__main__":
    main()
