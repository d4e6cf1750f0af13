"""Legs: one party's call each, whatever carries it. They implement the protocols of `engine.dial.leg`."""

from engine.legs.inbound_leg import InboundLeg
from engine.legs.services import LegServices
from engine.legs.sip_leg import SipLeg

__all__ = ["InboundLeg", "LegServices", "SipLeg"]
