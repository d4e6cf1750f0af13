"""Where the documentation is served: `/docs` for people, `/docs/openapi.json` for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, get
from litestar.enums import OpenAPIMediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.response import Redirect

from engine.api.openapi import complete
from engine.api.page import render_page

__all__ = ["docs_routes", "openapi_config"]

_ABOUT = (
    "Dial people over SIP. `/v1/dials` is the engine's own API; `/v1/Accounts` controls calls that run an "
    "application document. Every request needs `Authorization: Bearer KEY`."
)


def openapi_config(url: str, bodies: Sequence[type[msgspec.Struct]]) -> OpenAPIConfig:
    """`/docs` is the page, `/docs/openapi.json` the document. `bodies`: whose fields are explained."""
    return OpenAPIConfig(
        title="dial-engine",
        version="1",
        description=_ABOUT,
        path="/docs",
        servers=[Server(url=url or "/")],
        render_plugins=[DocsPage(bodies), DocsJson(bodies)],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "key": SecurityScheme(type="http", scheme="bearer", description="An API key of the account")
            }
        ),
        security=[{"key": []}],
    )


def docs_routes() -> Sequence[HTTPRouteHandler]:
    """What is not rendered by a plugin."""

    @get("/", include_in_schema=False, sync_to_thread=False)
    def index() -> Redirect:
        return Redirect("/docs")

    return [index]


class DocsJson(OpenAPIRenderPlugin):
    """The document for programs."""

    def __init__(self, bodies: Sequence[type[msgspec.Struct]]) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._bodies = bodies
        self._rendered = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """JSON."""
        if not self._rendered:
            complete(openapi_schema, self._bodies)
            self._rendered = msgspec.json.encode(openapi_schema)
        return self._rendered


class DocsPage(OpenAPIRenderPlugin):
    """Every operation with its parameters, body, answers and a curl line."""

    def __init__(self, bodies: Sequence[type[msgspec.Struct]]) -> None:
        super().__init__(path="/")
        self._bodies = bodies
        self._rendered = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The whole page."""
        if not self._rendered:
            complete(openapi_schema, self._bodies)
            self._rendered = render_page(openapi_schema).encode()
        return self._rendered
