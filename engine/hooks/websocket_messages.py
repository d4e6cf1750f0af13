"""The messages of an application over WebSocket (hooks contract, section 7), both ways. Pure.

Engine to application: `{type, msgid, call_sid, hook?, b3?, data}`. Application to engine: an `ack` with the
`msgid` it answers and perhaps a document, or a `command`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.hooks.call_hooks import HookKind
from engine.hooks.reply import HookReply, MalformedReply, check_depth
from engine.json_text import encode_json

__all__ = ["ANSWERED", "Ack", "Command", "encode_message", "name_of", "parse_message"]

ANSWERED = frozenset(
    {
        HookKind.SESSION_NEW,
        HookKind.SESSION_REDIRECT,
        HookKind.SESSION_ADULTING,
        HookKind.VERB_HOOK,
        HookKind.DIAL_ACTION,
        HookKind.DIAL_CONFIRM,
    }
)
"""What an application acknowledges; the rest it only hears."""
_WITH_HOOK = ANSWERED - {HookKind.SESSION_NEW, HookKind.SESSION_ADULTING}


class Ack(Struct, frozen=True):
    """The answer to one message."""

    msgid: str
    reply: HookReply


class Command(Struct, frozen=True):
    """Live control: what `PUT /Calls/{call_sid}` would do, asked for on the socket of a call."""

    name: str
    """`redirect`, `call:status`, `mute:status`, `listen:status`, `whisper`, `dtmf`, ..."""
    data: object = None
    call_sid: str = ""
    """The leg it is about."""
    account_sid: str = ""
    is_queued: bool = False
    """To be done when what runs now has ended, not in its place."""


def encode_message(
    kind: HookKind, msgid: str, call_sid: str, url: str, data: Mapping[str, object], b3: str = ""
) -> str:
    """One message, as text. `url`: of the hook, as the application wrote it."""
    message: dict[str, object] = {
        # How a dial ended is news of the verb; that it must not be lost is our business.
        "type": HookKind.VERB_HOOK if kind is HookKind.DIAL_ACTION else kind,
        "msgid": msgid,
        "call_sid": call_sid,
    }
    if kind in _WITH_HOOK:
        message["hook"] = name_of(url)
    if b3:
        message["b3"] = b3
    message["data"] = data
    return encode_json(message).decode()


def name_of(url: str) -> str:
    """What an application calls its hook: as it wrote it, or path and query of an absolute URL."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def parse_message(text: str, call_sid: str, account_sid: str) -> Ack | Command:
    """One message on the socket of that call. MalformedReply: not a message of this protocol."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedReply(f"a message is not JSON: {error}", 200) from None
    if not isinstance(message, dict):
        raise MalformedReply("a message is not a JSON object", 200)
    check_depth(message, text.count("[") + text.count("{"), 200)
    match message.get("type"):
        case "ack":
            return _ack(message)
        case "command" if isinstance(name := message.get("command"), str):
            leg = message.get("call_sid") or message.get("callSid")
            return Command(
                name,
                message.get("data"),
                leg if isinstance(leg, str) else call_sid,
                account_sid,
                message.get("queueCommand") is True,
            )
        case _:
            raise MalformedReply("a message is neither an ack nor a command", 200)


def _ack(message: dict[str, object]) -> Ack:
    msgid, data = message.get("msgid"), message.get("data")
    if not isinstance(msgid, str):
        raise MalformedReply("an ack has no msgid", 200)
    if data is None or data == {}:
        return Ack(msgid, HookReply(200))
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list):
        raise MalformedReply("the data of an ack is not an array of verbs", 200)
    return Ack(msgid, HookReply(200, cast("list[object]", data)))
