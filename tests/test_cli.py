"""engine.cli: help, exit statuses and error messages, run as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", ["", "dial", "serve", "check-config", "demo"])
def test_help_shows_an_example(command: str) -> None:
    done = run(*filter(None, [command]), "--help")
    assert done.returncode == 0
    assert "example" in done.stdout
    assert "dial-engine" in done.stdout


def test_no_command_is_an_error() -> None:
    assert run().returncode == 2


def test_check_config_says_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text('[[trunk]]\nname = "A"\nuri = "sip:carrier.example.com"\n')
    done = run("check-config", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 trunks" in done.stdout


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[sip]\nlisen = []", "sip.lisen"),
        ("[media]\ncodecs = ['PCMU', 'MP3']", "media.codecs[1]"),
        ("[[trunk]]\nname = 'A'\nuri = 'http://example.com'", "trunk[0].uri"),
    ],
)
def test_check_config_names_the_wrong_key(tmp_path: Path, text: str, key: str) -> None:
    file = tmp_path / "engine.toml"
    file.write_text(text)
    done = run("check-config", str(file))
    assert done.returncode == 2
    assert f"{key}: " in done.stderr
    as_json = run("check-config", str(file), "--json")
    assert as_json.returncode == 2
    assert json.loads(as_json.stdout)["key"] == key


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sip:bob@127.0.0.1:9", "--header", "nonsense"), "--header"),
        (("sip:bob@127.0.0.1:9", "--header", "X-A: b\r\nVia: c"), "--header: X-A contains"),
        (("sip:bob@127.0.0.1:9", "--from", "a b"), "--from"),
        (("sip:bob@127.0.0.1:9", "--timeout", "0"), "--timeout: must be more than 0"),
        (("sip:bob@127.0.0.1:9", "--listen", "here"), "--listen"),
        (("sip:bob@127.0.0.1:9", "--codecs", "MP3"), "--codecs: no such codec"),
        (("sip:bob@127.0.0.1:9", "--play", "/nowhere/absent.wav"), "absent.wav"),
        (("sip:bob@127.0.0.1:9", "--user", "alice"), "--password"),
        (("sip:bob@127.0.0.1:9", "--record", "/nowhere/a.wav"), "--record: cannot write /nowhere/a.wav"),
        (("sip:bob@127.0.0.1:9", "--record", "/"), "--record: / is a folder"),
        (("sip:bob@127.0.0.1:9", "--proxy", "here"), "--proxy"),
        (("sip:bob@127.0.0.1:99999",), "TARGET: '99999' is not a port"),
        (("sip:", "--listen", "127.0.0.1"), "TARGET: has no host"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    done = run("dial", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_serve_refuses_a_config_file_that_is_not_there() -> None:
    done = run("serve", "--config", "/nowhere/engine.toml")
    assert done.returncode == 2
    assert "engine.toml" in done.stderr


def test_an_address_to_call_from_is_used_for_signalling_and_audio_also_beside_a_config_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "engine.toml"
    file.write_text("[media]\nlisten = '127.0.0.1'\nports = ''\n")
    done = run("dial", "sip:bob@127.0.0.1:9", "--config", str(file), "--listen", "127.0.0.2", "--trace")
    assert done.returncode == 1, done.stderr
    assert "c=IN IP4 127.0.0.2" in done.stderr
    assert "Via: SIP/2.0/UDP 127.0.0.2:" in done.stderr
