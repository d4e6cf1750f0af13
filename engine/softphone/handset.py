"""One pjsua2 endpoint with one account: carries out commands, reports events. Phone process only.

What pjsua2 demands, and where it is met:

- All callbacks in one thread: no worker threads, `mainThreadOnly`, and `poll` pumps the library.
- No sound card: the null device is the clock of the conference bridge.
- Python must keep every object pjsua2 holds on to: `_lines`, `Line._source`, `Line._recorder`, ...
- A call object must not be deleted inside its own callback: `_buried` holds it until the next `poll`.
- The library goes last: lines, then the account, then the endpoint.
"""

from __future__ import annotations

import heapq
import itertools
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, assert_never

import pjsua2 as pj

from .config import Behaviour, SoftphoneConfig
from .line import Line, callback
from .protocol import (
    MAX_CALLS,
    AnswerCall,
    CallRefused,
    Command,
    Envelope,
    Event,
    FromChild,
    HangUp,
    Hold,
    IncomingCall,
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
)

__all__ = ["Handset"]

_GOODBYE_S = 1.0
"""How long a stopping phone waits for the other sides to confirm its BYEs."""

_FILE_S = 1.0
"""How long a recording may take to get its header."""

_MIN_SESSION_EXPIRES_S = 90


class Handset:
    """The phone proper."""

    def __init__(self, config: SoftphoneConfig, send: Callable[[FromChild], None]) -> None:
        self.is_stopped = False
        self._config = config
        self._send = send
        self._behaviour: Behaviour = config.behaviour
        self._endpoint = _Endpoint(self)
        self._account: _Account | None = None
        self._lines: dict[PhoneCallId, Line] = {}
        self._buried: list[Line] = []
        self._numbers = itertools.count(1)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = itertools.count()
        self._closing: list[tuple[str, float, Callable[[], None]]] = []

    @property
    def clock_rate_hz(self) -> int:
        return self._config.clock_rate_hz

    def start(self) -> Started:
        """Open the ports; a failure is told in the result."""
        if ":" in self._config.address:
            self.is_stopped = True
            return Started(error="the published pjsua2 wheel is built without IPv6: give an IPv4 address")
        try:
            self._endpoint.libCreate()
            self._endpoint.libInit(self._endpoint_config())
            address, port = self._listen(pj.PJSIP_TRANSPORT_UDP, 0)
            tcp_port = 0
            if self._config.tcp:
                _, tcp_port = self._listen(pj.PJSIP_TRANSPORT_TCP, port)
            self._endpoint.audDevManager().setNullDev()
            self._endpoint.libStart()
            self._choose_codecs()
            self._account = _Account(self)
            self._account.create(self._account_config(address, port))
        except pj.Error as error:
            self.is_stopped = True
            return Started(error=error.info(True).replace("\n", " "))
        return Started(address, port, tcp_port)

    def poll(self, timeout_ms: int) -> None:
        """Let pjsip work for at most `timeout_ms`, then do what is due."""
        self._endpoint.libHandleEvents(timeout_ms)
        self._buried.clear()
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        closing, self._closing = self._closing, []
        for recording, deadline, action in closing:
            if _is_complete(recording) or now >= deadline:
                action()
            else:
                self._closing.append((recording, deadline, action))

    def carry_out(self, envelope: Envelope) -> None:
        """Do what a command says and reply; pjsua2's refusal becomes the reply's error."""
        done = _Done()
        try:
            done = self._carry_out(envelope.command)
            reply = Reply(envelope.id, call=done.call, statistics=done.statistics)
        except pj.Error as error:
            reply = Reply(envelope.id, error=f"{error.reason} ({error.status})")
        except KeyError as error:
            reply = Reply(envelope.id, error=f"there is no call {error}")
        self.when_complete(done.recording, lambda: self._send(reply))

    def close(self) -> None:
        """Say goodbye to everybody, then take the library down."""
        if self._account is not None:
            self._endpoint.hangupAllCalls()
            deadline = time.monotonic() + _GOODBYE_S
            if self._account.getInfo().regIsActive:
                self._account.setRegistration(False)
            while (
                self._lines or self._closing or self._account.getInfo().regIsActive
            ) and time.monotonic() < deadline:
                self.poll(5)
            self._account.shutdown()
        self._lines.clear()
        self._buried.clear()
        if self._endpoint.libGetState() == pj.PJSUA_STATE_NULL:
            return
        # Goodbyes are said; left to itself pjsua would wait another second for each.
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    # for the lines --------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Report to the owner."""
        assert not isinstance(event, PhoneExited), "a dead phone reports nothing"
        self._send(event)

    def schedule(self, after_s: float, action: Callable[[], None]) -> None:
        """Do something later, in `poll`."""
        heapq.heappush(self._due, (time.monotonic() + after_s, next(self._ticket), action))

    def bury(self, line: Line) -> None:
        """Forget a finished call, but not before its callback has returned."""
        self._lines.pop(line.number, None)
        self._buried.append(line)

    def when_complete(self, recording: str, action: Callable[[], None]) -> None:
        """Act once the file has its header, at the latest after a second; at once if there is no file."""
        if recording:
            self._closing.append((recording, time.monotonic() + _FILE_S, action))
        else:
            action()

    # for endpoint and account ---------------------------------------------

    def incoming(self, sip_call: int, message: str) -> None:
        """An INVITE arrived: report it, then behave."""
        line = self._new_line(sip_call)
        info = line.getInfo()
        self.emit(
            IncomingCall(
                line.number, info.remoteUri, info.localUri, info.callIdString, message, time.monotonic()
            )
        )
        line.behave(self._behaviour)

    # ----------------------------------------------------------------------

    def _carry_out(self, command: Command) -> _Done:
        match command:
            case PlaceCall():
                return _Done(call=self._place(command))
            case AnswerCall():
                self._lines[command.call].respond(command.status)
            case HangUp():
                if line := self._lines.get(command.call):  # it may have ended while the command travelled
                    line.end(command.status, command.reason)
            case Hold():
                self._lines[command.call].hold()
            case Resume():
                self._lines[command.call].resume()
            case SendDtmf():
                self._lines[command.call].key(command.digits, command.method, command.duration_ms)
            case Play():
                self._lines[command.call].say(command.sound)
            case Record():
                self._lines[command.call].record(command.path)
            case StopRecording():
                return _Done(recording=self._lines[command.call].stop_recording())
            case Transfer():
                self._lines[command.call].xfer(command.to, pj.CallOpParam(True))
            case ReadStatistics():
                return _Done(statistics=self._lines[command.call].statistics())
            case SetBehaviour():
                self._behaviour = command.behaviour
            case StopPhone():
                self.is_stopped = True
            case _:
                assert_never(command)
        return _Done()

    def _place(self, command: PlaceCall) -> PhoneCallId:
        line = self._new_line()
        line.say(command.sound)
        line.record(command.record)
        parameters = pj.CallOpParam(True)
        for name, value in command.headers.items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            parameters.txOption.headers.append(header)
        try:
            line.makeCall(command.uri, parameters)
        except pj.Error:
            self.bury(line)
            raise
        return line.number

    def _new_line(self, sip_call: int = pj.PJSUA_INVALID_ID) -> Line:
        number = PhoneCallId(next(self._numbers))
        line = self._lines[number] = Line(self, self._account, number, sip_call)
        return line

    def _endpoint_config(self) -> Any:
        config = pj.EpConfig()
        config.uaConfig.maxCalls = MAX_CALLS
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "pjsua2 softphone"
        config.medConfig.clockRate = self._config.clock_rate_hz
        config.medConfig.sndClockRate = self._config.clock_rate_hz
        config.medConfig.noVad = True  # silence is sent too: a test counts packets
        config.medConfig.ecTailLen = 0
        config.logConfig.consoleLevel = 0
        config.logConfig.level = 5 if self._config.log_path else 0
        config.logConfig.msgLogging = 1 if self._config.log_path else 0
        config.logConfig.filename = self._config.log_path
        return config

    def _listen(self, kind: int, port: int) -> tuple[str, int]:
        """Open a transport; (address, port) as bound."""
        config = pj.TransportConfig()
        config.port = self._config.port or port
        config.boundAddress = self._config.address
        transport = self._endpoint.transportCreate(kind, config)
        bound: str = self._endpoint.transportGetInfo(transport).localName
        return self._config.address, int(bound.rpartition(":")[2])

    def _choose_codecs(self) -> None:
        wanted = [name.upper() for name in self._config.codecs]
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.partition("/")[0].upper()
            priority = 255 - wanted.index(name) if name in wanted else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)

    def _account_config(self, address: str, port: int) -> Any:
        config = pj.AccountConfig()
        config.idUri = f"sip:{self._config.name}@{address}:{port}"
        config.mediaConfig.transportConfig.boundAddress = address
        config.mediaConfig.transportConfig.port = self._config.rtp_port
        if self._config.requires_100rel:
            config.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
        if self._config.session_expires_s:
            config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
            config.callConfig.timerMinSESec = _MIN_SESSION_EXPIRES_S
            config.callConfig.timerSessExpiresSec = self._config.session_expires_s
        if account := self._config.account:
            config.idUri = account.aor or config.idUri
            config.regConfig.registrarUri = account.registrar
            config.regConfig.timeoutSec = account.expires_s
            credentials = pj.AuthCredInfo("digest", "*", account.username, 0, account.password)
            config.sipConfig.authCreds.append(credentials)
        return config


