"""`dial-engine`: the table of commands. Each command brings its own arguments, help and example."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine.cli import check_config, demo, dial, serve
from engine.cli.exits import ERROR
from engine.errors import EngineError

__all__ = ["main"]

_COMMANDS = (dial, serve, check_config, demo)

_EPILOG = """\
examples:
  dial-engine dial sip:bob@192.0.2.7 sip:carol@example.com --timeout 20
  dial-engine serve --config engine.toml
  dial-engine demo
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="dial-engine",
        description="Rings phone numbers, SIP URIs and users over SIP, joins the first who answers, and says "
        "exactly what happened.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except EngineError as error:
        print(f"dial-engine: {error}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        return ERROR
    return status
