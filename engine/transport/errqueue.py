"""ICMP errors of an unconnected UDP socket, attributed to the destination they are about (Linux).

A plain UDP socket learns of "port unreachable" only when connected, and then without knowing more. With
IP_RECVERR the kernel keeps each ICMP error next to the datagram that caused it; `MSG_ERRQUEUE` reads them
(ip(7), "IP_RECVERR"). Elsewhere `enable` does nothing and a dead peer is found by Timer B.

Facts that are easy to miss:
- A queued error also fails the next unrelated send or receive on the socket once. Whoever gets such an
  error drains the queue and repeats the call.
- While the queue is not empty the socket polls as readable, so it must be drained on a wake-up without data.
- RFC 3261 §18.4: unreachable and parameter problems are failures; time exceeded and source quench are not.
  "Fragmentation needed" is not either: the kernel has learnt the MTU and the retransmission will fit.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

from engine.sip.types import Address

__all__ = ["drain", "enable", "is_failure"]

_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)
_EXTENDED_ERR = struct.Struct("=IBBBBII")  # struct sock_extended_err of <linux/errqueue.h>
_ORIGIN_ICMP = 2
_ORIGIN_ICMP6 = 3
_ICMP_UNREACHABLE = 3
_ICMP_FRAGMENTATION_NEEDED = 4
_ICMP_PARAMETER_PROBLEM = 12
_ICMP6_UNREACHABLE = 1
_ICMP6_PARAMETER_PROBLEM = 4
_BATCH = 256


def enable(sock: socket.socket) -> None:
    """Ask the kernel to keep ICMP errors of `sock`, where it can."""
    if sys.platform != "linux":
        return
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def drain(sock: socket.socket) -> list[tuple[Address, OSError]]:
    """The failed destinations the kernel knows of, each with its reason; the queue is empty afterwards."""
    failures: list[tuple[Address, OSError]] = []
    if sys.platform != "linux":
        return failures
    for _ in range(_BATCH):
        try:
            _, ancillary, _, destination = sock.recvmsg(0, 512, _MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        for _, kind, value in ancillary:
            if kind not in (_IP_RECVERR, _IPV6_RECVERR) or len(value) < _EXTENDED_ERR.size:
                continue
            number, origin, icmp_type, code, *_ = _EXTENDED_ERR.unpack_from(value)
            if is_failure(origin, icmp_type, code) and destination:
                failures.append(
                    (Address(destination[0], destination[1]), OSError(number, os.strerror(number)))
                )
    return failures


def is_failure(origin: int, icmp_type: int, code: int) -> bool:
    """Whether RFC 3261 §18.4 calls it a failed send; `origin` is `ee_origin`, the rest is ICMP's."""
    if origin == _ORIGIN_ICMP:
        if icmp_type == _ICMP_UNREACHABLE:
            return code != _ICMP_FRAGMENTATION_NEEDED
        return icmp_type == _ICMP_PARAMETER_PROBLEM
    if origin == _ORIGIN_ICMP6:
        return icmp_type in (_ICMP6_UNREACHABLE, _ICMP6_PARAMETER_PROBLEM)
    return False
