"""WH-02, WH-06: where a hook goes, and what of that may be shown."""

from __future__ import annotations

import pytest

from engine.hooks import Hook, HookFailed, resolve
from engine.hooks.hook import origin_of, without_secrets
from engine.hooks.request import destination_of, prepare


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("https://app.example.com/call", "dial", "https://app.example.com/dial"),
        ("https://app.example.com/ivr/call?x=1", "dial", "https://app.example.com/ivr/dial"),
        ("https://app.example.com/ivr/", "dial", "https://app.example.com/ivr/dial"),
        ("https://app.example.com", "dial", "https://app.example.com/dial"),
        ("https://app.example.com/ivr/call", "/dtmf", "https://app.example.com/dtmf"),
        ("https://app.example.com/ivr/call", "../up", "https://app.example.com/up"),
        ("https://app.example.com/call", "?step=2", "https://app.example.com/call?step=2"),
        ("https://app.example.com/call#rc=3", "dial", "https://app.example.com/dial"),
        ("https://app.example.com/call", "dial#rc=2&rp=5xx", "https://app.example.com/dial#rc=2&rp=5xx"),
        ("https://app.example.com/call", "http://other.example.com/x", "http://other.example.com/x"),
        ("https://app.example.com/call", "//other.example.com/x", "https://other.example.com/x"),
        ("https://alice:secret@app.example.com/call", "dial", "https://alice:secret@app.example.com/dial"),
    ],
)
def test_wh02_a_relative_url_is_seen_from_the_hook_that_delivered_the_document(
    base: str, url: str, expected: str
) -> None:
    assert resolve(base, url) == expected
    assert Hook(url).against(base).url == expected


def test_wh06_a_relative_hook_has_the_credentials_of_its_application() -> None:
    base = Hook("https://app.example.com/call", username="alice", password="secret")
    assert Hook("dial").against(base) == Hook("https://app.example.com/dial", "POST", "alice", "secret")
    own = Hook("dial", "GET", "bob", "word").against(base)
    assert own == Hook("https://app.example.com/dial", "GET", "bob", "word")


def test_wh06_credentials_do_not_go_to_another_host() -> None:
    base = Hook("https://app.example.com/call", username="alice", password="secret")
    for url in ("https://other.example.com/x", "//other.example.com/x"):
        assert Hook(url).against(base).username == ""


def test_no_secret_of_a_hook_is_ever_printed() -> None:
    hook = Hook("https://alice:secret@app.example.com:8443/x?token=abc#rc=1", username="u", password="word")
    for text in (repr(hook), without_secrets(hook.url), origin_of(hook.url)):
        for secret in ("secret", "alice", "word", "abc"):
            assert secret not in text
    assert without_secrets(hook.url) == "https://app.example.com:8443/x"
    assert origin_of(hook.url) == "https://app.example.com:8443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dial",
        "/dial",
        "ftp://app.example.com/",
        "http://",
        "http://[::1/",
        "http://app:99999/",
        "ws://a/",
    ],
)
def test_what_is_no_http_url_fails_as_a_request_that_cannot_be_made(url: str) -> None:
    with pytest.raises(HookFailed) as caught:
        prepare(Hook(url), {})
    assert caught.value.status is None


def test_a_host_outside_ascii_is_requested_by_its_idna_name() -> None:
    assert destination_of("https://bücher.example.com/x").origin == "https://xn--bcher-kva.example.com:443"
