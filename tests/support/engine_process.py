"""The engine as a user runs it: `python -m engine ...` in a process of its own, ended by pid."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

__all__ = ["EngineProcess", "Finished", "engine_process", "run_engine", "serving"]

_START_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 15.0


class Finished(Struct, frozen=True):
    """What a command left behind."""

    exit_code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, object]:
        """The last line of standard output, which is one JSON object with `--json`."""
        found = json.loads(self.out.strip().splitlines()[-1])
        assert isinstance(found, dict)
        return found


class EngineProcess:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._out: list[str] = []
        self.sip_port = 0
        """UDP port of `serve`."""

    async def read_line(self) -> str:
        """The next line of its standard output; "" at the end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_TIMEOUT_S):
            line = (await self._process.stdout.readline()).decode()
        self._out.append(line)
        return line

    async def read_until(self, word: str) -> str:
        """The next line that contains `word`; AssertionError if there is none."""
        while line := await self.read_line():
            if word in line:
                return line
        raise AssertionError(f"{word!r} was not printed: {self._out}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def finished(self, *, timeout_s: float = _END_TIMEOUT_S) -> Finished:
        """Wait for its end. TimeoutError if it does not come."""
        async with asyncio.timeout(timeout_s):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        text = "".join(self._out) + out.decode()
        return Finished(self._process.returncode, text, err.decode())

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


@asynccontextmanager
async def engine_process(*arguments: str) -> AsyncIterator[EngineProcess]:
    """`python -m engine` with these arguments; killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = EngineProcess(process)
    try:
        yield running
    finally:
        await running.kill()


async def run_engine(*arguments: str, timeout_s: float = 30.0) -> Finished:
    """Run a command to its end."""
    async with engine_process(*arguments) as process:
        return await process.finished(timeout_s=timeout_s)


@asynccontextmanager
async def serving(
    folder: Path, *targets: str, route: Sequence[str] = (), config: str = ""
) -> AsyncIterator[EngineProcess]:
    """`serve` on ports of its own, with one route from loopback to `targets`.

    `route`: further lines of the route's table; `config`: further tables.
    """
    entries = ", ".join(f'{{sip_uri = "{uri}"}}' for uri in targets)
    lines = [
        "[sip]",
        'listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]',
        "[media]",
        'ports = ""',
        "[[source]]",
        'name = "pbx"',
        'addresses = ["127.0.0.1"]',
        "[[route]]",
        'number = "*"',
        f"targets = [{entries}]",
        *route,
        config,
    ]
    file = folder / "engine.toml"
    file.write_text("\n".join(lines))
    async with engine_process("serve", "--config", str(file), "--json") as process:
        ready = json.loads(await process.read_line())
        assert ready["ready"] is True
        udp = next(address for address in ready["listen"] if address.startswith("udp:"))
        process.sip_port = int(udp.rpartition(":")[2])
        yield process
