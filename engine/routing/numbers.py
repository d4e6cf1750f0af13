"""Numbers as people and PBXs write them, made into what a trunk wants. Pure.

as typed               with country_code="1", international_prefix="011", national_prefix="1"
+1 (555) 010-0123      +15550100123
011 44 7700 900123     +447700900123
1 555 010 0123         +15550100123
1001                   1001            (too short to be anything but an extension)
"""

from __future__ import annotations

from msgspec import Struct

from engine.dial.request import DialRequest, InvalidRequest
from engine.dial.safety import is_e164, unsafe_in_user

__all__ = ["Numbering", "is_e164", "unsafe_in_user"]

_VISUAL_SEPARATORS = str.maketrans("", "", " -.()/\u00a0")
"""RFC 3966 §5.1.1, and what people type besides."""


class Numbering(Struct, frozen=True):
    """A deployment's numbering plan."""

    country_code: str = ""
    """Of national numbers, digits only; empty: national numbers stay as they are."""
    international_prefix: str = "00"
    national_prefix: str = "0"
    """The trunk prefix in front of national numbers; empty: they have none (Italy, Spain)."""
    shortest_national: int = 7
    """Digits after the prefix; anything shorter is an extension or a service code."""
    is_strict: bool = False
    """Refuse numbers that are not E.164 instead of warning (DV-12)."""

    def normalise(self, number: str) -> str:
        """E.164 where the plan says how, else the number without its visual separators."""
        bare = number.translate(_VISUAL_SEPARATORS)
        digits = bare[1:] if bare.startswith("+") else bare
        if not (digits.isascii() and digits.isdigit()):
            return bare
        if bare.startswith("+"):
            return bare
        international = self.international_prefix
        if international and bare.startswith(international) and is_e164("+" + bare[len(international) :]):
            return "+" + bare[len(international) :]
        if not self.country_code:
            return bare
        prefix = self.national_prefix
        if prefix and not bare.startswith(prefix):
            return bare
        national = bare[len(prefix) :]
        whole = f"+{self.country_code}{national}"
        return whole if len(national) >= self.shortest_national and is_e164(whole) else bare

    def check(self, request: DialRequest) -> None:
        """Raise InvalidRequest for a number that is not E.164, if the deployment is strict (DV-12)."""
        if not self.is_strict:
            return
        if request.caller_id and not is_e164(request.caller_id):
            raise InvalidRequest("caller_id", f"{request.caller_id!r} is not E.164")
        for index, target in enumerate(request.effective_targets):
            if target.is_number and not is_e164(target.address):
                raise InvalidRequest(f"targets[{index}].number", f"{target.address!r} is not E.164")
