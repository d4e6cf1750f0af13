"""Section 3 of the hooks contract: what is said about a call, under which names."""

from __future__ import annotations

import msgspec

from engine.hooks import CallFacts, first_hook, interrupted, interrupted_dial

CALL = "e35d4edf-efd2-424c-8667-c6c5f53b1e1b"
ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"

FACTS = CallFacts(
    call_sid=CALL,
    direction="inbound",
    from_="+15550100",
    to="+15550101",
    call_id="b770aa5a-2776-123d-a6a1-0a1b2c3d4e5f",
    sip_status=200,
    sip_reason="OK",
    call_status="in-progress",
    account_sid=ACCOUNT,
)


def test_wh_section_3_only_what_is_known_is_sent_under_its_documented_name() -> None:
    assert FACTS.to_dict() == {
        "call_sid": CALL,
        "direction": "inbound",
        "from": "+15550100",
        "to": "+15550101",
        "call_id": "b770aa5a-2776-123d-a6a1-0a1b2c3d4e5f",
        "sip_status": 200,
        "sip_reason": "OK",
        "call_status": "in-progress",
        "account_sid": ACCOUNT,
    }


def test_wh_section_3_every_common_property_has_its_documented_name() -> None:
    everything = msgspec.structs.replace(
        FACTS,
        sbc_callid="1dfb7a86",
        sip_reason_header="Q.850;cause=16",
        caller_id="+15550100",
        caller_name="Alice",
        application_sid=ACCOUNT,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        parent_call_sid=CALL,
        originating_sip_ip="198.51.100.7",
        originating_sip_trunk_name="CarrierA",
        call_termination_by="jambonz",
        duration=0,
        customer_data={"orderId": 7},
        headers={"X-Reason": "test"},
        fs_sip_address="192.0.2.1:5060",
        fs_public_ip="192.0.2.1",
        api_base_url="https://dial.example.com/v1",
    )
    assert set(everything.to_dict()) == {
        *("call_sid", "direction", "from", "to", "call_id", "sbc_callid", "sip_status", "sip_reason"),
        *("sip_reason_header", "call_status", "caller_id", "caller_name", "account_sid", "application_sid"),
        *("trace_id", "parent_call_sid", "originating_sip_ip", "originating_sip_trunk_name"),
        *("call_termination_by", "duration", "customerData", "headers"),
        *("fs_sip_address", "fs_public_ip", "api_base_url"),
    }
    assert everything.to_dict()["duration"] == 0
    assert everything.to_dict()["customerData"] == {"orderId": 7}


def test_a_caller_without_a_number_is_still_said_to_be_one() -> None:
    facts = CallFacts(call_sid=CALL, direction="outbound", from_="", to="")
    assert facts.to_dict() == {"call_sid": CALL, "direction": "outbound", "from": "", "to": ""}


def test_wh31_call_properties_are_camel_case_and_customer_data_is_left_alone() -> None:
    facts = msgspec.structs.replace(
        FACTS, parent_call_sid=CALL, customer_data={"order_id": 7}, headers={"X-A_b": "1"}
    )
    assert facts.camel() == {
        "callSid": CALL,
        "direction": "inbound",
        "from": "+15550100",
        "to": "+15550101",
        "callId": "b770aa5a-2776-123d-a6a1-0a1b2c3d4e5f",
        "sipStatus": 200,
        "sipReason": "OK",
        "callStatus": "in-progress",
        "accountSid": ACCOUNT,
        "parentCallSid": CALL,
        "customerData": {"order_id": 7},
        "headers": {"X-A_b": "1"},
    }


def test_wh_section_3_the_first_hook_carries_the_invite_the_defaults_and_the_environment() -> None:
    sip = {
        "headers": {"x-tenant": "a"},
        "body": "v=0\r\n",
        "method": "INVITE",
        "uri": "sip:+15550101@example.com",
    }
    payload = first_hook(
        FACTS, sip=sip, defaults={"synthesizer": {"vendor": "espeak"}}, env_vars={"GREETING": "hello"}
    )
    assert payload["sip"] == sip
    assert payload["defaults"] == {"synthesizer": {"vendor": "espeak"}}
    assert payload["env_vars"] == {"GREETING": "hello"}
    assert payload["call_sid"] == CALL


def test_a_call_whose_process_died_is_reported_as_failed() -> None:
    facts = interrupted(msgspec.structs.replace(FACTS, duration=3)).to_dict()
    assert (facts["call_status"], facts["sip_status"], facts["call_termination_by"]) == (
        "failed",
        500,
        "jambonz",
    )
    assert "duration" not in facts
    dial = interrupted_dial(FACTS)
    assert (dial["dial_status"], dial["dial_call_status"], dial["dial_sip_status"]) == (
        "failed",
        "failed",
        500,
    )
    assert dial["dial_legs"] == []
