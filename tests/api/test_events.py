"""`GET /v1/dials/{id}/events`: what happens, in order, to whoever listens, as long as they listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
from litestar.types import Message, Receive, Scope
from msgspec import Struct

from amd import (
    Beep,
    Decision,
    GreetingEnded,
    Tone,
    Verdict,
)
from amd.events import BeepShape, Evidence, Rule, ToneName
from engine.api.dials.book import DialBook
from engine.api.dials.stream import EventStream
from engine.api.services import ApiLimits
from engine.api.visitors import Visitors
from engine.dial.events import DetectorFired, DtmfReceived
from engine.dial.request import DialRequest, Target
from tests.api.phones import phones
from tests.api.serving import ALICE, KEY, Api, api, services, until, waiting_for
from tests.support.running_engine import running


class Heard(Struct, frozen=True):
    """One event."""

    number: int
    name: str
    data: dict[str, Any]


class Listener:
    """An open stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.pings = 0

    async def next(self) -> Heard | None:
        """None: the stream has ended."""
        fields: dict[str, str] = {}
        while True:
            line = (await self.response.content.readline()).decode()
            if not line:
                return None
            text = line.rstrip("\n")
            if text.startswith(":"):
                self.pings += 1
            elif text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif fields:
                return Heard(int(fields["id"]), fields["event"], json.loads(fields["data"]))

    async def rest(self) -> list[Heard]:
        """All until the end."""
        heard = []
        while (event := await self.next()) is not None:
            heard.append(event)
        return heard


@asynccontextmanager
async def listening(http: Api, where: str, last: int | None = None) -> AsyncIterator[Listener]:
    headers = {"Authorization": f"Bearer {KEY}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    async with (
        asyncio.timeout(20),
        http.session.get(f"{http.server.url}{where}/events", headers=headers) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Listener(response)


async def test_every_status_of_every_leg_is_told_and_the_result_comes_last() -> None:
    async with phones() as far, api() as http:
        body = {"targets": [far.uri("alice"), far.uri("busy"), far.uri("answers")], "time_limit_s": 0.3}
        where = (await http("POST", "/v1/dials", body)).headers["location"]
        async with listening(http, where) as listener:
            heard = await listener.rest()
        assert [each.number for each in heard] == list(range(1, len(heard) + 1))
        by_leg: dict[str, list[str]] = {}
        for each in heard:
            if each.name == "status":
                by_leg.setdefault(each.data["to"], []).append(each.data["call_status"])
        assert by_leg[far.uri("busy")] == ["trying", "busy"]
        assert by_leg[far.uri("answers")][0] == "trying"
        assert by_leg[far.uri("answers")][-2:] == ["in-progress", "completed"]
        assert by_leg[far.uri("alice")][-1] == "no-answer"
        assert [each.name for each in heard].count("connected") == 1
        assert heard[-1].name == "result"
        assert heard[-1].data == (await http("GET", where)).json["result"]
        times = [each.data["at_s"] for each in heard[:-1]]
        assert times == sorted(times)


async def test_what_is_heard_and_keyed_is_told_between_the_statuses() -> None:
    async with phones() as far, api() as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("answers")]})).headers["location"]
        (dial,) = http.engine.dials
        await until(lambda: dial.winner is not None)
        assert dial.winner is not None
        leg, now = dial.winner.id, asyncio.get_running_loop().time()
        machine = Decision(Verdict.MACHINE, Rule.LONG_GREETING, 0.9712, "2.9 s of speech", Evidence(), 30_000)
        undecided = Decision(Verdict.UNDECIDED, Rule.TIMEOUT, 0.5, "", Evidence(), 120_000)
        beep = Beep(1000.4, (1000.4,), BeepShape.SINGLE, 400.0, -12.0, 0.04, 40_000, 43_200, 43_300)
        music = Tone(ToneName.MUSIC, "music", (), 0, 8000)
        for detail in (machine, GreetingEnded(38_000, 54_000), beep, undecided, music):
            dial.post(DetectorFired(leg, now, detail))
        dial.post(DtmfReceived(leg, now, "5", 120))
        async with listening(http, where) as listener:
            far.hang_up()
            heard = await listener.rest()
        told = [
            {**each.data, "event_name": each.name} for each in heard if each.name in ("amd", "tone", "dtmf")
        ]
        for each in told:
            assert each.pop("call_sid") == leg
            assert each.pop("at_s") >= 0
        assert told == [
            {
                "event_name": "amd",
                "event": "amd",
                "amd_type": "machine",
                "type": "amd_machine_detected",
                "reason": "long greeting",
                "greeting": "",
                "language": "",
                "confidence": 0.971,
            },
            {"event_name": "amd", "event": "silence", "type": "amd_machine_stopped_speaking"},
            {
                "event_name": "amd",
                "event": "beep",
                "type": "amd_tone_detected",
                "frequency": 1000,
                "variance": 0.0,
            },
            {"event_name": "amd", "type": "amd_decision_timeout", "confidence": 0.5},
            {"event_name": "tone", "tone": "music", "meaning": "music"},
            {"event_name": "dtmf", "digit": "5", "duration_ms": 120},
        ]


