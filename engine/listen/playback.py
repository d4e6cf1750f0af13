"""What the server wants to be heard: clips, streamed audio and marks in one queue, played without gaps. Pure.

A `media` source: the leg reads 20 ms at a time. Everything the server must be told (`playDone`, marks) comes
out through one function as a text frame, when the audio before it has really been played: one read later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from engine.listen.clip import Clip, Converter, converter
from engine.listen.messages import mark_text, play_done_text
from media.audio import Pcm, from_bytes, silence

__all__ = ["MOST_QUEUED", "Playback"]

MOST_QUEUED = 10
"""Clips waiting behind the one that is played (WH-34)."""
_MOST_CLIP_SAMPLES = 16 * 1024 * 1024
"""In all clips together, 32 MB: five minutes and a half at 48 kHz, half an hour at 8 kHz."""
_MOST_WAITING = 1000
"""Marks, and what is between them."""
_MOST_STREAMED_S = 120.0
"""Of binary audio waiting to be played; a server may send a whole sentence at once."""
_PATIENCE_READS = 8
"""How long streamed audio may run dry (160 ms) before playing ends and a bridge is heard again."""
_PIECE_S = 0.02
_FLUSH_S = 0.01
"""Of silence behind a clip: brings out what the filter still holds."""


class _Mark:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Playing:
    """A clip and how far it is."""

    __slots__ = ("clip", "convert", "position")

    def __init__(self, clip: Clip, to_hz: int) -> None:
        self.clip = clip
        self.position = 0
        self.convert: Converter | None = (
            None if clip.sample_rate_hz == to_hz else converter(clip.sample_rate_hz, to_hz)
        )

    def read(self, samples: int) -> Pcm | None:
        """About `samples` of the target rate; None at the end."""
        clip = self.clip
        if self.position >= len(clip.pcm):
            return None
        if self.convert is None:
            piece = clip.pcm[self.position : self.position + samples]
            self.position += len(piece)
            return piece
        step = max(1, round(clip.sample_rate_hz * _PIECE_S))
        piece = clip.pcm[self.position : self.position + step]
        self.position += step
        made = self.convert.push(piece)
        if self.position >= len(clip.pcm):
            tail = self.convert.push(silence(round(clip.sample_rate_hz * _FLUSH_S)))
            made = np.concatenate((made, tail))
        return made


class _Streamed:
    """Binary audio that came since the last mark or clip."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: deque[Pcm] = deque()


