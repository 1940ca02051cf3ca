"""Rows of the audit trail in words, for who follows one request; the trail itself is shown as it was digested."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from unlearn.looks.figures import short
from unlearn.requests.tables import AuditRow

_WORDS = {
    "request.received": "received, its person suppressed",
    "request.claim": "taken into a batch",
    "request.hold": "put on hold",
    "request.lift": "no hold any more",
    "request.cancel": "cancelled",
    "request.released": "person answered to again",
    "request.close": "completed",
    "holds.checked": "legal holds checked",
    "batch.failed": "a step failed, and is to be tried again",
    "callback.delivered": "controller told",
    "callback.abandoned": "callback given up",
}


def told(row: AuditRow) -> tuple[str, str]:
    """What happened, and the figures of it."""
    detail: dict[str, Any] = json.loads(row.detail)
    if row.event in ("step.ended", "step.retried"):
        what = f"{detail['target']}: {str(detail.get('step', 'retrain')).replace('_', ' ')}"
        return what, "; ".join([str(detail.get("outcome", "once more, a person says")), *_figures(detail)])
    what = _WORDS.get(row.event, row.event.replace(".", " "))
    known = ("error", "attempt", "attempts", "status")
    return what, ", ".join(f"{name} {str(detail[name]).replace('_', ' ')}" for name in known if name in detail)


def _figures(detail: Mapping[str, Any]) -> Iterator[str]:
    """What a step said of itself."""
    if "counts" in detail:
        yield _counts(detail["counts"])
    if "share" in detail:
        yield f"{short(detail['share'])} of all records"
    if "version" in detail:
        yield f"by {detail['version']['method']}, version {detail['version']['digest'][:12]}"
    if "checks" in detail:
        checks = detail["checks"]
        yield f"{sum(check['passed'] for check in checks)} of {len(checks)} checks passed"
    if "left" in detail:
        yield f"left: {_counts(detail['left'])}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{short(number)} {name}" for name, number in counts.items()) or "nothing"
