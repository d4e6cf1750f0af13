"""What can go wrong between a phone and its owner."""

from __future__ import annotations

from engine.errors import EngineError

__all__ = ["PhoneCommandFailed", "SoftphoneError", "SoftphoneUnavailable"]


class SoftphoneError(EngineError):
    """A phone could not do what it was asked for.

    SoftphoneError
    ├── SoftphoneUnavailable   there is no pjsua2 here, or it does not start
    └── PhoneCommandFailed     the phone refused one command, or died before it answered
    """


class SoftphoneUnavailable(SoftphoneError):
    """No phone process could be started; the text says what to install."""


class PhoneCommandFailed(SoftphoneError):
    """One command was not carried out."""
