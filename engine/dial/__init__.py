"""One dial: targets, a plan, one result. What a leg is, is defined here; how it is carried, is not."""

from engine.dial.dial import Dial, DialState, Happening, Observer
from engine.dial.leg import Cause, Leg, ParentLeg
from engine.dial.manager import DialManager
from engine.dial.outcome import DialStatus, StatusMap, TerminationReason
from engine.dial.parts import LegFactory, Screening
from engine.dial.request import Credentials, DialRequest, InvalidRequest, Target, TargetType
from engine.dial.result import DialResult, LegRecord

__all__ = [
    "Cause",
    "Credentials",
    "Dial",
    "DialManager",
    "DialRequest",
    "DialResult",
    "DialState",
    "DialStatus",
    "Happening",
    "InvalidRequest",
    "Leg",
    "LegFactory",
    "LegRecord",
    "Observer",
    "ParentLeg",
    "Screening",
    "StatusMap",
    "Target",
    "TargetType",
    "TerminationReason",
]
