"""dial-engine: rings people over SIP, joins the first who answers, and says exactly what happened.

Names are loaded when they are first used, so that one core can be imported without all the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.config import Config, load_config
    from engine.dial.request import DialRequest, Target
    from engine.dial.result import DialResult
    from engine.errors import ConfigError, EngineError, Overloaded, Rejected

__all__ = [
    "Config",
    "ConfigError",
    "DialRequest",
    "DialResult",
    "Engine",
    "EngineError",
    "Overloaded",
    "Rejected",
    "Target",
    "load_config",
]

_HOME = {
    "Config": "engine.config",
    "ConfigError": "engine.errors",
    "DialRequest": "engine.dial.request",
    "DialResult": "engine.dial.result",
    "Engine": "engine.app",
    "EngineError": "engine.errors",
    "Overloaded": "engine.errors",
    "Rejected": "engine.errors",
    "Target": "engine.dial.request",
    "load_config": "engine.config",
}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(home), name)
