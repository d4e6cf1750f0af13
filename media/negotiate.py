"""The offer/answer model (RFC 3264) for one audio stream: bytes in, bytes and a `NegotiatedMedia` out. Pure.

Not here: when an offer may be made (the signalling's business), ports and sockets.
"""

from typing import NamedTuple

from msgspec import Struct

from media.codecs import DEFAULT_CODECS, CodecSpec
from media.sdp import Direction

__all__ = ["Address", "AudioCapabilities", "NegotiatedMedia", "NegotiationFailed", "Negotiator"]


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


class AudioCapabilities(Struct, frozen=True):
    """What we can do and like, the same for all streams of a deployment or trunk."""

    codecs: tuple[CodecSpec, ...] = DEFAULT_CODECS
    """In our order of preference."""
    ptime_ms: int = 20
    telephone_event: bool = True
    comfort_noise: bool = False
    prefer_ours: bool = False
    """Answer with the first of our codecs that the peer has, instead of the first of theirs that we have."""
    answer_all: bool = False
    """Answer with every common codec. Off: one codec, so that the peer cannot switch in mid-stream."""
    rtcp_mux: bool = False


class NegotiatedMedia(Struct, frozen=True):
    """What both sides agreed on, seen from ours."""

    remote: Address | None
    """Where to send RTP; None while the peer takes no media at all (port 0)."""
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
        return self.remote is not None and self.direction.receives

    @property
    def is_held_by_remote(self) -> bool:
        """The peer does not listen: hold as seen by us (sendonly, inactive, c=0.0.0.0)."""
        return not self.remote_direction.receives


class Negotiator:
    """One stream's side of all its offers and answers, first to last.

    It keeps what RFC 3264 §8 wants kept: the order of media lines, the payload numbers, o='s version.
    """

    __slots__ = ("_local", "_rtcp_port", "_session_id", "capabilities", "direction", "negotiated")

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
        self._rtcp_port = rtcp_port

    def create_offer(self) -> bytes:
        """Our offer with the present `direction`, first or again."""
        raise NotImplementedError

    def receive_answer(self, sdp: bytes) -> NegotiatedMedia:
        """The answer to the last offer. Raises NegotiationFailed; the previous agreement then stands."""
        raise NotImplementedError

    def receive_offer(self, sdp: bytes) -> tuple[bytes, NegotiatedMedia]:
        """The answer to the peer's offer and what it means. Raises NegotiationFailed (status 400 or 488)."""
        raise NotImplementedError

    def withdraw_offer(self) -> None:
        """The peer refused our last offer (488, 491, …): everything is as before it."""
        raise NotImplementedError
