from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from engine.speech import (
    CachedSynthesiser,
    Speech,
    Synthesisers,
    SynthesisFailed,
    UnknownSynthesiser,
    Utterance,
    Voice,
)
from tests.support.virtual_time import in_virtual_time, settle


class SlowSynthesiser:
    """Takes a second for every utterance; refuses the word "no"."""

    def __init__(self, vendor: str = "slow") -> None:
        self.vendor = vendor
        self.said: list[str] = []
        self.cancelled = 0
        self.is_closed = False

    async def say(self, utterance: Utterance, *, sample_rate_hz: int = 8000) -> Speech:
        self.said.append(utterance.text)
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if utterance.text == "no":
            raise SynthesisFailed("it does not want to")
        return Speech(np.zeros(sample_rate_hz, np.int16), sample_rate_hz)

    async def voices(self) -> Sequence[Voice]:
        return (Voice("alice", ("en-us",), "FEMALE"),)

    async def close(self) -> None:
        self.is_closed = True


async def test_synthesisers_are_found_by_vendor() -> None:
    slow, other = SlowSynthesiser(), SlowSynthesiser("other")
    synthesisers = Synthesisers({"slow": slow, "other": other}, default="slow")
    assert synthesisers.get() is synthesisers.get("default") is slow
    assert synthesisers.get("other") is other
    with pytest.raises(UnknownSynthesiser, match="no synthesiser is called 'google'; there are: other, slow"):
        synthesisers.get("google")
    with pytest.raises(UnknownSynthesiser):
        Synthesisers({}, default="slow")
    await synthesisers.close()
    assert slow.is_closed
    assert other.is_closed


@in_virtual_time
async def test_what_was_said_once_comes_from_memory() -> None:
    slow = SlowSynthesiser()
    cached = CachedSynthesiser(slow)
    first, second = await asyncio.gather(*(cached.say(Utterance("Hello")) for _ in range(2)))
    assert first is second is await cached.say(Utterance("Hello"))
    assert slow.said == ["Hello"]
    await cached.say(Utterance("Hello"), sample_rate_hz=16000)
    await cached.say(Utterance("Hello", "de-DE"))
    await cached.say(Utterance("Hello", "en-US", "alice"))
    await cached.say(Utterance("Hello", rate=1.5))
    assert slow.said == ["Hello"] * 5
    assert not first.pcm.flags.writeable
    assert (cached.vendor, [voice.name for voice in await cached.voices()]) == ("slow", ["alice"])


@in_virtual_time
async def test_the_cache_forgets_the_oldest_and_no_failure_is_kept() -> None:
    slow = SlowSynthesiser()
    cached = CachedSynthesiser(slow, cache_bytes=40000)
    for text in ("a", "b", "c", "a", "c"):
        await cached.say(Utterance(text))
    assert slow.said == ["a", "b", "c", "a"]
    for _ in range(2):
        with pytest.raises(SynthesisFailed):
            await cached.say(Utterance("no"))
    assert slow.said[-2:] == ["no", "no"]


@in_virtual_time
async def test_who_gives_up_stops_the_synthesis_unless_others_wait() -> None:
    slow = SlowSynthesiser()
    cached = CachedSynthesiser(slow)
    first, second = (asyncio.create_task(cached.say(Utterance("Hello"))) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert slow.cancelled == 0
    second.cancel()
    await settle()
    assert slow.cancelled == 1
    third = asyncio.create_task(cached.say(Utterance("Hello")))
    await settle()
    await cached.close()
    assert third.cancelled()
    assert slow.is_closed
