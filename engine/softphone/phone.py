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

from .call import PhoneCall
from .config import Behaviour, Silence, SoftphoneConfig, Sound
from .errors import PhoneCommandFailed, SoftphoneError, SoftphoneUnavailable
from .protocol import (
    CallRefused,
    CallStateChanged,
    Command,
    DtmfReceived,
    Envelope,
    Event,
    FromChild,
    IncomingCall,
    MediaChanged,
    PhoneCallId,
    PhoneExited,
    PlaceCall,
    RegistrationChanged,
    Reply,
    SetBehaviour,
    Started,
    StopPhone,
    TransferProgress,
)

__all__ = ["Softphone"]

T = TypeVar("T")

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_LINE_LIMIT = 1 << 20


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
    def name(self) -> str:
        """As configured: the user part of its URI."""
        return self.config.name

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
