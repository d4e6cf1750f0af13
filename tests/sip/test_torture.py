"""The torture messages of RFC 4475 (SIP) and RFC 5118 (IPv6), one file each, against a table of what has to
happen.

The files are ours, written after the RFCs' descriptions with the same defects under the same names. Where an
RFC lets an element choose between refusing and understanding, the table says what this parser does.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import sipmessage

from engine.sip import build
from engine.sip.errors import ParseError
from engine.sip.events import IncomingCall
from engine.sip.message import Request, Response, parse_message
from engine.sip.multipart import split_multipart
from engine.sip.stack import SipStack
from engine.sip.types import Address, Flow, Listener, StackConfig, Transport

FOLDER = Path(__file__).parent / "torture"


class Refused(NamedTuple):
    """parse_message raises; a request can be answered with `status`."""

    field: str
    status: int = 400
    is_answerable: bool = True


class Defect(NamedTuple):
    """It parses and can be answered; asking for this field raises."""

    field: str
    status: int = 400


OK = None

EXPECTED: dict[str, Refused | Defect | None] = {
    # RFC 4475 §3.1.1: valid
    "wsinv": OK,
    "intmeth": OK,
    "esc01": OK,
    "escnull": OK,
    "esc02": OK,
    "lwsdisp": OK,
    "longreq": OK,
    "dblreq": OK,
    "semiuri": OK,
    "transports": OK,
    "mpart01": OK,
    "unreason": OK,
    "noreason": OK,
    # §3.1.2: invalid
    "badinv01": Defect("via"),
    "clerr": Refused("content-length"),
    "ncl": Refused("content-length"),
    "scalar02": Refused("cseq"),
    "scalarlg": Refused("cseq", is_answerable=False),
    "quotbal": Refused("to"),
    "ltgtruri": Defect("URI"),
    "lwsruri": Refused(""),
    "lwsstart": Refused(""),
    "trws": Refused(""),
    "escruri": OK,  # may be ignored: `without_headers`
    "baddate": OK,  # nothing here reads Date
    "regbadct": Defect("contact"),
    "badaspec": OK,  # what is meant is clear
    "baddn": OK,  # what is meant is clear
    "badvers": Refused("", 505),
    "mismatch01": Refused("cseq"),
    "mismatch02": Refused("cseq"),
    "bigcode": Refused("", is_answerable=False),
    # §3.2, §3.3, §3.4: valid or not, a matter of the layers above
    "badbranch": OK,
    "insuf": Refused("from"),
    "unkscm": Defect("URI", 416),
    "novelsc": Defect("URI", 416),
    "unksm2": OK,
    "bext01": OK,
    "invut": OK,
    "regaut01": OK,
    "multi01": Refused("call-id"),
    "mcl01": Refused("content-length"),
    "bcast": OK,
    "zeromf": OK,
    "cparam01": OK,
    "cparam02": OK,
    "regescrt": OK,
    "sdp01": OK,
    "inv2543": OK,
    # RFC 5118
    "v6-good": OK,
    "v6-bad": Defect("URI"),
    "v6-port-ambiguous": OK,
    "v6-port-unambiguous": OK,
    "v6-received-no-brackets": OK,
    "v6-received-brackets": OK,
    "v6-sdp": OK,
    "v6-multiple-addresses": OK,
    "v6-sdp-multiple": OK,
    "v6-mapped": OK,
    "v6-abnf-bug": OK,
}


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def request(name: str) -> Request:
    message = parse_message(read(name))
    assert isinstance(message, Request)
    return message


def response(name: str) -> Response:
    message = parse_message(read(name))
    assert isinstance(message, Response)
    return message


def test_every_file_is_in_the_table_and_the_other_way_round() -> None:
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_outcome_is_that_of_the_table(name: str) -> None:
    expected = EXPECTED[name]
    if isinstance(expected, Refused):
        with pytest.raises(ParseError) as caught:
            parse_message(read(name))
        assert (caught.value.field, caught.value.status) == (expected.field, expected.status)
        answer = build.error_response(caught.value, ("192.0.2.77", 5060), "t1")
        assert (answer is not None) is expected.is_answerable
        if answer is not None:
            assert answer.status == expected.status
            assert answer.to_bytes().startswith(b"SIP/2.0 %d " % expected.status)
        return
    message = parse_message(read(name))
    defect = message.defect()
    if expected is None:
        assert defect is None
    else:
        assert defect is not None
        assert (defect.field, defect.status) == (expected.field, expected.status)


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if expected is OK])
def test_what_is_written_again_says_the_same(name: str) -> None:
    message = parse_message(read(name))
    again = parse_message(message.to_bytes())
    assert again == message
    for accessor in ("call_id", "cseq", "from_", "to", "vias", "contacts", "routes", "record_routes"):
        assert getattr(again, accessor) == getattr(message, accessor)


def test_where_the_independent_judge_can_read_it_reads_the_same() -> None:
    judged = []
    for name, expected in EXPECTED.items():
        if expected is not OK:
            continue
        ours = parse_message(read(name))
        try:
            theirs = sipmessage.Message.parse(read(name))
            their_key = (theirs.call_id, theirs.cseq.sequence, theirs.cseq.method, theirs.via[0].transport)
        except (ValueError, KeyError, IndexError):
            continue  # it is stricter than a user agent may be
        assert (ours.call_id, ours.cseq.number, ours.cseq.method, ours.top_via.transport) == their_key
        judged.append(name)
    assert len(judged) >= 20
    assert {"longreq", "transports", "v6-good"} <= set(judged)


def test_wsinv_is_read_through_all_its_folding() -> None:
    message = request("wsinv")
    assert str(message.cseq) == "9 INVITE"
    assert message.max_forwards == 68
    assert message.from_.display_name == 'A Example \\"'
    assert message.from_.tag == message.from_tag == "98asjd8"
    assert message.to_tag == "1918181833n"
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.0.2.111", "z9hG4bK30239"),
    ]
    assert message.contacts[0].display_name == 'Quoted string ""'
    assert message.contacts[0].q == 0.33
    assert message.routes[0].sip_uri.is_loose_router
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.headers.get("Subject") == ""
    assert message.sdp is not None


def test_intmeth_keeps_the_oddest_method_and_every_octet_of_its_to() -> None:
    message = request("intmeth")
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.params.get("fromparam''~+*_!.-%") == "работающий"
    answer = build.response(message, 200, to_tag="t")
    assert b'"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f"' in answer.to_bytes()


def test_esc01_escapes_stay_as_they_are_and_mean_what_they_mean() -> None:
    message = request("esc01")
    uri = message.request_uri
    assert str(uri) == "sip:sips%3Auser%40example.com@example.net"
    assert message.to.sip_uri.decoded_user == "user"
    assert message.from_.sip_uri.decoded_user == "I have spaces"
    assert not message.contacts[0].sip_uri.is_loose_router  # %6C%72 is no lr: names are not unescaped


def test_escnull_nulls_in_escapes_are_characters_like_others() -> None:
    first, second = request("escnull").contacts
    assert (first.sip_uri.decoded_user, second.sip_uri.decoded_user) == ("\0", "\0\0")
    assert not first.sip_uri.is_equivalent(second.sip_uri)


def test_esc02_a_percent_in_a_name_or_method_is_no_escape() -> None:
    message = request("esc02")
    assert message.method == "RE%47IST%45R"
    assert message.to.display_name == "%Z%45"
    assert len(message.contacts) == 2


def test_lwsdisp_a_name_may_touch_its_bracket() -> None:
    assert request("lwsdisp").from_.display_name == "caller"


def test_longreq_has_34_vias() -> None:
    assert len(request("longreq").vias) == 34


def test_dblreq_the_second_message_in_the_datagram_is_cut_off() -> None:
    message = request("dblreq")
    assert message.body == b""
    assert len(message.to_bytes()) < len(read("dblreq"))


def test_semiuri_the_user_part_may_have_semicolons() -> None:
    uri = request("semiuri").request_uri
    assert (str(uri), getattr(uri, "host", None)) == (
        "sip:user;par=u%40example.net@example.com",
        "example.com",
    )
    assert getattr(uri, "decoded_user", None) == "user;par=u@example.net"


def test_transports_unknown_ones_included_are_read() -> None:
    assert [via.transport for via in request("transports").vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_has_two_parts_the_second_binary() -> None:
    message = request("mpart01")
    parts = split_multipart(message.headers.get("content-type") or "", message.body)
    assert [part.content_type for part in parts] == ["text/plain", "application/octet-stream"]
    assert parts[1].body == bytes(range(256))
    assert message.sdp is None


def test_unreason_and_noreason_phrases_are_kept() -> None:
    assert response("unreason").reason.startswith("= 2**3 * 5**2 но сто")
    assert response("noreason").reason == ""


def test_escruri_headers_of_a_request_uri_can_be_left_out() -> None:
    uri = request("escruri").request_uri
    assert getattr(uri, "headers", None) == (("Route", "%3Csip:example.com%3E"),)


def test_badaspec_and_baddn_are_understood() -> None:
    assert request("badaspec").to.uri == "sip:bob@example.org"
    assert request("baddn").from_.display_name == "Example, Alice"
    assert request("baddn").from_tag == "43"


def test_badbranch_the_cookie_alone_identifies_no_transaction() -> None:
    assert not request("badbranch").top_via.has_magic_cookie
    assert not request("inv2543").top_via.has_magic_cookie
    assert request("semiuri").top_via.has_magic_cookie


def test_bext01_and_zeromf_show_what_the_stack_has_to_act_on() -> None:
    assert request("bext01").require == {"nothingsupportsthis", "nothingsupportsthiseither"}
    assert request("zeromf").max_forwards == 0
    assert request("invut").content_type == "application/unknownformat"
    assert request("sdp01").headers.tokens("accept") == {"text/nobodyknowsthis"}


def test_cparam_parameters_belong_to_the_header_without_brackets_and_to_the_uri_within() -> None:
    outside, inside = request("cparam01").contacts[0], request("cparam02").contacts[0]
    assert "unknownparam" in outside.params
    assert "unknownparam" not in outside.sip_uri.params
    assert "unknownparam" in inside.sip_uri.params
    assert request("regescrt").contacts[0].sip_uri.headers == (("Route", "%3Csip:sip.example.com%3E"),)


def test_rfc_5118_a_port_inside_the_brackets_is_part_of_the_address() -> None:
    ambiguous, clear = request("v6-port-ambiguous").request_uri, request("v6-port-unambiguous").request_uri
    assert (getattr(ambiguous, "host", None), getattr(ambiguous, "port", 0)) == ("2001:db8::10:5070", None)
    assert (getattr(clear, "host", None), getattr(clear, "port", 0)) == ("2001:db8::10", 5070)


def test_rfc_5118_received_is_read_with_and_without_brackets() -> None:
    for name in ("v6-received-no-brackets", "v6-received-brackets"):
        assert request(name).top_via.received == "2001:db8::9:255"


def test_rfc_5118_mixed_and_mapped_addresses_are_read() -> None:
    hosts = [via.host for via in request("v6-multiple-addresses").vias]
    assert hosts == ["2001:db8::9:1", "192.0.2.1", "2001:db8::9:255"]
    via = request("v6-mapped").top_via
    assert (via.host, via.received, via.rport) == ("::ffff:192.0.2.10", "::ffff:192.0.2.2", 7100)
    assert getattr(request("v6-abnf-bug").request_uri, "host", None) == "2001:db8:::192.0.2.1"


FIRST_RESPONSE = {
    # what cannot be read, in RFC 4475's order; the version; the scheme; the extension; the body
    400: "clerr ncl scalar02 quotbal ltgtruri lwsruri lwsstart trws mismatch01 mismatch02 insuf multi01"
    " mcl01",
    505: "badvers",
    416: "unkscm novelsc",
    420: "bext01",
    415: "invut",
    # a dialog nobody knows
    481: "wsinv v6-multiple-addresses v6-received-no-brackets",
    # methods that are understood but not served here
    405: "intmeth escnull esc02 dblreq mpart01 regbadct unksm2 regaut01 cparam01 cparam02 regescrt"
    " v6-good v6-bad v6-port-ambiguous v6-port-unambiguous",
    # a call, however odd: fields nobody needs are garbled, the caller is from 1999, it accepts no SDP
    100: "esc01 longreq badinv01 escruri baddate sdp01 inv2543 v6-sdp v6-sdp-multiple v6-mapped",
    200: "lwsdisp semiuri transports badaspec baddn badbranch zeromf v6-received-brackets v6-abnf-bug",
    # responses to nothing
    0: "unreason noreason scalarlg bigcode bcast",
}
EXPECTED_STATUS = {name: status for status, names in FIRST_RESPONSE.items() for name in names.split()}


def test_every_message_has_its_response() -> None:
    assert set(EXPECTED_STATUS) == set(EXPECTED)


@pytest.mark.parametrize(("name", "status"), EXPECTED_STATUS.items())
def test_the_stack_answers_as_the_rfc_wants(name: str, status: int) -> None:
    here = Address("192.0.2.2", 5060)
    stack = SipStack(StackConfig(listeners=(Listener(Transport.UDP, here, here),)), lambda n: b"x" * n)
    stack.receive(read(name), Flow(Transport.UDP, here, Address("192.0.2.77", 5060)), 0.0)
    sent = [transmit.data.split(b" ", 2)[1] for transmit in stack.transmits()]
    assert sent == ([str(status).encode()] if status else [])
    calls = [event for event in stack.events() if isinstance(event, IncomingCall)]
    assert len(calls) == (status == 100)
    for event in calls:
        event.call.hang_up(1.0)
    while (at := stack.timeout()) is not None:
        stack.handle_timeout(at)
    assert stack.describe() == ""
