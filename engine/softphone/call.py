"""A call of a phone, as its owner sees it: what happened to it and what it can be told."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, TypeVar

from .config import Sound
from .errors import PhoneCommandFailed
from .protocol import (
    AnswerCall,
    CallState,
    CallStateChanged,
    Command,
    DtmfMethod,
    DtmfReceived,
    HangUp,
    Hold,
    MediaChanged,
    MediaDirection,
    PhoneCallId,
    Play,
    ReadStatistics,
    Record,
    Reply,
    Resume,
    SendDtmf,
    StopRecording,
    StreamStatistics,
    Transfer,
    TransferProgress,
)

__all__ = ["CallOwner", "PhoneCall"]

T = TypeVar("T")


class CallOwner(Protocol):
    """What a call needs of its phone."""

    @property
    def name(self) -> str: ...
    async def command(self, command: Command) -> Reply: ...
    async def until(self, condition: Callable[[], T | None], *, timeout_s: float = 10.0) -> T: ...


class PhoneCall:
    """A call of one phone, as far as the owner knows it."""

    __slots__ = ("_phone", "call_id", "digits", "history", "id", "invite", "media", "remote_uri", "transfer")

    def __init__(self, phone: CallOwner, call: PhoneCallId, *, remote_uri: str = "") -> None:
        self._phone = phone
        self.id = call
        self.remote_uri = remote_uri
        self.call_id = ""
        self.invite = ""
        """The INVITE as received; empty for calls this phone made."""
        self.history: list[CallStateChanged] = []
        self.media: list[MediaChanged] = []
        self.digits: list[DtmfReceived] = []
        self.transfer: list[TransferProgress] = []

    def __repr__(self) -> str:
        return f"<PhoneCall {self._phone.name}#{self.id} {self.state} {self.status}>"

    @property
    def state(self) -> CallState | None:
        """Last known state; None before the first report."""
        return self.history[-1].state if self.history else None

    @property
    def status(self) -> int:
        """Last SIP status, 0 if there was none."""
        return self.history[-1].status if self.history else 0

    @property
    def direction(self) -> MediaDirection:
        """Which way audio flows now."""
        return self.media[-1].direction if self.media else MediaDirection.NONE

    @property
    def codec(self) -> str:
        """Name of the negotiated codec, empty before."""
        return self.media[-1].codec if self.media else ""

    @property
    def keyed(self) -> str:
        """All digits received, in order."""
        return "".join(event.digit for event in self.digits)

    def time_of(self, state: CallState) -> float | None:
        """When the call first was in this state (monotonic seconds)."""
        return next((step.at for step in self.history if step.state is state), None)

    async def until(self, state: CallState, *, timeout_s: float = 10.0) -> CallStateChanged:
        """Wait until the call is or was in `state`. Raises TimeoutError or SoftphoneError (phone gone)."""
        return await self._phone.until(
            lambda: next((step for step in self.history if step.state is state), None), timeout_s=timeout_s
        )

    async def until_media(self, direction: MediaDirection, *, timeout_s: float = 10.0) -> MediaChanged:
        """Wait until audio flows as `direction` says."""
        return await self._phone.until(
            lambda: self.media[-1] if self.media and self.media[-1].direction is direction else None,
            timeout_s=timeout_s,
        )

    async def until_keyed(self, digits: str, *, timeout_s: float = 10.0) -> str:
        """Wait until at least these digits were received, and return all that were."""
        return await self._phone.until(
            lambda: self.keyed if len(self.keyed) >= len(digits) else None, timeout_s=timeout_s
        )

    async def answer(self, status: int = 200) -> None:
        """200, or a provisional: 180, 183 with early media."""
        await self._phone.command(AnswerCall(self.id, status))

    async def hang_up(self, status: int = 0, reason: str = "") -> None:
        """BYE, CANCEL or refusal. A call that is already over is not an error."""
        if self.state is not CallState.DISCONNECTED:
            await self._phone.command(HangUp(self.id, status, reason))

    async def hold(self) -> None:
        """Put the other side on hold (re-INVITE)."""
        await self._phone.command(Hold(self.id))

    async def resume(self) -> None:
        """End the hold (re-INVITE)."""
        await self._phone.command(Resume(self.id))

    async def send_dtmf(
        self, digits: str, method: DtmfMethod = DtmfMethod.RFC4733, *, duration_ms: int = 160
    ) -> None:
        """Key digits; returns when they are queued, not when they are sent."""
        await self._phone.command(SendDtmf(self.id, digits, method, duration_ms))

    async def play(self, sound: Sound) -> None:
        """Say something else."""
        await self._phone.command(Play(self.id, sound))

    async def record(self, path: str | os.PathLike[str]) -> None:
        """Record what the other side says from now on."""
        await self._phone.command(Record(self.id, os.fspath(path)))

    async def stop_recording(self) -> None:
        """Complete the WAV file."""
        await self._phone.command(StopRecording(self.id))

    async def transfer_to(self, uri: str) -> None:
        """Blind transfer; progress arrives in `transfer`."""
        await self._phone.command(Transfer(self.id, uri))

    async def statistics(self) -> StreamStatistics:
        """RTP counters of the audio stream."""
        reply = await self._phone.command(ReadStatistics(self.id))
        if reply.statistics is None:
            raise PhoneCommandFailed("the call has no audio stream")
        return reply.statistics
