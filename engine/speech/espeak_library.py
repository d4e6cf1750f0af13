"""eSpeak NG by ctypes, out of the `espeakng_loader` package, for `espeak_worker`. It blocks, and is not to be
trusted with the life of a process that has calls: some SSML makes it abort (buffer overflow).

The library is one synthesiser with global state: initialised once, never ended, one utterance at a time, the
voice set anew for every utterance. Three seconds of speech take it three milliseconds.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from engine.speech.synthesis import SynthesisFailed, Voice

__all__ = ["EspeakLibrary"]

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_SSML = 0x10
_POS_CHARACTER = 1
_RATE = 1
_NORMAL_RATE, _SLOWEST, _FASTEST = 175, 80, 450
"""Words per minute."""
_GENDERS = {1: "MALE", 2: "FEMALE"}
_INCOMPLETE = {"Faroese", "Karakalpak", "xextan-test"}
"""Listed, but the package has no dictionary for them: they stay silent."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """`espeak_VOICE` of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class EspeakLibrary:
    """One per process."""

    __slots__ = ("_audio", "_callback", "_library", "_most_bytes", "sample_rate_hz", "voices")

    def __init__(self) -> None:
        """Raises SynthesisFailed if the library is not there or cannot be used."""
        try:
            import espeakng_loader

            library = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path()
        except (ImportError, OSError, RuntimeError) as error:
            raise SynthesisFailed(f"eSpeak NG is not installed: {error}") from error
        library.espeak_Initialize.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        library.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
        library.espeak_SetParameter.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int)
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        library.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        library.espeak_Synth.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        rate: int = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), _INITIALIZE_DONT_EXIT
        )
        if rate <= 0:
            raise SynthesisFailed(f"eSpeak NG cannot be used: error {rate}")
        self._library: Any = library
        self._audio = bytearray()
        self._most_bytes = 0
        self._callback = _Callback(self._on_audio)  # kept here: the library keeps only its address
        library.espeak_SetSynthCallback(self._callback)
        self.sample_rate_hz = rate
        self.voices = _voices(library.espeak_ListVoices(None))

    def say(
        self, text: str, voice: str, *, is_ssml: bool = False, rate: float = 1.0, most_s: float = 600.0
    ) -> bytes:
        """int16 samples at `sample_rate_hz`. `voice`: as `voices` name it, with `+f2` for a variant.

        What is longer than `most_s` is cut off. Raises SynthesisFailed.
        """
        # The voice first: setting it resets the parameters.
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SynthesisFailed(f"eSpeak NG cannot load the voice {voice!r}")
        words_per_minute = min(max(round(_NORMAL_RATE * rate), _SLOWEST), _FASTEST)
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        data = text.replace("\0", " ").encode("utf-8", "replace")
        self._audio.clear()
        self._most_bytes = round(most_s * self.sample_rate_hz) * 2
        flags = _CHARS_UTF8 | (_SSML if is_ssml else 0)
        result: int = self._library.espeak_Synth(data, len(data) + 1, 0, _POS_CHARACTER, 0, flags, None, None)
        if result != 0:
            raise SynthesisFailed(f"eSpeak NG failed with error {result}")
        return bytes(self._audio[: self._most_bytes])

    def _on_audio(self, audio: Any, samples: int, _events: object) -> int:
        """From the library, within `espeak_Synth`; 1 stops it."""
        if audio and samples > 0:
            self._audio += ctypes.string_at(audio, samples * 2)
        return int(len(self._audio) >= self._most_bytes)


def _voices(listed: Any) -> Sequence[Voice]:
    voices: list[Voice] = []
    index = 0
    while listed[index]:
        voice, index = listed[index].contents, index + 1
        name = voice.name.decode()
        if name not in _INCOMPLETE:
            voices.append(Voice(name, _languages(voice.languages), _GENDERS.get(voice.gender, "")))
    return tuple(voices)


def _languages(address: int) -> tuple[str, ...]:
    """A list of (priority byte, name, NUL), ended by a priority of 0; the lowest priority fits best."""
    found: list[tuple[int, str]] = []
    while priority := ctypes.c_ubyte.from_address(address).value:
        name = ctypes.string_at(address + 1)
        found.append((priority, name.decode().lower()))
        address += len(name) + 2
    return tuple(name for _, name in sorted(found, key=lambda each: each[0]))
