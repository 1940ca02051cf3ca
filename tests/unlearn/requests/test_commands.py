"""What the worker's command logs and sends: no callback's URL, and every callback that is due."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import Suppressions, submission
from unlearn.requests.callbacks import Callbacks
from unlearn.requests.commands.options import log_to_stderr
from unlearn.requests.commands.worker import deliver_all
from unlearn.requests.intake import Intake
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import Callback


def owing(ledger: Ledger, number: int) -> Ledger:
    intake = Intake(ledger, Suppressions().suppress, due_within=timedelta(days=28))
    for _ in range(number):
        intake.submit(submission("ada", callbacks=("https://shop.example/hook-of-ada?token=secret",)))
    return ledger


def callbacks(ledger: Ledger, receiver: httpx.MockTransport) -> Callbacks:
    client = httpx.Client(transport=receiver)
    return Callbacks(ledger, "forget.example", client=client, resolve=lambda host, port: ["93.184.215.14"])


@pytest.fixture
def as_it_logs(tmp_path: Path) -> Iterator[Path]:
    """Where all that is logged goes, as if standard error were a file; loggers are as they were afterwards."""
    names = ("alembic", "httpx", "httpcore", None)
    root, levels = logging.getLogger(), [logging.getLogger(name).level for name in names]
    handlers, root.handlers = root.handlers, []
    log_to_stderr()
    written = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    for handler in root.handlers:
        handler.close()
    root.handlers = [written]
    yield tmp_path / "log"
    written.close()
    root.handlers = handlers
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def test_the_log_has_no_callbacks_url(sqlite_ledger: Ledger, as_it_logs: Path) -> None:
    answers = iter([503, 204])
    receiver = httpx.MockTransport(lambda request: httpx.Response(next(answers)))
    assert callbacks(owing(sqlite_ledger, 2), receiver).deliver() == 1
    logging.getLogger("unlearn.requests").info("something else")
    told = as_it_logs.read_text("utf-8")
    assert "something else" in told and "hook" not in told and "secret" not in told and "93.184" not in told


def test_every_callback_that_is_due_is_sent(ledger: Ledger) -> None:
    deliver_all(owing(ledger, 25), callbacks(ledger, httpx.MockTransport(lambda request: httpx.Response(204))))
    with ledger.database.read() as session:
        assert list(session.scalars(select(Callback.delivered))) == [True] * 25


def test_a_receiver_that_fails_slowly_does_not_keep_the_command(ledger: Ledger, clock: Clock) -> None:
    """By the time that the last one was tried, the first is due again."""

    def fail(request: httpx.Request) -> httpx.Response:
        clock.advance(seconds=9)
        raise httpx.ReadTimeout("too slow", request=request)

    deliver_all(owing(ledger, 25), callbacks(ledger, httpx.MockTransport(fail)))
    with ledger.database.read() as session:
        attempts = list(session.scalars(select(Callback.attempts)))
    assert len(attempts) == 25 and all(1 <= number <= 3 for number in attempts)
