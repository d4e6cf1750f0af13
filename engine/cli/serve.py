"""`dial-engine serve`: calls from the configured sources and HTTP requests, until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine

from engine.cli.exits import OK
from engine.config import load_config

__all__ = ["add_parser"]

_EPILOG = """\
example:
  dial-engine serve --config engine.toml

SIGTERM drains: new calls get 503, calls in progress may go on for limits.drain_s; a second SIGTERM or Ctrl-C
hangs up at once. Exit status: 0 stopped in order, 2 wrong configuration.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "serve",
        help="the engine for calls from a PBX and over HTTP",
        description="Takes calls from configured sources, rings the targets of their routes or runs "
        "their applications; serves the HTTP APIs where [http] is configured.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML configuration file")
    parser.add_argument("--trace", action="store_true", help="print every SIP message to standard error")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object with the bound addresses when ready, and one per finished dial",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> int:
    from engine.app import Engine
    from engine.cli.printer import Printer
    from engine.collector import tune_gc
    from engine.dial.dial import Dial, Happening, Observer
    from engine.dial.result import DialResult
    from engine.logs import configure_logging
    from engine.trace import print_messages

    config = load_config(arguments.config)
    configure_logging(
        level=config.logs.level, json=config.logs.json, mask_personal=config.logs.mask, is_final=True
    )
    engine = Engine(config)
    loop = asyncio.get_running_loop()
    await engine.start()
    tune_gc()
    printer = Printer(sys.stdout.fileno())
    asked = asyncio.Event()
    asked_again = asyncio.Event()

    def stop() -> None:
        (asked_again if asked.is_set() else asked).set()

    def report(_dial: Dial) -> Observer:
        def observe(happening: Happening) -> None:
            if isinstance(happening, DialResult):
                printer.print(json.dumps({"dial": happening.dial_id, **happening.to_dict()}))

        return observe

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if arguments.trace:
            engine.add_tracer(print_messages(loop.time(), sys.stderr))
        addresses = [
            f"{each.transport.lower()}:{each.bound.host}:{each.bound.port}"
            for each in engine.endpoint.listeners
        ]
        http = engine.http_url
        if arguments.json:
            engine.dials.observe_all(report)
            ready = {"ready": True, "listen": addresses, **({"http": http} if http else {})}
            print(json.dumps(ready), flush=True)
        else:
            print(f"ready: {', '.join([*addresses, http] if http else addresses)}", flush=True)
        with printer:
            await asked.wait()
            if engine.calls_in_progress:
                print(f"draining: {engine.calls_in_progress} calls in progress", file=sys.stderr, flush=True)
            await _first(engine.drain(config.limits.drain_s), asked_again)
            await engine.stop()  # here already, so that the dials it ends are printed, too
    finally:
        await engine.stop()
    return OK


async def _first(drain: Coroutine[object, object, bool], asked_again: asyncio.Event) -> None:
    """Wait until the calls are over, or until somebody is too impatient for that."""
    draining = asyncio.create_task(drain, name="drain")
    impatience = asyncio.create_task(asked_again.wait(), name="second signal")
    try:
        await asyncio.wait((draining, impatience), return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        impatience.cancel()
        await asyncio.gather(draining, impatience, return_exceptions=True)
