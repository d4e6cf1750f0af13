"""engine.pbx and engine.app: calls that come in, admitted, routed, dialled and ended by a whole engine."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec.structs
import pytest

from engine.app import Engine
from engine.config import (
    Config,
    LimitsConfig,
    MediaConfig,
    RouteConfig,
    SipConfig,
    SourceConfig,
    TargetConfig,
)
from engine.dial.outcome import DialStatus
from engine.dial.request import DialRequest, Target
from engine.errors import ConfigError, Overloaded
from engine.sip.events import Answered, Ended, Failed, IncomingCall, Provisional
from engine.sip.types import Body, Failure, InviteParams
from tests.legs.support import FarSide, sdp

NUMBER = "5550100"


def _config(*targets: str, address: str = "127.0.0.1", **route: object) -> Config:
    return Config(
        sip=SipConfig(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0"), t1_ms=100),
        media=MediaConfig(listen="127.0.0.1", ports=""),
        source=(SourceConfig(name="pbx", addresses=(address,)),),
        route=(
            RouteConfig(
                number=NUMBER,
                targets=tuple(TargetConfig(sip_uri=uri) for uri in targets),
                **route,  # type: ignore[arg-type]
            ),
        ),
    )


@asynccontextmanager
async def _engine(
    make_config: Callable[[FarSide], Config],
) -> AsyncIterator[tuple[Engine, FarSide, FarSide, str]]:
    """An engine, a caller, a callee, and the engine's address for the number."""
    caller, callee = FarSide(), FarSide()
    await caller.endpoint.start()
    await callee.endpoint.start()
    engine = Engine(make_config(callee))
    await engine.start()
    try:
        bound = engine.endpoint.listeners[0].bound
        yield engine, caller, callee, f"sip:{NUMBER}@{bound.host}:{bound.port}"
    finally:
        await engine.stop()
        await caller.endpoint.stop(1.0)
        await callee.endpoint.stop(1.0)
        assert not engine.media.streams
        assert len(engine.dials) == 0


async def _refusal(make_config: Callable[[FarSide], Config], body: Body | None, uri: str = "") -> Failure:
    async with _engine(make_config) as (engine, caller, _, number):
        caller.call(uri.replace("ENGINE", number.rpartition("@")[2]) or number, body)
        failure = (await caller.until(Failed)).failure
        assert len(engine.dials) == 0
        return failure


async def test_a_stranger_is_refused_with_403() -> None:
    failure = await _refusal(lambda callee: _config(callee.uri, address="192.0.2.1"), sdp(40000))
    assert failure.status == 403


async def test_a_number_without_a_route_is_404() -> None:
    failure = await _refusal(lambda callee: _config(callee.uri), sdp(40000), "sip:999@ENGINE")
    assert failure.status == 404


@pytest.mark.parametrize(
    ("body", "status"), [(sdp(40000, codec="9 G722"), 488), (Body("application/sdp", b"x"), 400)]
)
async def test_an_unusable_offer_is_refused_and_nobody_is_rung(body: Body, status: int) -> None:
    assert (await _refusal(lambda callee: _config(callee.uri), body)).status == status


async def test_one_dial_too_many_is_503_with_retry_after() -> None:
    def full(callee: FarSide) -> Config:
        return msgspec.structs.replace(_config(callee.uri), limits=LimitsConfig(max_dials=1))

    async with _engine(full) as (engine, caller, callee, number):
        caller.call(number, sdp(40000))
        await callee.incoming()
        caller.call(number, sdp(40010))
        failure = (await caller.until(Failed)).failure
        assert failure.status == 503
        assert failure.retry_after_s is not None
        with pytest.raises(Overloaded):
            engine.start_dial(DialRequest(targets=(Target.sip(callee.uri),)))


async def test_a_number_is_matched_without_its_parameters() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        caller.call(number.replace(NUMBER, f"{NUMBER};npdi;rn=5550199"), sdp(40000))
        (await callee.incoming()).reject(callee.now, 486)
        callee.endpoint.touch()
        assert (await caller.until(Failed)).failure.status == 486


async def test_dv41_a_183_without_sdp_is_a_180_to_the_caller() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        caller.call(number, sdp(40000))
        leg = await callee.incoming()
        leg.ring(callee.now, 183)
        callee.endpoint.touch()
        ringing = await caller.until(Provisional, count=2)
        assert (ringing.status, ringing.body) == (180, None)
        leg.reject(callee.now, 486)
        callee.endpoint.touch()
        await caller.until(Failed)


async def test_dv40_with_answer_on_bridge_the_caller_is_answered_when_the_callee_is() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        call = caller.call(number, sdp(40000))
        leg = await callee.incoming()
        leg.ring(callee.now)
        callee.endpoint.touch()
        assert (await caller.until(Provisional, count=2)).status == 180
        assert not any(isinstance(event, Answered) for event in caller.events)
        leg.answer(sdp(41000), callee.now)
        callee.endpoint.touch()
        await caller.until(Answered)
        call.hang_up(caller.now)
        caller.endpoint.touch()
        await callee.until(Ended)


async def test_without_answer_on_bridge_the_caller_is_answered_at_once() -> None:
    async with _engine(lambda callee: _config(callee.uri)) as (_, caller, callee, number):
        caller.call(number, sdp(40000))
        await caller.until(Answered)
        leg = await callee.incoming()
        leg.answer(sdp(41000), callee.now)
        callee.endpoint.touch()
        leg = await callee.incoming()
        await callee.settled(lambda: leg.can_offer)
        leg.hang_up(callee.now)
        callee.endpoint.touch()
        await caller.until(Ended)


