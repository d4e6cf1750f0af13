"""Real-time audio: RTP, SDP, codecs, streams and bridges. Imports nothing of the engine."""

from media.bridge import Bridge, BridgeMode
from media.events import (
    DtmfMethod,
    DtmfReceived,
    DtmfUndeliverable,
    MediaResumed,
    MediaStarted,
    MediaTimeout,
    PlaybackEnded,
    RemoteGoodbye,
    StreamEvent,
)
from media.negotiate import AudioCapabilities, NegotiatedMedia, NegotiationFailed
from media.plane import MediaConfig, MediaPlane
from media.ports import PortRange, PortsExhausted
from media.recording import Recording
from media.rtp import RtpStatistics
from media.stream import MediaStream, Tap

__all__ = [
    "AudioCapabilities",
    "Bridge",
    "BridgeMode",
    "DtmfMethod",
    "DtmfReceived",
    "DtmfUndeliverable",
    "MediaConfig",
    "MediaPlane",
    "MediaResumed",
    "MediaStarted",
    "MediaStream",
    "MediaTimeout",
    "NegotiatedMedia",
    "NegotiationFailed",
    "PlaybackEnded",
    "PortRange",
    "PortsExhausted",
    "Recording",
    "RemoteGoodbye",
    "RtpStatistics",
    "StreamEvent",
    "Tap",
]
