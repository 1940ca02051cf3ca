"""In whatever order things happen, crashes included: no request is lost, moved wrongly, or remembered once closed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import KIND, submission
from tests.unlearn.target.example import Purchases
from tests.unlearn.target.people import PEOPLE, ROWS
from unlearn.requests import audit, worker
from unlearn.requests.cancelling import Cancelling, TooLate
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.database import Database
from unlearn.requests.holds import Holds
from unlearn.requests.intake import AlreadyReceived, Intake, KeyReused, Receipt, Submission
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.queue import Batching, Claim, LostLease, Queue
from unlearn.requests.states import Outcome, RequestEvent, RequestState, Step, after_event, after_step
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import AuditRow, BatchRow, CertificateRow, Person, Request, StepRecord, Task
from unlearn.requests.tasks import Due, Ended, due, record, retry
from unlearn.requests.worker import Worker
from unlearn.target import Subject, Target

EAGER, LEASE = Batching(window=timedelta(0), limit=2), timedelta(minutes=1)
OPEN = {RequestState.PENDING, RequestState.ON_HOLD, RequestState.IN_PROGRESS}
people = st.lists(st.sampled_from([*PEOPLE[:4], "a stranger"]), min_size=1, max_size=2, unique=True)


class Killed(BaseException):
    """What `kill -9` is within one process: nothing that runs afterwards is told."""


@dataclass
class Trigger:
    """Raises at the call of that number, counted over all that is watched."""

    left: int = -1

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.fire()
            result = function(*arguments, **named)
            self.fire()
            return result

        return wrapped

    def fire(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    @contextmanager
    def pulled_after(self, calls: int) -> Iterator[None]:
        self.left = calls
        try:
            yield
        except Killed:
            pass
        finally:
            self.left = -1


class Orders(RuleBasedStateMachine):
    """One controller, one operator, workers that die, and two targets of which one distrusts its unlearning."""

    template: ClassVar[Path]
    keyring: ClassVar[Keyring]
    made = Bundle("made")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        shutil.copyfile(self.template, self.folder / "ledger.db")
        self.clock, self.trigger = Clock(), Trigger()
        self.ledger = Ledger(Database(f"sqlite:///{self.folder}/ledger.db"), self.keyring, self.clock)
        self.distrusted = {"shop": {"subtract"}, "kiosk": set[str]()}
        for name in self.distrusted:
            Purchases.create(self.folder / name, ROWS)
        self.told: dict[str, Receipt] = {}
        self.cancelled: set[str] = set()
        self.protected: set[str] = set()
        self.hanging: list[tuple[Claim, Due]] = []
        self.restart()

    def restart(self) -> None:
        """As after the death of all processes."""
        self.targets: dict[str, Target] = {
            name: Purchases(self.folder / name, self.keyring.pseudonyms, frozenset(distrusted))
            for name, distrusted in self.distrusted.items()
        }
        self.intake = Intake(self.ledger, self.suppress, due_within=timedelta(days=28))
        self.cancelling = Cancelling(self.ledger, self.release)
        self.queue = Queue(self.ledger, self.targets, EAGER, lease=LEASE)

    def suppress(self, subjects: Any) -> None:
        for target in self.targets.values():
            self.trigger.fire()
            target.suppress(subjects)

    def release(self, subjects: Any) -> None:
        for target in self.targets.values():
            self.trigger.fire()
            target.release(subjects)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.ledger.database.close()
            shutil.rmtree(self.folder)

    # ---- what a controller does --------------------------------------------------------------------------------------

    @rule(target=made, names=people)
    def create(self, names: list[str]) -> Submission:
        return self.ask(names)

    def ask(self, names: list[str]) -> Submission:
        one = submission(*names, callbacks=("https://shop.example/hook",))
        self.told[one.subject_request_id] = self.intake.submit(one)
        return one

    @rule(target=made, names=people, calls=st.integers(1, 2))
    def create_while_the_server_dies(self, names: list[str], calls: int) -> Submission:
        one = submission(*names)
        with self.trigger.pulled_after(calls):
            self.intake._store([one])
        self.restart()
        self.told[one.subject_request_id] = self.intake.submit(one)  # nobody was answered, so it is sent again
        return one

    @rule(one=made)
    def repeat(self, one: Submission) -> None:
        again = self.intake.submit(one)
        assert again.replayed and again.received_at == self.told[one.subject_request_id].received_at

    @rule(one=made)
    def reuse(self, one: Submission) -> None:
        with pytest.raises(KeyReused):
            self.intake.submit(submission("eve", idempotency_key=one.idempotency_key))
        with pytest.raises(AlreadyReceived):
            self.intake.submit(submission("eve", subject_request_id=one.subject_request_id))

    @rule(one=made, calls=st.integers(0, 3))
    def cancel(self, one: Submission, calls: int) -> None:
        before = self.states()[one.subject_request_id]
        try:
            with self.trigger.pulled_after(calls):
                self.cancelling.cancel("shop", one.subject_request_id)
        except TooLate:
            assert before in (RequestState.IN_PROGRESS, RequestState.COMPLETED)
            return
        assert before in (RequestState.PENDING, RequestState.ON_HOLD, RequestState.CANCELLED)
        self.cancelled.add(one.subject_request_id)
        self.restart()
        self.cancelling.finish()  # what its server may have left undone

    # ---- what an operator does ---------------------------------------------------------------------------------------

    @rule(person=st.sampled_from(PEOPLE[:4]))
    def hold(self, person: str) -> None:
        placed = Holds(self.ledger).place(Subject(KIND, person), "case 7")
        if not placed.too_late_for:
            self.protected.add(person)

    @rule(person=st.sampled_from(PEOPLE[:4]))
    def lift(self, person: str) -> None:
        Holds(self.ledger).lift(self.ledger.keyring.pseudonyms.of(Subject(KIND, person)))
        self.protected.discard(person)

    @rule(trusted=st.booleans())
    def judge(self, trusted: bool) -> None:
        """Whether a retrain passes its verification in the shop."""
        self.distrusted["shop"] = {"subtract"} if trusted else {"subtract", "count"}
        self.restart()

    @rule()
    def retry(self) -> None:
        with self.ledger.database.read() as session:
            stuck = session.scalars(select(Task.batch_id).where(Task.step == Step.ATTENTION)).all()
        for batch in stuck:
            retry(self.ledger, batch, "operator")
        with pytest.raises(Refused):
            retry(self.ledger, "0" * 32, "operator")

    # ---- what workers do ---------------------------------------------------------------------------------------------

    def worker(self) -> Worker:
        return Worker(self.ledger, self.targets, batching=EAGER, escalation=Escalation(share=2, drift=2), lease=LEASE)

    @rule(target=made, names=people)
    def serve(self, names: list[str]) -> Submission:
        one = self.ask(names)
        self.worker().run_once()
        return one

    @rule(target=made, names=people, calls=st.integers(1, 45))
    def serve_and_die(self, names: list[str], calls: int) -> Submission:
        one = self.ask(names)
        watched = [(worker, "perform"), (worker, "record")]
        watched += [(Queue, name) for name in ("claim", "check_holds", "close")]
        with pytest.MonkeyPatch.context() as patch:
            for place, name in watched:
                patch.setattr(place, name, self.trigger.watched(getattr(place, name)))
            with self.trigger.pulled_after(calls):
                self.worker().run_once()
        self.restart()
        return one

    @rule(target=made, names=people)
    def claim_and_hang(self, names: list[str]) -> Submission:
        one = self.ask(names)
        if (claim := self.queue.claim("hanging")) is not None:
            self.hanging.append((claim, due(self.ledger, claim)[0]))
        return one

    @precondition(lambda self: self.hanging)
    @rule(overtaken=st.booleans())
    def wake(self, overtaken: bool) -> None:
        """A worker that hung records what it has just done, and lets go of the batch; or it has lost both."""
        claim, step = self.hanging.pop()
        if overtaken:
            self.clock.advance(minutes=2)
            self.worker().run_once()
        try:
            if step.step is Step.RESOLVE:
                record(self.ledger, self.queue, claim, step, Ended(Outcome.DONE, {"counts": {}}), self.clock())
            self.queue.failed(claim, "OSError")
        except LostLease:
            with self.ledger.database.read() as session:
                assert session.get_one(BatchRow, claim.batch_id).fence > claim.fence

    @rule(minutes=st.sampled_from([1, 2, 120]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    # ---- what must hold ----------------------------------------------------------------------------------------------

    def states(self) -> dict[str, RequestState]:
        with self.ledger.database.read() as session:
            return {row.subject_request_id: row.state for row in session.scalars(select(Request))}

    @invariant()
    def nobody_who_was_acknowledged_is_lost(self) -> None:
        states = self.states()
        assert states.keys() == self.told.keys()
        assert {one for one, state in states.items() if state is RequestState.CANCELLED} == self.cancelled

    @invariant()
    def every_move_is_one_of_the_table_and_in_the_trail(self) -> None:
        with self.ledger.database.read() as session:
            assert audit.first_break(session, self.ledger) is None
            moves: dict[str, list[str]] = {}
            for row in session.scalars(select(AuditRow).order_by(AuditRow.sequence)):
                moves.setdefault(row.about, []).append(row.event.partition(".")[2])
            for request in session.scalars(select(Request)):
                first, *events = moves[audit_name(request)]
                state = RequestState.PENDING
                for event in events:
                    state = after_event(state, RequestEvent(event)) if event in list(RequestEvent) else state
                assert first == "received" and state is request.state
            steps: dict[tuple[str, str], Step] = {}
            for done in session.scalars(select(StepRecord).order_by(StepRecord.id)):
                at = steps.get((done.batch_id, done.target), Step.RESOLVE)
                at = Step.RETRAIN if at is Step.ATTENTION else at  # where only a person has it go on
                assert at is done.step
                steps[done.batch_id, done.target] = after_step(at, done.outcome)
            for task in session.scalars(select(Task)):
                at = steps.get((task.batch_id, task.target), Step.RESOLVE)
                assert task.step is at or (at, task.step) == (Step.ATTENTION, Step.RETRAIN)

    @invariant()
    def who_it_is_about_is_known_for_as_long_as_it_is_needed(self) -> None:
        with self.ledger.database.read() as session:
            for request in session.scalars(select(Request)):
                assert (request.payload is not None) == (request.state in OPEN)

    @invariant()
    def who_asked_is_suppressed_and_who_was_completed_is_gone(self) -> None:
        name = self.keyring.pseudonyms.of
        with self.ledger.database.read() as session:
            rows = session.execute(select(Person.pseudonym, Request.state).join(Request)).all()
        asked = {who for who, state in rows if state is not RequestState.CANCELLED}
        done = {who for who, state in rows if state is RequestState.COMPLETED}
        for target in self.targets.values():
            assert isinstance(target, Purchases)
            held = {who for who, _ in target._read("rows.json")}
            for person in PEOPLE:
                subject = Subject(KIND, person)
                assert (subject in target._blocked) == (name(subject) in asked)
                assert name(subject) not in done or person not in held
                assert person not in self.protected or person in held or name(subject) in done

    @invariant()
    def certificates_are_whole_and_follow_each_other(self) -> None:
        key = public_key(self.keyring)
        with self.ledger.database.read() as session:
            rows = session.scalars(select(CertificateRow).order_by(CertificateRow.sequence)).all()
        found = [json.loads(row.content) for row in rows]
        for before, one in zip([None, *found], found, strict=False):
            assert defects(one, key, before) == []


def audit_name(request: Request) -> str:
    return f"request:{request.id}"


def test_any_order(sqlite_template: Path, keyring: Keyring) -> None:
    Orders.template, Orders.keyring = sqlite_template, keyring
    few = settings(
        max_examples=20, stateful_step_count=30, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Orders, settings=few)
