"""Digest authentication in SIP: RFC 3261 §22 with RFC 7616 and RFC 8760. Both sides, no state but nonce
counts.

    digest = DigestClient(Credentials("bob", "zanzibar"), entropy=entropy)
    if digest.challenge(response):                              # a 401 or 407 we can answer
        fields = digest.authorize("INVITE", uri, body)          # [(header field name, value), ...]

Facts about the field:

- A response may carry several challenges, in several header lines or, against the grammar, on one. The
  strongest one we can answer is answered (RFC 8760 §2.4); unknown algorithms and qops are passed over.
- `algorithm` may be absent (MD5), quoted (against the grammar) and in any case; `qop` lists come with spaces.
- nc counts the requests sent with one nonce, from 00000001. It restarts with each new nonce.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import msgspec

from engine.sip.errors import ParseError
from engine.sip.message import Request, Response
from engine.sip.syntax import quote, split_outside, unquote

__all__ = [
    "Algorithm",
    "Challenge",
    "Credentials",
    "DigestClient",
    "DigestResponse",
    "compute_response",
    "make_challenge",
    "next_nonce",
    "parse_challenges",
    "strongest",
    "verify",
]

Entropy = Callable[[int], bytes]
"""n → n unpredictable bytes. The core has no randomness of its own."""


class Algorithm(msgspec.Struct, frozen=True):
    """One row of RFC 8760 §2.2, weakest first in `ALGORITHMS`."""

    name: str
    hash_name: str
    """For hashlib.new."""
    is_session: bool = False

    def hash(self, text: str | bytes) -> str:
        """Lower-case hexadecimal."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return hashlib.new(self.hash_name, data, usedforsecurity=False).hexdigest()


ALGORITHMS = {
    algorithm.name.lower(): algorithm
    for algorithm in (
        Algorithm("MD5", "md5"),
        Algorithm("MD5-sess", "md5", is_session=True),
        Algorithm("SHA-256", "sha256"),
        Algorithm("SHA-256-sess", "sha256", is_session=True),
        Algorithm("SHA-512-256", "sha512_256"),
        Algorithm("SHA-512-256-sess", "sha512_256", is_session=True),
    )
}
_STRENGTH = {name: rank for rank, name in enumerate(ALGORITHMS)}


class Credentials(msgspec.Struct, frozen=True):
    """Who we are. `realm` "" answers any realm."""

    username: str
    password: str
    realm: str = ""


class Challenge(msgspec.Struct, frozen=True):
    """One Digest challenge (WWW-Authenticate or Proxy-Authenticate)."""

    realm: str
    nonce: str
    algorithm: Algorithm
    qop: str = ""
    """"auth", "auth-int", or "" for RFC 2069 style: the one we will use."""
    opaque: str | None = None
    is_stale: bool = False
    """The credentials were right, only the nonce was old (RFC 7616 §3.3): try again without asking
    anybody."""
    is_proxy: bool = False
    """From a 407: the answer goes into Proxy-Authorization."""


