"""For every test: properties judge results, never the speed of the machine they happen to run on."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient",
    settings(),  # hypothesis' own choice, which differs under CI
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")