@pytest.mark.parametrize(
    ("status", "to_caller"), [(486, 486), (600, 600), (603, 603), (404, 404), (503, 503)]
)
async def test_section_9_an_unanswered_caller_gets_the_response_the_dial_came_to(
    status: int, to_caller: int
) -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        caller.call(number, sdp(40000))
        (await callee.incoming()).reject(callee.now, status)
        callee.endpoint.touch()
        assert (await caller.until(Failed)).failure.status == to_caller


async def test_section_9_a_deployment_tells_unanswered_callers_another_code() -> None:
    def mapped(callee: FarSide) -> Config:
        config = _config(callee.uri, answer_on_bridge=True)
        return msgspec.structs.replace(config, response={"603": 486})

    async with _engine(mapped) as (_, caller, callee, number):
        caller.call(number, sdp(40000))
        (await callee.incoming()).reject(callee.now, 603)
        callee.endpoint.touch()
        assert (await caller.until(Failed)).failure.status == 486


async def test_dv34_a_caller_who_cancels_takes_every_callee_with_it() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        call = caller.call(number, sdp(40000))
        (await callee.incoming()).ring(callee.now)
        callee.endpoint.touch()
        await caller.until(Provisional, count=2)
        call.hang_up(caller.now)
        caller.endpoint.touch()
        await callee.until(Failed)
        assert (await caller.until(Failed)).failure.status == 487


async def test_a_loop_through_a_pbx_ends_because_max_forwards_goes_on_counting() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        _, caller, callee, number = parts
        params = InviteParams(
            target=number, from_="<sip:+15550111@127.0.0.1>", body=sdp(40000), max_forwards=7
        )
        caller.endpoint.invite(params, caller)
        leg = await callee.incoming()
        assert leg.request.max_forwards == 6
        leg.reject(callee.now, 486)
        callee.endpoint.touch()
        await caller.until(Failed)


async def test_drain_refuses_new_calls_and_waits_for_those_in_progress() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        engine, caller, callee, number = parts
        caller.call(number, sdp(40000))
        leg = await callee.incoming()
        assert not await engine.drain(0.01)
        other = caller.call(number, sdp(40010))
        failed = await caller.until(Failed)
        assert (failed.call, failed.failure.status) == (other, 503)
        draining = asyncio.create_task(engine.drain(5.0))
        leg.reject(callee.now, 486)
        callee.endpoint.touch()
        assert await draining


async def test_stop_hangs_up_everybody() -> None:
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        engine, caller, callee, number = parts
        caller.call(number, sdp(40000))
        leg = await callee.incoming()
        leg.answer(sdp(41000), callee.now)
        callee.endpoint.touch()
        await caller.until(Answered)
        await engine.stop()
        await caller.until(Ended)
        await callee.until(Ended)


async def test_cancelling_a_dial_hangs_up() -> None:
    async with _engine(lambda callee: _config(callee.uri)) as (engine, _, callee, _number):
        dialling = asyncio.create_task(engine.dial(DialRequest(targets=(Target.sip(callee.uri),))))
        (await callee.incoming()).ring(callee.now)
        callee.endpoint.touch()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await callee.until(Failed)


async def test_a_dial_without_a_caller_reports_its_result() -> None:
    async with _engine(lambda callee: _config(callee.uri)) as (engine, _, callee, _number):
        dialling = asyncio.create_task(engine.dial(DialRequest(targets=(Target.sip(callee.uri),))))
        (await callee.until(IncomingCall)).call.reject(callee.now, 486, "Busy Here")
        callee.endpoint.touch()
        result = await dialling
        assert (result.dial_status, result.dial_sip_status) == (DialStatus.BUSY, 486)
        assert result.legs[0].sip_reason == "Busy Here"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (Config(media=MediaConfig(listen="192.0.2.1")), "media.listen"),
        (Config(sip=SipConfig(listen=("udp:192.0.2.1:0",))), "sip.listen"),
    ],
)
async def test_an_address_this_machine_does_not_have_is_a_config_error_and_nothing_stays_open(
    config: Config, key: str
) -> None:
    engine = Engine(config)
    with pytest.raises(ConfigError) as caught:
        await engine.start()
    assert caught.value.key == key
    assert "192.0.2.1" in str(caught.value)
    await engine.stop()


async def test_a_wildcard_is_never_written_into_sdp() -> None:
    config = Config(sip=SipConfig(listen=("udp:127.0.0.1:0",)), media=MediaConfig(listen="0.0.0.0", ports=""))
    async with Engine(config) as engine:
        stream = engine.media.stream()
        offer = stream.create_offer()
        stream.close()
    assert b"c=IN IP4 0.0.0.0" not in offer
    assert b"c=IN IP4 " in offer


async def test_a_finished_call_is_gone_without_the_garbage_collector() -> None:
    """Both directions: legs, dial and streams, although transactions live on for 64·T1."""
    async with _engine(lambda callee: _config(callee.uri, answer_on_bridge=True)) as parts:
        engine, caller, callee, number = parts
        gc.disable()
        try:
            call = caller.call(number, sdp(40000))
            leg = await callee.incoming()
            leg.ring(callee.now)
            leg.answer(sdp(41000), callee.now)
            callee.endpoint.touch()
            await caller.until(Answered)
            alive = [weakref.ref(dial) for dial in engine.dials]
            streams = [weakref.ref(stream) for stream in engine.media.streams]
            assert (len(alive), len(streams)) == (1, 2)
            call.hang_up(caller.now)
            caller.endpoint.touch()
            await callee.until(Ended)
            async with asyncio.timeout(5.0):
                await engine.dials.drain()
            await asyncio.sleep(0)  # the task that carried the dial returns
            assert engine.endpoint.describe() != ""
            assert [dial() for dial in alive] == [None]
            assert [stream() for stream in streams] == [None, None]
        finally:
            gc.enable()
