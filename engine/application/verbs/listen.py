"""`listen`: the audio of the call to a WebSocket server, and back (hooks contract, section 6).

Alone it lasts until the server or the caller ends it and is cancelled like every verb; nested in `dial`
(`beside`) it begins with the conversation and ends with it. A stream that cannot be had is an alert, never
more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.application.digits import Digit
from engine.application.document import ListenVerb
from engine.application.scope import CancelScope
from engine.application.session import Session
from engine.application.verbs import transcribe
from engine.hooks.alerts import AlertKind
from engine.hooks.payloads import CallFacts
from engine.listen import Back, Flow, ListenOptions, ListenStream, Mix, Retry
from engine.listen.quiet import QuietWatch
from media import MediaStream
from media.audio import Pcm
from media.tones import Tone, ToneSource

__all__ = ["beside", "run"]

_ALONE = Retry(attempts=3)
"""Three and a half seconds in which the caller hears nothing, then the next verb."""
_BESIDE = Retry(attempts=20)
"""Nobody waits for it: three minutes."""
_BEEP = Tone((1500.0,), (0.5,), repeats=False)
_BEEP_RATE_HZ = 8000
_BEEP_PATIENCE_S = 2.0


async def run(verb: ListenVerb, session: Session) -> None:
    """Until the server closes, a key of `finishOnKey`, `maxLength`, or `timeout` seconds of silence."""
    media = await session.ensure_media(early=verb.early_media)
    listening = _Listening(verb, session, session.facts, caller=media, callee=None)
    try:
        await listening.stream_until_over()
    except asyncio.CancelledError:
        session.notify(verb.action_hook, listening.results(), verb_id=verb.id)
        raise
    await session.ask(verb.action_hook, listening.results(), verb_id=verb.id)


async def beside(
    verb: ListenVerb, session: Session, *, caller: MediaStream, callee: MediaStream, facts: CallFacts
) -> None:
    """`listen` of a `dial`, for `session.background`: cancelled when the parties part (DV-84).

    facts: of the callee's leg, for the first frame. The `actionHook` is told, its answer is not used: what
    follows is decided by the answer to the dial's own.
    """
    listening = _Listening(verb, session, facts, caller=caller, callee=callee)
    try:
        await listening.stream_until_over()
    finally:
        session.notify(verb.action_hook, listening.results(), verb_id=verb.id)


def _options(verb: ListenVerb, facts: CallFacts, retry: Retry) -> ListenOptions:
    back = Back.NOTHING
    if verb.is_bidirectional:
        back = Back.STREAM if verb.bidirectional_audio.streaming else Back.CLIPS
    return ListenOptions(
        url=verb.url,
        username=verb.auth.username if verb.auth is not None else "",
        password=verb.auth.password if verb.auth is not None else "",
        mix=Mix(verb.mix_type),
        channel=verb.channel or 1,
        sample_rate_hz=verb.sample_rate,
        back=back,
        back_rate_hz=verb.bidirectional_audio.sample_rate or verb.sample_rate,
        properties=facts.camel(),
        metadata=verb.metadata,
        retry=retry,
    )


class _Listening:
    """One executed `listen`."""

    __slots__ = (
        "_began_at",
        "_callee",
        "_caller",
        "_cut",
        "_digits",
        "_facts",
        "_quiet",
        "_session",
        "_verb",
    )

    def __init__(
        self,
        verb: ListenVerb,
        session: Session,
        facts: CallFacts,
        *,
        caller: MediaStream,
        callee: MediaStream | None,
    ) -> None:
        self._verb = verb
        self._session = session
        self._facts = facts
        self._caller = caller
        self._callee = callee
        self._began_at: float | None = None
        self._digits = ""
        self._quiet = QuietWatch(asyncio.get_running_loop().time())
        self._cut = CancelScope()
        """Around the stream: what ends it from our side."""

    def results(self) -> dict[str, object]:
        """For the `actionHook`."""
        now = asyncio.get_running_loop().time()
        results: dict[str, object] = {
            "dial_call_duration": 0 if self._began_at is None else int(now - self._began_at)
        }
        if self._digits:
            results["digits"] = self._digits
        return results

    async def stream_until_over(self) -> None:
        """Returns when the stream is over; cancelled, it ends the stream."""
        verb, session = self._verb, self._session
        client = session.services.listen
        if client is None:
            session.alert(AlertKind.LISTEN_FAILED, "this engine has no listen streams")
            return
        if verb.channel == 2 and self._callee is None:
            session.alert(AlertKind.LISTEN_FAILED, "channel 2 is the callee of a dial; the caller is sent")
        if verb.play_beep:
            await _beep(self._caller)
        stream = client.stream(
            _options(verb, self._facts, _ALONE if self._callee is None else _BESIDE),
            caller=self._caller,
            callee=self._callee,
            report=lambda _, text: session.alert(AlertKind.LISTEN_FAILED, text),
        )
        await self._stream(stream)

    async def _stream(self, stream: ListenStream) -> None:
        verb, session, loop = self._verb, self._session, asyncio.get_running_loop()
        self._began_at = loop.time()
        on_digit = self._digit_listener(stream)

        def control(status: str) -> None:
            stream.control(Flow(status))

        session.digits.listen(on_digit)
        session.add_stream("listen", control)
        words = self._transcribe()
        longest = loop.call_later(verb.max_length, self._cut.cancel) if verb.max_length is not None else None
        if verb.timeout is not None:
            self._quiet = QuietWatch(loop.time())
            self._caller.add_tap(self._hear)
        watching = self._watch_quiet() if verb.timeout is not None else None
        try:
            async with self._cut:
                await stream.run()
        finally:
            session.digits.forget(on_digit)
            self._caller.remove_tap(self._hear)
            for timer in (longest, watching):
                if timer is not None:
                    timer.cancel()
            if words is not None:
                words.cancel()
            session.remove_stream("listen", control)

    def _digit_listener(self, stream: ListenStream) -> Callable[[Digit], None]:
        verb = self._verb

        def keyed(digit: Digit) -> None:
            if verb.pass_dtmf:
                stream.send_digit(digit.digit, digit.duration_ms)
            if digit.digit in verb.finish_on_key.upper():
                self._digits = digit.digit
                self._cut.cancel()

        return keyed

    def _transcribe(self) -> asyncio.Task[None] | None:
        """The nested `transcribe`, for as long as the stream lasts."""
        verb, session = self._verb.transcribe, self._session
        if verb is None:
            return None
        work = transcribe.beside(verb, session, caller=self._caller, callee=self._callee)
        return session.background(work, name="transcribe beside listen")

    # -- silence ------------------------------------------------------------------------------------------

    def _hear(self, pcm: Pcm) -> None:
        self._quiet.hear(pcm, asyncio.get_running_loop().time())

    def _watch_quiet(self) -> _Patience:
        assert self._verb.timeout is not None
        return _Patience(self._quiet, self._verb.timeout, self._cut.cancel)


class _Patience:
    """Calls `ended` once nothing has been heard for so long."""

    __slots__ = ("_ended", "_quiet", "_timeout_s", "_timer")

    def __init__(self, quiet: QuietWatch, timeout_s: float, ended: Callable[[], None]) -> None:
        self._quiet = quiet
        self._timeout_s = timeout_s
        self._ended = ended
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._look)

    def cancel(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left_s = self._quiet.last_sound_at + self._timeout_s - loop.time()
        if left_s <= 0:
            self._ended()
        else:
            self._timer = loop.call_later(left_s, self._look)


class _Beep:
    """A tone that tells when it is over. A `media` source."""

    __slots__ = ("_tone", "over", "sample_rate_hz")

    def __init__(self) -> None:
        self.sample_rate_hz = _BEEP_RATE_HZ
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tone = ToneSource(_BEEP, _BEEP_RATE_HZ)

    def read(self, samples: int) -> Pcm | None:
        pcm = self._tone.read(samples)
        if pcm is None and not self.over.done():
            self.over.set_result(None)
        return pcm


async def _beep(stream: MediaStream) -> None:
    beep = _Beep()
    stream.play(beep)
    try:
        # Whoever plays something else meanwhile has the word; the stream begins all the same.
        await asyncio.wait([beep.over], timeout=_BEEP_PATIENCE_S)
    finally:
        if not beep.over.done():
            stream.stop_playing()