async def test_detection_is_asked_for_with_true_or_with_options() -> None:
    async with phones() as far, api() as http:
        for amd in (True, {"no_speech_timeout_ms": 300, "threshold_word_count": 5}):
            body = {"targets": [far.uri("brief")], "amd": amd}
            reply = await http("POST", "/v1/dials?wait=true", body)
            assert reply.json["dial_status"] == "completed"


async def test_who_comes_late_gets_all_and_who_comes_back_gets_the_rest() -> None:
    async with phones() as far, api() as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]
        async with listening(http, where) as first:
            one, two = await first.next(), await first.next()
            assert one is not None
            assert two is not None
            assert [one.data["call_status"], two.data["call_status"]] == ["trying", "ringing"]
        async with listening(http, where, last=1) as second:
            assert await second.next() == two
            await http("DELETE", where)
            rest = await second.rest()
        assert [each.name for each in rest] == ["status", "result"]
        async with listening(http, where) as third:
            assert await third.rest() == [one, two, *rest]


async def test_204_tells_a_listener_who_has_heard_everything_not_to_come_back() -> None:
    async with phones() as far, api() as http:
        reply = await http("POST", "/v1/dials?wait=true", {"targets": [far.uri("busy")]})
        where = reply.headers["location"]
        async with listening(http, where) as listener:
            last = (await listener.rest())[-1].number
        again = await http("GET", f"{where}/events", **{"Last-Event-ID": str(last)})
        assert (again.status, again.body) == (204, b"")
        nonsense = await http("GET", f"{where}/events", **{"Last-Event-ID": "seven"})
        assert nonsense.status == 200
        assert nonsense.body.count(b"\nevent: ") == last


async def test_many_listeners_hear_the_same() -> None:
    async with phones() as far, api() as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]

        async def listen() -> list[Heard]:
            async with listening(http, where) as listener:
                return await listener.rest()

        tasks = [asyncio.create_task(listen()) for _ in range(40)]
        await until(lambda: len(waiting_for()) == 40)
        await http("DELETE", where)
        first, *others = await asyncio.gather(*tasks)
        assert first[-1].name == "result"
        assert all(each == first for each in others)
        await until(lambda: not waiting_for())


async def test_listeners_who_vanish_leave_nothing_behind() -> None:
    async with phones() as far, api() as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]
        for _ in range(20):
            async with listening(http, where) as listener:
                assert await listener.next() is not None
                listener.response.close()
        await until(lambda: not waiting_for())
        assert (await http("GET", where)).json["state"] == "ringing"
        await http("DELETE", where)


async def test_a_quiet_stream_says_that_it_is_alive() -> None:
    behind = services(limits=ApiLimits(stream_ping_s=0.05))
    async with phones() as far, api(behind) as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]
        async with listening(http, where) as listener:
            assert await listener.next() is not None
            assert await listener.next() is not None
            asyncio.get_running_loop().call_later(0.5, lambda: next(iter(http.engine.dials)).hang_up())
            await listener.rest()
            assert listener.pings >= 3


async def test_a_listener_who_reads_nothing_is_let_go() -> None:
    said: list[object] = []

    async def send(message: Message) -> None:
        said.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # as uvicorn does while the client's window is closed

    async def receive() -> Receive:
        await asyncio.Event().wait()
        raise AssertionError

    limits = ApiLimits(send_timeout_s=0.1)
    async with phones() as far, running() as engine:
        book, visitors = DialBook(engine, limits, None), Visitors(1)
        entry = book.start(ALICE.sid, DialRequest([Target.sip(far.uri("alice"))]))
        await until(lambda: len(entry.events_after(0)) == 2)
        stream = EventStream(entry, 0, limits, visitors.place(ALICE.sid))
        async with asyncio.timeout(5):
            await stream(cast(Scope, {}), cast(Receive, receive), send)
        assert len(said) == 2
        assert len(visitors) == 0
        assert not waiting_for()
        entry.hang_up()


async def test_one_who_stops_waiting_for_a_change_does_not_disturb_the_others() -> None:
    async with phones() as far, running() as engine:
        book = DialBook(engine, ApiLimits(), None)
        entry = book.start(ALICE.sid, DialRequest([Target.sip(far.uri("alice"))]))

        async def change() -> None:
            await asyncio.wait((entry.changed(),))

        first, second = asyncio.create_task(change()), asyncio.create_task(change())
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(5):
            await second
        assert first.cancelled() or first.done()
        entry.hang_up()


async def test_an_account_has_a_limited_number_of_streams() -> None:
    async with phones() as far, api(services(limits=ApiLimits(max_streams=2))) as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]
        async with listening(http, where) as first, listening(http, where) as second:
            assert await first.next() is not None
            assert await second.next() is not None
            refused = await http("GET", f"{where}/events")
            assert refused.status == 429
            assert int(refused.headers["retry-after"]) >= 1
        await until(lambda: not waiting_for())
        async with listening(http, where) as third:
            assert await third.next() is not None
        await http("DELETE", where)


async def test_of_a_dial_with_very_many_events_the_latest_are_kept() -> None:
    async with phones() as far, api(services(limits=ApiLimits(max_events=2))) as http:
        reply = await http("POST", "/v1/dials?wait=true", {"targets": [far.uri("busy"), far.uri("brief")]})
        async with listening(http, reply.headers["location"]) as listener:
            heard = await listener.rest()
        assert len(heard) == 2
        assert heard[-1].name == "result"
        assert heard[-1].number > 4
