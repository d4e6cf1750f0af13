"""The payload numbers of an audio line: what the peer's mean, which we offer, which we answer with. Pure.

Numbers below 96 are RFC 3551's and need no rtpmap; an rtpmap, if given, decides. An encoding keeps its
number for the whole session (RFC 3264 §8.3.2), so the numbers in use come in as an argument.
"""

from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from media.codecs import DEFAULT_CODECS, CodecSpec, find_codec, static_codec
from media.sdp import MediaDescription, RtpMap

__all__ = [
    "AudioCapabilities",
    "Encoding",
    "Formats",
    "answer_formats",
    "encoding_of",
    "format_lines",
    "offer_formats",
    "read_formats",
]

_TELEPHONE_EVENT = "telephone-event"
_COMFORT_NOISE = "cn"
_EVENTS = "0-16"  # The sixteen digits and flash, RFC 4733 §3.2.
_RATES_HZ = frozenset({8000, 16000, 24000, 32000, 44100, 48000})

Encoding = tuple[str, int, int]
"""An encoding: name in lower case, clock rate, channels."""


class AudioCapabilities(Struct, frozen=True, cache_hash=True):
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


class Formats(NamedTuple):
    """One side's payload numbers of an audio line. Shared by calls that say the same: never changed."""

    codecs: tuple[tuple[int, CodecSpec], ...]
    """Ours to use, in the writer's order."""
    events: dict[int, int]
    """Clock rate to the telephone-event number."""
    noises: dict[int, int]
    """Clock rate to the comfort-noise number."""
    numbers: tuple[tuple[Encoding, int], ...]
    """Every encoding with its number, to keep the numbers through later offers."""


def encoding_of(spec: CodecSpec) -> Encoding:
    """The name under which an encoding keeps its number."""
    return spec.name.lower(), spec.clock_rate_hz, spec.channels


def read_formats(media: MediaDescription) -> Formats:
    """What the payload numbers of a line mean, as far as we know the encodings."""
    rtpmaps = tuple([value for key, value in media.attributes if key == "rtpmap" and value])
    return _read_formats(media.formats, rtpmaps)


@lru_cache(maxsize=256)  # A trunk says the same in every call; what differs are ports and addresses.
def _read_formats(formats: tuple[str, ...], lines: tuple[str, ...]) -> Formats:
    rtpmaps: dict[int, RtpMap] = {}
    for line in lines:
        if rtpmap := RtpMap.parse(line):
            rtpmaps.setdefault(rtpmap.payload_type, rtpmap)
    codecs: list[tuple[int, CodecSpec]] = []
    events: dict[int, int] = {}
    noises: dict[int, int] = {}
    numbers: list[tuple[Encoding, int]] = []
    for text in formats:
        if not (text.isascii() and text.isdigit() and len(text) < 4 and (number := int(text)) < 128):
            continue
        if known := rtpmaps.get(number):
            name, rate, channels = known.name.lower(), known.clock_rate_hz, known.channels
            spec = find_codec(name, rate, channels)
        elif number == 13:  # CN is static for 8000 (RFC 3389 §4).
            name, rate, channels, spec = _COMFORT_NOISE, 8000, 1, None
        elif spec := static_codec(number):
            name, rate, channels = encoding_of(spec)
        else:
            continue
        if name == _TELEPHONE_EVENT and rate in _RATES_HZ:
            events.setdefault(rate, number)
        elif name == _COMFORT_NOISE and rate in _RATES_HZ:
            noises.setdefault(rate, number)
        elif spec is not None:
            codecs.append((number, spec))
        else:
            continue
        numbers.append(((name, rate, channels), number))
    return Formats(tuple(codecs), events, noises, tuple(numbers))


@lru_cache(maxsize=256)
def offer_formats(
    capabilities: AudioCapabilities, in_use: tuple[tuple[Encoding, int], ...]
) -> tuple[tuple[str, str], Formats]:
    """Our payload numbers: those in use stay, static ones are fixed, others are the next free from 96 on."""
    kept = dict(in_use)
    taken = {number for _, number in in_use}
    free = (number for number in (*range(96, 101), *range(102, 128), *range(35, 64)) if number not in taken)
    numbers: list[tuple[Encoding, int]] = []

    def numbered(key: Encoding, preferred: int | None) -> int:
        number = kept.get(key)
        if number is None:
            number = preferred if preferred is not None and preferred not in taken else next(free)
        numbers.append((key, number))
        return number

    codecs = [(numbered(encoding_of(spec), spec.static_payload_type), spec) for spec in capabilities.codecs]
    rates = sorted({spec.clock_rate_hz for spec in capabilities.codecs})
    noises: dict[int, int] = {}
    if capabilities.comfort_noise:
        noises = {rate: numbered((_COMFORT_NOISE, rate, 1), 13 if rate == 8000 else None) for rate in rates}
    events: dict[int, int] = {}
    if capabilities.telephone_event:
        # 101 is what everybody uses for 8000; some gateways know no other number.
        events = {
            rate: numbered((_TELEPHONE_EVENT, rate, 1), 101 if rate == 8000 else None) for rate in rates
        }
    formats = Formats(tuple(codecs), events, noises, tuple(numbers))
    return format_lines(formats, capabilities.ptime_ms), formats


def answer_formats(
    capabilities: AudioCapabilities, theirs: Formats, common: tuple[tuple[int, CodecSpec], ...]
) -> Formats:
    """What we accept of an offer: the offerer's numbers, events and noise only at the chosen clock rates."""
    codecs = common if capabilities.answer_all else common[:1]
    rates = {spec.clock_rate_hz for _, spec in codecs}
    events = {rate: n for rate, n in theirs.events.items() if capabilities.telephone_event and rate in rates}
    noises = {rate: n for rate, n in theirs.noises.items() if capabilities.comfort_noise and rate in rates}
    return Formats(codecs, events, noises, ())


def format_lines(formats: Formats, ptime_ms: int) -> tuple[str, str]:
    """The payload numbers of an m= line, and the attributes that explain them."""
    codecs, noises, events = formats.codecs, formats.noises, formats.events
    numbers = [str(number) for number, _ in codecs]
    lines = [f"a=rtpmap:{number} {spec.rtpmap}\r\n" for number, spec in codecs]
    lines += [f"a=fmtp:{number} {spec.fmtp}\r\n" for number, spec in codecs if spec.fmtp]
    for rate, number in noises.items():
        numbers.append(str(number))
        lines.append(f"a=rtpmap:{number} CN/{rate}\r\n")
    for rate, number in events.items():
        numbers.append(str(number))
        lines.append(f"a=rtpmap:{number} telephone-event/{rate}\r\na=fmtp:{number} {_EVENTS}\r\n")
    lines.append(f"a=ptime:{ptime_ms}\r\n")
    return " ".join(numbers), "".join(lines)
