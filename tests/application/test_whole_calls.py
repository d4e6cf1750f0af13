"""Whole calls as a property: real SIP endpoints over a bad network in virtual time, an application that
answers slowly or wrongly, live control at any moment, callees that become calls of their own.

When everything is over nobody is in a call, no table has an entry, every leg that was told about has exactly
one terminal status, and every dial one actionHook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from engine.application.applications import Application, Applications
from engine.application.call import Call
from engine.application.calls import Calls
from engine.application.orders import CallOrder, CallUpdate, NoSuchCall, WrongCallState
from engine.application.services import ApplicationServices
from engine.config import AccountConfig
from engine.dial.bridge import Joint, MediaAudio
from engine.dial.leg import LegMedia
from engine.dial.manager import DialManager
from engine.dial.request import Target
from engine.hooks import Alerts, Hook, HookFailed, HookKind, HookReply
from engine.ids import CallSid, new_call_sid
from engine.legs.factory import SipLegFactory
from engine.legs.inbound_leg import InboundLeg
from engine.legs.services import LegServices
from engine.routing.branches import Router
from engine.routing.directory import Directory
from engine.routing.trunks import Trunks
from engine.sip.events import IncomingCall
from media import AudioCapabilities, Bridge, MediaConfig, MediaPlane, MediaStream
from tests.support.virtual_time import run_in_virtual_time
from tests.support.wire_endpoint import LoopWire, lossy
from tests.support.wire_phones import CalleePhone, CalleeScript, CallerPhone, CallerScript

OURS, CALLER = "192.0.2.1", "192.0.2.2"
URL = "http://app.example.com"
ACME = AccountConfig(sid="acme", name="acme")
FINAL = {"completed", "failed", "busy", "no-answer"}
GOOD_AFTER_S = 20.0
OVER_S = 400.0


def _dial(*callees: int, **more: object) -> dict[str, object]:
    targets = [{"type": "sip", "sipUri": f"sip:bob@192.0.2.{10 + who}"} for who in callees]
    return {"verb": "dial", "target": targets, "timeout": 8, **more}


VERB = st.sampled_from(
    [
        _dial(0),
        _dial(1, answerOnBridge=True),
        _dial(0, 1, 2),
        _dial(0, 1, answerOnBridge=True),
        _dial(1, 2, confirmHook="/confirm"),
        _dial(2, confirmHook="/confirm", answerOnBridge=True, timeLimit=3),
        {"verb": "answer"},
        {"verb": "pause", "length": 1},
        {"verb": "redirect", "actionHook": "/more"},
        {"verb": "hangup"},
        {"verb": "sip:decline", "status": 486},
    ]
)
DOCUMENT = st.lists(VERB, max_size=2)
ANSWER = st.tuples(st.sampled_from([0.0, 0.01, 0.5, 3.0]), st.one_of(st.none(), DOCUMENT, st.just("fail")))
CALLEE = st.builds(
    CalleeScript,
    rings_s=st.none() | st.just(0.1),
    early_media_s=st.none() | st.just(0.2),
    answers_s=st.none() | st.sampled_from([0.3, 1.0, 2.0, 7.99]),
    refuses_s=st.none() | st.sampled_from([0.3, 1.5]),
    code=st.sampled_from([404, 486, 603]),
    hangs_up_s=st.none() | st.sampled_from([1.1, 2.5, 6.0]),
)
CONTROL = st.tuples(
    st.sampled_from([0.05, 0.35, 1.05, 2.0, 4.0]),
    st.sampled_from(["completed", "no-answer", "redirect", "part", "part only"]),
)


class Story(Struct, frozen=True, kw_only=True):
    is_created: bool
    """Over REST; otherwise the caller calls."""
    callees: tuple[CalleeScript, ...]
    caller: CallerScript
    first: list[dict[str, object]]
    answers: list[tuple[float, object]]
    """Of all later hooks, in the order in which they are asked; then none has instructions."""
    controls: list[tuple[float, str]]
    loss: float
    seed: int


class _Hooks:
    """`CallHooks` of one call, answered by the story."""

    def __init__(self, stage: _Stage) -> None:
        self.base: Hook | str = ""
        self._stage = stage
        self.promised: set[tuple[HookKind, str]] = set()

    def notify(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind = HookKind.CALL_STATUS
    ) -> None:
        self._stage.told.append((kind, payload))

    async def ask(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind = HookKind.VERB_HOOK
    ) -> HookReply:
        self._stage.told.append((kind, payload))
        delay_s, answer = self._stage.next_answer(hook)
        await asyncio.sleep(delay_s)
        if answer == "fail":
            raise HookFailed("500", 500)
        return HookReply(200, answer)  # type: ignore[arg-type]

    def promise(self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = "") -> None:
        self.promised.add((kind, subject))

    def deliver(self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = "") -> None:
        self.promised.discard((kind, subject))
        self._stage.told.append((kind, payload))

    async def ask_durably(
        self, hook: Hook, payload: Mapping[str, object], kind: HookKind, subject: str = ""
    ) -> HookReply:
        self.promised.discard((kind, subject))
        return await self.ask(hook, payload, kind)

    def withdraw(self, kind: HookKind, subject: str = "") -> None:
        self.promised.discard((kind, subject))

    async def close(self) -> None:
        """All is sent at once here."""


class _Quiet:
    def close(self) -> None: ...


def _ringback(end: LegMedia) -> Joint:
    return _Quiet()


def _music(end: LegMedia, url: str, failed: Callable[[str], None]) -> Joint:
    raise AssertionError("no story has music")


def _bridge(caller: LegMedia, callee: LegMedia) -> Bridge:
    assert isinstance(caller, MediaStream)
    assert isinstance(callee, MediaStream)
    return Bridge(caller, callee)


class _Stage:
    calls: Calls

    def __init__(self, story: Story) -> None:
        self.story = story
        self.told: list[tuple[HookKind, Mapping[str, Any]]] = []
        self.hooks: list[_Hooks] = []
        self.sids: list[str] = []
        self._answers = list(story.answers)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def next_answer(self, hook: Hook) -> tuple[float, object]:
        if hook.url.endswith("/call"):
            return 0.02, self.story.first
        return self._answers.pop(0) if self._answers else (0.02, None)

    def make_hooks(self, call_sid: str, *, account_sid: str = "", base: Hook | str = "") -> _Hooks:
        self.sids.append(call_sid)
        self.hooks.append(_Hooks(self))
        return self.hooks[-1]

    async def run(self) -> None:
        story = self.story
        fate = lossy(story.seed, loss=story.loss, doubled=story.loss, jitter_s=0.02, until_s=GOOD_AFTER_S)
        wire = LoopWire(fate)
        mishaps: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: mishaps.append(context))
        phones = [
            await CalleePhone.at(wire, f"192.0.2.{10 + who}", 40000 + 4 * who, script)
            for who, script in enumerate(story.callees)
        ]
        caller = await CallerPhone.at(wire, CALLER, 41000)
        application = Application(
            account_sid="acme", call_hook=Hook(f"{URL}/call"), call_status_hook=Hook(f"{URL}/status")
        )

        def take(event: IncomingCall) -> None:
            self.calls.take(InboundLeg(new_call_sid(), services, event), application)

        endpoint = await wire.endpoint(OURS, on_call=take)
        media = MediaPlane(MediaConfig(rtp_timeout_s=None, rtcp=False))
        services = LegServices(endpoint, media)
        router = Router(Trunks(()), Directory(()), lambda: OURS)
        async with DialManager(
            legs=SipLegFactory(services, router, lambda _: AudioCapabilities()),
            audio=MediaAudio(bridge=_bridge, ringback=_ringback, music=_music),
        ) as dials:
            shared = ApplicationServices(dials=dials, make_hooks=self.make_hooks, alerts=Alerts())
            async with Calls(shared, Applications([])) as calls:
                self.calls = calls
                if story.is_created:
                    created = await calls.create(
                        CallOrder(
                            account=ACME,
                            from_="+15550100",
                            target=Target.sip("sip:bob@192.0.2.10"),
                            timeout_s=8,
                            call_hook=application.call_hook,
                            call_status_hook=application.call_status_hook,
                        )
                    )
                    assert created.call_id
                else:
                    caller.dial(f"sip:555@{OURS}", story.caller)
                for after_s, what in story.controls:
                    self._loop.call_later(after_s, self._control, what)
                await asyncio.sleep(OVER_S)
                for sid in list(self.sids):  # whoever still talks is ended
                    left = calls.find(CallSid(sid))
                    if left is not None:
                        assert isinstance(left, Call)
                        assert left.dialling is not None, f"stuck, and nobody talks: {left.facts()}"
                        assert left.dialling.conversation is not None
                        calls.hang_up("acme", sid)
                await asyncio.sleep(OVER_S)
                assert len(calls) == 0, "a ghost"
            assert len(dials) == 0
        await asyncio.sleep(OVER_S)
        assert mishaps == []
        wire.assert_silent()
        assert not media.streams
        for phone in (*phones, caller):
            assert not phone.is_busy
        await wire.close()
        await media.close()

    def _control(self, what: str) -> None:
        for sid in list(self.sids):
            if self.calls.find(CallSid(sid)) is None:
                continue
            hook = Hook(f"{URL}/other")
            match what:
                case "redirect":
                    change = CallUpdate(call_hook=hook)
                case "part":
                    change = CallUpdate(call_hook=hook, child_call_hook=hook)
                case "part only":
                    change = CallUpdate(child_call_hook=hook)
                case "completed":
                    change = CallUpdate(call_status="completed")
                case _:
                    change = CallUpdate(call_status="no-answer")
            self._tasks.add(self._loop.create_task(self._update(sid, change)))

    async def _update(self, sid: str, change: CallUpdate) -> None:
        try:
            await self.calls.update("acme", sid, change)
        except (NoSuchCall, WrongCallState):
            return

    def check(self) -> None:
        actions = [payload for kind, payload in self.told if kind is HookKind.DIAL_ACTION]
        for hooks in self.hooks:
            assert hooks.promised == set()
        children = [leg["call_sid"] for each in actions for leg in each["dial_legs"]]
        assert len(children) == len(set(children)), "two actionHooks for one dial"
        by_sid: dict[str, list[str]] = {}
        for kind, payload in self.told:
            if kind is HookKind.CALL_STATUS:
                by_sid.setdefault(payload["call_sid"], []).append(payload["call_status"])
        own = {payload["call_sid"] for _, payload in self.told if "parent_call_sid" not in payload}
        assert set(by_sid) - own <= set(children), "a dial without an actionHook"
        for sid, statuses in by_sid.items():
            assert [each in FINAL for each in statuses].count(True) == 1, (sid, statuses)
            assert statuses[-1] in FINAL, (sid, statuses)


@settings(max_examples=150)
@given(
    st.builds(
        Story,
        is_created=st.booleans(),
        callees=st.tuples(CALLEE, CALLEE, CALLEE),
        caller=st.builds(
            CallerScript,
            goes_s=st.none() | st.sampled_from([0.01, 0.5, 1.2, 3.0, 9.0]),
            is_delayed=st.booleans(),
            requires_100rel=st.booleans(),
        ),
        first=DOCUMENT,
        answers=st.lists(ANSWER, max_size=6),
        controls=st.lists(CONTROL, max_size=3),
        loss=st.sampled_from([0.0, 0.0, 0.2]),
        seed=st.integers(0, 1000),
    )
)
def test_whole_calls_end_and_are_told_about(story: Story) -> None:
    async def play() -> None:
        stage = _Stage(story)
        await stage.run()
        stage.check()

    run_in_virtual_time(play())
