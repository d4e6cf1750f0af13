"""engine.config: every wrong key is named."""

from pathlib import Path

import pytest

from engine.app import check_config
from engine.config import Config, ListenAddress, load_config, parse_config
from engine.errors import ConfigError

GOOD = """
[sip]
listen = ["udp:127.0.0.1:0", "tcp:[::1]:5070"]
t1_ms = 250

[media]
ports = "30000-30099"

[status]
603 = "failed"

[[source]]
name = "pbx"
addresses = ["192.0.2.0/24", "2001:db8::1"]

[[trunk]]
name = "CarrierA"
uri = "sip:carrier.example.com"
username = "alice"
password = "secret"

[[user]]
name = "1001@sip.example.com"
contacts = ["sip:1001@192.0.2.9:5062"]

[[route]]
number = "+1555*"
source = "pbx"
targets = [
  { type = "phone", number = "+15550100", trunk = "CarrierA" },
  { sip_uri = "sip:bob@example.com" },
  { type = "user", name = "1001@sip.example.com" },
]
"""


def test_a_complete_file_is_read_into_frozen_values() -> None:
    config = parse_config(GOOD)
    assert config.sip.listeners() == (ListenAddress("UDP", "127.0.0.1", 0), ListenAddress("TCP", "::1", 5070))
    assert config.media.port_range() == (30000, 30099)
    assert [t.type for t in config.route[0].targets] == ["phone", "sip", "user"]
    with pytest.raises(AttributeError):
        config.sip.t1_ms = 1  # type: ignore[misc]


def test_a_password_is_never_printed() -> None:
    config = parse_config(
        "[[trunk]]\nname = 'a'\nuri = 'sip:a'\nusername = 'alice'\npassword = 'secret'\n"
        "[[route]]\nnumber = '1'\ntargets = [{sip_uri = 'sip:bob@a', username = 'bob', password = 'secret'}]"
    )
    assert "secret" not in repr(config)
    assert "username='alice', password=***" in repr(config)


