"""2: every method by every figure, sortable."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks, centre
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, cell, figure, runs_of, table
from unlearn.audit.report.svg import tag

COLUMNS = {
    "ndcg_at_20": "NDCG@20",
    "recall_at_20": "Recall@20",
    "forget_auc": "forget AUC",
    "retrain_gap": "retrain gap",
    "overlap": "top-20 overlap",
    "residual_ratio": "residual ratio",
    "score_bound": "proven bound",
    "seconds": "seconds",
    "speedup_vs_retrain": "speed-up",
    "prepare_seconds": "prepare, s",
    "prepare_mb": "memory, MB",
    "rows_changed": "rows changed",
    "fallback": "fell back",
}
# What chance reads, for the figures where two retrains say so.
_FLOORS = {"retrain_gap": "gap_floor", "overlap": "overlap_floor"}


VIEW = View(
    "screening",
    "Screening",
    "Every method by every figure; press a heading to sort. In brackets the 95 % interval over seeds, or the 10th "
    "and 90th percentile over requests; n where only so many of them have the figure. Grey: no farther from the "
    "retrain than two retrains are from each other.",
    missing="`unlearn evaluate --json` and `unlearn audit --json` write the comparison that this table shows.",
    does_not_show="Behaviour equal on average says nothing about any single person: see views 4 and 7.",
    wide=True,
)


def body(document: Node, looks: Looks) -> Markup:
    """The table of every method by every figure."""
    comparison, findings = document.at("comparison"), document.at("findings")
    if not comparison:
        return Markup("")
    rows = [row for row in comparison["methods"] if "reason" not in row.value]
    shown = {name: title for name, title in COLUMNS.items() if any(centre(row.at(name)).known for row in rows)}
    runs = runs_of(comparison)
    claims = list(dict.fromkeys(c["metric"].value for of in findings for c in of)) if findings else []
    claims = [name for name in claims if name not in shown and not name.endswith("_minus_retrain")]
    cells = [
        [
            tag("span", looks.key(row["name"].value), " ", row["name"], class_="name"),
            *(cell(row.at(name), grey=_within(row, name), runs=runs) for name in shown),
            *(_claimed(findings, row["name"].value, name) for name in claims),
        ]
        for row in rows
    ]
    heads = ["method", *shown.values(), *(name.replace("_", " ") for name in claims)]
    statistic = comparison["statistic"].value
    what = (
        "Mean [95 % interval] over seeds" if statistic == "interval" else "Median [10th, 90th percentile] over requests"
    )
    reasons = (_reason(row) for row in comparison["methods"] if "reason" in row.value)
    said = [request.at("raw", "caveat") for request in comparison.at("raw", "requests") or ()]
    caveats = {caveat.value: tag("p", caveat) for caveat in said if caveat.known}
    caption = tag("span", _floors(rows), *reasons, *caveats.values())
    return figure(caption, table(what, heads, cells, sortable=True))


def _within(row: Node, name: str) -> bool:
    """No farther from the retrain than two retrains are from each other."""
    value, floor = (centre(row.at(key)).value if key else None for key in (name, _FLOORS.get(name)))
    if value is None or floor is None:
        return False
    return value <= floor if name == "retrain_gap" else value >= floor


def _claimed(findings: Node, method: str, metric: str) -> Markup:
    claim = next((c for c in findings.at(method) or () if c["metric"].value == metric), None)
    return tag("td", Node(None)) if claim is None else cell(claim, grey=claim["verdict"].value == "pass")


def _floors(rows: list[Node]) -> Markup:
    """What is the same for every method."""
    named = {
        "retrain_auc": "forget AUC of a retrain",
        "gap_floor": "gap between two retrains",
        "overlap_floor": "overlap of two retrains",
        "effect": "effect of the deletion on all scores",
    }
    row = next((row for row in rows if centre(row.at("gap_floor")).known), rows[0])
    said = [
        tag("span", title, " ", centre(row.at(name))) for name, title in named.items() if centre(row.at(name)).known
    ]
    return Markup("; ").join(said)


def _reason(row: Node) -> Markup:
    return tag("p", row["name"], " was not applied: ", row["reason"])
