"""WH-07: the signature, checked the way a receiver does."""

from __future__ import annotations

import hashlib
import hmac

from engine.hooks.signature import SIGNATURE_HEADER, sign


def test_wh07_the_signature_is_hmac_sha256_over_time_dot_body() -> None:
    expected = hmac.new(b"secret", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert sign(b'{"a":1}', ["secret"], 1700000000.9) == f"t=1700000000,v1={expected}"
    assert SIGNATURE_HEADER == "Jambonz-Signature"


def test_wh07_a_secret_being_replaced_signs_beside_the_new_one() -> None:
    value = sign(b"{}", ["old", "new"], 1.0)
    time, old, new = value.split(",")
    assert time == "t=1"
    assert old.removeprefix("v1=") == hmac.new(b"old", b"1.{}", hashlib.sha256).hexdigest()
    assert new.removeprefix("v1=") == hmac.new(b"new", b"1.{}", hashlib.sha256).hexdigest()
