"""The ASGI application: Litestar behind a gate, one folder per contract."""

from __future__ import annotations

from litestar import Litestar
from litestar.types import ControllerRouterHandler, Receive, Scope, Send

from engine.api.accounts import bodies as calls
from engine.api.accounts.routes import account_routes
from engine.api.answer import Answer
from engine.api.dials import bodies as dials
from engine.api.dials.book import DialBook
from engine.api.dials.routes import dial_routes
from engine.api.docs import docs_routes, openapi_config
from engine.api.errors import Problem, handle_exception
from engine.api.gate import Gate
from engine.api.health import health_routes
from engine.api.keys import Keys
from engine.api.openapi import PUBLIC, FieldSchemas
from engine.api.services import ApiServices, DialEngine
from engine.api.visitors import Visitors
from engine.application.schema.dial import Amd, AmdTimers
from engine.application.schema.target import From, PhoneTarget, SipTarget, TeamsTarget, UserTarget

__all__ = ["ApiApp", "create_app"]

_BODIES = (
    *(dials.AmdOptions, dials.DialList, dials.DialView, dials.FromBody, dials.LegView, dials.NewDial),
    *(dials.ResultBody, dials.TargetBody, calls.Created, calls.DtmfBody, calls.NewCall, calls.SipRequestBody),
    *(calls.UpdateCall, Amd, AmdTimers, From, PhoneTarget, SipTarget, TeamsTarget, UserTarget, Problem),
)
"""Whose fields are explained in the documentation."""


class ApiApp:
    """An ASGI application that knows how to end."""

    def __init__(self, litestar: Litestar, gate: Gate, visitors: Visitors, book: DialBook) -> None:
        self.litestar = litestar
        self.gate = gate
        self.visitors = visitors
        self.book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.gate(scope, receive, send)

    def close(self) -> None:
        """Event streams and waiting requests are to finish now. Idempotent."""
        self.visitors.close()

    async def closed(self) -> None:
        """Wait for recordings that are being completed."""
        await self.book.closed()


def create_app(engine: DialEngine, services: ApiServices) -> ApiApp:
    """Call it in the event loop that will serve it. Raises ConfigError for an API key that cannot be used."""
    keys = Keys(services.accounts, services.http.requests_per_s)
    visitors = Visitors(services.limits.max_streams)
    book = DialBook(engine, services.limits, services.archive)
    gates: list[Gate] = []
    routes: list[ControllerRouterHandler] = [
        dial_routes(engine, services, book, visitors),
        health_routes(engine, services.calls, services.checks, gates),
        *docs_routes(),
    ]
    if services.calls is not None:
        routes.append(account_routes(engine, services.calls))
    litestar = Litestar(
        routes,
        openapi_config=openapi_config(services.http.url, _BODIES),
        exception_handlers={Exception: handle_exception},
        request_max_body_size=services.http.max_body_bytes,
        plugins=[FieldSchemas()],
        response_class=Answer,
        logging_config=None,
    )
    gate = Gate(litestar, keys, max_body_bytes=services.http.max_body_bytes, public=PUBLIC)
    gates.append(gate)
    return ApiApp(litestar, gate, visitors, book)
