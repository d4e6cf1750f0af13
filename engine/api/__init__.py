"""The HTTP APIs: native dials, the call-control API of the dial-verb family, health, documentation."""

from engine.api.server import HttpServer, serve_http
from engine.api.services import ApiServices, Unhealthy

__all__ = ["ApiServices", "HttpServer", "Unhealthy", "serve_http"]
