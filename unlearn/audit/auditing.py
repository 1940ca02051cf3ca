"""All metrics of several methods on one request, and what an audit writes down.

The JSON of `Audit.content` (and of `unlearn audit --json`), which reports are made from:

    format       1
    findings     {method: [{metric, value, low, high, null_floor, resolution, requires, verdict, does_not_show, p_value,
                 by_seed, p_holm, raw}]}: figures, intervals and verdicts of all seeds together, and under `by_seed`
                 the same figure of each alone; `p_holm` is corrected for all figures of the method that have a
                 p-value, so a `fail` with more than .05 there may be the one that so many tests raise by chance
                 (bounds, which hold at 95 % each, have none); `raw` is a digest of the evidence that the
                 figure was read from; a value that does not exist is null, as is an end of an interval that is
                 not known
    reasons      {method: {metric: why it has no figure}}
    not_audited  {method: why no attack could be made on it: it cannot be applied, or diverges}
    comparison   the comparison's own JSON, over seeds (see `unlearn.audit.comparison`)
    signals      [{"seed", "parts": {"shared" or method: {"stage.examples": {values, member, models, blocks}}}}], one
                 for each seed: rows are models, columns examples; enough to read every figure again. "shared" belongs
                 to all methods
    settings     what was audited; digests: of the data
    views        of the models themselves (see `unlearn.audit.views`); provenance: versions, machine, time

Methods are `no_op` (the control), those asked for, and `misdirected`: the first of them that can be audited, served
with a random set of equal size, and asked about the examples of the request. What that shows is no forgetting. The
other rows of the comparison (`graph_drop`, and `placebo`, a retrain without a random set) have findings of the
comparison alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unlearn.audit.attacks import CannotMeasure, Evidence, Metric
from unlearn.audit.attacks.base import Readings, pooled
from unlearn.audit.comparison import FORMAT, short
from unlearn.audit.finding import Finding
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import LEVEL, holm
from unlearn.jsonable import without_nan

CONTROL, MISDIRECTED = "no_op", "misdirected"
_COLOURS = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


@dataclass(frozen=True)
class Audit:
    """Findings of every method, in order, with the evidence that they were read from."""

    findings: dict[str, list[Finding]]
    evidence: dict[str, Sequence[Evidence]]  # of each method one a seed
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    not_audited: Mapping[str, str] = field(default_factory=dict)  # methods without evidence, and why

    def with_findings(self, more: Mapping[str, Sequence[Finding]]) -> Audit:
        """The same with further findings of the methods."""
        names = dict.fromkeys([*self.findings, *more])
        joined = {name: [*self.findings.get(name, []), *more.get(name, [])] for name in names}
        return replace(self, findings=joined)

    def content(self) -> dict[str, Any]:
        """Findings, reasons and signals, as values for JSON."""
        return {
            "format": FORMAT,
            "findings": {name: self._rows(name) for name in self.findings},
            "reasons": self.reasons,
            "not_audited": dict(self.not_audited),
            "signals": _signals(self.evidence),
        }

    def corrected(self, name: str) -> dict[str, float]:
        """P-values of a method's figures by Holm's correction for all of them that have one."""
        return holm({one.metric: one.p_value for one in self.findings[name] if one.p_value is not None})

    def _rows(self, name: str) -> list[dict[str, Any]]:
        found = self.findings[name]
        adjusted = self.corrected(name)
        evidence = self.evidence.get(name, ())
        rows = [
            asdict(one) | {"p_holm": adjusted.get(one.metric), "raw": digest(evidence, one.requires)} for one in found
        ]
        return without_nan(rows)

    def table(self) -> Table:
        """Every finding for a terminal, and below it what could not be measured."""
        shown = Table(
            title="Audit: figures with 95 % intervals", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        for column in ("metric", "value", "interval", "null", "resolution", "verdict"):
            text = column in ("metric", "verdict")
            shown.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=column == "verdict")
        alone = False
        for name, found in self.findings.items():
            adjusted = self.corrected(name)
            shown.add_row(Text(name, "bold"))  # a line, not a column: 80 characters have no room for both names
            for one in found:
                starred = one.verdict == "fail" and adjusted.get(one.metric, 0.0) > LEVEL
                alone = alone or starred
                shown.add_row(
                    one.metric,
                    short(one.value),
                    f"{short(one.low)} to {short(one.high)}",
                    short(one.null_floor),
                    short(one.resolution),
                    Text(one.verdict + " *" * starred, _COLOURS[one.verdict]),
                )
            shown.add_section()
        for name in self.not_audited:
            shown.add_row(Text(name, "bold"))
            shown.add_row("not audited", *"----", "")
        lines = {f"{metric}: {why}" for reasons in self.reasons.values() for metric, why in reasons.items()}
        star = ["* fails by itself, and no longer once all figures of the method are corrected for (Holm)"] * alone
        without = [f"{name}: {why}" for name, why in self.not_audited.items()]
        shown.caption = "\n".join([*star, *without, *sorted(lines)]) or None
        return shown


def audit(
    evidence: Mapping[str, Sequence[Evidence]],
    metrics: Sequence[Metric],
    *,
    strict: bool = False,
    not_audited: Mapping[str, str] | None = None,
) -> Audit:
    """All metrics of all methods; `no_op` among them is the control that decides what would have been seen.

    Args:
        evidence: of each method one a seed, the same seeds for all.
        strict: a metric that cannot be measured is an error, not a reason beside the others.
        not_audited: methods that there is no evidence of, and why.

    Raises:
        CannotMeasure: `strict`, and a metric lacks a reference, models or examples.
    """
    findings: dict[str, list[Finding]] = {name: [] for name in evidence}
    reasons: dict[str, dict[str, str]] = {}
    for metric in metrics:
        readings: dict[str, Readings] = {}
        for name, told in evidence.items():
            try:
                readings[name] = metric.by_figure(told)
            except CannotMeasure as reason:
                if strict:
                    raise
                reasons.setdefault(name, {})[metric.name] = str(reason)
        control = pooled(readings.get(CONTROL, {}))
        for name, found in readings.items():
            findings[name] += metric.judged_beside(control, found)
    return Audit(findings, dict(evidence), reasons, not_audited or {})


def digest(evidence: Sequence[Evidence], parts: Sequence[str]) -> str | None:
    """SHA-256 of the named parts, values and membership, seed by seed; None where none of them is there."""
    state = hashlib.sha256()
    there = [(one, name) for one in evidence for name in parts if name in one.parts]
    for one, name in there:
        signals = one[name]
        state.update(name.encode())
        state.update(signals.values.numpy().tobytes())
        state.update(signals.member.numpy().tobytes())
    return state.hexdigest() if there else None


def _signals(evidence: Mapping[str, Sequence[Evidence]]) -> list[dict[str, Any]]:
    """Seed by seed, of each method what is its own; what all of them have is said once."""
    seeds = [dict(zip(evidence, of_seed, strict=True)) for of_seed in zip(*evidence.values(), strict=True)]
    return [{"seed": next(iter(told.values())).seed, "parts": _parts(told)} for told in seeds]


def _parts(evidence: Mapping[str, Evidence]) -> dict[str, dict[str, Any]]:
    everyone = list(evidence.values())
    shared = {
        name: part
        for name, part in everyone[0].parts.items()
        if all(other.parts.get(name) is part for other in everyone)
    }
    own = {
        name: {part: _plain(signals) for part, signals in told.parts.items() if part not in shared}
        for name, told in evidence.items()
    }
    return {"shared": {part: _plain(signals) for part, signals in shared.items()}, **own}


def _plain(signals: Signals) -> dict[str, Any]:
    return {
        "values": [[float(f"{value:.6g}") for value in row] for row in signals.values.tolist()],
        "member": signals.member.int().tolist(),
        "models": list(signals.numbers),
        "blocks": list(signals.draws),
    }
