"""Identifiers: opaque to everyone but the process that made them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NewType

__all__ = ["CallSid", "DialId", "new_call_sid", "new_dial_id", "random_bytes"]

CallSid = NewType("CallSid", str)
"""One leg, for its whole life; a UUID, as the contracts of every API want it."""

DialId = NewType("DialId", str)
"""One dial, for its whole life; a UUID."""


class _Entropy:
    """Random bytes, drawn from the kernel in blocks: 4096 of them cost little more than nine.

    No byte is given out twice, not even by a forked child.
    """

    __slots__ = ("_at", "_block")

    _BLOCK = 4096

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def __call__(self, size: int) -> bytes:
        """`size` random bytes."""
        begin = self._at
        end = self._at = begin + size
        if end > len(self._block):
            self._block = os.urandom(max(self._BLOCK, size))
            begin, end = 0, size
            self._at = size
        return self._block[begin:end]

    def forget(self) -> None:
        """Draw anew next time."""
        self._block, self._at = b"", 0


_entropy = _Entropy()
os.register_at_fork(after_in_child=_entropy.forget)
random_bytes: Callable[[int], bytes] = _entropy
"""`random_bytes(n)` as `os.urandom`, for whoever wants few bytes often."""


def _uuid4() -> str:
    # RFC 9562 §5.4 by hand: uuid.uuid4() costs three times as much, and a simring of ten needs eleven.
    digits = _entropy(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def new_call_sid() -> CallSid:
    """A fresh leg id."""
    return CallSid(_uuid4())


def new_dial_id() -> DialId:
    """A fresh dial id."""
    return DialId(_uuid4())
