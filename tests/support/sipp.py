"""SIPp as the far side: started with a scenario of ours, ended by pid, its verdict and messages read back.

SIPp decides whether the exchange was right as far as its scenario can say; what that cannot say (branches,
tags, times) is asserted on the messages it traced. Everything it wrote stays in `folder`.
"""

from __future__ import annotations

import asyncio
import csv
import os
import pty
import re
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypedDict, Unpack

from msgspec import Struct

from tests.support.judge import assert_well_formed
from tests.support.ports import free_port
from tests.support.tools import require_sipp

__all__ = ["SCENARIOS", "RunOptions", "Sipp", "SippBench", "SippResult", "TracedMessage"]

SCENARIOS = Path(__file__).resolve().parents[2] / "sipp"

_NO_RETRANSMISSIONS = "Run with -nr"
"""What a scenario says that must not have SIPp's own handling of retransmissions."""
_READY = b"Scenario Screen"
_START_TIMEOUT_S = 10.0
_REMARK = b"\n-----------------------------------------------\n"
_TRACE_HEAD = re.compile(
    rb"^-{20,} (\d{4}-\d\d-\d\d[ \t]+\d\d:\d\d:\d\d\.\d+)[^\n]*\n"
    rb"(?:UDP|TCP|TLS) message (sent|received)[^\n]*\n\n",
    re.MULTILINE,
)


