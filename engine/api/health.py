"""`/healthz`: the process answers. `/readyz`: it may be given new work. `/metrics`: a few counts as text."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from engine.api.accounts.port import CallControl
from engine.api.answer import Answer
from engine.api.gate import Gate
from engine.api.services import Check, DialEngine, Unhealthy

__all__ = ["Readiness", "health_routes"]


class Readiness(Struct, frozen=True):
    """Why, or why not."""

    ready: bool
    checks: dict[str, str]
    """`ok`, or what is wrong, by part."""


def health_routes(
    engine: DialEngine, calls: CallControl | None, checks: Mapping[str, Check], gate: list[Gate]
) -> Router:
    """`gate`: filled when the gate has been built around these routes."""

    @get(
        "/healthz",
        media_type="text/plain",
        sync_to_thread=False,
        tags=["Health"],
        summary="Whether the process is alive",
    )
    def healthz() -> str:
        """It is, and its event loop turns."""
        return "ok\n"

    @get(
        "/readyz",
        sync_to_thread=False,
        tags=["Health"],
        summary="Whether new calls are welcome",
        responses={
            503: ResponseSpec(Readiness, description="They are not, and why", generate_examples=False)
        },
    )
    def readyz() -> Answer[Readiness]:
        found = {"dials": _refused(engine.dials.refusal)}
        if calls is not None:
            found["calls"] = _refused(calls.refusal)
        found |= {name: check() for name, check in checks.items()}
        readiness = Readiness(
            ready=all(each is None for each in found.values()),
            checks={name: "ok" if each is None else each.reason for name, each in found.items()},
        )
        return Answer(readiness, status_code=200 if readiness.ready else 503)

    @get(
        "/metrics",
        media_type="text/plain; version=0.0.4",
        sync_to_thread=False,
        tags=["Health"],
        summary="Counts",
    )
    def metrics() -> str:
        """In the text format of Prometheus."""
        lines = ["# TYPE dial_engine_dials gauge"]
        lines += [
            f'dial_engine_dials{{state="{state}"}} {count}' for state, count in engine.dials.counts().items()
        ]
        lines.append("# TYPE dial_engine_dials_finished_total counter")
        lines += [
            f'dial_engine_dials_finished_total{{status="{status}"}} {count}'
            for status, count in sorted(engine.dials.finished.items())
        ]
        lines.append("# TYPE dial_engine_http_responses_total counter")
        for each in gate:
            lines += [
                f'dial_engine_http_responses_total{{status="{status}"}} {count}'
                for status, count in sorted(each.answered.items())
            ]
        return "\n".join(lines) + "\n"

    return Router("/", route_handlers=[healthz, readyz, metrics])


def _refused(reason: str) -> Unhealthy | None:
    return Unhealthy(reason) if reason else None
