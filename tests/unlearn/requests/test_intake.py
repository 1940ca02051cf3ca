"""A request is taken in once, suppressed before it is acknowledged, and about nobody in particular on disk."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.unlearn.requests.submissions import KIND, Suppressions, submission
from unlearn.requests import audit
from unlearn.requests import intake as intake_module
from unlearn.requests.cancelling import Cancelling, TooLate
from unlearn.requests.database import Database
from unlearn.requests.intake import AlreadyReceived, InFlight, Intake, KeyReused, Receipt
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger, NoSuchRequest, Refused
from unlearn.requests.states import RequestState
from unlearn.requests.status import listed, status
from unlearn.requests.tables import Callback, Person, Request
from unlearn.target import INTERACTION, Subject

MONTH = timedelta(days=28)


@pytest.fixture
def targets() -> Suppressions:
    return Suppressions()


@pytest.fixture
def intake(ledger: Ledger, targets: Suppressions) -> Intake:
    return Intake(ledger, targets.suppress, due_within=MONTH)


def number(ledger: Ledger) -> int:
    with ledger.database.read() as session:
        return session.scalar(select(func.count()).select_from(Request)) or 0


def test_the_same_key_and_body_get_the_same_answer(intake: Intake, ledger: Ledger, targets: Suppressions) -> None:
    one = submission("ada", "bob")
    receipt = intake.submit(one)
    assert receipt == Receipt(one.subject_request_id, ledger.now(), ledger.now() + MONTH, replayed=False)
    assert targets.people == {"ada", "bob"}
    again = intake.submit(one)
    assert again.replayed and again.received_at == receipt.received_at
    assert number(ledger) == 1
    assert status(ledger, "shop", one.subject_request_id).state is RequestState.PENDING


def test_the_same_key_with_another_body_is_refused(intake: Intake, ledger: Ledger, targets: Suppressions) -> None:
    one = submission("ada")
    intake.submit(one)
    with pytest.raises(KeyReused):
        intake.submit(submission("eve", idempotency_key=one.idempotency_key))
    assert number(ledger) == 1 and targets.people == {"ada"}
    # Keys are the caller's own.
    intake.submit(submission("eve", idempotency_key=one.idempotency_key, caller="another"))
    assert number(ledger) == 2


def test_the_same_request_under_another_key_is_refused(intake: Intake, ledger: Ledger) -> None:
    one = submission("ada")
    intake.submit(one)
    with pytest.raises(AlreadyReceived):
        intake.submit(submission("ada", subject_request_id=one.subject_request_id))
    intake.submit(submission("ada", subject_request_id=one.subject_request_id, caller="another"))
    assert number(ledger) == 2


def test_a_key_that_is_in_use_at_this_moment_is_refused(ledger: Ledger) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow(subjects: object) -> None:
        arrived.set()
        assert go_on.wait(20)

    intake, one = Intake(ledger, slow, due_within=MONTH), submission("ada")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(intake.submit, one)
        assert arrived.wait(20)
        with pytest.raises(InFlight):
            intake.submit(one)
        with pytest.raises(KeyReused):
            intake.submit(submission("eve", idempotency_key=one.idempotency_key))
        go_on.set()
        assert not first.result().replayed
    assert intake.submit(one).replayed


def test_many_at_once_are_all_there_once(intake: Intake, ledger: Ledger, targets: Suppressions) -> None:
    distinct = [submission(f"person {k}") for k in range(60)]
    sent = distinct + distinct[::3]

    def send(one: object) -> bool:
        while True:
            try:
                return intake.submit(one).replayed  # pyright: ignore[reportArgumentType]
            except InFlight:
                continue

    with ThreadPoolExecutor(16) as pool:
        replayed = list(pool.map(send, sent))
    assert sum(replayed) == len(sent) - len(distinct)
    assert number(ledger) == len(distinct) == len(targets.people)
    with ledger.database.read() as session:
        assert audit.first_break(session, ledger) is None and audit.head(session).sequence == len(distinct)


def test_two_servers_take_the_same_request_in_once(ledger: Ledger, targets: Suppressions) -> None:
    intakes = [Intake(ledger, targets.suppress, due_within=MONTH) for _ in range(4)]
    for _ in range(8):
        one = submission("ada")
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda intake, one=one: intake.submit(one).replayed, intakes))
        assert sorted(answers) == [False, True, True, True]
    assert number(ledger) == 8


def test_whoever_reads_on_from_the_last_number_misses_nothing_that_another_server_takes_in(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be one of them slow: what has the lower number is there first."""
    slow, quick = submission("ada", callbacks=("https://shop.example/hook",)), submission("bob")
    under_way, go_on, real = threading.Event(), threading.Event(), intake_module.announce

    def hindered(session: Any, number: int, urls: list[str], *about: Any) -> None:
        if urls:
            under_way.set()
            go_on.wait(60)
        real(session, number, urls, *about)

    monkeypatch.setattr(intake_module, "announce", hindered)
    servers = [Intake(ledger, lambda _: None, due_within=MONTH) for _ in range(2)]
    first = servers[0].enqueue(slow)
    assert under_way.wait(60)
    second, read, last = servers[1].enqueue(quick), list[str](), 0
    for done in (lambda: wait([second], timeout=1), lambda: (go_on.set(), wait([first, second]))):
        done()
        page = listed(ledger, after=last)
        read += [found.subject_request_id for _, found in page]
        last = max((number for number, _ in page), default=last)
    assert read == [slow.subject_request_id, quick.subject_request_id]
    for server in servers:
        server.close()


