"""What a listen stream is asked for (hooks contract, section 6), and how it can end. Facts only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

__all__ = ["SAMPLE_RATES_HZ", "Back", "Flow", "ListenEnd", "ListenOptions", "Mix", "Retry"]

SAMPLE_RATES_HZ = (8000, 16000, 24000, 48000, 64000)


class Mix(StrEnum):
    """Which parties are sent, and how."""

    MONO = "mono"
    """One party: `ListenOptions.channel`."""
    STEREO = "stereo"
    """Interleaved; left the caller, right the callee."""
    MIXED = "mixed"
    """The sum of both."""


class Flow(StrEnum):
    """`listen_status` of live control (WH-36)."""

    RESUME = "resume"
    PAUSE = "pause"
    """No frames."""
    SILENCE = "silence"
    """Frames of zeros."""


class Back(StrEnum):
    """What is done with audio that comes from the server."""

    NOTHING = "nothing"
    CLIPS = "clips"
    """`playAudio` messages."""
    STREAM = "stream"
    """Binary frames are played as they come; `playAudio` works as well."""


class Retry(Struct, frozen=True):
    """How a broken connection is made again."""

    attempts: int = 4
    """In a row, without a connection that lived; 0: never again."""
    first_s: float = 0.5
    """Pause before the first; doubles with each."""
    most_s: float = 10.0


class ListenEnd(StrEnum):
    """Why a stream is over."""

    CLOSED_BY_SERVER = "closed-by-server"
    DISCONNECT = "disconnect"
    """The server asked for it in words."""
    UNREACHABLE = "unreachable"
    """No connection could be made, or made again."""


class ListenOptions(Struct, frozen=True):
    """One stream."""

    url: str
    """`ws://` or `wss://`; user information in it is taken for basic authentication."""
    username: str = ""
    password: str = ""
    mix: Mix = Mix.MONO
    channel: int = 1
    """For mono: 1 the caller, 2 the callee."""
    sample_rate_hz: int = 8000
    """One of SAMPLE_RATES_HZ."""
    back: Back = Back.CLIPS
    back_rate_hz: int = 8000
    """Of binary frames from the server."""
    properties: Mapping[str, object] = {}
    """Of the call, camelCase: the first frame."""
    metadata: Mapping[str, object] = {}
    """The user's, added to the first frame; it cannot replace what the engine says of the call."""
    retry: Retry = Retry()
