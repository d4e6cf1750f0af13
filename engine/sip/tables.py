"""The four transaction machines of RFC 3261 §17 as data, with the corrections of RFC 6026.

Each table can be laid beside its figure. A pair (state, input) that is absent is ignored on purpose. Two
rules hold for all of them and are carried out by `transactions.py`: a START_ action for a timer that
exists only over unreliable transports does nothing on a reliable one, and timers that only absorb
retransmissions (D, I, J, K) take zero seconds there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "CLIENT_INVITE",
    "CLIENT_NON_INVITE",
    "SERVER_INVITE",
    "SERVER_NON_INVITE",
    "Action",
    "Input",
    "State",
    "Transitions",
    "draw",
]


class State(StrEnum):
    """States of all four machines."""

    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    ACCEPTED = "Accepted"
    TERMINATED = "Terminated"


class Input(StrEnum):
    """What a transaction reacts to."""

    TIMER_A = "Timer A"
    TIMER_B = "Timer B"
    TIMER_D = "Timer D"
    TIMER_E = "Timer E"
    TIMER_F = "Timer F"
    TIMER_G = "Timer G"
    TIMER_H = "Timer H"
    TIMER_I = "Timer I"
    TIMER_J = "Timer J"
    TIMER_K = "Timer K"
    TIMER_L = "Timer L"
    TIMER_M = "Timer M"
    GIVE_UP = "give up"
    """64·T1 after CANCEL without a final response: "the client MUST then consider the original transaction
    cancelled" (RFC 3261 §9.1)."""
    TRANSPORT_ERROR = "transport error"
    RESPONSE_1XX = "1xx"
    RESPONSE_2XX = "2xx"
    RESPONSE_3XX_TO_6XX = "300-699"
    REQUEST = "request"
    """The request again."""
    ACK = "ACK"
    SEND_1XX = "1xx from TU"
    SEND_2XX = "2xx from TU"
    SEND_3XX_TO_6XX = "300-699 from TU"


class Action(StrEnum):
    """What a transaction does, in the order of the row."""

    SEND = "send response"
    RESEND = "send again"
    ACK = "send ACK"
    REPORT = "message to TU"
    REPORT_TIMEOUT = "inform TU: timeout"
    REPORT_TRANSPORT_ERROR = "inform TU: transport error"
    REPORT_END = "inform TU: end"
    STOP_TIMERS = "stop timers"
    BACK_OFF_A = "Timer A doubled"
    BACK_OFF_E = "Timer E doubled up to T2"
    SET_E_TO_T2 = "Timer E at T2"
    BACK_OFF_G = "Timer G doubled up to T2"
    START_D = "start Timer D"
    START_G = "start Timer G"
    START_H = "start Timer H"
    START_I = "start Timer I"
    START_J = "start Timer J"
    START_K = "start Timer K"
    START_L = "start Timer L"
    START_M = "start Timer M"


Transitions: TypeAlias = dict[tuple[State, Input], tuple[State, tuple[Action, ...]]]

_S, _I, _A = State, Input, Action

# RFC 3261 §17.1.1.2 Figure 5 with the Accepted state of RFC 6026 §7.2.
# Creation sends the request and starts Timer B and, over UDP, Timer A.
CLIENT_INVITE: Transitions = {
    (_S.CALLING, _I.TIMER_A): (_S.CALLING, (_A.RESEND, _A.BACK_OFF_A)),
    (_S.CALLING, _I.TIMER_B): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.CALLING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT_ERROR,)),
    (_S.CALLING, _I.GIVE_UP): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.CALLING, _I.RESPONSE_1XX): (_S.PROCEEDING, (_A.STOP_TIMERS, _A.REPORT)),
    (_S.CALLING, _I.RESPONSE_2XX): (_S.ACCEPTED, (_A.STOP_TIMERS, _A.START_M, _A.REPORT)),
    (_S.CALLING, _I.RESPONSE_3XX_TO_6XX): (
        _S.COMPLETED,
        (_A.STOP_TIMERS, _A.ACK, _A.START_D, _A.REPORT),
    ),
    (_S.PROCEEDING, _I.RESPONSE_1XX): (_S.PROCEEDING, (_A.REPORT,)),
    (_S.PROCEEDING, _I.RESPONSE_2XX): (_S.ACCEPTED, (_A.STOP_TIMERS, _A.START_M, _A.REPORT)),
    (_S.PROCEEDING, _I.RESPONSE_3XX_TO_6XX): (
        _S.COMPLETED,
        (_A.STOP_TIMERS, _A.ACK, _A.START_D, _A.REPORT),
    ),
    (_S.PROCEEDING, _I.GIVE_UP): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.COMPLETED, _I.RESPONSE_3XX_TO_6XX): (_S.COMPLETED, (_A.ACK,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT_ERROR,)),
    (_S.COMPLETED, _I.TIMER_D): (_S.TERMINATED, ()),
    (_S.ACCEPTED, _I.RESPONSE_2XX): (_S.ACCEPTED, (_A.REPORT,)),
    (_S.ACCEPTED, _I.TIMER_M): (_S.TERMINATED, (_A.REPORT_END,)),
}

