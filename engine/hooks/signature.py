"""The signature of a hook (WH-07): proves to the application who sent it, and when."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

__all__ = ["SIGNATURE_HEADER", "sign"]

SIGNATURE_HEADER = "Jambonz-Signature"
"""The name receivers in the field look for."""


def sign(body: bytes, secrets: Sequence[str], at_utc: float) -> str:
    """Value of the header: HMAC-SHA256 over `<t>.<body>`, once per secret, so that a secret can be replaced.

    `body`: exactly the bytes that are sent; empty for GET.
    """
    stamp = str(int(at_utc))
    message = stamp.encode() + b"." + body
    return f"t={stamp}," + ",".join(
        "v1=" + hmac.digest(secret.encode(), message, "sha256").hex() for secret in secrets
    )
