"""4: what each single record still tells, sorted, with strata."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.strips import strip
from unlearn.audit.report.svg import Chart, Scale, line, spanning, tag, text

VIEW = View(
    "records",
    "Single records",
    "One line a record, the most exposed first: the mean log-likelihood ratio between models that unlearned it and "
    "models that never had it, with its 95 % interval. Zero is what chance reads. An average can hide a few records "
    "that everybody can still read.",
    missing="`unlearn audit --json` writes the signals of a pool of models, which a statement about one record needs.",
    does_not_show="Each line stands on few models, and some of many records are above zero by chance: the first table "
    "says how many.",
)


def body(document: Node, looks: Looks) -> Markup:
    """The sorted records of every method, and what they have in common by stratum."""
    view = document.at("derived", "records")
    if not view:
        return Markup("")
    ends = [row[end].value for of in view for row in of["rows"] for end in ("low", "high")]
    charts = [_forest(name, of, looks, ends) for name, of in view.items()]
    said = [
        [name, of["records"], of["models"], of["above_zero"], of["by_chance"], of["rows"][0]["value"]]
        for name, of in view.items()
    ]
    heads = ["method", "records", "models", "share above zero", "by chance", "largest ratio"]
    caption = "Records whose interval lies above zero; by chance: when models exchange who had what [95 % of the draws]"
    parts = [table(caption, heads, said)]
    parts.append(
        figure(
            "Records by rank; coloured where the interval lies above zero. At most 120 of each method are drawn, an "
            "even choice by rank, the largest and the smallest included. All methods share one scale.",
            *charts,
            data=Markup("").join(_table(name, of) for name, of in view.items()),
        )
    )
    groupings = list(next(iter(view))["strata"].value)
    if groupings:
        parts.append(_strata(view, groupings, looks))
    return Markup("").join(parts)


def _forest(name: str, of: Node, looks: Looks, ends: Sequence[float]) -> Markup:
    chart = Chart(f"Log-likelihood ratio of single records, {name}", 322, 230, top=24)
    rows = of["rows"]
    x = Scale(-1.0, float(len(rows)), *chart.x_range)
    y = spanning([*ends, 0.0], *chart.y_range)
    chart.y_axis(y, "log-likelihood ratio")
    chart.add(line(chart.x_range[0], y(0.0), chart.x_range[1], y(0.0), class_="floor"))
    chart.add(text(chart.left, 14, name, class_=f"title {looks.colour(name)}"))
    chart.add(text(sum(chart.x_range) / 2, chart.height - 18, "records, by rank", class_="title", text_anchor="middle"))
    for place, row in enumerate(rows):
        own = looks.colour(name)
        look = "nothing" if row["low"].value <= 0 else "retrain" if own == "nothing" else own
        at = x(place)
        chart.add(line(at, y(row["low"].value), at, y(row["high"].value), class_=f"whisker {look}"))
        chart.add(tag("circle", cx=at, cy=y(row["value"].value), r=1.6, class_=f"point {look}"))
    return chart.svg()


def _table(name: str, of: Node) -> Markup:
    groupings = list(of["strata"].value)
    rows = [
        [str(rank), row["value"], row["low"], row["high"], *(row["groups"][grouping] for grouping in groupings)]
        for rank, row in enumerate(of["rows"], start=1)
    ]
    return table(f"{name}: records that are drawn", ["", "ratio", "low", "high", *groupings], rows)


def _strata(view: Node, groupings: Sequence[str], looks: Looks) -> Markup:
    levels = [(grouping, level) for grouping in groupings for level in next(iter(view))["strata"][grouping].value]
    charts = [
        strip(
            f"ratio, {grouping} {level}",
            [(name, of["strata"][grouping][level]) for name, of in view.items()],
            looks,
            low=0.0,
        )
        for grouping, level in levels
    ]
    rows = [[name, *(of["strata"][grouping][level] for grouping, level in levels)] for name, of in view.items()]
    heads = ["method", *(f"{grouping} {level}" for grouping, level in levels)]
    data = table("Median [10th, 90th percentile] over records", heads, rows)
    return figure("By stratum: median over its records, 10th to 90th percentile.", *charts, data=data)
