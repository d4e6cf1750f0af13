"""The verbs of a document and what they are made of, one file per family."""

from engine.application.schema.base import Verb
from engine.application.schema.call import (
    AnswerVerb,
    ConfigVerb,
    DeclineVerb,
    HangupVerb,
    RedirectVerb,
    TagVerb,
)
from engine.application.schema.dial import Amd, AmdTimers, DialVerb, DtmfCapture, Dub
from engine.application.schema.fields import Auth, Decibels, Headers
from engine.application.schema.listen import (
    BackgroundListen,
    BackgroundTranscribe,
    BidirectionalAudio,
    ListenVerb,
    TranscribeVerb,
)
from engine.application.schema.sound import DtmfVerb, GatherVerb, PauseVerb, PlayVerb, SayVerb
from engine.application.schema.speech import Recognizer, Synthesizer, Vad
from engine.application.schema.target import (
    From,
    PhoneTarget,
    SipTarget,
    Target,
    TeamsTarget,
    UserTarget,
)

__all__ = [
    "Amd",
    "AmdTimers",
    "AnswerVerb",
    "Auth",
    "BackgroundListen",
    "BackgroundTranscribe",
    "BidirectionalAudio",
    "ConfigVerb",
    "Decibels",
    "DeclineVerb",
    "DialVerb",
    "DtmfCapture",
    "DtmfVerb",
    "Dub",
    "From",
    "GatherVerb",
    "HangupVerb",
    "Headers",
    "ListenVerb",
    "PauseVerb",
    "PhoneTarget",
    "PlayVerb",
    "Recognizer",
    "RedirectVerb",
    "SayVerb",
    "SipTarget",
    "Synthesizer",
    "TagVerb",
    "Target",
    "TeamsTarget",
    "TranscribeVerb",
    "UserTarget",
    "Vad",
    "Verb",
]