# RFC 3261 §17.1.2.2 Figure 6. Creation sends the request and starts Timer F and, over UDP, Timer E.
CLIENT_NON_INVITE: Transitions = {
    (_S.TRYING, _I.TIMER_E): (_S.TRYING, (_A.RESEND, _A.BACK_OFF_E)),
    (_S.TRYING, _I.TIMER_F): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.TRYING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT_ERROR,)),
    (_S.TRYING, _I.RESPONSE_1XX): (_S.PROCEEDING, (_A.SET_E_TO_T2, _A.REPORT)),
    (_S.TRYING, _I.RESPONSE_2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.START_K, _A.REPORT)),
    (_S.TRYING, _I.RESPONSE_3XX_TO_6XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.START_K, _A.REPORT)),
    (_S.PROCEEDING, _I.TIMER_E): (_S.PROCEEDING, (_A.RESEND, _A.SET_E_TO_T2)),
    (_S.PROCEEDING, _I.TIMER_F): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT_ERROR,)),
    (_S.PROCEEDING, _I.RESPONSE_1XX): (_S.PROCEEDING, (_A.REPORT,)),
    (_S.PROCEEDING, _I.RESPONSE_2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.START_K, _A.REPORT)),
    (_S.PROCEEDING, _I.RESPONSE_3XX_TO_6XX): (
        _S.COMPLETED,
        (_A.STOP_TIMERS, _A.START_K, _A.REPORT),
    ),
    (_S.COMPLETED, _I.TIMER_K): (_S.TERMINATED, ()),
}

# RFC 3261 §17.2.1 Figure 7 as replaced by RFC 6026 §7.1. The TU sends 100 at once, so there is no 200 ms
# timer. A transport error does not end it (RFC 6026 §8.8): the peer's retransmission may come from elsewhere.
SERVER_INVITE: Transitions = {
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.RESEND,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.SEND_2XX): (_S.ACCEPTED, (_A.SEND, _A.START_L)),
    (_S.PROCEEDING, _I.SEND_3XX_TO_6XX): (_S.COMPLETED, (_A.SEND, _A.START_G, _A.START_H)),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.RESEND,)),
    (_S.COMPLETED, _I.TIMER_G): (_S.COMPLETED, (_A.RESEND, _A.BACK_OFF_G)),
    (_S.COMPLETED, _I.TIMER_H): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.COMPLETED, _I.ACK): (_S.CONFIRMED, (_A.STOP_TIMERS, _A.START_I)),
    (_S.CONFIRMED, _I.TIMER_I): (_S.TERMINATED, ()),
    (_S.ACCEPTED, _I.SEND_2XX): (_S.ACCEPTED, (_A.SEND,)),
    (_S.ACCEPTED, _I.ACK): (_S.ACCEPTED, (_A.REPORT,)),
    (_S.ACCEPTED, _I.TIMER_L): (_S.TERMINATED, (_A.REPORT_END,)),
}

# RFC 3261 §17.2.2 Figure 8.
SERVER_NON_INVITE: Transitions = {
    (_S.TRYING, _I.SEND_1XX): (_S.PROCEEDING, (_A.SEND,)),
    (_S.TRYING, _I.SEND_2XX): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.TRYING, _I.SEND_3XX_TO_6XX): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.RESEND,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.SEND_2XX): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.PROCEEDING, _I.SEND_3XX_TO_6XX): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.RESEND,)),
    (_S.COMPLETED, _I.TIMER_J): (_S.TERMINATED, ()),
}


def draw(table: Transitions) -> str:
    """The table as a Mermaid state diagram, for documents that shall not drift from the code."""
    lines = ["stateDiagram-v2"]
    for (state, stimulus), (successor, actions) in table.items():
        lines.append(f"    {state} --> {successor}: {stimulus}" + "".join(f" / {a}" for a in actions))
    return "\n".join(lines)
