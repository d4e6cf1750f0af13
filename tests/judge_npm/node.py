"""Node processes of this folder, one line of JSON each way."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.support.tools import missing

__all__ = ["Foreign", "ForeignSocket", "Judge", "foreign", "foreign_socket", "judge"]

_HERE = Path(__file__).parent
_PATIENCE_S = 20.0


def _node() -> str:
    """Where node is; without it, or without the packages, the test is skipped, under CI it fails."""
    node = shutil.which("node")
    if node is None:
        missing("node is not installed (Debian and Ubuntu: apt-get install nodejs npm)")
    if not (_HERE / "node_modules").is_dir():
        missing("the npm packages are not installed (npm install --prefix tests/judge_npm)")
    return node


class _Lines:
    """A process that reads and writes lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def hear(self) -> Any:
        """The next line. AssertionError: none came; with what the process complained about."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(_PATIENCE_S):
            line = await self._process.stdout.readline()
            if not line:
                complaint = await self._process.stderr.read()
                raise AssertionError(f"node ended: {complaint.decode(errors='replace')}")
        return msgspec.json.decode(line)


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[_Lines]:
    process = await asyncio.create_subprocess_exec(
        _node(),
        *arguments,
        cwd=_HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=4_000_000,
    )
    try:
        yield _Lines(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Verdict(msgspec.Struct, frozen=True):
    """What both validators of the family say about a document; None: nothing against it."""

    schema: str | None
    """@jambonz/schema"""
    specs: str | None
    """@jambonz/verb-specifications"""

    @property
    def is_accepted(self) -> bool:
        return self.schema is None and self.specs is None


class Judge:
    """The family's validators."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    async def documents(self, documents: Sequence[object]) -> list[Verdict]:
        """A verdict for each."""
        verdicts = []
        for begin in range(0, len(documents), 100):  # less than what a pipe holds is under way
            some = documents[begin : begin + 100]
            for document in some:
                self._lines.tell({"document": document})
            verdicts += [msgspec.convert(await self._lines.hear(), Verdict) for _ in some]
        return verdicts

    async def payload(self, callback: str, payload: Mapping[str, object]) -> str | None:
        """What their schema of a callback has against a payload; None: nothing."""
        self._lines.tell({"callback": callback, "payload": payload})
        complaint: str | None = (await self._lines.hear())["schema"]
        return complaint

    async def restated(self, text: str) -> str:
        """JSON as JavaScript writes what it has read: signatures are verified over that."""
        self._lines.tell({"text": text})
        return str((await self._lines.hear())["text"])


class Foreign:
    """A customer's application and REST client, written with a library of the family."""

    def __init__(self, lines: _Lines, port: int) -> None:
        self._lines = lines
        self.base = f"http://127.0.0.1:{port}"
        self.told: list[dict[str, Any]] = []
        """Hooks that came in, in order: `path`, `verified` (None: the signature is right), `body`."""

    def url(self, path: str) -> str:
        return self.base + path

    async def hook(self, path: str, **properties: object) -> dict[str, Any]:
        """The first hook to a path whose body has these properties; waits for it."""
        while True:
            for told in self.told:
                if told["path"] == path and properties.items() <= told["body"].items():
                    return told
            await self._listen()

    async def rest(self, what: str, *arguments: object, base: str, account: str, key: str) -> Any:
        """A call of the library's REST client. AssertionError: the library raised."""
        self._lines.tell(
            {"rest": what, "arguments": arguments, "baseUrl": base, "account": account, "key": key}
        )
        while (answer := await self._listen()) is None:
            pass
        assert "error" not in answer, f"{what}: {answer['error']}"
        return answer["result"]

    async def _listen(self) -> dict[str, Any] | None:
        """One line: a hook is remembered, an answer to a REST call is returned."""
        line: dict[str, Any] = await self._lines.hear()
        if "rest" in line:
            return line
        assert "error" not in line, line["error"]
        self.told.append(line)
        return None


class ForeignSocket:
    """A customer's application over WebSocket, written with the family's library."""

    def __init__(self, lines: _Lines, port: int) -> None:
        self._lines = lines
        self.url = f"ws://127.0.0.1:{port}/call"
        self.told: list[dict[str, Any]] = []
        """What its library said happened, in order: `event`, `body`."""

    async def event(self, name: str, **properties: object) -> dict[str, Any]:
        """The first event of a name whose body has these properties; waits for it."""
        while True:
            for told in self.told:
                if told["event"] == name and properties.items() <= told["body"].items():
                    return told
            self.told.append(await self._lines.hear())

    def inject(self, what: str, *arguments: object) -> None:
        """A command of the library's session: `injectRedirect`, `injectMute`, ..."""
        self._lines.tell({"inject": what, "arguments": arguments})


@asynccontextmanager
async def judge() -> AsyncIterator[Judge]:
    async with _running("judge.js") as lines:
        yield Judge(lines)


@asynccontextmanager
async def foreign(
    library: str, documents: Mapping[str, Sequence[tuple[str, object]]], *, secret: str = ""
) -> AsyncIterator[Foreign]:
    """`library`: `sdk` or `node-client`. `documents`: by path, each verb as its name and its properties."""
    script = {"library": library, "secret": secret, "documents": documents}
    async with _running("foreign.js", msgspec.json.encode(script).decode()) as lines:
        yield Foreign(lines, (await lines.hear())["listening"])


@asynccontextmanager
async def foreign_socket(
    documents: Mapping[str, Sequence[tuple[str, object]]],
) -> AsyncIterator[ForeignSocket]:
    """`documents`: by event (`session:new`, hooks), each verb as its name and its properties."""
    async with _running("foreign_ws.js", msgspec.json.encode({"documents": documents}).decode()) as lines:
        yield ForeignSocket(lines, (await lines.hear())["listening"])
