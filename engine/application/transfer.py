"""REFER under an application (DV-82): what the `referHook` is told, and what becomes of its answer.

    hook answers               SIP answer      then
    200/202/204                202, NOTIFY     its verbs run on the leg that did not refer
    4xx/5xx/6xx status n       n
    3xx                        followed by the hook client, else 500
    no connection, time-out    500
    (no referHook)             501

`refer_details` and `refusal_of` are pure; `Transfer` is one REFER from its arrival to its last NOTIFY.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from engine.hooks.reply import HookFailed, HookReply, MalformedReply
from engine.legs.referral import Referral
from engine.routing.identity import user_of
from engine.sip.message import Request

__all__ = ["Transfer", "refer_details", "refusal_of"]

log = structlog.get_logger(__name__)

_NO_ANSWER = 500
_DONE = 200
_NOBODY_TO_ASK = 501


def refer_details(request: Request, *, referring_call_sid: str, referred_call_sid: str) -> dict[str, str]:
    """`refer_details` of the referHook (hooks contract, 4.4) for a REFER as received.

    `referring_call_sid`: the leg that sent it; `referred_call_sid`: the other one, empty if there is none.
    Every header that begins with `X-` is there as `x_...`; several of one name are joined by a comma.
    """
    headers = request.headers
    refer_to = headers.get("refer-to") or ""
    details = {"sip_refer_to": refer_to, "refer_to_user": user_of(refer_to)}
    referred_by = headers.get("referred-by")
    if referred_by is not None:
        details["sip_referred_by"] = referred_by
        details["referred_by_user"] = user_of(referred_by)
    user_agent = headers.get("user-agent")
    if user_agent is not None:
        details["sip_user_agent"] = user_agent
    details["referring_call_sid"] = referring_call_sid
    if referred_call_sid:
        details["referred_call_sid"] = referred_call_sid
    for name, value in headers.items():
        key = name.lower().replace("-", "_")
        if key.startswith("x_") and len(key) > 2:
            before = details.get(key)
            details[key] = value if before is None else f"{before}, {value}"
    return details


def refusal_of(failure: HookFailed) -> int:
    """The SIP status with which a REFER is refused when its hook has failed that way."""
    status = failure.status
    return status if status is not None and 400 <= status <= 699 else _NO_ANSWER


class Transfer:
    """One REFER under an application.

    `run` asks the hook, answers the REFER and tells its progress; it returns when nothing more will be said.
    The referral is taken at once: nobody else answers it, and it is always answered, whatever fails.
    """

    __slots__ = ("_referral",)

    def __init__(self, referral: Referral) -> None:
        """To be made before the watcher that was told of the referral returns."""
        self._referral = referral
        referral.take()

    async def run(
        self,
        ask: Callable[[], Awaitable[HookReply]] | None,
        on_other: Callable[[Sequence[object]], Awaitable[int]],
    ) -> bool:
        """True if the REFER was accepted.

        `ask` calls the referHook (HookFailed); None: there is no referHook. `on_other` runs the verbs of the
        reply on the leg that did not refer, which becomes independent if needed, and returns the SIP status
        of the last NOTIFY: 200 once they run. Its raising is told as 500. It is not called without verbs.
        The referrer's call may end at any time; what is left to say then is not said.
        """
        referral = self._referral
        if ask is None:
            referral.reject(_NOBODY_TO_ASK)
            return False
        try:
            verbs = (await ask()).verbs
        except MalformedReply:
            verbs = None  # a success without instructions (WH-04); the alert has been reported
        except HookFailed as failure:
            log.info("transfer refused", hook_status=failure.status, reason=failure.reason)
            referral.reject(refusal_of(failure))
            return False
        except BaseException:
            referral.reject(_NO_ANSWER)  # also when the call is over or we are shut down: an answer is owed
            raise
        referral.accept()
        status = _NO_ANSWER
        try:
            status = await on_other(verbs) if verbs else _DONE
        finally:
            referral.progress(status if 200 <= status <= 699 else _NO_ANSWER)
        return True
