"""A dial in progress over fakes, for the tests of its shell."""

from __future__ import annotations

import asyncio

from engine.dial.dial import Dial, Happening
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from tests.support.legs import FakeAudio, FakeLegs, FakeParent, FakeScreening
from tests.support.virtual_time import settle

__all__ = ["BOB", "CAROL", "DAVE", "Scene", "scene"]

BOB = Target.sip("sip:bob@example.com")
CAROL = Target.phone("+15550100123")
DAVE = Target.user("1001@example.com")


class Scene:
    """A dial in progress over fakes."""

    def __init__(
        self,
        *targets: Target,
        parent: FakeParent | None = None,
        is_deaf: bool = False,
        is_held: bool = False,
        screening: FakeScreening | None = None,
        timeout_s: float = 60.0,
        time_limit_s: float | None = None,
        answer_on_bridge: bool = False,
        dial_music: str = "",
        confirm_hook: str = "",
    ) -> None:
        self.legs = FakeLegs(is_deaf=is_deaf, is_held=is_held)
        self.parent = parent
        self.audio = FakeAudio()
        self.happenings: list[Happening] = []
        request = DialRequest(
            targets=targets,
            timeout_s=timeout_s,
            time_limit_s=time_limit_s,
            answer_on_bridge=answer_on_bridge,
            dial_music=dial_music,
            confirm_hook=confirm_hook,
        )
        self.dial = Dial(request, legs=self.legs, parent=parent, audio=self.audio, screening=screening)
        self.dial.observe(self.happenings.append)
        self.task = asyncio.create_task(self.dial.run())

    async def result(self) -> DialResult:
        return await self.task


async def scene(
    *targets: Target,
    parent: FakeParent | None = None,
    is_deaf: bool = False,
    is_held: bool = False,
    screening: FakeScreening | None = None,
    timeout_s: float = 60.0,
    time_limit_s: float | None = None,
    answer_on_bridge: bool = False,
    dial_music: str = "",
    confirm_hook: str = "",
) -> Scene:
    """Begin, and let every leg get its INVITE out."""
    made = Scene(
        *targets,
        parent=parent,
        is_deaf=is_deaf,
        is_held=is_held,
        screening=screening,
        timeout_s=timeout_s,
        time_limit_s=time_limit_s,
        answer_on_bridge=answer_on_bridge,
        dial_music=dial_music,
        confirm_hook=confirm_hook,
    )
    await settle()
    return made
