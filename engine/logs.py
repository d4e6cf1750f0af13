"""Logging of the shells: one line per change of state, static text plus fields.

Cores do not log. Phone numbers, names and URIs are personal data: they travel only in the fields named in
`PERSONAL_FIELDS`, and those are masked unless the operator turns masking off.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

__all__ = ["PERSONAL_FIELDS", "configure_logging", "mask"]

PERSONAL_FIELDS = frozenset(
    {"caller", "callee", "from_", "to", "number", "uri", "user", "contact", "caller_id"}
)
"""Fields whose value says who somebody is."""

_VISIBLE_TAIL = 3
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def mask(value: object) -> str:
    """`+15551234567` becomes `*********567`; enough to find a call again, too little to know who it was."""
    text = str(value)
    return (
        "*" * max(0, len(text) - _VISIBLE_TAIL) + text[-_VISIBLE_TAIL:]
        if len(text) > _VISIBLE_TAIL
        else "***"
    )


def _mask_personal_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for field in PERSONAL_FIELDS.intersection(event):
        event[field] = mask(event[field])
    return event


def configure_logging(
    *, level: str = "info", json: bool = False, mask_personal: bool = True, is_final: bool = False
) -> None:
    """Send log lines to standard error; `level` is debug, info, warning or error.

    `is_final`: nobody will configure logging again in this process. Loggers then keep what they were told,
    and a line below the level costs next to nothing.
    """
    renderer: Callable[[WrappedLogger, str, EventDict], str | bytes]
    renderer = (
        structlog.processors.JSONRenderer()
        if json
        # Plain, because the other formatters print the local variables: numbers, names, passwords.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if mask_personal:
        processors.append(_mask_personal_fields)
    processors += [structlog.processors.format_exc_info, renderer] if json else [renderer]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=is_final,
    )
