"""`/v1/dials`: start, list, look at, hang up, follow."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Literal, cast

from litestar import Request, Router, delete, get, post
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import File
from litestar.types import ASGIApp

from amd import AmdParams
from engine.api.answer import Answer
from engine.api.bodies import StrictJson
from engine.api.dials.bodies import AmdOptions, DialList, DialView, NewDial, ResultBody
from engine.api.dials.book import DialBook, DialEntry
from engine.api.dials.stream import EventStream, disconnected
from engine.api.errors import ApiError, Invalid, Problem
from engine.api.services import ApiServices, DialEngine
from engine.api.sids import is_sid
from engine.api.visitors import Visitors
from engine.config import AccountConfig
from engine.errors import ConfigError
from media.audio import Pcm
from media.player import PlayerError

__all__ = ["dial_routes"]

_Request = Request[None, AccountConfig, State]
_Id = Annotated[str, PathParameter(max_length=64)]


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        Problem, media_type="application/problem+json", description=description, generate_examples=False
    )


_INVALID = _problem("Not usable; `errors` names the fields")
_UNKNOWN = _problem("No such dial of this account")
_BUSY = _problem("Not now; see Retry-After")

_LARGEST_PAGE = 200


def dial_routes(engine: DialEngine, services: ApiServices, book: DialBook, visitors: Visitors) -> Router:
    """The native API."""
    starter = _Starter(engine, services, book)

    def find(request: _Request, dial_id: str) -> DialEntry | None:
        return book.get(request.auth.sid, dial_id)

    def need(request: _Request, dial_id: str) -> DialEntry:
        entry = find(request, dial_id)
        if entry is None:
            raise ApiError(404, "no such dial")
        return entry

    async def load(request: _Request, dial_id: str) -> bytes | None:
        """The view of a dial that memory has forgotten."""
        if services.archive is None or not is_sid(dial_id):
            return None
        return await services.archive.load(request.auth.sid, dial_id)

    @post(
        "/",
        dto=StrictJson[NewDial],
        return_dto=None,
        summary="Ring targets; the first who answers wins",
        responses={
            200: ResponseSpec(
                ResultBody,
                description="With `wait`: the dial is over, this is its result",
                generate_examples=False,
            ),
            400: _INVALID,
            503: _BUSY,
        },
    )
    async def start_dial(
        data: JSONBody[NewDial],
        request: _Request,
        wait: Annotated[
            bool,
            QueryParameter(
                description="Answer when the dial is over, with its result. The dial goes on without you."
            ),
        ] = False,
    ) -> Answer[DialView]:
        """201 when the INVITEs have been created. With `wait` the response is 200 and the result itself; if
        the server stops before that it is 503, with the dial's address in `Location`.
        """
        if not wait:
            entry = await starter.start(request.auth, data)
            await entry.begun
            return Answer(entry.view(), status_code=201, headers=_where(entry))
        place = visitors.place(request.auth.sid)  # before anybody is rung: who is refused will ask again
        with place:
            entry = await starter.start(request.auth, data)
            where = _where(entry)
            gone = asyncio.create_task(disconnected(request.receive), name=f"client of {entry.id}")
            try:
                while not (entry.has_ended or gone.done() or place.closing.done()):
                    await asyncio.wait(
                        (entry.changed(), gone, place.closing), return_when=asyncio.FIRST_COMPLETED
                    )
            finally:
                gone.cancel()
                await asyncio.wait((gone,))
        if not entry.has_ended:
            raise ApiError(
                503,
                "the server stops before the dial has its result",
                retry_after_s=1,
                headers=tuple(where.items()),
            )
        return cast("Answer[DialView]", Answer(entry.result_body(), status_code=200, headers=where))

    @get(
        "/",
        summary="Dials of this account, the newest first",
        sync_to_thread=False,
        responses={400: _INVALID},
    )
    def list_dials(
        request: _Request,
        which: Annotated[
            Literal["live", "ended", "all"],
            QueryParameter(name="state", description="`live` are those in progress"),
        ] = "live",
        limit: Annotated[int, QueryParameter(ge=1, le=_LARGEST_PAGE)] = 100,
        after: Annotated[str, QueryParameter(max_length=64, description="`next` of the page before")] = "",
    ) -> DialList:
        """What is in memory: all in progress, and the latest of those that have ended."""
        found: list[DialView] = []
        is_skipping = bool(after)
        for entry in book.newest_first(request.auth.sid):
            if is_skipping:
                is_skipping = entry.id != after
            elif which == "all" or entry.has_ended == (which == "ended"):
                if len(found) == limit:
                    return DialList(found, found[-1].id)
                found.append(entry.view())
        return DialList(found, None)

    @get(
        "/{dial_id:str}",
        summary="One dial, in progress or finished",
        responses={400: _INVALID, 404: _UNKNOWN, 503: _BUSY},
    )
    async def get_dial(request: _Request, dial_id: _Id) -> Answer[DialView]:
        entry = find(request, dial_id)
        if entry is not None:
            return Answer(entry.view())
        kept = await load(request, dial_id)
        if kept is None:
            raise ApiError(404, "no such dial")
        return cast("Answer[DialView]", Answer(kept))

    @delete(
        "/{dial_id:str}", summary="Hang up", sync_to_thread=False, responses={400: _INVALID, 404: _UNKNOWN}
    )
    def hang_up(request: _Request, dial_id: _Id) -> None:
        """In any state: who rings is cancelled, who talks is hung up. The result follows as always."""
        need(request, dial_id).hang_up()

    @get(
        "/{dial_id:str}/events",
        summary="What happens, as server-sent events",
        media_type="text/event-stream",
        responses={
            204: ResponseSpec(None, description="There is nothing after the event named"),
            400: _INVALID,
            404: _UNKNOWN,
        },
    )
    async def follow(
        request: _Request,
        dial_id: _Id,
        last_event_id: Annotated[
            str, HeaderParameter(name="Last-Event-ID", max_length=64, description="Go on after this event")
        ] = "",
    ) -> ASGIApp:
        """Everything from the beginning: `status` of every leg, `connected`, `dtmf`, `amd`, `tone`; `result`
        comes last and ends the stream. Who reconnects with `Last-Event-ID` misses nothing; 204 says that it
        is over.
        """
        entry = need(request, dial_id)
        last = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else 0
        if entry.has_ended and not entry.events_after(last):
            return Answer(None, status_code=204).to_asgi_response(app=None, request=request)
        return EventStream(entry, last, services.limits, visitors.place(request.auth.sid))

    @get(
        "/{dial_id:str}/recording",
        summary="The recording of the callee, a WAV file",
        media_type="audio/wav",
        responses={400: _INVALID, 404: _UNKNOWN, 503: _BUSY},
    )
    async def get_recording(request: _Request, dial_id: _Id) -> File:
        entry = find(request, dial_id)
        file = entry.recording if entry is not None and entry.has_ended else None
        if entry is None and await load(request, dial_id) is not None and services.recordings is not None:
            file = services.recordings / f"{dial_id}.wav"
        if file is None or not await asyncio.to_thread(file.is_file):
            raise ApiError(404, "there is no recording, or not yet")
        return File(file, filename=file.name, media_type="audio/wav")

    return Router(
        "/v1/dials",
        route_handlers=[start_dial, list_dials, get_dial, hang_up, follow, get_recording],
        tags=["Dials"],
    )


def _where(entry: DialEntry) -> dict[str, str]:
    return {"Location": f"/v1/dials/{entry.id}"}


class _Starter:
    """From a body to a dial."""

    __slots__ = ("_book", "_engine", "_services")

    def __init__(self, engine: DialEngine, services: ApiServices, book: DialBook) -> None:
        self._engine = engine
        self._services = services
        self._book = book

    async def start(self, account: AccountConfig, body: NewDial) -> DialEntry:
        """Raises Invalid, InvalidRequest, Overloaded."""
        request = body.to_request()
        if request.codecs:
            try:
                self._engine.capabilities_for(request.codecs)
            except ConfigError as error:
                raise Invalid(error.key, error.problem) from error
        recordings = self._services.recordings
        if body.record and (recordings is None or not os.access(recordings, os.W_OK)):
            raise Invalid("record", "no folder is configured for recordings")
        return self._book.start(
            account.sid,
            request,
            play=await self._sound("play", body.play),
            after_beep=await self._sound("after_beep", body.after_beep),
            record_to=recordings if body.record else None,
            amd=_amd(body),
        )

    async def _sound(self, field: str, name: str) -> Pcm | None:
        if not name:
            return None
        if self._services.sounds is None:
            raise Invalid(field, "no sounds are configured")
        try:
            return await self._services.sounds(name)
        except PlayerError as error:
            raise Invalid(field, str(error)) from error


def _amd(body: NewDial) -> AmdParams | None:
    """None: nobody asked."""
    if isinstance(body.amd, AmdOptions):
        return body.amd.to_params()
    return AmdParams() if body.amd or body.after_beep else None
