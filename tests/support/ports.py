"""Ports for programs that cannot be given port 0 and asked afterwards.

They lie below the kernel's own range (32768 and up), so that no kernel-chosen port can take one in between,
and are drawn at random, so that test processes that run side by side practically never meet.
"""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]

_FIRST, _LAST = 10240, 32000
_ATTEMPTS = 200
_random = random.SystemRandom()
_given: set[int] = set()


def free_port(address: str = "127.0.0.1", *, consecutive: int = 1) -> int:
    """An even port that is free for UDP and TCP, as are the `consecutive` - 1 above it."""
    for _ in range(_ATTEMPTS):
        first = _random.randrange(_FIRST, _LAST, 2)
        ports = range(first, first + consecutive)
        if _given.isdisjoint(ports) and all(_is_free(address, port) for port in ports):
            _given.update(ports)
            return first
    raise RuntimeError(f"no free port on {address} in {_ATTEMPTS} attempts")


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
