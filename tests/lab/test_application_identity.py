"""Matrix 7 of the dial contract: who the callee sees calling (DV-20 to DV-22), every combination.

Four calls of one row ring in one engine: the parties are SIPps with several calls each, so that the 32
combinations of parameters and callers take eight pairs of processes.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import pytest

from engine.config import TrunkConfig
from tests.support.application import Answer, HookRequest, WebApplication
from tests.support.running_application import application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench, TracedMessage

pytestmark = pytest.mark.lab

CALLER, CALLER_ID, CALLER_NAME = "5550199", "+15550142", "Front Desk"
ASSERTED, GIVEN = "<sip:5550199@pbx.example.com>", "<sip:+15550177@example.com>"


class Caller(NamedTuple):
    """An A leg, as the keys of the scenario."""

    from_: str
    privacy: str

    @property
    def is_restricted(self) -> bool:
        return "anonymous" in self.from_ or self.privacy == "Privacy: id"


OPEN = Caller(f'"Alice" <sip:{CALLER}@pbx.example.com>', "Privacy: none")
CALLERS = {
    "open": OPEN,
    "privacy": Caller(f"<sip:{CALLER}@pbx.example.com>", "Privacy: id"),
    "anonymous": Caller('"Anonymous" <sip:anonymous@anonymous.invalid>', "Privacy: id"),
}


def combinations() -> list[dict[str, Any]]:
    """Every way to say or not to say the four properties."""
    choices = product((None, CALLER_ID), (None, CALLER_NAME), (None, False), (None, GIVEN))
    return [
        {
            **({"callerId": caller_id} if caller_id else {}),
            **({"callerName": name} if name else {}),
            **({"forwardPAI": forward} if forward is not None else {}),
            **({"headers": {"P-Asserted-Identity": asserted}} if asserted else {}),
        }
        for caller_id, name, forward, asserted in choices
    ]


def expected_from(caller: Caller, properties: dict[str, Any]) -> tuple[str, str]:
    """DV-22: display name and user@host (host "" is the engine's own)."""
    if caller.is_restricted and "callerId" not in properties:
        return "Anonymous", "anonymous@anonymous.invalid"
    return properties.get("callerName", ""), properties.get("callerId", _user(caller))


def expected_identity(caller: Caller, properties: dict[str, Any], *, trusted: bool) -> list[str]:
    """DV-21, DV-22: the P-Asserted-Identity of the INVITE."""
    if "headers" in properties:
        return [GIVEN]
    if properties.get("forwardPAI", True) and (trusted or not caller.is_restricted):
        return [ASSERTED]
    return []


def expected_privacy(caller: Caller, properties: dict[str, Any]) -> list[str]:
    hidden = caller.is_restricted and "callerId" not in properties
    forwarded = properties.get("forwardPAI", True) and caller.is_restricted
    return ["id"] if hidden or forwarded else []


def _user(caller: Caller) -> str:
    return "anonymous" if "anonymous" in caller.from_ else CALLER


def presented(invite: TracedMessage) -> tuple[str, str]:
    """Display name and user@host of From; the host is left out where it is an address."""
    name, _, rest = invite.header("From").partition("<sip:")
    user, _, host = rest.partition(">")[0].partition("@")
    host = host.partition(":")[0]
    return name.strip().strip('"'), user if host[:1].isdigit() else f"{user}@{host}"


@pytest.mark.parametrize("trusted", [False, True], ids=["target by URI", "trusted trunk"])
@pytest.mark.parametrize("caller", CALLERS)
async def test_dv22_every_combination(sipp: SippBench, caller: str, trusted: bool) -> None:
    party = CALLERS[caller]
    rows = combinations()
    callee = await sipp.callee("load_callee", calls=len(rows))
    trunk = TrunkConfig(name="carrier", uri=f"sip:127.0.0.1:{callee.port}", trusted=True)
    target: dict[str, Any] = (
        {"type": "phone", "number": "+15550100", "trunk": "carrier"}
        if trusted
        else {"type": "sip", "sipUri": callee.uri}
    )
    waiting = iter(rows)
    order: list[dict[str, Any]] = []

    def document(request: HookRequest) -> Answer:
        properties = next(waiting)
        order.append(properties)
        headers = {**properties.get("headers", {}), "X-Row": len(order) - 1}
        return Answer(document=[{"verb": "dial", "target": [target], **properties, "headers": headers}])

    config = lab_config(trunks=(trunk,) if trusted else ())
    async with WebApplication() as app, application_engine(app, base=config) as engine:
        app.on("/call", document)
        app.on("/dial")
        keys = {"from": party.from_, "privacy": party.privacy, "identity": f"P-Asserted-Identity: {ASSERTED}"}
        callers = await sipp.caller(
            "caller_with_identity", sip_address(engine), keys=keys, calls=len(rows), hold_ms=150
        )
        calling, called = await callers.finished(), await callee.finished()
    calling.assert_passed(len(rows))
    invites = {int(each.header("X-Row")): each for each in called.received("INVITE")}
    assert sorted(invites) == list(range(len(rows)))
    for row, properties in enumerate(order):
        invite = invites[row]
        says = f"{caller} {properties}\n{invite.text}"
        assert presented(invite) == expected_from(party, properties), says
        assert invite.headers("P-Asserted-Identity") == expected_identity(
            party, properties, trusted=trusted
        ), says
        assert invite.headers("Privacy") == expected_privacy(party, properties), says
        assert "5550199" not in invite.header("Contact") or not party.is_restricted


async def test_dv20_dv21_each_branch_has_its_own_headers_and_identifiers(sipp: SippBench) -> None:
    first, second = await sipp.callee("load_callee"), await sipp.callee("callee_rings_on")
    targets = [
        {"type": "sip", "sipUri": first.uri, "headers": {"X-Both": "mine", "X-First": "1"}},
        {"type": "sip", "sipUri": second.uri, "from": {"user": "desk", "host": "pbx.example.com"}},
    ]
    reserved = dict.fromkeys(("Via", "Call-ID", "CSeq", "Contact", "To", "Max-Forwards", "Route"), "evil")
    headers = {"X-Both": "all", "X-All": 7, **reserved}
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "dial", "target": targets, "headers": headers}])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=300)
        (await caller.finished()).assert_passed()
        one, two = await first.finished(), await second.finished()
    one.assert_passed()
    two.assert_passed()
    a, b = one.received("INVITE")[0], two.received("INVITE")[0]
    assert (a.headers("X-Both"), b.headers("X-Both")) == (["mine"], ["all"])
    assert (a.headers("X-First"), b.headers("X-First")) == (["1"], [])
    assert (a.headers("X-All"), b.headers("X-All")) == (["7"], ["7"])
    assert a.header("Call-ID") != b.header("Call-ID")
    assert a.header("From").partition("tag=")[2] != b.header("From").partition("tag=")[2]
    assert "sip:desk@pbx.example.com" in b.header("From")
    assert "desk" not in a.header("From")
    assert "evil" not in a.text + b.text, "DV-21: reserved headers are dropped"
