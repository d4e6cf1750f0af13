"""What the engine says about a call: the common properties of the hooks contract, section 3. Pure.

`CallFacts` is derived, never changed: `msgspec.structs.replace(facts, sip_status=180, ...)`. A hook's payload
is `facts.to_dict()` plus what that hook adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import msgspec
from msgspec import Struct, field

__all__ = [
    "POST_ONLY",
    "CallDirection",
    "CallFacts",
    "TerminatedBy",
    "first_hook",
    "interrupted",
    "interrupted_dial",
]

CallDirection = Literal["inbound", "outbound"]
TerminatedBy = Literal["caller", "jambonz"]

POST_ONLY = frozenset({"sip"})
"""Properties that do not travel in a query string."""


class CallFacts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The common properties of one leg, at one moment. What is empty or None is not sent."""

    call_sid: str
    direction: CallDirection
    from_: str = field(name="from")
    to: str
    call_id: str = ""
    sbc_callid: str = ""
    sip_status: int = 0
    sip_reason: str = ""
    sip_reason_header: str = ""
    """RFC 3326 Reason of the message that caused the change, as received."""
    call_status: str = ""
    caller_id: str = ""
    caller_name: str = ""
    account_sid: str = ""
    application_sid: str = ""
    trace_id: str = ""
    parent_call_sid: str = ""
    originating_sip_ip: str = ""
    originating_sip_trunk_name: str = ""
    call_termination_by: TerminatedBy | None = None
    """Terminal notification only."""
    duration: int | None = None
    """Whole seconds; `completed` only."""
    customer_data: Mapping[str, object] | None = field(name="customerData", default=None)
    """From `tag`; as given."""
    headers: Mapping[str, str] | None = None
    """SIP headers of the INVITE or BYE, where they matter."""
    fs_sip_address: str = ""
    fs_public_ip: str = ""
    api_base_url: str = ""

    def to_dict(self) -> dict[str, object]:
        """The properties that are set, under their names on the wire."""
        return cast("dict[str, object]", msgspec.to_builtins(self))

    def camel(self) -> dict[str, object]:
        """The same in camelCase, as the audio protocol wants them (WH-31); what is inside is left alone."""
        return {_camel(name): value for name, value in self.to_dict().items()}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def first_hook(
    facts: CallFacts,
    *,
    sip: Mapping[str, object] | None = None,
    defaults: Mapping[str, object] | None = None,
    env_vars: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The payload of the first hook of a call. `sip`: the INVITE as `{headers, body, method, uri}`."""
    payload = facts.to_dict()
    payload["defaults"] = dict(defaults or {})
    if sip:
        payload["sip"] = sip
    if env_vars:
        payload["env_vars"] = dict(env_vars)
    return payload


def interrupted(facts: CallFacts) -> CallFacts:
    """What the final call status hook says when this process did not live to see the end of the call: the
    payload to promise when a leg begins."""
    return msgspec.structs.replace(
        facts,
        call_status="failed",
        sip_status=500,
        sip_reason="Engine Restarted",
        call_termination_by="jambonz",
        duration=None,
    )


def interrupted_dial(facts: CallFacts) -> dict[str, object]:
    """The same for the `actionHook` of a dial (dial contract, 6.1): internal error, no branch to speak of."""
    return {
        **interrupted(facts).to_dict(),
        "dial_call_sid": "",
        "dial_status": "failed",
        "dial_call_status": "failed",
        "dial_sip_status": 500,
        "dial_sbc_callid": "",
        "dial_termination_reason": "all-failed",
        "dial_legs": [],
    }
