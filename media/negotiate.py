"""The offer/answer model (RFC 3264) for one audio stream: bytes in, bytes and a `NegotiatedMedia` out. Pure.

Not here: when an offer may be made (the signalling's business), ports and sockets.

How the rules are read where RFC 3264 leaves room:
- Of several audio lines the first usable one is taken; every other line is answered with port 0, in order.
- A codec in use stays in use while the peer offers it, whatever the order: hold must not change the audio.
- The answer names one codec (unless `answer_all`), so that the peer cannot switch in mid-stream.
- c=0.0.0.0 means hold: the peer takes no media, whatever its direction attribute says (§8.4).
- Payload numbers are the offerer's; each side receives with the numbers of its own description (§5.1, §6.1).
- A re-offer of ours asks for what we want, not for what was agreed: that is how hold ends on either side.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from media.codecs import CodecSpec
from media.formats import (
    AudioCapabilities,
    Encoding,
    Formats,
    answer_formats,
    encoding_of,
    format_lines,
    offer_formats,
    read_formats,
)
from media.sdp import Connection, Direction, MediaDescription, SdpError, SessionDescription
from media.usual import ANY_PORT, usual_form

__all__ = ["Address", "AudioCapabilities", "NegotiatedMedia", "NegotiationFailed", "Negotiator"]

_PROTOCOLS = frozenset({"RTP/AVP", "RTP/AVPF"})
_PTIME_RANGE_MS = (10, 120)
_OF_THE_AUDIO = frozenset({"rtpmap", "fmtp", "ptime", "maxptime", "rtcp", "rtcp-mux"})
"""Attributes that mean the same whoever passes them on."""


class NegotiationFailed(Exception):
    """The two sides have nothing in common, or what the peer sent is unusable.

    status: what an offer deserves (400 malformed, 488 not acceptable). reason: what was wrong, in words.
    """

    def __init__(self, reason: str, status: int = 488) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Address(NamedTuple):
    """Where packets go. host: numeric, IPv6 without brackets."""

    host: str
    port: int


class NegotiatedMedia(Struct, frozen=True):
    """What both sides agreed on, seen from ours."""

    remote: Address | None
    """Where to send RTP; None while the peer takes no media at all (port 0 or c=0.0.0.0)."""
    remote_rtcp: Address | None
    codec: CodecSpec
    send_payload_type: int
    """The peer's number for `codec`."""
    receive_payload_type: int
    """Our number for `codec`."""
    receive_codecs: tuple[tuple[int, CodecSpec], ...]
    """Every audio payload number the peer may use, with its codec."""
    direction: Direction
    """Ours: SENDONLY means that we send and the peer listens."""
    remote_direction: Direction
    """What the peer asked for or allowed, from its point of view."""
    ptime_ms: int
    """Length of the packets we send."""
    fmtp: str = ""
    """The peer's format parameters for `codec`."""
    dtmf_send_payload_type: int | None = None
    dtmf_receive_payload_type: int | None = None
    cn_send_payload_type: int | None = None
    cn_receive_payload_type: int | None = None
    rtcp_mux: bool = False

    @property
    def can_send(self) -> bool:
        """Whether our RTP may flow."""
        return self.remote is not None and self.direction.sends

    @property
    def can_receive(self) -> bool:
        """Whether the peer's RTP may flow."""
        return self.direction.receives

    @property
    def is_held_by_remote(self) -> bool:
        """The peer does not listen: hold as seen by us (sendonly, inactive, c=0.0.0.0)."""
        return not self.remote_direction.receives


class _Line(NamedTuple):
    """What a media line of the session looks like in our next description when it is not our audio."""

    kind: str
    protocol: str
    formats: str


_ONLY_AUDIO = (_Line("audio", "RTP/AVP", ""),)


