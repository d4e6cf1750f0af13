"""Payload numbers: what the peer's mean, which are ours."""

import pytest

from media.codecs import L16_8K, L16_16K, PCMA, PCMU
from media.formats import (
    AudioCapabilities,
    answer_formats,
    encoding_of,
    format_lines,
    offer_formats,
    read_formats,
)
from media.sdp import MediaDescription


def line(*formats: str, rtpmaps: tuple[str, ...] = ()) -> MediaDescription:
    return MediaDescription(
        "audio", 5000, "RTP/AVP", formats, attributes=tuple(("rtpmap", each) for each in rtpmaps)
    )


def test_static_numbers_need_no_rtpmap() -> None:
    formats = read_formats(line("8", "0", "13", "18"))
    assert formats.codecs == ((8, PCMA), (0, PCMU))
    assert formats.noises == {8000: 13}


def test_an_rtpmap_decides_even_about_a_static_number() -> None:
    assert read_formats(line("0", rtpmaps=("0 PCMA/8000",))).codecs == ((0, PCMA),)
    assert read_formats(line("0", rtpmaps=("0 G729/8000",))).codecs == ()


def test_the_first_of_two_rtpmaps_for_a_number_counts() -> None:
    assert read_formats(line("96", rtpmaps=("96 L16/8000", "96 L16/16000"))).codecs == ((96, L16_8K),)


def test_an_rtpmap_without_its_number_in_the_media_line_means_nothing() -> None:
    assert read_formats(line("0", rtpmaps=("96 L16/8000",))).codecs == ((0, PCMU),)


@pytest.mark.parametrize("text", ["", "x", "-1", "128", "0128", "٨", "1e1"])
def test_what_is_no_payload_number_is_passed_over(text: str) -> None:
    assert read_formats(line(text, "8")).codecs == ((8, PCMA),)


def test_events_are_known_per_clock_rate_and_only_for_rates_of_audio() -> None:
    formats = read_formats(
        line(
            "0",
            "96",
            "97",
            "98",
            rtpmaps=("96 telephone-event/8000", "97 Telephone-Event/16000", "98 telephone-event/12345"),
        )
    )
    assert formats.events == {8000: 96, 16000: 97}


def test_equal_lines_are_read_once() -> None:
    assert read_formats(line("0", "101")) is read_formats(line("0", "101"))


def test_our_offer_numbers_events_101_and_the_rest_from_96_on() -> None:
    capabilities = AudioCapabilities(codecs=(PCMU, L16_8K, L16_16K), comfort_noise=True)
    (numbers, lines), formats = offer_formats(capabilities, ())
    assert numbers == "0 96 97 13 98 101 99"
    assert formats.events == {8000: 101, 16000: 99}
    assert "a=rtpmap:98 CN/16000\r\n" in lines
    assert "a=rtpmap:99 telephone-event/16000\r\na=fmtp:99 0-16\r\n" in lines


def test_numbers_in_use_stay_and_are_given_to_nobody_else() -> None:
    in_use = (((encoding_of(L16_16K)), 101), (("telephone-event", 8000, 1), 96), (("opus", 48000, 2), 97))
    (numbers, _), _ = offer_formats(AudioCapabilities(codecs=(PCMU, L16_8K, L16_16K)), in_use)
    assert numbers == "0 98 101 96 99"


def test_the_answer_takes_events_and_noise_at_the_rate_of_what_it_takes() -> None:
    theirs = read_formats(
        line(
            "97",
            "0",
            "13",
            "101",
            "102",
            rtpmaps=("97 L16/16000", "101 telephone-event/8000", "102 telephone-event/16000"),
        )
    )
    capabilities = AudioCapabilities(codecs=(PCMU, L16_16K), comfort_noise=True, answer_all=True)
    assert format_lines(answer_formats(capabilities, theirs, theirs.codecs), 20)[0] == "97 0 13 101 102"
    single = AudioCapabilities(codecs=(PCMU, L16_16K), comfort_noise=True)
    assert format_lines(answer_formats(single, theirs, theirs.codecs), 20)[0] == "97 102"
    plain = AudioCapabilities(codecs=(PCMU,), telephone_event=False)
    assert format_lines(answer_formats(plain, theirs, ((0, PCMU),)), 30) == (
        "0",
        "a=rtpmap:0 PCMU/8000\r\na=ptime:30\r\n",
    )
