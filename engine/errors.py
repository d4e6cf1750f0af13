"""Every exception the engine raises on purpose; outcomes of calls are values, not exceptions.

    EngineError
     ├── ConfigError      a configuration file or command line is wrong; names the key
     ├── Rejected         a request is refused; carries the SIP or HTTP status that says why
     └── Overloaded       admission is closed for now; carries when to try again

Protocol cores have their own below their own package (`engine.sip.ParseError`, `media.NegotiationFailed`).
"""

from __future__ import annotations

__all__ = ["ConfigError", "EngineError", "Overloaded", "Rejected"]


class EngineError(Exception):
    """Base of all errors a caller of the engine may want to catch."""


class ConfigError(EngineError):
    """A configuration value cannot be used.

    `key` is the path as written in the file (`trunk[0].hosts`), "" when the file as a whole is at fault.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem


class Rejected(EngineError):
    """A request cannot be carried out; `status` is the SIP or HTTP status that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Overloaded(EngineError):
    """Too much is in progress to begin something new; try again after `retry_after_s` seconds."""

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(f"{reason}; try again after {retry_after_s:g} s")
        self.reason = reason
        self.retry_after_s = retry_after_s
