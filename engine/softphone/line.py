"""One call of a phone: pjsua2's callbacks turned into events, and the audio around it. Phone process only.

An exception must not travel through C++: `callback` ends the process with a traceback, which the owner sees
as a crash with its reason.
"""

from __future__ import annotations

import functools
import os
import time
import traceback
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, assert_never

import pjsua2 as pj

from .config import Answer, Behaviour, EarlyMedia, Manual, Refuse, Ring, Silence, Sound, Voicemail
from .protocol import (
    CallState,
    CallStateChanged,
    DtmfMethod,
    DtmfReceived,
    Event,
    MediaChanged,
    MediaDirection,
    PhoneCallId,
    StreamStatistics,
    TransferProgress,
)
from .sounds import make_greeting, make_source

__all__ = ["Line", "LineOwner", "callback"]

P = ParamSpec("P")

_STATES = {
    pj.PJSIP_INV_STATE_CALLING: CallState.CALLING,
    pj.PJSIP_INV_STATE_INCOMING: CallState.INCOMING,
    pj.PJSIP_INV_STATE_EARLY: CallState.EARLY,
    pj.PJSIP_INV_STATE_CONNECTING: CallState.CONNECTING,
    pj.PJSIP_INV_STATE_CONFIRMED: CallState.CONFIRMED,
    pj.PJSIP_INV_STATE_DISCONNECTED: CallState.DISCONNECTED,
}
_DIRECTIONS = {
    pj.PJSUA_CALL_MEDIA_NONE: MediaDirection.NONE,
    pj.PJSUA_CALL_MEDIA_ACTIVE: MediaDirection.ACTIVE,
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: MediaDirection.LOCAL_HOLD,
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: MediaDirection.REMOTE_HOLD,
    pj.PJSUA_CALL_MEDIA_ERROR: MediaDirection.ERROR,
}

_UNKNOWN_DURATION = 0xFFFFFFFF


