"""G.711 against values that were not computed by the code under test."""

from collections.abc import Callable

import av
import numpy as np
import pytest

from media.audio import Pcm
from media.codecs import PCMA, PCMU, CodecSpec, alaw_to_ulaw, open_codec, ulaw_to_alaw
from media.codecs.g711 import _alaw_of, _pcm_of_alaw, _pcm_of_ulaw, _ulaw_of

EVERY_OCTET = bytes(range(256))


def _decoded_by_ffmpeg(name: str) -> Pcm:
    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate = 8000
    decoder.layout = "mono"
    decoder.open()
    return np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(av.Packet(EVERY_OCTET))])


@pytest.mark.parametrize(("spec", "name"), [(PCMU, "pcm_mulaw"), (PCMA, "pcm_alaw")])
def test_every_octet_decodes_as_ffmpeg_decodes_it(spec: CodecSpec, name: str) -> None:
    assert np.array_equal(open_codec(spec).decode(EVERY_OCTET), _decoded_by_ffmpeg(name))


# G.711 tables 1a and 2a: decoder output y in units of the recommendation, and the character signal.
@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0xFF, 0),
        (0xFE, 2),
        (0xEF, 33),
        (0xF0, 30),
        (0xDF, 99),
        (0xCF, 231),
        (0xBF, 495),
        (0x80, 8031),
        (0x00, -8031),
    ],
)
def test_ulaw_points_of_the_recommendation(code: int, value: int) -> None:
    assert _pcm_of_ulaw(code) == value * 4


@pytest.mark.parametrize(
    ("code", "value"), [(0xD5, 1), (0xD4, 3), (0xC5, 33), (0xF5, 66), (0xAA, 4032), (0x2A, -4032), (0x55, -1)]
)
def test_alaw_points_of_the_recommendation(code: int, value: int) -> None:
    assert _pcm_of_alaw(code) == value * 8


@pytest.mark.parametrize("spec", [PCMU, PCMA])
def test_an_octet_survives_decoding_and_encoding(spec: CodecSpec) -> None:
    codec = open_codec(spec)
    again = codec.encode(codec.decode(EVERY_OCTET))
    # µ-law has two zeros; the negative one (0x7F) comes back as the positive (0xFF).
    expected = EVERY_OCTET if spec is PCMA else EVERY_OCTET.replace(b"\x7f", b"\xff")
    assert again == expected


@pytest.mark.parametrize("spec", [PCMU, PCMA])
def test_a_sample_goes_to_one_of_its_two_neighbouring_levels_nearly_always_the_nearer(
    spec: CodecSpec,
) -> None:
    codec = open_codec(spec)
    levels = np.unique(codec.decode(EVERY_OCTET)).astype(int)
    pcm = np.arange(levels[0], levels[-1])
    error = np.abs(codec.decode(codec.encode(pcm.astype(np.int16))).astype(int) - pcm)
    above = np.searchsorted(levels, pcm, side="right")
    nearer = np.minimum(pcm - levels[above - 1], levels[above] - pcm)
    farther = np.maximum(pcm - levels[above - 1], levels[above] - pcm)
    # At segment borders the recommendation's decision value is not in the middle between two levels.
    assert np.all((error == nearer) | (error == farther))
    assert np.mean(error == nearer) > 0.97


def test_the_tables_equal_their_readable_twins() -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    assert open_codec(PCMU).encode(samples) == bytes(_ulaw_of(int(s)) for s in samples)
    assert open_codec(PCMA).encode(samples) == bytes(_alaw_of(int(s)) for s in samples)


@pytest.mark.parametrize(
    ("translate", "source", "target"), [(alaw_to_ulaw, PCMA, PCMU), (ulaw_to_alaw, PCMU, PCMA)]
)
def test_translating_is_decoding_and_encoding_with_both_signs_alike(
    translate: Callable[[bytes], bytes], source: CodecSpec, target: CodecSpec
) -> None:
    positive, negative = EVERY_OCTET[128:], EVERY_OCTET[:128]
    decoded = open_codec(source).decode(positive)
    assert translate(positive) == open_codec(target).encode(decoded)
    values = open_codec(target).decode(translate(negative)).astype(int)
    assert np.array_equal(values, -open_codec(target).decode(translate(positive)).astype(int))


def test_audio_that_was_translated_there_and_back_stays_nearly_the_same() -> None:
    there_and_back = bytes(alaw_to_ulaw(ulaw_to_alaw(EVERY_OCTET)))
    again = open_codec(PCMU).decode(there_and_back).astype(int)
    before = open_codec(PCMU).decode(EVERY_OCTET).astype(int)
    step = np.maximum(8, np.abs(before) // 16)
    assert np.all(np.abs(again - before) <= step)
    assert bytes(alaw_to_ulaw(ulaw_to_alaw(there_and_back))) == there_and_back


def test_full_scale_saturates_instead_of_wrapping() -> None:
    extremes = np.array([32767, -32768], np.int16)
    for spec in (PCMU, PCMA):
        high, low = open_codec(spec).decode(open_codec(spec).encode(extremes))
        assert high > 31000
        assert low < -31000
