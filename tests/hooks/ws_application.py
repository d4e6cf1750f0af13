"""An application that speaks the hooks contract, section 7: a real server of the package `websockets`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

import websockets
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

__all__ = ["Application", "Message", "ack"]

Message = dict[str, object]


class Application:
    """Keeps every message; answers by type with the data the test gave, or with a plain ack."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.connections: list[ServerConnection] = []
        self.answers: dict[str, Callable[[ServerConnection, Message], list[str]]] = {}
        self._changed = asyncio.Condition()
        self.server: Server | None = None
        self.port = 0

    async def serve_one(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            async for text in connection:
                message = cast("Message", json.loads(text))
                self.seen.append(message)
                async with self._changed:
                    self._changed.notify_all()
                for answer in self._answers_to(connection, message):
                    await connection.send(answer)
        except websockets.ConnectionClosedError:
            pass

    def _answers_to(self, connection: ServerConnection, message: Message) -> list[str]:
        kind = cast("str", message["type"])
        if kind in self.answers:
            return self.answers[kind](connection, message)
        return [] if kind in ("call:status", "verb:status", "session:reconnect") else [ack(message)]

    def types(self) -> list[str]:
        return [cast("str", message["type"]) for message in self.seen]

    async def until(self, is_enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(is_enough)

    def url(self, path: str = "/call") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def start(self) -> None:
        self.server = await serve(
            self.serve_one, "127.0.0.1", self.port, subprotocols=[Subprotocol("ws.jambonz.org")]
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()


def ack(message: Message, *data: object) -> str:
    """An ack, with a document if there is one."""
    answer: Message = {"type": "ack", "msgid": message["msgid"]}
    if data:
        answer["data"] = data[0]
    return json.dumps(answer)
