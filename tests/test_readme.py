"""What the README shows is true: its Python runs, its configuration is accepted, its links lead somewhere."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import aiohttp
import pytest

from engine.app import Engine, check_config
from engine.config import parse_config
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None, f"no {language} block in README.md"
    return found[1]


def test_the_python_example_runs_and_reports_two_refused_targets(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    text = block("python")
    for port in ("5070", "5080"):
        assert port in text
        text = text.replace(port, str(free_port()))
    text = text.replace("Engine()", "Engine(parse_config(\"[sip]\\nlisten = ['udp:127.0.0.1:0']\"))")
    script.write_text("from engine.config import parse_config\n" + text)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("failed 503 [503, 503]")


def test_the_example_configuration_is_accepted() -> None:
    config = parse_config(block("toml"))
    check_config(config)
    assert [len(route.targets) for route in config.route] == [0, 3]


async def test_the_first_document_and_the_curls_that_start_it_work(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    account = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
    assert hashlib.sha256(key.encode()).hexdigest() in block("toml")
    config = parse_config(
        f"""
        [sip]
        listen = ["udp:127.0.0.1:0"]
        [media]
        ports = ""
        [http]
        listen = "127.0.0.1:0"
        [store]
        url = "sqlite:///{tmp_path}/calls.sqlite"
        [[account]]
        sid = "{account}"
        name = "example"
        api_keys = ["{key}"]
        """
    )
    created = re.search(r"'\{(from: .*?), app_json: \$document\}'", README)
    native = re.search(
        r"curl --json '(\{\"targets.*?)'.*?\"http://127\.0\.0\.1:8080(/v1/dials\?wait=true)\"",
        README,
        re.DOTALL,
    )
    assert created is not None
    assert native is not None
    body = json.loads("{" + re.sub(r"(\w+): ", r'"\1": ', created[1]) + "}")
    nobody = f"sip:alice@127.0.0.1:{free_port()}"
    body["to"]["sipUri"] = nobody
    headers = {"Authorization": f"Bearer {key}"}
    async with Engine(config) as engine, aiohttp.ClientSession(engine.http_url, headers=headers) as client:
        url = f"/v1/Accounts/{account}/Calls"
        async with client.post(url, json={**body, "app_json": block("json")}) as response:
            assert response.status == 201, await response.text()
            assert set(await response.json()) == {"sid", "callId"}
        request = json.loads(native[1])
        request["targets"][0]["sip_uri"] = nobody
        async with client.post(native[2], json=request) as response:
            result = await response.json()
            assert (result["dial_status"], result["dial_sip_status"]) == ("failed", 503), result


@pytest.mark.parametrize("readme", sorted(ROOT.glob("*/README.md")) + sorted(ROOT.glob("engine/*/README.md")))
def test_every_file_named_in_the_table_of_a_package_exists(readme: Path) -> None:
    for row in re.findall(r"^\| (`[^|]*`) \|", readme.read_text(encoding="utf-8"), re.MULTILINE):
        for name in re.findall(r"`([\w/]+\.py)`", row):
            assert (readme.parent / name).exists() or (ROOT / name).exists(), f"{readme}: {name}"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = README.partition("## Dependencies")[2].lower()
    extras = project["optional-dependencies"]
    for requirement in [
        *project["dependencies"],
        *extras["softphone"],
        *extras["postgresql"],
        *extras["recognizer"],
    ]:
        name = re.split(r"[<>=;\[ ]", requirement)[0].lower()
        assert name in table, name
