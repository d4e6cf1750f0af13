"""The real engine whose inbound calls run the application of a test.

    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "dial", ...}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        ended = await app.told("/status", call_status="busy")

The application `lab` gets every call from loopback: call hook `/call`, call status hook `/status` (scripted
to answer nothing unless the test scripts it), everything else where the document says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from engine import Engine
from engine.config import (
    AccountConfig,
    ApplicationConfig,
    Config,
    HookConfig,
    HooksConfig,
    HttpConfig,
    RouteConfig,
    SoundsConfig,
    StoreConfig,
)
from tests.support.application import WebApplication
from tests.support.running_engine import lab_config, running

__all__ = ["ACCOUNT_SID", "APPLICATION_SID", "KEY", "application_config", "application_engine"]

ACCOUNT_SID = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
APPLICATION_SID = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
KEY = "lab-key"
"""Bearer token of the account."""


def application_config(
    folder: Path,
    *,
    call_hook: str | HookConfig,
    status_hook: str | HookConfig = "",
    document: str = "",
    secrets: Sequence[str] = (),
    realm: str = "",
    hook_timeout_s: float = 10.0,
    api: bool = False,
    base: Config | None = None,
) -> Config:
    """`base` (default: `lab_config()`) with an account, the application `lab`, and a route to it."""
    account = AccountConfig(
        sid=ACCOUNT_SID, name="lab", api_keys=(KEY,), webhook_secrets=tuple(secrets), sip_realm=realm
    )
    application = ApplicationConfig(
        sid=APPLICATION_SID,
        name="lab",
        account="lab",
        call_hook=call_hook,
        call_status_hook=status_hook,
        document=document,
    )
    return msgspec.structs.replace(
        base or lab_config(),
        account=(account,),
        application=(application,),
        route=(RouteConfig(number="*", application="lab"),),
        store=StoreConfig(url=f"sqlite:///{folder / 'store.sqlite'}"),
        sounds=SoundsConfig(folder=str(folder)),
        hooks=HooksConfig(timeout_s=hook_timeout_s),
        http=HttpConfig(listen="127.0.0.1:0" if api else ""),
    )


@asynccontextmanager
async def application_engine(app: WebApplication, **options: Any) -> AsyncIterator[Engine]:
    """An engine that asks `app`; in the end nothing of a call may be left. Options: see the config."""
    if not app.is_scripted("/status"):
        app.on("/status")
    options.setdefault("call_hook", "" if options.get("document") else app.url("/call"))
    options.setdefault("status_hook", app.url("/status"))
    with TemporaryDirectory(prefix="dial-engine-lab-") as folder:
        async with running(application_config(Path(folder), **options)) as engine:
            yield engine
