"""The application server of one engine, built from its `Config`: calls under documents, hooks, records, HTTP.

    server = ApplicationServer(config)          # whatever can be wrong with the configuration is found here
    await server.open(exits)                    # store, hooks, voices: before the first call can come
    calls = await server.begin(exits, engine)   # calls: once there are dials to make
    await server.serve(exits, engine)           # HTTP: last, so that nobody asks too early

What was opened is closed by `exits`, in reverse: HTTP first, the store last, so that the last hook and the
last record of a call that is cut short still have somewhere to go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.dials.archive import StoreArchive
from engine.api.server import HttpServer, serve_http
from engine.api.services import ApiServices, Check, Unhealthy
from engine.application.applications import Applications
from engine.application.calls import Calls
from engine.application.services import ApplicationServices
from engine.config import Config, SpeechVendorConfig
from engine.dial.outcome import StatusMap
from engine.errors import ConfigError
from engine.hooks import Alerts, HookClient, HookService
from engine.listen import ListenClient
from engine.sounds import SoundError, SoundLibrary, SoundLimits, open_session
from engine.speech.espeak import EspeakSynthesiser
from engine.speech.recognition import Recogniser, Recognisers
from engine.speech.recognition_websocket import WebSocketRecogniser
from engine.speech.synthesis import Synthesiser, Synthesisers
from engine.speech.synthesis_cache import CachedSynthesiser
from engine.store import Store, StoreError
from media.audio import Pcm
from media.player import PlayerError

if TYPE_CHECKING:
    from engine.app import Engine

__all__ = ["ApplicationServer"]

_USER_AGENT = "dial-engine"


class ApplicationServer:
    """The parts that only an engine with applications or an HTTP API has. Made once, used by one engine."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError, naming the key of an application or a vendor that cannot be used."""
        self._config = config
        self.applications = Applications(config.application, config.account)
        self._secrets: Mapping[str, Sequence[str]] = {
            account.sid: account.webhook_secrets for account in config.account
        }
        self.store = Store(
            config.store.url,
            node=config.store.node,
            keep_s=config.store.keep_days * 86_400 or None,
        )
        self.alerts = Alerts(self.store)
        self.hooks = HookService(
            HookClient(
                user_agent=_USER_AGENT,
                timeout_s=config.hooks.timeout_s,
                max_connections=config.hooks.max_connections,
                has_tracing=config.hooks.tracing,
            ),
            outbox=self.store,
            alerts=self.alerts,
            secrets_of=lambda account_sid: self._secrets.get(account_sid, ()),
        )
        self._recordings = _folder(config.recordings.folder, "recordings.folder", os.W_OK)
        self._sounds_folder = _folder(config.sounds.folder, "sounds.folder", os.R_OK)
        self._sounds: SoundLibrary | None = None
        self._synthesisers: Synthesisers | None = None
        self._recognisers: Recognisers | None = None
        self._listen: ListenClient | None = None
        self._calls: Calls | None = None
        self.http: HttpServer | None = None
        """The running HTTP server; None: there is none."""

    @property
    def calls(self) -> Calls:
        """All calls under applications. Raises RuntimeError before `begin`."""
        if self._calls is None:
            raise RuntimeError("the engine has not been started")
        return self._calls

    @property
    def sounds(self) -> SoundLibrary:
        """Raises RuntimeError before `open`."""
        if self._sounds is None:
            raise RuntimeError("the engine has not been started")
        return self._sounds

    # -- life -------------------------------------------------------------------------------------------

    async def open(self, exits: AsyncExitStack) -> None:
        """Store, hooks, sounds and voices. Raises ConfigError for a store that can never be used."""
        try:
            await exits.enter_async_context(self.store)
        except StoreError as error:
            raise ConfigError("store.url", str(error)) from error
        await exits.enter_async_context(self.hooks)
        session = await exits.enter_async_context(open_session(_USER_AGENT))
        sounds = self._config.sounds
        self._sounds = SoundLibrary(
            session,
            folder=self._sounds_folder,
            limits=SoundLimits(max_bytes=sounds.max_bytes, cache_bytes=sounds.cache_bytes),
        )
        exits.push_async_callback(self._sounds.close)
        self._synthesisers = _synthesisers()
        exits.push_async_callback(self._synthesisers.close)
        self._recognisers = _recognisers(self._config.speech_vendor)
        if self._recognisers is not None:
            exits.push_async_callback(self._recognisers.close)
        self._listen = ListenClient(user_agent=_USER_AGENT)
        exits.push_async_callback(self._listen.close)

    async def begin(self, exits: AsyncExitStack, engine: Engine, status_map: StatusMap) -> Calls:
        """Calls can be taken from now on."""
        services = ApplicationServices(
            dials=engine.dials,
            make_hooks=self.hooks.for_call,
            alerts=self.alerts,
            records=self.store,
            status_map=status_map,
            codecs=engine.capabilities_for,
            sounds=self._sounds,
            synthesisers=self._synthesisers,
            recognisers=self._recognisers,
            listen=self._listen,
            recordings=self._recordings,
            response_overrides={int(code): instead for code, instead in self._config.response.items()},
            api_base_url=self._config.http.url,
        )
        self._calls = await exits.enter_async_context(
            Calls(services, self.applications, history=self.store.call)
        )
        self.hooks.on_command = self._calls.obey
        return self._calls

    async def serve(self, exits: AsyncExitStack, engine: Engine) -> None:
        """Open the HTTP port, if there is to be one. Raises ConfigError, naming `http.listen`."""
        if not self._config.http.listen:
            return
        checks: dict[str, Check] = {"store": self._check_store}
        services = ApiServices(
            http=self._config.http,
            accounts=self._config.account,
            calls=self.calls,
            sounds=self._fetch_sound,
            recordings=self._recordings,
            archive=StoreArchive(self.store),
            checks=checks,
        )
        self.http = await exits.enter_async_context(serve_http(engine, services))

    # -- parts ------------------------------------------------------------------------------------------

    def _check_store(self) -> Unhealthy | None:
        health = self.store.health
        return None if health.is_ready else Unhealthy(health.last_error or "the store is not ready")

    async def _fetch_sound(self, url: str) -> Pcm:
        """int16[n], mono, 8 kHz."""
        try:
            sound = await self.sounds.get(url)
        except SoundError as error:
            raise PlayerError(str(error)) from error
        return sound.pcm


def _folder(name: str, key: str, access: int) -> Path | None:
    if not name:
        return None
    folder = Path(name)
    if not folder.is_dir() or not os.access(folder, access):
        raise ConfigError(key, f"{name!r} is not a folder that can be used")
    return folder


def _synthesisers() -> Synthesisers:
    espeak: Synthesiser = CachedSynthesiser(EspeakSynthesiser())
    return Synthesisers({espeak.vendor: espeak}, default=espeak.vendor)


def _recognisers(vendors: Sequence[SpeechVendorConfig]) -> Recognisers | None:
    """None: there is nobody who could listen; the embedded recogniser is an extra."""
    known: dict[str, Recogniser] = {}
    if find_spec("pocketsphinx") is not None:
        from engine.speech.recognition_pocketsphinx import PocketsphinxRecogniser

        known["pocketsphinx"] = PocketsphinxRecogniser()
    for vendor in vendors:
        known[vendor.name] = WebSocketRecogniser(vendor.name, vendor.url, token=vendor.token)
    return Recognisers(known, default=next(iter(known))) if known else None
