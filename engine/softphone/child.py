"""The phone process: `python -m engine.softphone.child CONFIG OWNER_PID`, started by `Softphone.start` only.

Commands come in on standard input, replies and events go out on what was standard output. pjsip prints there
too before its log is configured, so the descriptor is moved away first and native prints go to stderr.
The process never outlives its owner: end of input stops it, and the kernel kills it if the owner is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

import msgspec

from .config import SoftphoneConfig
from .protocol import Envelope, FromChild, Started

if TYPE_CHECKING:
    from .handset import Handset

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_HANDLE_EVENTS_MS = 5

MISSING = (
    "pjsua2 cannot be loaded ({error}). Install the phones with: pip install 'dial-engine[softphone]'. "
    "The wheel exists for x86-64 and Python 3.11 and 3.12 only; this is Python {version} on {machine}."
)


class _Pipe:
    """Lines in both directions, without ever blocking the phone's own loop for input."""

    __slots__ = ("_buffer", "_decoder", "_encoder", "_out", "is_closed")

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)
        os.set_blocking(0, False)
        self._buffer = b""
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Envelope)
        self.is_closed = False

    def send(self, message: FromChild) -> None:
        data = memoryview(self._encoder.encode(message) + b"\n")
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except BrokenPipeError:
                self.is_closed = True
                return

    def receive(self) -> list[Envelope]:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return []
        if not data:
            self.is_closed = True
            return []
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [self._decoder.decode(line) for line in lines]


def _die_with(owner_pid: int) -> None:
    """Ask the kernel to kill us when the owner's thread ends; the owner may be gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner_pid:
            os._exit(1)


def main() -> None:
    """Run one phone until it is told to stop or its owner is gone."""
    config = msgspec.json.decode(sys.argv[1], type=SoftphoneConfig)
    _die_with(int(sys.argv[2]))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is the owner's to handle: it stops its phones in order
    pipe = _Pipe()
    try:
        from .handset import Handset
    except ImportError as error:
        machine = os.uname().machine
        version = ".".join(map(str, sys.version_info[:3]))
        pipe.send(Started(error=MISSING.format(error=error, version=version, machine=machine)))
        return
    handset = Handset(config, pipe.send)
    pipe.send(handset.start())
    _serve(handset, pipe)
    handset.close()
    sys.stderr.flush()
    # pjsua2's proxies must not be finalised after libDestroy: leave without the interpreter's clean-up.
    os._exit(0)


def _serve(handset: Handset, pipe: _Pipe) -> None:
    while not (handset.is_stopped or pipe.is_closed):
        for envelope in pipe.receive():
            handset.carry_out(envelope)
        handset.poll(_HANDLE_EVENTS_MS)


if __name__ == "__main__":
    main()
