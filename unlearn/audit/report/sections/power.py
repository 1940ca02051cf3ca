"""9: where the spread comes from, and what so many runs could have shown."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.svg import Chart, Scale, line, path, spanning

_TITLES = {
    "forget_auc": "forget AUC",
    "ndcg_at_20": "NDCG@20",
    "recall_at_20": "Recall@20",
    "overlap": "top-20 overlap",
}


VIEW = View(
    "power",
    "Seeds and power",
    "Differences from the retrain on the same requests, seed by seed, split into the spread over training "
    "seeds and over the method's own seed; and the smallest difference that so many runs would have found.",
    missing="The comparison needs a second seed, as by `unlearn evaluate --seeds 3 --json`; the "
    "method's own spread needs it more than once, as in `--methods iau:seed=1,iau:seed=2`.",
    does_not_show="More runs of the method replace no training seed: a method without randomness of its own looks "
    "certain and is not.",
)


def body(document: Node, looks: Looks) -> Markup:
    """One plot a figure, and the components of the spread."""
    view = document.at("derived", "power")
    if not view:
        return Markup("")
    figures = list(dict.fromkeys(row["figure"].value for row in view["rows"]))
    charts = [_chart(view, name, looks) for name in figures]
    heads = [
        "method",
        "figure",
        "difference",
        "training runs",
        "runs of the method",
        "σ training",
        "σ method",
        "smallest detectable",
    ]
    keys = ("difference", "training_runs", "method_runs", "sigma_s", "sigma_u", "smallest")
    rows = [
        [row["method"], _TITLES.get(row["figure"].value, row["figure"].value), *(row[key] for key in keys)]
        for row in view["rows"]
    ]
    names = dict.fromkeys(row["method"].value for row in view["rows"])
    return figure(
        "Smallest mean difference from the retrain that a paired two-sided t test at 5 % finds with 80 % power, by "
        "number of training runs. The mark is where this audit stands.",
        *charts,
        data=table("Spread of the differences from the retrain", heads, rows),
        legend=looks.legend(names),
    )


def _chart(view: Node, name: str, looks: Looks) -> Markup:
    rows = [row for row in view["rows"] if row["figure"].value == name]
    chart = Chart(f"Smallest detectable difference in {_TITLES.get(name, name)}", 322, 230)
    runs: list[int] = view["runs"].value
    x = Scale(runs[0] - 0.5, runs[-1] + 0.5, *chart.x_range)
    y = spanning([value for row in rows for value in row["smallest_by_runs"].value], *chart.y_range, log=True)
    chart.x_axis(x, "training runs")
    chart.y_axis(y, f"smallest difference, {_TITLES.get(name, name)}")
    for row in rows:
        colour, method = looks.colour(row["method"].value), row["method"].value
        points = zip(runs, row["smallest_by_runs"].value, strict=True)
        chart.add(path([(x(a), y(b)) for a, b in points if b], class_=f"curve {colour}"))
        made = row["training_runs"].value
        if made <= runs[-1] and row["smallest"].value:
            chart.add(
                looks.mark(method, x(made), y(row["smallest"].value), size=4, title=f"{method}: {row['smallest']}")
            )
    here = view["rows"][0]["training_runs"].value
    if here <= runs[-1]:
        chart.add(line(x(here), chart.y_range[0], x(here), chart.top, class_="floor dashed"))
    return chart.svg()
