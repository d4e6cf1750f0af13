"""The registry and what every codec has to do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.codecs import (
    DEFAULT_CODECS,
    L16_8K,
    L16_16K,
    PCMA,
    PCMU,
    CodecSpec,
    find_codec,
    open_codec,
    static_codec,
)
from tests.media.signals import signal_to_rest_db, tone

EVERY = [PCMU, PCMA, L16_8K, L16_16K]


@pytest.mark.parametrize("spec", EVERY)
def test_a_codec_is_what_its_spec_says(spec: CodecSpec) -> None:
    codec = open_codec(spec)
    assert (codec.name, codec.clock_rate_hz, codec.sample_rate_hz, codec.payload_type) == (
        spec.name,
        spec.clock_rate_hz,
        spec.sample_rate_hz,
        spec.static_payload_type,
    )
    assert spec.matches(spec.name.lower(), spec.clock_rate_hz)
    assert not spec.matches(spec.name, spec.clock_rate_hz, channels=2)


@pytest.mark.parametrize("spec", EVERY)
def test_a_tone_survives_coding(spec: CodecSpec) -> None:
    codec = open_codec(spec)
    pcm = tone(1000, rate_hz=spec.sample_rate_hz)
    decoded = codec.decode(codec.encode(pcm))
    assert len(decoded) == len(pcm)
    assert decoded.dtype == np.int16
    assert signal_to_rest_db(decoded, 1000, spec.sample_rate_hz) > 35  # G.711 promises about 38 dB.


@settings(deadline=None)
@given(st.sampled_from(EVERY), st.binary(max_size=400))
def test_any_payload_decodes_to_something(spec: CodecSpec, payload: bytes) -> None:
    codec = open_codec(spec)
    assert np.array_equal(codec.decode(payload), codec.decode(bytearray(payload)))
    assert np.array_equal(codec.decode(payload), codec.decode(memoryview(payload)))


def test_codecs_are_found_by_name_in_any_case_and_by_static_number() -> None:
    assert find_codec("pcmu") is PCMU
    assert find_codec("L16", 16000) is L16_16K
    assert find_codec("L16", 16000, 2) is None
    assert find_codec("opus", 48000, 2) is None
    assert static_codec(8) is PCMA
    assert static_codec(18) is None
    assert DEFAULT_CODECS == (PCMU, PCMA)


def test_the_rtpmap_names_channels_only_when_there_are_several() -> None:
    assert PCMA.rtpmap == "PCMA/8000"
    assert CodecSpec("opus", 48000, 48000, channels=2).rtpmap == "opus/48000/2"


def test_slices_that_are_not_contiguous_are_encoded_too() -> None:
    stereo = np.arange(320, dtype=np.int16)
    assert open_codec(PCMU).encode(stereo[::2]) == open_codec(PCMU).encode(stereo[::2].copy())