def callback(method: Callable[P, None]) -> Callable[P, None]:
    """Guard for everything pjsua2 calls."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except BaseException:  # noqa: BLE001 - nothing may unwind through C++
            traceback.print_exc()
            os._exit(70)

    return guarded


class LineOwner(Protocol):
    """What a line needs of its handset."""

    @property
    def clock_rate_hz(self) -> int: ...
    def emit(self, event: Event) -> None: ...
    def schedule(self, after_s: float, action: Callable[[], None]) -> None: ...
    def bury(self, line: Line) -> None: ...
    def when_complete(self, recording: str, action: Callable[[], None]) -> None: ...


class Line(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """A pjsua2 call with its number, sounds and recording."""

    def __init__(
        self, owner: LineOwner, account: Any, number: PhoneCallId, sip_call: int = pj.PJSUA_INVALID_ID
    ) -> None:
        pj.Call.__init__(self, account, sip_call)
        self.number = number
        self.is_over = False
        self._owner = owner
        self._behaviour: Behaviour = Manual()
        self._source: Any | None = None
        self._queue: list[tuple[float, Any]] = []
        self._recorder: Any | None = None
        self._record_when_active = ""
        self._media: Any | None = None
        self._goodbye = ""
        self._has_confirmed = False

    # commands -------------------------------------------------------------

    def behave(self, behaviour: Behaviour) -> None:
        """Deal with the incoming call as configured."""
        self._behaviour = behaviour
        match behaviour:
            case Manual():
                pass
            case Ring():
                self.respond(180)
            case Refuse():
                self._later(behaviour.after_s, lambda: self.end(behaviour.status, behaviour.reason))
                if behaviour.after_s:
                    self.respond(180)
            case Answer():
                if behaviour.rings:
                    self.respond(180)
                self._record_when_active = behaviour.record
                self.say(behaviour.sound)
                self._later(behaviour.after_s, lambda: self.respond(200))
            case EarlyMedia():
                self._record_when_active = behaviour.record
                self.say(behaviour.sound)
                self.respond(183)
                if behaviour.answer_after_s is not None:
                    self._later(behaviour.answer_after_s, lambda: self.respond(200))
            case Voicemail():
                self.respond(180)
                self._later(behaviour.after_s, lambda: self.respond(200))
            case _:
                assert_never(behaviour)

    def respond(self, status: int) -> None:
        """A provisional response or the answer."""
        parameters = pj.CallOpParam(True)
        parameters.statusCode = status
        self.answer(parameters)

    def end(self, status: int = 0, reason: str = "") -> None:
        """BYE, CANCEL or refusal, as pjsua decides by the state of the call."""
        parameters = pj.CallOpParam(True)
        parameters.statusCode = status
        parameters.reason = reason
        self.hangup(parameters)

    def hold(self) -> None:
        self.setHold(pj.CallOpParam(True))

    def resume(self) -> None:
        parameters = pj.CallOpParam(True)
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.reinvite(parameters)

    def key(self, digits: str, method: DtmfMethod, duration_ms: int) -> None:
        parameters = pj.CallSendDtmfParam()
        parameters.digits = digits
        parameters.duration = duration_ms
        is_info = method is DtmfMethod.INFO
        parameters.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if is_info else pj.PJSUA_DTMF_METHOD_RFC2833
        self.sendDtmf(parameters)

    def say(self, sound: Sound) -> None:
        """Replace the sound; it begins when audio flows."""
        self._replace_source(make_source(sound, self._owner.clock_rate_hz))

    def record(self, path: str) -> None:
        """Record the other side from now on (or from the moment audio flows)."""
        self.stop_recording()
        self._record_when_active = path
        self._connect_recorder()

    def stop_recording(self) -> str:
        """Close the file and return its path, "" if there is none.

        pjmedia writes the header when the recorder is destroyed, at the bridge's next tick and not now.
        """
        path, self._record_when_active = self._record_when_active, ""
        if self._recorder is None:
            return ""
        if self._media is not None:
            self._media.stopTransmit(self._recorder)
        self._recorder = None
        return path

    def statistics(self) -> StreamStatistics | None:
        if self._media is None:
            return None
        info, stat = self.getStreamInfo(0), self.getStreamStat(0)
        received, sent = stat.rtcp.rxStat, stat.rtcp.txStat
        return StreamStatistics(
            codec=info.codecName,
            clock_rate_hz=info.codecClockRate,
            remote_rtp=info.remoteRtpAddress,
            packets_sent=sent.pkt,
            packets_received=received.pkt,
            packets_lost=received.loss,
            packets_discarded=received.discard,
            jitter_ms=received.jitterUsec.mean / 1000,
        )

    # callbacks of pjsua2 --------------------------------------------------

    @callback
    def onCallState(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        info = self.getInfo()
        state = _STATES.get(info.state)
        if state is None or self.is_over:
            return
        message, recording = _received(prm.e), ""
        match state:
            case CallState.CONFIRMED if not self._has_confirmed:
                self._has_confirmed = True
                self._answered()
            case CallState.DISCONNECTED:
                self.is_over = True
                self._media = None  # pjsua may have taken it off the bridge already: nothing to disconnect
                recording = self.stop_recording()
                self._replace_source(None)
                message = self._goodbye or message
                self._owner.bury(self)
        event = CallStateChanged(
            self.number, state, info.lastStatusCode, info.lastReason, time.monotonic(), message
        )
        self._owner.when_complete(recording, lambda: self._owner.emit(event))

    @callback
    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802
        # A CANCEL has a transaction of its own: the state callback only ever sees the 487 we sent for it.
        message = _received(prm.e)
        if message.startswith(("CANCEL ", "BYE ")):
            self._goodbye = message

    @callback
    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802
        info = self.getInfo()
        audio = next((m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO), None)
        if audio is None or self.is_over:
            return
        self._media = None
        codec = remote_rtp = ""
        if audio.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
            self._media = self.getAudioMedia(audio.index)
            self._connect_source()
            self._connect_recorder()
            stream = self.getStreamInfo(audio.index)
            codec, remote_rtp = stream.codecName, stream.remoteRtpAddress
        self._owner.emit(
            MediaChanged(self.number, _DIRECTIONS[audio.status], codec, remote_rtp, time.monotonic())
        )

    @callback
    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802
        self._digit(prm)

    @callback
    def onCallTransferStatus(self, prm: Any) -> None:  # noqa: N802
        self._owner.emit(
            TransferProgress(self.number, prm.statusCode, prm.reason, prm.finalNotify, time.monotonic())
        )

    # ----------------------------------------------------------------------

    def _digit(self, prm: Any) -> None:
        is_info = prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO
        method = DtmfMethod.INFO if is_info else DtmfMethod.RFC4733
        duration_ms = 0 if prm.duration == _UNKNOWN_DURATION else prm.duration
        self._owner.emit(DtmfReceived(self.number, prm.digit, method, duration_ms, time.monotonic()))

    def _answered(self) -> None:
        match self._behaviour:
            case Answer(hang_up_after_s=float(seconds)):
                self._later(seconds, self.end)
            case EarlyMedia(answered_sound=sound):
                self.say(sound)
            case Voicemail() as voicemail:
                self._queue = make_greeting(voicemail, self._owner.clock_rate_hz)
                self._next_in_queue(voicemail)
            case _:
                pass

    def _next_in_queue(self, voicemail: Voicemail) -> None:
        """Greeting, beep, then silence while recording."""
        if self._queue:
            seconds, source = self._queue.pop(0)
            self._replace_source(source)
            self._later(seconds, lambda: self._next_in_queue(voicemail))
        else:
            self.say(Silence())
            if voicemail.record:
                self.record(voicemail.record)

    def _later(self, after_s: float, action: Callable[[], None]) -> None:
        self._owner.schedule(after_s, lambda: None if self.is_over else action())

    def _replace_source(self, source: Any | None) -> None:
        if self._source is not None and self._media is not None:
            self._source.stopTransmit(self._media)
        self._source = source
        self._connect_source()

    def _connect_source(self) -> None:
        if self._source is not None and self._media is not None:
            self._source.startTransmit(self._media)

    def _connect_recorder(self) -> None:
        if self._media is None:
            return
        if self._recorder is None and self._record_when_active:
            self._recorder = pj.AudioMediaRecorder()
            self._recorder.createRecorder(self._record_when_active)
        if self._recorder is not None:
            self._media.startTransmit(self._recorder)


def _received(event: Any) -> str:
    """The SIP message that caused an event of pjsip, if it was one received."""
    if event.type == pj.PJSIP_EVENT_TSX_STATE:
        change = event.body.tsxState
        return str(change.src.rdata.wholeMsg) if change.type == pj.PJSIP_EVENT_RX_MSG else ""
    if event.type == pj.PJSIP_EVENT_RX_MSG:
        return str(event.body.rxMsg.rdata.wholeMsg)
    return ""
