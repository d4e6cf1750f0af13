"""From a leg's packets to the audio somebody listens to: jitter buffer, decoder, concealment, comfort noise.

Exists only while somebody listens: a relayed call without taps never decodes anything.
"""

from __future__ import annotations

import numpy as np

from media.audio import PTIME_MS, Pcm, samples_in, silence
from media.cn import NoiseSource, decode_noise
from media.codecs import Codec, open_codec
from media.jitter import JitterBuffer, Nothing
from media.negotiate import NegotiatedMedia
from media.plc import Concealer

__all__ = ["AudioReceiver"]


class AudioReceiver:
    """One agreement's decoder chain. A renegotiated codec gets a new one."""

    __slots__ = (
        "_clock_rate_hz",
        "_codecs",
        "_concealer",
        "_frame",
        "_gaps_left",
        "_generation",
        "_is_quiet",
        "_left",
        "_noise",
        "_noise_type",
        "_was_lost",
        "gaps",
        "jitter",
        "sample_rate_hz",
    )

    def __init__(self, media: NegotiatedMedia) -> None:
        """Codecs that tick or sample differently from the agreed one are left out: they are not switched
        to.
        """
        self.sample_rate_hz = media.codec.sample_rate_hz
        self._clock_rate_hz = media.codec.clock_rate_hz
        self._codecs: dict[int, Codec] = {
            payload_type: open_codec(spec, media.fmtp)
            for payload_type, spec in (
                *media.receive_codecs,
                (media.receive_payload_type, media.codec),
            )
            if (spec.clock_rate_hz, spec.sample_rate_hz) == (self._clock_rate_hz, self.sample_rate_hz)
        }
        self._noise_type = media.cn_receive_payload_type
        self._noise = NoiseSource(self.sample_rate_hz)
        self._is_quiet = False
        self._concealer = Concealer(self.sample_rate_hz)
        self._frame = samples_in(PTIME_MS, self.sample_rate_hz)
        self._left: Pcm = silence(0)
        self._was_lost = False
        self._gaps_left: list[tuple[int, int]] = []
        self._generation = 0
        self.gaps: list[tuple[int, int]] = []
        """Stretches of the last `pull` that were lost and concealed: (start, end) in samples."""
        self.jitter: JitterBuffer[tuple[int, bytes]] = JitterBuffer(self._clock_rate_hz)

    def push(
        self,
        payload_type: int,
        sequence: int,
        timestamp: int,
        payload: bytes,
        at: float,
        generation: int = 0,
    ) -> None:
        """One audio or comfort-noise packet, arrived at `at` (monotonic seconds).

        Another `generation` than before: the sender's numbers began anew (`Reception.generation`). Left to
        itself the jitter buffer could take numbers a little below the old ones for packets that come late.
        """
        if generation != self._generation:
            self._generation = generation
            self.jitter.reset()
        if payload_type in self._codecs or payload_type == self._noise_type:
            self.jitter.push(sequence, timestamp, (payload_type, payload), at * self._clock_rate_hz)

    def pull(self) -> Pcm:
        """The next 20 ms, always: what arrived, or what stands for it (`gaps` tells which)."""
        pcm, gaps = self._left, self._gaps_left
        while len(pcm) < self._frame:
            piece = self._next()
            if self._was_lost:
                gaps.append((len(pcm), len(pcm) + len(piece)))
            pcm = np.concatenate((pcm, piece)) if len(pcm) else piece
        frame = self._frame
        self._left = pcm[frame:]
        if not gaps:
            self.gaps, self._gaps_left = gaps, []
        else:
            self.gaps = [(start, min(end, frame)) for start, end in gaps if start < frame]
            self._gaps_left = [(max(start - frame, 0), end - frame) for start, end in gaps if end > frame]
        return pcm[:frame]

    def _next(self) -> Pcm:
        item = self.jitter.pull()
        samples = self.jitter.step * self.sample_rate_hz // self._clock_rate_hz
        self._was_lost = False
        if item is Nothing.SILENCE or (item is not Nothing.LOST and item is Nothing.WAIT and self._is_quiet):
            return self._quiet(samples)
        if isinstance(item, Nothing):
            self._was_lost = True
            return self._concealer.lost(samples)
        payload_type, payload = item
        if payload_type == self._noise_type:
            self._noise.level_dbov = decode_noise(payload)
            self._is_quiet = True
            return self._quiet(samples)
        self._is_quiet = False
        return self._concealer.good(self._codecs[payload_type].decode(payload))

    def _quiet(self, samples: int) -> Pcm:
        """The sender is silent on purpose: the noise it described, or none."""
        noise = self._noise.read(samples) if self._is_quiet else None
        return silence(samples) if noise is None else noise