def test_an_empty_file_is_all_defaults() -> None:
    assert parse_config("") == Config()


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[sip]\nlisen = []", "sip.lisen", "did you mean 'listen'"),
        ("[spi]", "spi", "did you mean 'sip'"),
        ("[sip]\nt1_ms = 'x'", "sip.t1_ms", "Expected `int`, got `str`"),
        ("[sip]\nt1_ms = 0", "sip.t1_ms", "greater than 0"),
        ("[sip]\nlisten = []", "sip.listen", "at least one"),
        ("[sip]\nlisten = ['udp:127.0.0.1:1', 'tls:127.0.0.1:1']", "sip.listen[1]", "udp:, tcp:"),
        ("[sip]\nlisten = ['udp:localhost:1']", "sip.listen[0]", "not an IP address"),
        ("[sip]\nlisten = ['udp:127.0.0.1:70000']", "sip.listen[0]", "port"),
        ("[sip]\nadvertise = 'me'", "sip.advertise", "not an IP address"),
        ("[sip]\nsession_expires_s = 60", "sip.session_expires_s", "at least 90"),
        ("[media]\nports = '30000'", "media.ports", "FIRST-LAST"),
        ("[media]\nports = '30001-30000'", "media.ports", "FIRST < LAST"),
        ("[media]\nringback = 'fr'", "media.ringback", "us, eu, uk"),
        ("[logs]\nlevel = 'loud'", "logs.level", "debug"),
        ("[status]\n200 = 'busy'", "status.200", "300 to 699"),
        ("[status]\n603 = 'maybe'", "status.603", "no-answer"),
        ("[[source]]\nname = 'a'", "source[0].addresses", "is required"),
        ("[[source]]\nname = 'a'\naddresses = ['192.0.2.300']", "source[0].addresses[0]", "192.0.2.300"),
        (
            "[[trunk]]\nname = 'a'\nuri = 'sip:a'\n[[trunk]]\nname = 'a'\nuri = 'sip:b'",
            "trunk[1].name",
            "twice",
        ),
        ("[[route]]\nnumber = '1'\ntargets = []", "route[0].targets", "at least one"),
        ("[[route]]\nnumber = '1'\nsource = 'x'\ntargets = [{sip_uri='sip:a'}]", "route[0].source", "'x'"),
        (
            "[[route]]\nnumber = '1'\ntargets = [{type = 'fax'}]",
            "route[0].targets[0].type",
            "phone, sip, user",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{type = 'phone'}]",
            "route[0].targets[0].number",
            "is required",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{sipuri = 'sip:a'}]",
            "route[0].targets[0].sipuri",
            "'sip_uri'",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{type = 'phone', number = '1', trunk = 'T'}]",
            "route[0].targets[0].trunk",
            "'T'",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{sip_uri = 'sip:a', username = 'u'}]",
            "route[0].targets[0].username",
            "together",
        ),
        (
            "[[route]]\nnumber = '1'\ntimeout_s = 0\ntargets = [{sip_uri = 'sip:a'}]",
            "route[0].timeout_s",
            "0",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{type = 'user', name = 'bob@example.com'}]",
            "route[0].targets[0].name",
            "no [[user]]",
        ),
        ("[[source]]\nname = 'a'\naddresses = []", "source[0].addresses", "at least one"),
        ("[sip]\nlisten = ['udp:127.0.0.1:5060', 'udp:127.0.0.1:5060']", "sip.listen[1]", "twice"),
        ('[sip]\nuser_agent = "a\\nb"', "sip.user_agent", "control"),
        ("[sip]\ntimer_b_s = nan", "sip.timer_b_s", "greater than 0"),
        ("[limits]\ndrain_s = -1.0", "limits.drain_s", "0 or more"),
        ("[limits]\ndrain_s = nan", "limits.drain_s", "0 or more"),
        ("[media]\nsilence_timeout_s = -1.0", "media.silence_timeout_s", "0 or more"),
        ("[media]\nptime_ms = 7", "media.ptime_ms", "10, 20"),
        ("[media]\nptime_ms = 5000", "media.ptime_ms", "100"),
        ("sip = ", "", "not valid TOML"),
    ],
)
def test_a_wrong_key_is_named_with_the_reason(text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert caught.value.key == key
    assert words in caught.value.problem


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[[trunk]]\nname = 'a'\nuri = 'http://a'", "trunk[0].uri", "SIP URI"),
        ("[[trunk]]\nname = 'a'\nuri = 'sip:a'\nt1_ms = -1", "trunk[0].t1_ms", "greater than 0"),
        ("[[trunk]]\nname = 'a'\nuri = 'sip:a'\ntimer_b_s = nan", "trunk[0].timer_b_s", "greater than 0"),
        ("[[trunk]]\nname = 'a'\nuri = 'sip:a'\nusername = 'u'", "trunk[0].username", "together"),
        ("[[trunk]]\nname = 'a'\nuri = 'sip:a'\nfrom_domain = 'a b'", "trunk[0].from_domain", "host"),
        ("[[trunk]]\nname = 'a'\nuri = 'sip:a'\nheaders = {'X Y' = 'z'}", "trunk[0].headers", "X Y"),
        (
            "[[trunk]]\nname = 'a'\nuri = 'sip:a'\nheaders = {X = \"y\\nz\"}",
            "trunk[0].headers.X",
            "control",
        ),
        ("[[user]]\nname = 'bob@a'\ncontacts = ['bob']", "user[0].contacts[0]", "bob"),
        ("[[user]]\nname = '@a'", "user[0].name", "user@realm"),
        (
            "[[route]]\nnumber = '1'\ntargets = [{sip_uri = 'sip:bob@[::1'}]",
            "route[0].targets[0].sip_uri",
            "IPv6",
        ),
        (
            "[[route]]\nnumber = '1'\ntargets = [{sip_uri = 'sip:bob@a', proxy = 'b'}]",
            "route[0].targets[0].proxy",
            "sip:",
        ),
        (
            "[[route]]\nnumber = '1'\ncaller_id = 'a@b'\ntargets = [{sip_uri = 'sip:bob@a'}]",
            "route[0].caller_id",
            "'@'",
        ),
        (
            (
                "[numbers]\nstrict = true\n[[route]]\nnumber = '1'\ncaller_id = '100'\n"
                "targets = [{sip_uri = 'sip:bob@a'}]"
            ),
            "route[0].caller_id",
            "E.164",
        ),
    ],
)
def test_what_only_an_engine_can_tell_is_named_by_its_key_too(text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config(parse_config(text))
    assert caught.value.key == key
    assert words in caught.value.problem


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "latin1.toml").write_bytes(b"# \xe9")
    with pytest.raises(ConfigError, match=r"latin1\.toml"):
        load_config(tmp_path / "latin1.toml")


