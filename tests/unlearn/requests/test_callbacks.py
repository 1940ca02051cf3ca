"""Callbacks are signed, repeated until they arrive, and sent to no address inside the house."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from standardwebhooks import Webhook, WebhookVerificationError

from tests.oracles.traces import holders
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import House
from tests.unlearn.requests.receivers import Receiver as Server
from tests.unlearn.requests.receivers import certificate
from tests.unlearn.requests.submissions import Suppressions, submission
from unlearn.requests import callbacks as module
from unlearn.requests.callbacks import _DELAYS, Callbacks, ForbiddenAddress, secret
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.commands.worker import deliver_all
from unlearn.requests.intake import Intake
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import AuditRow, Callback, Request

CANARY = "5eed" * 8
URL = "https://shop.example:8443/hook?x=1"


class Receiver:
    """Answers as told and keeps what came."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.came: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        status = self.answers.pop(0) if self.answers else 204
        if status == 0:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status, headers={"Location": "https://127.0.0.1/"})


def sender(ledger: Ledger, receiver: Receiver, address: str = "93.184.215.14") -> Callbacks:
    client = httpx.Client(transport=httpx.MockTransport(receiver))
    return Callbacks(ledger, "forget.example", client=client, resolve=lambda host, port: [address])


@pytest.fixture
def owing(ledger: Ledger) -> Ledger:
    """One callback is owed."""
    intake = Intake(ledger, Suppressions().suppress, due_within=timedelta(days=28))
    intake.submit(submission(CANARY, callbacks=(URL,)))
    return ledger


def row(ledger: Ledger) -> Callback:
    with ledger.database.read() as session:
        return session.scalars(select(Callback)).one()


