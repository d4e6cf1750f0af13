"""What a phone says, as pjsua2 sources. Lives in the phone process only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import pjsua2 as pj

from .config import Silence, Sound, Tone, Voicemail, Wav

__all__ = ["make_greeting", "make_source"]

_STEADY_MS = 30_000
"""pjmedia counts a tone's length in 16 bits; a steady one is looped at this length."""

_SYLLABLES_HZ = (180, 240, 200, 310, 260, 190, 280, 220)
_SYLLABLE_MS, _GAP_MS = 160, 60


def make_source(sound: Sound, clock_rate_hz: int) -> Any | None:
    """An AudioMedia that may be connected to a call; None for silence. The caller keeps it alive."""
    match sound:
        case Silence():
            return None
        case Tone():
            steady = not sound.on_ms
            tone = _tone(
                sound.hz, sound.second_hz, _STEADY_MS if steady else sound.on_ms, sound.off_ms, sound.volume
            )
            return _generator([tone], clock_rate_hz, loop=True)
        case Wav():
            player = pj.AudioMediaPlayer()
            player.createPlayer(sound.path, 0 if sound.loop else pj.PJMEDIA_FILE_NO_LOOP)
            return player
        case _:
            assert_never(sound)


def make_greeting(voicemail: Voicemail, clock_rate_hz: int) -> list[tuple[float, Any]]:
    """The greeting and the beep: (seconds, AudioMedia) one after the other."""
    beep = _generator([_tone(voicemail.beep_hz, 0, voicemail.beep_ms, 0, 12000)], clock_rate_hz, loop=False)
    if voicemail.greeting:
        greeting = make_source(Wav(voicemail.greeting), clock_rate_hz)
    else:
        syllables = [_tone(hz, 2 * hz, _SYLLABLE_MS, _GAP_MS, 8000) for hz in _SYLLABLES_HZ]
        greeting = _generator(syllables, clock_rate_hz, loop=True)
    return [(voicemail.greeting_s, greeting), (voicemail.beep_ms / 1000, beep)]


def _tone(hz: int, second_hz: int, on_ms: int, off_ms: int, volume: int) -> Any:
    tone = pj.ToneDesc()
    tone.freq1, tone.freq2, tone.on_msec, tone.off_msec, tone.volume = hz, second_hz, on_ms, off_ms, volume
    return tone


def _generator(tones: Sequence[Any], clock_rate_hz: int, *, loop: bool) -> Any:
    generator = pj.ToneGenerator()
    generator.createToneGenerator(clock_rate_hz, 1)
    vector = pj.ToneDescVector()
    for tone in tones:
        vector.append(tone)
    generator.play(vector, loop)
    return generator