class Playback:
    """Played into one leg for as long as the stream lives."""

    __slots__ = (
        "_due",
        "_left",
        "_odd_byte",
        "_patience",
        "_queue",
        "_say",
        "_stream_convert",
        "_stream_hz",
        "_streamed_samples",
        "sample_rate_hz",
    )

    def __init__(
        self, say: Callable[[str], None], *, sample_rate_hz: int = 8000, stream_rate_hz: int = 8000
    ) -> None:
        """say: takes text frames for the server. stream_rate_hz: of binary audio."""
        self.sample_rate_hz = sample_rate_hz
        self._say = say
        self._stream_hz = stream_rate_hz
        self._stream_convert = converter(stream_rate_hz, sample_rate_hz)
        self._queue: deque[_Playing | _Streamed | _Mark] = deque()
        self._left: Pcm = silence(0)
        self._due: list[str] = []
        """Told at the next read: what was read before has been played by then."""
        self._streamed_samples = 0
        self._odd_byte = b""
        self._patience = 0

    @property
    def is_empty(self) -> bool:
        """There is nothing to play and nothing to tell."""
        return not self._queue and not self._due and not len(self._left)

    # -- what the server asks -----------------------------------------------------------------------------

    def play(self, clip: Clip) -> None:
        """At once, in place of everything."""
        self.kill()
        self._queue.append(_Playing(clip, self.sample_rate_hz))

    def enqueue(self, clip: Clip) -> bool:
        """After everything else; False if too many clips, or too much audio, are waiting already."""
        clips = [item.clip for item in self._queue if isinstance(item, _Playing)]
        samples = sum(len(queued.pcm) for queued in clips) + len(clip.pcm)
        if len(clips) > MOST_QUEUED or samples > _MOST_CLIP_SAMPLES:
            return False
        self._queue.append(_Playing(clip, self.sample_rate_hz))
        return True

    def feed(self, data: bytes) -> bool:
        """Streamed audio, int16 little-endian; False if too much is waiting and this was thrown away."""
        if self._odd_byte:
            data = self._odd_byte + data
        self._odd_byte = data[-1:] if len(data) % 2 else b""
        pcm = from_bytes(data)
        if self._streamed_samples + len(pcm) > _MOST_STREAMED_S * self._stream_hz:
            return False
        if len(pcm):
            last = self._queue[-1] if self._queue else None
            if not isinstance(last, _Streamed):
                last = _Streamed()
                self._queue.append(last)
            last.pieces.append(pcm)
            self._streamed_samples += len(pcm)
        return True

    def mark(self, name: str) -> bool:
        """Told as played when everything before it is; at once if there is nothing before it. False if too
        much is waiting."""
        if self.is_empty:
            self._say(mark_text(name, "playout"))
        elif len(self._queue) >= _MOST_WAITING:
            return False
        else:
            self._queue.append(_Mark(name))
        return True

    def clear_marks(self) -> None:
        """The marks that were not reached come back."""
        marks = [item for item in self._queue if isinstance(item, _Mark)]
        self._queue = deque(item for item in self._queue if not isinstance(item, _Mark))
        for mark in marks:
            self._say(mark_text(mark.name, "cleared"))

    def kill(self) -> None:
        """Silence: the clip that is being played is over, marks whose audio will not be heard come back."""
        queue, self._queue = self._queue, deque()
        self._left = silence(0)
        self._streamed_samples = 0
        self._odd_byte = b""
        self._patience = 0
        self._tell_due()
        for item in queue:
            if isinstance(item, _Mark):
                self._say(mark_text(item.name, "cleared"))
            elif isinstance(item, _Playing) and item.position:
                self._say(play_done_text(item.clip.id))

    # -- what the leg asks (Source) -----------------------------------------------------------------------

    def read(self, samples: int) -> Pcm | None:
        """The next `samples`, the last of them padded; None when there is nothing to play for now."""
        self._tell_due()
        got, pieces = len(self._left), [self._left]
        while got < samples and self._queue:
            piece = self._next(samples - got)
            pieces.append(piece)
            got += len(piece)
        if not got:
            self._tell_due()
            if self._patience:
                self._patience -= 1
                return silence(samples)
            return None
        pcm = np.concatenate(pieces)
        self._left = pcm[samples:]
        while got <= samples and self._queue and self._is_over(self._queue[0]):
            self._next(0)  # so that its end is told right after this read
        if got < samples:
            pcm = np.concatenate((pcm, silence(samples - got)))
        return pcm[:samples]

    @staticmethod
    def _is_over(item: _Playing | _Streamed | _Mark) -> bool:
        match item:
            case _Playing():
                return item.position >= len(item.clip.pcm)
            case _Streamed():
                return not item.pieces
            case _Mark():
                return True

    def _next(self, samples: int) -> Pcm:
        """Something of the first item; nothing if it is over, which takes it away."""
        item = self._queue[0]
        match item:
            case _Playing():
                piece = item.read(samples)
                if piece is not None:
                    return piece
                self._due.append(play_done_text(item.clip.id))
            case _Streamed():
                if item.pieces:
                    self._patience = _PATIENCE_READS
                    return self._stream_convert.push(self._take_streamed(item.pieces))
            case _Mark():
                self._due.append(mark_text(item.name, "playout"))
        self._queue.popleft()
        return silence(0)

    def _take_streamed(self, pieces: deque[Pcm]) -> Pcm:
        """20 ms at most: a server may send a minute in one frame."""
        pcm, step = pieces[0], round(self._stream_hz * _PIECE_S)
        if len(pcm) > step:
            pcm, pieces[0] = pcm[:step], pcm[step:]
        else:
            pieces.popleft()
        self._streamed_samples -= len(pcm)
        return pcm

    def _tell_due(self) -> None:
        if self._due:
            due, self._due = self._due, []
            for text in due:
                self._say(text)
