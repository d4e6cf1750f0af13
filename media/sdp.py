"""Session descriptions (RFC 8866)."""

from enum import StrEnum

__all__ = ["Direction"]


class Direction(StrEnum):
    """Which way media flows, from the point of view of the side that wrote it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def reversed(self) -> "Direction":
        """The same flow seen from the other side."""
        return _DIRECTIONS[self.receives, self.sends]

    def __and__(self, other: "Direction") -> "Direction":
        """What is left when both have to agree; both from the same point of view."""
        return _DIRECTIONS[self.sends and other.sends, self.receives and other.receives]


_DIRECTIONS = {(each.sends, each.receives): each for each in Direction}
