"""Opening a WebSocket to an application, and delivering one message by one (for the courier)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import aiohttp

from engine.hooks.hook import Hook
from engine.hooks.reply import MAX_REPLY_BYTES, HookFailed, HookFailure, MalformedReply
from engine.hooks.request import basic_auth, destination_of
from engine.hooks.websocket_messages import ANSWERED, Ack, parse_message

if TYPE_CHECKING:
    from engine.hooks.client import HookClient
    from engine.store.rows import Delivery

__all__ = ["SUB_PROTOCOL", "WebSocket", "connect", "deliver_by_websocket"]

SUB_PROTOCOL = "ws.jambonz.org"

WebSocket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"

_ANSWERED = frozenset(kind.value for kind in ANSWERED)


async def connect(client: HookClient, hook: Hook) -> WebSocket:
    """Connect and shake hands. HookFailed."""
    # The rules for URLs are those of http: `ws` is to `http` as `wss` to `https`.
    destination = destination_of("http" + hook.url[2:])
    authorization = destination.authorization
    if hook.username or hook.password:
        authorization = basic_auth(hook.username, hook.password)
    try:
        async with asyncio.timeout(client.timeout_s):
            return await client.session.ws_connect(
                destination.url,
                protocols=(SUB_PROTOCOL,),
                headers={"Authorization": authorization} if authorization else {},
                max_msg_size=MAX_REPLY_BYTES,
                heartbeat=30.0,
                timeout=aiohttp.ClientWSTimeout(ws_close=client.timeout_s),
            )
    except TimeoutError:
        raise HookFailed(f"no connection within {client.timeout_s:g} s") from None
    except ValueError:  # see HookClient
        raise HookFailed("not a URL that can be requested", failure=HookFailure.REQUEST) from None
    except aiohttp.WSServerHandshakeError as error:
        raise HookFailed(
            f"the WebSocket is refused with HTTP {error.status}", error.status, HookFailure.STATUS
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        raise HookFailed(f"no connection: {type(error).__name__}") from None


async def deliver_by_websocket(client: HookClient, delivery: Delivery) -> None:
    """Deliver a message encoded long ago; return when the application has read it. HookFailed."""
    hook = Hook(delivery.url, username=delivery.username, password=delivery.password)
    socket = await connect(client, hook)
    try:
        async with asyncio.timeout(client.timeout_s):
            await socket.send_str(delivery.body.decode())
            if delivery.kind in _ANSWERED:
                await _acknowledged(socket)
            await socket.close()
    except TimeoutError:
        raise HookFailed(f"no answer within {client.timeout_s:g} s", failure=HookFailure.TIMEOUT) from None
    except (aiohttp.ClientError, OSError) as error:
        raise HookFailed(f"the connection failed ({type(error).__name__})") from None
    finally:
        await socket.close()


async def _acknowledged(socket: WebSocket) -> None:
    async for frame in socket:
        if frame.type is aiohttp.WSMsgType.TEXT:
            try:
                heard = parse_message(frame.data, "", "")
            except MalformedReply:
                continue
            if isinstance(heard, Ack):
                return
    raise HookFailed("the application has closed the WebSocket")
