""".ci/setup: picks a Python that has the pjsua2 wheel, or says clearly which one it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Just what .ci/setup looks at."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "setup", tmp_path / ".ci" / "setup")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def _setup(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(checkout / ".ci" / "setup"), "demo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def _fake_python(folder: Path, version: str) -> Path:
    """An interpreter that says it is `version` and refuses everything else."""
    script = folder / "python-fake"
    major, minor = version.split(".")
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = ({major}, {minor}, 0); '
        'exec(sys.argv[1])" "$2"\n'
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_an_interpreter_without_the_wheel_is_refused_with_what_is_needed(
    checkout: Path, version: str
) -> None:
    done = _setup(checkout, PYTHON=str(_fake_python(checkout, version)))
    assert done.returncode == 1
    assert "CPython 3.11 or 3.12 on x86-64" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (checkout / ".venv").exists()


def test_another_architecture_is_told_that_the_engine_itself_runs_there(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    (tools / "uname").write_text("#!/bin/sh\necho aarch64\n")
    (tools / "uname").chmod(0o755)
    done = _setup(checkout, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "aarch64" in done.stderr
    assert "pip install ." in done.stderr


def test_what_is_installed_already_is_not_installed_again(checkout: Path) -> None:
    stamp = subprocess.run(
        "cksum < pyproject.toml | cut -d' ' -f1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=checkout,
        check=True,
    ).stdout.strip()
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / f".installed-demo-{stamp}").touch()
    done = _setup(checkout, PYTHON="/nowhere/python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
