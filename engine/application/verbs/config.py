"""`config`: defaults of the session, and what goes on in the background beside the verbs that follow."""

from __future__ import annotations

import msgspec

from engine.application.document import ConfigVerb
from engine.application.session import Session

__all__ = ["run"]


async def run(verb: ConfigVerb, session: Session) -> None:
    """What is not said stays as it was; a voice or recogniser is replaced as a whole."""
    changes: dict[str, object] = {
        name: value
        for name, value in (
            ("synthesizer", verb.synthesizer),
            ("recognizer", verb.recognizer),
            ("notify_events", verb.notify_events),
        )
        if value is not None
    }
    if changes:
        session.defaults = msgspec.structs.replace(session.defaults, **changes)
    if verb.listen is not None:
        stream = verb.listen.to_verb() if verb.listen.enable else None
        session.keep_running("listen", stream)
    if verb.transcribe is not None:
        session.keep_running("transcribe", verb.transcribe.to_verb() if verb.transcribe.enable else None)
