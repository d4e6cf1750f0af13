"""The demo: real phones on loopback, shown as it happens and proved by what they recorded."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from engine.demo.document import DocumentOutcome, run_document
from engine.demo.simring import SimringOutcome, run_simring
from engine.demo.voicemail import VoicemailOutcome, run_voicemail

__all__ = ["DemoOutcome", "DocumentOutcome", "SimringOutcome", "VoicemailOutcome", "run_demo"]


class DemoOutcome(Struct, frozen=True):
    """What the whole demo proved."""

    simring: SimringOutcome
    voicemail: VoicemailOutcome
    document: DocumentOutcome
    recordings: Path

    @property
    def is_proved(self) -> bool:
        """Every act was proved."""
        return self.simring.is_proved and self.voicemail.is_proved and self.document.is_proved


async def run_demo(out: TextIO = sys.stdout, *, keep: Path | None = None) -> DemoOutcome:
    """Run every act; under a minute. Raises SoftphoneError if the phones cannot be started.

    `keep`: folder for the recordings, made if needed; None: a new temporary one.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="dial-engine-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    simring = await run_simring(out, folder)
    voicemail = await run_voicemail(out, folder)
    document = await run_document(out, folder)
    print(f"\nListen for yourself: {folder}", file=out)
    return DemoOutcome(simring, voicemail, document, folder)
