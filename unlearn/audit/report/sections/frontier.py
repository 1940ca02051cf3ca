"""3: forgetting against utility against cost."""

from __future__ import annotations

from itertools import product

from markupsafe import Markup

from unlearn.audit.report.marks import Looks, centre, ends, middle, whisker
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, cell, figure, runs_of, table
from unlearn.audit.report.svg import Chart, line, spanning, text

_PANELS = (
    ("seconds", "seconds to serve the request", "retrain_gap", "gap to the retrain", True),
    ("ndcg_at_20", "NDCG@20 of remaining users", "retrain_gap", "gap to the retrain", False),
    ("ndcg_at_20", "NDCG@20 of remaining users", "forget_auc", "forget AUC", False),
)  # fmt: skip


VIEW = View(
    "frontier",
    "Frontier",
    "Forgetting against cost and utility. The star is the retrain, the open square the placebo (a retrain that "
    "forgot an equal random set), the cross no unlearning at all. Good is: as low as the retrain, as far left as "
    "can be, at its utility. Lines through a mark are the intervals of the table.",
    missing="`unlearn evaluate --json` and `unlearn audit --json` write the comparison that these plots show.",
    does_not_show="An unlearned model that forgets more than a retrain is no better: farther from the retrain on "
    "either side is farther.",
)


def body(document: Node, looks: Looks) -> Markup:
    """The plots of forgetting, utility and cost."""
    rows = [row for row in document.at("comparison", "methods") or () if "reason" not in row.value]
    charts = [_chart(rows, looks, *panel) for panel in _PANELS]
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return Markup("")
    names = list(dict.fromkeys(part for panel in _PANELS for part in (panel[0], panel[2])))
    titles = {name: title for panel in _PANELS for name, title in ((panel[0], panel[1]), (panel[2], panel[3]))}
    runs = runs_of(document["comparison"])
    data = table(
        "What the plots show",
        ["method", *(titles[name] for name in names)],
        [[row["name"], *(cell(row.at(name), runs=runs) for name in names)] for row in rows],
    )
    legend = looks.legend(row["name"].value for row in rows)
    caption = "Dashed: the floor, how far two retrains are apart; in the third plot the forget AUC of the retrain."
    return figure(caption, *drawn, data=data, legend=legend)


def _chart(
    rows: list[Node], looks: Looks, x_name: str, x_title: str, y_name: str, y_title: str, log: bool
) -> Markup | None:
    points = [row for row in rows if centre(row.at(x_name)).known and centre(row.at(y_name)).known]
    points = [row for row in points if not log or middle(row[x_name]) > 0]
    if not points:
        return None
    chart = Chart(f"{y_title} against {x_title}", 322, 290)
    floor = next((centre(row.at({"retrain_gap": "gap_floor"}.get(y_name, "retrain_auc"))) for row in points), None)
    values = [middle(row[y_name]) for row in points] + ([floor.value] if floor and floor.known else [])
    x = spanning([*(middle(row[x_name]) for row in points), *_near(points, x_name, log)], *chart.x_range, log=log)
    y = spanning([*values, *_near(points, y_name, False)], *chart.y_range)
    chart.x_axis(x, x_title)
    chart.y_axis(y, y_title)
    if floor and floor.known:
        at = y(floor.value)
        chart.add(line(*_across(chart, at), class_="floor dashed", data_path=floor.path))
    for row in points:
        for along in ("x", "y"):
            whisker(chart, (x, row[x_name]), (y, row[y_name]), class_=looks.colour(row["name"].value), along=along)
    placed: list[tuple[float, float, float, float]] = [
        (x(middle(row[x_name])) - 6, y(middle(row[y_name])) - 6, 12, 12) for row in points
    ]
    for row in points:
        name = row["name"].value
        px, py = x(middle(row[x_name])), y(middle(row[y_name]))
        title = f"{name}: {x_title} {centre(row[x_name])}, {y_title} {centre(row[y_name])}"
        chart.add(looks.mark(name, px, py, title=title), *_label(chart, name, px, py, placed, looks.colour(name)))
    return chart.svg()


def _near(points: list[Node], name: str, log: bool) -> list[float]:
    """Ends of intervals, as far as they would not squeeze everything else together."""
    centres = [middle(row[name]) for row in points]
    found = [end for row in points for end in ends(row[name]) if end is not None]
    if log:
        return []
    reach = (max(centres) - min(centres)) or abs(centres[0]) or 1.0
    return [end for end in found if min(centres) - 0.25 * reach <= end <= max(centres) + 0.25 * reach]


def _across(chart: Chart, at: float) -> tuple[float, float, float, float]:
    return chart.x_range[0], at, chart.x_range[1], at


def _label(
    chart: Chart, name: str, px: float, py: float, placed: list[tuple[float, float, float, float]], colour: str
) -> list[Markup]:
    """The name beside its mark where there is room; the legend and the title of the mark say it everywhere."""
    width, height = 5.6 * len(name), 11.0
    offsets = [
        (9.0, -5.5),
        (-9.0 - width, -5.5),
        (-width / 2, -19.0),
        (-width / 2, 8.0),
        *product((8.0, -8.0 - width), (-17.0, 5.0)),
    ]
    for dx, dy in offsets:
        box = (px + dx, py + dy, width, height)
        inside = (
            box[0] >= chart.left and box[0] + width <= chart.width and chart.top <= box[1] <= chart.y_range[0] - height
        )
        if inside and not any(_overlap(box, other) for other in placed):
            placed.append(box)
            return [text(box[0], box[1] + 9, name, class_=f"label {colour}")]
    return []


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
