"""An adaptive jitter buffer. Pure: its clock is the arrival time it is told and the count of pulls.

Packets go in as they arrive, and come out one per pull, in order. A pull that has nothing to give says why:

    LOST      a packet is missing whose time has come, and later ones are there: conceal it
    SILENCE   the sender was silent for this long on purpose (timestamps jump, numbers do not): comfort noise
    WAIT      nothing is there: the sender stopped, or the delay is being (re)built: conceal, then fall silent

The delay aimed at is one packet plus the spread of arrivals lately seen, between `min_ms` and `max_ms`.
It grows by waiting and shrinks by leaving out a packet once everything has been too early for a second.
"""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

__all__ = ["JitterBuffer", "Nothing"]

Item = TypeVar("Item")

_SPREAD_DECAY = 0.998
"""Per packet: a burst of jitter is half forgotten after seven seconds."""
_SKEW = 0.0005
"""How fast, in packet times per packet, the fastest path seen may be forgotten: covers clocks off by 500
ppm.
"""
_WINDOW = 50
_MAX_GAP_S = 10
_MAX_AHEAD = 1000


class Nothing(Enum):
    """Why a pull gives no packet."""

    LOST = "lost"
    SILENCE = "silence"
    WAIT = "wait"


class JitterBuffer(Generic[Item]):
    """One received stream's packets on their way to the decoder."""

    __slots__ = (
        "_base",
        "_clock_rate_hz",
        "_cursor",
        "_filling",
        "_latest",
        "_max",
        "_min",
        "_next",
        "_packets",
        "_pulls",
        "_spread",
        "_step",
        "_surplus",
        "_waited",
        "discarded",
        "late",
        "lost",
    )

    def __init__(
        self,
        clock_rate_hz: int = 8000,
        *,
        ptime_ms: float = 20,
        min_ms: float = 20,
        max_ms: float = 200,
    ) -> None:
        """clock_rate_hz: of the timestamps and of the arrival times."""
        self._clock_rate_hz = clock_rate_hz
        self._step = round(ptime_ms * clock_rate_hz / 1000)
        self._min = min_ms * clock_rate_hz / 1000
        self._max = max_ms * clock_rate_hz / 1000
        self.late = 0
        """Packets that came after their time, or twice."""
        self.lost = 0
        """Pulls answered with LOST."""
        self.discarded = 0
        """Packets left out to shorten the delay or because the buffer was full."""
        self._spread = 0.0
        self.reset()

    def reset(self) -> None:
        """Another sender begins: forget the packets and their numbers, keep what was learnt about the
        network.
        """
        self._packets: dict[int, tuple[int, Item]] = {}
        self._next: int | None = None  # extended sequence number that the next pull wants
        self._cursor = 0  # its timestamp, as far as one can tell
        self._filling = True
        self._waited = 0
        self._latest = (-2, 0, 0)  # number, timestamp, and the step to it, of the packet that came last
        self._base: float | None = None
        self._pulls = 0
        self._surplus = self._max

    @property
    def target_ms(self) -> float:
        """The delay aimed at."""
        return self._target * 1000 / self._clock_rate_hz

    @property
    def step(self) -> int:
        """Timestamp units that one pull stands for: the packet time, learnt from the packets."""
        return self._step

    @property
    def depth(self) -> int:
        """Packets waiting."""
        return len(self._packets)

    @property
    def _target(self) -> float:
        return min(max(self._step + self._spread, self._min), self._max)

    def push(self, sequence: int, timestamp: int, item: Item, arrival: float) -> bool:
        """One packet; `arrival` in units of the RTP clock, any origin. False: too late or a duplicate."""
        if self._next is None:
            self._next = 0x10000 + sequence  # room below for packets that were overtaken
            self._cursor = timestamp
        number = self._next + _signed16(sequence - self._next)
        if number - self._next > _MAX_AHEAD:
            self.reset()
            return self.push(sequence, timestamp, item, arrival)
        if self._filling and not self._packets and number < self._next and self._next - number > _MAX_AHEAD:
            self.reset()
            return self.push(sequence, timestamp, item, arrival)
        if number < self._next:
            is_first_talk = self._filling and self._pulls == 0
            if not is_first_talk:
                self.late += 1
                return False
            self._next = number  # the first packets of all came out of order, nothing was played yet
        if number in self._packets:
            self.late += 1
            return False
        self._learn(number, timestamp, arrival)
        self._packets[number] = (timestamp, item)
        if len(self._packets) * self._step > self._max + self._step:
            self._drop_to_target()
        return True

    def pull(self) -> Item | Nothing:
        """What is to be heard in the next packet time."""
        if not self._packets:
            self._filling = True
            return Nothing.WAIT
        first = self._first()
        if self._filling:
            # By what is held or by the time it waited: the last packets before a pause must come out as well.
            self._waited += self._step
            if max(self._held(first), self._waited) < self._target:
                return Nothing.WAIT
            self._filling = False
            self._waited = 0
            self._next, self._cursor = first, self._packets[first][0]
        self._pulls += 1
        assert self._next is not None
        timestamp = self._packets[first][0]
        missing = first - self._next
        ahead = _signed32(timestamp - self._cursor)
        if missing or ahead >= self._step:
            if (missing + 1) * self._step <= ahead < _MAX_GAP_S * self._clock_rate_hz:
                self._cursor += self._step
                return Nothing.SILENCE
            if missing and ahead > 0:
                self._next += 1
                self._cursor += self._step
                self.lost += 1
                return Nothing.LOST
        if self._is_surplus(first):
            del self._packets[first]
            self.discarded += 1
            first = self._first()
        timestamp, item = self._packets.pop(first)
        self._next = first + 1
        self._cursor = timestamp + self._step
        return item

    def _first(self) -> int:
        """The lowest number there is; nearly always the one that is due."""
        assert self._next is not None
        number = self._next
        if number in self._packets:
            return number
        return min(self._packets)

    def _held(self, first: int) -> float:
        """Timestamp units from the oldest packet to the end of the newest."""
        newest = max(self._packets)
        return _signed32(self._packets[newest][0] - self._packets[first][0]) + self._step

    def _learn(self, number: int, timestamp: int, arrival: float) -> None:
        last_number, last_timestamp, last_step = self._latest
        step = _signed32(timestamp - last_timestamp) if number == last_number + 1 else 0
        if 0 < step <= self._clock_rate_hz // 5 and step == last_step:
            self._step = step  # twice in a row: not the length of a pause
        self._latest = number, timestamp, step or last_step
        transit = _signed32(int(arrival) - timestamp)
        if self._base is None or abs(transit - self._base) > 2 * self._clock_rate_hz:
            self._base = transit
        self._base = min(self._base + _SKEW * self._step, transit)
        self._spread = max(self._spread * _SPREAD_DECAY, transit - self._base)

    def _is_surplus(self, first: int) -> bool:
        """Whether for a whole window more was held than is needed; asked once per delivered packet."""
        held = len(self._packets) * self._step
        self._surplus = min(self._surplus, held - self._target)
        if self._pulls % _WINDOW:
            return False
        surplus, self._surplus = self._surplus, self._max
        return surplus >= self._step and first + 1 in self._packets

    def _drop_to_target(self) -> None:
        while len(self._packets) * self._step > max(self._target, self._step):
            del self._packets[min(self._packets)]
            self.discarded += 1
        self._next = min(self._packets)
        self._cursor = self._packets[self._next][0]


def _signed16(difference: int) -> int:
    return (difference + 0x8000 & 0xFFFF) - 0x8000


def _signed32(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000
