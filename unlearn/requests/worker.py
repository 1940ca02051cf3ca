"""The worker: serves one batch after another, step by step, and goes on where any worker died."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching, Claim, LostLease, Queue
from unlearn.requests.states import RESTING, Step
from unlearn.requests.steps import Escalation, perform
from unlearn.requests.tasks import Due, due, record
from unlearn.target import Batch, Target

_log = logging.getLogger(__name__)
_IDLE = 1.0  # seconds between two looks where there was nothing to do
_GONE = 5.0  # and where the database did not answer


class NoSuchTarget(RuntimeError):
    """A batch has a step to take in a target that the settings name no more."""


class Worker:
    """Serves batches through these targets.

    Args:
        lease: how long the worker may be silent before another takes its batch over; it speaks three times as often.
    """

    def __init__(
        self,
        ledger: Ledger,
        targets: Mapping[str, Target],
        *,
        batching: Batching | None = None,
        escalation: Escalation | None = None,
        lease: timedelta = timedelta(minutes=1),
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._ledger = ledger
        self._targets = targets
        self._escalation = escalation or Escalation()
        self._lease = lease
        self._queue = Queue(ledger, targets, batching or Batching(), lease=lease)

    def run_once(self) -> bool:
        """Serve one batch as far as it goes; False where there was none to serve."""
        claim = self._queue.claim(self.name)
        if claim is None:
            return False
        try:
            if (error := self._attempt(claim)) is not None:
                _log.error("batch %s: %s, to be tried again", claim.batch_id, error)
                self._queue.failed(claim, error)
        except LostLease:
            _log.warning("batch %s: lease lost", claim.batch_id)
        return True

    def run(self, stop: threading.Event, chores: Iterable[Callable[[], object]] = ()) -> None:
        """Serve until told to stop, doing the chores between batches; the batch at hand is finished first.

        While the database is gone, or its disk full, it waits: a batch goes on where it was left.
        """
        while not stop.is_set():
            try:
                pause = 0.0 if self.run_once() else _IDLE
                for chore in chores:
                    chore()
            except OperationalError as error:
                _log.error("database: %s, to be tried again", type(error.orig).__name__)
                pause = _GONE
            if pause:
                stop.wait(pause)

    def _attempt(self, claim: Claim) -> str | None:
        """Serve the batch; the class of what stopped it, if anything did.

        A target's message may quote an id: ledger and log never see it, nor does whatever is raised later.
        """
        try:
            with self._heart(claim):
                self._serve(claim)
        except LostLease:
            raise
        except Exception as error:
            return type(error).__name__
        return None

    def _serve(self, claim: Claim) -> None:
        if not self._queue.check_holds(claim):
            return
        batch = self._queue.people(claim)
        failures = [error for next_ in due(self._ledger, claim) if (error := self._finish(claim, next_, batch))]
        if failures:
            raise failures[0]
        if self._queue.close(claim):
            _log.info("batch %s: complete", claim.batch_id)

    def _finish(self, claim: Claim, step: Due, batch: Batch) -> Exception | None:
        """Take all steps that are left in one target; what stops it there is handed back, for others may go on."""
        try:
            while step.step not in RESTING:
                step = self._take(claim, step, batch)
        except LostLease:
            raise
        except Exception as error:
            return error
        if step.step == Step.ATTENTION:
            _log.error("batch %s: target %s needs attention", claim.batch_id, step.target)
        return None

    def _take(self, claim: Claim, step: Due, batch: Batch) -> Due:
        if (target := self._targets.get(step.target)) is None:
            raise NoSuchTarget(step.target)
        started = self._ledger.now()
        ended = perform(step, target, batch, self._escalation)
        _log.info("batch %s: %s of %s ended as %s", claim.batch_id, step.step, step.target, ended.outcome)
        return record(self._ledger, self._queue, claim, step, ended, started)

    @contextmanager
    def _heart(self, claim: Claim) -> Generator[None]:
        """Keep the lease while a step takes its time."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._lease.total_seconds() / 3):
                try:
                    kept = self._queue.heartbeat(claim)
                except SQLAlchemyError as error:  # the lease lasts for two more
                    _log.warning("batch %s: no heartbeat: %s", claim.batch_id, type(error).__name__)
                    continue
                if not kept:
                    return  # the next record will find out

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
