"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec

from engine.api.accounts.bodies import NewCall, UpdateCall
from engine.api.dials.bodies import NewDial, TargetBody
from tests.api.calls import FakeCalls
from tests.api.serving import api, services


async def _document() -> dict[str, Any]:
    async with api(services(calls=FakeCalls())) as http:
        reply = await http("GET", "/docs/openapi.json", key=None)
        document: dict[str, Any] = reply.json
        return document


async def _page() -> str:
    async with api(services(calls=FakeCalls())) as http:
        reply = await http("GET", "/docs", key=None)
        assert reply.kind.startswith("text/html")
        return reply.body.decode()


async def test_every_operation_of_both_contracts_is_described() -> None:
    document = await _document()
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    calls = "/v1/Accounts/{account_sid}/Calls"
    assert operations == {
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "POST /v1/dials",
        "GET /v1/dials",
        "GET /v1/dials/{dial_id}",
        "DELETE /v1/dials/{dial_id}",
        "GET /v1/dials/{dial_id}/events",
        "GET /v1/dials/{dial_id}/recording",
        f"POST {calls}",
        f"GET {calls}",
        f"GET {calls}/{{call_sid}}",
        f"PUT {calls}/{{call_sid}}",
        f"DELETE {calls}/{{call_sid}}",
        "GET /v1/Accounts/{account_sid}/CallCount",
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation.get("summary"), f"{method} {path}"
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["openapi"].startswith("3.1")


async def test_every_reference_leads_somewhere_and_nothing_is_made_up() -> None:
    document = await _document()
    text = msgspec.json.encode(document).decode()
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in document["components"]["schemas"]
    assert '"examples"' not in text


async def test_every_field_of_a_body_is_in_its_schema_with_what_its_docstring_says() -> None:
    schemas = (await _document())["components"]["schemas"]
    for body in (NewDial, TargetBody, NewCall, UpdateCall):
        schema = schemas[body.__name__]
        wire = {each.encode_name for each in msgspec.structs.fields(body)}
        assert set(schema["properties"]) == wire
    assert schemas["NewDial"]["properties"]["timeout_s"]["description"] == "Ring time."
    assert schemas["NewDial"]["properties"]["timeout_s"]["default"] == 60.0
    assert schemas["NewCall"]["properties"]["from"]["description"] == "Presented number or name."
    assert schemas["NewCall"]["properties"]["timeLimit"]["description"] == "Seconds it may last."
    assert set(schemas["NewCall"]["required"]) == {"from", "to"}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta",):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "action", "data"):
                self.links.append(value or "")
            if name == "id":
                self.ids.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script() -> None:
    page = await _page()
    parsed = _Links()
    parsed.feed(page)
    assert not parsed.open
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    assert "img" not in parsed.tags
    assert "url(" not in page
    assert "@import" not in page
    for link in parsed.links:
        assert link == "/docs/openapi.json" or link.removeprefix("#") in parsed.ids, link


async def test_the_page_shows_every_operation_with_a_line_of_curl() -> None:
    page, document = await _page(), await _document()
    for path, item in document["paths"].items():
        for method in item:
            assert f"<b class={method}>{method.upper()}</b> <code>{path}</code>" in page
            assert f"curl -X {method.upper()}" in page
    assert "Ring time." in page
    assert "default 60.0" in page
