"""engine.sip.digest: published vectors, choice among challenges, nonce counts, refusals, the server's
side."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sip import build
from engine.sip.digest import (
    ALGORITHMS,
    Credentials,
    DigestClient,
    DigestResponse,
    compute_response,
    make_challenge,
    next_nonce,
    parse_challenges,
    strongest,
    verify,
)
from engine.sip.errors import ParseError
from engine.sip.headers import Headers
from engine.sip.message import Response

BOB = Credentials("bob", "zanzibar")
URI = "sip:bob@biloxi.example.com"


def entropy(n: int) -> bytes:
    return bytes(range(n))


def challenged(*values: str, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, "Unauthorized", Headers.from_lines([f"{name}: {value}" for value in values]))


# --- vectors ---

rfc_7616 = partial(
    compute_response,
    realm="http-auth@example.org",
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    method="GET",
    uri="/dir/index.html",
    qop="auth",
    nc="00000001",
    cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
)
rfc_2617 = partial(
    compute_response,
    realm="testrealm@host.com",
    nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
    method="GET",
    uri="/dir/index.html",
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("md5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("sha-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_3_9_1(algorithm: str, response: str) -> None:
    credentials = Credentials("Mufasa", "Circle of Life")
    assert rfc_7616(ALGORITHMS[algorithm], credentials) == response


def test_sha_512_256_is_that_of_fips_180_4_and_not_a_cut_sha_512() -> None:
    # RFC 7616 §3.9.2 as corrected by its erratum 4897.
    expected = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    sha_512_256 = ALGORITHMS["sha-512-256"]
    assert sha_512_256.hash("Jäsøn Doe:api@example.org") == expected
    response = compute_response(
        sha_512_256,
        Credentials("Jäsøn Doe", "Secret, or not?"),
        realm="api@example.org",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        method="GET",
        uri="/doe.json",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_rfc_2617_and_rfc_2069() -> None:
    md5 = ALGORITHMS["md5"]
    circle = Credentials("Mufasa", "Circle Of Life")
    new = rfc_2617(md5, circle, qop="auth", nc="00000001", cnonce="0a4f113b")
    assert new == "6629fae49393a05397450978507c4ef1"
    old = rfc_2617(md5, Credentials("Mufasa", "CircleOfLife"))
    assert old == "1949323746fe6a43ef61f9606e7febea"


BODY = "\r\n".join(
    [
        "v=0",
        "o=bob 2890844526 2890844526 IN IP4 media.biloxi.com",
        "s=-",
        "c=IN IP4 media.biloxi.com",
        "t=0 0",
        "m=audio 49170 RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000",
        "m=video 51372 RTP/AVP 31",
        "a=rtpmap:31 H261/90000",
        "m=video 53000 RTP/AVP 32",
        "a=rtpmap:32 MPV/90000",
        "",
    ]
).encode()


@pytest.mark.parametrize(
    ("algorithm", "qop", "response"),
    [  # the SIP examples of draft-smith-sipping-auth-examples-01
        ("md5", "", "bf57e4e0d0bffc0fbaedce64d59add5e"),
        ("md5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
        ("md5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
        ("md5", "auth-int", "bdbeebb2da6adb6bca02599c2239e192"),
        ("md5-sess", "auth-int", "91984da2d8663716e91554859c22ca70"),
    ],
)
def test_sip_vectors(algorithm: str, qop: str, response: str) -> None:
    computed = compute_response(
        ALGORITHMS[algorithm],
        BOB,
        realm="biloxi.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        method="INVITE",
        uri="sip:bob@biloxi.com",
        qop=qop,
        nc="00000001",
        cnonce="0a4f113b",
        body=BODY,
    )
    assert computed == response


# --- challenges ---


def test_the_strongest_challenge_we_can_answer_is_chosen() -> None:
    response = challenged(
        'Digest realm="r", nonce="1", algorithm=MD5',
        'Digest realm="r", nonce="2", algorithm=SHA-512-256, qop="future"',
        'Digest realm="r", nonce="3", algorithm="sha-256", qop="auth,auth-int"',
        'Digest realm="r", nonce="4", algorithm=SHA-3',
        'Basic realm="r"',
    )
    assert [challenge.nonce for challenge in parse_challenges(response)] == ["1", "3"]
    chosen = strongest(parse_challenges(response))
    assert chosen is not None
    assert (chosen.algorithm.name, chosen.qop) == ("SHA-256", "auth")
    assert strongest([]) is None


def test_several_challenges_on_one_line_are_read() -> None:
    response = challenged(
        'Digest realm="a, b", nonce="1", qop="auth" , Basic realm="x", Digest realm="c",nonce="2"'
    )
    assert [(c.realm, c.nonce, c.qop) for c in parse_challenges(response)] == [
        ("a, b", "1", "auth"),
        ("c", "2", ""),
    ]


@pytest.mark.parametrize(
    "line",
    [
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r, nonce=n',
        "Digest",
        "",
        'Digest realm="r\x01", nonce="n"',
        "NoOneKnowsThisScheme opaque-data=here",
    ],
)
def test_a_challenge_that_cannot_be_answered_is_passed_over(line: str) -> None:
    assert parse_challenges(challenged(line)) == []
    assert not DigestClient(BOB, entropy=entropy).challenge(challenged(line))


def test_auth_int_is_taken_when_it_is_all_there_is() -> None:
    (challenge,) = parse_challenges(challenged('Digest realm="r",nonce="n",qop="auth-int"'))
    assert challenge.qop == "auth-int"


# --- the client ---


def test_nothing_is_sent_before_a_challenge() -> None:
    assert DigestClient(BOB, entropy=entropy).authorize("INVITE", URI) == []


def test_nc_counts_the_uses_of_a_nonce() -> None:
    client = DigestClient(BOB, entropy=entropy)
    assert client.challenge(challenged(make_challenge("r", "n1")))
    for count in (1, 2, 3):
        ((name, value),) = client.authorize("INVITE", URI)
        answer = DigestResponse.parse(value)
        assert name == "Authorization"
        assert answer.nc == f"{count:08x}"
        assert answer.cnonce == "0001020304050607"


def test_a_stale_nonce_is_answered_and_a_refusal_is_not() -> None:
    client = DigestClient(BOB, entropy=entropy)
    assert client.challenge(challenged(make_challenge("r", "n1")))
    client.authorize("INVITE", URI)
    assert client.challenge(challenged(make_challenge("r", "n2", stale=True)))
    ((_, value),) = client.authorize("INVITE", URI)
    assert DigestResponse.parse(value).nc == "00000001"
    assert DigestResponse.parse(value).nonce == "n2"
    assert not client.challenge(challenged(make_challenge("r", "n2", stale=True)))
    assert not client.challenge(challenged(make_challenge("r", "n3")))


def test_after_success_a_new_challenge_is_no_refusal_and_nextnonce_counts_from_one() -> None:
    client = DigestClient(BOB, entropy=entropy)
    client.challenge(challenged(make_challenge("r", "n1")))
    client.authorize("INVITE", URI)
    client.accepted(Response(200, "OK", Headers([("Authentication-Info", 'qop=auth, nextnonce="n2"')])))
    ((_, value),) = client.authorize("BYE", URI)
    assert (DigestResponse.parse(value).nonce, DigestResponse.parse(value).nc) == ("n2", "00000001")
    client.accepted(Response(200, "OK", Headers()))
    assert client.challenge(challenged(make_challenge("r", "n3")))


@pytest.mark.parametrize("value", ['nextnonce="open', "qop=auth", 'nextnonce="\x01"', ""])
def test_an_unusable_authentication_info_has_no_nextnonce(value: str) -> None:
    assert next_nonce(Response(200, "OK", Headers.from_lines([f"Authentication-Info: {value}"]))) is None


def test_proxy_and_server_are_answered_side_by_side() -> None:
    client = DigestClient(BOB, entropy=entropy)
    assert client.challenge(challenged(make_challenge("proxy", "n1", opaque='o"o'), status=407))
    client.authorize("INVITE", URI)
    assert client.challenge(challenged(make_challenge("server", "n2")))
    fields = dict(client.authorize("INVITE", URI))
    assert DigestResponse.parse(fields["Proxy-Authorization"]).opaque == 'o"o'
    assert DigestResponse.parse(fields["Authorization"]).realm == "server"


def test_credentials_of_a_realm_go_before_those_for_any() -> None:
    client = DigestClient(Credentials("any", "x"), Credentials("own", "y", "r"), entropy=entropy)
    client.challenge(challenged(make_challenge("r", "n"), make_challenge("other", "n")))
    names = [DigestResponse.parse(value).username for _, value in client.authorize("INVITE", URI)]
    assert names == ["own", "any"]
    assert not DigestClient(Credentials("own", "y", "r"), entropy=entropy).challenge(
        challenged(make_challenge("other", "n"))
    )


# --- both sides ---

text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)


@given(
    username=text.filter(bool),
    password=text,
    realm=text.filter(bool),
    algorithm=st.sampled_from([algorithm.name for algorithm in ALGORITHMS.values()]),
    qop=st.sampled_from(["", "auth", "auth-int", "auth,auth-int"]),
    body=st.binary(max_size=20),
)
def test_what_the_client_answers_the_server_accepts(
    username: str, password: str, realm: str, algorithm: str, qop: str, body: bytes
) -> None:
    credentials = Credentials(username, password)
    client = DigestClient(credentials, entropy=entropy)
    assert client.challenge(challenged(make_challenge(realm, "n", algorithm=algorithm, qop=qop)))
    fields = client.authorize("INVITE", URI, body)
    request = build.request("INVITE", URI, fields, body)
    answer = DigestResponse.parse(request.headers.get("authorization") or "")
    assert (answer.username, answer.realm) == (username, realm)
    assert verify(answer, credentials, request)
    assert not verify(answer, Credentials(username, password + "x"), request)
    assert not verify(answer, Credentials(username + "x", password), request)
    other_body = build.request("INVITE", URI, fields, body + b"x")
    assert verify(answer, credentials, other_body) is (answer.qop != "auth-int")


@pytest.mark.parametrize(
    "value",
    [
        "Basic YWxpY2U6c2VjcmV0",
        "Digest",
        'Digest username="bob"',
        'Digest username="bob',
        'Digest username="a",realm="r",nonce="n",uri="u",response="x",algorithm=SHA-3',
    ],
)
def test_an_unreadable_authorization_is_refused(value: str) -> None:
    with pytest.raises(ParseError, match=r"authorization|quoted"):
        DigestResponse.parse(value)


def test_a_challenge_names_its_algorithm_and_an_unknown_one_is_our_mistake() -> None:
    value = make_challenge('a "b"', "n", algorithm="md5", qop="auth,auth-int", stale=True)
    assert value == r'Digest realm="a \"b\"", nonce="n", stale=true, algorithm=MD5, qop="auth,auth-int"'
    with pytest.raises(KeyError):
        make_challenge("r", "n", algorithm="ROT13")
