"""kill -9 between any two things that the worker or the server does: nothing is lost, and nothing happens twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.oracles.traces import holders
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.killed import Boundary, fresh
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.crashes import die, killed
from tests.unlearn.target.example import Purchases
from tests.unlearn.target.people import PEOPLE, ROWS
from unlearn.requests import audit
from unlearn.requests.database import Database
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import counts
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import Callback, Request, StepRecord
from unlearn.requests.worker import Worker

MONTH = timedelta(days=28)
# The longest way that ends well: the first version fails, the retrained one passes.
PATH = [
    (Step.RESOLVE, Outcome.DONE), (Step.SUPPRESS, Outcome.DONE), (Step.REMOVE, Outcome.DONE),
    (Step.UNLEARN, Outcome.DONE), (Step.VERIFY, Outcome.FAILED), (Step.ROLLBACK, Outcome.DONE),
    (Step.RETRAIN, Outcome.DONE), (Step.VERIFY_RETRAIN, Outcome.PASSED), (Step.PUBLISH, Outcome.DONE),
    (Step.PURGE, Outcome.DONE),
]  # fmt: skip


def target(folder: Path, keyring: Keyring) -> Purchases:
    return Purchases(folder, keyring.pseudonyms, frozenset({"subtract"}))


def serve(url: str, keyring: Keyring, clock: Clock, folder: Path) -> None:
    """As a worker does that has just been started."""
    database = Database(url)
    eager, patient = Batching(window=timedelta(0)), Escalation(share=2.0, drift=2.0)
    served = Worker(
        Ledger(database, keyring, clock), {"shop": target(folder, keyring)}, batching=eager, escalation=patient
    )
    while served.run_once():
        pass
    database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_worker_killed_at_any_boundary(
    kind: str, request: pytest.FixtureRequest, in_memory: Path, keyring: Keyring, sqlite_template: Path
) -> None:
    # Every boundary on SQLite; on PostgreSQL every fifth, from a different one each: the steps are the same code.
    number, step, kills = 0, (1 if kind == "sqlite" else 5), 0
    while True:
        folder, clock = in_memory / f"shop{number}", Clock()
        url = fresh(kind, request, in_memory, sqlite_template, number)
        Purchases.create(folder, ROWS)
        ledger = Ledger(Database(url), keyring, clock)
        intake = Intake(ledger, target(folder, keyring).suppress, due_within=MONTH)
        for people in (PEOPLE[:1], PEOPLE[1:3]):
            intake.submit(submission(*people, callbacks=("https://shop.example/hook",)))

        def work(number: int = number, url: str = url, clock: Clock = clock, folder: Path = folder) -> None:
            Boundary(number).arm()
            serve(url, keyring, clock, folder)

        ledger.database.close()
        dead = killed(work)
        clock.advance(minutes=2)  # the lease of the dead has ended
        serve(url, keyring, clock, folder)
        check(ledger, folder)
        ledger.database.close()
        if not dead:
            break
        kills, number = kills + 1, number + step
    assert kills >= 2 * len(PATH) + 3 if kind == "sqlite" else kills > 4


def check(ledger: Ledger, folder: Path) -> None:
    assert counts(ledger)[RequestState.COMPLETED] == 2
    assert holders(folder, PEOPLE[:3]) == set() and holders(folder, PEOPLE[3:4])
    kept = [(person, thing) for person, thing in ROWS if person not in PEOPLE[:3]]
    expected = {thing: sum(one == thing for _, one in kept) for thing in sorted({thing for _, thing in kept})}
    assert target(folder, ledger.keyring).counts() == expected
    with ledger.database.read() as session:
        rows = session.scalars(select(StepRecord).order_by(StepRecord.id)).all()
        assert [(row.step, row.outcome) for row in rows] == PATH
        (removed,) = [row.result["counts"]["purchases"] for row in rows if row.step is Step.REMOVE]
        assert removed == 9
        assert session.scalars(select(Request.payload)).all() == [None, None]
        told = session.execute(select(Callback.status, func.count()).group_by(Callback.status)).all()
        assert dict(map(tuple, told)) == {"pending": 2, "in_progress": 2, "completed": 2}
        assert audit.first_break(session, ledger) is None


def test_a_server_killed_before_during_and_after_a_commit(
    url: str, keyring: Keyring, clock: Clock, tmp_path: Path
) -> None:
    Purchases.create(tmp_path / "shop", ROWS)
    one, ledger = submission(PEOPLE[0]), Ledger(Database(url), keyring, clock)
    shop = target(tmp_path / "shop", keyring)

    def submitting(*, before: bool = False, during: bool = False) -> Any:
        def work() -> None:
            own = target(tmp_path / "shop", keyring)

            def suppress(people: Any) -> None:
                if before:
                    die()
                own.suppress(people)
                if during:
                    die()

            Intake(Ledger(Database(url), keyring, clock), suppress, due_within=MONTH).submit(one)
            die()

        return work

    def number() -> int:
        with ledger.database.read() as session:
            return session.scalar(select(func.count()).select_from(Request)) or 0

    assert killed(submitting(before=True))
    assert number() == 0 and shop.bought_by(PEOPLE[0]) != []  # no answer, and nothing had happened
    assert killed(submitting(during=True))
    assert number() == 0 and shop.bought_by(PEOPLE[0]) == []  # suppressed too early, never too late
    assert killed(submitting())
    assert number() == 1
    receipt = Intake(ledger, shop.suppress, due_within=MONTH).submit(one)  # what a caller does that got no answer
    assert receipt.replayed and number() == 1
    with ledger.database.read() as session:
        assert audit.first_break(session, ledger) is None
    ledger.database.close()
