"""All dials of one process: admission, the task of each, counting, draining, stopping."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType

from engine.agenda import Agenda
from engine.dial.bridge import CallerAudio
from engine.dial.dial import Dial, DialState, Observer
from engine.dial.leg import Cause, ParentLeg
from engine.dial.outcome import StatusMap
from engine.dial.parts import LegFactory, Screening
from engine.dial.request import DialRequest
from engine.errors import Overloaded
from engine.ids import DialId

__all__ = ["DialManager"]

STOP_GRACE_S = 5.0
"""How long `stop` waits for goodbyes: longer than a decided dial can take (DV-30)."""


class DialManager:
    """Owns every dial's task. Used as `async with DialManager(...) as dials:`; leaving it stops them all.

    A dial never brings the group down: it turns its own mistakes into a failed result.
    """

    __slots__ = (
        "_admit",
        "_agenda",
        "_audio",
        "_dials",
        "_group",
        "_idle",
        "_is_open",
        "_legs",
        "_max_dials",
        "_observers",
        "_retry_after_s",
        "_screening",
        "_status_map",
        "finished",
    )

    def __init__(
        self,
        *,
        legs: LegFactory,
        audio: CallerAudio | None = None,
        screening: Screening | None = None,
        status_map: StatusMap | None = None,
        max_dials: int = 2000,
        retry_after_s: float = 1.0,
        admit: Callable[[DialRequest], None] | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        """`admit` may refuse a request by raising Overloaded or InvalidRequest; `agenda`: see `Dial`."""
        self._legs = legs
        self._audio = audio
        self._screening = screening
        self._status_map = status_map
        self._max_dials = max_dials
        self._retry_after_s = retry_after_s
        self._admit = admit
        self._agenda = agenda
        self._dials: dict[DialId, Dial] = {}
        self._observers: list[Callable[[Dial], Observer]] = []
        self._group: asyncio.TaskGroup | None = None
        self._is_open = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.finished: Counter[str] = Counter()
        """Results so far, by `dial_status`."""

    async def __aenter__(self) -> DialManager:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group = self._group
        assert group is not None
        try:
            if kind is None:
                await self.stop()
        finally:
            self._is_open = False
            await group.__aexit__(kind, error, trace)

    def start(
        self,
        request: DialRequest,
        parent: ParentLeg | None = None,
        *,
        observer: Observer | None = None,
        screening: Screening | None = None,
        dial_id: DialId | None = None,
    ) -> Dial:
        """Begin a dial; `await dial.wait()` gives its result. `screening`: of this dial; None: everybody's.

        Raises Overloaded when there are `max_dials` already or admission is closed, and InvalidRequest for
        what this engine cannot do.
        """
        refusal = self.refusal
        if refusal or self._group is None:
            raise Overloaded(refusal, retry_after_s=self._retry_after_s)
        if self._admit is not None:
            self._admit(request)
        dial = Dial(
            request,
            legs=self._legs,
            parent=parent,
            audio=self._audio,
            screening=screening or self._screening,
            status_map=self._status_map,
            dial_id=dial_id,
            agenda=self._agenda,
        )
        if observer is not None:
            dial.observe(observer)
        for make_observer in self._observers:
            dial.observe(make_observer(dial))
        self._dials[dial.id] = dial
        self._idle.clear()
        task = self._group.create_task(dial.run(), name=f"dial {dial.id}")
        task.add_done_callback(lambda _: self._forget(dial))
        return dial

    def _forget(self, dial: Dial) -> None:
        dial.give_up()
        result = dial.result
        assert result is not None
        self.finished[result.dial_status.value] += 1
        del self._dials[dial.id]
        if not self._dials:
            self._idle.set()

    @property
    def refusal(self) -> str:
        """Why a new dial would be refused now, whatever it asks for; empty: it would not."""
        if not self._is_open:
            return "the engine takes no new dials"
        return f"{self._max_dials} dials are in progress" if len(self._dials) >= self._max_dials else ""

    @property
    def is_open(self) -> bool:
        """Not draining and not stopped: more dials will be taken when there is room."""
        return self._is_open

    def observe_all(self, make_observer: Callable[[Dial], Observer]) -> None:
        """Give every dial started from now on an observer of its own."""
        self._observers.append(make_observer)

    def get(self, dial_id: DialId) -> Dial | None:
        """A dial in progress."""
        return self._dials.get(dial_id)

    def __len__(self) -> int:
        return len(self._dials)

    def __iter__(self) -> Iterator[Dial]:
        return iter(tuple(self._dials.values()))

    def counts(self) -> dict[DialState, int]:
        """Dials in progress by state."""
        return Counter(dial.state for dial in self._dials.values())

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Take no new dials and wait for those in progress; False if some are left after `timeout_s`."""
        self._is_open = False
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Take no new dials and hang up those in progress; returns when all have their result."""
        for dial in self:
            dial.hang_up(Cause.SHUTDOWN)
        await self.drain(grace_s)
