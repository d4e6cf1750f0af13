"""What all verbs have in common."""

from __future__ import annotations

from typing import Any

from msgspec import field

from engine.application.schema.fields import Schema

__all__ = ["Verb"]


class Verb(Schema, frozen=True, kw_only=True, tag_field="verb"):
    """One step of a document. Subclasses are the verbs; their tag is the verb's name on the wire."""

    id: str = ""
    """Comes back as `verb_id` in the verb's hook (DV-02)."""
    note: Any = field(default=None, name="_")
    """Whatever the application wrote under `_`; carried, never read (DV-02)."""

    @classmethod
    def name(cls) -> str:
        """As in a document: `dial`, `sip:decline`."""
        return str(cls.__struct_config__.tag)
