"""Softphones for tests: started by name, stopped together, their logs shown by pytest when a test fails."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from engine.softphone import Account, Ring, Softphone, SoftphoneConfig
from engine.softphone.config import Behaviour
from tests.support.tools import require_pjsua2

__all__ = ["PhoneRack"]


class PhoneRack:
    """All phones of one test.

    async with PhoneRack() as rack:
        bob = await rack.phone("bob", Answer(sound=Tone(440)))
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> PhoneRack:
        require_pjsua2()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def phone(
        self,
        name: str,
        behaviour: Behaviour | None = None,
        *,
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        tcp: bool = False,
        requires_100rel: bool = False,
        session_expires_s: int = 0,
        account: Account | None = None,
        log: Path | None = None,
    ) -> Softphone:
        """Start one phone; it is stopped with the rack."""
        config = SoftphoneConfig(
            name=name,
            behaviour=Ring() if behaviour is None else behaviour,
            codecs=codecs,
            tcp=tcp,
            requires_100rel=requires_100rel,
            session_expires_s=session_expires_s,
            account=account,
            log_path="" if log is None else str(log),
        )
        return await self._stack.enter_async_context(await Softphone.start(config))

    async def phones(self, *names: str, behaviour: Behaviour | None = None) -> list[Softphone]:
        """Several phones with one behaviour, started at the same time."""
        return list(await asyncio.gather(*(self.phone(name, behaviour) for name in names)))
