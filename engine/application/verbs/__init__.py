"""One file per verb: `async def run(verb, session) -> None`, found here by the verb's name.

A verb is cancelled (asyncio cancellation) when its document is replaced or the leg is gone: what it began it
ends in `finally`. It raises `LegGone` freely; any other exception is a bug, costs this verb only, and is an
alert.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.application.session import VerbRunner

__all__ = ["VERBS", "runner_of"]

VERBS = {
    "AnswerVerb": "answer",
    "ConfigVerb": "config",
    "DeclineVerb": "decline",
    "DialVerb": "dial",
    "DtmfVerb": "dtmf",
    "GatherVerb": "gather",
    "HangupVerb": "hangup",
    "ListenVerb": "listen",
    "PauseVerb": "pause",
    "PlayVerb": "play",
    "RedirectVerb": "redirect",
    "SayVerb": "say",
    "TagVerb": "tag",
    "TranscribeVerb": "transcribe",
}
"""Struct of the verb to the module of this package that runs it."""

_runners: dict[str, VerbRunner] = {}


def runner_of(verb: object) -> VerbRunner:
    """What runs this verb. Loaded when first needed. Raises KeyError or ModuleNotFoundError: our mistake."""
    name = type(verb).__name__
    runner = _runners.get(name)
    if runner is None:
        runner = _runners[name] = import_module(f"{__name__}.{VERBS[name]}").run
    return runner
