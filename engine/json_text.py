"""JSON of what others sent us, which need not be UTF-8.

Texts of SIP messages keep bytes that are no UTF-8 as lone surrogates (`surrogateescape`), so that they are
sent on as they came. JSON has no place for them: whoever reads it gets U+FFFD.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["encode_json", "readable"]

_encoder = msgspec.json.Encoder()


def encode_json(value: object) -> bytes:
    """UTF-8. Struct, dict, list or a plain value."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(readable(msgspec.to_builtins(value)))


def readable(value: Any) -> Any:
    """The same, of plain values, in texts that are UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {readable(key): readable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [readable(inner) for inner in value]
    return value
