"""In-band DTMF against Q.24's limits, with noise, and against what is not DTMF."""

import numpy as np
import pytest

from media.audio import Pcm, mix
from media.codecs import PCMU, open_codec
from media.dtmf import DIGITS
from media.dtmf_tones import ToneDetector
from media.tones import BUSY_US, DIAL_US, DTMF_TONES, RINGBACK_US, render
from tests.media.signals import speechlike, tone, white_noise


def pressed(
    digits: str,
    *,
    on_ms: float = 60,
    off_ms: float = 60,
    amplitude: float = 4000,
    twist_db: float = 0,
    detune: float = 1.0,
    rate_hz: int = 8000,
) -> Pcm:
    """Digits as tones; twist_db > 0: the high frequency is stronger."""
    pause = np.zeros(round(off_ms * rate_hz / 1000), np.int16)
    pieces = [pause]
    for digit in digits:
        low, high = DTMF_TONES[digit].frequencies_hz
        seconds = on_ms / 1000
        gain = 10 ** (twist_db / 40)
        pieces.append(
            mix(
                tone(low * detune, seconds=seconds, rate_hz=rate_hz, amplitude=amplitude / gain),
                tone(high * detune, seconds=seconds, rate_hz=rate_hz, amplitude=amplitude * gain),
            )
        )
        pieces.append(pause)
    return np.concatenate(pieces)


def heard_in(pcm: Pcm, *, rate_hz: int = 8000, piece: int = 160) -> str:
    """The digits in a piece with quiet behind it: a digit is reported at its end."""
    pcm = np.concatenate((pcm, np.zeros(rate_hz // 10, np.int16)))
    detector = ToneDetector(rate_hz)
    found = [each for n in range(0, len(pcm), piece) for each in detector.push(pcm[n : n + piece])]
    return "".join(each.digit for each in found)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_all_sixteen_digits_are_heard(rate_hz: int) -> None:
    assert heard_in(pressed(DIGITS, rate_hz=rate_hz), rate_hz=rate_hz, piece=rate_hz // 50) == DIGITS


@pytest.mark.parametrize("piece", [1, 37, 160, 999, 100000])
def test_the_division_into_pieces_does_not_matter(piece: int) -> None:
    assert heard_in(pressed("159D#0"), piece=piece) == "159D#0"


@pytest.mark.parametrize("offset", range(0, 102, 17))
def test_40_ms_on_and_40_ms_off_is_enough_wherever_it_begins(offset: int) -> None:
    pcm = np.concatenate((np.zeros(offset, np.int16), pressed(DIGITS * 2, on_ms=40, off_ms=40)))
    assert heard_in(pcm) == DIGITS * 2


@pytest.mark.parametrize("offset", range(0, 51, 10))
def test_the_same_digit_again_after_40_ms_is_another_one(offset: int) -> None:
    pcm = np.concatenate((np.zeros(offset, np.int16), pressed("1111DDDD", on_ms=50, off_ms=40)))
    assert heard_in(pcm) == "1111DDDD"


def test_digits_without_any_pause_are_told_apart() -> None:
    assert heard_in(pressed("159", on_ms=60, off_ms=0)) == "159"


@pytest.mark.parametrize("on_ms", [5, 10, 20, 23])
def test_less_than_23_ms_is_no_digit(on_ms: float) -> None:
    assert heard_in(pressed(DIGITS, on_ms=on_ms)) == ""


def test_the_duration_is_about_right() -> None:
    (digit,) = ToneDetector().push(pressed("5", on_ms=200))
    assert digit.duration_ms == pytest.approx(200, abs=15)


def test_an_interruption_of_10_ms_does_not_split_a_digit() -> None:
    pcm = pressed("8", on_ms=200)
    pcm[1000:1080] = 0
    assert heard_in(pcm) == "8"


@pytest.mark.parametrize("amplitude", [1100, 4000, 16000])
def test_levels_from_0_to_minus_25_dbm0_are_accepted(amplitude: float) -> None:
    assert heard_in(pressed(DIGITS, amplitude=amplitude)) == DIGITS


def test_minus_55_dbm0_is_not() -> None:
    assert heard_in(pressed(DIGITS, amplitude=32768 * 10 ** ((-55 - 3.14) / 20))) == ""


@pytest.mark.parametrize("twist_db", [-7, -4, 3])
def test_permitted_twist_is_accepted(twist_db: float) -> None:
    assert heard_in(pressed(DIGITS, twist_db=twist_db)) == DIGITS


@pytest.mark.parametrize("twist_db", [-11, 8])
def test_too_much_twist_is_refused(twist_db: float) -> None:
    assert heard_in(pressed(DIGITS, twist_db=twist_db)) == ""


@pytest.mark.parametrize("third_hz", [770, 852, 1477, 1633])
def test_a_third_frequency_of_the_same_family_makes_it_no_digit(third_hz: float) -> None:
    assert heard_in(mix(tone(697, 1209, seconds=0.5), tone(third_hz, seconds=0.5, amplitude=4000))) == ""


@pytest.mark.parametrize("detune", [0.985, 1.015])
def test_frequencies_may_be_off_by_one_and_a_half_percent(detune: float) -> None:
    assert heard_in(pressed(DIGITS, detune=detune)) == DIGITS


@pytest.mark.parametrize("detune", [0.955, 1.045])
def test_frequencies_far_off_are_refused(detune: float) -> None:
    assert heard_in(pressed("1470*258", detune=detune)) == ""


@pytest.mark.parametrize("seed", range(5))
def test_digits_are_heard_in_noise_15_db_below(seed: int) -> None:
    clean = pressed(DIGITS, on_ms=60)
    noise = white_noise(len(clean) / 8000, 4000 * 10 ** (-15 / 20), seed=seed)
    assert heard_in(mix(clean, noise[: len(clean)])) == DIGITS


def test_digits_survive_ulaw() -> None:
    codec = open_codec(PCMU)
    assert heard_in(codec.decode(codec.encode(pressed(DIGITS, amplitude=1500)))) == DIGITS


@pytest.mark.parametrize("seed", range(6))
def test_a_minute_of_voice_is_no_digit(seed: int) -> None:
    assert heard_in(speechlike(60, seed=seed)) == ""


def test_noise_and_network_tones_are_no_digits() -> None:
    assert heard_in(white_noise(60, 3000)) == ""
    for each in (RINGBACK_US, BUSY_US, DIAL_US):
        assert heard_in(render(each, 8000, 0, 80000)) == ""
    for frequency in (697, 770, 852, 941, 1000, 1209, 1336, 1477, 1633):
        assert heard_in(tone(frequency, seconds=1)) == ""


def test_a_digit_with_voice_behind_it_is_heard() -> None:
    pcm = pressed("4725", on_ms=100)
    voice = speechlike(len(pcm) / 8000 + 1, rms=250)[: len(pcm)]
    assert heard_in(mix(pcm, voice)) == "4725"
