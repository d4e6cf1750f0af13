"""What waits to be sent is bounded, and the oldest audio is what is given up."""

from __future__ import annotations

import asyncio

from engine.listen.outbox import Outbox


def _everything(outbox: Outbox) -> list[bytes | str]:
    items = []
    while (item := outbox.take()) is not None:
        items.append(item)
    return items


def test_text_and_audio_keep_their_order() -> None:
    outbox = Outbox(10, lambda: None)
    outbox.put_audio(b"1")
    outbox.put_text("a")
    outbox.put_audio(b"2")
    assert _everything(outbox) == [b"1", "a", b"2"]


def test_too_much_audio_costs_the_oldest_audio_and_no_text() -> None:
    drops = []
    outbox = Outbox(2, lambda: drops.append(1))
    outbox.put_text("a")
    for n in range(5):
        outbox.put_audio(b"%d" % n)
    outbox.put_text("b")
    assert outbox.dropped == 3
    assert drops == [1]
    assert _everything(outbox) == ["a", b"3", b"4", "b"]


def test_every_stretch_of_dropping_is_told_once() -> None:
    drops = []
    outbox = Outbox(1, lambda: drops.append(1))
    for _ in range(3):
        outbox.put_audio(b"x")
    _everything(outbox)
    for _ in range(3):
        outbox.put_audio(b"x")
    assert drops == [1, 1]
    assert outbox.dropped == 4


def test_texts_are_bounded_too() -> None:
    outbox = Outbox(1, lambda: None)
    for n in range(1500):
        outbox.put_text(str(n))
    assert _everything(outbox) == [str(n) for n in range(500, 1500)]


async def test_the_reader_waits_until_there_is_something() -> None:
    outbox = Outbox(1, lambda: None)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put_text("a")
    await waiting
    await outbox.wait()
    assert outbox.take() == "a"
