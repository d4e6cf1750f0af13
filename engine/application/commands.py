"""Commands of an application over its WebSocket (hooks contract, section 7): live control by another door.

A command is turned into the `CallUpdate` that a PUT would have been; only `redirect` may bring its document
with it, in place of a hook. One that cannot be understood or done is an alert: nobody waits for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from engine.application.document import PlayVerb, SayVerb, Verb, parse_document
from engine.application.orders import CallUpdate, Dtmf, SipRequest, Streaming
from engine.application.schema.fields import Decibels, HookField, NestedFault, decode_field
from engine.hooks.hook import Hook

__all__ = ["brings_document", "update_of"]

_ASIDE: frozenset[type[Verb]] = frozenset((SayVerb, PlayVerb))


def update_of(name: str, data: object) -> CallUpdate:
    """What a PUT with the same meaning asks for. ValueError or DocumentError says what is wrong.

    Not for a `redirect` that brings its document.
    """
    change = _MAKERS.get(name)
    if change is None:
        raise ValueError(f"unknown command {name!r}")
    return change(data)


def brings_document(name: str, data: object) -> bool:
    """A `redirect` whose data are the verbs themselves, not the hooks to ask for them."""
    return name == "redirect" and not any(_has(data, hook) for hook in _HOOKS)


def _field(data: object, *names: str) -> Any:
    """The value under one of these names; or the data itself, where it is no object."""
    if not isinstance(data, Mapping):
        return data
    for name in names:
        if name in data:
            return data[name]
    raise ValueError(f"has no {names[0]!r}")


def _one_of(value: object, *words: str) -> str:
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{value!r} is none of {', '.join(words)}")
    return value


def _call_status(data: object) -> CallUpdate:
    word = _one_of(_field(data, "call_status"), "completed", "no-answer")
    return CallUpdate(call_status="completed" if word == "completed" else "no-answer")


def _mute(data: object) -> CallUpdate:
    return CallUpdate(mute=_one_of(_field(data, "mute_status"), "mute", "unmute") == "mute")


def _listen(data: object) -> CallUpdate:
    return CallUpdate(listen_status=_streaming(_field(data, "listen_status")))


def _transcribe(data: object) -> CallUpdate:
    return CallUpdate(transcribe_status=_streaming(_field(data, "transcribe_status")))


def _streaming(value: object) -> Streaming:
    return Streaming(_one_of(value, *(each.value for each in Streaming)))


def _redirect(data: object) -> CallUpdate:
    if not isinstance(data, Mapping) or "call_hook" not in data:
        raise ValueError("has no 'call_hook'")
    call, child, status = (_hook(data, name) for name in _HOOKS)
    return CallUpdate(call_hook=call, child_call_hook=child, call_status_hook=status)


def _hook(data: Mapping[str, object], name: str) -> Hook | None:
    if name not in data:
        return None
    try:
        return cast(Hook, decode_field(HookField, data[name]))
    except NestedFault as refused:
        raise ValueError(f"{name}: {refused.fault}") from None
    except ValueError as refused:
        raise ValueError(f"{name}: {refused}") from None


def _whisper(data: object) -> CallUpdate:
    verbs = data["whisper"] if isinstance(data, Mapping) and "whisper" in data else data
    document = parse_document(verbs if isinstance(verbs, list) else [verbs], only=_ASIDE)
    return CallUpdate(whisper=document)


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    digit: str
    duration: float = 250

    def __post_init__(self) -> None:
        if not self.digit or not set(self.digit.upper()) <= set("0123456789*#ABCD") or self.duration <= 0:
            raise ValueError("dtmf: not digits, or no duration")


def _dtmf(data: object) -> CallUpdate:
    keys = msgspec.convert(_field(data, "dtmf") if _has(data, "dtmf") else data, _Key)
    return CallUpdate(dtmf=Dtmf(keys.digit, round(keys.duration)))


def _sip_request(data: object) -> CallUpdate:
    raw = _field(data, "sip_request") if _has(data, "sip_request") else data
    return CallUpdate(sip_request=msgspec.convert(raw, SipRequest))


def _tag(data: object) -> CallUpdate:
    return CallUpdate(tag=msgspec.convert(_field(data, "tag") if _has(data, "tag") else data, dict[str, Any]))


def _record(data: object) -> CallUpdate:
    raw = _field(data, "record") if _has(data, "record") else data
    return CallUpdate(record=msgspec.convert(raw, dict[str, Any]))


def _dub(data: object) -> CallUpdate:
    return CallUpdate(dub=msgspec.convert(_field(data, "dub") if _has(data, "dub") else data, dict[str, Any]))


def _boost(data: object) -> CallUpdate:
    gain = cast(float, decode_field(Decibels, _field(data, "boostAudioSignal", "data")))
    return CallUpdate(boost_audio_signal_db=gain)


def _media_path(data: object) -> CallUpdate:
    word = _one_of(_field(data, "media_path", "mediaPath"), "no-media", "partial-media", "full-media")
    return msgspec.convert({"media_path": word}, CallUpdate)


def _has(data: object, name: str) -> bool:
    return isinstance(data, Mapping) and name in data


_HOOKS = ("call_hook", "child_call_hook", "call_status_hook")

_MAKERS = {
    "boostAudioSignal": _boost,
    "call:status": _call_status,
    "dtmf": _dtmf,
    "dub": _dub,
    "listen:status": _listen,
    "media:path": _media_path,
    "mute:status": _mute,
    "record": _record,
    "redirect": _redirect,
    "sip:request": _sip_request,
    "tag": _tag,
    "transcribe:status": _transcribe,
    "whisper": _whisper,
}
