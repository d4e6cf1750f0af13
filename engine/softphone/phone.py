"""The owner's side of a phone process: start it, tell it what to do, hear what happens to it.

pjsua2 is never imported here. A phone that dies is an event (`PhoneExited`) and makes every pending command
and wait fail; nothing else. The child ends with its owner: its input closes, the kernel kills it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar, assert_never

import msgspec

from engine.errors import EngineError

from .config import Behaviour, Silence, SoftphoneConfig, Sound
from .protocol import (
    AnswerCall,
    CallRefused,
    CallState,
    CallStateChanged,
    Command,
    DtmfMethod,
    DtmfReceived,
    Envelope,
    Event,
    FromChild,
    HangUp,
    Hold,
    IncomingCall,
    MediaChanged,
    MediaDirection,
    PhoneCallId,
    PhoneExited,
    PlaceCall,
    Play,
    ReadStatistics,
    Record,
    RegistrationChanged,
    Reply,
    Resume,
    SendDtmf,
    SetBehaviour,
    Started,
    StopPhone,
    StopRecording,
    StreamStatistics,
    Transfer,
    TransferProgress,
)

__all__ = ["PhoneCall", "PhoneCommandFailed", "Softphone", "SoftphoneError", "SoftphoneUnavailable"]

T = TypeVar("T")

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_LINE_LIMIT = 1 << 20


class SoftphoneError(EngineError):
    """A phone could not do what it was asked for.

    SoftphoneError
    ├── SoftphoneUnavailable   there is no pjsua2 here, or it does not start
    └── PhoneCommandFailed     the phone refused one command, or died before it answered
    """


class SoftphoneUnavailable(SoftphoneError):
    """No phone process could be started; the text says what to install."""


class PhoneCommandFailed(SoftphoneError):
    """One command was not carried out."""


class PhoneCall:
    """A call of one phone, as far as the owner knows it."""

    __slots__ = ("_phone", "call_id", "digits", "history", "id", "invite", "media", "remote_uri", "transfer")

    def __init__(self, phone: Softphone, call: PhoneCallId, *, remote_uri: str = "") -> None:
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
        return f"<PhoneCall {self._phone.config.name}#{self.id} {self.state} {self.status}>"

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


class Softphone:
    """A pjsua2 phone in a process of its own.

    async with await Softphone.start(SoftphoneConfig(name="bob", behaviour=Answer(sound=Tone(440)))) as bob:
        print(bob.uri)                      # sip:bob@127.0.0.1:40173
        call = await bob.next_call()
        await call.until(CallState.DISCONNECTED)
    """

    def __init__(self, config: SoftphoneConfig, process: asyncio.subprocess.Process) -> None:
        """Use `start`."""
        self.config = config
        self.port = 0
        self.tcp_port = 0
        self.events: list[Event] = []
        """Everything that happened, in order."""
        self.calls: dict[PhoneCallId, PhoneCall] = {}
        self.exited: PhoneExited | None = None
        self._process = process
        self._started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._waits: set[asyncio.Event] = set()
        self._listeners: list[Callable[[Event], None]] = []
        self._unclaimed: deque[PhoneCallId] = deque()
        self._last_id = 0
        self._stopping = False
        self._reader = asyncio.create_task(self._read(), name=f"softphone {config.name}")

    @classmethod
    async def start(cls, config: SoftphoneConfig) -> Softphone:
        """Start a phone; it listens when this returns. Raises SoftphoneUnavailable."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.softphone.child",
            msgspec.json.encode(config).decode(),
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        phone = cls(config, process)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                started = await asyncio.shield(phone._started)
        except BaseException:
            await phone.stop()
            raise
        if started.error:
            await phone.stop()
            raise SoftphoneUnavailable(started.error)
        phone.port, phone.tcp_port = started.port, started.tcp_port
        return phone

    async def __aenter__(self) -> Softphone:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def uri(self) -> str:
        """Where to call it."""
        return f"sip:{self.config.name}@{self.config.address}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the phone's process."""
        return self._process.pid

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` for each event, in the owner's loop."""
        self._listeners.append(listener)

    async def call(
        self,
        uri: str,
        *,
        sound: Sound | None = None,
        record: str | os.PathLike[str] = "",
        headers: dict[str, str] | None = None,
    ) -> PhoneCall:
        """Call somebody; returns as soon as the INVITE is on its way."""
        reply = await self.command(
            PlaceCall(uri, Silence() if sound is None else sound, os.fspath(record), headers or {})
        )
        if reply.call is None:
            raise PhoneCommandFailed("the phone did not name its call")
        return self._call(reply.call, uri)

    async def next_call(self, *, timeout_s: float = 10.0) -> PhoneCall:
        """The next incoming call nobody asked for yet."""
        return await self.until(
            lambda: self.calls[self._unclaimed.popleft()] if self._unclaimed else None, timeout_s=timeout_s
        )

    async def behave(self, behaviour: Behaviour) -> None:
        """Change what happens at the next incoming call."""
        await self.command(SetBehaviour(behaviour))

    async def registered(self, *, timeout_s: float = 10.0) -> RegistrationChanged:
        """Wait for the registrar's first answer."""
        return await self.until(
            lambda: next((e for e in self.events if isinstance(e, RegistrationChanged)), None),
            timeout_s=timeout_s,
        )

    async def until(self, condition: Callable[[], T | None], *, timeout_s: float = 10.0) -> T:
        """Wait until `condition()`, asked now and after each event, is not None.

        Raises TimeoutError, or SoftphoneError if the phone ends before.
        """
        changed = asyncio.Event()
        self._waits.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while (value := condition()) is None:
                    if self.exited is not None:
                        raise SoftphoneError(f"phone {self.config.name} is gone: {self.exited}")
                    changed.clear()
                    await changed.wait()
            return value
        finally:
            self._waits.discard(changed)

    async def command(self, command: Command) -> Reply:
        """Send one command and wait for its reply. Raises PhoneCommandFailed."""
        if self.exited is not None or self._process.stdin is None:
            raise PhoneCommandFailed(f"phone {self.config.name} is gone: {self.exited}")
        self._last_id += 1
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[self._last_id] = answer
        self._process.stdin.write(msgspec.json.encode(Envelope(self._last_id, command)) + b"\n")
        reply = await answer
        if reply.error:
            raise PhoneCommandFailed(f"{type(command).__name__}: {reply.error}")
        return reply

    async def stop(self) -> None:
        """Hang up everything and end the process; harmless when it is gone already."""
        self._stopping = True
        if self.exited is None and self._process.stdin is not None:
            self._last_id += 1
            self._process.stdin.write(msgspec.json.encode(Envelope(self._last_id, StopPhone())) + b"\n")
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await asyncio.shield(self._reader)
        except TimeoutError:
            self._process.kill()
            await self._reader

    def kill(self) -> None:
        """End the process without any goodbye, as a crash would."""
        self._process.kill()

    async def _read(self) -> None:
        """Owner of the pipe: ends with the process and says so."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        last_words: deque[bytes] = deque(maxlen=20)
        errors = asyncio.create_task(_drain(self._process.stderr, last_words), name="softphone stderr")
        decoder = msgspec.json.Decoder(FromChild)
        try:
            while line := await self._process.stdout.readline():
                self._take(decoder.decode(line))
        except ValueError as error:  # msgspec's errors included: what speaks like that is no phone of ours
            last_words.append(f"unreadable: {error}\n".encode())
        finally:
            # Also when a listener raises: whoever waits must hear of it, and no process may be left.
            if not self._process.stdout.at_eof():
                self._process.kill()
            await errors
            self._bury(await self._process.wait(), b"".join(last_words).decode(errors="replace"))

    def _bury(self, code: int, words: str) -> None:
        """The process is gone: every wait and every command learns it."""
        self.exited = PhoneExited(code, self._stopping, words)
        if not self._started.done():
            problem = f"the phone process ended with {code}: {json.dumps(words)}"
            self._started.set_result(Started(error=problem))
        for answer in self._replies.values():
            if not answer.done():
                answer.set_result(Reply(0, error=f"the phone process ended with {code}: {words[-500:]}"))
        self._publish(self.exited)

    def _take(self, message: FromChild) -> None:
        match message:
            case Started():
                self._started.set_result(message)
            case Reply():
                if message.call is not None:
                    self._call(message.call)
                answer = self._replies.pop(message.id, None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case IncomingCall():
                call = self._call(message.call, message.remote_uri)
                call.call_id, call.invite = message.call_id, message.invite
                self._unclaimed.append(message.call)
                self._publish(message)
            case CallStateChanged():
                self._call(message.call).history.append(message)
                self._publish(message)
            case MediaChanged():
                self._call(message.call).media.append(message)
                self._publish(message)
            case DtmfReceived():
                self._call(message.call).digits.append(message)
                self._publish(message)
            case TransferProgress():
                self._call(message.call).transfer.append(message)
                self._publish(message)
            case RegistrationChanged() | CallRefused():
                self._publish(message)
            case _:
                assert_never(message)

    def _call(self, call: PhoneCallId, remote_uri: str = "") -> PhoneCall:
        known = self.calls.get(call)
        if known is None:
            known = self.calls[call] = PhoneCall(self, call)
        if remote_uri:
            known.remote_uri = remote_uri
        return known

    def _publish(self, event: Event) -> None:
        self.events.append(event)
        for listener in self._listeners:
            listener(event)
        for wait in self._waits:
            wait.set()


async def _drain(stream: asyncio.StreamReader, lines: deque[bytes]) -> None:
    """Keep the last lines and never let the writer block."""
    while line := await stream.readline():
        lines.append(line)