class Negotiator:
    """One stream's side of all its offers and answers, first to last.

    It keeps what RFC 3264 §8 wants kept: the order of media lines, the payload numbers, o='s version.
    """

    __slots__ = (
        "_body",
        "_index",
        "_lines",
        "_local",
        "_numbers",
        "_offered",
        "_rtcp_port",
        "_session_id",
        "_version",
        "capabilities",
        "direction",
        "has_pending_offer",
        "negotiated",
    )

    def __init__(
        self,
        capabilities: AudioCapabilities,
        local: Address,
        *,
        session_id: int,
        rtcp_port: int | None = None,
    ) -> None:
        """local: the advertised RTP address. session_id: o=, one per stream. rtcp_port: None is port + 1."""
        self.capabilities = capabilities
        self.direction = Direction.SENDRECV
        """What we want; SENDONLY or INACTIVE puts the peer on hold with the next offer or answer."""
        self.negotiated: NegotiatedMedia | None = None
        self._local = local
        self._session_id = session_id
        self._rtcp_port = None if rtcp_port == local.port + 1 else rtcp_port
        self._version = 0
        self._body = ""  # What we said last, without o=; a different one gets the next version.
        self._lines: tuple[_Line, ...] = _ONLY_AUDIO  # All media lines of the session so far.
        self._index = 0  # Which of them is our audio.
        self._numbers: dict[Encoding, int] = {}  # Payload numbers in use; they stay for the session.
        self._offered: tuple[Formats, Direction] | None = None  # What an answer refers to.
        self.has_pending_offer = False
        """We offered and no answer is in yet."""

    def create_offer(self) -> bytes:
        """Our offer with the present `direction`, first or again."""
        text, formats = offer_formats(self.capabilities, tuple(self._numbers.items()))
        self._offered = formats, self.direction
        self.has_pending_offer = True
        return self._describe(text, self.direction, mux=self.capabilities.rtcp_mux)

    def repeat(self) -> None:
        """What we said last is offered once more as it is (a session refresh, RFC 4028 §7.4)."""
        agreed = self.negotiated
        if self._offered is not None or agreed is None:
            return
        rate = agreed.codec.clock_rate_hz
        event, noise = agreed.dtmf_receive_payload_type, agreed.cn_receive_payload_type
        ours = Formats(
            codecs=agreed.receive_codecs,
            events={} if event is None else {rate: event},
            noises={} if noise is None else {rate: noise},
            numbers=tuple(self._numbers.items()),
        )
        self._offered = ours, agreed.direction

    def receive_answer(self, sdp: bytes) -> NegotiatedMedia:
        """The answer to the last offer. Raises NegotiationFailed; the previous agreement then stands.

        The same offer may be answered again: by early media and then the 200, by each branch of a fork.
        """
        if self._offered is None:
            raise NegotiationFailed("an answer without an offer of ours")
        self.has_pending_offer = False
        usual = usual_form(sdp) if self.negotiated is None else None
        if usual is None:
            return self._take_answer(sdp, *self._offered)
        first = _first_answer(self.capabilities, self._local.host, self._offered[1], usual.sdp)
        self._numbers.update(first.numbers)
        self.negotiated = _at_port(first.agreed, usual.port)
        return self.negotiated

    def _take_answer(self, sdp: bytes, ours: Formats, direction: Direction) -> NegotiatedMedia:
        session = _read(sdp)
        if len(session.media) != len(self._lines):
            raise NegotiationFailed(
                f"answer has {len(session.media)} media lines, the offer had {len(self._lines)}"
            )
        media = session.media[self._index]
        if media.kind != "audio" or media.protocol not in _PROTOCOLS:
            raise NegotiationFailed(f"answer to audio is {media.kind} {media.protocol}"[:120])
        if media.is_rejected and self.negotiated is None:
            raise NegotiationFailed("the answer rejects the audio")
        theirs = read_formats(media)
        offered = {encoding_of(spec) for _, spec in ours.codecs}
        common = [entry for entry in theirs.codecs if encoding_of(entry[1]) in offered]
        if not common:
            raise NegotiationFailed("no common codec in the answer")
        mux = self.capabilities.rtcp_mux
        agreed = self._agree(session, media, ours, theirs, common[0], direction, mux=mux)
        self.negotiated = agreed
        self._numbers.update(ours.numbers)
        return agreed

    def receive_offer(self, sdp: bytes) -> tuple[bytes, NegotiatedMedia]:
        """The answer to the peer's offer and what it means. Raises NegotiationFailed (status 400 or 488)."""
        usual = usual_form(sdp) if self.negotiated is None else None
        if usual is None:
            text, is_rejected = self._take_offer(sdp)
        else:
            first = _first_offer(self.capabilities, self._local.host, self.direction, usual.sdp)
            text, is_rejected = first.text, False
            self.negotiated = _at_port(first.agreed, usual.port)
            self._lines = first.lines
            self._numbers.update(first.numbers)
        # Glare is settled by the signalling; whoever answers has lost his own offer.
        self.withdraw_offer()
        agreed = self.negotiated
        assert agreed is not None
        answer = self._describe(text, agreed.direction, mux=agreed.rtcp_mux, rejected=is_rejected)
        return answer, agreed

    def _take_offer(self, sdp: bytes) -> tuple[tuple[str, str], bool]:
        """What to write about formats into the answer, and whether the offer's audio is switched off."""
        session = _read(sdp)
        index, theirs, common = self._choose(session)
        media = session.media[index]
        ours = answer_formats(self.capabilities, theirs, tuple(common))
        mux = self.capabilities.rtcp_mux and media.attribute("rtcp-mux") is not None
        agreed = self._agree(session, media, ours, theirs, common[0], self.direction, mux=mux)
        # Nothing is changed before this line: a refused offer leaves everything as it was.
        self.negotiated = agreed
        self._lines = tuple(
            [_Line(each.kind, each.protocol, " ".join(each.formats)) for each in session.media]
        )
        self._index = index
        self._numbers.update(theirs.numbers)
        return format_lines(ours, self.capabilities.ptime_ms), media.is_rejected

    def withdraw_offer(self) -> None:
        """The peer refused our last offer (488, 491, …): the agreement before it still holds (§8)."""
        self._offered = None
        self.has_pending_offer = False

    def describe_other(self, sdp: bytes, offer: bytes | None = None) -> bytes:
        """What another party said about its audio, as a description of this session: offer or answer.

        For two parties that are to send their media to each other. Origin and media lines are this session's,
        as RFC 3264 §8 wants them in every later description; address, payload numbers and direction are the
        other party's. `offer`: what our peer offered and this shall answer. Nothing that was agreed changes.
        Raises NegotiationFailed.
        """
        session = _read(sdp)
        audio = [each for each in session.media if each.kind == "audio" and each.protocol in _PROTOCOLS]
        if not audio:
            raise NegotiationFailed("the other party has no audio over RTP")
        media = next((each for each in audio if not each.is_rejected), audio[0])
        connection = session.connection_of(media)
        if connection is None:
            raise NegotiationFailed("no c= line for the audio", 400)
        if offer is not None:
            lines = _read(offer).media
            candidates = [each for each, line in enumerate(lines) if line.kind == "audio"]
            if not candidates:
                raise NegotiationFailed("no audio in the offer")
            self._index = self._index if self._index in candidates else candidates[0]
            self._lines = tuple([_Line(each.kind, each.protocol, " ".join(each.formats)) for each in lines])
        said = [
            f"a={name}:{value}\r\n" if value is not None else f"a={name}\r\n"
            for name, value in media.attributes
            if name in _OF_THE_AUDIO
        ]
        lines_of_session = [f"m={kind} 0 {proto} {fmts}\r\n" for kind, proto, fmts in self._lines]
        lines_of_session[self._index] = (
            f"m=audio {media.port} {self._lines[self._index].protocol} {' '.join(media.formats)}\r\n"
            f"c={connection}\r\n{''.join(said)}a={session.direction_of(media)}\r\n"
        )
        return self._sign(f"s=-\r\nc={connection}\r\nt=0 0\r\n{''.join(lines_of_session)}")

    def _choose(self, session: SessionDescription) -> tuple[int, Formats, list[tuple[int, CodecSpec]]]:
        """The audio line to talk on: the one in use, else the first that we can serve.

        A line in use that the peer switched off (port 0) is still ours if there is no other: audio pauses.
        """
        in_use = self._index if self.negotiated is not None else None
        candidates = list(enumerate(session.media))
        if in_use is not None:
            candidates.sort(key=lambda candidate: candidate[0] != in_use)
        reason = "no audio in the offer"
        paused: tuple[int, Formats, list[tuple[int, CodecSpec]]] | None = None
        for index, media in candidates:
            if media.kind != "audio":
                continue
            if media.protocol not in _PROTOCOLS:
                reason = f"audio over {media.protocol[:40]} is not supported"
                continue
            formats = read_formats(media)
            common = self._common(formats)
            if not common:
                reason = "no common codec in the offer"
            elif not media.is_rejected:
                return index, formats, common
            elif index == in_use:
                paused = index, formats, common
            else:
                reason = "the audio of the offer has port 0"
        if paused is None:
            raise NegotiationFailed(reason)
        return paused

    def _common(self, theirs: Formats) -> list[tuple[int, CodecSpec]]:
        """Codecs of the offer that we have, most wanted first, with the offerer's numbers."""
        ranks = {encoding_of(spec): rank for rank, spec in enumerate(self.capabilities.codecs)}
        common = [entry for entry in theirs.codecs if encoding_of(entry[1]) in ranks]
        if self.capabilities.prefer_ours:
            common.sort(key=lambda entry: ranks[encoding_of(entry[1])])
        if self.negotiated is not None:
            in_use = self.negotiated.codec
            common.sort(key=lambda entry: entry[1] != in_use)
        return common

    def _agree(
        self,
        session: SessionDescription,
        media: MediaDescription,
        ours: Formats,
        theirs: Formats,
        chosen: tuple[int, CodecSpec],
        direction: Direction,
        *,
        mux: bool,
    ) -> NegotiatedMedia:
        """Put the two descriptions together; `direction` is what we asked for or want."""
        connection = session.connection_of(media)
        remote = _remote(connection, media)
        if remote is not None and (":" in remote.host) != (":" in self._local.host):
            raise NegotiationFailed(f"{remote.host} cannot be reached from {self._local.host}")
        wanted = session.direction_of(media)
        if connection is not None and connection.is_unspecified:
            wanted &= Direction.SENDONLY
        if media.is_rejected:
            wanted = Direction.INACTIVE
        mux = mux and media.attribute("rtcp-mux") is not None
        number, spec = chosen
        rate = spec.clock_rate_hz
        return NegotiatedMedia(
            remote=remote,
            remote_rtcp=remote if mux or remote is None else _remote_rtcp(media, remote),
            codec=spec,
            send_payload_type=number,
            receive_payload_type=next(n for n, s in ours.codecs if s.matches(spec.name, rate, spec.channels)),
            receive_codecs=ours.codecs,
            direction=direction & wanted.reversed,
            remote_direction=wanted,
            ptime_ms=_ptime(media, self.capabilities.ptime_ms),
            fmtp=media.fmtp(number),
            dtmf_send_payload_type=theirs.events.get(rate) if rate in ours.events else None,
            dtmf_receive_payload_type=ours.events.get(rate) if rate in theirs.events else None,
            cn_send_payload_type=theirs.noises.get(rate) if rate in ours.noises else None,
            cn_receive_payload_type=ours.noises.get(rate) if rate in theirs.noises else None,
            rtcp_mux=mux,
        )

    def _describe(
        self, formats: tuple[str, str], direction: Direction, *, mux: bool, rejected: bool = False
    ) -> bytes:
        """Our description. A template, not a SessionDescription: a dial makes one for every target."""
        host, port = self._local
        family = "IP6" if ":" in host else "IP4"
        numbers, lines = formats
        rtcp = f"a=rtcp:{self._rtcp_port}\r\n" if self._rtcp_port and not mux else ""
        muxed = "a=rtcp-mux\r\n" if mux else ""
        protocol = self._lines[self._index].protocol
        audio = (
            f"m=audio 0 {protocol} {numbers}\r\n"
            if rejected
            else f"m=audio {port} {protocol} {numbers}\r\n{lines}{rtcp}{muxed}a={direction}\r\n"
        )
        if len(self._lines) > 1:
            media = [f"m={kind} 0 {proto} {fmts}\r\n" for kind, proto, fmts in self._lines]
            media[self._index] = audio
            audio = "".join(media)
        return self._sign(f"s=-\r\nc=IN {family} {host}\r\nt=0 0\r\n{audio}")

    def _sign(self, body: str) -> bytes:
        """With o=, whose version counts what we said differently (RFC 3264 §8)."""
        if body != self._body:
            self._version += 1
            self._body = body
        host = self._local.host
        family = "IP6" if ":" in host else "IP4"
        text = f"v=0\r\no=- {self._session_id} {self._version} IN {family} {host}\r\n{body}"
        return text.encode("utf-8", "surrogateescape")


