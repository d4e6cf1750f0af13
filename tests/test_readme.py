"""What the README shows is true: its Python runs, its configuration is accepted, its links lead somewhere."""

import ast
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from engine.api.accounts.bodies import DtmfBody, NewCall, SipRequestBody, UpdateCall
from engine.app import Engine, check_config
from engine.application.document import VERBS
from engine.application.schema import (
    Amd,
    AmdTimers,
    Auth,
    BackgroundListen,
    BackgroundTranscribe,
    BidirectionalAudio,
    DtmfCapture,
    Dub,
    From,
    PhoneTarget,
    Recognizer,
    SipTarget,
    Synthesizer,
    TeamsTarget,
    UserTarget,
    Verb,
)
from engine.application.schema.fields import HookObject
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
    native = re.search(
        r"curl --json '(\{\"targets.*?)'.*?\"http://127\.0\.0\.1:8080(/v1/dials\?wait=true)\"",
        README,
        re.DOTALL,
    )
    assert native is not None
    body = json.loads(block("json"))
    nobody = f"sip:alice@127.0.0.1:{free_port()}"
    body["to"]["sipUri"] = nobody
    headers = {"Authorization": f"Bearer {key}"}
    async with Engine(config) as engine, aiohttp.ClientSession(engine.http_url, headers=headers) as client:
        url = f"/v1/Accounts/{account}/Calls"
        async with client.post(url, json=body) as response:
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


def names(*structs: type[Struct], under: str = "") -> set[str]:
    """Names on the wire; `under`: of the object whose properties they are."""
    prefix = f"{under}." if under else ""
    return {prefix + name for struct in structs for name in struct.__struct_encode_fields__}


EVERY_VERB = names(Verb)
PARAMETERS = {
    "every verb": EVERY_VERB,
    "a hook": names(HookObject) | names(Auth, under="basicAuth"),
    **{name: names(verb) - EVERY_VERB for name, verb in VERBS.items()},
    "target": names(PhoneTarget, SipTarget, UserTarget, TeamsTarget) | {"type"},
    "amd": names(Amd) | names(AmdTimers, under="timers"),
    "synthesizer": names(Synthesizer),
    "recognizer": names(Recognizer),
    "POST …/Calls": names(NewCall),
    "PUT …/Calls/{call_sid}": names(UpdateCall),
}
PARAMETERS["dial"] |= names(DtmfCapture, under="dtmfCapture") | names(Dub, under="dub")
PARAMETERS["target"] |= names(Auth, under="auth") | names(From, under="from")
PARAMETERS["listen"] |= (
    names(BidirectionalAudio, under="bidirectionalAudio")
    | names(Auth, under="auth")
    | names(Auth, under="wsAuth")
)
PARAMETERS["config"] |= {
    f"{name}.{each}"
    for name, background in (("listen", BackgroundListen), ("transcribe", BackgroundTranscribe))
    for each in names(background) - names(VERBS[name])
}
PARAMETERS["PUT …/Calls/{call_sid}"] |= names(DtmfBody, under="dtmf") | names(
    SipRequestBody, under="sip_request"
)


def parameter_rows() -> dict[str, list[tuple[list[str], str]]]:
    """Of "Every parameter": summary of the block -> parameters and last cell of each row."""
    section = re.split(r"^## ", README.partition("## Every parameter\n")[2], flags=re.MULTILINE)[0]
    blocks = re.findall(r"<summary>(?:<code>)?(.*?)(?:</code>)?</summary>(.*?)</details>", section, re.DOTALL)
    return {
        summary: [
            (re.findall(r"`([^`]+)`", first), last)
            for first, last in re.findall(r"^\| (`[^|]*) \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
        ]
        for summary, text in blocks
    }


def test_every_parameter_has_its_block() -> None:
    assert set(parameter_rows()) == set(PARAMETERS)


@pytest.mark.parametrize("summary", PARAMETERS)
def test_every_parameter_has_one_row_and_no_row_names_another(summary: str) -> None:
    named = [name for row, _ in parameter_rows()[summary] for name in row]
    assert sorted(named) == sorted(PARAMETERS[summary])


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("page", ["README.md", "tests/README.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 100
    for file in {file for file, _ in named}:
        missing = {test for path, test in named if path == file} - functions(ROOT / "tests" / file)
        assert not missing, f"{page}: {file}"


def test_every_row_of_a_parameter_names_a_test_or_says_that_there_is_none() -> None:
    for summary, rows in parameter_rows().items():
        for row, shown_by in rows:
            tests = shown_by.split("<br>")
            assert tests == ["–"] or all(re.fullmatch(r"`[\w/]+\.py::test_\w+`", each) for each in tests), (
                summary,
                row,
            )


def test_every_requirement_in_the_name_of_a_test_has_its_row() -> None:
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ((?:DV|WH)-\d\d) \|", page, re.MULTILINE))
    named = {
        f"{found[0].upper()}-{found[1]}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for function in functions(file)
        for found in re.findall(r"_(dv|wh)(\d\d)(?=_)", function)
    }
    assert named <= rows
