"""`/v1/Accounts/{account_sid}/Calls` and `CallCount`: the hooks contract, section 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from litestar import Request, Router, delete, get, post, put
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from engine.api.accounts.bodies import Created, NewCall, UpdateCall
from engine.api.accounts.port import CallControl
from engine.api.answer import Answer
from engine.api.bodies import StrictJson
from engine.api.errors import ApiError, FamilyError, Invalid
from engine.api.services import DialEngine
from engine.api.sids import is_sid
from engine.application.orders import Counts, NoSuchApplication, NoSuchCall, SipReply, WrongCallState
from engine.config import AccountConfig
from engine.errors import Overloaded

__all__ = ["account_routes"]

_Request = Request[None, AccountConfig, State]
_Sid = Annotated[str, PathParameter(max_length=64)]


def _error(description: str) -> ResponseSpec:
    return ResponseSpec(FamilyError, description=description, generate_examples=False)


_INVALID = _error("Not usable; `errors` names the fields")
_NO_ACCOUNT = _error("Unknown account")
_NO_CALL = _error("Unknown account or call")
_GONE = _error("The call has ended")
_NO_STORE = _error("The database does not answer; see Retry-After")


def account_routes(engine: DialEngine, calls: CallControl) -> Router:
    """The family's call-control API."""

    @post(
        "/Calls",
        dto=StrictJson[NewCall],
        return_dto=None,
        summary="Create a call",
        responses={
            400: _INVALID,
            403: _error("The account is inactive"),
            404: _NO_ACCOUNT,
            480: _error("The engine takes no calls now"),
            503: _error("No capacity; see Retry-After"),
        },
    )
    async def create_call(account_sid: _Sid, data: JSONBody[NewCall], request: _Request) -> Created:
        """201 when the INVITE has been created. What becomes of the call is told to its `call_status_hook`,
        in the words of the `dial` verb's table of outcomes.
        """
        account = _account(request, account_sid)
        refusal = calls.refusal
        if refusal:
            is_full = engine.dials.is_open and refusal == engine.dials.refusal
            raise ApiError(503 if is_full else 480, refusal, retry_after_s=1)
        try:
            created = await calls.create(data.to_order(account))
        except NoSuchApplication as error:
            raise Invalid("application_sid", "is not an application of this account") from error
        except Overloaded as error:
            raise ApiError(503, error.reason, retry_after_s=error.retry_after_s) from error
        return Created(created.sid, created.call_id)

    @get(
        "/Calls",
        summary="Calls in progress",
        sync_to_thread=False,
        responses={400: _INVALID, 404: _NO_ACCOUNT},
    )
    def list_calls(
        account_sid: _Sid,
        request: _Request,
        direction: Annotated[Literal["inbound", "outbound"] | None, QueryParameter()] = None,
        from_: Annotated[str | None, QueryParameter(name="from", max_length=256)] = None,
        to: Annotated[str | None, QueryParameter(max_length=512)] = None,
        call_status: Annotated[str | None, QueryParameter(name="callStatus", max_length=32)] = None,
    ) -> list[Mapping[str, Any]]:
        """The properties are those of the hooks; every parameter leaves only calls that have that value."""
        account = _account(request, account_sid)
        filters = {"direction": direction, "from": from_, "to": to, "call_status": call_status}
        wanted = {name: value for name, value in filters.items() if value is not None}
        return [each for each in calls.list(account.sid) if _fits(each, wanted)]

    @get(
        "/Calls/{call_sid:str}", summary="One call", responses={400: _INVALID, 404: _NO_CALL, 503: _NO_STORE}
    )
    async def get_call(account_sid: _Sid, call_sid: _Sid, request: _Request) -> Mapping[str, Any]:
        """Also one that has ended, as long as it is remembered."""
        account = _account(request, account_sid)
        found = await calls.get(account.sid, call_sid) if is_sid(call_sid) else None
        if found is None:
            raise _no_call()
        return found

    async def gone(account: AccountConfig, call_sid: str) -> ApiError:
        """Never heard of it, or has it ended?"""
        is_known = is_sid(call_sid) and await calls.get(account.sid, call_sid) is not None
        return ApiError(422, "call session is gone") if is_known else _no_call()

    @delete(
        "/Calls/{call_sid:str}",
        summary="Hang up",
        responses={400: _INVALID, 404: _NO_CALL, 422: _GONE, 503: _NO_STORE},
    )
    async def delete_call(account_sid: _Sid, call_sid: _Sid, request: _Request) -> None:
        """In any state."""
        account = _account(request, account_sid)
        try:
            calls.hang_up(account.sid, call_sid)
        except NoSuchCall as error:
            raise await gone(account, call_sid) from error

    update_responses = {
        200: ResponseSpec(
            SipReply, description="Of `sip_request`: the response of the other side", generate_examples=False
        ),
        400: _INVALID,
        404: _NO_CALL,
        422: _error("The call has ended, or is in a state in which that is not possible"),
        503: _NO_STORE,
    }

    async def update(account_sid: str, call_sid: str, data: UpdateCall, request: _Request) -> Answer[Any]:
        account = _account(request, account_sid)
        try:
            reply = await calls.update(account.sid, call_sid, data.to_update())
        except NoSuchCall as error:
            raise await gone(account, call_sid) from error
        except WrongCallState as error:
            raise ApiError(422, str(error)) from error
        return Answer(None, status_code=202) if reply is None else Answer(reply, status_code=200)

    @put(
        "/Calls/{call_sid:str}",
        dto=StrictJson[UpdateCall],
        return_dto=None,
        status_code=202,
        summary="Change a call while it lasts",
        responses=update_responses,
    )
    async def put_call(
        account_sid: _Sid, call_sid: _Sid, data: JSONBody[UpdateCall], request: _Request
    ) -> Answer[None]:
        """Works in every state, also while it rings."""
        return await update(account_sid, call_sid, data, request)

    @post(
        "/Calls/{call_sid:str}",
        dto=StrictJson[UpdateCall],
        return_dto=None,
        status_code=202,
        include_in_schema=False,
    )
    async def post_call(
        account_sid: _Sid, call_sid: _Sid, data: JSONBody[UpdateCall], request: _Request
    ) -> Answer[None]:
        """The same: older clients of the family POST."""
        return await update(account_sid, call_sid, data, request)

    @get(
        "/CallCount",
        summary="How many calls are in progress",
        sync_to_thread=False,
        responses={400: _INVALID, 404: _NO_ACCOUNT},
    )
    def call_count(account_sid: _Sid, request: _Request) -> Counts:
        return calls.counts(_account(request, account_sid).sid)

    return Router(
        "/v1/Accounts/{account_sid:str}",
        route_handlers=[create_call, list_calls, get_call, delete_call, put_call, post_call, call_count],
        tags=["Calls"],
    )


def _account(request: _Request, account_sid: str) -> AccountConfig:
    """The key's own account; any other one does not exist for it."""
    account = request.auth
    if account_sid.lower() != account.sid.lower():
        raise ApiError(404, "unknown account")
    return account


def _no_call() -> ApiError:
    return ApiError(404, "unknown call")


def _fits(call: Mapping[str, object], wanted: Mapping[str, str]) -> bool:
    return all(call.get(name) == value for name, value in wanted.items())
