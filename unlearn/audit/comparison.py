"""What an evaluation found: every measurement, and its summary as table and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unlearn.audit.measures import Interval, Quantiles, interval, quantiles
from unlearn.jsonable import without_nan

FORMAT = 1
_COLUMNS = {
    "recall_at_20": "Recall@20",
    "ndcg_at_20": "NDCG@20",
    "forget_auc": "forget\nAUC",
    "retrain_gap": "gap",
    "overlap": "overlap",
    "residual_ratio": "residual",
    "score_bound": "bound",
    "seconds": "seconds",
    "speedup_vs_retrain": "speed-up",
}


_NARROW = [name for name in _COLUMNS if name not in ("ndcg_at_20", "residual_ratio")]  # what 80 columns hold
# The same for every method: said once, below the table.
_COMMON = {
    "retrain_auc": "forget AUC of a retrain",
    "gap_floor": "gap between two retrains",
    "overlap_floor": "overlap of two retrains",
    "effect": "effect of the deletion",
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One method on one request: its figures (None: there is no such figure), and the raw values behind them."""

    method: str
    seed: int
    request: int
    values: dict[str, float | None]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """One request without its ids: how much it named, its keyed digest if there was a key, and its raw values."""

    seed: int
    request: int
    counts: dict[str, int]
    digest: str | None
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measurements of one or several seeds.

    One request a seed: figures are means over seeds with 95 % t intervals. Several requests a seed (many small ones,
    such as thirty single users): median, 10th and 90th percentile over all requests. A figure that some runs lack is
    that of the others, and carries their number `n`. `reasons` says of methods that could not be applied why.
    """

    measurements: tuple[Measurement, ...]
    requests: tuple[RequestFacts, ...]
    settings: dict[str, Any]
    digests: dict[str, str]
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: Sequence[Comparison]) -> Comparison:
        """The comparison of all seeds from those of each.

        Raises:
            ValueError: no parts, parts that share a seed, or whose digests differ.
        """
        seeds = [seed for part in parts for seed in part.seeds]
        if not parts or len(set(seeds)) < len(seeds) or any(part.digests != parts[0].digests for part in parts):
            raise ValueError(
                f"`parts` must be comparisons of different seeds on the same data for `join` (got {len(parts)} parts "
                f"with seeds {seeds} and {len({str(part.digests) for part in parts})} different data)"
            )
        return cls(
            measurements=tuple(m for part in parts for m in part.measurements),
            requests=tuple(r for part in parts for r in part.requests),
            settings=parts[0].settings,
            digests=parts[0].digests,
            reasons=parts[0].reasons,
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the requests, in order of first appearance."""
        return tuple(dict.fromkeys(request.seed for request in self.requests))

    @property
    def names(self) -> tuple[str, ...]:
        """Rows of the table, in order of first appearance."""
        return tuple(dict.fromkeys(m.method for m in self.measurements))

    @property
    def statistic(self) -> Literal["interval", "quantiles"]:
        """How figures are summed up: over several requests a seed by quantiles, else by the mean and its interval."""
        return "quantiles" if len(self.requests) > len(self.seeds) else "interval"

    def figure(self, method: str, name: str) -> Interval | Quantiles | None:
        """Summary of one figure of one method; None where no measurement has it."""
        found = [m.values.get(name) for m in self.measurements if m.method == method]
        if all(value is None for value in found):
            return None
        values = [nan if value is None else value for value in found]
        return quantiles(values) if self.statistic == "quantiles" else interval(values)

    def central(self, method: str) -> dict[str, float | None]:
        """Mean, or median, of every figure of one method."""
        figures = {name: self.figure(method, name) for name in self._figures(method)}
        return {
            name: None if found is None else found.mean if isinstance(found, Interval) else found.median
            for name, found in figures.items()
        }

    def survivors(self, method: str) -> dict[str, int]:
        """Of figures that only some of the requests (one a seed, or several) have: how many do."""
        figures = {name: self.figure(method, name) for name in self._figures(method)}
        return {name: one.n for name, one in figures.items() if one is not None and 0 < one.n < len(self.requests)}

    @property
    def absent(self) -> dict[str, str]:
        """Of recall, forget AUC and gap those that no request has, not even of its retrain, and why."""
        askable = any(one.raw.get("n_positive") for one in self.measurements if one.method == "retrain")
        affected = any(one.raw.get("affected") for one in self.requests)
        why = {
            "recall_at_20": "nobody who remains has anything held out",
            "forget_auc": "the same users have nothing held out" if askable else "nothing deleted can be asked about",
            "retrain_gap": "the deletion moves no score" if affected else "nobody who remains is affected",
        }
        found = {name: self.figure("retrain", name) for name in why}
        return {name: why[name] for name, one in found.items() if one is not None and not one.n}

    def table(self, *, spread: bool = True) -> Table:
        """The main figures for a terminal; a star marks a gap below its floor, n= what only so many runs have.

        A mean is below its floor where every seed's gap is, a median where those of most requests are. `spread` adds
        to each how it varies, and two more columns; without it the table fits into 80 columns.
        """
        columns = list(_COLUMNS) if spread else _NARROW
        quantiled = self.statistic == "quantiles"
        middle, around = ("median", " (90th percentile)") if quantiled else ("mean", " ± half the 95 % interval")
        what = middle + (around if spread else "")
        title = f"Unlearning against retraining: {what}, {len(self.requests)} request(s)"
        table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("method", overflow="fold")
        for name in columns:
            table.add_column(_COLUMNS[name], justify="right", overflow="fold")
        gaps = starred = False
        for method in self.names:
            kept = self.survivors(method)
            gaps = gaps or not kept.keys().isdisjoint(columns)
            below = self.central(method).get("below_floor")
            cells = [
                _cell(self.figure(method, name), spread) + (f" n={kept[name]}" if name in kept else "")
                for name in columns
            ]
            starred = starred or below == 1.0
            cells[columns.index("retrain_gap")] += " *" if below == 1.0 else ""
            table.add_row(method, *cells)
        for method in self.reasons:
            table.add_row(method, *("not applied" if name == columns[0] else "-" for name in columns))
        shared = next((name for name in self.names if self.figure(name, "gap_floor") is not None), self.names[0])
        common = (f"{title} {_cell(self.figure(shared, name), spread)}" for name, title in _COMMON.items())
        table.caption = "good: a gap of 0 (1 is nothing done), and a retrain's forget AUC\n" + "; ".join(common)
        if starred:
            table.caption += "\n*: less than two retrains differ by, or than further training moves the original"
        if gaps:
            runs = "requests" if quantiled else "seeds"
            table.caption += f"\nn: only so many of the {runs} have the figure"
        for name, reason in self.absent.items():
            table.caption += f"\nno {' '.join(_COLUMNS[name].split())}: {reason}"
        caveats = {caveat for one in self.requests if (caveat := one.raw.get("caveat"))}
        for said in [*self.reasons.values(), *sorted(caveats)]:
            table.caption += f"\n{said}"
        return table

    def to_json(self) -> str:
        """Everything: {"methods", "absent", "settings", "seeds", "digests", "raw"}; what is no finite number is null.

        A method that could not be applied has a "reason" instead of figures; so have figures in "absent".
        """
        methods = [
            {"name": method}
            | {
                name: None if (found := self.figure(method, name)) is None else asdict(found)
                for name in self._figures(method)
            }
            for method in self.names
        ]
        methods += [{"name": method, "reason": reason} for method, reason in self.reasons.items()]
        content = {
            "format": FORMAT,
            "statistic": self.statistic,
            "methods": methods,
            "absent": self.absent,
            "settings": self.settings,
            "seeds": list(self.seeds),
            "digests": self.digests,
            "raw": {
                "requests": [asdict(request) for request in self.requests],
                "measurements": [asdict(m) for m in self.measurements],
            },
        }
        return json.dumps(without_nan(content), indent=1, allow_nan=False)

    def _figures(self, method: str) -> Iterable[str]:
        return dict.fromkeys(name for m in self.measurements if m.method == method for name in m.values)


def _cell(found: Interval | Quantiles | None, spread: bool) -> str:
    if found is None:
        return "-"
    if isinstance(found, Quantiles):
        return short(found.median) + (f" ({short(found.p90)})" if spread else "")
    if not spread:
        return short(found.mean)
    half = found.high - found.mean
    return short(found.mean) + (f" ± {short(half)}" if isfinite(half) else "")


def short(value: float | None) -> str:
    """A figure for a terminal; a hyphen where there is none."""
    if value is None or not isfinite(value):
        return "-"
    return f"{value:.3f}" if 0.0005 <= abs(value) < 10 else f"{value:.3g}"
