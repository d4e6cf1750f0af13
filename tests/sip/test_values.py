"""engine.sip.values and engine.sip.uri: forgiving reading, strict writing, round trips, comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sip.errors import ParseError
from engine.sip.syntax import NO_PARAMS, Params, is_token, parse_number, quote, split_list, unquote
from engine.sip.uri import SipUri, TelUri, escape_user, make_sip_uri, parse_uri, unescape
from engine.sip.values import (
    CSeq,
    NameAddr,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    Token,
    Via,
    find_branch,
    parse_seconds,
)

# --- syntax ---


@given(st.text())
def test_quoting_is_undone_by_unquoting(text: str) -> None:
    assert unquote(quote(text)) == text


@given(st.lists(st.text(min_size=1).map(quote), max_size=5))
def test_a_list_of_quoted_strings_is_split_where_it_was_joined(pieces: list[str]) -> None:
    assert split_list(" , ".join(pieces)) == pieces


def test_numbers_of_any_length_are_read_without_cost() -> None:
    assert parse_number("0" * 60000 + "7") == 7
    assert parse_number("9" * 60000) == 10**21 - 1
    assert parse_number("²") is None
    assert parse_number("") is None
    assert parse_number("-1") is None


def test_params_keep_spelling_and_are_found_without_case() -> None:
    params = Params.parse('LR;Foo="a;b" ; x = 1;;')
    assert params.get("lr") == ""
    assert params.get("foo") == "a;b"
    assert params.get("x") == "1"
    assert params.get("y") is None
    assert "foo" in params
    assert list(params) == [("LR", None), ("Foo", '"a;b"'), ("x", "1")]
    assert str(params) == ';LR;Foo="a;b";x=1'
    assert not NO_PARAMS


def test_params_are_derived_never_changed() -> None:
    params = Params.parse("a=1;b")
    assert str(params.with_value("a", "2")) == ";a=2;b"
    assert str(params.with_value("c", "two words")) == ';a=1;b;c="two words"'
    assert str(params.with_value("lr", None)) == ";a=1;b;lr"
    assert str(params.without("a")) == ";b"
    assert str(params) == ";a=1;b"
    with pytest.raises(ValueError, match="token"):
        params.with_value("a b", "1")
    with pytest.raises(ParseError, match="without a name"):
        Params.parse("=1")


# --- SIP URIs ---


@pytest.mark.parametrize(
    "text",
    [
        "sip:example.com",
        "sips:bob@example.com:5061",
        "sip:bob:secret@192.0.2.4",
        "sip:bob:@example.com",
        "sip:+15550100;phone-context=example.com@gw.example.com;user=phone",
        "sip:bob@[2001:db8::1]:5060;transport=tcp;lr",
        "sip:bob@example.com;method=INVITE?Subject=a%20b&Priority=urgent",
        "sip:my_host.example_x.com",
        "sip:%61lice@example.com",
        "sip:a?b/c@example.com",
    ],
)
def test_a_sip_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(SipUri.parse(text)) == text
    assert parse_uri(text) == SipUri.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@",
        "bob@example.com",
        "sip:bob@",
        "sip:a b@example.com",
        "sip:bob@example.com:x",
        "sip:[::1",
        "sip:[1]",
        "sip:bob@[::1]x",
        "sip:bob@example.com:65536",
        "sip:bob@exa<mple",
        "sip:2001:db8::1",
        "tel:1",
        "sip:bob@example.com\r\nX: 1",
        "sip:bob@example.com\x00",
        "sip:bob@exämple.com",
    ],
)
def test_what_is_no_sip_uri_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        SipUri.parse(text)


def test_a_user_that_is_an_unescaped_address_is_understood() -> None:
    uri = SipUri.parse("sip:alice@example.com@gw.example.net;transport=UDP")
    assert (uri.user, uri.host, uri.transport) == ("alice@example.com", "gw.example.net", "udp")


@pytest.mark.parametrize(
    ("left", "right"),
    [  # RFC 3261 §19.1.4
        ("sip:%61lice@example.com;transport=TCP", "sip:alice@EXAMPLE.com;Transport=tcp"),
        ("sip:carol@example.com", "sip:carol@example.com;newparam=5"),
        ("sip:carol@example.com", "sip:carol@example.com;security=on"),
        ("sip:carol@example.com;newparam=5", "sip:carol@example.com;security=on"),
        ("sip:bob@example.com:6000;transport=tcp;x=1", "sip:bob@example.com:6000;x=1;transport=tcp"),
        (
            "sip:alice@example.com?subject=project%20x&priority=urgent",
            "sip:alice@example.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_uris_the_rfc_calls_equal(left: str, right: str) -> None:
    assert SipUri.parse(left).is_equivalent(SipUri.parse(right))
    assert SipUri.parse(right).is_equivalent(SipUri.parse(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SIP:ALICE@example.com;Transport=udp", "sip:alice@example.com;Transport=UDP"),
        ("sip:bob@example.com", "sip:bob@example.com:5060"),
        ("sip:bob@example.com", "sip:bob@example.com;transport=udp"),
        ("sip:bob@example.com", "sip:bob@example.com:6000;transport=tcp"),
        ("sip:carol@example.com", "sip:carol@example.com?Subject=next%20meeting"),
        ("sip:bob@192.0.2.4", "sip:bob@example.com"),
        ("sip:carol@example.com;security=on", "sip:carol@example.com;security=off"),
        ("sip:bob@example.com", "sips:bob@example.com"),
        ("sip:bob:x@example.com", "sip:bob:y@example.com"),
        ("sip:bob@example.com", "sip:bob@example.com;maddr=192.0.2.1"),
    ],
)
def test_uris_the_rfc_calls_different(left: str, right: str) -> None:
    assert not SipUri.parse(left).is_equivalent(SipUri.parse(right))
    assert not SipUri.parse(right).is_equivalent(SipUri.parse(left))


def test_a_remote_target_has_no_headers_and_no_method() -> None:
    uri = SipUri.parse("sip:bob@example.com;method=INVITE;lr?Subject=x")
    assert str(uri.without_headers()) == "sip:bob@example.com;lr"
    plain = SipUri.parse("sips:bob@example.com")
    assert plain.without_headers() is plain
    assert plain.is_secure
    assert plain.transport is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_can_be_a_user(user: str) -> None:
    uri = make_sip_uri(user, "example.com", 5060, transport="tcp")
    again = SipUri.parse(str(uri))
    assert again == uri
    assert again.decoded_user == user
    assert unescape(escape_user(user)) == user


def test_a_made_uri_has_a_sound_host() -> None:
    assert str(make_sip_uri("", "2001:db8::1")) == "sip:[2001:db8::1]"
    for host in ("", "a b", "example.com\r\n", "a@b"):
        with pytest.raises(ValueError, match="host"):
            make_sip_uri("bob", host)


# --- tel URIs ---


def test_tel_uris_are_compared_without_separators() -> None:
    uri = TelUri.parse("tel:+1-555-0100;ext=7;isub=1")
    assert (uri.digits, uri.is_global, uri.params.get("ext")) == ("+15550100", True, "7")
    assert str(uri) == "tel:+1-555-0100;ext=7;isub=1"
    assert uri.is_equivalent(TelUri.parse("TEL:+1(555)0100;ISUB=1;ext=7"))
    assert not uri.is_equivalent(TelUri.parse("tel:+1-555-0100"))
    assert not uri.is_equivalent(TelUri.parse("tel:15550100;ext=7;isub=1"))
    assert parse_uri("tel:5550100;phone-context=+1") == TelUri.parse("tel:5550100;phone-context=+1")


@pytest.mark.parametrize(
    "text", ["tel:", "tel:+", "tel:hello world", "sip:+15550100@example.com", "tel:5550100 "]
)
def test_what_is_no_tel_uri_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        TelUri.parse(text)


def test_another_scheme_is_416_and_no_scheme_400() -> None:
    for text, status in (("mailto:bob@example.com", 416), ("bob", 400), ("<sip:bob@example.com>", 400)):
        with pytest.raises(ParseError) as caught:
            parse_uri(text)
        assert caught.value.status == status


# --- addresses ---


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("sip:a@example.com;tag=1", "", "sip:a@example.com", ";tag=1"),
        ("<sip:a@example.com;lr>;tag=1", "", "sip:a@example.com;lr", ";tag=1"),
        ('"A \\"B\\" <x>" <sip:a@example.com>', 'A "B" <x>', "sip:a@example.com", ""),
        ('""<sip:a@example.com>', "", "sip:a@example.com", ""),
        ("Jürgen, B. <sip:a@example.com>", "Jürgen, B.", "sip:a@example.com", ""),
        ("  a b  < sip:a@example.com > ; q = 0.5", "a b", "sip:a@example.com", ";q=0.5"),
        ('Bob "the" <sip:a@example.com>', 'Bob "the"', "sip:a@example.com", ""),
        ("<urn:service:sos>", "", "urn:service:sos", ""),
        ("tel:5550100", "", "tel:5550100", ""),
    ],
)
def test_addresses_are_read_as_peers_write_them(text: str, name: str, uri: str, params: str) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, address.uri, str(address.params)) == (name, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "< >",
        '"a" sip:a@example.com',
        '"a <sip:a@example.com>',
        "<sip:a@example.com",
        "<sip:a@b> x",
        "alice",
        '"a" b <sip:a@example.com>',
        "sip:a@b, sip:c@d",
        "sip:a@b?x=y",
        "sip:a b@c",
        "<sip:a@b>;=1",
        "sip:a@b>",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        NameAddr.parse(text, field="to")


def test_an_address_is_derived_never_changed() -> None:
    address = NameAddr("sip:a@example.com", "Alice Example")
    assert address.tag is None
    assert str(address.with_tag("x1")) == "Alice Example <sip:a@example.com>;tag=x1"
    assert address.sip_uri.user == "a"
    assert str(NameAddr("sip:a@example.com", " a")) == '" a" <sip:a@example.com>'


@pytest.mark.parametrize(
    ("q", "value"), [("0.7", 0.7), ("1.000", 1.0), ("9", 1.0), ("x", 1.0), (".", 1.0), ("²", 1.0)]
)
def test_q_is_between_zero_and_one(q: str, value: float) -> None:
    assert NameAddr.parse(f"<sip:a@b>;q={q}").q == value


token = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=10)
params = st.lists(
    st.tuples(
        token, st.one_of(st.none(), token, st.text(st.characters(exclude_categories=["Cs"])).map(quote))
    ),
    max_size=4,
).map(lambda items: Params(tuple(items)))
hosts = st.sampled_from(["example.com", "192.0.2.1", "2001:db8::1", "a_b"])
ports = st.one_of(st.none(), st.integers(0, 65535))


@given(st.text(st.characters(exclude_categories=["Cs"])), params)
def test_any_display_name_survives(name: str, parameters: Params) -> None:
    address = NameAddr("sip:a@example.com", name, parameters)
    assert NameAddr.parse(str(address)) == address


@given(token, hosts, ports, params)
def test_any_via_survives(transport: str, host: str, port: int | None, parameters: Params) -> None:
    via = Via(transport, host, port, parameters)
    assert Via.parse(str(via)) == via


@given(token, hosts, ports, st.sampled_from(["sip", "sips"]))
def test_any_sip_uri_survives(user: str, host: str, port: int | None, scheme: str) -> None:
    uri = SipUri(host, user, port, scheme=scheme)
    assert SipUri.parse(str(uri)) == uri


# --- Via ---


def test_a_via_may_have_white_space_where_the_grammar_has_it() -> None:
    via = Via.parse(
        "SIP / 2.0 / UDP first.example.com : 4000 ;ttl=16 ;maddr=192.0.2.2 ;branch= z9hG4bKa7c6a8dlze.1"
    )
    assert (via.transport, via.host, via.port, via.branch) == (
        "UDP",
        "first.example.com",
        4000,
        "z9hG4bKa7c6a8dlze.1",
    )
    assert via.params.get("maddr") == "192.0.2.2"
    assert Via.parse("SIP/2.0/TCP\t[2001:db8::1]").host == "2001:db8::1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 example.com",
        "HTTP/1.1/TCP a",
        "SIP/2.0/ a",
        "SIP/2.0/UDP a:b",
        "SIP/2.0/U,P a",
        ";",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP :5060",
    ],
)
def test_what_is_no_via_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


@pytest.mark.parametrize(
    ("text", "rport", "wants"), [("", None, False), (";rport", None, True), (";rport=5", 5, True)]
)
def test_rport_with_and_without_value(text: str, rport: int | None, wants: bool) -> None:
    via = Via.parse(f"SIP/2.0/UDP a{text}")
    assert (via.rport, via.wants_rport) == (rport, wants)
    assert Via.parse("SIP/2.0/UDP a;rport=99999").rport is None


# --- the small ones ---


@pytest.mark.parametrize(
    "value",
    [
        CSeq(0, "INVITE"),
        CSeq(2**32 - 1, "FOO"),
        RAck(1, 2, "INVITE"),
        Reason("SIP", 200, 'Call "completed" elsewhere'),
        Reason("Q.850", None),
        RetryAfter(5),
        RetryAfter(5, "a (b) c", Params.parse("duration=60")),
        SessionExpires(90, "uas"),
        SessionExpires(1800),
        Replaces("12345@192.0.2.1", "a", "b", is_early_only=True),
        Replaces("12345@192.0.2.1", "a", "b"),
        Token("refer", Params.parse("id=1")),
    ],
)
def test_small_values_survive(
    value: CSeq | RAck | Reason | RetryAfter | SessionExpires | Replaces | Token,
) -> None:
    assert type(value).parse(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "INVITE", "1", "x INVITE", "-1 INVITE", "4294967296 INVITE", "1 IN VITE", "1 I,"]
)
def test_what_is_no_cseq_is_refused(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        CSeq.parse(text)
    assert caught.value.field == "cseq"


def test_other_small_refusals_name_their_field() -> None:
    for parse, text, field in (
        (RAck.parse, "1 2", "rack"),
        (Reason.parse, ";cause=1", "reason"),
        (RetryAfter.parse, "5 (open", "retry-after"),
        (RetryAfter.parse, "soon", "retry-after"),
        (SessionExpires.parse, "x", "session-expires"),
        (Replaces.parse, "1;to-tag=2", "replaces"),
    ):
        with pytest.raises(ParseError) as caught:
            parse(text)
        assert caught.value.field == field
    assert parse_seconds(" 99999999999 ", "expires") == 2**32 - 1
    assert Reason.parse("SIP;cause=abc").cause is None
    assert RetryAfter.parse("7;duration=3").params.get("duration") == "3"


def test_is_token() -> None:
    assert is_token("INVITE")
    assert is_token("a-.!%*_+`'~9")
    assert not is_token("")
    assert not is_token("é")
    assert not is_token("a b")


def test_what_was_read_before_is_recalled_and_long_texts_are_read_anew() -> None:
    short = "sip:bob@example.com;transport=tcp"
    assert SipUri.parse(short) is SipUri.parse(short)
    long = f"sip:{'b' * 300}@example.com"
    assert SipUri.parse(long) == SipUri.parse(long)
    assert SipUri.parse(long) is not SipUri.parse(long)
    for _ in range(2):
        with pytest.raises(ParseError):
            SipUri.parse("sip:")


_VIA_TEXTS = st.text(alphabet=';= \t"brancBRANCHhx1:/,.\x0b\xe9', max_size=30)


@given(_VIA_TEXTS, st.sampled_from(("SIP/2.0/UDP 192.0.2.1:5060", "SIP / 2.0 / UDP a", "SIP/2.0/UDP", "x")))
def test_a_branch_that_is_found_is_the_one_the_whole_via_has(params: str, head: str) -> None:
    text = f"{head};{params}"
    try:
        found = find_branch(text)
    except ParseError:
        with pytest.raises(ParseError):
            Via.parse(text)
        return
    if found is not None:
        assert (Via.parse(text).branch or "") == found


def test_the_usual_via_needs_no_reading_for_its_branch() -> None:
    usual = "SIP/2.0/UDP 192.0.2.1:5060;rport=5062;branch=z9hG4bKone;received=192.0.2.9"
    assert find_branch(usual) == "z9hG4bKone"
    assert find_branch("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone") == "z9hG4bKone"
    assert find_branch("SIP/2.0/UDP 192.0.2.1;xbranch=z9hG4bKone") is None
    assert find_branch("SIP/2.0/UDP 192.0.2.1") is None
