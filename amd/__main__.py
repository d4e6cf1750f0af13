"""`python -m amd FILE…`: what the detectors hear in recordings of answered calls.

Exit codes: 0 all files were heard; 1 some could not be read; 2 wrong usage, or an extra is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from amd.events import AmdEvent, Beep, Decision, GreetingEnded, Tone, Verdict
from amd.files import UnreadableAudioError, read_audio
from amd.hearing import Hearing, hear
from amd.params import SAMPLE_RATE_HZ
from amd.plot import draw, speech_of

__all__ = ["main"]

_EPILOG: Final = """example:
  python -m amd greeting.wav                  the timeline of one recording
  python -m amd --json calls/*.wav > out.jsonl
  python -m amd greeting.mp3 --plot out.png   the picture of it (needs the extra `plot`)

The audio is the callee's, from the moment of the answer: any file libav reads, or raw µ-law (.ul, .ulaw),
A-law (.al, .alaw) and GSM (.gsm) at 8 kHz.
exit codes: 0 all files were heard, 1 some could not be read, 2 wrong usage or a missing extra"""

_STYLES: Final = {
    Verdict.HUMAN: "bold green",
    Verdict.MACHINE: "bold red",
    Verdict.SILENCE: "bold",
    Verdict.UNDECIDED: "bold yellow",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m amd",
        description="Who answered? Human, machine, silence, tones and record beeps in recordings of calls.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true", help="one JSON object per file on standard output")
    parser.add_argument("--plot", metavar="OUT.png", type=Path, help="a picture; with several files a folder")
    arguments = parser.parse_args(argv)
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    if arguments.plot is not None and not _can_plot():
        err.print("--plot needs matplotlib: pip install 'dial-engine[plot]'")
        return 2
    unread = 0
    several = len(arguments.files) > 1
    with _progress(err) as progress:
        task = progress.add_task("listening", total=len(arguments.files), visible=several)
        for file in arguments.files:
            try:
                pcm = read_audio(file)
            except UnreadableAudioError as error:
                unread += 1
                err.print(f"cannot read {error}", markup=False, soft_wrap=True)
                progress.advance(task)
                continue
            hearing = hear(pcm)
            if arguments.json:
                sys.stdout.write(json.dumps(hearing.summary(str(file)), ensure_ascii=False) + "\n")
            else:
                _show(out, file, hearing, speech_of(pcm))
            if arguments.plot is not None:
                draw(pcm, hearing, _picture(arguments.plot, file, several=several), title=file.name)
            progress.advance(task)
    return 1 if unread else 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _picture(target: Path, file: Path, *, several: bool) -> Path:
    if not several:
        return target
    target.mkdir(parents=True, exist_ok=True)
    return target / (file.stem + ".png")


def _can_plot() -> bool:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def _show(out: Console, file: Path, hearing: Hearing, speech: list[tuple[float, float]]) -> None:
    """The timeline of one recording, in order of time."""
    out.print(Text(f"{file}  {hearing.duration_s:.2f} s", style="bold"), soft_wrap=True)
    lines = [(start, f"{start:7.2f}–{end:5.2f} s  speech", "") for start, end in speech]
    lines += [
        (end, f"{end:7.2f}–{after:5.2f} s  pause of {after - end:.2f} s", "dim")
        for (_, end), (after, _) in pairwise(speech)
    ]
    lines += [(at, f"{at:7.2f} s        {words}", style) for at, words, style in map(_words, hearing.events)]
    for _, words, style in sorted(lines, key=lambda line: line[0]):
        out.print(Text("  " + words, style=style), soft_wrap=True)
    out.print(Text(f"  → {hearing.label}", style="bold"))


def _words(event: AmdEvent) -> tuple[float, str, str]:
    at = event.sample / SAMPLE_RATE_HZ
    match event:
        case Decision():
            revised = ", revised" if event.revised else ""
            words = f"{event.verdict.value}{revised} ({event.confidence:.0%}): {event.reason}"
            return at, words, _STYLES[event.verdict]
        case Beep():
            lines = "+".join(f"{f:.0f}" for f in event.frequencies_hz[:3])
            start, end = event.start_sample / SAMPLE_RATE_HZ, event.end_sample / SAMPLE_RATE_HZ
            words = (
                f"beep, {event.shape.value}, {lines} Hz, {event.level_dbov:.0f} dBov, {start:.2f}–{end:.2f} s"
            )
            return at, words, "bold cyan"
        case Tone():
            return at, f"{event.name.value}: {event.meaning}", "magenta"
        case GreetingEnded():
            return at, "the machine stopped speaking", ""


if __name__ == "__main__":
    raise SystemExit(main())
