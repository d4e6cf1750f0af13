"""What was said once need not be made again: a cache around any synthesiser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.sharing import ByteCache, SharedWork
from engine.speech.synthesis import Speech, Synthesiser, Utterance, Voice

__all__ = ["CachedSynthesiser"]


class CachedSynthesiser:
    """A `Synthesiser`: many who want the same said wait for one synthesis, later ones have it from memory."""

    __slots__ = ("_cache", "_making", "_synthesiser")

    def __init__(self, synthesiser: Synthesiser, *, cache_bytes: int = 64_000_000) -> None:
        self._synthesiser = synthesiser
        self._cache: ByteCache[tuple[Utterance, int], Speech] = ByteCache(cache_bytes)
        self._making: SharedWork[tuple[Utterance, int], Speech] = SharedWork("synthesis")

    @property
    def vendor(self) -> str:
        return self._synthesiser.vendor

    async def say(self, utterance: Utterance, *, sample_rate_hz: int = 8000) -> Speech:
        """As the synthesiser's own; who gives up stops it, unless others wait."""
        key = (utterance, sample_rate_hz)
        speech = self._cache.get(key)
        if speech is None:
            speech = await self._making.do(key, partial(self._make, utterance, sample_rate_hz))
        return speech

    async def voices(self) -> Sequence[Voice]:
        return await self._synthesiser.voices()

    async def close(self) -> None:
        await self._making.close()
        self._cache.clear()
        await self._synthesiser.close()

    async def _make(self, utterance: Utterance, sample_rate_hz: int) -> Speech:
        speech = await self._synthesiser.say(utterance, sample_rate_hz=sample_rate_hz)
        speech.pcm.setflags(write=False)
        self._cache.put((utterance, sample_rate_hz), speech, speech.pcm.nbytes + len(utterance.text))
        return speech
