"""Every live transaction, found by what RFC 3261 §17.1.3 and §17.2.3 match on; old peers without magic
cookie too."""

from __future__ import annotations

from collections.abc import Callable

from engine.sip.client_transaction import ClientTransaction, ClientUser
from engine.sip.message import Request, Response
from engine.sip.server_transaction import ServerKey, ServerTransaction, ServerUser
from engine.sip.timers import TimerQueue
from engine.sip.types import Address, Flow, Timers, Transport

__all__ = ["ClientTransaction", "ClientUser", "ServerTransaction", "ServerUser", "TransactionLayer"]


class TransactionLayer:
    """Every live transaction, found by what RFC 3261 §17.1.3 and §17.2.3 match on."""

    __slots__ = ("_by_remote", "_clients", "_merged", "_servers", "housekeeping", "send", "timers")

    def __init__(
        self, timers: TimerQueue, housekeeping: TimerQueue, send: Callable[[bytes, Flow], None]
    ) -> None:
        self.timers = timers
        self.housekeeping = housekeeping
        """Of transactions that are over and only absorb what is repeated (timers D, I, J, K, L, M)."""
        self.send = send
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._merged: dict[tuple[str, str, int, str], ServerTransaction] = {}
        self._by_remote: dict[tuple[Transport, Address], dict[ClientTransaction, None]] = {}

    def request(
        self,
        request: Request,
        data: bytes,
        flow: Flow,
        timers: Timers,
        user: ClientUser,
        now: float,
        branch: str,
    ) -> ClientTransaction:
        """Begin a client transaction: the request, whose branch is given to save parsing it, is sent at
        once."""
        transaction = ClientTransaction(self, request, data, flow, timers, user, branch)
        self._clients[transaction.key] = transaction
        place = (flow.transport, flow.remote)
        neighbours = self._by_remote.get(place)
        if neighbours is None:
            self._by_remote[place] = {transaction: None}
        else:
            neighbours[transaction] = None
        transaction.start(now)
        return transaction

    def find_client(self, response: Response) -> ClientTransaction | None:
        """The transaction of a response (§17.1.3)."""
        return self._clients.get((response.branch, response.cseq.method))

    def find_server(self, request: Request) -> ServerTransaction | None:
        """The transaction that a request repeats, or that an ACK belongs to (§17.2.3)."""
        return self._servers.get(server_key(request, request.method))

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE a CANCEL is about (§9.2). Only INVITE: nothing else is worth cancelling (RFC 4320)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def serve(self, request: Request, flow: Flow, reply_flow: Flow, timers: Timers) -> ServerTransaction:
        """Begin a server transaction."""
        key = server_key(request, request.method)
        transaction = ServerTransaction(self, key, request, flow, reply_flow, timers)
        self._servers[transaction.key] = transaction
        if not request.to_tag:
            transaction.merge_key = _merge_key(request)
            self._merged.setdefault(transaction.merge_key, transaction)
        return transaction

    def is_merged(self, request: Request) -> bool:
        """Whether the same request already came by another path (§8.2.2.2)."""
        return not request.to_tag and _merge_key(request) in self._merged

    def transport_failed(self, flow: Flow, error: OSError, now: float) -> None:
        """Tell every client transaction that sends to `flow.remote`; the cost is theirs alone."""
        for transaction in list(self._by_remote.get((flow.transport, flow.remote), ())):
            transaction.transport_failed(error, now)

    def forget_client(self, transaction: ClientTransaction) -> None:
        """For the transaction itself, at its end."""
        if self._clients.pop(transaction.key, None) is None:
            return
        place = (transaction.flow.transport, transaction.flow.remote)
        neighbours = self._by_remote[place]
        del neighbours[transaction]
        if not neighbours:
            del self._by_remote[place]

    def forget_server(self, transaction: ServerTransaction) -> None:
        """For the transaction itself, at its end."""
        self._servers.pop(transaction.key, None)
        key = transaction.merge_key
        if key is not None and self._merged.get(key) is transaction:
            del self._merged[key]

    def describe(self) -> list[str]:
        """One line per live transaction."""
        return [repr(t) for t in self._clients.values()] + [repr(t) for t in self._servers.values()]

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)


def server_key(request: Request, method: str) -> ServerKey:
    """What makes a server transaction the same (§17.2.3); an ACK belongs to its INVITE."""
    if method == "ACK":
        method = "INVITE"
    via = request.top_via
    if via.has_magic_cookie:
        return (request.branch, via.host, str(via.port), method)
    # RFC 2543: Request-URI, From tag, Call-ID, CSeq number and the top Via as written. The To tag tells an
    # ACK of our response from another's; as we answer each such request once, it need not be part of the key.
    top = (request.headers.get("via") or "").partition(",")[0]
    return (request.uri, request.call_id, request.from_tag, str(request.cseq.number), top, method)


def _merge_key(request: Request) -> tuple[str, str, int, str]:
    return (request.call_id, request.from_tag, request.cseq.number, request.method)
