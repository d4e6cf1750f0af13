"""A SIPp that answers and then says something: samples of ours, streamed as G.711 µ-law by SIPp's own RTP.

The scenarios are those of `sipp/`; only the streaming is put in, for SIPp takes the name of a sound from
nowhere but the scenario.
"""

from __future__ import annotations

from pathlib import Path

from media.audio import Pcm
from media.codecs import PCMU, open_codec
from tests.support.sipp import SCENARIOS, Sipp, SippBench

__all__ = ["callee_that_says", "callee_that_says_before_the_answer"]

_STREAM = '  <nop><action><exec rtp_stream="{sound},1,0"/></action></nop>\n'
_AFTER_THE_ANSWER = '  <recv request="ACK"/>\n'
_BEFORE_THE_ANSWER = "  <pause/>\n"
_EVENTS = ("a=rtpmap:101 ", "a=fmtp:101 ")


async def callee_that_says(
    sipp: SippBench, name: str, folder: Path, pcm: Pcm, *, has_events: bool = True
) -> Sipp:
    """Answers at once and says `pcm` (int16[n], 8 kHz) from the ACK on; waits to be hung up.

    Behind the end of it no packets come any more. `has_events`: it can do telephone-event.
    """
    return await _callee(
        sipp, "callee_answers", name, folder, pcm, after=_AFTER_THE_ANSWER, has_events=has_events
    )


async def callee_that_says_before_the_answer(
    sipp: SippBench, name: str, folder: Path, pcm: Pcm, *, answers_after_s: float
) -> Sipp:
    """183 with SDP, then `pcm`; the answer comes later."""
    return await _callee(
        sipp,
        "callee_early_media",
        name,
        folder,
        pcm,
        before=_BEFORE_THE_ANSWER,
        hold_ms=round(1000 * answers_after_s),
    )


async def _callee(
    sipp: SippBench,
    scenario: str,
    name: str,
    folder: Path,
    pcm: Pcm,
    *,
    after: str = "",
    before: str = "",
    hold_ms: int = 0,
    has_events: bool = True,
) -> Sipp:
    sound = folder / f"{name}.ulaw"
    sound.write_bytes(open_codec(PCMU).encode(pcm))
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    place = after or before
    assert text.count(place) == 1, f"{scenario} has changed"
    if not has_events:
        text = "\n".join(line for line in text.split("\n") if not line.strip().startswith(_EVENTS))
        text = text.replace(" RTP/AVP 0 101", " RTP/AVP 0")
    stream = _STREAM.format(sound=sound)
    text = text.replace(place, place + stream if after else stream + place)
    (folder / f"{name}.xml").write_text(text)
    # An absolute path: beside the sound, not among the scenarios.
    return await sipp.run(str(folder / name), hold_ms=hold_ms, timeout_s=40)
