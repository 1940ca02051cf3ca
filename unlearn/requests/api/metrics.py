"""What Prometheus is told: by route and by state, never by person, caller or request."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from unlearn.requests.intake import Receipt
from unlearn.requests.ledger import Ledger
from unlearn.requests.states import RequestState, Step
from unlearn.requests.status import counts
from unlearn.requests.tables import BatchRow, Callback, Request, Task


class Metrics:
    """Counters of this process, and gauges that are read from the ledger when Prometheus asks."""

    def __init__(self, ledger: Ledger) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_OfLedger(ledger))
        self._answers = Histogram(
            "unlearn_http_seconds", "Seconds to the answer.", ["method", "route", "status"], registry=self._registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )  # fmt: skip
        self._requests = Counter(
            "unlearn_requests_received",
            "Requests taken in, and repetitions of such.",
            ["kind"],
            registry=self._registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answer was given."""
        self._answers.labels(method, route, str(status)).observe(seconds)

    def taken_in(self, receipt: Receipt) -> None:
        """A request was acknowledged."""
        self._requests.labels("replayed" if receipt.replayed else "accepted").inc()

    def exposition(self) -> tuple[bytes, str]:
        """All of it as text, and the type of that text."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _OfLedger(Collector):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def describe(self) -> Iterator[Metric]:
        yield from ()  # registering must not need the database

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("unlearn_requests", "Requests by state.", labels=["state"])
        for state, number in counts(self._ledger).items():
            states.add_metric([state], number)
        yield states
        with self._ledger.database.read() as session:
            open_states = (RequestState.PENDING, RequestState.IN_PROGRESS)
            due = session.scalar(select(func.min(Request.due_at)).where(Request.state.in_(open_states)))
            open_batches = select(func.count()).select_from(BatchRow).where(BatchRow.closed_at.is_(None))
            figures = {
                "unlearn_batches_open": (open_batches, "Batches that are not closed."),
                "unlearn_batches_failing": (
                    open_batches.where(BatchRow.attempts > 0), "Batches whose step raised and is to be tried again."
                ),
                "unlearn_tasks_attention": (
                    select(func.count()).select_from(Task).where(Task.step == Step.ATTENTION),
                    "Targets of batches that wait for a person's decision.",
                ),
                "unlearn_callbacks_owed": (
                    select(func.count()).select_from(Callback).where(Callback.ended_at.is_(None)),
                    "Callbacks that are not delivered yet.",
                ),
            }  # fmt: skip
            for name, (query, text) in figures.items():
                yield GaugeMetricFamily(name, text, value=session.scalar(query) or 0)
        left = float("inf") if due is None else (due - self._ledger.now()).total_seconds()
        yield GaugeMetricFamily("unlearn_seconds_to_first_due", "Until the first open request is due.", value=left)