class DigestResponse(msgspec.Struct, frozen=True):
    """The parameters of an Authorization or Proxy-Authorization field as received."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str | None = None

    @classmethod
    def parse(cls, text: str) -> DigestResponse:
        """ParseError if it is not Digest, or lacks what RFC 7616 §3.4 requires."""
        scheme, _, rest = text.strip().partition(" ")
        if scheme.lower() != "digest":
            raise ParseError(f"scheme {scheme[:20]!r} is not Digest", field="authorization")
        values = _parameters(rest)
        algorithm = ALGORITHMS.get(values.get("algorithm", "md5").lower())
        if algorithm is None:
            raise ParseError("unknown algorithm", field="authorization")
        missing = [name for name in ("username", "realm", "nonce", "uri", "response") if name not in values]
        if missing:
            raise ParseError(f"lacks {', '.join(missing)}", field="authorization")
        return cls(
            values["username"],
            values["realm"],
            values["nonce"],
            values["uri"],
            values["response"].lower(),
            algorithm,
            values.get("qop", "").lower(),
            values.get("nc", ""),
            values.get("cnonce", ""),
            values.get("opaque"),
        )


def compute_response(
    algorithm: Algorithm,
    credentials: Credentials,
    *,
    realm: str,
    nonce: str,
    method: str,
    uri: str,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """The `response` value: RFC 7616 §3.4.1 to §3.4.3; without qop as in RFC 2069."""
    hash_ = algorithm.hash
    a1 = hash_(f"{credentials.username}:{realm}:{credentials.password}")
    if algorithm.is_session:
        a1 = hash_(f"{a1}:{nonce}:{cnonce}")
    a2 = hash_(f"{method}:{uri}:{hash_(body)}" if qop == "auth-int" else f"{method}:{uri}")
    if not qop:
        return hash_(f"{a1}:{nonce}:{a2}")
    return hash_(f"{a1}:{nonce}:{nc}:{cnonce}:{qop}:{a2}")


def parse_challenges(response: Response) -> list[Challenge]:
    """Every Digest challenge we can answer, in the order received; the others are passed over."""
    challenges = []
    for name, is_proxy in (("www-authenticate", False), ("proxy-authenticate", True)):
        for line in response.headers.get_all(name):
            for text in _split_challenges(line):
                challenge = _parse_challenge(text, is_proxy)
                if challenge is not None:
                    challenges.append(challenge)
    return challenges


def strongest(challenges: list[Challenge]) -> Challenge | None:
    """The challenge with the strongest algorithm; the first of equals; None of none."""
    return max(challenges, key=lambda challenge: _STRENGTH[challenge.algorithm.name.lower()], default=None)


def next_nonce(response: Response) -> str | None:
    """The nextnonce of Authentication-Info or Proxy-Authentication-Info (RFC 7616 §3.5)."""
    for name in ("authentication-info", "proxy-authentication-info"):
        value = response.headers.get(name)
        if value and _is_sound(value) and (nonce := _parameters(value).get("nextnonce")):
            return nonce
    return None


class _Session(msgspec.Struct):
    """One protection space we have an answer for: the challenge and how often its nonce was used."""

    challenge: Challenge
    credentials: Credentials
    cnonce: str
    count: int = 0
    awaits_verdict: bool = False


def _is_refusal(challenge: Challenge, answered: Challenge) -> bool:
    """A challenge that follows an answer, and not because the nonce was old: the password is wrong."""
    return challenge.nonce == answered.nonce or not challenge.is_stale


class DigestClient:
    """Answers challenges for one call or registration: keeps nonces, counts their use, follows nextnonce.

    Each realm of each side (401, 407) is a protection space of its own, so a request may carry several
    answers.
    """

    __slots__ = ("_credentials", "_entropy", "_sessions")

    def __init__(self, *credentials: Credentials, entropy: Entropy) -> None:
        self._credentials = credentials
        self._entropy = entropy
        self._sessions: dict[tuple[bool, str], _Session] = {}

    def challenge(self, response: Response) -> bool:
        """Take the challenges of a 401 or 407; whether it makes sense to send the request again.

        It does not if there is no challenge we can answer, or if the same nonce (or a new one that is not
        said to be stale) comes back after our answer: then the password is wrong.
        """
        by_realm: dict[tuple[bool, str], list[Challenge]] = {}
        for challenge in parse_challenges(response):
            by_realm.setdefault((challenge.is_proxy, challenge.realm), []).append(challenge)
        has_new = False
        for space, challenges in by_realm.items():
            chosen = strongest(challenges)
            credentials = self._credentials_for(space[1])
            if chosen is None or credentials is None:
                continue
            session = self._sessions.get(space)
            if session and session.awaits_verdict and _is_refusal(chosen, session.challenge):
                return False
            self._sessions[space] = _Session(chosen, credentials, self._entropy(8).hex())
            has_new = True
        return has_new

    def accepted(self, response: Response) -> None:
        """A request with our answer was accepted: a later challenge is no refusal; nextnonce is taken
        over."""
        nonce = next_nonce(response)
        for session in self._sessions.values():
            session.awaits_verdict = False
            if nonce is not None:
                session.challenge = msgspec.structs.replace(session.challenge, nonce=nonce, is_stale=False)
                session.cnonce = self._entropy(8).hex()
                session.count = 0

    def authorize(self, method: str, uri: str, body: bytes = b"") -> list[tuple[str, str]]:
        """Header fields (name, value) for the next request; none before the first challenge.

        `uri`: the Request-URI. For an ACK of a 2xx use the INVITE's fields again (§22.1).
        """
        return [self._answer(session, method, uri, body) for session in self._sessions.values()]

    def _credentials_for(self, realm: str) -> Credentials | None:
        exact = (c for c in self._credentials if c.realm == realm)
        return next(exact, next((c for c in self._credentials if not c.realm), None))

    def _answer(self, session: _Session, method: str, uri: str, body: bytes) -> tuple[str, str]:
        challenge, credentials = session.challenge, session.credentials
        session.count += 1
        session.awaits_verdict = True
        nc = f"{session.count:08x}"
        response = compute_response(
            challenge.algorithm,
            credentials,
            realm=challenge.realm,
            nonce=challenge.nonce,
            method=method,
            uri=uri,
            qop=challenge.qop,
            nc=nc,
            cnonce=session.cnonce,
            body=body,
        )
        parts = [
            f"username={quote(credentials.username)}",
            f"realm={quote(challenge.realm)}",
            f"nonce={quote(challenge.nonce)}",
            f"uri={quote(uri)}",
            f'response="{response}"',
            f"algorithm={challenge.algorithm.name}",
        ]
        if challenge.qop:
            parts += [f"qop={challenge.qop}", f"nc={nc}"]
        if challenge.qop or challenge.algorithm.is_session:
            parts.append(f"cnonce={quote(session.cnonce)}")
        if challenge.opaque is not None:
            parts.append(f"opaque={quote(challenge.opaque)}")
        name = "Proxy-Authorization" if challenge.is_proxy else "Authorization"
        return name, "Digest " + ", ".join(parts)


def make_challenge(
    realm: str,
    nonce: str,
    *,
    algorithm: str = "SHA-256",
    qop: str = "auth",
    opaque: str | None = None,
    stale: bool = False,
) -> str:
    """The value of a WWW-Authenticate or Proxy-Authenticate field. One field for each algorithm, the
    preferred one first (RFC 8760 §2.3). KeyError on an unknown algorithm."""
    parts = [f"realm={quote(realm)}", f"nonce={quote(nonce)}"]
    if opaque is not None:
        parts.append(f"opaque={quote(opaque)}")
    if stale:
        parts.append("stale=true")
    parts.append(f"algorithm={ALGORITHMS[algorithm.lower()].name}")
    if qop:
        parts.append(f'qop="{qop}"')
    return "Digest " + ", ".join(parts)


def verify(answer: DigestResponse, credentials: Credentials, request: Request) -> bool:
    """Whether `answer`, found in `request`, proves knowledge of the password.

    The caller has checked that realm and nonce are its own, that the nonce is fresh and that nc has grown;
    the `uri` of the answer is what counts, proxies may have changed the Request-URI (RFC 3261 §22.4).
    """
    if answer.username != credentials.username or answer.qop not in ("", "auth", "auth-int"):
        return False
    expected = compute_response(
        answer.algorithm,
        credentials,
        realm=answer.realm,
        nonce=answer.nonce,
        method=request.method,
        uri=answer.uri,
        qop=answer.qop,
        nc=answer.nc,
        cnonce=answer.cnonce,
        body=request.body,
    )
    return hmac.compare_digest(expected.encode(), answer.response.encode("utf-8", "surrogateescape"))


def _parameters(text: str) -> dict[str, str]:
    """`name=value, name="value"` → names in lower case, values unquoted. ParseError if a quote does not
    end."""
    values: dict[str, str] = {}
    for piece in split_outside(text, ","):
        name, equals, value = piece.partition("=")
        if equals:
            values.setdefault(name.strip().lower(), unquote(value.strip()))
    return values


def _is_sound(line: str) -> bool:
    """Whether every quoted string ends and nothing in it is a control character, which we could not send
    back."""
    if not line.isprintable() and any(character < " " or character == "\x7f" for character in line):
        return False
    try:
        split_outside(line, ",")
    except ParseError:
        return False
    return True


def _split_challenges(line: str) -> list[str]:
    """The challenges of one field line. Usually one; a piece such as `Digest realm=...` begins another."""
    challenges: list[list[str]] = []
    if not _is_sound(line):
        return []
    for piece in split_outside(line, ","):
        first_word = piece.split("=", 1)[0].split()
        if len(first_word) == 2 or not challenges:
            challenges.append([])
        challenges[-1].append(piece)
    return [",".join(challenge).strip() for challenge in challenges]


def _parse_challenge(text: str, is_proxy: bool) -> Challenge | None:
    """None for another scheme, an unknown algorithm, only unknown qops, or no realm or nonce."""
    scheme, _, rest = text.partition(" ")
    if scheme.lower() != "digest":
        return None
    values = _parameters(rest)
    algorithm = ALGORITHMS.get(values.get("algorithm", "md5").lower())
    if algorithm is None or "nonce" not in values or "realm" not in values:
        return None
    qop = ""
    if "qop" in values:
        offered = [option.strip().lower() for option in values["qop"].split(",")]
        # auth-int binds the body, which every SIP middlebox with media functions rewrites: auth if there is
        # a choice.
        chosen = next((option for option in ("auth", "auth-int") if option in offered), None)
        if chosen is None and any(offered):
            return None
        qop = chosen or ""
    is_stale = values.get("stale", "").lower() == "true"
    return Challenge(
        values["realm"], values["nonce"], algorithm, qop, values.get("opaque"), is_stale, is_proxy
    )