def test_it_is_signed_and_sent_once_to_the_address_that_was_examined(owing: Ledger, monkeypatch: Any) -> None:
    receiver = Receiver()
    callbacks = sender(owing, receiver)
    assert (callbacks.deliver(), callbacks.deliver()) == (1, 0)
    (came,) = receiver.came
    assert str(came.url) == "https://93.184.215.14:8443/hook?x=1" and came.headers["Host"] == "shop.example:8443"
    assert came.extensions["sni_hostname"] == "shop.example"
    body = json.loads(came.content)
    assert body["request_status"] == "pending" and body["controller_id"] == "shop"
    assert came.headers["ce-type"] == "example.forget.erasure.pending.v1"
    assert came.headers["ce-subject"] == body["subject_request_id"] and CANARY not in came.content.decode()

    moment = owing.now().timestamp()
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _at(owing.now()))
    assert int(came.headers["webhook-timestamp"]) == int(moment)
    key = secret(owing.keyring, "shop")
    assert Webhook(key).verify(came.content, dict(came.headers)) == body
    for other in (secret(owing.keyring, "another"),):
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(came.content, dict(came.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(key).verify(came.content.replace(b"pending", b"completed"), dict(came.headers))
    assert row(owing).delivered


def _at(moment: Any) -> Any:
    import datetime as module

    class Fixed(module.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moment

    return Fixed


def test_it_is_repeated_later_and_later_until_it_arrives(owing: Ledger, clock: Clock) -> None:
    receiver = Receiver(500, 0, 302, 429)
    callbacks = sender(owing, receiver)
    for attempt in range(4):
        assert callbacks.deliver() == 0
        clock.advance(seconds=_DELAYS[attempt].total_seconds() - 1)
        assert callbacks.deliver() == 0 and len(receiver.came) == attempt + 1  # not yet
        clock.advance(seconds=1)
    assert callbacks.deliver() == 1
    assert len({request.headers["webhook-id"] for request in receiver.came}) == 1  # by which a receiver knows it again
    assert all(request.url.host == "93.184.215.14" for request in receiver.came)  # no redirect was followed
    assert row(owing).attempts == 5


def test_a_status_that_comes_late_is_of_when_it_was_one(owing: Ledger, clock: Clock) -> None:
    """Else a receiver that was away takes the first status, which comes again after the last, for the newest."""
    receiver, began = Receiver(500), clock()
    callbacks = sender(owing, receiver)
    callbacks.deliver()
    clock.advance(minutes=5)
    callbacks.deliver()
    assert [one.headers["ce-time"] for one in receiver.came] == [began.isoformat()] * 2
    assert len({one.headers["webhook-timestamp"] for one in receiver.came}) == 2  # by which a replay is known


def test_a_clock_that_was_ahead_and_is_put_right_keeps_no_controller_waiting(owing: Ledger, clock: Clock) -> None:
    callbacks = sender(owing, Receiver(500))
    clock.advance(days=400)
    assert callbacks.deliver() == 0
    clock.advance(days=-400)
    deliver_all(owing, callbacks)
    assert row(owing).delivered


def test_where_no_key_opens_its_url_it_is_tried_again_like_any_other(owing: Ledger) -> None:
    strange = replace(owing, keyring=replace(owing.keyring, payload=(bytes(32),), path=None))
    assert sender(strange, Receiver()).deliver() == 0
    assert row(owing).attempts == 1 and not row(owing).delivered


@pytest.mark.parametrize("answers", [[410], [500] * 99])
def test_it_is_given_up_when_told_so_or_after_days(owing: Ledger, clock: Clock, answers: list[int]) -> None:
    receiver = Receiver(*answers)
    callbacks = sender(owing, receiver)
    for _ in range(20):
        callbacks.deliver()
        clock.advance(days=1)
    found = row(owing)
    assert found.ended_at is not None and not found.delivered
    assert len(receiver.came) == (1 if answers == [410] else len(_DELAYS) + 1)
    with owing.database.read() as session:
        events = session.scalars(select(AuditRow.event)).all()
    assert events.count("callback.abandoned") == 1


@pytest.mark.parametrize("answer", [204, 410])
@pytest.mark.parametrize("cancelled", [False, True])
def test_whom_a_url_names_can_be_read_nowhere_and_is_gone_once_the_controller_is_told(
    sqlite_ledger: Ledger, tmp_path: Path, cancelled: bool, answer: int
) -> None:
    """Nor is who the request was about left, not even encrypted."""

    def stored(content: bytes) -> bool:
        return any(content in path.read_bytes() for path in tmp_path.glob("ledger.db*"))

    asked = submission("ada", callbacks=(f"https://shop.example/hook?of={CANARY}",))
    house = House(sqlite_ledger, tmp_path / "house")
    house.intake.submit(asked)
    with sqlite_ledger.database.read() as session:
        payload, (url,) = session.execute(select(Request.payload, Request.callbacks)).one()
    if cancelled:
        Cancelling(sqlite_ledger, lambda _: None).cancel("shop", asked.subject_request_id)
    else:
        house.worker().run_once()
    assert payload is not None and not stored(payload) and stored(url.encode())
    assert holders(tmp_path, [CANARY]) == set()
    receiver = Receiver(*[answer] * 9)
    sender(sqlite_ledger, receiver).deliver()
    assert len(receiver.came) == (2 if cancelled else 3)
    assert all(CANARY in str(request.url) for request in receiver.came)
    assert holders(tmp_path, [CANARY]) == set() and not stored(url.encode())


def test_what_a_dead_worker_had_in_hand_is_sent_again(owing: Ledger, clock: Clock) -> None:
    class Death(BaseException):
        pass

    def dying(request: httpx.Request) -> httpx.Response:
        raise Death

    dead = Callbacks(
        owing, "forget.example", client=httpx.Client(transport=httpx.MockTransport(dying)),
        resolve=lambda host, port: ["93.184.215.14"],
    )  # fmt: skip
    with pytest.raises(Death):
        dead.deliver()
    callbacks = sender(owing, Receiver())
    assert callbacks.deliver() == 0
    clock.advance(minutes=3)
    assert callbacks.deliver() == 1


def test_what_another_worker_has_delivered_stays_delivered(owing: Ledger, clock: Clock) -> None:
    """The first sender was so slow that a second one took it for dead; then it fails."""
    second = sender(owing, Receiver())

    def slow(request: httpx.Request) -> httpx.Response:
        clock.advance(minutes=3)
        assert second.deliver() == 1
        raise httpx.ReadTimeout("too slow", request=request)

    with owing.database.write() as session:  # its last attempt
        session.execute(update(Callback).values(attempts=len(_DELAYS)))
    client = httpx.Client(transport=httpx.MockTransport(slow))
    assert Callbacks(owing, "forget.example", client=client, resolve=lambda *_: ["93.184.215.14"]).deliver() == 0
    found = row(owing)
    assert found.delivered and found.ended_at is not None and found.attempts == len(_DELAYS) + 1
    with owing.database.read() as session:
        events = session.scalars(select(AuditRow.event)).all()
    assert events.count("callback.delivered") == 1 and "callback.abandoned" not in events


def test_no_receiver_makes_another_wait(sqlite_ledger: Ledger) -> None:
    """Neither answers before the other has been asked."""
    intake = Intake(sqlite_ledger, Suppressions().suppress, due_within=timedelta(days=28))
    intake.submit(submission("ada", callbacks=("https://one.example/", "https://two.example/")))
    both = threading.Barrier(2, timeout=30)

    def answer(_: httpx.Request) -> httpx.Response:
        both.wait()
        return httpx.Response(204)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    assert (
        Callbacks(sqlite_ledger, "forget.example", client=client, resolve=lambda *_: ["93.184.215.14"]).deliver() == 2
    )


def test_whoever_is_owed_many_takes_no_other_controllers_turn(ledger: Ledger, clock: Clock) -> None:
    intake = Intake(ledger, Suppressions().suppress, due_within=timedelta(days=28))
    for number in range(6):
        urls = tuple(f"https://many.example/{number}/{place}" for place in range(10))
        intake.submit(submission(f"ada {number}", caller="many", callbacks=urls))
        clock.advance(seconds=1)
    intake.submit(submission("bob", caller="few", callbacks=("https://few.example/",)))
    receiver = Receiver(*[0] * 7)
    sender(ledger, receiver).deliver()
    assert len(receiver.came) == 20 and [one.headers["Host"] for one in receiver.came].count("few.example") == 1
    deliver_all(ledger, sender(ledger, receiver))
    assert len({str(one.url) for one in receiver.came}) == 61  # and nobody's is left out


def test_the_worker_does_not_wait_for_a_receiver_that_drips(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    monkeypatch.setattr(module, "_public", lambda _: True)
    with Server(certificate(tmp_path), None) as server:
        intake = Intake(sqlite_ledger, Suppressions().suppress, due_within=timedelta(days=28))
        urls = tuple(f"https://shop.example:{server.port}/{number}" for number in range(10))
        intake.submit(submission("ada", callbacks=urls))
        started = time.monotonic()
        assert Callbacks(sqlite_ledger, "forget.example", resolve=lambda *_: ["127.0.0.1"]).deliver() == 0
        assert time.monotonic() - started < 4  # of ten times half a second
        assert server.connections == 10


INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
    "::", "ff02::1", "64:ff9b::10.0.0.5", "64:ff9b::169.254.169.254", "64:ff9b::93.184.215.14", "64:ff9b:1::a00:1",
    "fec0::1", "::10.0.0.1", "::93.184.215.14", "::ffff:93.184.215.14", "2002:a00:5::1", "2002:5db8:d70e::1",
    "2001:0:7f00:1::1", "2001:db8::1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_the_house_is_reached(owing: Ledger, address: str) -> None:
    receiver = Receiver()
    assert sender(owing, receiver, address).deliver() == 0
    assert receiver.came == [] and row(owing).attempts == 1


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450::1"])
def test_an_address_outside_is_reached(owing: Ledger, address: str) -> None:
    assert sender(owing, Receiver(), address).deliver() == 1


WRONG = [
    "http://shop.example/", "https://user:word@shop.example/", "ftp://shop.example/", "https:///x", "file:///etc",
    "https://shop.example:65536/", "https://[x]/", "https://shop.example:x/",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_no_other_kind_of_url_is_used(owing: Ledger, wrong: str) -> None:
    with owing.database.write() as session:
        session.execute(update(Callback).values(url=owing.keyring.seal_url(wrong)))
    receiver = Receiver()
    assert sender(owing, receiver).deliver() == 0 and receiver.came == []


ODD = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}://{}{}:{}/{}".format,
        st.sampled_from(["https", "http", "HTTPS", "ftp", "file", "gopher", "https:", "//https"]),
        st.sampled_from(["", "user@", "user:word@", "shop.example@", "%40", "\\\\"]),
        st.sampled_from([
            "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]",
            "169.254.169.254", "[fe80::1%25eth0]", "10.0.0.1", "0", "inside.example", "shop.example#@127.0.0.1",
            "127.0.0.1\\.shop.example", "shop.example.", "\u2488\u2488", "[v1.x]", "", "a" * 300,
        ]),
        st.sampled_from(["443", "", "0", "65536", "-1", "22", "8443x"]),
        st.sampled_from(["", "../../etc/passwd", "%2e%2e/%2e%2e/", "x?y=http://127.0.0.1/", "\r\nHost: x", "\x00"]),
    ),
)  # fmt: skip


@settings(max_examples=200, derandomize=True, database=None)
@given(url=ODD)
def test_whatever_url_a_stranger_makes_up_leads_outside_or_nowhere(url: str) -> None:
    """As the system would resolve it, but for names, of which one is of the house and all others are public."""

    def resolve(host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError, OverflowError):
            return ["10.0.0.7"] if host in ("inside.example", "localhost") else ["93.184.215.14"]
        return [str(one[4][0]) for one in found]

    sent = Callbacks(None, "forget.example", client=httpx.Client(), resolve=resolve)  # pyright: ignore[reportArgumentType]
    try:
        address, _, _ = sent._examined(url)
    except ForbiddenAddress:
        return
    try:
        leads = httpx.URL(address)
    except httpx.InvalidURL:
        return  # nothing can be sent there
    assert leads.scheme == "https" and not leads.userinfo
    assert ipaddress.ip_address(leads.host).is_global


def test_one_inner_address_among_public_ones_is_enough_to_refuse(owing: Ledger, tmp_path: Path) -> None:
    receiver = Receiver()
    client = httpx.Client(transport=httpx.MockTransport(receiver))
    both = ["93.184.215.14", "127.0.0.1"]
    assert Callbacks(owing, "forget.example", client=client, resolve=lambda host, port: both).deliver() == 0
    assert receiver.came == []
