"""Keys, rates, and what may be seen without either."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from engine.api.keys import Key, Keys
from engine.api.services import Unhealthy
from engine.config import AccountConfig, HttpConfig
from engine.errors import ConfigError
from tests.api.calls import FakeCalls
from tests.api.serving import ALICE, BOB, KEY, OTHER_KEY, SLEEPING_KEY, api, services

_HASHED = AccountConfig(
    sid=ALICE.sid,
    name="alice",
    api_keys=("sha256:" + hashlib.sha256(b"carol-0123456789").hexdigest().upper(),),
)


async def test_a_key_may_be_known_by_its_hash_alone() -> None:
    async with api(services(accounts=(_HASHED,))) as http:
        assert (await http("GET", "/v1/dials", key="carol-0123456789")).status == 200
        for wrong in (_HASHED.api_keys[0], _HASHED.api_keys[0].removeprefix("sha256:"), "carol-012345678"):
            assert (await http("GET", "/v1/dials", key=wrong)).status == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        f"Token {KEY}",
        KEY,
        f"Bearer {KEY}x",
        f"Bearer {KEY} x",
        "Bearer \xff",
    ],
)
async def test_401_for_anything_but_a_known_bearer_key(authorization: str) -> None:
    async with api() as http:
        for path in ("/v1/dials", "/v1/Accounts/x/Calls", "/nowhere", "/metrics"):
            reply = await http("GET", path, key=None, Authorization=authorization)
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert KEY not in reply.body.decode()


async def test_bearer_is_written_in_any_case() -> None:
    async with api() as http:
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert (await http("GET", "/v1/dials", key=None, Authorization=f"{scheme} {KEY}")).status == 200


async def test_health_documentation_and_the_way_to_it_need_no_key() -> None:
    async with api() as http:
        for path in ("/healthz", "/readyz", "/docs", "/docs/openapi.json"):
            assert (await http("GET", path, key=None)).status == 200, path
        assert (await http("GET", "/", key=None)).headers["location"] == "/docs"


async def test_an_inactive_account_is_refused_with_403_wherever_it_knocks() -> None:
    async with api() as http:
        for method, path in (("GET", "/v1/dials"), ("POST", "/v1/dials"), ("GET", "/metrics")):
            reply = await http(method, path, key=SLEEPING_KEY)
            assert (reply.status, reply.json["detail"]) == (403, "the account is inactive")


async def test_one_request_too_many_is_a_429_that_says_when_to_come_again() -> None:
    http_config = HttpConfig(listen="127.0.0.1:0", requests_per_s=5.0)
    async with api(services(http=http_config)) as http:
        replies = [await http("GET", "/v1/dials") for _ in range(8)]
        statuses = [reply.status for reply in replies]
        assert statuses[:5] == [200] * 5
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert {int(reply.headers["retry-after"]) for reply in refused} == {1}
        assert (await http("GET", "/v1/dials", key=OTHER_KEY)).status == 200
        assert (await http("GET", "/healthz", key=None)).status == 200
        family = await http("GET", f"/v1/Accounts/{ALICE.sid}/Calls")
        assert list(family.json) == ["msg"]


def test_a_key_is_given_back_its_uses_over_time_and_never_more_than_a_burst() -> None:
    key = Key(ALICE, b"", 10.0)
    assert [key.take(100.0) for _ in range(10)] == [0.0] * 10
    assert key.take(100.0) == pytest.approx(0.1)
    assert key.take(100.05) == pytest.approx(0.05)
    assert key.take(100.11) == 0.0
    assert [bool(key.take(1000.0)) for _ in range(11)] == [False] * 10 + [True]


def test_less_than_one_request_a_second_can_be_allowed() -> None:
    key = Key(ALICE, b"", 0.5)
    assert key.take(10.0) == 0.0
    assert key.take(10.0) == pytest.approx(2.0)
    assert key.take(12.0) == 0.0


@pytest.mark.parametrize("text", ["sha256:", "sha256:abc", "sha256:" + "g" * 64, "sha256:" + "0" * 62])
def test_a_hash_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keys([ALICE, replace(BOB, api_keys=("b" * 20, text))], 1.0)
    assert caught.value.key == "account[1].api_keys[1]"


def test_a_key_opens_one_account_only() -> None:
    with pytest.raises(ConfigError, match="used twice") as caught:
        Keys([ALICE, replace(BOB, api_keys=(KEY,))], 1.0)
    assert caught.value.key == "account[1].api_keys[0]"


async def test_readiness_says_which_part_is_not() -> None:
    trouble: list[Unhealthy] = []
    checks = {"store": lambda: trouble[0] if trouble else None}
    async with api(services(checks=checks, calls=FakeCalls())) as http:
        ready = await http("GET", "/readyz", key=None)
        assert ready.json == {"ready": True, "checks": {"dials": "ok", "calls": "ok", "store": "ok"}}
        trouble.append(Unhealthy("disk full"))
        ready = await http("GET", "/readyz", key=None)
        assert (ready.status, ready.json["checks"]["store"]) == (503, "disk full")
        assert (await http("GET", "/healthz", key=None)).status == 200


async def test_metrics_count_dials_and_responses() -> None:
    async with api() as http:
        await http("POST", "/v1/dials?wait=true", {"targets": ["sip:alice@127.0.0.1:9"]})
        await http("GET", "/nowhere")
        await http("GET", "/v1/dials", key="wrong")
        reply = await http("GET", "/metrics")
        assert reply.kind.startswith("text/plain")
        lines = reply.body.decode().splitlines()
        assert 'dial_engine_dials_finished_total{status="failed"} 1' in lines
        for status in (200, 401, 404):
            assert f'dial_engine_http_responses_total{{status="{status}"}} 1' in lines
