"""A customer's web application, as small as can be: documents out, hooks in, each printed as it arrives.

This is what a user of the engine writes, in whatever language. Nothing here knows the engine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

from aiohttp import web

__all__ = ["PROMPT", "Customer", "Told"]

PROMPT = "Press one to accept the call."
"""What a callee is asked."""

Told = dict[str, Any]
"""The JSON body of one hook."""

_SHOWN = (
    "call_status",
    "sip_status",
    "digits",
    "dtmf",
    "reason",
    "event",
    "amd_type",
    "type",
    "dial_status",
    "dial_sip_status",
    "dial_termination_reason",
)


class Customer:
    """Serves on loopback. `async with Customer(targets, out) as customer:`"""

    def __init__(self, targets: Sequence[str], out: TextIO) -> None:
        """`targets`: SIP URIs that the document dials, all at once."""
        self._targets = targets
        self._out = out
        self._runner: web.AppRunner | None = None
        self._began_at = 0.0
        self._port = 0
        self._names: dict[str, str] = {}
        self.told: list[tuple[str, Told]] = []
        """Path and body of every hook, in order."""
        self._news = asyncio.Event()

    async def __aenter__(self) -> Customer:
        app = web.Application()
        app.router.add_post("/{path}", self._on_hook)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, path: str) -> str:
        """Of one hook."""
        return f"http://127.0.0.1:{self._port}/{path}"

    def begin(self) -> None:
        """Count seconds from now."""
        self._began_at = asyncio.get_running_loop().time()

    async def until(self, path: str, **fields: object) -> Told:
        """The first hook at `path` whose body has these fields. TimeoutError after 15 seconds."""
        async with asyncio.timeout(15.0):
            while True:
                for where, body in self.told:
                    if where == path and fields.items() <= body.items():
                        return body
                self._news.clear()
                await self._news.wait()

    # --- the application itself

    @property
    def document(self) -> list[Told]:
        """What every call gets."""
        return [
            {
                "verb": "dial",
                "target": [{"type": "sip", "sipUri": uri} for uri in self._targets],
                "answerOnBridge": True,
                "timeout": 20,
                "confirmHook": "/confirm",
                "amd": {"actionHook": "/amd"},
                "dtmfCapture": ["*2"],
                "dtmfHook": "/dtmf",
                "actionHook": "/dialled",
            }
        ]

    @property
    def screening(self) -> list[Told]:
        """What a callee hears who has answered."""
        return [
            {
                "verb": "gather",
                "numDigits": 1,
                "timeout": 8,
                "say": {"text": PROMPT},
                "actionHook": "/pressed",
            }
        ]

    def _answer(self, path: str, body: Told) -> list[Told] | None:
        match path:
            case "call":
                return self.document
            case "confirm":
                return self.screening
            case "pressed":
                return [] if body.get("digits") == "1" else [{"verb": "hangup"}]
            case "dialled":
                return [{"verb": "hangup"}]
            case _:
                return None

    async def _on_hook(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        body: Told = json.loads(await request.read())
        answer = self._answer(path, body)
        self._print(path, body, answer)
        self.told.append((path, body))
        self._news.set()
        return web.Response(status=204) if answer is None else web.json_response(answer)

    def _print(self, path: str, body: Told, answer: list[Told] | None) -> None:
        at = asyncio.get_running_loop().time() - self._began_at
        who = str(body.get("to", "")).removeprefix("sip:").partition("@")[0]
        fields = "  ".join(f"{name}={body[name]}" for name in _SHOWN if name in body)
        reply = "" if answer is None else f"  ⇒ {', '.join(verb['verb'] for verb in answer) or 'accept'}"
        print(f"{at:8.3f}  /{path:<9} {who:<9} {fields}{reply}", file=self._out, flush=True)
