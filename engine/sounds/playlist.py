"""Several pieces of audio as one source: no gap between them, repeated, sought in, cut off. Pure.

Pieces may still be on their way while the first is being played: until they come there is silence, which is
not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from media.audio import Pcm, silence

__all__ = ["Playlist"]


class Playlist:
    """A `media.audio.Source`. Counts what was heard of it."""

    __slots__ = (
        "_index",
        "_is_complete",
        "_is_over",
        "_most",
        "_pieces",
        "_rounds",
        "played_samples",
        "position_samples",
        "sample_rate_hz",
    )

    def __init__(
        self,
        sample_rate_hz: int,
        pieces: Sequence[Pcm] = (),
        *,
        times: float = 1,
        start_samples: int = 0,
        most_samples: int | None = None,
        is_complete: bool = True,
    ) -> None:
        """
        times: how often all of it is played; `math.inf` for ever.
        start_samples: of the first piece, left out the first time.
        most_samples: after so many it is over, wherever it is.
        is_complete: False if more pieces come by `append`, until `complete`.
        """
        self.sample_rate_hz = sample_rate_hz
        self._pieces = list(pieces)
        self._rounds = times
        self._most = most_samples
        self._is_complete = is_complete
        self._is_over = False
        self._index = 0
        self.position_samples = max(0, start_samples)
        """Of the piece being played: what comes next. At the end it is the length of the last piece."""
        self.played_samples = 0
        """So much was heard, repetitions counted, silence not."""

    def append(self, pcm: Pcm) -> None:
        """One more piece, while it is not complete."""
        self._pieces.append(pcm)

    def complete(self) -> None:
        """No more pieces come."""
        self._is_complete = True

    def read(self, samples: int) -> Pcm | None:
        """The next `samples`; None behind the end."""
        if self._most is None and self._index < len(self._pieces):
            piece, start = self._pieces[self._index], self.position_samples
            if start + samples <= len(piece):  # nearly always
                self.position_samples += samples
                self.played_samples += samples
                return piece[start : start + samples]
        made, filled = silence(samples), 0
        while filled < samples and not self._is_over:
            taken = self._take(samples - filled)
            if taken is None:
                break
            made[filled : filled + len(taken)] = taken
            filled += len(taken)
        return None if self._is_over and not filled else made

    def _take(self, samples: int) -> Pcm | None:
        """At most so many, possibly none, from the present piece; None: wait for more of them."""
        if self._most is not None:
            samples = min(samples, self._most - self.played_samples)
            if samples <= 0:
                self._is_over = True
        if not self._pieces:
            self._is_over = self._is_over or self._is_complete
            return silence(0) if self._is_over else None
        piece = self._pieces[self._index]
        taken = piece[self.position_samples :][: max(0, samples)]
        self.position_samples = min(self.position_samples + len(taken), len(piece))
        self.played_samples += len(taken)
        if len(taken) or self._is_over:
            return taken
        return taken if self._go_on() else None

    def _go_on(self) -> bool:
        """To the next piece, or the next time, or the end; False: more is to come."""
        if self._index + 1 < len(self._pieces):
            self._index, self.position_samples = self._index + 1, 0
            return True
        if not self._is_complete:
            return False
        self._rounds -= 1
        if self._rounds <= 0 or not any(len(piece) for piece in self._pieces):
            self._is_over = True
        else:
            self._index = self.position_samples = 0
        return True
