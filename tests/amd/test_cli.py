"""`python -m amd`, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from amd.__main__ import main
from tests.amd.sounds import RATE, Pcm, joined, silence, tone, voice

GREETING = joined(silence(0.5), voice(4.0), silence(0.4), tone(1000, 0.3), silence(1.5))


def write(path: Path, sound: Pcm) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    return path


@pytest.fixture
def greeting(tmp_path: Path) -> Path:
    return write(tmp_path / "greeting.wav", GREETING)


def test_the_timeline_shows_speech_pauses_verdict_beep_and_why(
    greeting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(greeting)]) == 0
    shown = capsys.readouterr().out
    for words in (
        "speech",
        "machine",
        "without a pause",
        "beep, single, 1000 Hz",
        "stopped speaking",
        "→ machine",
    ):
        assert words in shown
    times = [float(line.split()[0].rstrip("–").split("–")[0]) for line in shown.splitlines()[1:-1]]
    assert times == sorted(times)


def test_json_prints_one_object_per_file_with_the_fields_that_are_scored(
    greeting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = write(tmp_path / "quiet.wav", silence(6.0))
    assert main(["--json", str(greeting), str(quiet)]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert set(first) == {"file", "label", "decision_ms", "beep_ms", "confidence", "reason"}
    assert (first["label"], second["label"]) == ("machine", "silence")
    assert first["beep_ms"] == pytest.approx(5200 + 40, abs=25)
    assert second["decision_ms"] == 5000
    assert second["beep_ms"] is None


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_heard(
    greeting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"not audio at all")
    assert main(["--json", str(noise), str(tmp_path / "missing.wav"), str(greeting)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "noise.wav" in captured.err
    assert "missing.wav" in captured.err


def test_the_picture_is_a_png_and_of_several_files_a_folder_of_them(greeting: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.png"
    assert main([str(greeting), "--plot", str(one)]) == 0
    assert one.read_bytes().startswith(b"\x89PNG")
    other = write(tmp_path / "other.wav", silence(1.0))
    folder = tmp_path / "pictures"
    assert main([str(greeting), str(other), "--plot", str(folder)]) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["greeting.png", "other.png"]


def test_help_has_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert "exit codes:" in shown


def test_no_file_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_it_runs_as_a_module(greeting: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "amd", "--json", str(greeting)], capture_output=True, check=True
    )
    assert json.loads(run.stdout)["label"] == "machine"
