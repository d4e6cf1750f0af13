"""`dial-engine dial`: ring up to ten targets at once and say what happened."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec.structs

from engine.cli.exits import ANSWERED, ERROR, NOT_ANSWERED
from engine.config import Config, MediaConfig, SipConfig, load_config
from engine.errors import ConfigError, Rejected

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.dial.dial import Dial
    from engine.dial.request import DialRequest

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  dial-engine dial sip:bob@192.0.2.7
  dial-engine dial sip:bob@192.0.2.7 sip:carol@example.com --timeout 20 --record answer.wav
  dial-engine dial +15550100 --config engine.toml --trunk CarrierA --play message.wav --json
  dial-engine dial +15550100 --config engine.toml --amd --after-beep message.wav

exit status: 0 answered, 1 not answered, 2 error. Ctrl-C hangs up.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "dial",
        help="ring targets, the first who answers wins",
        description="Rings all targets at once over SIP; the first who answers is connected to --play and "
        "--record, the others are cancelled. The call lasts until somebody hangs up or the file is over.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets", metavar="TARGET", nargs="+", help="sip: URI, user@realm, or a number (needs a trunk)"
    )
    parser.add_argument("--from", dest="caller_id", default="", metavar="NUMBER", help="presented number")
    parser.add_argument("--name", default="", help="presented display name")
    parser.add_argument("--trunk", default="", help="trunk for numbers, from the configuration")
    parser.add_argument("--proxy", default="", metavar="URI", help="outbound proxy, a sip: URI")
    parser.add_argument("--user", default="", help="user name for 401 and 407 challenges")
    parser.add_argument("--password", default="", help="password for 401 and 407 challenges")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'Name: value'", help="extra SIP header, repeatable"
    )
    parser.add_argument("--codecs", default="", help="offer order, for example PCMA,PCMU")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="ring time (default 60)"
    )
    parser.add_argument(
        "--time-limit", type=float, default=None, metavar="SECONDS", help="longest conversation"
    )
    parser.add_argument("--play", default="", metavar="FILE", help="WAV or MP3 played after the answer")
    parser.add_argument(
        "--amd", action="store_true", help="detect machines, beeps, silence; print what is heard as it comes"
    )
    parser.add_argument(
        "--after-beep",
        default="",
        metavar="FILE",
        help="WAV or MP3 left on a machine after its beep (implies --amd; --play is then for people)",
    )
    parser.add_argument("--record", default="", metavar="FILE", help="WAV file that receives the callee")
    parser.add_argument("--config", default="", metavar="FILE", help="TOML configuration (trunks, users)")
    parser.add_argument("--listen", default="", metavar="ADDRESS", help="local IP address to call from")
    parser.add_argument("--trace", action="store_true", help="print every SIP message to standard error")
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object; live lines go to stderr"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_dial(arguments))


async def _dial(arguments: argparse.Namespace) -> int:
    from engine.app import Engine
    from engine.detection import LiveDetector
    from engine.lines import LiveLines
    from engine.logs import configure_logging
    from engine.talk import Talk
    from engine.trace import print_messages
    from media.player import PlayerError

    config = _config(arguments)
    configure_logging(level="error", json=config.logs.json, mask_personal=config.logs.mask, is_final=True)
    engine = Engine(config)
    request = _request(arguments)
    try:
        engine.capabilities_for(request.codecs)
    except ConfigError as error:
        raise ConfigError("--codecs", error.problem) from error
    if arguments.record:
        _require_writable(Path(arguments.record))
    loop = asyncio.get_running_loop()
    try:
        talk = await Talk.prepare(
            play=arguments.play, after_beep=arguments.after_beep, record=arguments.record
        )
    except PlayerError as error:
        raise ConfigError("--play or --after-beep", str(error)) from error
    await engine.start()
    try:
        if arguments.trace:
            engine.add_tracer(print_messages(loop.time(), sys.stderr))
        dial = _start(engine, request)
        dial.observe(LiveLines(dial, loop.time(), sys.stderr if arguments.json else sys.stdout))
        if arguments.amd or arguments.after_beep:
            LiveDetector(early_media=True).follow(dial)
        talk.follow(dial)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, dial.hang_up)
        result = await dial.wait()
        await talk.finish()
    finally:
        await engine.stop()
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result.to_dict()))
    if talk.problem or result.error:
        print(f"dial-engine: {talk.problem or result.error}", file=sys.stderr)
        return ERROR
    return ANSWERED if result.is_answered else NOT_ANSWERED


def _start(engine: Engine, request: DialRequest) -> Dial:
    try:
        return engine.start_dial(request)
    except Rejected as error:
        raise _by_argument(error) from error


_ARGUMENT = {
    "caller_id": "--from",
    "caller_name": "--name",
    "credentials.password": "--password",
    "credentials.username": "--user",
    "proxy": "--proxy",
    "time_limit_s": "--time-limit",
    "timeout_s": "--timeout",
}
"""What a field of a request is called on the command line."""


def _by_argument(error: Rejected) -> ConfigError:
    """A refused request, by the argument that is to blame."""
    field, _, problem = error.reason.partition(": ")
    if field.startswith("headers"):
        return ConfigError(
            "--header", f"{field.removeprefix('headers').removeprefix('.')} {problem}".lstrip()
        )
    return ConfigError(_ARGUMENT.get(field, "TARGET"), problem)


def _require_writable(path: Path) -> None:
    """A recording that cannot be made should be known before anybody's phone rings."""
    if path.is_dir():
        raise ConfigError("--record", f"{path} is a folder")
    if not os.access(path if path.exists() else path.resolve().parent, os.W_OK):
        raise ConfigError("--record", f"cannot write {path}")


