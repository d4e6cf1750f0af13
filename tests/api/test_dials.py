"""`/v1/dials` over real HTTP, the real engine and real SIP."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.api.dials.archive import StoreArchive
from engine.api.dials.bodies import ResultBody
from engine.api.services import ApiLimits
from engine.config import LimitsConfig, NumbersConfig
from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.result import DialResult
from engine.store import Store
from media.audio import Pcm
from media.player import PlayerError
from tests.api.phones import phones
from tests.api.serving import OTHER_KEY, Api, Reply, api, services, until, waiting_for
from tests.support.running_engine import lab_config


async def _ended(http: Api, dial_id: str) -> dict[str, Any]:
    """The dial when it is over."""
    async with asyncio.timeout(20):
        while True:
            reply = await http("GET", f"/v1/dials/{dial_id}")
            if reply.json["state"] == "ended":
                view: dict[str, Any] = reply.json
                return view
            await asyncio.sleep(0.02)


def _flaws(reply: Reply) -> list[str]:
    return [each["field"] for each in reply.json["errors"]]


async def test_a_dial_is_started_listed_looked_at_and_hung_up() -> None:
    async with phones() as far, api() as http:
        created = await http("POST", "/v1/dials", {"targets": [far.uri("alice")], "caller_id": "+15550100"})
        assert created.status == 201
        dial_id = created.json["id"]
        assert created.headers["location"] == f"/v1/dials/{dial_id}"
        assert created.json["state"] == "ringing"
        assert created.json["result"] is None
        listed = await http("GET", "/v1/dials")
        assert [each["id"] for each in listed.json["dials"]] == [dial_id]
        assert (await http("DELETE", f"/v1/dials/{dial_id}")).status == 204
        view = await _ended(http, dial_id)
        assert view["result"]["id"] == dial_id
        assert view["result"]["dial_status"] == "no-answer"
        assert view["result"]["dial_sip_status"] == 487
        assert [leg["call_status"] for leg in view["legs"]] == ["no-answer"]
        assert not far.live


async def test_who_is_refused_a_place_to_wait_in_has_rung_nobody() -> None:
    async with phones() as far, api(services(limits=ApiLimits(max_streams=1))) as http:
        body = {"targets": [far.uri("alice")]}
        waiting = asyncio.create_task(http("POST", "/v1/dials?wait=true", body))
        await until(lambda: bool(far.live))
        refused = await http("POST", "/v1/dials?wait=true", {"targets": [far.uri("bob")]})
        assert refused.status == 429
        far.hang_up()
        assert (await waiting).status == 200
        assert far.invited == {"alice": 1}


async def test_words_of_a_callee_that_are_not_utf8_can_be_read_everywhere(tmp_path: Path) -> None:
    words = "Anschlu\ufffd besetzt"
    async with phones() as far, Store(f"sqlite:///{tmp_path}/calls.sqlite") as store:
        async with api(services(archive=StoreArchive(store))) as http:
            body = {"targets": [far.uri("garbled")]}
            waited = await http("POST", "/v1/dials?wait=true", body)
            assert waited.status == 200
            assert words in waited.body.decode()
            begun = await http("POST", "/v1/dials", {"targets": [far.uri("garbled")]})
            events = await http("GET", f"/v1/dials/{begun.json['id']}/events")
            assert (events.status, words in events.body.decode()) == (200, True)
            assert words in (await http("GET", f"/v1/dials/{begun.json['id']}")).body.decode()
        kept = await store.call(begun.json["id"])
        assert kept is not None
        async with api(services(archive=StoreArchive(store))) as later:
            assert words in (await later("GET", f"/v1/dials/{begun.json['id']}")).body.decode()


async def test_201_is_sent_when_the_invite_has_been_created_and_not_before() -> None:
    async with phones() as far, api() as http:
        sent: list[bytes] = []
        http.engine.add_tracer(lambda *said: sent.append(said))  # type: ignore[arg-type]
        created = await http("POST", "/v1/dials", {"targets": [far.uri("alice"), far.uri("bob")]})
        assert created.status == 201
        assert [leg["call_status"] for leg in created.json["legs"]] == ["trying", "trying"]
        assert len(sent) >= 2
        await http("DELETE", created.headers["location"])


async def test_waiting_answers_with_the_result_and_its_id() -> None:
    async with phones() as far, api() as http:
        reply = await http("POST", "/v1/dials?wait=true", {"targets": [far.uri("busy"), far.uri("brief")]})
        assert reply.status == 200
        dial_id = reply.headers["location"].rpartition("/")[2]
        entry = next(iter((await http("GET", "/v1/dials?state=ended")).json["dials"]))
        assert reply.json == entry["result"]
        assert reply.json["id"] == dial_id
        assert reply.json["dial_status"] == "completed"
        assert sorted(leg["sip_status"] for leg in reply.json["dial_legs"]) == [200, 486]


def test_the_result_over_http_has_every_field_of_the_engine_s_and_its_id() -> None:
    result = DialResult(
        dial_id="x",
        dial_status=DialStatus.FAILED,
        dial_sip_status=500,
        termination_reason=TerminationReason.ALL_FAILED,
        legs=(),
        leg=None,
        ended_by=EndedBy.ENGINE,
        started_at_utc=0.0,
        ring_s=0.0,
        talk_s=0.0,
    )
    body = msgspec.convert({"id": "x", **result.to_dict()}, ResultBody)
    assert msgspec.to_builtins(body) == {"id": "x", **result.to_dict()}


async def test_a_client_that_stops_waiting_leaves_its_dial_alone_and_nothing_behind() -> None:
    async with phones() as far, api() as http:
        waiting = asyncio.create_task(http("POST", "/v1/dials?wait=true", {"targets": [far.uri("alice")]}))
        await until(lambda: bool(far.calls))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: not waiting_for())
        (live,) = (await http("GET", "/v1/dials")).json["dials"]
        assert live["state"] == "ringing"
        await http("DELETE", f"/v1/dials/{live['id']}")


async def test_another_account_does_not_see_the_dial() -> None:
    async with phones() as far, api() as http:
        where = (await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})).headers["location"]
        assert (await http("GET", "/v1/dials?state=all", key=OTHER_KEY)).json["dials"] == []
        for method, path in (
            ("GET", where),
            ("DELETE", where),
            ("GET", f"{where}/events"),
            ("GET", f"{where}/recording"),
        ):
            assert (await http(method, path, key=OTHER_KEY)).status == 404, (method, path)
        assert len(far.live) == 1
        await http("DELETE", where)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": ["sip:"]}, "targets[0]"),
        ({"targets": ["sip:a@192.0.2.1", {"type": "phone"}]}, "targets[1].number"),
        ({"targets": [{"type": "sip", "sip_uri": "http://x"}]}, "targets[0].sip_uri"),
        ({"targets": [{"type": "user", "name": "a b@example.com"}]}, "targets[0].name"),
        ({"targets": [{"type": "user", "name": "a@example.com", "trunk": "x"}]}, "targets[0].trunk"),
        (
            {"targets": [{"type": "sip", "sip_uri": "sip:a@192.0.2.1", "username": "u"}]},
            "targets[0].password",
        ),
        ({"targets": [{"type": "teams", "number": "+15550100"}]}, "targets[0].type"),
        (
            {"targets": [{"type": "sip", "sip_uri": "sip:a@192.0.2.1", "from": {"host": "<"}}]},
            "targets[0].from.host",
        ),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": "30"}, "timeout_s"),
        ({"time_limit_s": -1}, "time_limit_s"),
        ({"caller_id": "<script>"}, "caller_id"),
        ({"caller_name": "a\r\nVia: x"}, "caller_name"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers.X-A"),
        ({"headers": {"X A": "1"}}, "headers"),
        ({"proxy": "192.0.2.1"}, "proxy"),
        ({"codecs": ["PCMU", "PCMX"]}, "codecs[1]"),
        ({"play": "hello.wav"}, "play"),
        ({"after_beep": "hello.wav"}, "after_beep"),
        ({"record": True}, "record"),
        ({"record": "/etc/passwd"}, "record"),
        ({"amd": {"no_speech_timeout_ms": -5}}, "amd.no_speech_timeout_ms"),
        ({"amd": {"colour": "red"}}, "amd.colour"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_the_name_of_its_field(
    changes: dict[str, Any], field: str
) -> None:
    async with api() as http:
        reply = await http("POST", "/v1/dials", {"targets": ["sip:alice@192.0.2.1"], **changes})
        assert reply.status == 400
        assert reply.kind.startswith("application/problem+json")
        assert _flaws(reply) == [field]
        assert reply.json["status"] == 400
        assert reply.json["detail"].startswith(field)
        assert len(http.engine.dials) == 0


async def test_an_unknown_dial_is_a_404() -> None:
    async with api() as http:
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/recording")):
            reply = await http(method, f"/v1/dials/4b0991b2-5303-406f-98e1-77786f95b1c1{path}")
            assert (reply.status, reply.json["title"]) == (404, "Not Found")


async def test_one_dial_too_many_is_a_503_that_says_when_to_come_again() -> None:
    config = msgspec.structs.replace(lab_config(), limits=LimitsConfig(max_dials=1))
    async with phones() as far, api(config=config) as http:
        first = await http("POST", "/v1/dials", {"targets": [far.uri("alice")]})
        refused = await http("POST", "/v1/dials", {"targets": [far.uri("bob")]})
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        ready = await http("GET", "/readyz", key=None)
        assert ready.status == 503
        assert not ready.json["ready"]
        await http("DELETE", first.headers["location"])
        await _ended(http, first.json["id"])
        assert (await http("GET", "/readyz", key=None)).status == 200


async def test_strict_numbering_names_the_target() -> None:
    config = msgspec.structs.replace(lab_config(), numbers=NumbersConfig(strict=True))
    async with api(config=config) as http:
        reply = await http("POST", "/v1/dials", {"targets": ["12"]})
        assert reply.status == 400
        assert _flaws(reply)[0].startswith("targets[0]")


async def test_the_list_is_read_page_by_page_newest_first() -> None:
    async with api() as http:
        ids = [
            (await http("POST", "/v1/dials?wait=true", {"targets": ["sip:alice@127.0.0.1:9"]})).json["id"]
            for _ in range(5)
        ]
        seen: list[str] = []
        after = ""
        while True:
            page = (await http("GET", f"/v1/dials?state=ended&limit=2&after={after}")).json
            seen += [each["id"] for each in page["dials"]]
            if page["next"] is None:
                break
            after = page["next"]
        assert seen == ids[::-1]
        assert (await http("GET", "/v1/dials")).json == {"dials": [], "next": None}
        assert (await http("GET", "/v1/dials?state=late")).status == 400


async def test_finished_dials_leave_memory_in_their_order_and_are_found_in_the_archive() -> None:
    archive = _Archive()
    behind = services(limits=ApiLimits(finished_dials=2), archive=archive)
    async with api(behind) as http:
        ids = [
            (await http("POST", "/v1/dials?wait=true", {"targets": ["sip:alice@127.0.0.1:9"]})).json["id"]
            for _ in range(4)
        ]
        listed = (await http("GET", "/v1/dials?state=all")).json["dials"]
        assert [each["id"] for each in listed] == [ids[3], ids[2]]
        assert not archive.asked
        oldest = await http("GET", f"/v1/dials/{ids[0]}")
        assert (oldest.status, oldest.json["id"], oldest.json["state"]) == (200, ids[0], "ended")
        assert oldest.json["result"]["dial_sip_status"] == 503
        assert (await http("GET", f"/v1/dials/{ids[0]}", key=OTHER_KEY)).status == 404


async def test_the_store_remembers_dials_and_their_legs(tmp_path: Path) -> None:
    async with Store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store, phones() as far:
        behind = services(limits=ApiLimits(finished_dials=0), archive=StoreArchive(store))
        async with api(behind) as http:
            body = {"targets": [far.uri("busy"), far.uri("brief")], "caller_id": "+15550100"}
            result = (await http("POST", "/v1/dials?wait=true", body)).json
            where = f"/v1/dials/{result['id']}"
            assert (await http("GET", "/v1/dials?state=all")).json["dials"] == []
            remembered = await http("GET", where)
            assert remembered.json["result"] == result
            assert [leg["call_status"] for leg in remembered.json["legs"]] == ["busy", "completed"]
            assert (await http("GET", where, key=OTHER_KEY)).status == 404
            for unknown in ("4b0991b2-5303-406f-98e1-77786f95b1c1", "x", "%00", "a" * 64):
                assert (await http("GET", f"/v1/dials/{unknown}")).status == 404
        row = await store.call(result["id"])
        assert row is not None
        assert (row.from_, row.call_status, row.sip_status, row.ended_by) == (
            "+15550100",
            "completed",
            200,
            "callee",
        )
        assert row.started_utc <= (row.answered_utc or 0.0) <= (row.ended_utc or 0.0)
        legs = {leg.to: leg for leg in await store.legs(result["id"])}
        assert (legs[far.uri("busy")].sip_status, legs[far.uri("busy")].call_status) == (486, "busy")
        assert legs[far.uri("brief")].duration_s is not None


async def test_a_store_that_does_not_answer_is_a_503_and_no_dial_suffers(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")  # never opened
    async with api(services(archive=StoreArchive(store))) as http:
        reply = await http("GET", "/v1/dials/4b0991b2-5303-406f-98e1-77786f95b1c1")
        assert (reply.status, reply.json["title"]) == (503, "Service Unavailable")
        assert int(reply.headers["retry-after"]) >= 1
        dialled = await http("POST", "/v1/dials?wait=true", {"targets": ["sip:alice@127.0.0.1:9"]})
        assert dialled.json["dial_status"] == "failed"


class _Archive:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}
        self.asked: list[str] = []

    def keep(self, account_sid: str, dial_id: str, view: bytes, result: DialResult, caller_id: str) -> None:
        assert result.dial_id == dial_id
        self.kept[account_sid, dial_id] = view

    async def load(self, account_sid: str, dial_id: str) -> bytes | None:
        self.asked.append(dial_id)
        return self.kept.get((account_sid, dial_id))


async def test_a_sound_is_played_and_the_callee_is_recorded(tmp_path: Path) -> None:
    names: list[str] = []

    async def sounds(name: str) -> Pcm:
        names.append(name)
        tone = 8000 * np.sin(np.arange(3200) * 2 * math.pi * 440 / 8000)
        return tone.astype(np.int16)

    behind = services(
        sounds=sounds, recordings=tmp_path, limits=ApiLimits(finished_dials=1), archive=_Archive()
    )
    async with phones() as far, api(behind) as http:
        body = {"targets": [far.uri("answers")], "play": "hello.wav", "record": True}
        result = await http("POST", "/v1/dials?wait=true", body)
        assert result.json["dial_status"] == "completed"
        assert names == ["hello.wav"]
        view = (await http("GET", f"/v1/dials/{result.json['id']}")).json
        assert 0.4 <= view["talk_s"] < 5.0
        assert view["error"] == ""
        wav = await http("GET", view["recording"])
        assert (wav.status, wav.kind, wav.body[:4]) == (200, "audio/wav", b"RIFF")
        assert os.listdir(tmp_path) == [f"{result.json['id']}.wav"]
        await http("POST", "/v1/dials?wait=true", {"targets": [far.uri("busy")]})
        assert (await http("GET", "/v1/dials?state=all")).json["dials"][0]["id"] != result.json["id"]
        assert (await http("GET", view["recording"])).body == wav.body  # memory has forgotten the dial
        assert (await http("GET", view["recording"], key=OTHER_KEY)).status == 404


async def test_a_sound_that_cannot_be_had_rings_nobody() -> None:
    async def sounds(name: str) -> Pcm:
        raise PlayerError(f"cannot play {name}: no such file")

    async with phones() as far, api(services(sounds=sounds)) as http:
        reply = await http("POST", "/v1/dials", {"targets": [far.uri("answers")], "play": "gone.wav"})
        assert reply.status == 400
        assert reply.json["detail"] == "play: cannot play gone.wav: no such file"
        assert not far.calls


async def test_dials_of_many_clients_at_once_do_not_mix() -> None:
    async with phones() as far, api() as http:

        async def one(number: int) -> tuple[str, str]:
            user = "busy" if number % 2 else "brief"
            reply = await http("POST", "/v1/dials?wait=true", {"targets": [far.uri(user)]})
            return user, reply.json["dial_status"]

        async with asyncio.timeout(60):
            results = await asyncio.gather(*(one(number) for number in range(60)))
        assert set(results) == {("busy", "busy"), ("brief", "completed")}
        assert far.invited == {"busy": 30, "brief": 30}
        assert len({each["id"] for each in (await http("GET", "/v1/dials?state=ended")).json["dials"]}) == 60


async def test_a_simring_shows_who_won_and_who_was_let_go() -> None:
    async with phones() as far, api() as http:
        targets = [far.uri("answers"), far.uri("bob"), {"type": "sip", "sip_uri": far.uri("carol")}]
        created = await http("POST", "/v1/dials", {"targets": targets, "time_limit_s": 0.3})
        view = await _ended(http, created.json["id"])
        assert view["result"]["dial_status"] == "completed"
        assert view["result"]["dial_termination_reason"] == "time-limit"
        statuses = {leg["to"]: leg["call_status"] for leg in view["legs"]}
        assert statuses == {
            far.uri("answers"): "completed",
            far.uri("bob"): "no-answer",
            far.uri("carol"): "no-answer",
        }
        assert 0.2 <= view["talk_s"] < 2.0