class _Done(NamedTuple):
    """What a command leaves to be told."""

    call: PhoneCallId | None = None
    statistics: StreamStatistics | None = None
    recording: str = ""
    """The reply waits for this file to be complete."""


def _is_complete(recording: str) -> bool:
    """Whether pjmedia has written the WAV header, whose length field is the last thing to become true."""
    try:
        with open(recording, "rb") as file:
            head = file.read(8)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return True  # somebody removed it: there is nothing left to wait for
    return head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") == size - 8


class _Endpoint(pj.Endpoint):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, handset: Handset) -> None:
        pj.Endpoint.__init__(self)
        self._handset = handset

    @callback
    def onRejectedIncomingCall(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        self._handset.emit(CallRefused(prm.remoteInfo, prm.statusCode, prm.reason, time.monotonic()))


class _Account(pj.Account):  # type: ignore[misc]
    def __init__(self, handset: Handset) -> None:
        pj.Account.__init__(self)
        self._handset = handset

    @callback
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        self._handset.incoming(prm.callId, str(prm.rdata.wholeMsg))

    @callback
    def onRegState(self, prm: Any) -> None:  # noqa: N802
        info = self.getInfo()
        self._handset.emit(RegistrationChanged(info.regIsActive, prm.code, prm.reason, time.monotonic()))
