"""What sounds and speech cost: CPU of the engine's process, threads included, that of the voice's apart.

    python -m tests.bench.bench_sounds [--streams 50] [--seconds 5]

Playing: PCMU to sockets that nobody reads, sounds already decoded at the rate of the call. Speaking: a
sentence of four seconds, each time another one.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from engine.logs import configure_logging
from engine.sounds import Playlist, SoundLibrary, play_through
from engine.speech import CachedSynthesiser, EspeakSynthesiser, Utterance
from media import MediaConfig, MediaPlane
from media.player import PcmPlayer
from tests.bench.rtp_phones import offer, phone_socket
from tests.sounds.server import mp3_bytes, tone, wav_bytes

_SAID = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--streams", type=int, default=50)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    configure_logging(level="warning")
    for what, is_list in {"playing, a player in a loop": False, "playing, a playlist for ever": True}.items():
        share = asyncio.run(_playing(options.streams, options.seconds, is_list=is_list))
        print(f"{what:44} {share * 100:8.3f} % core/stream")
    for what, value, unit in [*asyncio.run(_files()), *asyncio.run(_speaking())]:
        print(f"{what:44} {value:8.3f} {unit}")


async def _playing(streams: int, seconds: float, *, is_list: bool) -> float:
    plane = MediaPlane(MediaConfig(rtcp=False))
    phones = [phone_socket() for _ in range(streams)]
    pcm, tasks = tone(440, 1.0), []
    for phone in phones:
        stream = plane.stream()
        stream.receive_offer(offer(phone.getsockname()[1]))
        if is_list:
            tasks.append(asyncio.create_task(play_through(stream, Playlist(8000, [pcm], times=math.inf))))
        else:
            stream.play(PcmPlayer(pcm, 8000, loop=True))
    await asyncio.sleep(0.5)
    began = time.process_time()
    await asyncio.sleep(seconds)
    used = (time.process_time() - began) / seconds / streams
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await plane.close()
    for phone in phones:
        phone.close()
    return used


async def _files() -> list[tuple[str, float, str]]:
    figures = []
    async with aiohttp.ClientSession() as session:
        with TemporaryDirectory() as folder:
            sound = tone(440, 60.0, 44100)
            (Path(folder) / "a.wav").write_bytes(wav_bytes(sound, 44100))
            (Path(folder) / "a.mp3").write_bytes(mp3_bytes(sound, 44100))
            for name in ("a.wav", "a.mp3"):
                library = SoundLibrary(session, folder=Path(folder))
                began = time.process_time()
                await library.get(name)
                figures.append((f"a minute of {name[2:]}, 44.1 kHz, decoded", _ms_since(began), "ms"))
                began = time.process_time()
                for _ in range(1000):
                    await library.get(name)
                figures.append((f"the same file again ({name[2:]})", _ms_since(began), "µs"))
                await library.close()
    return figures


async def _speaking() -> list[tuple[str, float, str]]:
    espeak = EspeakSynthesiser()
    voice = CachedSynthesiser(espeak)
    began_at = time.monotonic()
    await voice.voices()
    figures = [("the voice's process started", (time.monotonic() - began_at) * 1000, "ms, by the clock")]
    began, began_at = time.process_time(), time.monotonic()
    for number in range(_SAID):
        await voice.say(Utterance(f"You have {number} new messages, press one to listen to them."))
    figures.append(("a new sentence", _ms_since(began) / _SAID, "ms in the engine's process"))
    figures.append(("a new sentence", (time.monotonic() - began_at) * 1000 / _SAID, "ms, by the clock"))
    began = time.process_time()
    for _ in range(1000):
        await voice.say(Utterance("You have 1 new messages, press one to listen to them."))
    figures.append(("a sentence said before", _ms_since(began), "µs"))
    await voice.close()
    return figures


def _ms_since(began: float) -> float:
    """Of CPU."""
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()