def test_nothing_is_acknowledged_that_is_not_suppressed_and_the_others_are(ledger: Ledger) -> None:
    def broken(subjects: list[Subject]) -> None:
        if any(subject.value == "eve" for subject in subjects):
            raise OSError("no space left")

    intake = Intake(ledger, broken, due_within=MONTH)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(intake.submit, submission(name)) for name in ["ada", "eve", "bob", "cy", "dan"]]
    failed = [future.exception() for future in futures]
    assert isinstance(failed[1], OSError) and failed.count(None) == 4
    assert number(ledger) == 4


def test_who_it_is_about_is_in_no_table(sqlite_url: str, keyring: Keyring, tmp_path: Path) -> None:
    canary = "5eed" * 8
    ledger = Ledger(Database(sqlite_url), keyring)
    intake = Intake(ledger, lambda _: None, due_within=MONTH)
    one = submission(canary, idempotency_key=f"erase {canary}")
    intake.submit(one)
    with pytest.raises(Refused) as refusal:
        intake.submit(submission(canary, idempotency_key=one.idempotency_key))
    assert canary not in f"{refusal.value!r} {one!r}"
    with ledger.database.read() as session:
        row = session.scalars(select(Request)).one()
        assert session.scalars(select(Person.pseudonym)).all() == [keyring.pseudonyms.of(Subject(KIND, canary))]
    assert row.payload is not None and keyring.open(row.payload) == (Subject(KIND, canary),)
    ledger.database.close()
    assert not any(canary.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


# ---- cancelling ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cancelling(ledger: Ledger, targets: Suppressions) -> Cancelling:
    return Cancelling(ledger, targets.release)


def test_cancelling_releases_whom_nobody_else_asked_to_forget(
    intake: Intake, cancelling: Cancelling, ledger: Ledger, targets: Suppressions
) -> None:
    first, second = submission("ada", "bob", callbacks=("https://shop.example/hook",)), submission("bob")
    intake.submit(first)
    intake.submit(second)
    cancelling.cancel("shop", first.subject_request_id)
    assert targets.people == {"bob"}
    assert status(ledger, "shop", first.subject_request_id).state is RequestState.CANCELLED
    with ledger.database.read() as session:
        assert [bool(row.payload) for row in session.scalars(select(Request).order_by(Request.id))] == [False, True]
        told = [row.status for row in session.scalars(select(Callback).order_by(Callback.created_at, Callback.status))]
        assert sorted(told) == ["cancelled", "pending"]
    cancelling.cancel("shop", first.subject_request_id)  # again
    cancelling.cancel("shop", second.subject_request_id)
    assert targets.people == set()


def test_an_interaction_that_is_asked_for_in_two_spellings_is_released_with_the_second(
    intake: Intake, cancelling: Cancelling, targets: Suppressions
) -> None:
    asked = [
        submission(subjects=(Subject(INTERACTION, value),))
        for value in (f'["{KIND}","ada","book"]', f'["{KIND}", "\\u0061da", "book"]')
    ]
    for one in asked:
        intake.submit(one)
    cancelling.cancel("shop", asked[0].subject_request_id)
    assert targets.people == {f'["{KIND}","ada","book"]'}
    cancelling.cancel("shop", asked[1].subject_request_id)
    assert targets.people == set()


def test_a_release_that_a_crash_interrupted_is_finished_later(
    intake: Intake, ledger: Ledger, targets: Suppressions
) -> None:
    one = submission("ada")
    intake.submit(one)

    def crash(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cancelling(ledger, crash).cancel("shop", one.subject_request_id)
    assert targets.people == {"ada"}
    later = Cancelling(ledger, targets.release)
    assert (later.finish(), later.finish()) == (1, 0)
    assert targets.people == set()


def test_only_the_callers_own_pending_requests_can_be_cancelled(
    intake: Intake, cancelling: Cancelling, ledger: Ledger
) -> None:
    one = submission("ada")
    intake.submit(one)
    for caller in ("another", ""):
        with pytest.raises(NoSuchRequest):
            cancelling.cancel(caller, one.subject_request_id)
    with ledger.database.write() as session:
        session.scalars(select(Request)).one().state = RequestState.IN_PROGRESS
    with pytest.raises(TooLate, match="in_progress"):
        cancelling.cancel("shop", one.subject_request_id)
