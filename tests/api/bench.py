"""CPU time of one API request in the serving process, and how long clients wait at 150 creations a second.

    python -m tests.api.bench [--seconds 20]

The client is another process with keep-alive connections; behind the API are doubles, so that what is
measured is HTTP alone: uvicorn's protocol, the gate, Litestar, the body, the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from contextlib import AsyncExitStack

from engine.api import serve_http
from engine.application.orders import CallOrder
from engine.collector import tune_gc
from engine.dial.dial import Dial, Observer
from engine.dial.manager import DialManager
from engine.dial.request import DialRequest, Target
from engine.logs import configure_logging
from tests.api.calls import FakeCalls
from tests.api.serving import ALICE, KEY, services
from tests.bench.figures import calibration_us
from tests.support.legs import FakeLegs

_REQUESTS = 4000
_CALL = {
    "from": "+441234567890",
    "to": {"type": "phone", "number": "+491712345678", "trunk": "CarrierA"},
    "call_hook": "https://app.example.com/call",
    "call_status_hook": "https://app.example.com/status",
}
_DIAL = {"targets": ["sip:bob@192.0.2.7"], "caller_id": "+441234567890"}


class _Engine:
    def __init__(self, dials: DialManager) -> None:
        self.dials = dials

    def start_dial(self, request: DialRequest, *, observer: Observer | None = None) -> Dial:
        return self.dials.start(request, observer=observer)

    def capabilities_for(self, codecs: tuple[str, ...]) -> object:
        return None


def _request(method: str, path: str, body: object = None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nAccept: */*\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    data = json.dumps(body).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def _one_by_one(port: int, request: bytes) -> float:
    """Microseconds of CPU per request of this process."""
    code = (
        "import socket\n"
        f"s = socket.create_connection(('127.0.0.1', {port}))\n"
        f"for _ in range({_REQUESTS}):\n"
        f"    s.sendall({request!r})\n"
        "    data = b''\n"
        "    while b'\\r\\n\\r\\n' not in data or len(data) - data.index(b'\\r\\n\\r\\n') - 4 < int(\n"
        "        data.lower().partition(b'content-length: ')[2].partition(b'\\r\\n')[0] or 0):\n"
        "        data += s.recv(65536)\n"
        "    assert data[9:10] == b'2', data[:200]\n"
    )
    before = time.process_time()
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await client.wait() == 0
    return (time.process_time() - before) / _REQUESTS * 1e6


async def _at_rate(port: int, request: bytes, rate: int, seconds: int) -> dict[str, float]:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.bench", "--client", str(port), "--seconds", str(seconds)),
        *("--rate", str(rate), "--request", request.decode("latin-1")),
        stdout=asyncio.subprocess.PIPE,
    )
    before = time.process_time()
    said, _ = await client.communicate()
    used = time.process_time() - before
    figures: dict[str, float] = json.loads(said)
    return figures | {"cpu_us": used / figures["requests"] * 1e6}


async def _client(port: int, rate: int, seconds: int, request: bytes) -> None:
    """Open loop: requests leave on time; how long one took counts from when it was due."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    took: list[float] = []
    failures = 0

    async def one(due: float) -> None:
        nonlocal failures
        pair = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        pair[1].write(request)
        head = await pair[0].readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await pair[0].readexactly(length)
        took.append(time.monotonic() - due)
        failures += not head.startswith(b"HTTP/1.1 201 ")
        idle.append(pair)

    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(rate * seconds):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(one(due))
    for _, writer in idle:
        writer.close()
    cuts = statistics.quantiles(took, n=100)
    print(
        json.dumps(
            {
                "requests": len(took),
                "failures": failures,
                "p50_ms": cuts[49] * 1e3,
                "p99_ms": cuts[98] * 1e3,
                "max_ms": max(took) * 1e3,
            }
        )
    )


async def _measure(seconds: int) -> None:
    configure_logging(level="error", is_final=True)
    tune_gc()  # as `serve` does
    calls = FakeCalls()
    async with AsyncExitStack() as exits:
        dials = await exits.enter_async_context(DialManager(legs=FakeLegs(), max_dials=10**6))
        server = await exits.enter_async_context(serve_http(_Engine(dials), services(calls=calls)))
        print(f"calibration loop {calibration_us():.3f} us")
        path = f"/v1/Accounts/{ALICE.sid}/Calls"
        order = CallOrder(account=ALICE, from_="+15550100", target=Target.sip("sip:bob@192.0.2.7"))
        sid = (await calls.create(order)).sid
        for what, request in (
            ("GET /healthz", _request("GET", "/healthz")),
            ("GET /v1/dials (none)", _request("GET", "/v1/dials")),
            ("GET Calls/{sid}", _request("GET", f"{path}/{sid}")),
            ("POST Calls", _request("POST", path, _CALL)),
            ("PUT Calls/{sid}", _request("PUT", f"{path}/{sid}", {"mute_status": "mute"})),
            ("POST /v1/dials, dial included", _request("POST", "/v1/dials", _DIAL)),
        ):
            rounds = [await _one_by_one(server.port, request) for _ in range(3)]
            print(f"{what:<34} {statistics.median(rounds):>7.0f} us of CPU")
        figures = await _at_rate(server.port, _request("POST", path, _CALL), 150, seconds)
        waits = (
            f"p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, max {figures['max_ms']:.1f} ms"
        )
        used = f"{figures['cpu_us']:.0f} us of CPU, {figures['failures']:.0f} failures"
        print(f"POST Calls at 150/s for {seconds} s: {waits}, {used}")
        for dial in dials:
            dial.hang_up()


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--client", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=150, help=argparse.SUPPRESS)
    parser.add_argument("--request", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        asyncio.run(
            _client(arguments.client, arguments.rate, arguments.seconds, arguments.request.encode("latin-1"))
        )
    else:
        asyncio.run(_measure(arguments.seconds))


if __name__ == "__main__":
    main()
