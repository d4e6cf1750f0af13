"""Third act: a web application decides. Three phones ring, and who answers has to press 1 first.

Alice calls; the engine asks the application what to do and gets a document: dial bob, carol and dave, screen
who answers, listen whether it is a person, watch for *2. Every hook is printed as it arrives. The proof is
what the phone heard and what the application was told.
"""

from __future__ import annotations

import asyncio
import wave
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from engine.app import Engine
from engine.config import (
    AccountConfig,
    ApplicationConfig,
    Config,
    MediaConfig,
    RouteConfig,
    SipConfig,
    SourceConfig,
    StoreConfig,
)
from engine.demo.customer import PROMPT, Customer, Told
from engine.softphone import Answer, Refuse, Ring, Softphone, SoftphoneConfig, Wav
from engine.softphone.protocol import CallState
from engine.softphone.spectrum import Found, find, read_wav
from engine.speech.espeak import EspeakSynthesiser
from engine.speech.synthesis import Utterance
from media.audio import Pcm

__all__ = ["DocumentOutcome", "run_document"]

_NUMBER = "15550101"
_ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
_APPLICATION = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
_RATE_HZ = 8000
_IS_THE_PROMPT = 0.8
_LISTENS_S = 3.5
_TERMINAL = ("completed", "busy", "no-answer", "failed")


class DocumentOutcome(Struct, frozen=True):
    """What the application was told, and what bob heard."""

    told: tuple[tuple[str, Told], ...]
    prompt: Found
    """The screening prompt in what bob's phone recorded."""
    left_over: str

    def bodies(self, path: str) -> list[Told]:
        """Of every hook at one path, in order."""
        return [body for where, body in self.told if where == path]

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Call statuses of every leg, by whom it was to reach."""
        found: dict[str, list[str]] = {}
        for body in self.bodies("status"):
            found.setdefault(str(body["to"]), []).append(str(body["call_status"]))
        return found

    @property
    def is_proved(self) -> bool:
        """Screened, a person, *2, one result; every leg's last word is a terminal one; nothing left."""
        dialled = self.bodies("dialled")
        return (
            self.prompt.similarity >= _IS_THE_PROMPT
            and [body.get("digits") for body in self.bodies("pressed")] == ["1"]
            and any(body.get("amd_type") == "human" for body in self.bodies("amd"))
            and [body.get("dtmf") for body in self.bodies("dtmf")] == ["*2"]
            and [body.get("dial_status") for body in dialled] == ["completed"]
            and sorted(leg["sip_status"] for leg in dialled[0]["dial_legs"]) == [200, 486, 487]
            and all(words[-1] in _TERMINAL for words in self.statuses.values())
            and len(self.statuses) == 4
            and not self.left_over
        )


async def run_document(out: TextIO, folder: Path) -> DocumentOutcome:
    """Run it; about fifteen seconds. Recordings and records go into `folder`. Raises SoftphoneError."""
    hello = folder / "hello.wav"
    _write_wav(hello, await _say("Hello?"))
    prompt = await _say(PROMPT)
    heard = folder / "bob-was-asked.wav"
    async with AsyncExitStack() as exits:
        phones = {
            config.name: await exits.enter_async_context(await Softphone.start(config))
            for config in (
                SoftphoneConfig(name="bob", behaviour=Answer(after_s=1.0, record=str(heard))),
                SoftphoneConfig(name="carol", behaviour=Refuse(486, after_s=0.5)),
                SoftphoneConfig(name="dave", behaviour=Ring()),
                SoftphoneConfig(name="alice"),
            )
        }
        callees = [phones[name].uri for name in ("bob", "carol", "dave")]
        customer = await exits.enter_async_context(Customer(callees, out))
        engine = await exits.enter_async_context(Engine(_config(customer, folder)))
        address = engine.endpoint.listeners[0].bound
        print(
            "\nNow a web application decides. Its hooks as they arrive, and what it answers (⇒):\n", file=out
        )
        print(" seconds  hook       about     told", file=out)
        customer.begin()
        alice = await phones["alice"].call(f"sip:{_NUMBER}@{address.host}:{address.port}")
        bob = await phones["bob"].next_call(timeout_s=10.0)
        await customer.until("confirm")
        # As somebody does who listens to the question first.
        await asyncio.sleep(_LISTENS_S)
        await bob.send_dtmf("1")
        await alice.until(CallState.CONFIRMED)
        await bob.play(Wav(str(hello)))
        await customer.until("amd", amd_type="human")
        await bob.send_dtmf("*2")
        await customer.until("dtmf")
        await bob.hang_up()
        await customer.until("dialled")
        await alice.until(CallState.DISCONNECTED)
        await customer.until("status", call_status="completed", direction="inbound")
        left_over = "\n".join(repr(stream) for stream in engine.media.streams)
    recording, _ = read_wav(heard)
    outcome = DocumentOutcome(tuple(customer.told), find(prompt, recording, _RATE_HZ), left_over)
    _report(outcome, out)
    return outcome


async def _say(text: str) -> Pcm:
    """As the engine's own voice says it first: what was said before colours what follows."""
    voice = EspeakSynthesiser()
    try:
        return (await voice.say(Utterance(text), sample_rate_hz=_RATE_HZ)).pcm
    finally:
        await voice.close()


def _write_wav(path: Path, pcm: Pcm) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(pcm.tobytes())


def _config(customer: Customer, folder: Path) -> Config:
    return Config(
        sip=SipConfig(listen=("udp:127.0.0.1:0",)),
        media=MediaConfig(listen="127.0.0.1", ports=""),
        source=(SourceConfig(name="loopback", addresses=("127.0.0.1",)),),
        route=(RouteConfig(number=_NUMBER, application="front desk"),),
        store=StoreConfig(url=f"sqlite:///{folder / 'calls.sqlite'}"),
        account=(AccountConfig(sid=_ACCOUNT, name="example"),),
        application=(
            ApplicationConfig(
                sid=_APPLICATION,
                name="front desk",
                account="example",
                call_hook=customer.url("call"),
                call_status_hook=customer.url("status"),
            ),
        ),
    )


def _report(outcome: DocumentOutcome, out: TextIO) -> None:
    heard = outcome.prompt
    verdict = "proved" if heard.similarity >= _IS_THE_PROMPT else "NOT PROVED"
    print(
        f"\n  bob heard the whole question {heard.start_s:.2f} s into his recording "
        f"(similarity {heard.similarity:.2f}): {verdict}",
        file=out,
    )
    verdict = "proved" if outcome.is_proved else "NOT PROVED"
    print(f"  accepted by 1, a person, *2, one result, no leg without its end: {verdict}", file=out)
    if outcome.left_over:
        print(f"  left over in the engine: {outcome.left_over}", file=out)
