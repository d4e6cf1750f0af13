"""Whatever a client sends: an answer of the promised shape, and never a 5xx.

The requests come out of our own OpenAPI document. Nothing leaves this process: the dials are those of fake
legs, and the application is called without a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.types import HTTPScope, Message
from msgspec import Struct

from engine.api.app import ApiApp, create_app
from engine.api.services import ApiServices
from engine.dial.dial import Dial, Observer
from engine.dial.manager import DialManager
from engine.dial.request import DialRequest
from engine.errors import ConfigError
from tests.api.calls import FakeCalls
from tests.api.serving import ALICE, KEY, services
from tests.api.strategies import Attempt, attempts
from tests.support.legs import FakeLegs


class _Engine:
    """A `DialEngine` whose dials ring nobody."""

    def __init__(self, dials: DialManager) -> None:
        self.dials = dials

    def start_dial(self, request: DialRequest, *, observer: Observer | None = None) -> Dial:
        return self.dials.start(request, observer=observer)

    def capabilities_for(self, codecs: tuple[str, ...]) -> object:
        for index, name in enumerate(codecs):
            if name not in ("PCMU", "PCMA"):
                raise ConfigError(f"codecs[{index}]", f"no such codec: {name!r}")
        return None


class Answer(Struct, frozen=True):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


@asynccontextmanager
async def _app(behind: ApiServices) -> AsyncIterator[ApiApp]:
    async with DialManager(legs=FakeLegs(), max_dials=10**9) as dials:
        app = create_app(_Engine(dials), behind)
        yield app
        app.close()
        for dial in dials:
            dial.hang_up()
        await app.closed()


async def _call(app: ApiApp, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Answer:
    """As uvicorn would."""
    path, _, query = target.partition("?")
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": lines,
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9),
        "state": {},
    }
    sent: list[Message] = []
    is_read = False

    async def receive() -> Any:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": body or b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await app(cast(HTTPScope, scope), receive, send)
    start = cast(dict[str, Any], sent[0])
    content = b"".join(cast(dict[str, Any], each).get("body", b"") for each in sent[1:])
    return Answer(start["status"], dict(start["headers"]), content)


def _document() -> dict[str, Any]:
    async def fetch() -> bytes:
        async with _app(services(calls=FakeCalls())) as app:
            return (await _call(app, "GET", "/docs/openapi.json", {}, None)).body

    document: dict[str, Any] = msgspec.json.decode(asyncio.run(fetch()))
    return document


_DOCUMENT = _document()


def _assert_promised(answer: Answer, attempt: Attempt) -> None:
    """A documented status, a body of the documented type."""
    assert answer.status < 500, (attempt, answer)
    operation = _DOCUMENT["paths"][attempt.path][attempt.method.lower()]
    assert str(answer.status) in operation["responses"], (answer.status, attempt)
    content = operation["responses"][str(answer.status)].get("content", {})
    kind = answer.headers.get(b"content-type", b"").decode().partition(";")[0]
    if answer.status >= 400:
        assert [kind] == list(content), (answer, attempt)
        told = msgspec.json.decode(answer.body)
        assert told.get("detail") or told.get("msg"), answer
        if attempt.path.startswith("/v1/dials"):
            assert told["status"] == answer.status


async def _serve(attempts_: list[Attempt]) -> None:
    calls = FakeCalls()
    async with _app(services(calls=calls)) as app:
        for attempt in attempts_:
            values = {name: quote(value, safe="") for name, value in attempt.values.items()}
            if "call_sid" in values and calls.calls:
                values["call_sid"] = next(iter(calls.calls))
            if "account_sid" in values:
                values["account_sid"] = ALICE.sid  # other accounts end at the first check
            path = attempt.path.format(**{name: value or "x" for name, value in values.items()})
            query = [(name, value) for name, value in attempt.query if name != "wait"]
            target = path + ("?" + urlencode(query) if query else "")
            headers = {"Authorization": f"Bearer {KEY}", **attempt.headers}
            body = None
            if attempt.has_body:
                body = msgspec.json.encode(attempt.body)
                headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
            answer = await _call(app, attempt.method, target, headers, body)
            if "/" in "".join(attempt.values.values()) and answer.status in (404, 405):
                continue  # a slash in a path parameter makes it another path
            _assert_promised(answer, attempt)


@settings(max_examples=120)
@given(st.lists(attempts(_DOCUMENT), min_size=1, max_size=15))
def test_requests_out_of_the_openapi_document_never_cause_a_5xx(attempts_: list[Attempt]) -> None:
    asyncio.run(_serve(attempts_))


_BODIES = st.tuples(
    st.sampled_from(["/v1/dials", f"/v1/Accounts/{ALICE.sid}/Calls", f"/v1/Accounts/{ALICE.sid}/Calls/x"]),
    st.sampled_from(["POST", "PUT"]),
    st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
    ),
)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
_METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"])


@settings(max_examples=40)
@given(st.lists(_BODIES, min_size=1, max_size=20))
def test_any_bytes_as_a_body_are_answered(requests: list[tuple[str, str, bytes]]) -> None:
    async def run() -> None:
        async with _app(services(calls=FakeCalls())) as app:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            for path, method, body in requests:
                answer = await _call(app, method, path, headers, body)
                assert 400 <= answer.status < 500

    asyncio.run(run())


@settings(max_examples=40)
@given(st.lists(st.tuples(_METHODS, _TEXT, _TEXT), min_size=1, max_size=20))
def test_any_path_and_method_are_answered(requests: list[tuple[str, str, str]]) -> None:
    async def run() -> None:
        async with _app(services(calls=FakeCalls())) as app:
            for method, path, query in requests:
                target = "/" + quote(path) + "?" + quote(query)
                answer = await _call(app, method, target, {"Authorization": f"Bearer {KEY}"}, None)
                assert answer.status < 500

    asyncio.run(run())


@pytest.mark.parametrize("name", ["targets", "headers", "amd", "codecs"])
def test_very_deep_json_is_refused_not_followed(name: str) -> None:
    async def run() -> None:
        async with _app(services(calls=FakeCalls())) as app:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            for opening in (b"[", b'{"a":'):
                body = b'{"%s":' % name.encode() + opening * 100_000
                assert (await _call(app, "POST", "/v1/dials", headers, body)).status == 400
                body = b'{"tag":' + opening * 100_000
                path = f"/v1/Accounts/{ALICE.sid}/Calls/x"
                assert (await _call(app, "PUT", path, headers, body)).status == 400

    asyncio.run(run())
