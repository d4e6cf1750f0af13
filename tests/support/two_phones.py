"""Alice calls and is bridged to bob by a document; both are real phones that can key, hold and transfer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine import Engine
from engine.softphone import Answer as Answers
from engine.softphone import CallState, PhoneCall, Tone
from engine.softphone.config import Behaviour
from tests.support.application import WebApplication
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address

__all__ = ["ALICE_HZ", "BOB_HZ", "Bridged", "bridged", "hang_up"]

ALICE_HZ, BOB_HZ = 400, 1000
"""They hum: a phone that plays nothing stops its clock, and with it the sending of keys."""


class Bridged(Struct):
    """Both sides of a conversation."""

    app: WebApplication
    engine: Engine
    alice: PhoneCall
    bob: PhoneCall
    alice_sid: str
    bob_sid: str


@asynccontextmanager
async def bridged(
    app: WebApplication,
    rack: PhoneRack,
    *,
    behaviour: Behaviour | None = None,
    options: dict[str, Any] | None = None,
    after: list[dict[str, Any]] | None = None,
    record: str | Path = "",
    **properties: Any,
) -> AsyncIterator[Bridged]:
    """A conversation under `dial` with `properties`; `after`: the rest of the document; `record`: what alice
    hears. The test ends it."""
    bob, alice = await rack.phone("bob", behaviour or Answers(sound=Tone(BOB_HZ))), await rack.phone("alice")
    app.on(
        "/call",
        [{"verb": "dial", "target": [{"type": "sip", "sipUri": bob.uri}], **properties}, *(after or [])],
    )
    if not app.is_scripted("/dial"):
        app.on("/dial")
    async with application_engine(app, **(options or {})) as engine:
        host, port = sip_address(engine)
        ours = await alice.call(f"sip:5550100@{host}:{port}", sound=Tone(ALICE_HZ), record=record)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await ours.until(CallState.CONFIRMED)
        parent = await app.told("/status", direction="inbound", call_status="in-progress")
        child = await app.told("/status", direction="outbound", call_status="in-progress")
        yield Bridged(app, engine, ours, theirs, parent.payload["call_sid"], child.payload["call_sid"])


async def hang_up(call: Bridged) -> dict[str, Any]:
    """Alice hangs up; what the `actionHook` is told."""
    await call.alice.hang_up()
    await call.alice.until(CallState.DISCONNECTED)
    await call.bob.until(CallState.DISCONNECTED)
    return (await call.app.request("/dial")).payload
