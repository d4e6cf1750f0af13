"""Text to speech and speech to text: protocols, what is built in, and how others are attached."""

from engine.speech.espeak import EspeakSynthesiser
from engine.speech.recognition import (
    Alternative,
    NothingUnderstood,
    Recogniser,
    Recognisers,
    RecognitionEvent,
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
    UnknownRecogniser,
)
from engine.speech.synthesis import (
    Speech,
    Synthesiser,
    Synthesisers,
    SynthesisFailed,
    UnknownSynthesiser,
    Utterance,
    Voice,
)
from engine.speech.synthesis_cache import CachedSynthesiser

__all__ = [
    "Alternative",
    "CachedSynthesiser",
    "EspeakSynthesiser",
    "NothingUnderstood",
    "Recogniser",
    "Recognisers",
    "RecognitionEvent",
    "RecognitionFailed",
    "RecognitionLost",
    "RecognitionOptions",
    "RecognitionResult",
    "RecognitionSession",
    "Speech",
    "SpeechBegan",
    "SynthesisFailed",
    "Synthesiser",
    "Synthesisers",
    "UnknownRecogniser",
    "UnknownSynthesiser",
    "Utterance",
    "Voice",
]
