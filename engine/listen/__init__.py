"""The `listen` stream: a call's audio over a WebSocket, and audio back."""

from engine.listen.client import ListenClient
from engine.listen.options import SAMPLE_RATES_HZ, Back, Flow, ListenEnd, ListenOptions, Mix, Retry
from engine.listen.stream import ListenStream, Report

__all__ = [
    "SAMPLE_RATES_HZ",
    "Back",
    "Flow",
    "ListenClient",
    "ListenEnd",
    "ListenOptions",
    "ListenStream",
    "Mix",
    "Report",
    "Retry",
]
