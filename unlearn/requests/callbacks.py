"""Telling controllers: every change of status until it is taken or given up, signed, never to an inner address.

OpenDSR's body, in a CloudEvents 1.0 message of the binary mode, signed by Standard Webhooks (`webhook-id`,
`webhook-timestamp`, `webhook-signature`) with a secret of the caller's own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
from sqlalchemy import ColumnElement, func, or_, select
from standardwebhooks import Webhook

from unlearn.requests import audit
from unlearn.requests.deadline import DeadlineTransport
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import Callback, Request

_log = logging.getLogger(__name__)
_DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_IN_HAND = timedelta(minutes=2)  # after which a callback whose sender died is sent again
_AT_ONCE = 20  # callbacks taken in hand together, and sent side by side: none waits for another's receiver
_SECONDS = 10.0  # for all of a connection, from the first packet to the answer
_UNICAST = ipaddress.ip_network("2000::/3")

Resolve = Callable[[str, int], Sequence[str]]


class ForbiddenAddress(ValueError):
    """The URL leads to where a stranger must not send us."""


def secret(keyring: Keyring, caller: str) -> str:
    """The caller's signing secret, as Standard Webhooks writes it; made from the keyring, so that nothing is stored."""
    key = hmac.new(keyring.signing, b"webhook" + caller.encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(key).decode()}"


@dataclass(frozen=True, slots=True)
class _Owed:
    """A callback in hand: its URL as the ledger has it, and all that it says but that."""

    id: str
    url: str
    caller: str
    subject_request_id: str
    due_at: datetime
    status: str
    since: datetime
    attempts: int


class Callbacks:
    """Sends what the ledger owes.

    Args:
        domain: this processor's, in every message.
        client: sends; it must follow no redirect, for what it leads to was not examined, and must come to an end
            whatever the receiver does, for the worker waits for it.
        resolve: addresses of a host, all of them.
    """

    def __init__(
        self, ledger: Ledger, domain: str, *, client: httpx.Client | None = None, resolve: Resolve | None = None
    ) -> None:
        self._ledger = ledger
        self._domain = domain
        self._client = client or httpx.Client(
            transport=DeadlineTransport(_SECONDS), follow_redirects=False, trust_env=False
        )
        self._resolve = resolve or _addresses

    def deliver(self) -> int:
        """Send callbacks that are due, some at once, each controller's in its turn; returns how many were delivered."""
        owed = self._take()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="callback") as side_by_side:
            delivered = sum(map(self._record, owed, side_by_side.map(self._answer, owed)))
        if owed:
            self._ledger.database.scrub()
        return delivered

    def _take(self) -> list[_Owed]:
        now = self._ledger.now()
        owed, oldest = (Callback.ended_at.is_(None), due(now)), (Callback.created_at, Callback.id)
        # A controller that is owed thousands, and whose receiver never answers, must not be in every place.
        turn = func.row_number().over(partition_by=Request.caller, order_by=oldest).label("turn")
        turns = select(Callback.id, turn).join(Request, Request.id == Callback.request_id).where(*owed).subquery()
        asked = (
            select(Callback)
            .join(turns, turns.c.id == Callback.id)
            .where(*owed)  # of a row as it is once it is locked
            .order_by(turns.c.turn, *oldest)
            .limit(_AT_ONCE)
            .with_for_update(of=Callback, skip_locked=True)
        )
        with self._ledger.database.write() as session:
            taken: list[_Owed] = []
            for row in session.scalars(asked).all():
                request = session.get_one(Request, row.request_id)
                row.not_before = now + _IN_HAND
                taken.append(
                    _Owed(
                        row.id, row.url, request.caller, request.subject_request_id, request.due_at, row.status,
                        row.created_at, row.attempts,
                    )
                )  # fmt: skip
            return taken

    def _answer(self, owed: _Owed) -> int:
        """What the receiver answers; 0 where it was not reached."""
        try:
            return self._send(owed)
        # ValueError: a forbidden address, whatever else a URL may have that no library can send to, or no key for it.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            _log.warning("callback %s: %s", owed.id, type(error).__name__)
            return 0

    def _send(self, owed: _Owed) -> int:
        told = self._ledger.keyring.open_url(owed.url)
        url, name, host = self._examined(told)
        now = self._ledger.now()
        body = json.dumps({
            "controller_id": owed.caller,
            "expected_completion_time": owed.due_at.isoformat(),
            "subject_request_id": owed.subject_request_id,
            "request_status": owed.status,
            "status_callback_url": told,
        })  # fmt: skip
        signer = Webhook(secret(self._ledger.keyring, owed.caller))
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            "webhook-id": owed.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign(owed.id, now, body),
            "ce-specversion": "1.0",
            "ce-id": owed.id,
            "ce-source": f"https://{self._domain}",
            "ce-type": f"{'.'.join(reversed(self._domain.split('.')))}.erasure.{owed.status}.v1",
            "ce-subject": owed.subject_request_id,
            "ce-time": owed.since.isoformat(),  # by which a status that comes late is told from a newer one
        }
        # To the address that was examined: the name might lead elsewhere the next time.
        extensions = {"sni_hostname": name}
        with self._client.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer:
            return answer.status_code  # whatever else it says is not read

    def _examined(self, text: str) -> tuple[str, str, str]:
        """The URL with an address in the place of its host; the host's name; and that as the URL has it.

        Raises:
            ForbiddenAddress: it is not https, carries a password, or leads to an address that is not public.
        """
        try:
            parts = urlsplit(text)
            port = parts.port or 443
        except ValueError:
            raise ForbiddenAddress("a callback must go to a URL that can be read") from None
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise ForbiddenAddress("a callback must go to an https URL without a password")
        addresses = [ipaddress.ip_address(one.partition("%")[0]) for one in self._resolve(parts.hostname, port)]
        if not addresses or not all(_public(one) for one in addresses):
            raise ForbiddenAddress("a callback must go to a public address")
        chosen = f"[{addresses[0]}]" if addresses[0].version == 6 else str(addresses[0])
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        return f"https://{chosen}:{port}{path}", parts.hostname, parts.netloc

    def _record(self, owed: _Owed, status: int) -> bool:
        delivered = 200 <= status < 300
        gone = status == 410 or owed.attempts + 1 > len(_DELAYS)
        with self._ledger.database.write() as session:
            row = session.get_one(Callback, owed.id, with_for_update=True)
            if row.ended_at is not None:  # by another worker, which took it for a dead one's
                return False
            row.attempts = owed.attempts + 1
            row.delivered = delivered
            if delivered or gone:
                row.ended_at, row.url = self._ledger.now(), ""  # which may name the person
                event = "callback.delivered" if delivered else "callback.abandoned"
                detail = {"status": owed.status, "attempts": row.attempts}
                entry = audit.Entry("worker", event, f"request:{row.request_id}", detail)
                audit.append(session, self._ledger, [entry])
            else:
                row.not_before = self._ledger.now() + _DELAYS[owed.attempts]
        return delivered


def due(now: datetime) -> ColumnElement[bool]:
    """Which callbacks it is time for; what lies so far ahead was put off by a clock that has been put right since."""
    return or_(Callback.not_before <= now, Callback.not_before > now + 2 * _DELAYS[-1])


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    # Beside global unicast there are addresses that stand for one of IPv4, any of which may be inside (NAT64, mapped,
    # compatible), and such as were of a site; within it 6to4 and Teredo stand for one, too.
    return address in _UNICAST and address.sixtofour is None and address.teredo is None


def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
