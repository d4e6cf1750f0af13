"""`dial-engine demo`: real phones ring, a machine answers, a web application decides; all of it is proved."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from engine.cli.exits import ERROR, OK

__all__ = ["add_parser"]

_EPILOG = """\
example:
  dial-engine demo --keep recordings

exit status: 0 everything was proved, 2 not. Needs the extra dial-engine[softphone] (pjsua2).
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "demo",
        help="real calls on loopback, with proof of the audio",
        description="Three acts with pjsua2 phones on loopback: a simring, a voicemail, a web application.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keep", default="", metavar="FOLDER", help="where the recordings go")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON; the ladder on stderr")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from engine.demo import run_demo
    from engine.logs import configure_logging

    configure_logging(level="warning", is_final=True)
    out = sys.stderr if arguments.json else sys.stdout
    outcome = asyncio.run(run_demo(out, keep=Path(arguments.keep) if arguments.keep else None))
    if arguments.json:
        print(
            json.dumps(
                {
                    "proved": outcome.is_proved,
                    "simring": outcome.simring.result.to_dict(),
                    "alice_heard_hz": round(outcome.simring.alice_heard.hz),
                    "bob_heard_hz": round(outcome.simring.bob_heard.hz),
                    "voicemail": outcome.voicemail.result.to_dict(),
                    "message_similarity": round(outcome.voicemail.message.similarity, 3),
                    "hooks": [path for path, _ in outcome.document.told],
                    "prompt_similarity": round(outcome.document.prompt.similarity, 3),
                    "recordings": str(outcome.recordings),
                }
            )
        )
    return OK if outcome.is_proved else ERROR
