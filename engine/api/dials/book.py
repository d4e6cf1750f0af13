"""The dials that were started over HTTP: what they are, what happened to them, what became of them.

One `DialEntry` per dial, an observer of it. Finished ones stay until newer ones push them out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec

from amd import AmdEvent, AmdParams, Decision, Tone, hook_fields
from engine.api.dials.bodies import DialView, LegView, ResultBody
from engine.api.services import ApiLimits, DialArchive, DialEngine
from engine.detection import LiveDetector
from engine.dial.callstatus import CallStatuses, StatusChange
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, DetectorFired, DtmfReceived
from engine.dial.request import DialRequest
from engine.dial.result import DialResult
from engine.ids import CallSid
from engine.json_text import encode_json
from engine.talk import Talk
from media.audio import Pcm

__all__ = ["DialBook", "DialEntry", "DialEvent"]


class DialEvent(msgspec.Struct, frozen=True):
    """One thing that happened, as an event stream tells it."""

    number: int
    """1, 2, 3, … within its dial."""
    name: str
    """`status`, `connected`, `dtmf`, `amd`, `tone` or `result`."""
    data: dict[str, object]


class DialEntry:
    """One dial of one account."""

    __slots__ = (
        "_caller_id",
        "_changed",
        "_created_at",
        "_created_at_utc",
        "_dial",
        "_events",
        "_legs",
        "_max_events",
        "_on_result",
        "_result",
        "_statuses",
        "_told",
        "account_sid",
        "begun",
        "error",
        "has_ended",
        "id",
        "recording",
    )

    def __init__(
        self, account_sid: str, caller_id: str, max_events: int, on_result: Callable[[DialEntry], None]
    ) -> None:
        """`on_result`: is to call `end`, at once or when a recording is complete."""
        self.account_sid = account_sid
        self.id = ""
        """The dial's, once there is one."""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when its INVITEs have been created, or it has ended without any. For whoever started it."""
        self.has_ended = False
        """There is a result, and a recording is complete."""
        self.recording: Path | None = None
        self.error = ""
        self._caller_id = caller_id
        self._max_events = max_events
        self._on_result = on_result
        self._created_at = asyncio.get_running_loop().time()
        self._created_at_utc = datetime.now(UTC)
        self._dial: Dial | None = None
        self._result: DialResult | None = None
        self._statuses = CallStatuses()
        self._legs: dict[CallSid, LegView] = {}
        self._events: list[DialEvent] = []
        self._told = 0
        self._changed: asyncio.Future[None] | None = None

    # -- what happens -----------------------------------------------------------------------------------

    def follow(self, dial: Dial) -> None:
        """Called before the dial takes its first step."""
        self._dial = dial
        self.id = dial.id

    def observe(self, happening: Happening) -> None:
        """The observer of the dial."""
        change = self._statuses.of(happening)
        if change is not None:
            self._on_status(change)
        else:
            match happening:
                case Connected():
                    self._tell("connected", happening.at, call_sid=happening.leg)
                case DtmfReceived():
                    self._tell(
                        "dtmf",
                        happening.at,
                        call_sid=happening.leg,
                        digit=happening.digit,
                        duration_ms=happening.duration_ms,
                    )
                case DetectorFired():
                    self._on_detected(happening)
                case DialResult():
                    self._result = happening
                    self._on_result(self)
                case _:
                    pass
        if not self.begun.done():
            self.begun.set_result(None)

    def _on_status(self, change: StatusChange) -> None:
        known = self._legs.get(change.leg)
        if known is not None:
            kind, to = known.type, known.to
        elif change.record is not None:
            kind, to = change.record.type, change.record.to
        else:
            assert self._dial is not None
            target = self._dial.target_of(change.leg)
            kind, to = target.type.value, target.address
        leg = LegView(change.leg, kind, to, change.status.value, change.sip_status, change.sip_reason)
        self._legs[change.leg] = leg
        self._tell("status", change.at, **msgspec.structs.asdict(leg))

    def _on_detected(self, happening: DetectorFired) -> None:
        event = cast(AmdEvent, happening.detail)
        if isinstance(event, Tone):
            self._tell(
                "tone", happening.at, call_sid=happening.leg, tone=event.name.value, meaning=event.meaning
            )
            return
        fields: dict[str, object] = {"call_sid": happening.leg, **(hook_fields(event) or {})}
        if isinstance(event, Decision):
            fields["confidence"] = round(event.confidence, 3)
        self._tell("amd", happening.at, **fields)

    def end(self) -> None:
        """The result may be told; nothing follows it."""
        self.has_ended = True
        self._dial = None
        self._tell("result", None, **msgspec.to_builtins(self.result_body()))

    def _tell(self, name: str, at: float | None, **data: object) -> None:
        if at is not None:
            data["at_s"] = round(at - self._created_at, 3)
        self._told += 1
        self._events.append(DialEvent(self._told, name, data))
        if len(self._events) > self._max_events:
            del self._events[0]
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set_result(None)

    # -- what others ask --------------------------------------------------------------------------------

    def changed(self) -> asyncio.Future[None]:
        """Done when anything has happened after this call. Shared: do not cancel it."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def events_after(self, number: int) -> Sequence[DialEvent]:
        """Those with a higher number, as far as they are kept."""
        first = self._told - len(self._events)
        return self._events[max(0, number - first) :]

    def hang_up(self) -> None:
        """Ask the dial to end; nothing if it has."""
        if self._dial is not None:
            self._dial.hang_up()

    def result_body(self) -> ResultBody:
        """Only when there is a result."""
        assert self._result is not None
        return msgspec.convert({"id": self.id, **self._result.to_dict()}, ResultBody)

    def keep_in(self, archive: DialArchive) -> None:
        """Only when it has ended."""
        assert self._result is not None
        archive.keep(self.account_sid, self.id, encode_json(self.view()), self._result, self._caller_id)

    def view(self) -> DialView:
        """The dial as it is now."""
        result, dial = self._result, self._dial
        has_ended = self.has_ended
        return DialView(
            id=self.id,
            state="ended" if has_ended else "ending" if dial is None or result else dial.state.value,
            created_at=self._created_at_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            legs=list(self._legs.values()),
            ring_s=round(result.ring_s, 3) if result else None,
            talk_s=round(result.talk_s, 3) if result else None,
            recording=f"/v1/dials/{self.id}/recording" if has_ended and self.recording else None,
            warnings=list(result.warnings) if result else [],
            error=(result.error if result else "") or self.error,
            result=self.result_body() if has_ended else None,
        )


class DialBook:
    """All entries, in progress and finished."""

    __slots__ = ("_archive", "_engine", "_entries", "_finished", "_finishing", "_limits", "_talks")

    def __init__(self, engine: DialEngine, limits: ApiLimits, archive: DialArchive | None) -> None:
        self._engine = engine
        self._limits = limits
        self._archive = archive
        self._entries: dict[str, dict[str, DialEntry]] = {}
        self._finished: OrderedDict[str, DialEntry] = OrderedDict()
        self._talks: dict[str, Talk] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    def start(
        self,
        account_sid: str,
        request: DialRequest,
        *,
        play: Pcm | None = None,
        after_beep: Pcm | None = None,
        record_to: Path | None = None,
        amd: AmdParams | None = None,
    ) -> DialEntry:
        """`record_to`: a folder. Raises Overloaded, InvalidRequest."""
        entry = DialEntry(account_sid, request.caller_id, self._limits.max_events, self._ended)
        dial = self._engine.start_dial(request, observer=entry.observe)
        entry.follow(dial)
        self._entries.setdefault(account_sid, {})[entry.id] = entry
        if amd is not None:
            LiveDetector(amd, early_media=True).follow(dial)
        if record_to is not None:
            entry.recording = record_to / f"{entry.id}.wav"
        if play is not None or after_beep is not None or record_to is not None:
            talk = Talk(play=play, after_beep=after_beep, record=entry.recording)
            talk.follow(dial)
            if record_to is not None:
                self._talks[entry.id] = talk
        return entry

    def get(self, account_sid: str, dial_id: str) -> DialEntry | None:
        """In progress, or finished and still in memory."""
        return self._entries.get(account_sid, {}).get(dial_id)

    def newest_first(self, account_sid: str) -> Iterator[DialEntry]:
        """Those in memory."""
        return reversed(tuple(self._entries.get(account_sid, {}).values()))

    async def closed(self) -> None:
        """Wait for recordings that are being completed."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    def _ended(self, entry: DialEntry) -> None:
        talk = self._talks.pop(entry.id, None)
        if talk is None:
            self._file(entry)
        else:
            task = asyncio.create_task(self._complete(entry, talk), name=f"recording of {entry.id}")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    async def _complete(self, entry: DialEntry, talk: Talk) -> None:
        await talk.finish()
        entry.error = talk.problem
        assert entry.recording is not None
        if not await asyncio.to_thread(entry.recording.is_file):
            entry.recording = None
        self._file(entry)

    def _file(self, entry: DialEntry) -> None:
        entry.end()
        self._finished[entry.id] = entry
        if self._archive is not None:
            entry.keep_in(self._archive)
        if len(self._finished) > self._limits.finished_dials:
            _, oldest = self._finished.popitem(last=False)
            del self._entries[oldest.account_sid][oldest.id]