class _First(NamedTuple):
    """What a usual description leads to in a session's first exchange, the peer's port apart."""

    agreed: NegotiatedMedia
    numbers: tuple[tuple[Encoding, int], ...]
    lines: tuple[_Line, ...]
    text: tuple[str, str]


@lru_cache(maxsize=256)
def _first_answer(capabilities: AudioCapabilities, host: str, direction: Direction, sdp: bytes) -> _First:
    """Of a usual answer to our first offer. Raises NegotiationFailed."""
    twin = Negotiator(capabilities, Address(host, ANY_PORT), session_id=0)
    twin.direction = direction
    text, ours = offer_formats(capabilities, ())
    agreed = twin._take_answer(sdp, ours, direction)
    return _First(agreed, tuple(twin._numbers.items()), twin._lines, text)


@lru_cache(maxsize=256)
def _first_offer(capabilities: AudioCapabilities, host: str, direction: Direction, sdp: bytes) -> _First:
    """Of a usual offer that begins a session. Raises NegotiationFailed."""
    twin = Negotiator(capabilities, Address(host, ANY_PORT), session_id=0)
    twin.direction = direction
    text, _ = twin._take_offer(sdp)
    assert twin.negotiated is not None
    return _First(twin.negotiated, tuple(twin._numbers.items()), twin._lines, text)