class TracedMessage(Struct, frozen=True):
    """One SIP message as SIPp saw it."""

    was_sent: bool
    """By SIPp; False: received."""
    at_utc: float
    """Wall-clock seconds, for differences only."""
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0].strip()

    @property
    def method(self) -> str:
        """Of a request, or of the CSeq of a response."""
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0 ") else 0

    def header(self, name: str) -> str:
        """First value of a header as written, "" if there is none."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        """All values of a header as written."""
        head = self.text.replace("\r", "").partition("\n\n")[0]
        lines = (line.partition(":") for line in head.split("\n")[1:])
        return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]

    @property
    def body(self) -> str:
        return self.text.replace("\r", "").partition("\n\n")[2]


class SippResult(Struct, frozen=True):
    """What a finished SIPp says."""

    scenario: str
    exit_code: int
    """0: every call went by the scenario; 1: at least one did not; 97: told to leave; 255: cannot start."""
    successful: int
    failed: int
    retransmissions: int
    """Sent by SIPp because an answer was late."""
    messages: tuple[TracedMessage, ...]
    errors: str
    """Its error log: which message came instead of the expected one."""
    folder: Path

    def assert_passed(self, calls: int = 1) -> None:
        """Every one of `calls` calls went by the scenario, and what SIPp received is well-formed."""
        verdict = (self.exit_code, self.successful, self.failed)
        assert verdict == (0, calls, 0), (
            f"{self.scenario}: exit code, successful, failed = {verdict}\n{self.errors}\n"
            f"{self.ladder()}\nfiles: {self.folder}"
        )
        for message in self.messages:
            if not message.was_sent:
                assert_well_formed(message.text)

    def received(self, what: str) -> list[TracedMessage]:
        """Requests by method ("BYE") or responses by status and method ("200 BYE"), in order."""
        return [m for m in self.messages if not m.was_sent and _is(m, what)]

    def sent(self, what: str) -> list[TracedMessage]:
        """The same of what SIPp sent."""
        return [m for m in self.messages if m.was_sent and _is(m, what)]

    def ladder(self) -> str:
        """The exchange, a line per message."""
        return "\n".join(f"{'<-' if m.was_sent else '->'} {m.first_line} [{m.method}]" for m in self.messages)


class Sipp:
    """A running SIPp."""

    def __init__(self, name: str, folder: Path, port: int, process: asyncio.subprocess.Process) -> None:
        """Use `SippBench`."""
        self.name = name
        self.folder = folder
        self.port = port
        self._process = process
        self._screen = b""
        self._is_ready = asyncio.Event()

    @property
    def uri(self) -> str:
        """Where to call it, if it is a callee."""
        return self.uri_for("callee")

    def uri_for(self, user: str) -> str:
        """The same with a user part of choice."""
        return f"sip:{user}@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(
        cls, name: str, folder: Path, port: int, arguments: Sequence[str], *, environment: dict[str, str]
    ) -> Sipp:
        """Start it; its sockets are open when this returns. AssertionError if it cannot."""
        screen, terminal = pty.openpty()  # only to a terminal SIPp shows at once that its sockets are open
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
            )
        finally:
            os.close(terminal)
        sipp = cls(name, folder, port, process)
        loop = asyncio.get_running_loop()
        loop.add_reader(screen, sipp._read_screen, screen)
        async with asyncio.timeout(_START_TIMEOUT_S):
            await sipp._is_ready.wait()
        assert _READY in sipp._screen, f"{name} did not start:\n{sipp._screen.decode(errors='replace')}"
        return sipp

    async def finished(self, *, timeout_s: float = 30.0) -> SippResult:
        """Wait until all its calls are over. TimeoutError if they are not."""
        async with asyncio.timeout(timeout_s):
            code = await self._process.wait()
        statistics = _last_row(self.folder / "statistics.csv")
        errors = self.folder / "errors.log"
        return SippResult(
            self.name,
            code,
            int(statistics.get("SuccessfulCall(C)", 0)),
            int(statistics.get("FailedCall(C)", 0)),
            int(statistics.get("Retransmissions(C)", 0)),
            tuple(_parse_trace(self.folder / "messages.log")),
            errors.read_text(errors="replace") if errors.exists() else "",
            self.folder,
        )

    async def stop(self) -> SippResult:
        """End it gracefully (no new calls, current ones may finish for a second), then by force."""
        for how in (signal.SIGUSR1, signal.SIGKILL):
            if self._process.returncode is not None:
                break
            self._process.send_signal(how)
            try:
                return await self.finished(timeout_s=1.0)
            except TimeoutError:
                continue
        return await self.finished(timeout_s=5.0)

    def _read_screen(self, screen: int) -> None:
        try:
            data = os.read(screen, 65536)
        except OSError:  # EIO: the other end of the terminal is closed
            data = b""
        self._screen = (self._screen + data)[-65536:]
        if not data:
            asyncio.get_running_loop().remove_reader(screen)
            os.close(screen)
        if not data or _READY in self._screen:
            self._is_ready.set()


class RunOptions(TypedDict, total=False):
    """Keywords of `SippBench.run`."""

    service: str
    keys: dict[str, str]
    calls: int
    rate: float
    hold_ms: int
    transport: str
    timeout_s: int
    trace: bool
    more: Sequence[str]
    port: int


class SippBench:
    """All SIPps of one test; none outlives it.

    async with SippBench(tmp_path) as sipp:
        callee = await sipp.callee("callee_busy")
        ...
        (await callee.finished()).assert_passed()
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> SippBench:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def callee(self, scenario: str, **options: Unpack[RunOptions]) -> Sipp:
        """A SIPp that waits for calls. Options: see `run`."""
        return await self.run(scenario, **options)

    async def caller(
        self,
        scenario: str,
        remote: tuple[str, int],
        *,
        caller: str = "5550199",
        **options: Unpack[RunOptions],
    ) -> Sipp:
        """A SIPp that calls `service` (default 5550100) at `remote` as soon as it has started."""
        options.setdefault("service", "5550100")
        options["keys"] = {"caller": caller, **options.get("keys", {})}
        return await self.run(scenario, remote=remote, **options)

    async def run(
        self,
        scenario: str,
        *,
        remote: tuple[str, int] | None = None,
        service: str = "",
        keys: dict[str, str] | None = None,
        calls: int = 1,
        rate: float = 10.0,
        hold_ms: int = 0,
        transport: str = "u1",
        timeout_s: int = 20,
        trace: bool = True,
        more: Sequence[str] = (),
        port: int = 0,
    ) -> Sipp:
        """Start `sipp/<scenario>.xml` on `port` (0: a free one) for `calls` calls.

        `hold_ms` is the duration the scenario mentions as -d. After `timeout_s` SIPp gives up and fails.
        """
        self._count += 1
        folder = self._folder / f"{self._count:02}_{scenario}"
        port, media, control = port or free_port(), free_port(consecutive=4), free_port()
        _make(folder)
        arguments = [require_sipp()]
        if remote is not None:
            arguments.append(f"{remote[0]}:{remote[1]}")
        arguments += ["-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-p", str(port)]
        arguments += ["-mi", "127.0.0.1", "-mp", str(media), "-cp", str(control), "-ci", "127.0.0.1"]
        arguments += ["-m", str(calls), "-r", str(rate), "-d", str(hold_ms), "-t", transport, "-nostdin"]
        arguments += ["-timeout", str(timeout_s), "-timeout_error"]
        arguments += ["-trace_stat", "-stf", "statistics.csv", "-trace_err", "-error_file", "errors.log"]
        if trace:
            arguments += ["-trace_msg", "-message_file", "messages.log"]
        if service:
            arguments += ["-s", service]
        for key, value in (keys or {}).items():
            arguments += ["-key", key, value]
        if _NO_RETRANSMISSIONS in _text_of(scenario):
            arguments.append("-nr")
        arguments += more
        environment = {**os.environ, "TERM": "vt100"}
        sipp = await Sipp.start(scenario, folder, port, arguments, environment=environment)
        self._stack.push_async_callback(sipp.stop)
        return sipp


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _text_of(scenario: str) -> str:
    return (SCENARIOS / f"{scenario}.xml").read_text()


def _is(message: TracedMessage, what: str) -> bool:
    status, _, method = what.rpartition(" ")
    return message.method == method and str(message.status or "") == status


def _last_row(path: Path) -> dict[str, str]:
    """The totals of SIPp's statistics file."""
    with path.open(newline="", errors="replace") as file:
        rows = list(csv.reader(file, delimiter=";"))
    return dict(zip(rows[0], rows[-1], strict=False)) if len(rows) > 1 else {}


def _without_remarks(record: bytes) -> bytes:
    """A message as it was, without what SIPp writes after it."""
    return record.partition(_REMARK)[0].removesuffix(b"\n")


def _parse_trace(path: Path) -> list[TracedMessage]:
    data = path.read_bytes() if path.exists() else b""
    heads = list(_TRACE_HEAD.finditer(data))
    ends = [head.start() for head in heads[1:]] + [len(data)]
    return [
        TracedMessage(
            head[2] == b"sent",
            datetime.fromisoformat(re.sub(r"\s+", " ", head[1].decode())).timestamp(),
            _without_remarks(data[head.end() : end]).decode(errors="surrogateescape"),
        )
        for head, end in zip(heads, ends, strict=False)
    ]
