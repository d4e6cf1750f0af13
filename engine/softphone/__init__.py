"""Real phones of another family (pjsua2), each in a process of its own. See README.md."""

from __future__ import annotations

from .call import PhoneCall
from .config import (
    Account,
    Answer,
    EarlyMedia,
    Manual,
    Refuse,
    Ring,
    Silence,
    SoftphoneConfig,
    Tone,
    Voicemail,
    Wav,
)
from .errors import PhoneCommandFailed, SoftphoneError, SoftphoneUnavailable
from .phone import Softphone
from .protocol import CallState, DtmfMethod, MediaDirection, PhoneExited

__all__ = [
    "Account",
    "Answer",
    "CallState",
    "DtmfMethod",
    "EarlyMedia",
    "Manual",
    "MediaDirection",
    "PhoneCall",
    "PhoneCommandFailed",
    "PhoneExited",
    "Refuse",
    "Ring",
    "Silence",
    "Softphone",
    "SoftphoneConfig",
    "SoftphoneError",
    "SoftphoneUnavailable",
    "Tone",
    "Voicemail",
    "Wav",
]
