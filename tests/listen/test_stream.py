"""The stream as a whole: real RTP on one side, a real WebSocket server of another family on the other."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from engine.listen import Back, Flow, ListenClient, ListenEnd, ListenOptions, ListenStream, Mix, Retry
from engine.listen.connection import connect
from media import MediaConfig, MediaPlane
from media.audio import level_dbov, to_bytes
from media.negotiate import AudioCapabilities
from tests.listen.server import ListenServer, Talker, listen_server, talker, until, usual_amplitude
from tests.media.signals import amplitude_at, tone
from tests.support.tools import require_openssl

_FACTS = {"callSid": "e35d4edf-efd2-424c-8667-c6c5f53b1e1b", "from": "+15550100", "direction": "inbound"}


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    made = MediaPlane(MediaConfig())
    yield made
    await made.close()
    assert not made.clock.is_running


@pytest_asyncio.fixture
async def client() -> AsyncIterator[ListenClient]:
    made = ListenClient()
    yield made
    await made.close()
    assert not made._clock.is_running  # no stream left its tick behind


class Running:
    """A stream that runs, and what it reported."""

    def __init__(self, stream: ListenStream, reports: list[tuple[str, str]]) -> None:
        self.stream = stream
        self.reports = reports
        self.task = asyncio.create_task(stream.run(), name="stream under test")

    async def end(self) -> ListenEnd:
        async with asyncio.timeout(10):
            return await self.task


@asynccontextmanager
async def running(
    client: ListenClient, options: ListenOptions, caller: Talker, callee: Talker | None = None
) -> AsyncIterator[Running]:
    reports: list[tuple[str, str]] = []
    stream = client.stream(
        options,
        caller=caller.stream,
        callee=callee.stream if callee is not None else None,
        report=lambda kind, text: reports.append((kind, text)),
    )
    made = Running(stream, reports)
    try:
        yield made
    finally:
        made.task.cancel()
        await asyncio.gather(made.task, return_exceptions=True)


@asynccontextmanager
async def call(
    plane: MediaPlane, client: ListenClient, *, hz: float = 1000.0, server: ListenServer, **options: object
) -> AsyncIterator[tuple[Running, Talker]]:
    async with talker(plane, hz=hz) as caller:
        asked = ListenOptions(url=server.url, properties=_FACTS, **options)  # type: ignore[arg-type]
        async with running(client, asked, caller) as run:
            await server.connected()
            yield run, caller


async def test_wh30_31_both_subprotocols_are_offered_and_the_first_frame_is_camel_case_json(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, talker(plane) as caller:
        options = ListenOptions(
            url=server.url, properties=_FACTS, metadata={"clientId": "12udih", "callSid": "forged"}
        )
        async with running(client, options, caller):
            connection = await server.connected()
            assert server.requests[0].headers["Sec-WebSocket-Protocol"].replace(" ", "").split(",") == [
                "audio.jambonz.org",
                "audio.drachtio.org",
            ]
            assert connection.subprotocol == "audio.jambonz.org"
            assert server.texts[0] == {**_FACTS, "sampleRate": 8000, "mixType": "mono", "clientId": "12udih"}


@pytest.mark.parametrize("accepted", [("audio.drachtio.org",), ()])
async def test_wh30_the_other_subprotocol_or_none_is_as_good(
    plane: MediaPlane, client: ListenClient, accepted: tuple[str, ...]
) -> None:
    async with (
        listen_server(subprotocols=accepted) as server,
        call(plane, client, server=server) as (run, _),
    ):
        await server.heard(3)
        assert server.connections[0].subprotocol == (accepted[0] if accepted else None)
        assert not run.reports


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000, 64000])
async def test_wh32_frames_are_20_ms_of_the_callers_voice_at_the_rate_asked_for(
    plane: MediaPlane, client: ListenClient, rate_hz: int
) -> None:
    async with (
        listen_server() as server,
        call(plane, client, server=server, sample_rate_hz=rate_hz),
    ):
        await server.heard(50)
    assert {len(frame) for frame in server.frames} == {rate_hz // 50 * 2}
    voice = server.pcm()[rate_hz // 5 : rate_hz // 5 + rate_hz // 2]
    assert usual_amplitude(voice, 1000, rate_hz) == pytest.approx(8000, rel=0.05)
    assert usual_amplitude(voice, 1500, rate_hz) < 100


async def test_wh32_stream_time_is_call_time_over_lost_packets_and_pauses(
    plane: MediaPlane, client: ListenClient
) -> None:
    loop = asyncio.get_running_loop()
    async with listen_server() as server, call(plane, client, server=server) as (_, caller):
        began = loop.time()
        first = len(server.frames)
        await server.heard(first + 25)
        caller.is_sending = False  # nothing comes for 600 ms
        silent_from = len(server.frames)
        await server.heard(silent_from + 30)
        caller.is_sending = True
        resumed_from = len(server.frames)
        await server.heard(resumed_from + 25)
        passed_s, frames = loop.time() - began, len(server.frames) - first
    assert frames == pytest.approx(passed_s * 50, abs=4)
    pcm = server.pcm()
    assert usual_amplitude(pcm[160 * (silent_from - 15) : 160 * (silent_from - 5)], 1000) > 6000
    assert np.abs(pcm[160 * (silent_from + 10) : 160 * (resumed_from - 2)]).max() < 50
    assert usual_amplitude(pcm[160 * (resumed_from + 12) : 160 * (resumed_from + 22)], 1000) > 6000


async def test_wh32_what_is_said_after_lost_packets_is_where_it_belongs(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server, hz=600) as (_, caller):
        await server.heard(40)
        caller.is_lossy = True
        lost_from = caller.far.sequence
        await until(lambda: caller.far.sequence >= lost_from + 30)
        lost = caller.far.sequence - lost_from
        caller.is_lossy, caller.hz = False, 1700.0
        await server.heard(len(server.frames) + 40)
    windows = server.pcm()[: len(server.frames) // 2 * 320].reshape(-1, 320)
    before = [n for n, window in enumerate(windows) if amplitude_at(window, 600) > 6000]
    after = [n for n, window in enumerate(windows) if amplitude_at(window, 1700) > 6000]
    assert (after[0] - before[-1]) * 2 == pytest.approx(lost, abs=6)  # in packets
    assert len(after) >= 15


async def test_wh32_a_caller_who_sends_comfort_noise_once_is_heard_as_noise_for_as_long_as_it_is_quiet(
    plane: MediaPlane, client: ListenClient
) -> None:
    """DTX: a codec that stops in pauses says how the room sounds (RFC 3389), then nothing."""
    codecs = ("0 PCMU/8000", "13 CN/8000")
    capabilities = AudioCapabilities(comfort_noise=True)
    async with (
        listen_server() as server,
        talker(plane, hz=600, codecs=codecs, capabilities=capabilities) as caller,
        running(client, ListenOptions(url=server.url), caller),
    ):
        await server.heard(40)
        caller.is_sending = False
        caller.far.send(caller.stream.port, bytes([40]), payload_type=13)  # -40 dBov
        quiet_from, began = len(server.frames), asyncio.get_running_loop().time()
        await server.heard(quiet_from + 40)
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.8, abs=0.15)
    noise = server.pcm()[160 * (quiet_from + 15) :]
    assert usual_amplitude(noise, 600) < 200
    assert level_dbov(noise) == pytest.approx(-40, abs=3)


async def test_wh32_a_caller_who_never_sends_is_silence_at_the_same_pace(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, talker(plane) as caller:
        caller.is_sending = False
        async with running(client, ListenOptions(url=server.url), caller):
            await server.connected()
            began, first = asyncio.get_running_loop().time(), len(server.frames)
            await server.heard(first + 40)
            assert asyncio.get_running_loop().time() - began == pytest.approx(0.8, abs=0.1)
    assert not server.pcm().any()


async def test_dv84_stereo_carries_the_caller_left_and_the_callee_right(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with (
        listen_server() as server,
        talker(plane, hz=600) as caller,
        talker(plane, hz=1700, ssrc=0x2002) as callee,
        running(client, ListenOptions(url=server.url, mix=Mix.STEREO), caller, callee),
    ):
        await server.heard(50)
        assert server.texts[0]["mixType"] == "stereo"
    assert {len(frame) for frame in server.frames} == {640}
    sides = server.pcm(channels=2)[1600:]
    for side, own, other in ((sides[:, 0], 600, 1700), (sides[:, 1], 1700, 600)):
        assert usual_amplitude(side, own) > 7000
        assert usual_amplitude(side, other) < 60


@pytest.mark.parametrize(("channel", "heard", "unheard"), [(1, 600, 1700), (2, 1700, 600)])
async def test_dv84_mono_is_the_caller_and_channel_2_the_callee(
    plane: MediaPlane, client: ListenClient, channel: int, heard: int, unheard: int
) -> None:
    async with (
        listen_server() as server,
        talker(plane, hz=600) as caller,
        talker(plane, hz=1700, ssrc=0x2002) as callee,
        running(client, ListenOptions(url=server.url, channel=channel), caller, callee),
    ):
        await server.heard(40)
    pcm = server.pcm()[1600:]
    assert usual_amplitude(pcm, heard) > 7000
    assert usual_amplitude(pcm, unheard) < 60


async def test_dv84_mixed_is_the_sum_of_both_and_one_silent_side_leaves_the_other(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with (
        listen_server() as server,
        talker(plane, hz=600) as caller,
        talker(plane, hz=1700, ssrc=0x2002) as callee,
        running(client, ListenOptions(url=server.url, mix=Mix.MIXED), caller, callee),
    ):
        await server.heard(40)
        callee.is_sending = False
        alone_from = len(server.frames) + 10
        await server.heard(alone_from + 20)
    pcm = server.pcm()
    both, alone = pcm[1600 : 40 * 160], pcm[160 * alone_from :]
    assert usual_amplitude(both, 600) > 7000
    assert usual_amplitude(both, 1700) > 7000
    assert usual_amplitude(alone, 600) > 7000
    assert usual_amplitude(alone, 1700) < 60


def _clip(hz: float, seconds: float, rate_hz: int = 8000) -> str:
    return base64.b64encode(to_bytes(tone(hz, seconds=seconds, rate_hz=rate_hz))).decode()


def _play(clip: str, clip_id: str, *, queue: bool = False, rate_hz: int = 8000) -> dict[str, object]:
    return {
        "type": "playAudio",
        "data": {
            "audioContent": clip,
            "audioContentType": "raw",
            "sampleRate": rate_hz,
            "id": clip_id,
            "queuePlay": queue,
        },
    }


async def test_wh34_audio_of_the_server_is_played_to_the_leg_in_order_and_told_when_done(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (_, caller):
        await server.say(_play(_clip(700, 0.4), "one"))
        await server.say(_play(_clip(1900, 0.4, 16000), "two", queue=True, rate_hz=16000))
        await server.say({"type": "mark", "data": {"name": "end"}})
        await server.told({"type": "mark", "data": {"name": "end", "event": "playout"}})
        heard = caller.heard
        told = [text for text in server.texts if "type" in text]
    assert told == [
        {"type": "playDone", "data": {"id": "one"}},
        {"type": "playDone", "data": {"id": "two"}},
        {"type": "mark", "data": {"name": "end", "event": "playout"}},
    ]
    assert len(heard) == pytest.approx(6400, abs=480)
    assert usual_amplitude(heard[400:2800], 700) > 7000
    assert usual_amplitude(heard[3600:6000], 1900) > 7000


async def test_wh34_kill_audio_is_silence_within_two_packets(plane: MediaPlane, client: ListenClient) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (_, caller):
        await server.say(_play(_clip(700, 5.0), "long"))
        await server.say(_play(_clip(900, 5.0), "behind it", queue=True))
        await server.say({"type": "mark", "data": {"name": "never"}})
        await until(lambda: len(caller.heard) > 1600)
        await server.say({"type": "killAudio"})
        await server.told({"type": "mark", "data": {"name": "never", "event": "cleared"}})
        stopped_at = len(caller.heard)
        await server.heard(len(server.frames) + 15)
        assert len(caller.heard) - stopped_at <= 2 * 160
        assert {"type": "playDone", "data": {"id": "behind it"}} not in server.texts


async def test_wh34_binary_frames_are_played_continuously_when_streaming(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with (
        listen_server() as server,
        call(plane, client, server=server, back=Back.STREAM, back_rate_hz=16000) as (_, caller),
    ):
        audio = to_bytes(tone(800, seconds=1.0, rate_hz=16000))
        for at in range(0, len(audio), 1001):  # odd pieces: samples are cut in two
            await server.connections[0].send(audio[at : at + 1001])
        await server.say({"type": "mark", "data": {"name": "said"}})
        await server.told({"type": "mark", "data": {"name": "said", "event": "playout"}})
        heard = caller.heard
    assert len(heard) == pytest.approx(8000, abs=480)
    assert usual_amplitude(heard[400:7600], 800) > 7000


async def test_wh34_binary_frames_are_ignored_without_streaming(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, caller):
        await server.connections[0].send(to_bytes(tone(800, seconds=0.5)))
        await server.heard(len(server.frames) + 15)
        assert not len(caller.heard)
        assert not run.task.done()


async def test_wh34_disconnect_ends_the_stream(plane: MediaPlane, client: ListenClient) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, _):
        await server.say({"type": "disconnect"})
        assert await run.end() is ListenEnd.DISCONNECT
        await asyncio.wait_for(server.connections[0].wait_closed(), 5)
        assert server.connections[0].close_code == 1000


async def test_wh33_a_digit_is_told_even_if_the_stream_ends_in_the_same_moment(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, _):
        run.stream.send_digit("5", 320)
        run.task.cancel()
        await server.told({"event": "dtmf", "dtmf": "5", "duration": "320"})


async def test_wh35_basic_authentication_from_the_options_or_the_url(
    plane: MediaPlane, client: ListenClient
) -> None:
    expected = "Basic " + base64.b64encode("alice:pä:ss".encode()).decode()
    async with listen_server() as server, talker(plane) as caller:
        named = ListenOptions(url=server.url, username="alice", password="pä:ss")
        inside = ListenOptions(url=server.url.replace("//", "//alice:p%C3%A4%3Ass@"))
        for count, options in enumerate((named, inside), 1):
            async with running(client, options, caller):
                await server.connected(count)
        assert [request.headers["Authorization"] for request in server.requests] == [expected, expected]
        assert "@" not in server.requests[1].headers["Host"]


def _certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side with a certificate for localhost, and a client's side that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    command += " -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [*command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_wh35_wss_is_spoken_and_a_certificate_nobody_vouches_for_is_refused(
    plane: MediaPlane, client: ListenClient, tmp_path: Path
) -> None:
    require_openssl()
    for_server, for_client = _certified(tmp_path)
    trusting = ListenClient(tls=for_client)
    async with listen_server(tls=for_server) as server, talker(plane, hz=1000) as caller:
        assert server.url.startswith("wss://")
        options = ListenOptions(url=server.url, retry=Retry(attempts=0))
        async with running(client, options, caller) as run:
            assert await run.end() is ListenEnd.UNREACHABLE
            assert "certificate" in run.reports[0][1].lower()
        async with running(trusting, options, caller):
            await server.heard(30)
    await trusting.close()
    assert usual_amplitude(server.pcm()[1600:], 1000) > 7000


async def test_wh36_pause_sends_nothing_silence_sends_zeros_resume_goes_on_in_call_time(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, caller):
        await server.heard(20)
        run.stream.control(Flow.PAUSE)
        sent = caller.far.sequence
        await until(lambda: caller.far.sequence >= sent + 5)  # what was on its way has arrived
        paused_at = len(server.frames)
        await until(lambda: caller.far.sequence >= sent + 25)
        assert len(server.frames) == paused_at
        run.stream.control(Flow.SILENCE)
        await server.heard(paused_at + 20)
        run.stream.control(Flow.RESUME)
        resumed_at = len(server.frames) + 2
        await server.heard(resumed_at + 20)
    pcm = server.pcm()
    assert usual_amplitude(pcm[1600 : paused_at * 160], 1000) > 7000
    assert not pcm[(paused_at + 1) * 160 : (paused_at + 19) * 160].any()
    assert usual_amplitude(pcm[resumed_at * 160 :], 1000) > 7000


async def test_wh37_the_server_closing_the_socket_ends_the_stream(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, _):
        await server.connections[0].close()
        assert await run.end() is ListenEnd.CLOSED_BY_SERVER
        assert not run.reports


async def test_wh37_a_server_that_cannot_be_reached_is_reported_and_given_up(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server:
        url = server.url
    retry = Retry(attempts=2, first_s=0.01)
    async with talker(plane) as caller:
        options = ListenOptions(url=url.replace("//", "//alice:secret@"), retry=retry)
        async with running(client, options, caller) as run:
            assert await run.end() is ListenEnd.UNREACHABLE
    assert [kind for kind, _ in run.reports] == ["listen-connection"] * 2
    assert "given up" in run.reports[-1][1]
    assert not any("secret" in text for _, text in run.reports)


@pytest.mark.parametrize("status", [401, 404])
async def test_wh37_a_refused_handshake_is_not_tried_again(
    plane: MediaPlane, client: ListenClient, status: int
) -> None:
    async with listen_server(status=status) as server, talker(plane) as caller:
        async with running(client, ListenOptions(url=server.url), caller) as run:
            assert await run.end() is ListenEnd.UNREACHABLE
        assert len(server.requests) == 1
        assert str(status) in run.reports[0][1]


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws://", "ws://[::1/", "nonsense"])
async def test_wh37_a_url_that_cannot_be_used_is_an_alert(
    plane: MediaPlane, client: ListenClient, url: str
) -> None:
    async with talker(plane) as caller, running(client, ListenOptions(url=url), caller) as run:
        assert await run.end() is ListenEnd.UNREACHABLE
        assert len(run.reports) == 1


async def test_dv84_a_broken_connection_is_made_again_and_nothing_of_the_outage_is_lost(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with (
        listen_server() as server,
        call(plane, client, server=server, retry=Retry(attempts=3, first_s=0.2)) as (run, _),
    ):
        await server.heard(20)
        began = asyncio.get_running_loop().time()
        before = len(server.frames)
        server.connections[0].transport.abort()  # no close frame
        await server.connected(2)
        await server.heard(before + 40)
        passed_s = asyncio.get_running_loop().time() - began
        assert len(server.frames) - before == pytest.approx(passed_s * 50, abs=5)
        assert server.texts[0] == server.texts[1]
        assert [kind for kind, _ in run.reports] == ["listen-connection"]
        assert not run.task.done()


async def test_a_slow_server_loses_the_oldest_audio_and_is_reported(
    plane: MediaPlane, client: ListenClient
) -> None:
    """64 kHz stereo to somebody who does not read: what is waiting stays bounded."""
    async with (
        listen_server(max_queue=1) as server,
        talker(plane, hz=600) as caller,
        talker(plane, hz=1700, ssrc=0x2002) as callee,
    ):
        options = ListenOptions(url=server.url, mix=Mix.STEREO, sample_rate_hz=64000)
        async with running(client, options, caller, callee) as run:
            connection = await server.connected()
            connection.transport.pause_reading()
            await until(lambda: bool(run.reports), 30)
            assert run.reports[0][0] == "listen-slow"
            outbox = run.stream._outbox
            await until(lambda: outbox.dropped > 20, 10)
            assert outbox._audio <= 100
            connection.transport.resume_reading()
            await until(lambda: outbox._audio == 0)
            at = len(server.frames)
            await server.heard(at + 30)
            newest = server.pcm(channels=2)[-64000 // 4 :]
            assert usual_amplitude(newest[:, 0], 600, 64000) > 7000


async def test_a_closed_stream_does_not_keep_the_socket_of_a_server_that_never_reads(
    client: ListenClient,
) -> None:
    """The kernel gives up what the server does not take: without a limit it would ask it for ever."""
    async with listen_server() as server:
        ws = await connect(client.session, ListenOptions(url=server.url))
        raw = ws.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 45_000
        await ws.close()


async def test_nonsense_from_the_server_is_reported_a_few_times_and_costs_nothing_else(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, caller):
        for _ in range(3):
            await server.connections[0].send("no json")
            await server.say({"type": "unheard of"})
            await server.say({"type": "playAudio", "data": {"audioContent": "%%%"}})
            await server.say({"type": "playAudio", "data": {"audioContent": "", "audioContentType": "mp3"}})
            await server.say(["playAudio"])
        await server.say(_play(_clip(700, 0.2), "good"))
        await server.told({"type": "playDone", "data": {"id": "good"}})
        assert len(caller.heard) >= 1600
        assert [kind for kind, _ in run.reports] == ["listen-message"] * 5


async def test_what_somebody_else_plays_takes_the_place_of_the_servers_audio(
    plane: MediaPlane, client: ListenClient
) -> None:
    from media.player import PcmPlayer

    async with listen_server() as server, call(plane, client, server=server) as (_, caller):
        await server.say(_play(_clip(700, 5.0), "long"))
        await until(lambda: len(caller.heard) > 800)
        caller.stream.play(PcmPlayer(tone(1500, seconds=0.3), 8000))
        await server.told({"type": "playDone", "data": {"id": "long"}})
        await until(lambda: usual_amplitude(caller.heard[-1200:], 1500) > 6000)


async def test_when_the_stream_ends_its_audio_and_its_taps_end(
    plane: MediaPlane, client: ListenClient
) -> None:
    async with listen_server() as server, call(plane, client, server=server) as (run, caller):
        await server.say(_play(_clip(700, 5.0), "long"))
        await until(lambda: len(caller.heard) > 800)
        run.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.end()
        await asyncio.wait_for(server.connections[0].wait_closed(), 5)
        assert server.connections[0].close_code == 1000
        assert not plane.clock.is_running
