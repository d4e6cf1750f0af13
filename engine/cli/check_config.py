"""`dial-engine check-config`: is this file usable, and if not, which key is wrong and why."""

from __future__ import annotations

import argparse
import json
import sys

from engine.cli.exits import ERROR, OK
from engine.config import load_config
from engine.errors import ConfigError

__all__ = ["add_parser"]

_EPILOG = """\
example:
  dial-engine check-config engine.toml

exit status: 0 usable, 2 not usable
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "check-config",
        help="check a configuration file and name the wrong key",
        description="Reads a configuration file as `serve` would, without opening a socket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="TOML configuration file")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from engine.app import check_config

    try:
        config = load_config(arguments.file)
        check_config(config)
    except ConfigError as error:
        if arguments.json:
            print(json.dumps({"ok": False, "key": error.key, "problem": error.problem}))
        else:
            print(f"{arguments.file}: {error}", file=sys.stderr)
        return ERROR
    if arguments.json:
        print(json.dumps({"ok": True}))
    else:
        print(
            f"{arguments.file}: fine. {len(config.sip.listen)} listeners, {len(config.source)} sources, "
            f"{len(config.route)} routes, {len(config.trunk)} trunks, {len(config.user)} users."
        )
    return OK
