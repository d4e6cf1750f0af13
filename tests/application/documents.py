"""What the tests of documents share: a dial to change one property of, and how a refusal is looked at."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import pytest

from engine.application.document import DialVerb, DocumentError, Verb, parse_document

__all__ = ["PHONE", "SIP", "USER", "dial", "one", "refused", "target"]

V = TypeVar("V", bound=Verb)

PHONE = {"type": "phone", "number": "+15550100"}
SIP = {"type": "sip", "sipUri": "sip:bob@example.com"}
USER = {"type": "user", "name": "carol@example.com"}


def one(kind: type[V], raw: dict[str, Any]) -> V:
    """The only verb of a document."""
    (verb,) = parse_document([raw])
    assert isinstance(verb, kind)
    return verb


def dial(**properties: Any) -> DialVerb:
    """A dial with these properties, to one phone unless `target` says otherwise."""
    return one(DialVerb, {"verb": "dial", "target": [PHONE], **properties})


def target(**properties: Any) -> Any:
    """The only target of a dial."""
    (decoded,) = dial(target=[properties]).target
    return decoded


def refused(*document: object) -> tuple[str, str]:
    """Path and problem of the refusal."""
    with pytest.raises(DocumentError) as refusal:
        parse_document(cast("list[object]", list(document)))
    return refusal.value.path, refusal.value.problem