def _at_port(agreed: NegotiatedMedia, port: int) -> NegotiatedMedia:
    """The agreement with the peer's real port in place of `ANY_PORT`."""
    if agreed.remote is None:
        return agreed
    host = agreed.remote.host
    rtcp = Address(host, port if agreed.rtcp_mux else port + 1)
    return replace(agreed, remote=Address(host, port), remote_rtcp=rtcp)


def _read(sdp: bytes) -> SessionDescription:
    try:
        return SessionDescription.parse(sdp)
    except SdpError as error:
        raise NegotiationFailed(error.reason, error.status) from error


def _ptime(media: MediaDescription, ours_ms: int) -> int:
    """The packet time the peer wants to receive, in whole tens; ours if it does not say (RFC 3264 §5.1)."""
    lowest, highest = _PTIME_RANGE_MS
    longest = media.max_ptime_ms or highest
    wanted = min(media.ptime_ms or ours_ms, longest)
    return int(max(lowest, min(wanted, highest)) // 10 * 10)


def _remote(connection: Connection | None, media: MediaDescription) -> Address | None:
    """Where the peer wants its RTP, None if nowhere."""
    if media.is_rejected:
        return None
    if connection is None:
        raise NegotiationFailed("no c= line for the audio", 400)
    if connection.is_unspecified:
        return None
    return Address(_unicast(connection.address), media.port)


def _remote_rtcp(media: MediaDescription, remote: Address) -> Address:
    """a=rtcp (RFC 3605), else the next port; nonsense counts as absent."""
    fields = (media.attribute("rtcp") or "").split()
    if fields and fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 6:
        port = int(fields[0])
        host = remote.host
        if len(fields) >= 4:
            try:
                host = _unicast(fields[3])
            except NegotiationFailed:
                host = remote.host
            if (":" in host) != (":" in remote.host):  # our socket has one family
                host = remote.host
        if 0 < port < 65536:
            return Address(host, port)
    # Port 65535 has no successor; RTCP then goes nowhere useful, but stays a valid address.
    return Address(remote.host, min(remote.port + 1, 65535))


@lru_cache(maxsize=1024)
def _unicast(address: str) -> str:
    """A numeric unicast address, in the form the socket layer uses. Names are not looked up."""
    if ":" in address:
        try:
            parsed = IPv6Address(address.partition("%")[0])
        except AddressValueError as error:
            raise NegotiationFailed(f"not an IPv6 address: {address[:60]!r}", 400) from error
        if parsed.is_multicast:
            raise NegotiationFailed("multicast media is not supported")
        return str(parsed)
    parts = address.split(".")
    if len(parts) != 4 or not all(
        part.isascii() and part.isdigit() and len(part) < 4 and int(part) < 256 for part in parts
    ):
        raise NegotiationFailed(f"c= is not a numeric unicast address: {address[:60]!r}")
    if int(parts[0]) >= 224:
        raise NegotiationFailed("multicast and broadcast media are not supported")
    return ".".join([str(int(part)) for part in parts])
