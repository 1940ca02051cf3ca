"""What Prometheus is told: by route and by state, never by person, caller or request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from unlearn.requests.health import Health, health
from unlearn.requests.intake import Receipt
from unlearn.requests.ledger import Ledger

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
        # Whoever asks may make methods up, and every label stays in memory.
        self._answers.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)

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
        try:
            found = health(self._ledger)
        except SQLAlchemyError:  # what this process counts is told all the same: errors, above all
            found = None
        yield GaugeMetricFamily("unlearn_ledger_up", "Whether the ledger can be read.", value=found is not None)
        if found is not None:
            yield from self._gauges(found, self._ledger.now())

    def _gauges(self, found: Health, now: datetime) -> Iterator[Metric]:
        states = GaugeMetricFamily("unlearn_requests", "Requests by state.", labels=["state"])
        for state, number in found.requests.items():
            states.add_metric([state], number)
        yield states
        left = float("inf") if found.first_due is None else (found.first_due - now).total_seconds()
        waited = 0.0 if found.first_received is None else (now - found.first_received).total_seconds()
        for name, text, value in (
            ("requests_overdue", "Open requests whose time is over.", found.overdue),
            ("batches_open", "Batches that are not closed.", found.batches_open),
            ("batches_failing", "Batches whose step raised and is to be tried again.", found.batches_failing),
            ("tasks_attention", "Targets of batches that wait for a person's decision.", found.tasks_attention),
            ("callbacks_owed", "Callbacks that are not delivered yet.", found.callbacks_owed),
            ("callbacks_abandoned", "Callbacks that were given up.", found.callbacks_abandoned),
            ("seconds_to_first_due", "Until the first open request is due.", left),
            ("seconds_waited", "For how long the first open request has been waiting.", waited),
        ):
            yield GaugeMetricFamily(f"unlearn_{name}", text, value=value)
