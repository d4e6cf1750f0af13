"""Which text may travel into a SIP message. Refusing here names the field; the builder refuses once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = [
    "RESERVED_HEADERS",
    "is_e164",
    "is_header_name",
    "merge_headers",
    "unsafe_in_user",
    "unsafe_in_value",
]

RESERVED_HEADERS = frozenset(
    [
        "via",
        "route",
        "record-route",
        "call-id",
        "cseq",
        "max-forwards",
        "contact",
        "content-length",
        "content-type",
        "from",
        "to",
        "authorization",
        "proxy-authorization",
        "v",
        "i",
        "m",
        "l",
        "c",
        "f",
        "t",
    ]
)
"""Lower case, with the compact forms: an application cannot set these (DV-21)."""

_BREAKS_USER = frozenset('<>"@:\\')
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


def unsafe_in_user(text: str) -> str | None:
    """The first character that could break a SIP URI's user part (DV-12), or None."""
    return next((c for c in text if c in _BREAKS_USER or c.isspace() or not c.isprintable()), None)


def unsafe_in_value(text: str) -> str | None:
    """The first character that could end or split a header, or None: control characters except TAB."""
    return next((c for c in text if (c < " " and c != "\t") or c == "\x7f"), None)


def is_header_name(text: str) -> bool:
    """A `token` of RFC 3261 §25.1."""
    return bool(text) and _TOKEN.issuperset(text)


def is_e164(text: str) -> bool:
    """`+` and 7 to 15 digits, the first of them not 0 (ITU-T E.164 §6)."""
    digits = text[1:]
    return (
        text[:1] == "+"
        and 7 <= len(digits) <= 15
        and digits.isascii()
        and digits.isdigit()
        and digits[0] != "0"
    )


def merge_headers(*layers: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Lowest precedence first (DV-21). A name in a later layer replaces all its values of earlier layers.

    Names are compared without case; a layer given as pairs may repeat a name. Reserved names are left out.
    """
    merged: dict[str, list[tuple[str, str]]] = {}
    for layer in layers:
        if not layer:
            continue
        pairs = layer.items() if isinstance(layer, Mapping) else layer
        fresh: dict[str, list[tuple[str, str]]] = {}
        for name, value in pairs:
            key = name.lower()
            if key not in RESERVED_HEADERS:
                fresh.setdefault(key, []).append((name, value))
        merged.update(fresh)
    return tuple(pair for pairs in merged.values() for pair in pairs)