SERVER = """
[http]
listen = "127.0.0.1:0"
[store]
url = "postgresql://alice:p4ssword@db.example.com/calls"
[[account]]
sid = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
name = "example"
api_keys = ["0123456789abcdef"]
webhook_secrets = ["hush"]
[[application]]
sid = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
name = "front desk"
account = "example"
call_hook = { url = "https://app.example.com/call", username = "alice", password = "p4ssword" }
call_status_hook = "https://app.example.com/status"
[[route]]
number = "+1555*"
application = "front desk"
"""


def test_an_application_server_is_configured() -> None:
    config = parse_config(SERVER)
    assert config.http.address() == ("127.0.0.1", 0)
    assert config.serves_applications
    application = config.application_named(config.route[0].application)
    assert application is config.application_named("33b259c1-303d-486a-a8dd-5d5b1a0c7c55")
    assert application is not None
    account = config.account_named(application.account)
    assert account is not None
    assert account.active
    for secret in ("p4ssword", "hush", "0123456789abcdef"):
        assert secret not in repr(config)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:0", "localhost:0", "http.listen"),
        ("127.0.0.1:0", "127.0.0.1:none", "http.listen"),
        ('"0123456789abcdef"', '"short"', "account[0].api_keys[0]"),
        ("de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11", "de190aaa", "account[0].sid"),
        ("33b259c1-303d-486a-a8dd-5d5b1a0c7c55", "33b259c1", "application[0].sid"),
        ('account = "example"', 'account = "nobody"', "application[0].account"),
        ("https://app.example.com/call", "ftp://app.example.com/call", "application[0].call_hook"),
        ('username = "alice",', 'method = "PUT",', "application[0].call_hook.method"),
        ("https://app.example.com/status", "app.example.com", "application[0].call_status_hook"),
        ('application = "front desk"', 'application = "back door"', "route[0].application"),
        ("postgresql://", "mysql://", "store.url"),
        ("[store]", "[hooks]\ntimeout_s = 0\n[store]", "hooks.timeout_s"),
        ("[store]", "[sounds]\nmax_bytes = 0\n[store]", "sounds.max_bytes"),
        ("[store]", "[sounds]\nfolder = '/nowhere'\n[store]", "sounds.folder"),
        ("[store]", "[recordings]\nfolder = '/nowhere'\n[store]", "recordings.folder"),
        ("[store]", "[store]\nkeep_days = -1", "store.keep_days"),
        ("[store]", "[response]\n603 = 200\n[store]", "response.603"),
        ("[store]", "[response]\n200 = 486\n[store]", "response.200"),
        (
            "[store]",
            "[[speech_vendor]]\nname = 'v'\nurl = 'http://v.example.com'\n[store]",
            "speech_vendor[0].url",
        ),
    ],
)
def test_a_wrong_key_of_the_application_server_is_named(old: str, new: str, key: str) -> None:
    assert old in SERVER
    with pytest.raises(ConfigError) as caught:
        check_config(parse_config(SERVER.replace(old, new)))
    assert caught.value.key == key


def test_http_needs_an_account_and_a_route_needs_one_thing_to_do() -> None:
    with pytest.raises(ConfigError, match=r"http\.listen"):
        parse_config('[http]\nlisten = "127.0.0.1:8080"')
    with pytest.raises(ConfigError, match="targets or an application"):
        parse_config(
            SERVER.replace(
                'application = "front desk"', 'application = "front desk"\ntargets = [{sip_uri="sip:a@b"}]'
            )
        )