def _request(arguments: argparse.Namespace) -> DialRequest:
    from engine.dial.request import Credentials, DialRequest, Target

    headers: dict[str, str] = {}
    for line in arguments.header:
        name, colon, value = line.partition(":")
        if not colon:
            raise ConfigError("--header", f"{line!r} is not 'Name: value'")
        headers[name.strip()] = value.strip()
    try:
        targets = tuple(Target.parse(text, trunk=arguments.trunk) for text in arguments.targets)
        if arguments.user or arguments.password:
            credentials = Credentials(arguments.user, arguments.password)
            targets = tuple(msgspec.structs.replace(target, credentials=credentials) for target in targets)
        return DialRequest(
            targets=targets,
            caller_id=arguments.caller_id,
            caller_name=arguments.name,
            headers=headers,
            timeout_s=arguments.timeout,
            time_limit_s=arguments.time_limit,
            proxy=arguments.proxy,
            codecs=tuple(name.strip() for name in arguments.codecs.split(",") if name.strip()),
        )
    except Rejected as error:
        raise _by_argument(error) from error


def _config(arguments: argparse.Namespace) -> Config:
    """The file, or a configuration that can reach the first target and listens on no well-known port."""
    if arguments.config:
        config = load_config(arguments.config)
        if arguments.listen:
            _require_address(arguments.listen)
            config = msgspec.structs.replace(
                config,
                sip=_sip(config.sip, arguments.listen),
                media=msgspec.structs.replace(config.media, listen=arguments.listen),
            )
        return config
    address = arguments.listen or _local_address(arguments.proxy or arguments.targets[0])
    _require_address(address)
    media = MediaConfig(listen=address, ports="")
    return Config(sip=_sip(SipConfig(), address), media=media)


def _sip(sip: SipConfig, address: str) -> SipConfig:
    host = f"[{address}]" if ":" in address else address
    return msgspec.structs.replace(sip, listen=(f"udp:{host}:0", f"tcp:{host}:0"))


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError("--listen", f"{text!r} is not an IP address") from None


def _local_address(target: str) -> str:
    """The address this machine would use towards the target; for a name, that of the default route."""
    host = target.rpartition("@")[2].removeprefix("sips:").removeprefix("sip:").partition(";")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if host == "localhost":
        return "127.0.0.1"
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        host, family = "192.0.2.1", socket.AF_INET  # documentation address: only asks for the route
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 5060))
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])
