"""Comparisons and streams in a tracker: one run for the evaluation, one inside it for each method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unlearn.audit.comparison import Comparison
from unlearn.audit.stream import Streams
from unlearn.tracking.base import Run, Tracker, lineage


def record(
    comparison: Comparison,
    tracker: Tracker,
    *,
    name: str = "evaluation",
    tags: Mapping[str, str] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> None:
    """Keep the settings, the data's digests, every figure's mean or median, and the whole comparison as JSON.

    A figure that only some runs have is followed by their number, as `<figure>_n`. What could not be applied or audited
    has a run, too, whose tag `unlearn.reason` says why.

    `tags` are the evaluation's own: by `mlflow.parentRunId` MLflow shows it below another run, as of a study.
    `audit` is the JSON of a whole audit: it is kept with the run's id in its provenance, and as a page to look at.

    Raises:
        ValueError: the comparison was made without a key, so there is no digest to name its requests by.
    """
    digests = [request.digest or "" for request in comparison.requests]
    if not all(digests):
        raise ValueError("`comparison` must carry keyed digests for `record`: pass `key` to `compare`")
    # One request is named by its own digest, many by the digest of theirs.
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    counts = {name: sum(r.counts[name] for r in comparison.requests) for name in comparison.requests[0].counts}
    settings = dict(comparison.settings)
    of_methods = settings.pop("methods")  # told by their own runs: of many methods it is more than a tracker holds
    with tracker.run(name, tags=tags) as parent:
        parent.params({"seeds": list(comparison.seeds), "statistic": comparison.statistic, **settings})
        for context, of_data in comparison.digests.items():
            parent.dataset(context, digest=of_data, counts={}, context=context)
        parent.dataset("requests", digest=digest, counts=counts, context="forget")
        parent.artifact("comparison.json", json.loads(comparison.to_json()))
        if audit is not None:
            _keep(audit, parent)
        reasons = {**comparison.reasons, **(audit or {}).get("not_audited", {})}
        for method in dict.fromkeys([*comparison.names, *reasons]):
            tags = lineage(method=method, parent_model=None, request_digest=digest) | _reason(reasons.get(method))
            with tracker.run(method, tags=tags, nested=True) as run:
                run.params(of_methods.get(method, {}))
                survivors = {f"{figure}_n": float(n) for figure, n in comparison.survivors(method).items()}
                run.metrics(comparison.central(method) | survivors)


def record_streams(
    found: Streams, tracker: Tracker, *, name: str = "evaluation", tags: Mapping[str, str] | None = None
) -> None:
    """Keep the settings, the data's digests, every figure of every step as a series, and all of it as JSON.

    `tags` are the evaluation's own, as in `record`.
    """
    with tracker.run(name, tags=tags) as parent:
        seeds = list(dict.fromkeys(one.seed for one in found.streams))
        parent.params({"seeds": seeds, "requests": len(found.streams[0].steps), **found.settings})
        for context, of_data in found.digests.items():
            parent.dataset(context, digest=of_data, counts={}, context=context)
        parent.artifact("streams.json", json.loads(found.to_json()))
        for one in found.streams:
            with tracker.run(f"{one.method}, seed {one.seed}", nested=True) as run:
                run.params(one.arguments)
                for step in one.steps:
                    own = {figure: getattr(step, figure) for figure in ("seconds", "residual_after", "removed")}
                    run.metrics(own | (step.values or {}), step=step.number)
        for method, why in found.reasons.items():
            with tracker.run(method, tags=_reason(why), nested=True):
                pass


def _reason(why: str | None) -> dict[str, str]:
    return {} if why is None else {"unlearn.reason": why}


def _keep(audit: Mapping[str, Any], run: Run) -> None:
    """The audit's JSON and its report."""
    from unlearn.audit.report import render  # which itself builds on this package

    content = {**audit, "provenance": {**audit.get("provenance", {}), "run": run.id}}
    run.artifact("audit.json", content)
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(render(content), "utf-8")
        run.artifact("report.html", page)
